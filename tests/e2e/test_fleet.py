"""Several processes on one PostgreSQL: they hear of each other, share the portal's quota, and any of them may
die, freeze or lose the database at any moment."""

import collections
import contextlib
import os
import random
import signal
import subprocess
import threading
import time

import databases
import fleet
import lib
import postgres
import pytest
import receiver
import s3fault

KILLS = int(os.environ.get("AUTOS_FLEET_KILLS", "14"))
RESCUES = int(os.environ.get("AUTOS_FLEET_RESCUES", "1"))
MEASURED = RESCUES > 1  # a campaign has the machine for itself; the normal run asks what happens, not how soon
STOPS = int(os.environ.get("AUTOS_FLEET_STOPS", "6"))


@pytest.fixture
def make_cluster():
    """PostgreSQL servers of the test's own."""
    with contextlib.ExitStack() as stack:

        def make(*args, **settings):
            cluster = postgres.Cluster(*args, **settings)
            stack.callback(cluster.remove)
            return cluster.start()

        yield make


@pytest.fixture
def make_fleet(place, make_cluster):
    with contextlib.ExitStack() as stack:

        def make(sim, base=None, net=None, tablespace="", **settings):
            database = databases.Postgres(base or databases.Server.url(), tablespace and f"TABLESPACE {tablespace}")
            stack.callback(database.close)
            f = fleet.Fleet(place, sim, database, net, **settings)
            stack.callback(f.stop)
            return f

        yield make


@pytest.fixture
def net():
    if not fleet.may_make_networks():
        yield None  # the same on the loopback interface
        return
    n = fleet.Net()
    yield n
    n.close()


def plain(sim, n):
    return [c["number"] for c in sim.cases("?papers=0") if c["oddity"] == "plain"][:n]


# ---- They hear of each other ----


def test_roles(make_sim, make_fleet):
    """What is asked of one process is done by another and told by a third."""
    sim = make_sim("--cases", 3, "--documents", 6, "--size", 2000)
    f = make_fleet(sim)
    first, second, worker = f.add("api1", "api"), f.add("api2", "api"), f.add("worker1", "worker")
    number = plain(sim, 1)[0]
    job = first.post(first.path(number, "jobs")).json["job_id"]
    with second.events(second.path(number, "events")) as stream:
        events = list(stream)
    assert "completed" in str(events[-1].data), events[-1]
    assert second.status(number)["status"] == first.status(number)["status"] == "completed"
    assert second.get(f"/api/v1/jobs/{job}").json["status"] == "completed"
    # Whoever only works says that it lives, and answers nobody else.
    assert worker.get("/readyz", key=None).json["status"] == "ready"
    assert worker.call("GET", "/livez", key=None).status == 200
    c = worker.connect()
    with contextlib.closing(c):
        c.request("GET", worker.path(number, "status"), headers=worker.key_header("user"))
        assert c.getresponse().status == 404
    assert {c["name"]: c["ok"] for c in first.get("/readyz", key=None).json["checks"]}["worker"]
    f.check(10)


def test_waiting_elsewhere(make_sim, make_fleet):
    """A request that waits at one process is answered by what another one did, long before its time."""
    sim = make_sim("--cases", 2, "--documents", 4, "--size", 2000, script="list delay=700\n")
    f = make_fleet(sim, portal_timeout="20s")
    first, second = f.add("api1", "api"), f.add("api2", "api")
    f.add("worker1", "worker")
    number = plain(sim, 1)[0]
    first.post(first.path(number, "jobs"))
    began = time.monotonic()
    answer = second.get(second.path(number), headers={"Prefer": "wait=50"})
    assert answer.status in (200, 202) and time.monotonic() - began < 40
    second.finished(number)
    # A key that is revoked at one is refused at the other.
    users = {u["username"]: u["id"] for u in first.get("/api/v1/users", key="admin").json}
    made = first.post(f"/api/v1/users/{users['user-of-tests']}/keys", {"label": "x"}, key="admin").json
    key = made["api_key"]
    lib.until(lambda: second.get("/api/v1/users/me", key=key).status == 200, "the new key", every=0.05)
    assert first.call("DELETE", f"/api/v1/users/{users['user-of-tests']}/keys/{made['key']['id']}",
                      key="admin").status in (200, 204)
    lib.until(lambda: second.get("/api/v1/users/me", key=key).status == 401, "the end of the key", every=0.05)


# ---- They share the portal's quota ----


def test_quota_of_five(make_sim, make_fleet):
    """Five workers never ask more at once than the quota of one, keep the pace together, and all get a part."""
    sim = make_sim("--cases", 80, "--documents", 30, "--size", 3000, "--latency", 20)
    f = make_fleet(sim, portal_parallel=4, portal_parallel_max=6, portal_pace="150ms", lease_time="4s", cases_parallel=2)
    client, workers = f.add("api1", "api"), [f.add(f"worker{i}", "worker") for i in range(5)]
    for number in plain(sim, 80):  # while somebody has asked nothing, there is more to do than all may hold
        lib.until(lambda: f.unfinished() < 12, "room", timeout=180)
        if all(f.metric(w, "portal_calls_total") > 0 for w in workers):
            break
        client.post(client.path(number, "jobs"))
    lib.until(lambda: f.unfinished() == 0, "all cases", timeout=180, every=0.1)
    stats = f.check(6)
    assert stats["min_list_gap_ms"] >= 150, stats
    assert all(f.metric(w, "portal_calls_total") > 0 for w in workers)


def test_a_429_pauses_all(make_sim, make_fleet):
    """One 429 with Retry-After, seen by one worker: all of them are silent until it is over."""
    sim = make_sim("--cases", 8, "--documents", 40, "--size", 3000, "--latency", 30,
                   script="binario calls=40 status=429 retry-after=3\n")
    f = make_fleet(sim, portal_parallel=6, portal_parallel_max=6, lease_time="4s", portal_pause_max="5s")
    client = f.add("api1", "api")
    for i in range(3):
        f.add(f"worker{i}", "worker")
    for number in plain(sim, 8):
        client.post(client.path(number, "jobs"))
    lib.until(lambda: f.one("SELECT COALESCE(MAX(paused_until_ms), 0) FROM quota"), "the pause", every=0.01)
    lib.until(lambda: sim.stats()["parallel"]["total"] == 0, "what was in flight", every=0.01)
    asked, until = sim.calls(), time.monotonic() + 1.5
    while time.monotonic() < until:
        assert sim.calls() == asked
    lib.until(lambda: f.unfinished() == 0, "all cases", timeout=120, every=0.1)
    f.check(6)


def test_quota_is_taken(make_sim, make_fleet):
    """Somebody sits on the quota's row for longer than a lease: workers go on with what they have, keep their cases,
    ask nothing they have no share for, and go on when the row is free."""
    sim = make_sim("--cases", 4, "--documents", 200, "--size", 1500, "--latency", 40)
    f = make_fleet(sim, portal_parallel=4, portal_parallel_max=4, portal_pace="0", cases_parallel=2, lease_time="2s")
    client, workers = f.add("api1", "api"), [f.add(f"worker{i}", "worker") for i in range(2)]
    for number in plain(sim, 4):
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
    for number in plain(sim, 6):
        client.post(client.path(number, "jobs"))
    lib.until(lambda: f.unfinished() == 0, "all cases", every=0.1)
    assert f.check(10)["min_list_gap_ms"] >= 200


def test_get_with_slow_commits(make_sim, make_fleet, place):
    """The same for a command, beside a worker."""
    sim = make_sim("--cases", 6, "--documents", 3, "--size", 2000)
    f = make_fleet(sim, portal_pace="200ms")
    client, numbers = f.add("api1", "api"), plain(sim, 6)
    slow_commits(f)
    f.add("worker1", "worker")
    command = lib.Autos(place, sim, store=f.store, database=f.database, portal_pace="200ms")
    p = command.start_get(*numbers[:3])
    for number in numbers[3:]:
        client.post(client.path(number, "jobs"))
    command.finish(p, check=0)
    lib.until(lambda: f.unfinished() == 0, "all cases", every=0.1)
    assert f.check(10)["min_list_gap_ms"] >= 200


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


# ---- They die ----


def test_rescue(make_sim, make_fleet):
    """The cases of a killed worker run elsewhere within 15 s, with the lease of the defaults."""
    sim = make_sim("--cases", 3 * RESCUES, "--documents", 200, "--size", 3000, "--latency", 40)
    f = make_fleet(sim, lease_time="12s", portal_pace="0")
    client, workers = f.add("api1", "api"), [f.add("worker1", "worker"), f.add("worker2", "worker", start=False)]
    numbers, took = plain(sim, 3 * RESCUES), []
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


class Clients(threading.Thread):
    """Asks for one case after the other at whichever process answers, until it was accepted."""

    def __init__(self, f, numbers):
        super().__init__(daemon=True)
        self.f, self.numbers, self.accepted, self.failed = f, numbers, [], None

    def run(self):
        try:
            for number in self.numbers:
                self.ask(number)
                time.sleep(0.05)
        except Exception as e:  # noqa: BLE001
            self.failed = e

    def ask(self, number):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            node = random.choice([n for name, n in self.f.nodes.items() if name.startswith("api")])
            with contextlib.suppress(OSError, fleet.api.http.client.HTTPException):
                c = fleet.api.http.client.HTTPConnection(node.host, node.port or 1, timeout=5)
                with contextlib.closing(c):
                    c.request("POST", node.path(number, "jobs"), body="{}", headers={
                        **node.key_header("user"), "Content-Type": "application/json"})
                    status = c.getresponse().status
                if status in (200, 202):
                    self.accepted.append(number)
                    return
            time.sleep(0.1)
        raise AssertionError(f"{number} was never accepted")


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
    numbers = plain(sim, cases)
    clients = Clients(f, numbers)
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


def test_webhooks(make_sim, make_fleet):
    """Both workers are killed while messages are under way: each webhook arrives, with one id, none before its end."""
    sim = make_sim("--cases", 30, "--documents", 2, "--size", 1500)
    f = make_fleet(sim, webhook_schedule=",".join(["100ms"] * 20), webhook_pause_after=1000)
    client, workers = f.add("api1", "api"), [f.add("worker1", "worker"), f.add("worker2", "worker")]
    early, dead = [], threading.Event()

    def look(m):
        state = f.one("SELECT state FROM job WHERE id = ?", int(m.json["job_id"]))
        if state not in ("completed", "failed", "cancelled") or state != m.json["status"]:
            early.append((m.json["job_id"], state, m.json["status"]))

    def answer(m):
        dead.wait(lib.PATIENCE)
        return 200

    with receiver.Receiver(answer, on_message=look) as first, receiver.Receiver(answer, on_message=look) as second:
        due = [(r, "/" + lib.digits(number)) for number in plain(sim, 30) for r in (first, second)]
        for r, path in due:
            assert client.post(client.path(path[1:], "jobs"), {"webhook_url": r.url + path}).status in (200, 202)
        lib.until(lambda: first.messages() and second.messages(), "messages under way")
        for worker in workers:
            worker.kill()
            worker.begin()
        dead.set()
        lib.until(lambda: f.unfinished() == 0, "all cases", timeout=120, every=0.1)
        lib.until(lambda: f.one("SELECT COUNT(*) FROM delivery WHERE state = 'delivered'") == len(due), "all messages",
                  timeout=120, every=0.1)
        assert f.one("SELECT COUNT(*) FROM delivery") == len(due)
        ids = {(r.url, path): {m.headers["webhook-id"] for m in r.messages(path)} for r, path in due}
        assert {len(i) for i in ids.values()} == {1} and len(set().union(*ids.values())) == len(due)
        assert len(first.messages()) + len(second.messages()) > len(due), "what was under way came again"
    assert all("links lead nowhere" in worker.stderr() for worker in workers)
    assert not early, early
    f.check(10)


def test_webhook_sender_frozen(make_sim, make_fleet):
    """A process that freezes while its message is under way: another sends it, and what the first learns late counts for nothing."""
    sim = make_sim("--cases", 1, "--documents", 2, "--size", 1500)
    f = make_fleet(sim, lease_time="2s", webhook_timeout="30s")
    client, first = f.add("api1", "api"), f.add("worker1", "worker")
    late = threading.Event()

    def answer(m):
        if len(hook.messages()) == 1:
            late.wait(lib.PATIENCE)
            return 410  # "never again"
        return 200

    def stale():
        return f.metric(first, "stale_writes_total")

    with receiver.Receiver(answer) as hook:
        number = plain(sim, 1)[0]
        assert client.post(client.path(number, "jobs"), {"webhook_url": hook.url}).status in (200, 202)
        lib.until(lambda: hook.messages(), "a message under way")
        first.suspend()
        try:
            late.set()
            f.add("worker2", "worker")
            lib.until(lambda: f.one("SELECT state FROM delivery") == "delivered", "the message of another")
            delivered = f.rows("SELECT state, attempts, epoch, owner, ended_ms FROM delivery")
        finally:
            first.resume()
        lib.until(stale, "the late result to be refused")
        assert f.rows("SELECT state, attempts, epoch, owner, ended_ms FROM delivery") == delivered
        assert [r["class"] for r in f.rows("SELECT class FROM delivery_attempt")] == ["ok"]
        assert f.rows("SELECT failures, paused_until_ms FROM webhook_target WHERE failures > 0 OR paused_until_ms > 0") == []
        assert len(hook.messages()) == 2 and len({m.headers["webhook-id"] for m in hook.messages()}) == 1
    f.check(10)


def test_webhook_queue_frozen(make_sim, make_fleet):
    """A process that freezes with many messages at hand, for a slow receiver: another sends them all meanwhile, and nothing
    is sent twice but what was under way."""
    sim = make_sim("--cases", 1, "--documents", 2, "--size", 1500)
    f = make_fleet(sim, lease_time="2s", webhook_timeout="60s", webhook_target_parallel=2, webhook_pause_after=1000)
    client, first = f.add("api1", "api"), f.add("worker1", "worker")
    slow = threading.Event()
    slow.set()

    def answer(m):
        slow.wait(lib.PATIENCE)
        return 200

    def count(state):
        return f.one("SELECT COUNT(*) FROM delivery WHERE state = ?", state)

    with receiver.Receiver(answer) as hook:
        number = plain(sim, 1)[0]

        def ask(i):
            assert client.post(client.path(number, "jobs"), {"webhook_url": f"{hook.url}/{i}"}).status in (200, 202)

        ask(0)
        lib.until(lambda: count("delivered") == 1, "a message")  # the receiver answers: the next ones are leased ahead
        slow.clear()
        for i in range(1, 41):
            ask(i)
        lib.until(lambda: count("delivering") == 40 and len(hook.messages()) == 3, "messages at hand")
        first.suspend()
        try:
            under_way = {m.path for m in hook.messages()[1:]}
            slow.set()
            second = f.add("worker2", "worker")
            lib.until(lambda: count("delivered") == 41, "the messages of another")
            assert len(hook.messages()) == 43
        finally:
            first.resume()
        lib.until(lambda: 'webhook leases lost' in first.stderr(), "the loss to be noticed")
        ask(41)
        lib.until(lambda: count("delivered") == 42, "one more message")
        for node in (first, second):
            node.stop()
        times = {path: len(hook.messages(path)) for path in {m.path for m in hook.messages()}}
        assert {path for path, n in times.items() if n > 1} == under_way and max(times.values()) == 2, times
        assert "dropped=38 " in first.stderr()
    f.check(10)


def test_stops_while_others_send(make_sim, make_fleet):
    """A process that ends in order, again and again, while others end jobs that have webhooks: their news reach it to the last."""
    sim = make_sim("--cases", 40, "--documents", 2, "--size", 1000)
    f = make_fleet(sim, portal_pace="0", drain_time="1s", lease_time="4s")
    client, ends = f.add("api1", "api"), f.add("worker2", "worker", start=False)
    f.add("worker1", "worker")
    over, failed = threading.Event(), []

    def ask(hook):
        for number in plain(sim, 40) * 1000:
            if over.is_set():
                return
            if client.post(client.path(number, "jobs"), {"webhook_url": hook.url}).status not in (200, 202):
                failed.append(number)

    with receiver.Receiver() as hook:
        asking = threading.Thread(target=ask, args=(hook,), daemon=True)
        asking.start()
        for _ in range(STOPS):
            told = len(hook.messages())
            ends.begin()
            lib.until(lambda: len(hook.messages()) > told + 5, "messages", every=0.01)
            ends.stop()  # with status 0, and without a word of a sanitizer's
        over.set()
        asking.join()
        assert not failed, failed
        lib.until(lambda: f.unfinished() == 0, "all cases", timeout=120, every=0.1)
    f.check(10)


# ---- A case is erased ----


def test_slow_eraser(make_sim, make_fleet, proxied, proxy):
    """Whoever erases hangs on the way to the store; another one finishes it and the case is asked for again. When
    the first one goes on it deletes nothing of that."""
    sim = make_sim("--cases", 1, "--documents", 12, "--size", 2000)
    f = make_fleet(sim, s3_low_speed_time="300s")
    f.store = proxied
    client = f.add("api1", "api")
    f.add("worker1", "worker")
    number = plain(sim, 1)[0]
    client.post(client.path(number, "jobs"))
    client.finished(number)
    held, answers = proxy.fault(s3fault.stall(), "GET", r"list-type=2", times=1), []
    eraser = threading.Thread(target=lambda: answers.append(client.call("DELETE", client.path(number), key="admin", timeout=120)))
    eraser.start()
    try:
        lib.until(lambda: held.fault.held, "the erasing")
        assert client.post(client.path(number, "jobs")).problem == "case-busy"
        f.database.end_patience()
        lib.until(lambda: f.one("SELECT COUNT(*) FROM erasure") == 0, "another one to erase it", every=0.05)
        assert proxied.gone(f"processos/{lib.digits(number)}/")
        client.post(client.path(number, "jobs"))
        assert client.finished(number)["completed_documents"] == 12
        assert not answers, "the first one is still at it"
    finally:
        held.release()
        eraser.join()
    assert [a.status for a in answers] == [200]
    f.check(10)


def test_end_while_erasing(make_sim, make_fleet, proxied, proxy):
    """A process that ends does not wait for a store that hangs; the next one erases the rest."""
    sim = make_sim("--cases", 1, "--documents", 4, "--size", 2000)
    f = make_fleet(sim, s3_low_speed_time="600s")
    f.store = proxied
    node = f.add("all1", "all")
    number = plain(sim, 1)[0]
    node.post(node.path(number, "jobs"))
    node.finished(number)
    c = f.database.connect()
    c.execute("DELETE FROM process")
    c.execute("INSERT INTO erasure (number, at_ms) VALUES (?, 5)", (lib.digits(number),))
    c.close()
    held = proxy.fault(s3fault.stall(), "GET", r"list-type=2")
    lib.until(lambda: held.fault.held or None, "the erasing", every=0.05)
    node.stop()
    assert f.one("SELECT COUNT(*) FROM erasure") == 1 and f.one("SELECT COUNT(*) FROM node") == 0
    held.release()
    f.database.end_patience()
    node.begin()
    lib.until(lambda: f.one("SELECT COUNT(*) FROM erasure") == 0, "the rest to be erased", every=0.05)
    assert proxied.gone(f"processos/{lib.digits(number)}/")


# ---- It is moved ----


def test_move(place, make_sim, make_fleet, make_autos):
    """A database in use is not moved; once nobody runs, it is, and the other kind of database tells the same."""
    sim = make_sim("--cases", 2, "--documents", 4, "--size", 2000)
    f = make_fleet(sim)
    node = f.add("all1", "all")
    number = plain(sim, 1)[0]
    node.post(node.path(number, "jobs"))
    node.finished(number)
    other = lib.Autos(f.place, sim, store=f.store, database=databases.Sqlite())
    url = f"sqlite:{other.data_dir}/autos.db"
    other.data_dir.mkdir(exist_ok=True)
    refused = other.run("move", "--from", f.database.url, "--to", url)
    assert refused.status == 1 and len(refused.err.splitlines()) == 1
    assert "the source is in use by 1 autos processes: stop all of them first" in refused.err
    node.stop()
    moved = other.run("move", "--quiet", "--from", f.database.url, "--to", url)
    assert moved.status == 0 and "read back and compared" in moved.out, moved
    told = other.run("status", number)
    assert told.status == 0 and "4" in told.out, told


# ---- The database fails ----


def test_database_restarts(make_sim, make_fleet, make_cluster):
    """It is restarted, then all its connections are ended again and again: nothing is lost, nobody helps."""
    sim = make_sim("--cases", 10, "--documents", 20, "--size", 3000, "--latency", 10)
    cluster = make_cluster()
    f = make_fleet(sim, cluster.url())
    f.add("api1", "api")
    f.add("worker1", "worker")
    f.add("worker2", "worker")
    numbers = plain(sim, 10)
    clients = Clients(f, numbers)
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

    for number in plain(sim, 3):
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
    refused = other.run("status", plain(sim, 1)[0])
    assert refused.status == 1 and len(refused.err.splitlines()) == 1 and "too many clients" in refused.err
    taken.pop().close()
    for c in taken:
        c.close()
    number = plain(sim, 1)[0]
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
    numbers = plain(sim, 300)
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
    clients = Clients(f, plain(sim, 30))
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
