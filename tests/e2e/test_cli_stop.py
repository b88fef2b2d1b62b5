"""A command that is stopped, or whose portal is not there: it ends in order, and the same command goes on."""

import signal

import pytest

import lib
from commands import PLAIN, SMALL, busy


@pytest.mark.both
@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal(make_sim, make_autos, number, status):
    """Stops in order: the lease is handed back, what is stored stays, the same command goes on."""
    sim, autos, p = busy(make_sim, make_autos)
    p.send_signal(number)
    result = autos.finish(p, check=status)
    assert "the same command goes on from there" in result.err
    job = autos.rows("SELECT state, owner FROM job")[0]
    assert (job["state"], job["owner"]) == ("pending", "")
    assert autos.one("SELECT COUNT(*) FROM document WHERE state = 'failed'") == 0
    lib.check_invariants(autos, sim)
    stored = {r[0] for r in autos.rows("SELECT doc_id FROM document WHERE state = 'available'")}
    before = sim.stats()["documents"]
    autos.get(PLAIN[0], check=0)
    after = sim.stats()["documents"]
    assert all(after[d] == before[d] for d in stored)
    lib.expect_case(autos, sim, PLAIN[0])
    lib.check_invariants(autos, sim)


@pytest.mark.both
def test_second_signal_ends_at_once(make_sim, make_autos):
    """Both arrive before the first could be acted upon: the process was stopped meanwhile."""
    sim, autos, p = busy(make_sim, make_autos)
    p.send_signal(signal.SIGSTOP)
    p.send_signal(signal.SIGINT)
    p.send_signal(signal.SIGTERM)
    p.send_signal(signal.SIGCONT)
    assert autos.finish(p).status in (130, 143)
    assert autos.rows("SELECT state FROM job")[0][0] == "processing"
    lib.check_invariants(autos, sim, clean=False)
    autos.get(PLAIN[0], check=0)
    lib.expect_case(autos, sim, PLAIN[0])
    lib.check_invariants(autos, sim)


def test_portal_down(make_autos):
    autos = make_autos("http://127.0.0.1:1")
    autos.portal = "http://127.0.0.1:1/api/v2"  # nobody listens there
    result = autos.get(SMALL)
    assert result.status == 6
    lines = [line for line in result.err.splitlines() if line.startswith("autos: ")]
    assert len(lines) == 1
    assert "the portal is unavailable: No connection to the portal" in lines[0]
    assert autos.rows("SELECT state FROM job")[0][0] == "pending"
    lib.check_invariants(autos)


@pytest.mark.both
def test_portal_goes_away_and_comes_back(make_sim, make_autos):
    sim, autos, p = busy(make_sim, make_autos)
    sim.stop()
    result = autos.finish(p, check=6)
    assert "the portal is unavailable" in result.err
    assert autos.one("SELECT COUNT(*) FROM document WHERE state = 'failed'") == 0
    again = make_sim()
    autos.portal = again.portal
    autos.get(PLAIN[0], check=0)
    lib.expect_case(autos, again, PLAIN[0])
    lib.check_invariants(autos, again)
