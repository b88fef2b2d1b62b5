"""Looking at cases, alone and beside a command that works on them: status, watch, verify; a second writer is refused."""

import json
import re

import pytest

import lib
from commands import PARTIAL, PLAIN, SMALL, busy, one_line


# ---- looking, beside a writer ----


def test_status_of_an_unknown_case(autos):
    assert autos.run("status", SMALL).status == 4
    autos.run("migrate", check=0)
    result = autos.run("status", SMALL)
    assert result.status == 4 and "not known here" in one_line(result.err)


@pytest.mark.both
def test_status(autos, sim):
    autos.get(PARTIAL, check=3)
    before = sim.calls()
    text = autos.run("status", PARTIAL, check=0).out
    assert re.search(rf"^case +{PARTIAL}$", text, re.M)
    assert re.search(r"^outcome +partial$", text, re.M)
    assert re.search(r"^documents +8: 6 available, 2 failed, 0 pending \(100 %\)$", text, re.M)
    assert len(re.findall(r"^\d{4}  available ", text, re.M)) == 6
    assert len(re.findall(r"^\d{4}  failed .*unavailable_upstream: ", text, re.M)) == 2
    m = json.loads(autos.run("status", "--json", PARTIAL, check=0).out)
    lib.check_seal(m)
    written = autos.manifest(PARTIAL)
    for d in written["documents"]:
        del d["file"]
    assert m["documents"] == written["documents"] and m["job"] == written["job"]
    assert sim.calls() == before


@pytest.mark.both
def test_readers_beside_a_writer(make_sim, make_autos):
    sim, autos, p = busy(make_sim, make_autos, latency=100)
    m = json.loads(autos.run("status", "--json", PLAIN[0], check=0).out)
    assert m["job"]["status"] == "processing" and m["totals"]["pending"] > 0
    assert re.search(r"^job +processing$", autos.run("status", PLAIN[0], check=0).out, re.M)
    result = autos.run("verify", PLAIN[0], check=0)
    assert re.search(r"  ok  \d+ good, 0 bad, [1-9]\d* not stored\n", result.out)
    assert p.poll() is None, "it was over too soon to prove anything"
    autos.finish(p, check=0)
    lib.expect_case(autos, sim, PLAIN[0])
    lib.check_invariants(autos, sim)


@pytest.mark.both
def test_watch(make_sim, make_autos):
    sim, autos, p = busy(make_sim, make_autos)
    watch = autos.popen("status", "--watch", "--json", PLAIN[0])
    autos.finish(p, check=0)
    result = autos.finish(watch, check=0)
    seen = [json.loads(line) for line in result.out.splitlines()]
    assert len(seen) >= 2
    assert seen[0]["job"]["status"] == "processing" and seen[-1]["job"]["status"] == "completed"
    assert seen[-1]["totals"]["available"] == 40
    counts = [m["totals"]["available"] for m in seen]
    assert counts == sorted(counts)


@pytest.mark.sqlite
def test_second_writer_is_refused(make_sim, make_autos):
    sim, autos, p = busy(make_sim, make_autos, latency=100)
    for args in (["get", "-o", autos.out, SMALL], ["retry", PLAIN[0]], ["migrate"]):
        result = autos.run(*args)
        assert result.status == 1
        assert "another" in one_line(result.err), result.err
    assert p.poll() is None, "it was over too soon to prove anything"
    autos.finish(p, check=0)
    lib.expect_case(autos, sim, PLAIN[0])
    lib.check_invariants(autos, sim)


# ---- verify ----


@pytest.mark.both
def test_verify(autos):
    autos.get(SMALL, PARTIAL, check=3)
    assert autos.run("verify", SMALL, check=0).out == f"{SMALL}  ok  6 good, 0 bad, 0 not stored\n"
    result = autos.run("verify", "--all", check=0)
    assert sorted(result.out.splitlines()) == [f"{SMALL}  ok  6 good, 0 bad, 0 not stored",
                                               f"{PARTIAL}  ok  6 good, 0 bad, 2 not stored"]
    assert autos.run("verify", PLAIN[0]).status == 4


@pytest.mark.both
@pytest.mark.parametrize("damage", ["byte", "short", "missing"])
def test_verify_finds_damage(autos, damage):
    autos.get(SMALL, PARTIAL, check=3)
    victim = autos.manifest(SMALL)["documents"][2]
    key = victim["object_key"]
    data = bytearray(autos.store.read(key))
    if damage == "missing":
        autos.store.remove(key)
    else:
        data[len(data) // 2] ^= 1
        autos.store.replace(key, data if damage == "byte" else data[:-1])
    result = autos.run("verify", SMALL)
    assert result.status == 3
    assert result.out == f"{SMALL}  DAMAGED  5 good, 1 bad, 0 not stored\n"
    assert victim["id"] in one_line(result.err)
    if damage == "byte":
        assert victim["sha256"] in result.err
    assert autos.run("verify", PARTIAL).status == 0
    assert autos.run("verify", "--all").status == 3


def test_verify_goes_on_after_an_object_that_cannot_be_read(autos):
    """As a disk with one bad block has it: nothing is known of that one, and the others are looked at."""
    autos.get(SMALL, PARTIAL, check=3)
    victim = autos.manifest(SMALL)["documents"][2]
    autos.store.remove(victim["object_key"])
    autos.store.path(victim["object_key"]).mkdir()
    result = autos.run("verify", "--all")
    assert result.status == 1 and victim["id"] in one_line(result.err), result
    assert sorted(result.out.splitlines()) == [f"{SMALL}  NOT READ  5 good, 0 bad, 0 not stored, 1 not read",
                                               f"{PARTIAL}  ok  6 good, 0 bad, 2 not stored"]


def test_verify_goes_on_after_a_case_that_cannot_be_read(autos):
    autos.get(SMALL, PARTIAL, PLAIN[0], check=3)
    before = autos.run("verify", "--all", check=0).out.splitlines()
    victim = before[1].split()[0]
    for key in {d["object_key"] for d in autos.manifest(victim)["documents"] if d["object_key"]}:
        autos.store.remove(key)
        autos.store.path(key).mkdir()
    result = autos.run("verify", "--all", check=1)
    lines = result.out.splitlines()
    assert victim in one_line(result.err) and lines[1].startswith(f"{victim}  NOT READ  0 good"), result
    assert [lines[0], lines[2]] == [before[0], before[2]]


@pytest.mark.both
def test_verify_without_anything(autos):
    assert autos.run("verify", SMALL).status == 4
    assert not autos.data_dir.exists()
