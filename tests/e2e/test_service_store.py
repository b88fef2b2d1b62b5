"""A store that hangs or fails, seen by those who only ask the service something."""

import threading

import lib
import pytest
import s3fault

pytestmark = pytest.mark.folder  # it brings its own store


def stored(sim, service, n):
    numbers = [c["number"] for c in sim.cases("?papers=0")][:n]
    for number in numbers:
        service.post(service.path(number, "jobs"), {})
    for number in numbers:
        service.finished(number)
    return numbers


class Eraser(threading.Thread):
    def __init__(self, service, number):
        super().__init__(daemon=True)
        self.service, self.number, self.answer = service, number, None
        self.start()

    def run(self):
        self.answer = self.service.call("DELETE", self.service.path(self.number), key="admin", timeout=300)


def test_nobody_waits_for_a_store_that_hangs(make_sim, make_service, proxied, proxy):
    """Cases are being erased, and the store says nothing: others get their answers, the service ends in order, and starts
    again; once the store answers, the rest is erased."""
    sim = make_sim("--cases", 3, "--documents", 3, "--size", 2000)
    service = make_service(sim, store=proxied, s3_low_speed_time="300s", api_threads=2)
    numbers = stored(sim, service, 3)
    lists = proxy.fault(s3fault.stall(), "GET", r"list-type=2")
    checks = [proxy.fault(s3fault.stall(), method, ".") for method in ("PUT", "HEAD")]
    erasers = [Eraser(service, number) for number in numbers]
    lib.until(lambda: lists.fault.held, "the erasing")
    lib.until(lambda: service.one("SELECT COUNT(*) FROM erasure") == 3, "their rows to be gone")
    for _ in range(6):  # more than there are threads
        assert service.get("/livez", key=None).status == 200
        service.call("GET", "/readyz", key=None)
    lib.until(lambda: any(rule.fault.held for rule in checks) or service.call("GET", "/readyz", key=None) and None,
              "the store to be asked whether it takes objects", every=0.3)
    assert service.get("/livez", key=None).status == 200
    assert all(e.answer is None for e in erasers)
    assert service.call("DELETE", service.path(numbers[0]), key="admin").problem == "case-busy"
    service.stop()
    for e in erasers:
        e.join(lib.PATIENCE)
        assert e.answer.problem == "storage-unavailable", e.answer
    service.start()
    assert service.get("/livez", key=None).status == 200
    assert service.one("SELECT COUNT(*) FROM erasure") == 3
    proxy.calm()
    service.database.end_patience()
    lib.until(lambda: service.one("SELECT COUNT(*) FROM erasure") == 0, "the rest to be erased", every=0.1)
    assert all(proxied.gone(f"processos/{lib.digits(number)}/") for number in numbers)


def test_what_failed_is_erased_later(make_sim, make_service, proxied, proxy):
    """The store refuses once: the client is told, and that the case is still being erased; then it is gone."""
    sim = make_sim("--cases", 1, "--documents", 3, "--size", 2000)
    service = make_service(sim, store=proxied, s3_retry_max=0)
    number, = stored(sim, service, 1)
    proxy.fault(s3fault.answer(404, "NoSuchBucket"), "GET", r"list-type=2", times=1)
    assert service.call("DELETE", service.path(number), key="admin").problem == "storage-unavailable"
    again = service.call("DELETE", service.path(number), key="admin")
    assert again.problem in ("case-busy", "case-not-found"), again  # or it is done already
    assert service.call("GET", service.path(number, "status")).problem == "case-not-found"
    service.database.end_patience()
    lib.until(lambda: service.one("SELECT COUNT(*) FROM erasure") == 0, "the rest to be erased", every=0.1)
    assert proxied.gone(f"processos/{lib.digits(number)}/")
    assert service.call("DELETE", service.path(number), key="admin").problem == "case-not-found"
