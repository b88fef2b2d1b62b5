"""What goes wrong around a running service: jobs that are given up, cases that are erased, full
disks, tokens, a portal that is gone. Nothing becomes final by it, and all goes on by itself."""

import socket
import time

import pytest

import crash
import lib
from test_faults_local import make_disk  # noqa: F401 - a fixture


pytestmark = [pytest.mark.both, pytest.mark.databases]


def numbers(sim, n):
    return [c["number"] for c in sim.cases("?papers=0") if c["oddity"] == "plain"][:n]


def start_job(service, number):
    a = service.post(service.path(number, "jobs"))
    assert a.status == 202, a
    return a.json["job_id"]


def in_flight(sim):
    return sim.stats()["parallel"]["binario"]


def checks(service):
    a = service.get("/readyz", key=None)
    return a.status, {c["name"]: c["ok"] for c in a.json["checks"]}


def nothing_final(service):
    return service.one("SELECT COUNT(*) FROM job WHERE state IN ('completed', 'failed', 'cancelled')") == 0 and \
        service.one("SELECT COUNT(*) FROM document WHERE state = 'failed'") == 0


# ---- giving up ----


def test_cancel_cuts_transfers(make_sim, make_service):
    sim = make_sim("--cases", 2, "--documents", 12, "--size", 20000,
                   script=f"binario case={lib.number_of('plain')} calls=3- drip=100/100\n")
    service = make_service(sim, portal_parallel=3, portal_parallel_max=3)
    number, other = numbers(sim, 2)
    job = start_job(service, number)
    lib.until(lambda: in_flight(sim) == 3, "three slow documents")
    assert service.call("DELETE", service.path(number), key="admin").problem == "case-busy"
    started = time.monotonic()
    a = service.post(f"/api/v1/jobs/{job}/cancel")
    assert (a.status, a.json["status"]) == (200, "cancelled")
    lib.until(lambda: in_flight(sim) == 0, "the transfers to be cut", timeout=5)
    took = time.monotonic() - started
    print(f"cut {took * 1000:.0f} ms after the cancellation")
    lib.until(lambda: service.one("SELECT owner FROM job WHERE id = ?", job) == "", "the worker to let go", timeout=5)
    s = service.status(number)
    assert s["status"] == "cancelled" and s["failed_documents"] == 0 and s["processing_documents"] == 0
    assert service.post(f"/api/v1/jobs/{job}/cancel").problem == "job-final"
    # The lane is free for others.
    start_job(service, other)
    assert service.finished(other)["outcome"] == "complete"
    # A retry goes on where it was.
    sim.script("")
    before, stored = crash.fetches(sim), crash.committed(service)
    a = service.post(f"/api/v1/jobs/{job}/retry")
    assert a.status in (200, 202) and a.json["status"] in ("pending", "processing")
    s = service.finished(number)
    assert (s["outcome"], s["completed_documents"], s["job_id"]) == ("complete", 12, job)
    crash.check_not_asked_again(before, crash.fetches(sim), stored)
    service.stop()
    lib.check_invariants(service, sim)


def test_cancel_a_waiting_job(make_sim, make_service):
    sim = make_sim("--cases", 3, "--documents", 4, "--size", 20000, script="binario drip=500/100\n")
    service = make_service(sim, cases_parallel=1)
    busy, waiting, third = numbers(sim, 3)
    start_job(service, busy)
    lib.until(lambda: in_flight(sim), "work")
    job = start_job(service, waiting)
    start_job(service, third)
    assert service.post(f"/api/v1/jobs/{job}/cancel").json["status"] == "cancelled"
    # Nobody holds it, so it can be erased at once.
    assert service.call("DELETE", service.path(waiting), key="admin").status in (200, 204)
    sim.script("")
    assert service.finished(third)["outcome"] == "complete"
    assert sim.case(waiting)["papers"][0]["ids"][0] not in crash.fetches(sim)


# ---- erasing ----


def folder(number):
    return f"processos/{lib.digits(number)}/"


def rows_of(service, number):
    """How many rows of any table speak of a case."""
    found = service.one("SELECT COUNT(*) FROM process WHERE number = ?", lib.digits(number))
    return found + service.one("SELECT COUNT(*) FROM erasure")


def test_erase_a_case_in_flight(make_sim, make_service):
    sim = make_sim("--cases", 1, "--documents", 12, "--size", 20000, script="binario calls=5- drip=100/100\n")
    service, number = make_service(sim), numbers(sim, 1)[0]
    job = start_job(service, number)
    lib.until(lambda: in_flight(sim) and len(crash.committed(service)) == 4, "documents")
    assert service.store.keys(folder(number))
    service.post(f"/api/v1/jobs/{job}/cancel")

    def erase():
        a = service.call("DELETE", service.path(number), key="admin")
        assert a.status in (200, 204) or a.problem == "case-busy", a
        return a.status in (200, 204)

    lib.until(erase, "the case to be erased", timeout=10)
    lib.until(lambda: in_flight(sim) == 0, "the portal to see that nobody reads any more", timeout=5)
    assert service.store.gone(folder(number)) and rows_of(service, number) == 0
    for table in ("job", "document", "result", "event", "document_ref"):
        assert service.one(f"SELECT COUNT(*) FROM {table}") == 0, table
    assert service.get(service.path(number, "status")).problem == "case-not-found"
    # It can be asked for anew.
    sim.script("")
    start_job(service, number)
    assert service.finished(number)["completed_documents"] == 12
    service.stop()
    lib.check_invariants(service, sim)


@pytest.mark.folder
@pytest.mark.parametrize("at", [1, 2, 7, 12])
def test_killed_while_erasing(make_sim, make_service, at):
    """The rows are gone, of the objects some: the next start erases the rest."""
    sim = make_sim("--cases", 2, "--documents", 12, "--size", 2000)
    service = make_service(sim, start=False)
    number, other = numbers(sim, 2)
    service.start()
    for n in (number, other):
        start_job(service, n)
        service.finished(n)
    service.stop()
    service.start(env=crash.shim("unlink", at, kill="before", path="/objects/processos/"))
    with pytest.raises(Exception):
        service.call("DELETE", service.path(number), key="admin")
    service.process.wait(lib.PATIENCE)
    service.kill()
    assert service.one("SELECT COUNT(*) FROM process WHERE number = ?", lib.digits(number)) == 0
    assert service.one("SELECT number FROM erasure") == lib.digits(number)
    assert len(service.store.keys(folder(number))) == 12 - (at - 1)
    service.database.end_patience()
    service.start()
    lib.until(lambda: service.one("SELECT COUNT(*) FROM erasure") == 0, "the rest to be erased")
    assert service.store.gone(folder(number)) and rows_of(service, number) == 0
    assert service.status(other)["completed_documents"] == 12
    start_job(service, number)
    assert service.finished(number)["completed_documents"] == 12
    service.stop()
    lib.check_invariants(service, sim)


# ---- disks ----


@pytest.mark.folder
def test_disk_full_while_serving(make_sim, make_service, make_disk):  # noqa: F811
    sim = make_sim("--cases", 3, "--documents", 30, "--size", 150000, script="* delay=500\n")
    disk = make_disk("3M")  # not one of the cases fits, wherever the database is
    service = make_service(sim, start=False, portal_low_speed_time="30s")
    service.data_dir = disk.path / "data"
    if not disk.mounted:
        pytest.skip("no file system of our own")
    service.start()
    cases = numbers(sim, 3)
    for n in cases:
        start_job(service, n)
    sim.script("")
    lib.until(lambda: "storage trouble" in service.stderr(), "the disk to be full")
    status, found = checks(service)
    assert status == 503 and not (found["store"] and found["spool"]), found
    assert found["database"] and found["worker"], found
    health = service.get("/health", key=None)
    assert health.json["status"] == "unhealthy"
    for n in cases:
        s = service.status(n)
        assert s["status"] in ("pending", "processing") and s["failed_documents"] == 0, s
    assert service.get("/livez", key=None).status == 200
    # What cannot be written is refused, not lost.
    late = service.post("/api/v1/processes/9900001-55.2024.8.26.0100/jobs")
    assert late.status in (202, 500, 503), late
    stored, before = crash.committed(service), crash.fetches(sim)
    disk.resize("64M")
    for n in cases:
        s = service.finished(n)
        assert (s["outcome"], s["completed_documents"]) == ("complete", 30), s
    crash.check_not_asked_again(before, crash.fetches(sim), stored)
    lib.until(lambda: checks(service)[1]["store"], "the store to be well again", timeout=20)
    service.stop()
    lib.check_invariants(service, sim)


# ---- the token ----


def test_token_is_replaced(make_sim, make_service):
    sim = make_sim("--cases", 2, "--documents", 30, "--size", 2000, script="binario calls=10- delay=2000\n")
    service = make_service(sim, portal_low_speed_time="30s")
    first, second = numbers(sim, 2)
    start_job(service, first)
    lib.until(lambda: len(crash.committed(service)) > 3, "some documents")
    sim.revoke()
    sim.script("")
    lib.until(lambda: not checks(service)[1]["portal_token"], "the token to be refused")
    status, found = checks(service)
    assert status == 200 and all(ok for name, ok in found.items() if name != "portal_token"), found
    assert service.get("/health", key=None).json["status"] == "degraded"
    start_job(service, second)
    calls = sim.calls()
    assert nothing_final(service)
    sim.revoke(False)
    service.write_token(lib.make_token(7200))
    for n in (first, second):
        s = service.finished(n)
        assert (s["outcome"], s["completed_documents"]) == ("complete", 30), s
    assert calls < sim.calls() and checks(service)[1]["portal_token"]
    assert max(crash.fetches(sim).values()) <= 2  # the refused ones once more, and no other
    service.stop()
    lib.check_invariants(service, sim)


@pytest.mark.parametrize("content", ["", None, "expired"])
def test_started_without_a_token(make_sim, make_service, content):
    sim = make_sim("--cases", 1, "--documents", 3, "--size", 2000)
    service = make_service(sim, start=False)
    if content is None:
        service.token_file.unlink()
    else:
        service.write_token(lib.make_token(-60) if content == "expired" else content)
    service.start()
    number = numbers(sim, 1)[0]
    start_job(service, number)
    assert not checks(service)[1]["portal_token"]
    a = service.get(service.path(number), headers={"Prefer": "wait=1"})
    assert a.status == 202, a
    assert sim.calls() == 0 and nothing_final(service)
    service.write_token(service.token)
    assert service.finished(number)["outcome"] == "complete"


def test_held_cases_go_back_without_a_token(make_sim, make_service):
    """A stop while it waits for a token is as any other stop."""
    sim = make_sim("--cases", 1, "--documents", 30, "--size", 2000, script="binario calls=10- delay=2000\n")
    service, number = make_service(sim, portal_low_speed_time="30s"), numbers(sim, 1)[0]
    start_job(service, number)
    lib.until(lambda: len(crash.committed(service)) > 3, "some documents")
    sim.revoke()
    sim.script("")
    lib.until(lambda: not checks(service)[1]["portal_token"], "the token to be refused")
    started = time.monotonic()
    service.stop()
    assert time.monotonic() - started < 10
    assert [tuple(r) for r in service.rows("SELECT state, owner FROM job")] == [("pending", "")]
    lib.check_invariants(service, sim)
    sim.revoke(False)
    service.start()
    assert service.finished(number)["completed_documents"] == 30


# ---- the portal ----


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_portal_comes_later(make_sim, make_service):
    """Nothing listens, for longer than any retry; then the portal is there."""
    port = free_port()
    service = make_service(f"http://127.0.0.1:{port}{lib.API}", portal_patience="1s")
    cases = ["9910000-32.2024.8.26.0100", "9910001-34.2024.4.03.6100"]
    for n in cases:
        start_job(service, n)
    lib.until(lambda: service.stderr().count("portal pause") > 8, "many vain attempts", timeout=20)
    assert nothing_final(service)
    assert checks(service)[0] == 200
    sim = make_sim("--cases", 2, "--documents", 5, "--listen", f"127.0.0.1:{port}")
    for n in cases:
        assert service.finished(n)["outcome"] == "complete"
    service.stop()
    lib.check_invariants(service, sim)


def test_late_answers_prove_nothing(make_sim, make_service):
    """What was in flight when the portal went still comes in, now and then: that is no sign of life."""
    sim = make_sim("--cases", 1, "--documents", 15, "--size", 2000, script="".join(
        f"binario calls=11 delay={700 * k}\n" for k in range(1, 5)) + "binario calls=11- answer=waf-403-html\n")
    service, number = make_service(sim, portal_low_speed_time="30s", portal_parallel=10), numbers(sim, 1)[0]
    start_job(service, number)
    lib.until(lambda: len(crash.committed(service)) == 14, "the last good answers")
    calls = sim.calls()
    lib.until(lambda: sim.calls() > calls + 10 or not nothing_final(service), "it to be asked again and again")
    assert nothing_final(service)
    assert checks(service)[0] == 200
    sim.script("")
    s = service.finished(number)
    assert (s["outcome"], s["completed_documents"]) == ("complete", 15), s
    service.stop()
    lib.check_invariants(service, sim)


def test_portal_is_gone_and_back(make_sim, make_service):
    """Its machine is switched off in the middle of the work."""
    port = free_port()
    listen = ("--cases", 2, "--documents", 30, "--size", 2000, "--listen", f"127.0.0.1:{port}")
    sim = make_sim(*listen, "--latency", 50)
    service, cases = make_service(sim), numbers(sim, 2)
    for n in cases:
        start_job(service, n)
    stored = lib.until(lambda: len(crash.committed(service)) > 5 and crash.committed(service), "some documents")
    sim.stop()
    pauses = service.stderr().count("portal pause")
    lib.until(lambda: service.stderr().count("portal pause") > pauses + 8, "many vain attempts")
    assert nothing_final(service)
    sim = make_sim(*listen)
    for n in cases:
        s = service.finished(n)
        assert (s["outcome"], s["completed_documents"]) == ("complete", 30), s
    assert not stored & set(crash.fetches(sim)), "stored documents were fetched again"
    service.stop()
    lib.check_invariants(service, sim)
