"""kill -9 of the service while jobs end: every webhook arrives, with one event id each, and none before its job is final.

HOOK_KILLS and HOOK_JOBS make it a campaign (make kill-campaign-webhooks), SEED repeats one.
"""

import collections
import os
import random
import threading
import time

import pytest

import lib
import receiver

KILLS = int(os.environ.get("HOOK_KILLS", "8"))
JOBS = int(os.environ.get("HOOK_JOBS", "40"))
SEED = os.environ.get("SEED", "1")
FINAL = ("completed", "failed", "cancelled")

pytestmark = pytest.mark.databases


class Watch:
    """Looks into the database at the moment a message arrives: its job is final by then."""

    def __init__(self, service):
        self.service, self.early, self.lock = service, [], threading.Lock()

    def __call__(self, message):
        state = self.service.one("SELECT state FROM job WHERE id = ?", int(message.json["job_id"]))
        if state not in FINAL or message.json["status"] != state:
            with self.lock:
                self.early.append((message.json["job_id"], state, message.json["status"]))


def answer(rng):
    """Most are taken; some receivers are slow, some fail for a while."""
    lock = threading.Lock()

    def decide(message):
        with lock:
            luck = rng.random()
        if luck < 0.1:
            time.sleep(0.05)
        return 500 if luck > 0.9 else 200

    return decide


def test_killed_while_jobs_end(make_sim, make_service):
    rng = random.Random(SEED)
    sim = make_sim("--cases", JOBS, "--documents", 2, "--size", 1500)
    numbers = [c["number"] for c in sim.cases("?papers=0") if c["oddity"] == "plain"][:JOBS]
    assert len(numbers) == JOBS
    more = {"webhook_schedule": ",".join(["20ms"] * 20), "webhook_pause_after": 1000, "rate_limit": "10000000", "cases_parallel": 8}
    s = make_service(sim, start=False, **more)
    watch = Watch(s)
    with receiver.Receiver(answer(rng), on_message=watch) as r:
        s.start()
        due = []  # (number, address) of each webhook that was accepted
        waiting = list(numbers)
        kills = 0
        while kills < KILLS or waiting:
            # Some are asked for between two kills; a case that is complete may get another caller.
            for _ in range(max(1, len(waiting) * 2 // max(1, KILLS - kills)) if waiting else 0):
                if not waiting:
                    break
                number = waiting.pop()
                for i in range(rng.choice((1, 1, 2))):
                    address = f"{r.url}/{lib.digits(number)}/{i}"
                    a = s.post(s.path(number, "jobs"), {"webhook_url": address})
                    assert a.status in (200, 202), a
                    due.append((lib.digits(number), address))
            if rng.random() < 0.3 and due:
                number, _ = rng.choice(due)
                address = f"{r.url}/{number}/late{kills}"
                a = s.post(s.path(number, "jobs"), {"webhook_url": address})
                assert a.status in (200, 202), a
                due.append((number, address))
            if kills < KILLS:
                time.sleep(rng.random() * 0.25)  # the random moment: nothing waits for it
                s.kill()
                kills += 1
                s.start()
        for number in numbers:
            assert s.finished(number)["status"] in FINAL
        lib.until(lambda: not s.one("SELECT COUNT(*) FROM delivery WHERE state IN ('pending', 'delivering')"), "all to be sent",
                  timeout=4 * lib.PATIENCE, every=0.1)
        seen = collections.defaultdict(list)
        for m in r.messages():
            seen[m.path].append(m)
        for number, address in due:
            got = seen[address.removeprefix(r.url)]
            assert got, f"{address} was never told"
            assert len({m.headers["webhook-id"] for m in got}) == 1, f"{address} has several event ids"
            assert {m.json["process_number"] for m in got} == {number}
        assert not watch.early, watch.early
        assert not s.rows("SELECT 1 FROM delivery WHERE state <> 'delivered'")
        ids = collections.Counter(r[0] for r in s.rows("SELECT event_id FROM delivery"))
        assert len(ids) == len(due) and max(ids.values()) == 1
    twice = sum(len(v) > 1 for v in seen.values())
    print(f"{kills} kills, {JOBS} jobs, {len(due)} webhooks: all arrived, none early, {twice} arrived or were tried more than once")
    s.stop()
    lib.check_invariants(s, sim, clean=False)
