"""SIGKILL at random moments, again and again, until everything is fetched; and long stops.

KILLS=N makes the campaign larger (tests/campaign-kill.sh), SEED=N repeats one.
"""

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

import crash
import lib

pytestmark = pytest.mark.databases

SHARES = 8  # parts of the campaign, so that they run side by side
KILLS = int(os.environ.get("KILLS", 64 if crash.SANITIZER else 208))
SEED = int(os.environ.get("SEED", time.time_ns() % 1000000))

# Transient faults, several sources for one paper, equal bytes: every way that leads to a commit.
ODD = ("three-proceedings-two-sources", "same-content", "codex-500-then-ok", "truncated-length-then-ok",
       "reset-middle", "empty-then-ok", "chunked")
FAULTS = """
binario probability=0.03 status=502 body=""
binario probability=0.03 reset=random
binario probability=0.02 short=random
"""


class Campaign:
    def __init__(self, place, share, make_store):
        self.make_store = make_store
        self.seed = SEED * 100 + share
        self.rng = random.Random(self.seed)
        self.place, self.share = place, share
        self.sim = lib.Sim("--cases", 3, "--documents", 40, "--size", 20000, "--latency", 12, "--seed", self.seed,
                           script=FAULTS)
        self.numbers = [n for n, name, _ in lib.catalogue() if name == "plain"][:3] + [lib.number_of(o) for o in ODD]
        self.truth = crash.Truth(self.sim, self.numbers)
        self.kills = self.rounds = 0
        self.length = 1.0  # seconds that a run takes, learnt on the way

    def fresh(self):
        self.rounds += 1
        self.length = 1.0
        place = self.place / f"round{self.rounds}"
        place.mkdir()
        self.sim.reset()
        settings = {"spool_memory": "4096"} if self.rounds % 2 else {}
        return lib.Autos(place, self.sim, store=self.make_store(), retry_max="20", portal_pause="10ms", portal_pause_max="40ms", **settings)

    def stored(self, autos):
        """What is committed, and how often it was asked for; both only ever grow."""
        ids = crash.committed(autos)
        asked = crash.fetches(self.sim)
        return {i: asked[i] for i in ids}

    def run_once(self, autos, before):
        """One run that is killed, or comes to its end first; gives what is stored after it."""
        start = time.monotonic()
        process = autos.start_get("--quiet", *self.numbers)
        wait = self.rng.choice([self.rng.uniform(0, 0.05), self.rng.uniform(0, self.length)])
        try:
            process.wait(wait)
        except Exception as e:  # the moment has come
            assert type(e).__name__ == "TimeoutExpired", e
            process.kill()
        result = autos.finish(process)
        assert result.status in (0, -signal.SIGKILL), result
        if result.status == 0:
            self.length = 0.9 * (time.monotonic() - start) + 0.02
        else:
            self.kills += 1
        crash.check_after(autos, self.sim, self.truth, killed=result.status != 0)
        after = self.stored(autos)
        for i, asked in before.items():
            assert i in after, f"{i} was stored and is not any more"
            assert after[i] == asked, f"{i} was stored and was asked for again"
        return result, after

    def round(self, kills):
        """Kills one data folder's runs until all is there, or there were enough kills."""
        autos, stored = self.fresh(), {}
        more = self.rng.randrange(4)  # runs that have nothing to fetch are killed as well, a few
        try:
            while self.kills < kills and more >= 0:
                result, stored = self.run_once(autos, stored)
                more -= result.status == 0 or len(stored) == len(self.truth.by_id)
            result = autos.get("--quiet", *self.numbers)
            assert (result.status, result.err) == (0, ""), result
            after = self.stored(autos)
            assert all(after[i] == asked for i, asked in stored.items())
            crash.check_visible(autos, self.truth, killed=False)
            crash.check_complete(autos, self.sim, self.numbers)
            assert autos.run("verify", "--all").status == 0
        finally:
            autos.stop()
            shutil.rmtree(autos.place)


@pytest.mark.both(share={0, 1})
@pytest.mark.parametrize("share", range(SHARES))
def test_killed(share, make_store, store_kind):
    kills = KILLS // SHARES + (share < KILLS % SHARES)
    kills = kills if store_kind == "dir" else -(-kills // 2)  # each takes longer
    place = Path(crash.quick_folder())
    campaign = None
    try:
        campaign = Campaign(place, share, make_store)
        while campaign.kills < kills:
            campaign.round(kills)
    except BaseException:
        print(f"SEED={SEED} share {share}: after {campaign.kills if campaign else 0} kills")
        raise
    finally:
        if campaign:
            campaign.sim.stop()
        shutil.rmtree(place, ignore_errors=True)
    print(f"SEED={SEED} share {share}: {campaign.kills} kills in {campaign.rounds} rounds")


# ---- stopped for longer than a lease ----


def stop_and_go(process, seconds):
    process.send_signal(signal.SIGSTOP)
    lib.until(lambda: state(process) == "T", "the stop")
    deadline = time.monotonic() + seconds
    lib.until(lambda: time.monotonic() > deadline, "the pause to pass", every=0.05)
    process.send_signal(signal.SIGCONT)


def state(process):
    return Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


@pytest.mark.both
def test_stopped_longer_than_its_lease(make_autos, make_sim):
    """The lease runs out while the process stands still; it is alone, so it keeps the case."""
    sim = make_sim("--cases", 1, "--documents", 40, "--latency", 30)
    autos, number = make_autos(sim, lease_time="2s"), lib.number_of("plain")
    truth = crash.Truth(sim, [number])
    process = autos.start_get(number)
    lib.until(lambda: len(crash.committed(autos)) >= 5, "documents")
    stop_and_go(process, 2.5)
    result = autos.finish(process)
    assert result.status == 0, result
    crash.check_visible(autos, truth, killed=False)
    crash.check_complete(autos, sim, [number])
    assert max(crash.fetches(sim).values()) <= 2
    assert autos.one("SELECT COUNT(*) FROM job") == 1


@pytest.mark.sqlite
def test_second_process_while_stopped(make_autos, make_sim):
    """A stopped writer still holds the database: a second one is refused, readers are not."""
    sim = make_sim("--cases", 1, "--documents", 40, "--latency", 30)
    autos, number = make_autos(sim, lease_time="2s"), lib.number_of("plain")
    process = autos.start_get(number)
    lib.until(lambda: len(crash.committed(autos)) >= 5, "documents")
    process.send_signal(signal.SIGSTOP)
    lib.until(lambda: state(process) == "T", "the stop")
    second = autos.get(number)
    assert autos.run("status", number).status == 0
    process.send_signal(signal.SIGCONT)
    crash.check_error(second, says="in use by another autos process")
    assert autos.finish(process).status == 0
    crash.check_complete(autos, sim, [number])
