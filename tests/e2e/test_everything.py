"""Many odd cases in one command, and the case that has every fault at once."""

import pytest

import lib

pytestmark = [pytest.mark.both, pytest.mark.databases]

CATALOGUE = lib.catalogue()

# Each of these has a test of its own. The first makes the portal look down as a whole, which may
# end the work early; the others wait for time limits again and again, or are only big.
ALONE = {"maintenance-html-200", "stall", "stall-header", "stall-header-forever", "big-case", "big-document"}


def test_all_together(autos, sim):
    """Faults of one case never harm another, and the worst case gives the exit status."""
    cases = [(n, name, outcome) for n, name, outcome in CATALOGUE if name not in ALONE]
    # The portal refuses several questions in a row here: more patience than for one case.
    result = autos.get(*[n for n, _, _ in cases], retry_max=6, portal_low_speed="15K", timeout=240)
    assert result.status == lib.worst(outcome for _, _, outcome in cases) == 6
    for number, name, outcome in cases:
        lib.expect_case(autos, sim, number)
        assert f"\n{number}  {outcome}  " in "\n" + result.out, name
    lib.check_invariants(autos, sim)
    lib.check_nothing_false(autos)
    assert sim.stats()["calls_during_pause"] == 0


@pytest.mark.parametrize("names, status", [
    (["detail-array", "no-documents"], 0),
    (["detail-array", "codex-500"], 3),
    (["codex-500", "not-found-404-json"], 4),
    (["case-sealed-403", "not-found-404-json", "detail-array"], 5),
    (["bad-request-400-detail", "case-sealed-403", "codex-500"], 6),
])
def test_worst_status(autos, sim, names, status):
    assert autos.get(*map(lib.number_of, names)).status == status


def test_everything(autos, sim):
    number = lib.number_of("everything")
    result = autos.get(number)
    assert result.status == 3
    m = lib.expect_case(autos, sim, number, result.status)
    reasons = {d["reason"] for d in m["documents"]} - {None}
    assert reasons >= {"denied", "unavailable_upstream", "invalid_content", "empty", "too_large"}
    for d in m["documents"]:
        if d["status"] == "failed":
            assert f"  missing {d['position']:04d} {d['id']}: {d['reason']}: " in result.err
    lib.check_invariants(autos, sim)
    lib.check_nothing_false(autos)
