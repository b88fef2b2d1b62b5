"""A case that was asked for before: stored lists and their age, what a second run fetches and leaves alone, and trying
again what failed."""

import json

import pytest

import lib
from commands import PLAIN, SMALL, one_line


# ---- stored lists and second runs ----


def test_max_age_fresh(autos, sim):
    autos.get(SMALL, check=0)
    before = sim.calls()
    result = autos.get(SMALL, "--max-age", "10m", check=0)
    assert result.out.startswith(f"{SMALL}  complete  6 documents")
    assert sim.calls() == before


@pytest.mark.sqlite
def test_max_age_stale(autos, sim):
    autos.get(SMALL, check=0)
    lib.until(lambda: autos.one("SELECT CAST(strftime('%s', 'now') AS INTEGER) * 1000 - consulted_ms FROM process")
              > 1000, "the list to age")
    autos.get(SMALL, "--max-age", "1s", check=0)
    assert sim.calls("list") == 2 and sim.calls("binario") == 6


def test_max_age_is_a_setting_too(autos, sim):
    autos.get(SMALL, check=0)
    autos.get(SMALL, check=0, max_age="7d")
    assert sim.calls("list") == 1


@pytest.mark.both
def test_max_age_with_failed_documents(autos, sim):
    """Only these are asked for again, and no list."""
    sim.script("binario document=2 status=404")
    autos.get(SMALL, check=3)
    sim.script("")
    sim.reset()
    autos.get(SMALL, "--max-age", "10m", check=0)
    stats = sim.stats()
    assert stats["calls"] == {"list": 0, "detail": 0, "binario": 1, "texto": 0, "other": 0}
    lib.expect_case(autos, sim, SMALL)
    lib.check_invariants(autos, sim)


@pytest.mark.both
def test_second_get_asks_but_fetches_nothing(autos, sim):
    autos.get(SMALL, check=0)
    first = autos.manifest(SMALL)
    sim.reset()
    autos.get(SMALL, check=0)
    assert sim.stats()["calls"] == {"list": 1, "detail": 1, "binario": 0, "texto": 0, "other": 0}
    second = autos.manifest(SMALL)
    assert second["documents"] == first["documents"]
    assert second["consulted_at"] > first["consulted_at"]
    lib.check_invariants(autos, sim)


def documents_of(detail):
    case = detail[0]
    yield from [case["tramitacaoAtual"], *case.get("tramitacoes", [])]


def without(detail, uuids):
    """The same detail without some of its documents."""
    copy = json.loads(json.dumps(detail))
    for p in documents_of(copy):
        p["documentos"] = [d for d in p["documentos"]
                           if not any(u in (d.get("hrefBinario") or d.get("hrefTexto") or "") for u in uuids)]
    return copy


def serving(make_sim, place, number, name, detail):
    """A portal that gives this detail for the case."""
    path = place / name
    path.write_text(json.dumps(detail))
    return make_sim(script=f"detail case={number} type=application/json body-file={path}\n")


@pytest.mark.both
def test_refresh(make_sim, make_autos, place):
    """New documents are fetched, vanished ones stay, everything is numbered anew."""
    number = PLAIN[0]
    true = make_sim()
    detail = true.detail(number)
    papers = sorted(true.case(number)["papers"], key=lambda p: p["date"])
    ids = [p["ids"][0] for p in papers]
    late, gone = {ids[0], ids[7], ids[20]}, {ids[1], ids[33]}

    autos = make_autos(serving(make_sim, place, number, "first.json", without(detail, late)))
    autos.get(number, check=0)
    first = autos.manifest(number)
    assert first["totals"]["documents"] == 37 and {d["id"] for d in first["documents"]} == set(ids) - late
    lib.check_invariants(autos)

    sim = serving(make_sim, place, number, "second.json", without(detail, gone))
    autos.portal = sim.portal
    autos.get(number, check=0)
    second = autos.manifest(number)
    assert set(sim.stats()["documents"]) == late
    assert {d["id"] for d in second["documents"]} == set(ids)
    assert {d["id"] for d in second["documents"] if not d["listed"]} == gone
    assert [d["position"] for d in second["documents"]] == list(range(1, 41))
    assert second["documents"][0]["id"] == ids[0]
    old = {d["id"]: d for d in first["documents"]}
    for d in second["documents"]:
        if d["id"] in old:
            assert d["sha256"] == old[d["id"]]["sha256"] and d["fetched_at"] == old[d["id"]]["fetched_at"]
    assert {d["file"] for d in first["documents"]} - {d["file"] for d in second["documents"]}
    lib.check_invariants(autos, sim)  # no file of an old number is left

    # And back: what is listed again is listed again, and nothing is fetched.
    autos.portal = true.portal
    true.reset()
    autos.get(number, check=0)
    assert all(d["listed"] for d in autos.manifest(number)["documents"])
    assert true.calls("binario") == 0
    lib.expect_case(autos, true, number)
    lib.check_invariants(autos, true)


@pytest.mark.both
def test_case_becomes_sealed(autos, sim):
    """What is stored stays stored; the folder is not touched."""
    autos.get(SMALL, check=0)
    before = autos.manifest(SMALL)
    sim.script("detail answer=denied-403-json")
    result = autos.get(SMALL)
    assert result.status == 5
    m = json.loads(autos.run("status", SMALL, "--json", check=0).out)
    assert m["job"]["outcome"] == "access_denied"
    assert [d["sha256"] for d in m["documents"]] == [d["sha256"] for d in before["documents"]]
    autos.run("verify", SMALL, check=0)
    lib.check_invariants(autos, sim)


# ---- retry ----


@pytest.mark.both
def test_retry_asks_for_what_failed_only(autos, sim):
    sim.script("binario document=3 status=404\nbinario document=5 answer=empty-200")
    autos.get(SMALL, check=3)
    sim.reset()
    sim.script("binario document=5 answer=empty-200")
    result = autos.run("retry", SMALL, "-o", autos.out)
    assert result.status == 3
    assert sim.stats()["calls"] == {"list": 0, "detail": 0, "binario": 1 + 4, "texto": 0, "other": 0}
    sim.script("")
    result = autos.run("retry", SMALL, "-o", autos.out, check=0)
    assert result.out.startswith(f"{SMALL}  complete  6 documents")
    lib.expect_case(autos, sim, SMALL)
    lib.check_invariants(autos, sim)


def test_retry_of_a_case_without_a_list(autos, sim):
    """A case that failed as a whole is asked for as a whole."""
    sim.script("detail status=400")
    autos.get(SMALL, check=6)
    sim.script("")
    autos.run("retry", SMALL, "-o", autos.out, check=0)
    lib.expect_case(autos, sim, SMALL)
    lib.check_invariants(autos, sim)


def test_retry_of_an_unknown_case(autos, sim):
    result = autos.run("retry", SMALL, "-o", autos.out)
    assert result.status == 4
    assert "not known here" in one_line(result.err)
    assert sim.calls() == 0


def test_retry_of_a_complete_case(autos, sim):
    autos.get(SMALL, check=0)
    before = sim.calls()
    result = autos.run("retry", SMALL, "-o", autos.out)
    assert "nothing to try again" in one_line(result.err)
    assert result.status == 0
    assert sim.calls() == before
    lib.check_invariants(autos, sim)
