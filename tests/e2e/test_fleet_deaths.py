"""Any of a fleet may die, freeze or be cut off at any moment, the database's primary too: what was accepted is done, and
soon. `make fleet-campaign` runs these with many more blows."""

import collections
import os
import random
import signal
import time

import fleet
import lib

KILLS = int(os.environ.get("AUTOS_FLEET_KILLS", "14"))
RESCUES = int(os.environ.get("AUTOS_FLEET_RESCUES", "1"))
MEASURED = RESCUES > 1  # a campaign has the machine for itself; the normal run asks what happens, not how soon


def test_rescue(make_sim, make_fleet):
    """The cases of a killed worker run elsewhere within 15 s, with the lease of the defaults."""
    sim = make_sim("--cases", 3 * RESCUES, "--documents", 200, "--size", 3000, "--latency", 40)
    f = make_fleet(sim, lease_time="12s", portal_pace="0")
    client, workers = f.add("api1", "api"), [f.add("worker1", "worker"), f.add("worker2", "worker", start=False)]
    numbers, took = fleet.plain(sim, 3 * RESCUES), []
    held = "SELECT id, epoch, owner FROM job WHERE state = 'processing'"
    for i in range(RESCUES):
        for number in numbers[3 * i:3 * i + 3]:
            client.post(client.path(number, "jobs"))
        lib.until(lambda: len(f.rows(held)) == 3, "leases")
        time.sleep(random.uniform(0, 4) if RESCUES > 1 else 0)
        before = {r["id"]: r["epoch"] for r in f.rows(held)}
        victim, heir = workers
        heir.begin()
        victim.kill()
        killed = time.monotonic()
        lib.until(lambda: all(r["epoch"] > before.get(r["id"], 0) for r in f.rows(held)), "a rescue", every=0.05)
        took.append(time.monotonic() - killed)
        workers.reverse()
        lib.until(lambda: f.unfinished() == 0, "all cases", timeout=120, every=0.1)
    took.sort()
    print(f"{RESCUES} rescues: median {took[len(took) // 2]:.1f} s, longest {took[-1]:.1f} s")
    if MEASURED:
        assert took[int(0.99 * (len(took) - 1))] <= 15, took
    f.check(10)


def revive(node):
    """As a supervisor does: a start that finds no database ends with one clear line, and is tried again."""
    def stands():
        try:
            return node.begin()
        except AssertionError:
            if "autos: database: cannot connect" not in node.stderr():
                raise
            node.kill()
            return None

    lib.until(stands, "it to stand again", every=0.1)


def disturb(f, rng, net):
    """One blow to one process. The longest lasts longer than a lease."""
    name = rng.choice(sorted(f.nodes))
    node = f.nodes[name]
    what = rng.choice(["kill", "kill", "freeze", "cut" if net else "kill"])
    if what == "kill":
        node.kill()
        time.sleep(rng.uniform(0, 0.5))
        revive(node)
    elif what == "freeze":
        node.suspend()
        time.sleep(rng.uniform(2.2, 3.5))  # the lease is 2 s
        node.resume()
    else:
        node.cut()
        time.sleep(rng.uniform(0.5, 4))
        node.heal()
    return what


def test_storm(net, make_sim, make_fleet, make_cluster):
    """Three workers, two that answer: blows at random moments; in the end every accepted case is there, whole."""
    rng = random.Random(int(os.environ.get("AUTOS_SEED", "7")))
    address = net.address if net else "127.0.0.1"
    cases = max(24, KILLS)
    sim = make_sim("--listen", f"{address}:0", "--cases", cases, "--documents", 8, "--size", 3000, "--latency", 15)
    cluster = make_cluster(listen=address)
    base = f"postgres://postgres@{address}:{cluster.port}/postgres?tcp_user_timeout=2000"
    f = make_fleet(sim, base, net, drain_time="1s")
    for name, role in (("api1", "api"), ("worker1", "worker"), ("worker2", "worker"), ("api2", "api"),
                       ("worker3", "worker")):
        f.add(name, role)
    numbers = fleet.plain(sim, cases)
    clients = fleet.Clients(f, numbers)
    clients.start()
    blows = [disturb(f, rng, net) for _ in range(KILLS) if not time.sleep(rng.uniform(0.05, 0.6))]
    print(f"{KILLS} blows: {dict(collections.Counter(blows))}")
    clients.join(300)
    assert clients.failed is None and sorted(clients.accepted) == sorted(numbers), clients.failed
    lib.until(lambda: f.unfinished() == 0, "all cases", timeout=240, every=0.2)
    assert f.one("SELECT COUNT(*) FROM job WHERE state <> 'completed'") == 0, blows
    for number in numbers:
        expected = sum(len(p["ids"]) > 0 for p in sim.case(number)["papers"])
        assert f.one("SELECT COUNT(*) FROM document d JOIN process p ON p.id = d.process_id WHERE p.number = ?"
                     " AND d.state = 'available'", lib.digits(number)) == expected
    f.check(10)


def test_primary_dies(make_sim, make_fleet, make_cluster):
    """Synchronous replication, the primary killed, the standby promoted: the service goes on within 10 s, and
    what was accepted is there."""
    sim = make_sim("--cases", 30, "--documents", 4, "--size", 2000)
    primary = make_cluster()
    standby = make_cluster(primary=primary)
    primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
    primary.sql("SELECT pg_reload_conf()")
    lib.until(lambda: "sync" in primary.sql("SELECT sync_state FROM pg_stat_replication"), "the standby")
    base = (f"postgres://postgres@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres"
            "?connect_timeout=2&tcp_user_timeout=2000")
    f = make_fleet(sim, base)
    f.add("api1", "api")
    f.add("api2", "api")
    f.add("worker1", "worker")
    clients = fleet.Clients(f, fleet.plain(sim, 30))
    clients.start()
    lib.until(lambda: len(clients.accepted) >= 5, "some requests")
    primary.stop(signal.SIGKILL)
    before = len(clients.accepted)
    standby.promote()
    standby.sql("ALTER SYSTEM SET synchronous_standby_names = ''")
    standby.sql("SELECT pg_reload_conf()")
    promoted = time.monotonic()
    lib.until(lambda: len(clients.accepted) > before + 1, "service again", every=0.01)
    took = time.monotonic() - promoted
    print(f"service {took:.2f} s after the promotion")
    if MEASURED:
        assert took <= 10
    clients.join(120)
    assert clients.failed is None, clients.failed
    lib.until(lambda: f.unfinished() == 0, "all cases", timeout=120, every=0.2)
    assert f.one("SELECT COUNT(*) FROM job WHERE state = 'completed'") == 30
    f.check(10)
