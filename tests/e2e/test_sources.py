"""One paper under several identities: never lost, never twice."""

import pytest

import lib

pytestmark = pytest.mark.both


def test_two_sources(autos, sim):
    number = lib.number_of("three-proceedings-two-sources")
    result = autos.get(number, check=0)
    m = lib.expect_case(autos, sim, number, result.status)
    case = sim.case(number)
    assert case["listed"] == 24 and case["distinct"] == 14
    assert len(m["documents"]) == 14 and m["proceedings"] == 3
    assert {d["degree"] for d in m["documents"]} == {"G1", "G2"}
    assert sorted(len(d["aliases"]) for d in m["documents"]) == [0] * 4 + [1] * 10
    # Where one source does not have the bytes, the other gave them, and the manifest says which.
    fetched = sim.stats()["documents"]
    other = [d for d in m["documents"] if d["source_id"] != d["id"]]
    assert other
    for d in m["documents"]:
        assert d["source_id"] in [d["id"], *d["aliases"]]
        assert d["source_id"] in d["portal_reference"]
        assert fetched[d["source_id"]] >= 1
        assert d["duplicate_of"] is None
    assert len(list(autos.folder(number).iterdir())) == 14 + 1
    lib.check_invariants(autos, sim)


def test_two_sources_fetches_once(autos, sim):
    """A paper that its first source gives is not asked of the second."""
    number = lib.number_of("three-proceedings-two-sources")
    autos.get(number, check=0)
    fetched = sim.stats()["documents"]
    for paper in sim.case(number)["papers"]:
        calls = [fetched.get(i, 0) for i in paper["ids"]]
        assert sum(calls) <= 2, (paper["name"], calls)


def test_moved_court(autos, sim):
    number = lib.number_of("moved-court")
    result = autos.get(number, check=0)
    m = lib.expect_case(autos, sim, number, result.status)
    assert len(m["documents"]) == 60
    assert len({d["court"] for d in m["documents"]}) == 2
    again = [d for d in m["documents"] if d["duplicate_of"]]
    assert len(again) == 17
    by_id = {d["id"]: d for d in m["documents"]}
    for d in again:
        first = by_id[d["duplicate_of"]]
        assert d["file"] is None and first["file"]
        assert first["position"] < d["position"]
        assert first["object_key"] == d["object_key"]
        assert first["court"] != d["court"] or first["origin_id"] != d["origin_id"]
    assert len(list(autos.folder(number).iterdir())) == 43 + 1
    assert m["totals"]["objects"] == 43
    assert m["totals"]["stored_bytes"] < m["totals"]["bytes"]
    lib.check_invariants(autos, sim)


def test_same_content(autos, sim):
    """Different papers of equal bytes are different documents: stored once, shown each."""
    number = lib.number_of("same-content")
    m = lib.expect_case(autos, sim, number, autos.get(number).status)
    same = [d for d in m["documents"] if d["sha256"] == m["documents"][0]["sha256"]]
    assert max(len([d for d in m["documents"] if d["sha256"] == o["sha256"]]) for o in m["documents"]) == 4
    assert all(d["file"] and d["duplicate_of"] is None for d in m["documents"]), same
    assert m["totals"]["objects"] == len(m["documents"]) - 3
    lib.check_invariants(autos, sim)
