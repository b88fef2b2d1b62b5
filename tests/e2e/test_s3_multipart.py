"""Documents in parts: whole in the end, whatever happens between the first part and the last word; parts that
S3 has are not sent again, and none stays behind."""

import collections
import hashlib
import re
import signal
import time
import urllib.parse

import pytest

import crash
import lib
import s3fault

NUMBER = lib.number_of("plain")
PART = 5 << 20
PARTS = {"s3_multipart_from": "5M", "s3_part_size": "5M", "s3_part_parallel": 2, "portal_timeout": "60s"}
QUICK = {**PARTS, "s3_low_speed_time": "1s", "s3_retry_max": 2}
BEGIN = r"\?uploads(=|$)"
UPLOAD = r"partNumber="
COMPLETE = r"\?uploadId="


def query(entry):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(entry.target).query, keep_blank_values=True))


def sent(proxy, good=True):
    """{(key, part): how often its bytes were sent and taken}."""
    return collections.Counter((e.target.split("?")[0], int(query(e)["partNumber"])) for e in proxy.requests("PUT", UPLOAD)
                               if e.status == 200 or not good)


def parts_of(size):
    return -(-size // PART)


@pytest.fixture
def large(make_sim):
    """A case of one document of 22 MB, five parts of 5 MiB."""
    return make_sim("--cases", 1, "--documents", 1, "--size", 22_000_000)


@pytest.fixture
def medium(make_sim):
    """A case of one document of 13 MB, three parts."""
    return make_sim("--cases", 1, "--documents", 1, "--size", 13_000_000)


def the_paper(sim):
    [paper] = sim.case(NUMBER)["papers"]
    return paper


def finish(autos, sim, result=None):
    assert result is None or result.status == 0, result
    lib.expect_case(autos, sim, NUMBER)
    lib.check_invariants(autos, sim)
    autos.run("verify", "--all", check=0)
    assert autos.store.uploads() == []


# ---- when nothing goes wrong ----


def test_large_documents_go_in_parts(make_sim, make_autos, proxied, proxy):
    sim = make_sim("--cases", 1, "--documents", 4, "--size", 12_000_000)
    autos = make_autos(sim, store=proxied, **PARTS)
    autos.run("store", "check", check=0)
    proxy.forget()
    finish(autos, sim, autos.get(NUMBER))
    papers = sim.case(NUMBER)["papers"]
    assert set(sent(proxy).values()) == {1}
    assert len(sent(proxy)) == sum(parts_of(p["size"]) for p in papers) >= 12
    for e in proxy.requests("PUT", UPLOAD):
        assert re.fullmatch("[0-9a-f]{64}", e.headers["x-amz-content-sha256"]) and re.fullmatch(r"\S{22}==", e.headers["content-md5"])
        assert int(e.headers["content-length"]) <= PART
    assert len(proxy.requests("POST", BEGIN)) == len(proxy.requests("POST", COMPLETE)) == 4
    for d in autos.manifest(NUMBER)["documents"]:
        head = proxied.head(d["object_key"])
        assert head["ETag"].endswith(f'-{parts_of(d["size"])}"')
        assert (head["ContentType"], head["Metadata"]["sha256"]) == (d["mime_type"], d["sha256"]) and head["ContentDisposition"]


@pytest.mark.parametrize("size, parts", [(PART, 0), (PART + 1, 2), (2 * PART, 2), (2 * PART + 1, 3)])
def test_where_parts_begin(make_autos, proxied, proxy, make_sim, place, size, parts):
    """The limit itself goes whole; the last part may be a byte."""
    body = b"%PDF-1.4\n" + bytes(hashlib.sha256(b"x").digest()) * (size // 32)
    body = body[:size - 7] + b"\n%%EOF\n"
    path = place / "body.pdf"
    path.write_bytes(body)
    sim = make_sim("--cases", 1, "--documents", 1, script=f"binario type=application/pdf body-file={path}\n")
    autos = make_autos(sim, store=proxied, **PARTS)
    autos.get(NUMBER, check=0)
    [d] = autos.manifest(NUMBER)["documents"]
    assert (d["size"], d["sha256"]) == (size, lib.sha256(body))
    assert len(sent(proxy)) == parts
    assert proxied.read(d["object_key"]) == body
    lib.check_invariants(autos)


@pytest.mark.parametrize("most", [1, 4])
def test_parts_at_once(make_autos, large, proxied, proxy, most):
    autos = make_autos(large, store=proxied, **{**PARTS, "s3_part_parallel": most})
    proxy.fault(s3fault.slow(0.3), "PUT", UPLOAD)
    autos.run("store", "check", check=0)
    proxy.forget()
    finish(autos, large, autos.get(NUMBER))
    assert proxy.parallel == most


# ---- kill -9 ----

# Where the program is held when it dies: (method, path, which request, before or after the server has it).
PLACES = {
    "before the upload has begun": ("POST", BEGIN, 1, s3fault.stall),
    "when it has begun": ("POST", BEGIN, 1, s3fault.stall_reply),
    "at the first part": ("PUT", UPLOAD, 1, s3fault.stall),
    "in the middle": ("PUT", UPLOAD, 3, s3fault.stall),
    "in the middle, unknown": ("PUT", UPLOAD, 3, s3fault.stall_reply),
    "at the last part": ("PUT", UPLOAD, 5, s3fault.stall),
    "before the last word": ("POST", COMPLETE, 1, s3fault.stall),
    "after the last word": ("POST", COMPLETE, 1, s3fault.stall_reply),
}


@pytest.mark.parametrize("where", PLACES)
def test_killed_in_an_upload(make_autos, large, proxied, proxy, where):
    """The same command goes on: no part that is there is sent again, no upload stays behind."""
    method, path, nth, fault = PLACES[where]
    autos = make_autos(large, store=proxied, **{**PARTS, "s3_part_parallel": 1})
    held = proxy.fault(fault(), method, path, nth=nth)
    p = autos.start_get(NUMBER)
    lib.until(lambda: held.fault.held, where)
    there = sent(proxy)
    p.kill()
    autos.finish(p)
    held.release()
    lib.until(lambda: proxy.active == 0, "the proxy to see it")
    assert len(crash.committed(autos)) == 0
    lib.check_invariants(autos, large, clean=False)
    before = dict(sent(proxy))
    proxy.forget()
    finish(autos, large, autos.get(NUMBER))
    assert set(there) <= set(before)
    again = sent(proxy)
    total = parts_of(the_paper(large)["size"])
    assert total == 5
    if where == "after the last word":
        assert not again, "it was whole already"
    else:
        assert {n for _, n in again} == set(range(1, total + 1)) - {n for _, n in before}, (before, again)
    assert len(proxied.keys()) == 1


def test_killed_again_and_again(make_autos, large, proxied, proxy):
    """At each part once: together every part was sent once."""
    autos = make_autos(large, store=proxied, **{**PARTS, "s3_part_parallel": 1})
    total = parts_of(the_paper(large)["size"])
    for _ in range(total):
        held = proxy.fault(s3fault.stall(), "PUT", UPLOAD, nth=2)
        p = autos.start_get(NUMBER)
        lib.until(lambda: held.fault.held or p.poll() is not None, "the second part of this run")
        ended = p.poll() is not None
        p.kill()
        result = autos.finish(p)
        held.release()
        lib.until(lambda: proxy.active == 0, "the proxy to see it")
        if ended:
            assert result.status == 0, result
            break
        lib.check_invariants(autos, large, clean=False)
    finish(autos, large, autos.get(NUMBER))
    assert {n for _, n in sent(proxy)} == set(range(1, total + 1)) and max(sent(proxy).values()) == 1


@pytest.mark.parametrize("sig", ["INT", "TERM"])
def test_stopped_in_an_upload(make_autos, large, proxied, proxy, sig):
    """In order, it may leave the upload for the next start, or take it away; nothing stays in the end."""
    autos = make_autos(large, store=proxied, **{**PARTS, "s3_low_speed_time": "1s", "s3_retry_max": 1})
    held = proxy.fault(s3fault.stall(), "PUT", UPLOAD, nth=3)
    p = autos.start_get(NUMBER)
    lib.until(lambda: held.fault.held, "the third part")
    p.send_signal(getattr(signal, "SIG" + sig))
    held.release()
    result = autos.finish(p)
    assert result.status in (0, 128 + getattr(signal, "SIG" + sig)), result
    lib.check_invariants(autos, large, clean=False)
    finish(autos, large, autos.get(NUMBER))


# ---- uploads of others ----


def begun(bucket, key, *bodies, sha=None):
    """An upload with these parts, as somebody left it."""
    meta = {"Metadata": {"sha256": sha}} if sha else {}
    up = bucket.client.create_multipart_upload(Bucket=bucket.name, Key=key, **meta)["UploadId"]
    for n, body in enumerate(bodies, 1):
        if body is not None:
            bucket.client.upload_part(Bucket=bucket.name, Key=key, UploadId=up, PartNumber=n, Body=body)
    return up


@pytest.fixture
def known(medium):
    """(key, bytes) of the document."""
    ident = the_paper(medium)["ids"][0]
    body = medium.document(NUMBER, ident)
    medium.reset()
    return f"processos/{lib.digits(NUMBER)}/documentos/{ident}.pdf", body


@pytest.mark.parametrize("what", ["ours", "a hole", "one wrong", "all wrong", "longer parts", "shorter parts", "more parts", "nothing"])
def test_parts_that_are_there(make_autos, medium, proxied, proxy, known, what):
    """Those that are ours stay; what is not ours never becomes a part of the document."""
    key, body = known
    ours = [body[at:at + PART] for at in range(0, len(body), PART)]
    wrong = bytes(PART)
    parts = {
        "ours": ours[:2], "a hole": [ours[0], None, ours[2]], "one wrong": [ours[0], wrong, ours[2]], "all wrong": [wrong] * 3,
        "longer parts": [body[:6 << 20], body[6 << 20:]], "shorter parts": [body[at:at + (1 << 20)] for at in range(0, len(body), 1 << 20)][:4],
        "more parts": ours + [b"one too many"], "nothing": [],
    }[what]
    begun(proxied, proxied.full(key), *parts, sha=lib.sha256(body))
    autos = make_autos(medium, store=proxied, **PARTS)
    finish(autos, medium, autos.get(NUMBER))
    assert proxied.read(key) == body
    if what in ("ours", "a hole"):
        kept = {n for n, p in enumerate(parts, 1) if p is not None}
        assert {n for _, n in sent(proxy)} == set(range(1, len(ours) + 1)) - kept


def completed(bucket, key, body, part, sha):
    """An object of these bytes in parts of this length, described as that of others."""
    bodies = [body[at:at + part] for at in range(0, len(body), part)]
    up = begun(bucket, key, *bodies, sha=sha)
    tags = bucket.client.list_parts(Bucket=bucket.name, Key=key, UploadId=up)["Parts"]
    bucket.client.complete_multipart_upload(
        Bucket=bucket.name, Key=key, UploadId=up, MultipartUpload={"Parts": [{k: t[k] for k in ("PartNumber", "ETag")} for t in tags]})


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "others"])
@pytest.mark.parametrize("etag", ["our parts", "other parts", "opaque", "none"])
def test_what_a_description_says_is_no_proof(make_autos, medium, proxied, proxy, known, etag, ours):
    """An object that was completed for other bytes than its upload was begun for: read back where its ETag does not tell."""
    key, body = known
    there = body if ours else body[:-7] + b"%%eof\r\n"
    completed(proxied, proxied.full(key), there, (6 << 20) if etag == "other parts" else PART, lib.sha256(body))
    if etag in ("opaque", "none"):
        proxy.fault(s3fault.header("ETag", '"CJ3oz8XkAA="') if etag == "opaque" else s3fault.no_etag(), "HEAD", "/documentos/", times=1)
    autos = make_autos(medium, store=proxied, **PARTS)
    result = autos.get(NUMBER, "--no-folder")
    assert result.status == 0, result
    read = len(proxy.requests("GET", r"/documentos/[^?]*$"))
    assert read == (0 if etag == "our parts" and ours else 1)
    if ours:
        assert sent(proxy) == {} and proxied.keys() == [key]
    else:
        stem, dot, ext = key.rpartition(".")
        assert proxied.read(f"{stem}-{lib.sha256(body)[:8]}{dot}{ext}") == body and proxied.read(key) == there
    finish(autos, medium, autos.get(NUMBER))


@pytest.mark.parametrize("fault", [lambda: s3fault.header("ETag", '"CJ3oz8XkAA="'), s3fault.no_etag], ids=["opaque", "none"])
def test_objects_whose_etag_does_not_tell(make_autos, medium, proxied, proxy, fault):
    """Of parts it does: nothing is sent twice, nothing read back."""
    autos = make_autos(medium, store=proxied, **PARTS)
    proxy.fault(fault(), "HEAD", "/documentos/")
    result = autos.get(NUMBER, "--no-folder")
    assert result.status == 0 and set(sent(proxy).values()) == {1} and proxy.requests("GET", r"/documentos/[^?]*$") == [], result
    finish(autos, medium, autos.get(NUMBER))


def test_two_uploads_of_one_key(make_autos, medium, proxied, known):
    key, body = known
    for _ in range(3):
        begun(proxied, proxied.full(key), body[:PART])
    autos = make_autos(medium, store=proxied, **PARTS)
    autos.get(NUMBER, check=0)
    assert proxied.read(key) == body and lib.expect_case(autos, medium, NUMBER)


@pytest.mark.parametrize("age, gone", [("1s", True), ("1d", False), ("0", False)])
def test_orphans_are_swept(make_service, proxied, sim, age, gone):
    """What nobody goes on with is taken away after s3_orphan_age; only below our prefix, and nothing else."""
    ours = proxied.full("processos/00000013920248260100/documentos/left.pdf")
    keys = [ours, "processos/elsewhere.pdf", proxied.prefix + "-other/x.pdf"]
    for key in keys:
        begun(proxied, key, b"left behind")
    proxied.client.put_object(Bucket=proxied.name, Key=proxied.full("processos/1/documentos/kept.pdf"), Body=b"x")
    age_s = time.monotonic() + 1.1
    lib.until(lambda: time.monotonic() > age_s, "a second to pass", every=0.1)
    service = make_service(sim, store=proxied, s3_orphan_age=age)
    if gone:
        lib.until(lambda: ours not in [key for key, _ in proxied.uploads()], "the orphan to go")
    service.get(service.path(lib.number_of("detail-array")))
    service.finished(lib.number_of("detail-array"))
    assert sorted(key for key, _ in proxied.uploads()) == sorted(keys[1:] if gone else keys)
    assert proxied.read("processos/1/documentos/kept.pdf") == b"x"


def test_orphans_of_others_stay(make_service, make_bucket, sim):
    """Without a prefix the bucket is shared with whoever else has uploads under way."""
    bucket = make_bucket("")
    ours, others = "processos/00000013920248260100/documentos/left.pdf", ["backups/of-somebody-else.tar", "processos.pdf"]
    for key in (ours, *others):
        begun(bucket, key, b"left behind")
    age_s = time.monotonic() + 1.1
    lib.until(lambda: time.monotonic() > age_s, "a second to pass", every=0.1)
    service = make_service(sim, store=bucket, s3_orphan_age="1s")
    lib.until(lambda: ours not in [key for key, _ in bucket.uploads()], "the orphan to go")
    service.stop()
    assert sorted(key for key, _ in bucket.uploads()) == sorted(others)


def test_more_orphans_than_a_page(make_service, bucket, sim):
    keys = {bucket.full(f"processos/00000013920248260100/documentos/left{n}.pdf") for n in range(1050)}
    for key in keys:
        begun(bucket, key)
    age_s = time.monotonic() + 1.1
    lib.until(lambda: time.monotonic() > age_s, "a second to pass", every=0.1)
    make_service(sim, store=bucket, s3_orphan_age="1s")
    lib.until(lambda: bucket.uploads() == [], "all to go")


# ---- faults ----


ONCE = {
    "reset": s3fault.reset, "refuse": s3fault.refuse, "lose": s3fault.lose, "cut-head": lambda: s3fault.cut(0),
    "500": lambda: s3fault.answer(500, "InternalError"), "503-slow-down": lambda: s3fault.answer(503, "SlowDown"),
    "stall": s3fault.stall, "etag": s3fault.etag,
}
STEPS = {"begin": ("POST", BEGIN), "part": ("PUT", UPLOAD), "complete": ("POST", COMPLETE)}
MORE = [("drop", "part", s3fault.drop), ("corrupt-upload", "part", s3fault.corrupt_upload),
        ("bad-digest", "part", lambda: s3fault.answer(400, "BadDigest")), ("200-error", "complete", lambda: s3fault.answer(200, "InternalError")),
        ("cut", "complete", lambda: s3fault.cut(30)), ("cut", "begin", lambda: s3fault.cut(80))]
# To put the parts together may take a server minutes, so it is given them. A begin that is held back may begin an upload
# when all is over: that is for the sweep.
EACH = [(f"{fault} at {step}", step, make) for fault, make in ONCE.items() for step in STEPS
        if (fault, step) not in (("stall", "complete"), ("stall", "begin"))] + \
       [(f"{fault} at {step}", step, make) for fault, step, make in MORE]


@pytest.mark.parametrize("step, make", [e[1:] for e in EACH], ids=[e[0] for e in EACH])
def test_once(make_autos, medium, proxied, proxy, step, make):
    autos = make_autos(medium, store=proxied, **{**QUICK, "s3_retry_max": 4})
    rule = proxy.fault(make(), *STEPS[step], times=1)
    result = autos.get(NUMBER)
    rule.release()
    assert rule.hits == 1
    finish(autos, medium, result)


@pytest.mark.parametrize("method, path, nth", [("PUT", UPLOAD, 2), ("POST", COMPLETE, 1)], ids=["part", "complete"])
def test_somebody_takes_the_upload_away(make_autos, medium, proxied, proxy, method, path, nth):
    """As a lifecycle rule of the bucket would. Of an upload that is gone radosgw says that it is being completed, for ever."""
    autos = make_autos(medium, store=proxied, **{**PARTS, "s3_part_parallel": 1})
    held = proxy.fault(s3fault.stall(), method, path, nth=nth, times=1)
    p = autos.start_get(NUMBER)
    lib.until(lambda: held.fault.held, "the upload")
    [(key, upload)] = proxied.uploads()
    proxied.client.abort_multipart_upload(Bucket=proxied.name, Key=key, UploadId=upload)
    held.release()
    result = autos.finish(p)
    if method == "POST" and result.status:
        crash.check_error(result, says="already in progress")
        result = autos.get(NUMBER)
    finish(autos, medium, result)


@pytest.mark.parametrize("name, step", [
    *((name, step) for name in ("500", "503-slow-down", "etag", "403") for step in ("part", "complete")),
    ("200-error", "complete"), ("corrupt", "part")])
def test_never(make_autos, medium, proxied, proxy, step, name):
    """Nothing is called stored, and there is one line. What may pass leaves the parts for the next start, what will
    not takes them away."""
    make = {**ONCE, "403": lambda: s3fault.answer(403, "AccessDenied"), "200-error": lambda: s3fault.answer(200, "InternalError"),
            "corrupt": s3fault.corrupt_upload}[name]
    autos = make_autos(medium, store=proxied, **QUICK)
    rule = proxy.fault(make(), *STEPS[step])
    if name == "etag":  # what asks about it afterwards gets no better answer
        proxy.fault(make())
    crash.check_error(autos.get(NUMBER))
    assert crash.committed(autos) == set() and rule.hits
    assert autos.one("SELECT COUNT(*) FROM document WHERE state = 'failed'") == 0
    if name == "403":
        assert proxied.uploads() == [], "the upload was not aborted"
    lib.check_invariants(autos, medium, clean=False)
    proxy.calm()
    finish(autos, medium, autos.get(NUMBER))
    if step == "complete" and name != "403" and name != "etag":
        assert set(sent(proxy).values()) == {1}, "parts that were there were sent again"


@pytest.mark.parametrize("name", ["reset", "cut", "500", "stall-reply", "corrupt"])
@pytest.mark.parametrize("times", [1, None], ids=["once", "always"])
def test_reading_meets_it(make_autos, medium, proxied, proxy, name, times):
    """Large objects on their way back: whole and right, or not at all."""
    autos = make_autos(medium, store=proxied, **QUICK)
    autos.get(NUMBER, check=0)
    make = {**ONCE, "cut": lambda: s3fault.cut(7_000_000), "stall-reply": lambda: s3fault.stall_reply(7_000_000),
            "corrupt": s3fault.corrupt_download}[name]
    rule = proxy.fault(make(), "GET", "/documentos/", times=times)
    result = autos.run("verify", "--all")
    assert rule.hits
    if times:
        assert result.status in (0, 3) and (result.status == 0 or name == "corrupt"), result
    else:
        # Each try goes on where the last one ended, so what only breaks may come to its end.
        assert (result.status == 0) <= (name in ("cut", "stall-reply")), result
        assert ("DAMAGED" in result.out) == (name == "corrupt"), result
    rule.release()
    finish(autos, medium)


# ---- memory ----


def peak(pid):
    """The most that was ever resident, in bytes."""
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmHWM:\s+(\d+) kB", f.read())[1]) << 10


@pytest.mark.skipif(bool(crash.SANITIZER), reason="sanitizers take several times the memory")
def test_300_mb_in_64_mb(make_sim, make_service, bucket):
    """Fetched, stored in parts of the default size, read back, written into the folder for people."""
    sim = make_sim()
    number = lib.number_of("big-document")
    service = make_service(sim, store=bucket, portal_timeout="120s", s3_low_speed_time="30s")
    service.post(service.path(number, "jobs"), {})
    s = service.finished(number, timeout=5 * lib.PATIENCE)
    assert s["outcome"] == "complete" and max(d["size"] for d in s["documents"]) > 297_000_000
    assert peak(service.process.pid) < 64 << 20
    service.stop()
    lib.check_invariants(service, sim)
    for args in (("verify", "--all"), ("get", "-o", service.out, "--max-age", "1d", number)):
        p, most = service.popen(*args), [0]

        def over():
            try:
                most[0] = max(most[0], peak(p.pid))
            except (OSError, TypeError):  # it is over
                pass
            return p.poll() is not None

        lib.until(over, f"{args[0]} to end", every=0.02)
        service.finish(p, check=0)
        assert 0 < most[0] < 64 << 20, args[0]
    lib.check_invariants(service, sim)
