"""The lane to the portal and the limits: parallelism, pace, pauses, sizes, slowness."""

import pytest

import crash
import lib

pytestmark = pytest.mark.both

NUMBER = lib.number_of("plain")

STORMS = {
    "calm": "",
    "429": "* status=429 probability=0.3",
    "reset": "binario reset=random probability=0.3",
    "cut": "binario cut=random probability=0.3",
}


@pytest.mark.both(most={10}, storm={"calm", "cut"})
@pytest.mark.parametrize("storm", STORMS)
@pytest.mark.parametrize("most", [1, 2, 5, 10])
def test_parallelism(make_sim, make_autos, most, storm):
    """Never more calls at once than configured, and every document comes whole in the end."""
    documents = 80 if storm == "calm" else 40
    # Slow enough for a slow client to have as many calls in the air as it may.
    sim = make_sim("--latency", 10 + 15 * most if storm == "calm" else 10, "--documents", documents)
    sim.script(STORMS[storm])
    autos = make_autos(sim, portal_parallel=min(3, most), portal_parallel_max=most, retry_max=20, portal_pause="10ms",
                       portal_pause_max="20ms")
    result = autos.get(NUMBER)
    lib.expect_case(autos, sim, NUMBER, result.status)
    lib.check_invariants(autos, sim)
    stats = sim.stats()
    assert stats["max_parallel"]["total"] <= most
    if storm == "calm":
        assert stats["max_parallel"]["total"] == most
        assert stats["calls"] == {"list": 1, "detail": 1, "binario": documents, "texto": 0, "other": 0}
    else:
        assert sum(stats["faults"].values()) > 0


def test_parallelism_is_shared_by_cases(make_sim, make_autos):
    sim = make_sim("--latency", 10, "--documents", 15)
    numbers = [n for n, name, _ in lib.catalogue() if name == "plain"][:4]
    autos = make_autos(sim, portal_parallel=2, portal_parallel_max=2)
    autos.get(*numbers, check=0)
    assert sim.stats()["max_parallel"]["total"] == 2
    lib.check_invariants(autos, sim)


def test_pace(make_sim, make_autos):
    """Time between list calls, of whatever cases. On a busy machine some is lost on the way there."""
    sim = make_sim("--documents", 1)
    numbers = [n for n, name, _ in lib.catalogue() if name == "plain"][:5]
    autos = make_autos(sim, portal_pace="400ms")
    autos.get(*numbers, check=0)
    stats = sim.stats()
    assert stats["calls"]["list"] == 5
    assert stats["min_list_gap_ms"] >= 300


@pytest.mark.folder
@pytest.mark.sqlite
def test_pace_on_a_slow_disk(make_sim, make_autos):
    """Commits take long before a list call starts: the pace counts from its start all the same."""
    sim = make_sim("--documents", 1)
    numbers = [n for n, name, _ in lib.catalogue() if name == "plain"][:4]
    autos = make_autos(sim, portal_pace="1s", cases_parallel=4)
    autos.get(*numbers, check=0, env=crash.shim("fsync", 1, sticky=True, delay=150, path="autos.db"))
    stats = sim.stats()
    assert stats["calls"]["list"] == 4
    assert stats["min_list_gap_ms"] >= 850


@pytest.mark.parametrize("wait", ["1", "date:2"])
@pytest.mark.parametrize("route", ["binario", "detail", "list"])
def test_retry_after(autos, sim, route, wait):
    """While the portal makes us wait, nothing at all is asked."""
    call = 7 if route == "binario" else 1
    sim.script(f"{route} calls={call} status=429 retry-after={wait}")
    result = autos.get(NUMBER)
    lib.expect_case(autos, sim, NUMBER, result.status)
    stats = sim.stats()
    assert stats["pauses"] == 1
    assert stats["calls_during_pause"] == 0
    lib.check_invariants(autos, sim)


def test_429_spends_no_try(make_autos, sim):
    autos = make_autos(sim, retry_max=0)
    sim.script("binario calls=1-2 per=document status=429\n"
               "list calls=1-2 status=429\n"
               "detail calls=1-2 status=429")
    result = autos.get(lib.number_of("detail-array"))
    m = lib.expect_case(autos, sim, lib.number_of("detail-array"), result.status)
    assert m["job"]["outcome"] == "complete"
    assert sim.stats()["faults"] and sim.stats()["status"]["429"] == 2 * len(m["documents"]) + 4


def test_429_forever_ends(make_autos, sim):
    """Borne for portal_patience, then everything is kept for the next start."""
    autos = make_autos(sim, portal_patience="500ms")
    sim.script("binario calls=11- status=429")
    result = autos.get(NUMBER)
    assert result.status == 6
    assert "the portal is unavailable" in result.err
    assert autos.one("SELECT COUNT(*) FROM document WHERE state = 'failed'") == 0
    assert autos.rows("SELECT state FROM job")[0][0] == "pending"
    kept = autos.one("SELECT COUNT(*) FROM document WHERE state = 'available'")
    assert kept == 10
    sim.script("")
    before = sim.calls("binario")
    lib.expect_case(autos, sim, NUMBER, autos.get(NUMBER).status)
    assert sim.calls("binario") - before == 40 - kept
    lib.check_invariants(autos, sim)


@pytest.mark.parametrize("framing", ["", "binario chunked"])
def test_document_max_size(make_autos, sim, framing):
    """Too large is said at once, whether the size is announced or found out."""
    sim.script(framing)
    limit = 20000
    number = lib.number_of("detail-array")
    papers = sim.case(number)["papers"]
    assert min(p["size"] for p in papers) <= limit < max(p["size"] for p in papers)
    autos = make_autos(sim, document_max_size=limit)
    autos.get(number, check=3)
    m = autos.manifest(number)
    sizes = {i: p["size"] for p in papers for i in p["ids"]}
    for d in m["documents"]:
        fits = sizes[d["id"]] <= limit
        assert (d["status"], d["reason"]) == (("available", None) if fits else ("failed", "too_large"))
        assert d["attempts"] == 1
    lib.check_invariants(autos, sim)


def test_document_of_exactly_the_limit(make_autos, sim):
    number = lib.number_of("detail-array")
    largest = max(p["size"] for p in sim.case(number)["papers"])
    make_autos(sim, document_max_size=largest).get(number, check=0)
    make_autos(sim, document_max_size=largest - 1).get(number, check=3)


@pytest.mark.parametrize("framing", ["", "detail chunked"])
def test_answer_max_size(make_autos, sim, framing):
    """The list fits, the detail does not."""
    sim.script(framing)
    autos = make_autos(sim, answer_max_size="20K")
    result = autos.get(NUMBER, check=6)
    assert autos.rows("SELECT state, outcome FROM job")[0][1] == "upstream_error"
    assert result.out.startswith(f"{NUMBER}  upstream_error  ")
    assert sim.calls("detail") == 1 and sim.calls("binario") == 0


@pytest.mark.parametrize("trouble", ["status=503", "status=400", "answer=shell-200"])
def test_list_only_enriches(autos, sim, trouble):
    """A list that is refused for good does not cost the case file."""
    sim.script(f"list {trouble}")
    autos.get(NUMBER, check=0)
    lib.check_invariants(autos, sim)


def test_slow_but_steady(make_autos, sim):
    """Documents have no time limit but the low-speed one."""
    number = lib.number_of("tiny-html")
    autos = make_autos(sim, portal_timeout="1s")
    sim.script("binario drip=7/200 document=2\nbinario drip=2/150 document=1")
    m = lib.expect_case(autos, sim, number, autos.get(number).status)
    assert all(d["attempts"] == 1 for d in m["documents"])


def test_stall_is_cut(make_autos, sim):
    number = lib.number_of("detail-array")
    autos = make_autos(sim, portal_low_speed="15K")
    sim.script("binario calls=1 stall=50%")
    m = lib.expect_case(autos, sim, number, autos.get(number).status)
    assert sorted(d["attempts"] for d in m["documents"]) == [1] * (len(m["documents"]) - 1) + [2]
    lib.check_invariants(autos, sim)


def test_json_has_a_whole_time(make_autos, sim):
    """A list or a detail that drips on for ever ends with portal_timeout."""
    autos = make_autos(sim, portal_timeout="1s", retry_max=1)
    sim.script("detail drip=1/20")
    autos.get(NUMBER, check=6)
    assert autos.one("SELECT outcome FROM job") == "upstream_error"
    assert sim.calls("detail") == 2
