"""Stopping the service in order: what is in flight ends, what is not goes back, nobody hangs."""

import contextlib
import http.client
import signal
import threading
import time

import pytest

import crash
import lib

pytestmark = [pytest.mark.both, pytest.mark.databases]

SLOW = "binario drip=2000/100\n"  # 20 KB take a second


@pytest.fixture
def slow(make_sim):
    return make_sim("--cases", 3, "--documents", 12, "--size", 20000, script=SLOW)


def numbers(sim, n):
    return [c["number"] for c in sim.cases("?papers=0") if c["oddity"] == "plain"][:n]


def in_flight(sim):
    return sim.stats()["parallel"]["binario"]


def available(service):
    return service.one("SELECT COUNT(*) FROM document WHERE state = 'available'")


def signalled(service, sig=signal.SIGTERM):
    service.process.send_signal(sig)


def ended(service, expect):
    process, service.process = service.process, None
    status = process.wait(lib.PATIENCE)
    process.stdout.close()
    service.captured.append(service.stderr())
    service.check_captured()
    assert status == expect, (status, service.stderr()[-3000:])


def check_released(service, n):
    """All went back, in order, and no try was spent."""
    jobs = service.rows("SELECT * FROM job")
    assert [(j["state"], j["owner"], j["lease_until_ms"]) for j in jobs] == [("pending", "", 0)] * n, list(map(dict, jobs))
    assert service.one("SELECT COUNT(*) FROM result WHERE tries > 1") == 0


def finish(service, sim, cases):
    service.start()
    for n in cases:
        s = service.finished(n)
        assert (s["outcome"], s["completed_documents"]) == ("complete", 12), s
    assert service.one("SELECT COALESCE(MAX(tries), 1) FROM result") == 1
    service.stop()
    lib.check_invariants(service, sim)


def working(service, sim, cases):
    for n in cases:
        assert service.post(service.path(n, "jobs")).status == 202
    lib.until(lambda: in_flight(sim) >= 3, "documents in flight")


def test_documents_in_flight_finish(make_service, slow):
    service, cases = make_service(slow, drain_time="20s"), numbers(slow, 3)
    working(service, slow, cases)
    connection = service.connect()
    service.get("/livez", connection=connection)
    signalled(service)
    ready = lib.until(lambda: (a := service.get("/readyz", key=None)).status == 503 and a, "readyz to say no")
    checks = {c["name"]: c["ok"] for c in ready.json["checks"]}
    assert not checks.pop("draining") and all(checks.values()), checks
    flying = in_flight(slow)
    assert flying, "nothing was in flight any more: the test proves nothing"
    # Meanwhile everything is answered, and a new request is taken.
    assert service.get("/livez", key=None).status == 200
    assert service.status(cases[0])["status"] == "processing"
    assert service.post(service.path(cases[0], "jobs")).json["adopted"] is True
    ended(service, 0)
    stats = slow.stats()
    asked = sum(stats["documents"].values())
    assert available(service) == asked, "what was in flight was not waited for"
    check_released(service, 3)
    lib.check_invariants(service, slow)
    slow.script("")
    finish(service, slow, cases)
    assert set(crash.fetches(slow).values()) == {1}


@pytest.mark.parametrize("drain_time", ["0", "300ms"])
def test_drain_time_is_over(make_service, make_sim, drain_time):
    sim = make_sim("--cases", 3, "--documents", 12, "--size", 20000, script="binario drip=100/100\n")
    service, cases = make_service(sim, drain_time=drain_time), numbers(sim, 3)
    working(service, sim, cases)
    started = time.monotonic()
    signalled(service)
    ended(service, 0)
    assert time.monotonic() - started < 10
    assert available(service) == 0
    check_released(service, 3)
    lib.check_invariants(service, sim)
    sim.script("")
    finish(service, sim, cases)


def test_second_signal_ends_at_once(make_service, make_sim):
    sim = make_sim("--cases", 3, "--documents", 12, "--size", 20000, script="binario calls=4- drip=100/100\n")
    service, cases = make_service(sim, drain_time="60s"), numbers(sim, 3)
    working(service, sim, cases)
    stored = lib.until(lambda: available(service), "a document")
    signalled(service)
    lib.until(lambda: service.get("/readyz", key=None).status == 503, "the drain")
    started = time.monotonic()
    signalled(service)
    ended(service, -signal.SIGTERM)
    assert time.monotonic() - started < 5
    assert available(service) >= stored
    lib.check_invariants(service, sim, clean=False)
    sim.script("")
    finish(service, sim, cases)


def test_interrupt_drains_too(make_service, slow):
    service = make_service(slow)
    service.stop(sig=signal.SIGINT)


def test_those_who_wait_are_answered(make_service, make_sim):
    sim = make_sim("--cases", 2, "--documents", 5, script="detail delay=4000\n")
    service = make_service(sim, portal_timeout="30s", portal_low_speed_time="30s")
    number, answers = numbers(sim, 1)[0], []

    def ask():
        started = time.monotonic()
        a = service.get(service.path(number), headers={"Prefer": "wait=30"})
        answers.append((a, time.monotonic() - started))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for t in threads:
        t.start()
    lib.until(lambda: sim.stats()["parallel"]["total"], "the portal to be asked")
    waiting = 'autos_http_waiting 8'
    lib.until(lambda: waiting in service.get("/metrics", key="admin").body.decode(), "eight who wait")
    signalled(service)
    for t in threads:
        t.join(lib.PATIENCE)
    assert [a.status for a, _ in answers] == [202] * 8
    assert max(took for _, took in answers) < 3.5
    assert answers[0][0].headers["Location"].startswith(service.url)
    ended(service, 0)
    service.start()
    assert service.finished(number)["outcome"] == "complete"


def test_event_streams_end(make_service, slow):
    service, number = make_service(slow), numbers(slow, 1)[0]
    working(service, slow, [number])
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(service.events(service.path(number, "events"))) for _ in range(5)]
        for s in streams:
            assert next(s).event == "progress"
        signalled(service)
        seen = [list(s) for s in streams]  # until the service ends them
        assert all("done" not in [e.event for e in events] for events in seen)
        last = streams[0].last_id
    ended(service, 0)
    service.start()
    with service.events(service.path(number, "events"), headers={"Last-Event-ID": last}) as stream:
        rest = list(stream)
    assert rest[-1].event == "done"
    seqs = [int(e.id.split("-")[1]) for e in rest if e.id]
    assert min(seqs) > int(last.split("-")[1])


def test_writes_at_the_end(make_service, make_sim):
    """Whatever is being written or asked while the doors are shut: an answer or a closed connection,
    an end in order, and what was accepted is there."""
    sim = make_sim("--cases", 300, "--documents", 1, "--size", 1000)
    service = make_service(sim, drain_time="1s", rate_limit=0, cases_parallel=2)
    cases, accepted, stop = numbers(sim, 300), [], threading.Event()

    def ask(part):
        for n in cases[part::6]:
            if stop.is_set():
                return
            try:
                if service.post(service.path(n, "jobs")).status in (200, 202):
                    accepted.append(n)
                service.get(service.path(n) + "?include_full_data=false", headers={"Prefer": "wait=20"})
            except (OSError, http.client.HTTPException):
                continue

    for turn in range(5):
        threads = [threading.Thread(target=ask, args=(i,)) for i in range(6)]
        for t in threads:
            t.start()
        lib.until(lambda: len(accepted) > 20 * turn, "some to be accepted")
        port = service.port
        signalled(service)
        ended(service, 0)
        stop.set()
        for t in threads:
            t.join(lib.PATIENCE)
        stop.clear()
        known = {lib.masked(r["number"]) for r in service.rows("SELECT number FROM process")}
        assert set(accepted) <= known
        service.start("--listen", f"127.0.0.1:{port}")
    service.stop()
    lib.check_invariants(service, sim)
