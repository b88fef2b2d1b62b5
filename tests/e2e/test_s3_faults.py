"""What goes wrong between us and S3, on each request: nothing wrong or partial is ever called available, and the
work ends right."""

import collections
import shutil
import threading

import pytest

import crash
import lib
import s3fault
from commands import PLAIN, SMALL

OBJECT = r"/documentos/"

# Faults that a second try heals. Each gives a new one: some of them remember.
ONCE = {
    "reset": s3fault.reset,
    "refuse": s3fault.refuse,
    "drop": s3fault.drop,
    "lose": s3fault.lose,
    "cut-head": lambda: s3fault.cut(0),
    "cut": lambda: s3fault.cut(50),
    "500": lambda: s3fault.answer(500, "InternalError"),
    "503-slow-down": lambda: s3fault.answer(503, "SlowDown"),
    "503-bare": lambda: s3fault.answer(503, None),
    "502": lambda: s3fault.page(502, b"<html>Bad Gateway</html>"),
    "504": lambda: s3fault.answer(504, None),
    "429": lambda: s3fault.answer(429, "TooManyRequests"),
    "request-timeout": lambda: s3fault.answer(400, "RequestTimeout"),
    "408": lambda: s3fault.answer(408, None),
    "slow-first-byte": lambda: s3fault.slow(0.3),
    "stall": s3fault.stall,
    "stall-reply": s3fault.stall_reply,
    "corrupt-upload": s3fault.corrupt_upload,
    "corrupt-download": s3fault.corrupt_download,
    "etag": s3fault.etag,
}
QUICK = {"s3_low_speed_time": "1s"}  # what stalls is cut soon


def needless(name, method):
    """Faults that only the other direction knows."""
    return name in ("drop", "corrupt-upload") and method != "PUT" or name in ("corrupt-download",) and method != "GET"


MATRIX = [(name, method) for name in ONCE for method in ("PUT", "GET") if not needless(name, method)]


@pytest.mark.parametrize("name, method", MATRIX)
def test_once(make_autos, proxied, proxy, sim, name, method):
    """Two documents meet it: the case is complete, and each object is there once."""
    autos = make_autos(sim, store=proxied, **QUICK)
    if method == "GET":  # a folder for people that is made from what is stored
        autos.get(SMALL, check=0)
        shutil.rmtree(autos.out)
    rule = proxy.fault(ONCE[name](), method, OBJECT, nth=2, times=2)
    result = autos.get(SMALL)
    rule.release()
    assert rule.hits == 2
    assert result.status == 0, result
    lib.expect_case(autos, sim, SMALL)
    lib.check_invariants(autos, sim)
    assert len(proxied.keys()) == autos.manifest(SMALL)["totals"]["objects"]
    assert all(n == 1 for n in crash.fetches(sim).values()), "a document was fetched again for it"


# What stays: the work ends, and goes on when it is over.
ALWAYS = {**{k: ONCE[k] for k in ("reset", "refuse", "drop", "lose", "cut-head", "500", "503-slow-down", "503-bare", "502", "429",
                                  "request-timeout", "stall", "stall-reply", "corrupt-upload", "etag")},
          "403": lambda: s3fault.answer(403, "AccessDenied"),
          "404": lambda: s3fault.answer(404, "NoSuchBucket"),
          "507": lambda: s3fault.answer(507, "InsufficientStorage"),
          "quota": lambda: s3fault.answer(403, "QuotaExceeded"),
          "400": lambda: s3fault.answer(400, "InvalidRequest"),
          "501": lambda: s3fault.answer(501, "NotImplemented"),
          "501-bare": lambda: s3fault.answer(501, None),
          "301": lambda: s3fault.answer(301, "PermanentRedirect"),
          "412": lambda: s3fault.answer(412, "PreconditionFailed"),
          "hotel": s3fault.page}
SHORT = {**QUICK, "s3_retry_max": 2}
STALLED = {**QUICK, "s3_retry_max": 0}  # libcurl needs seconds to see that nothing moves any more


def settings_for(name):
    return STALLED if name.startswith("stall") else SHORT


@pytest.mark.parametrize("name", ALWAYS)
def test_puts_never_work(make_autos, proxied, proxy, sim, name):
    """From the third document on. One line and status 1, nothing is failed; later the same command goes on."""
    autos = make_autos(sim, store=proxied, **settings_for(name))
    # With every answer about objects bad, not only that of the put: asking again is no way around it.
    rule = proxy.fault(ALWAYS[name](), None if name in ("etag", "403", "404", "hotel") else "PUT", OBJECT, nth=3)
    result = autos.get(SMALL)
    assert rule.hits >= 1
    stored = crash.committed(autos)
    known = name in ("lose", "cut-head", "stall-reply")  # S3 has it, and says so when it is asked afterwards
    assert len(stored) <= 2 or known
    if result.status or not known:
        crash.check_error(result)
        assert autos.rows("SELECT state FROM job")[0][0] == "pending"
    assert autos.one("SELECT COUNT(*) FROM document WHERE state = 'failed'") == 0
    lib.check_invariants(autos, sim, clean=False)
    asked = crash.fetches(sim)
    rule.release()
    lib.expect_case(autos, sim, SMALL, autos.get(SMALL).status)
    crash.check_not_asked_again(asked, crash.fetches(sim), stored)
    lib.check_invariants(autos, sim)


def test_a_server_takes_no_document_of_this_size(make_autos, proxied, proxy, sim):
    """As nginx says it in front of one: that is about one document, and the rest of the case is stored."""
    autos = make_autos(sim, store=proxied, **SHORT)
    large = []

    def is_large(e):
        large.append(e.target)
        return e.target == large[0]

    rule = proxy.fault(s3fault.page(413, b"<html>413 Request Entity Too Large</html>"), "PUT", OBJECT, when=is_large)
    assert autos.get(SMALL).status == 3 and rule.hits == 1
    [d] = [d for d in autos.manifest(SMALL)["documents"] if d["status"] != "available"]
    assert d["id"] in large[0] and d["reason"] == "storage", d
    proxy.calm()
    autos.run("retry", "-o", autos.out, SMALL, check=0)
    lib.expect_case(autos, sim, SMALL)
    lib.check_invariants(autos, sim)


GET_ALWAYS = ("reset", "cut-head", "cut", "500", "503-slow-down", "502", "stall", "stall-reply", "corrupt-download", "etag")


@pytest.mark.parametrize("name", GET_ALWAYS)
def test_gets_never_work(make_autos, proxied, proxy, sim, place, name):
    """Whoever reads is told, and gets no wrong byte: the folder for people, verify."""
    autos = make_autos(sim, store=proxied, **settings_for(name))
    autos.get(SMALL, check=0)
    shutil.rmtree(autos.out)
    rule = proxy.fault(ONCE[name](), "GET", OBJECT, nth=2)
    result = autos.get(SMALL)
    assert rule.hits >= 1
    if name != "etag":
        crash.check_error(result)
        verified = autos.run("verify", SMALL)
        if name == "corrupt-download":
            assert verified.status == 3 and "DAMAGED" in verified.out, verified
        else:  # not to be able to read is no damage
            assert verified.status == 1 and "DAMAGED" not in verified.out, verified
    for path in autos.out.rglob("*"):
        if path.is_file() and path.name != "manifest.json":
            assert lib.sha256_file(path) in {p["sha256"] for p in sim.case(SMALL)["papers"]}
    rule.release()
    lib.expect_case(autos, sim, SMALL, autos.get(SMALL).status)
    autos.run("verify", SMALL, check=0)
    lib.check_invariants(autos, sim)


def test_a_wrong_etag_is_never_believed(make_autos, proxied, proxy, sim):
    """On every answer, whatever the request: not one document is called stored."""
    autos = make_autos(sim, store=proxied, **SHORT)
    autos.run("store", "check", check=0)
    rule = proxy.fault(s3fault.etag())
    autos.get(SMALL, check=1)
    assert rule.hits and crash.committed(autos) == set()
    rule.release()
    lib.expect_case(autos, sim, SMALL, autos.get(SMALL).status)
    lib.check_invariants(autos, sim)


def test_a_server_without_etags(make_autos, proxied, proxy, sim):
    """Or with ones that are no MD5, as encrypted objects have: the signed hash and Content-MD5 have to do."""
    proxy.fault(s3fault.no_etag())
    autos = make_autos(sim, store=proxied)
    lib.expect_case(autos, sim, SMALL, autos.get(SMALL).status)
    proxy.calm()
    proxy.fault(s3fault.header("ETag", '"0123456789abcdef-not-md5"'))
    lib.expect_case(autos, sim, PLAIN[0], autos.get(PLAIN[0]).status)
    lib.check_invariants(autos, sim)


def test_etags_that_become_others(make_service, proxied, proxy, sim):
    """As when a bucket begins to encrypt while the service runs: what the probe found is doubted and found anew, and the work
    goes on without a hand."""
    service = make_service(sim, store=proxied, **SHORT)
    service.post(service.path(PLAIN[0], "jobs"), {})
    assert service.finished(PLAIN[0])["outcome"] == "complete"
    assert "ETag comparable yes" in service.stderr()
    rule = proxy.fault(s3fault.etag())
    service.post(service.path(SMALL, "jobs"), {})
    assert service.finished(SMALL)["outcome"] == "complete"
    assert rule.hits and "ETag comparable no" in service.stderr() and "storage trouble" in service.stderr()
    service.stop()
    lib.check_invariants(service, sim)


def test_etags_that_become_others_between_two_commands(make_autos, proxied, proxy, sim):
    autos = make_autos(sim, store=proxied, **SHORT)
    autos.run("store", "check", check=0)
    proxy.fault(s3fault.etag())
    crash.check_error(autos.get(SMALL), says="ETag")
    lib.expect_case(autos, sim, SMALL, autos.get(SMALL).status)
    lib.check_invariants(autos, sim)


@pytest.mark.parametrize("name", ["reset", "lose", "500", "503-slow-down", "stall-reply", "cut-head", "etag"])
@pytest.mark.parametrize("method, path", [("PUT", "/autos-probe/"), ("DELETE", "/autos-probe/|delete"), (None, "/autos-probe/")])
def test_the_probe_meets_it(make_autos, proxied, proxy, sim, name, method, path):
    """A fault that passes decides nothing: conditions and checksums are found all the same, or doubted."""
    autos = make_autos(sim, store=proxied, **QUICK)
    rule = proxy.fault(ONCE[name](), method, path, times=1)
    lib.expect_case(autos, sim, SMALL, autos.get(SMALL).status)
    rule.release()
    lib.check_invariants(autos, sim)


@pytest.mark.parametrize("name", ["reset", "lose", "500", "503-slow-down", "502", "stall", "cut-head"])
def test_erasing_meets_it(make_service, proxied, proxy, sim, name):
    service = make_service(sim, store=proxied, **QUICK)
    service.get(service.path(SMALL))
    service.finished(SMALL)
    rule = proxy.fault(ONCE[name](), None, r"delete|documentos|list-type|prefix=|uploads", times=3)
    a = service.call("DELETE", service.path(SMALL), key="admin")
    assert rule.hits
    rule.release()
    if a.status != 200:
        assert a.problem == "storage-unavailable", a
        lib.until(lambda: service.call("DELETE", service.path(SMALL), key="admin").status in (200, 404), "the case to be erased")
    lib.until(lambda: proxied.gone(f"processos/{lib.digits(SMALL)}/"), "the objects to go")
    service.post(service.path(SMALL, "jobs"), {})
    assert service.finished(SMALL)["outcome"] == "complete"
    service.stop()
    lib.check_invariants(service, sim)


def test_retries_are_on_fresh_connections(make_autos, proxied, proxy, sim):
    autos = make_autos(sim, store=proxied)
    proxy.fault(s3fault.answer(500, "InternalError"), "PUT", OBJECT, nth=3, times=1)
    autos.get(SMALL, check=0)
    [bad] = [e for e in proxy.log if e.fault]
    again = [e for e in proxy.requests("PUT") if e.target == bad.target and e is not bad]
    assert len(again) == 1 and again[0].connection != bad.connection


def test_retries_are_bounded(make_autos, proxied, proxy, sim):
    autos = make_autos(sim, store=proxied, s3_retry_max=2)
    proxy.fault(s3fault.answer(500, "InternalError"), "PUT", OBJECT)
    autos.get(SMALL, check=1)
    tries = collections.Counter(e.target for e in proxy.requests("PUT", OBJECT))
    assert max(tries.values()) == 3, tries


def test_a_dead_server_is_not_stormed(make_sim, make_autos, proxied, proxy):
    """Retries are paid from a bucket of tokens: when everything fails, most are not made at all."""
    sim = make_sim("--cases", 1, "--documents", 400, "--size", 500)
    autos = make_autos(sim, store=proxied, s3_retry_max=8, s3_retry_delay="1ms")
    autos.run("store", "check", check=0)
    proxy.fault(s3fault.answer(500, "InternalError"), "PUT", OBJECT)
    autos.get(PLAIN[0], check=1)
    assert len(proxy.requests("PUT", OBJECT)) < 400


# ---- parallelism ----


def overlap(entries):
    """The most requests at once among these."""
    moments = sorted([(e.began, 1) for e in entries] + [(e.ended, -1) for e in entries])
    most = now = 0
    for _, step in moments:
        now += step
        most = max(most, now)
    return most


class Delayed(s3fault.Fault):
    """Every answer comes late, so that requests pile up as high as they may; some are SlowDown."""

    def __init__(self, bad):
        self.bad, self.lock, self.seen = bad, threading.Lock(), 0
        self.slow, self.no = s3fault.slow(0.15), s3fault.answer(503, "SlowDown")

    def before(self, x):
        with self.lock:
            self.seen += 1
            x.refused = self.seen in self.bad
        if x.refused:
            x.log.fault = "SlowDown"
            return self.no.before(x)

    def reply(self, x, reply):
        self.slow.reply(x, reply)


def busy_store(make_sim, make_autos, proxied, proxy, documents=150, bad=(), **settings):
    sim = make_sim("--cases", 2, "--documents", documents, "--size", 2000)
    autos = make_autos(sim, store=proxied, portal_parallel=10, **settings)
    autos.run("store", "check", check=0)
    proxy.forget()
    proxy.fault(Delayed(bad), "PUT", OBJECT)
    autos.get(*PLAIN[:2], check=0, timeout=2 * lib.PATIENCE)
    lib.check_invariants(autos, sim)
    return proxy.requests("PUT", OBJECT)


@pytest.mark.parametrize("most", [1, 3, 16])
def test_never_more_at_once(make_sim, make_autos, proxied, proxy, most):
    puts = busy_store(make_sim, make_autos, proxied, proxy, documents=10 + 4 * most, s3_parallel=most)
    assert proxy.parallel <= most
    assert overlap(puts) >= min(most, 4), "it used less than it had"


def test_slow_down_lowers_parallelism(make_sim, make_autos, proxied, proxy):
    puts = busy_store(make_sim, make_autos, proxied, proxy, bad=range(100, 104), s3_parallel=16)
    refused = [e for e in puts if e.fault == "SlowDown"]
    first, last = refused[0].began, refused[-1].ended
    before = overlap([e for e in puts if e.ended < first])
    settled = max(e.ended for e in puts if e.began <= last)
    after = sorted((e for e in puts if e.began > settled), key=lambda e: e.began)[:20]
    assert before >= 8 and len(after) == 20
    assert overlap(after) <= max(2, before * 3 // 4), (before, overlap(after))


# ---- a store that is away ----


def checks(service):
    a = service.get("/readyz", key=None)
    return a.status, {c["name"]: c["ok"] for c in a.json["checks"]}


def nothing_failed(service):
    return service.one("SELECT COUNT(*) FROM document WHERE state = 'failed'") == 0 and \
        service.one("SELECT COUNT(*) FROM job WHERE state IN ('completed', 'failed', 'cancelled')") == 0


@pytest.mark.parametrize("how", ["shut", "500", "503-slow-down", "reset", "403", "stall"])
def test_a_service_waits_for_its_store(make_sim, make_service, proxied, proxy, how):
    """Down in the middle of the work: no document fails for it, and all goes on by itself."""
    sim = make_sim("--cases", 2, "--documents", 30, "--size", 2000, "--latency", 20)
    service = make_service(sim, store=proxied, **settings_for(how))
    cases = [c["number"] for c in sim.cases("?papers=0") if c["oddity"] == "plain"][:2]
    for n in cases:
        assert service.post(service.path(n, "jobs")).status == 202
    lib.until(lambda: len(crash.committed(service)) > 5, "some documents")
    proxy.shut() if how == "shut" else proxy.fault({**ONCE, **ALWAYS}[how]())
    lib.until(lambda: "storage trouble" in service.stderr(), "the store to be missed")
    status, found = checks(service)
    assert status == 503 and not found["store"] and found["database"] and found["worker"], found
    assert service.get("/livez", key=None).status == 200
    assert nothing_failed(service)
    for n in cases:
        assert service.status(n)["status"] in ("pending", "processing")
    stored, before = crash.committed(service), crash.fetches(sim)
    proxy.listen() if how == "shut" else proxy.calm()
    for n in cases:
        s = service.finished(n, timeout=2 * lib.PATIENCE)
        assert (s["outcome"], s["completed_documents"]) == ("complete", 30), s
    crash.check_not_asked_again(before, crash.fetches(sim), stored)
    lib.until(lambda: checks(service)[1]["store"], "the store to be well again")
    service.stop()
    if how == "stall":  # the last attempt to write may have come through without its answer
        proxied.client.delete_object(Bucket=proxied.name, Key=proxied.full("autos-probe/writable"))
    lib.check_invariants(service, sim)


def test_a_service_starts_without_its_store(make_sim, make_service, proxied, proxy):
    """Unready, taking requests; then the store is there."""
    sim = make_sim("--cases", 1, "--documents", 10, "--size", 2000)
    service = make_service(sim, store=proxied, start=False, **SHORT)
    proxy.shut()
    service.start()
    number = PLAIN[0]
    assert service.post(service.path(number, "jobs")).status == 202
    status, found = checks(service)
    assert status == 503 and not found["store"]
    assert nothing_failed(service)
    proxy.listen()
    assert service.finished(number)["outcome"] == "complete"
    lib.until(lambda: checks(service)[0] == 200, "it to be ready")
    service.stop()
    lib.check_invariants(service, sim)


def test_get_without_a_store(make_autos, proxied, proxy, sim):
    """One line, before the portal is asked for documents."""
    autos = make_autos(sim, store=proxied, **SHORT)
    proxy.shut()
    crash.check_error(autos.get(SMALL), says="cannot reach")
    assert sim.calls("binario") == 0
    proxy.listen()
    lib.expect_case(autos, sim, SMALL, autos.get(SMALL).status)


def test_the_store_goes_in_the_middle_of_a_get(make_sim, make_autos, proxied, proxy):
    sim = make_sim("--latency", 20)
    autos = make_autos(sim, store=proxied, **SHORT)
    p = autos.start_get(PLAIN[0])
    lib.until(lambda: len(crash.committed(autos)) > 5, "some documents")
    proxy.shut()
    result = autos.finish(p)
    crash.check_error(result, says="cannot reach")
    stored, before = crash.committed(autos), crash.fetches(sim)
    assert 5 < len(stored) < 40 and autos.one("SELECT COUNT(*) FROM document WHERE state = 'failed'") == 0
    proxy.listen()
    lib.expect_case(autos, sim, PLAIN[0], autos.get(PLAIN[0]).status)
    crash.check_not_asked_again(before, crash.fetches(sim), stored)
    lib.check_invariants(autos, sim)


def test_a_storm(make_sim, make_autos, proxied, proxy):
    """Everything at once, at random, for a whole case."""
    sim = make_sim("--cases", 1, "--documents", 120, "--size", 20000)
    autos = make_autos(sim, store=proxied, s3_retry_max=10, s3_low_speed_time="1s")
    autos.run("store", "check", check=0)
    for i, name in enumerate(("reset", "drop", "lose", "cut-head", "500", "503-slow-down", "502", "corrupt-upload", "etag")):
        for k in range(3):
            proxy.fault(ONCE[name](), "PUT", OBJECT, nth=2 + 4 * i + 2 * k, times=1)
    lib.expect_case(autos, sim, PLAIN[0], autos.get(PLAIN[0]).status)
    assert len([e for e in proxy.log if e.fault]) >= 20
    lib.check_invariants(autos, sim)
    assert "120 good, 0 bad" in autos.run("verify", "--all", check=0).out
