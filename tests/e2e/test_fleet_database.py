"""The database of a fleet fails: it restarts, breaks a connection in a commit, has no connection or no room left, or keeps
dead rows for somebody who is gone. Nothing is lost, nothing is done twice, and what is wrong is said."""

import contextlib
import os
import signal
import subprocess
import threading
import time

import databases
import fleet
import lib
import pytest


def test_database_restarts(make_sim, make_fleet, make_cluster):
    """It is restarted, then all its connections are ended again and again: nothing is lost, nobody helps."""
    sim = make_sim("--cases", 10, "--documents", 20, "--size", 3000, "--latency", 10)
    cluster = make_cluster()
    f = make_fleet(sim, cluster.url())
    f.add("api1", "api")
    f.add("worker1", "worker")
    f.add("worker2", "worker")
    numbers = fleet.plain(sim, 10)
    clients = fleet.Clients(f, numbers)
    clients.start()
    time.sleep(0.5)
    cluster.stop()
    cluster.start()
    for _ in range(10):
        cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'autos'")
        time.sleep(0.2)
    cluster.stop(signal.SIGQUIT)  # as a crash: unlogged tables are emptied
    cluster.start()
    clients.join(120)
    assert clients.failed is None, clients.failed
    lib.until(lambda: f.unfinished() == 0, "all cases", timeout=180, every=0.2)
    assert f.one("SELECT COUNT(*) FROM job WHERE state = 'completed'") == 10
    f.check(10)


def test_commit_in_doubt(make_sim, make_fleet, make_cluster):
    """The connection breaks when the commit is made and nobody was told: it is asked for, and nothing is done twice."""
    sim = make_sim("--cases", 3, "--documents", 2, "--size", 2000)
    cluster = make_cluster()
    f = make_fleet(sim, cluster.url())
    client = f.add("api1", "api")

    def standby(name):
        cluster.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
        cluster.sql("SELECT pg_reload_conf()")

    for number in fleet.plain(sim, 3):
        standby("nobody")  # commits are made here, and wait for a standby that is not there
        answers = []
        asking = threading.Thread(target=lambda n=number: answers.append(client.post(client.path(n, "jobs")).status))
        asking.start()
        waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query = 'COMMIT'"
        lib.until(lambda: cluster.sql(f"SELECT 1 {waiting}"), "a commit that waits")
        assert not answers
        cluster.sql(f"SELECT pg_terminate_backend(pid) {waiting}")
        standby("")
        asking.join(lib.PATIENCE)
        assert answers == [202]
    assert f.one("SELECT COUNT(*) FROM job") == f.one("SELECT COUNT(*) FROM process") == 3
    assert f.one("SELECT COUNT(*) FROM event") == 3
    f.add("worker1", "worker")
    lib.until(lambda: f.unfinished() == 0, "all cases", every=0.1)
    f.check(10)


def test_no_connection_left(make_sim, make_fleet, make_cluster):
    """Others have all connections: one clear line, and work goes on when there are some again."""
    sim = make_sim("--cases", 3, "--documents", 4, "--size", 2000)
    cluster = make_cluster(max_connections="20", superuser_reserved_connections="0")
    f = make_fleet(sim, cluster.url())
    node = f.add("all1", "all")
    taken = []
    with contextlib.suppress(databases.psycopg2.OperationalError):
        while True:
            taken.append(databases.Connection(cluster.url()))
    other = lib.Autos(f.place, sim, store=f.store, database=f.database)
    refused = other.run("status", fleet.plain(sim, 1)[0])
    assert refused.status == 1 and len(refused.err.splitlines()) == 1 and "too many clients" in refused.err
    taken.pop().close()
    for c in taken:
        c.close()
    number = fleet.plain(sim, 1)[0]
    lib.until(lambda: node.post(node.path(number, "jobs")).status in (200, 202), "an answer", every=0.1)
    node.finished(number)


@pytest.fixture
def small_disk(place):
    """A file system of its own, of 32 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    path = place / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m,mode=0777", "none", path], check=True)
    place.chmod(0o755)
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def test_disk_full(small_disk, make_sim, make_fleet, make_cluster):
    """The database's disk is full: 503 with one clear line in the log, and all is well once there is room."""
    sim = make_sim("--cases", 300, "--documents", 4, "--size", 2000)
    cluster = make_cluster()
    space = small_disk / "space"
    space.mkdir(mode=0o700)
    if cluster.user:
        os.chown(space, cluster.user.pw_uid, cluster.user.pw_gid)
    cluster.sql(f"CREATE TABLESPACE small LOCATION '{space}'")
    f = make_fleet(sim, cluster.url(), tablespace="small")
    client = f.add("api1", "api")
    numbers = fleet.plain(sim, 300)
    ballast = small_disk / "ballast"
    with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as b:
        while b.write(bytes(4096)):
            pass
    accepted = []
    for number in numbers:
        answer = client.post(client.path(number, "jobs"))
        if answer.status == 503:
            assert answer.problem == "database-unavailable"
            break
        accepted.append(number)
    else:
        raise AssertionError("the disk was never full")
    assert "the disk is full" in client.stderr()
    ballast.unlink()
    lib.until(lambda: client.post(client.path(numbers[-1], "jobs")).status in (200, 202), "room", every=0.1)
    f.add("worker1", "worker")
    lib.until(lambda: f.unfinished() == 0, "all cases", timeout=180, every=0.2)
    assert f.one("SELECT COUNT(*) FROM job WHERE state = 'completed'") == len(accepted) + 1
    f.check(10)


def test_forgotten_slot(make_sim, make_fleet, make_cluster):
    """A standby that is gone left a slot, which keeps dead rows for it: the metric says so, and for how long."""
    sim = make_sim("--cases", 1)
    primary = make_cluster()
    primary.sql("SELECT pg_create_physical_replication_slot('forgotten')")
    standby = make_cluster(primary=primary, primary_slot_name="forgotten", hot_standby_feedback="on",
                           wal_receiver_status_interval="1s")
    reader = databases.Connection(standby.url())
    reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    reader.execute("SELECT 1 FROM pg_class")
    lib.until(lambda: primary.sql("SELECT xmin FROM pg_replication_slots").strip(), "the slot to hold a snapshot")
    standby.stop(signal.SIGKILL)
    f = make_fleet(sim, primary.url(), metrics_public="yes")
    node = f.add("all1", "all")

    def seconds():
        text = node.get("/metrics", key=None).body.decode()
        return {line.split('"')[1]: int(line.split()[1]) for line in text.splitlines()
                if line.startswith("autos_database_oldest_snapshot_seconds{")}

    lib.until(lambda: seconds().get("slot"), "the age of the slot", timeout=90, every=0.5)
    assert {k: v for k, v in seconds().items() if k != "slot"} == {"session": 0, "prepared": 0, "standby": 0}
