"""Messages of a fleet: whoever sends may die, freeze or end in order; each message arrives, with one id, and only what was
under way comes twice."""

import os
import threading

import fleet
import lib
import receiver

STOPS = int(os.environ.get("AUTOS_FLEET_STOPS", "6"))


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
        due = [(r, "/" + lib.digits(number)) for number in fleet.plain(sim, 30) for r in (first, second)]
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
        number = fleet.plain(sim, 1)[0]
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
        number = fleet.plain(sim, 1)[0]

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
        for number in fleet.plain(sim, 40) * 1000:
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
