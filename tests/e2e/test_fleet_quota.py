"""Processes on one PostgreSQL share the portal's quota: all together keep the limit and the pace of one, however slow
the database's answers are."""

import contextlib
import time

import fleet
import lib


def test_quota_of_five(make_sim, make_fleet):
    """Five workers never ask more at once than the quota of one, keep the pace together, and all get a part."""
    sim = make_sim("--cases", 80, "--documents", 30, "--size", 3000, "--latency", 20)
    f = make_fleet(sim, portal_parallel=4, portal_parallel_max=6, portal_pace="150ms", lease_time="4s", cases_parallel=2)
    client, workers = f.add("api1", "api"), [f.add(f"worker{i}", "worker") for i in range(5)]
    for number in fleet.plain(sim, 80):  # while somebody has asked nothing, there is more to do than all may hold
        lib.until(lambda: f.unfinished() < 12, "room", timeout=180)
        if all(f.metric(w, "portal_calls_total") > 0 for w in workers):
            break
        client.post(client.path(number, "jobs"))
    lib.until(lambda: f.unfinished() == 0, "all cases", timeout=180, every=0.1)
    stats = f.check(6)
    assert stats["min_list_gap_ms"] >= 150, stats
    assert all(f.metric(w, "portal_calls_total") > 0 for w in workers)


def test_a_429_pauses_all(make_sim, make_fleet):
    """One 429 with Retry-After, seen by one worker: once all have heard of it they are silent, though there is work."""
    sim = make_sim("--cases", 8, "--documents", 40, "--size", 3000, "--latency", 30,
                   script="binario calls=40 status=429 retry-after=6\n")
    f = make_fleet(sim, portal_parallel=6, portal_parallel_max=6, lease_time="4s", portal_pause_max="8s")
    client = f.add("api1", "api")
    for i in range(3):
        f.add(f"worker{i}", "worker")
    for number in fleet.plain(sim, 8):
        client.post(client.path(number, "jobs"))
    lib.until(lambda: f.one("SELECT COALESCE(MAX(paused_until_ms), 0) FROM quota"), "the pause", every=0.01)
    asked, since = sim.calls(), time.monotonic()

    def silent():
        nonlocal asked, since
        if sim.calls() != asked:
            asked, since = sim.calls(), time.monotonic()
        return time.monotonic() - since > 1.5

    lib.until(silent, "silence")
    assert f.unfinished() > 0
    lib.until(lambda: f.unfinished() == 0, "all cases", timeout=120, every=0.1)
    f.check(6)


def test_quota_is_taken(make_sim, make_fleet):
    """Somebody sits on the quota's row for longer than a lease: workers go on with what they have, keep their cases,
    ask nothing they have no share for, and go on when the row is free."""
    sim = make_sim("--cases", 4, "--documents", 200, "--size", 1500, "--latency", 40)
    f = make_fleet(sim, portal_parallel=4, portal_parallel_max=4, portal_pace="0", cases_parallel=2, lease_time="2s")
    client, workers = f.add("api1", "api"), [f.add(f"worker{i}", "worker") for i in range(2)]
    for number in fleet.plain(sim, 4):
        client.post(client.path(number, "jobs"))
    held = "SELECT id, lease_until_ms FROM job WHERE state = 'processing'"
    lib.until(lambda: len(f.rows(held)) == 4 and all(f.metric(w, "portal_calls_total") > 4 for w in workers), "busy workers")
    holder = f.database.connect()
    with contextlib.closing(holder):
        holder.execute("BEGIN")
        holder.execute("SELECT 1 FROM quota FOR UPDATE")
        before = dict(f.rows(held))
        lib.until(lambda: all(until > before[i] + 4000 for i, until in f.rows(held)), "renewed leases", every=0.05)
        assert {i for i, _ in f.rows(held)} == set(before), "shares ended before any case could"
        lib.until(lambda: sim.stats()["parallel"]["total"] == 0, "what was in flight")
        holder.execute("COMMIT")
    lib.until(lambda: f.unfinished() == 0, "all cases", timeout=120, every=0.1)
    assert f.rows("SELECT id FROM job WHERE epoch <> 1 OR state <> 'completed'") == []
    assert [f.metric(w, "stale_writes_total") for w in workers] == [0, 0]
    f.check(4)


def slow_commits(f):
    """Whoever writes the quota down waits three tenths of a second for the commit, as on a server far away."""
    c = f.database.connect()
    with contextlib.closing(c):
        c.execute("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
                  " 'BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END'")
        c.execute("CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON quota DEFERRABLE INITIALLY DEFERRED"
                  " FOR EACH ROW EXECUTE FUNCTION slow()")


def test_slow_commits(make_sim, make_fleet):
    """However long an answer of the database is on its way, turns for list calls are used, and keep their pace."""
    sim = make_sim("--cases", 6, "--documents", 3, "--size", 2000)
    f = make_fleet(sim, portal_pace="200ms")
    client = f.add("api1", "api")
    slow_commits(f)
    f.add("worker1", "worker")
    f.add("worker2", "worker")
    for number in fleet.plain(sim, 6):
        client.post(client.path(number, "jobs"))
    lib.until(lambda: f.unfinished() == 0, "all cases", every=0.1)
    assert f.check(10)["min_list_gap_ms"] >= 200


def test_get_with_slow_commits(make_sim, make_fleet, place):
    """The same for a command, beside a worker."""
    sim = make_sim("--cases", 6, "--documents", 3, "--size", 2000)
    f = make_fleet(sim, portal_pace="200ms")
    client, numbers = f.add("api1", "api"), fleet.plain(sim, 6)
    slow_commits(f)
    f.add("worker1", "worker")
    command = lib.Autos(place, sim, store=f.store, database=f.database, portal_pace="200ms")
    p = command.start_get(*numbers[:3])
    for number in numbers[3:]:
        client.post(client.path(number, "jobs"))
    command.finish(p, check=0)
    lib.until(lambda: f.unfinished() == 0, "all cases", every=0.1)
    assert f.check(10)["min_list_gap_ms"] >= 200
