"""Documents in S3: what lies in the bucket, who can read it, what the program says of the store."""

import os
import re
import struct
import subprocess
import urllib.parse

import pytest

import crash
import lib
import rados
import s3fault
from commands import PLAIN, SMALL, one_line

KINDS, WILD, SAME = map(lib.number_of, ("kinds", "names-wild", "same-content"))
AWS = "/usr/bin/aws"  # Debian's


def file_name(disposition):
    """The name that a browser would take (RFC 6266, 4.3)."""
    found = re.fullmatch(r"attachment(?:; *filename=\"([ !#-\[\]-~]*)\")?(?:; *filename\*=UTF-8''([!#$&+.^_`|~0-9A-Za-z%-]+))?", disposition)
    assert found and (found[1] or found[2]), disposition
    return urllib.parse.unquote(found[2], errors="strict") if found[2] else found[1]


def available(manifest):
    return [d for d in manifest["documents"] if d["status"] == "available"]


# ---- what lies there ----


@pytest.mark.parametrize("prefix", ["", "autos", "a/deep.er/pre-fix_1"])
def test_objects_tell_what_they_are(make_autos, make_bucket, sim, prefix):
    bucket = make_bucket(prefix)
    autos = make_autos(sim, store=bucket)
    for number in (KINDS, WILD):
        m = lib.expect_case(autos, sim, number, autos.get(number).status)
        for d in available(m):
            assert re.fullmatch(rf"processos/{lib.digits(number)}/documentos/[A-Za-z0-9._-]+", d["object_key"])
            head = bucket.head(d["object_key"])
            assert head["ContentType"] == d["mime_type"]
            assert head["Metadata"] == {"sha256": d["sha256"]}
            assert head["ContentLength"] == d["size"]
            name = file_name(head["ContentDisposition"])
            assert not re.search(r"[/\\\0-\x1f\x7f]", name) and len(name.encode()) <= 255 and name not in (".", "..")
            assert os.path.splitext(name)[1] == os.path.splitext(d["object_key"])[1]
            if d["file"]:  # numbers in front may change, and so do those that tell equal names apart
                assert name.rsplit(".", 1)[0][5:8] == d["file"].rsplit(".", 1)[0][5:8]
    assert set(bucket.keys()) == {d["object_key"] for number in (KINDS, WILD) for d in available(autos.manifest(number))}
    lib.check_invariants(autos, sim)


def test_equal_content_is_one_object(make_autos, bucket, sim):
    autos = make_autos(sim, store=bucket)
    m = lib.expect_case(autos, sim, SAME, autos.get(SAME).status)
    assert len(bucket.keys()) == m["totals"]["objects"] == len(m["documents"]) - 3
    assert len({d["object_key"] for d in m["documents"]}) == len({d["sha256"] for d in m["documents"]})


def test_cases_share_nothing(make_autos, bucket, sim):
    """So that one can be erased."""
    autos = make_autos(sim, store=bucket)
    autos.get(SMALL, SAME, check=0)
    for number in (SMALL, SAME):
        assert all(f"/{lib.digits(number)}/" in d["object_key"] for d in available(autos.manifest(number)))


def test_small_documents_are_one_request_each(make_autos, proxied, proxy, sim):
    """After the probe: no question before a put, none after it."""
    autos = make_autos(sim, store=proxied)
    autos.get(SMALL, check=0)
    proxy.forget()
    autos.get(PLAIN[0], check=0)
    papers = sim.case(PLAIN[0])["papers"]
    puts = proxy.requests("PUT")
    assert len(puts) == len({p["sha256"] for p in papers}) == 40
    assert proxy.requests("HEAD") == [] and proxy.requests("POST") == []
    for e in puts:
        sent = e.headers
        assert re.fullmatch("[0-9a-f]{64}", sent["x-amz-content-sha256"]), "the body is not signed"
        assert sent["x-amz-content-sha256"] == sent["x-amz-meta-sha256"]
        assert re.fullmatch(r"[A-Za-z0-9+/]{22}==", sent["content-md5"])
        assert sent["if-none-match"] == "*"
        assert sent["host"] == f"127.0.0.1:{proxy.port}" and "transfer-encoding" not in sent
        signed = re.search(r"SignedHeaders=([^,]+)", sent["authorization"])[1].split(";")
        assert {"host", "x-amz-date", "x-amz-content-sha256", "x-amz-meta-sha256"} <= set(signed)
    assert len({e.connection for e in puts}) < len(puts), "no connection was used twice"


# ---- what is there already ----


def foreign(bucket, key, data, sha=None):
    meta = {"sha256": sha} if sha else {}
    bucket.client.put_object(Bucket=bucket.name, Key=bucket.full(key), Body=data, Metadata=meta)
    return bucket.head(key)


@pytest.fixture
def known(make_autos, make_bucket, sim):
    """{key: bytes} of a case, as another bucket got them."""
    autos = make_autos(sim, store=make_bucket())
    autos.get(SMALL, check=0)
    return {key: autos.store.read(key) for key in autos.store.keys()}


def test_what_is_there_is_not_sent_again(make_autos, bucket, sim, known):
    """Equal objects, of a run whose database was lost: adopted, and not written over."""
    before = {key: foreign(bucket, key, data, lib.sha256(data)) for key, data in known.items()}
    autos = make_autos(sim, store=bucket)
    lib.expect_case(autos, sim, SMALL, autos.get(SMALL).status)
    assert bucket.keys() == sorted(known)
    assert {key: bucket.head(key)["LastModified"] for key in known} == {k: h["LastModified"] for k, h in before.items()}
    lib.check_invariants(autos, sim)


@pytest.mark.parametrize("other", ["bytes", "same size", "no hash", "lie", "good lie"])
def test_others_are_never_overwritten(make_autos, bucket, sim, known, other):
    """Something else has the name: ours gets another one, with a part of its hash."""
    key, right = sorted(known.items())[2]
    data = {"bytes": b"not ours", "same size": bytes(len(right)), "no hash": b"x", "lie": b"x" * (len(right) + 1),
            "good lie": right[:-1] + b"x"}[other]
    foreign(bucket, key, data, {"no hash": None, "lie": lib.sha256(right), "good lie": lib.sha256(right)}.get(other, lib.sha256(data)))
    autos = make_autos(sim, store=bucket)
    m = lib.expect_case(autos, sim, SMALL, autos.get(SMALL).status)
    assert bucket.read(key) == data
    stem, ext = os.path.splitext(key)
    mine = f"{stem}-{lib.sha256(right)[:8]}{ext}"
    assert mine in [d["object_key"] for d in m["documents"]] and key not in [d["object_key"] for d in m["documents"]]
    assert bucket.read(mine) == right
    lib.check_invariants(autos, sim)
    autos.run("verify", "--all", check=0)


def test_two_programs_one_bucket(make_sim, make_autos, bucket):
    """Who comes second to a key finds it taken by equal bytes, and both have their case."""
    sims = [make_sim("--latency", 5) for _ in range(2)]
    both = [make_autos(sim, store=bucket, portal_parallel=10) for sim in sims]
    runs = [autos.start_get(PLAIN[0]) for autos in both]
    for autos, sim, p in zip(both, sims, runs):
        autos.finish(p, check=0)
        lib.expect_case(autos, sim, PLAIN[0])
        lib.check_invariants(autos, sim)
    assert len(bucket.keys()) == both[0].manifest(PLAIN[0])["totals"]["objects"]


def test_a_server_without_conditions(make_autos, proxied, proxy, sim):
    """Some refuse If-None-Match as not implemented: found by the probe, and done without."""
    proxy.fault(s3fault.answer(501, "NotImplemented"), "PUT", when=lambda e: "if-none-match" in e.headers)
    autos = make_autos(sim, store=proxied)
    lib.expect_case(autos, sim, SMALL, autos.get(SMALL).status)
    assert all("if-none-match" not in e.headers for e in proxy.requests("PUT", "/documentos/"))
    lib.check_invariants(autos, sim)


# ---- others read it ----


def run_tool(*args, place, **env):
    clean = lib.environment(HOME=place, **env)
    p = subprocess.run([*map(str, args)], cwd=place, env=clean, capture_output=True, text=True, timeout=lib.PATIENCE)
    assert p.returncode == 0, (args, p.stdout[-2000:], p.stderr[-2000:])
    return p.stdout


def by_aws(bucket, into):
    a = bucket.account
    run_tool(AWS, "--endpoint-url", bucket.endpoint, "s3", "cp", "--recursive", "--no-progress",
             f"s3://{bucket.name}/{bucket.prefix}/", into, place=into, AWS_ACCESS_KEY_ID=a.access, AWS_SECRET_ACCESS_KEY=a.secret,
             AWS_DEFAULT_REGION=rados.REGION)


def by_s3cmd(bucket, into):
    host = bucket.endpoint.removeprefix("http://")
    (into / ".s3cfg").write_text(f"[default]\naccess_key = {bucket.account.access}\nsecret_key = {bucket.account.secret}\n"
                                 f"host_base = {host}\nhost_bucket = {host}\nuse_https = False\n")
    run_tool("s3cmd", "-c", into / ".s3cfg", "get", "--recursive", f"s3://{bucket.name}/{bucket.prefix}/", into, place=into)
    (into / ".s3cfg").unlink()


def by_rclone(bucket, into):
    run_tool("rclone", "copy", "--s3-no-check-bucket", f"s3:{bucket.name}/{bucket.prefix}", into, place=into,
             RCLONE_CONFIG=into / "none.conf", RCLONE_CONFIG_S3_TYPE="s3", RCLONE_CONFIG_S3_PROVIDER="Ceph",
             RCLONE_CONFIG_S3_ENDPOINT=bucket.endpoint, RCLONE_CONFIG_S3_ACCESS_KEY_ID=bucket.account.access,
             RCLONE_CONFIG_S3_SECRET_ACCESS_KEY=bucket.account.secret)


@pytest.mark.parametrize("tool", [by_aws, by_s3cmd, by_rclone], ids=lambda f: f.__name__[3:])
def test_others_read_equal_bytes(make_autos, bucket, sim, place, tool):
    autos = make_autos(sim, store=bucket)
    for number in (KINDS, WILD, PLAIN[0]):
        autos.get(number)
    into = place / "read"
    into.mkdir()
    tool(bucket, into)
    true = {d["object_key"]: (d["size"], d["sha256"]) for number in (KINDS, WILD, PLAIN[0]) for d in available(autos.manifest(number))}
    found = {str(p.relative_to(into)): (p.stat().st_size, lib.sha256_file(p)) for p in into.rglob("*")
             if p.is_file() and "processos" in p.parts}
    assert found == true


def test_links_open_with_curl(make_service, bucket, sim, place):
    """As a person would: curl -OJ, no key, no header; the file has the name of the document."""
    service = make_service(sim, store=bucket)
    for number in (SMALL, WILD):
        service.get(service.path(number))
        service.finished(number)
    documents = [d for n in (SMALL, WILD) for d in service.get(service.path(n, "files?limit=500&filter_downloaded=true")).json["documents"]]
    assert len(documents) > 12
    plain = 0
    for i, d in enumerate(documents):
        into = place / f"file{i}"
        into.mkdir()
        subprocess.run(["curl", "-fsS", "-OJ", "--output-dir", into, "-D", into / "head", d["download_url"]], check=True,
                       env=lib.environment(), timeout=lib.PATIENCE)
        head = dict(line.split(": ", 1) for line in (into / "head").read_text().splitlines() if ": " in line)
        head = {k.lower(): v for k, v in head.items()}
        assert head["content-type"] == d["mime_type"]
        name = file_name(head["content-disposition"])
        (into / "head").unlink()
        [file] = into.iterdir()
        assert (file.stat().st_size, lib.sha256_file(file)) == (d["size"], d["sha256"])
        if name.isascii() and "%" not in name:
            plain += 1
            assert file.name == name.replace('"', ""), "curl saw another name"
    assert plain > 6


def test_links_are_presigned(make_service, bucket, sim):
    service = make_service(sim, store=bucket, link_ttl="7d")
    service.get(service.path(SMALL))
    service.finished(SMALL)
    d = service.get(service.path(SMALL, "files")).json["documents"][0]
    parts = urllib.parse.urlsplit(d["download_url"])
    query = dict(urllib.parse.parse_qsl(parts.query, strict_parsing=True))
    assert parts.path == f"/{bucket.name}/{bucket.full(d['s3_key'])}"
    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256" and query["X-Amz-SignedHeaders"] == "host"
    assert query["X-Amz-Credential"].startswith(bucket.account.access + "/") and "/us-east-1/s3/aws4_request" in query["X-Amz-Credential"]
    assert 6 * 86400 < int(query["X-Amz-Expires"]) <= 7 * 86400
    assert query["response-content-type"] == d["mime_type"] and file_name(query["response-content-disposition"])
    assert set(query) == {"X-Amz-Algorithm", "X-Amz-SignedHeaders", "X-Amz-Credential", "X-Amz-Expires", "X-Amz-Date", "X-Amz-Signature",
                          "response-content-type", "response-content-disposition"}
    for name, value in (("X-Amz-Signature", "0" * 64), ("X-Amz-Expires", "604000"), ("response-content-type", "text/html")):
        other = parts._replace(query=urllib.parse.urlencode({**query, name: value}, quote_via=urllib.parse.quote))
        assert service.fetch(other.geturl()).status == 403, name
    same = parts._replace(query=urllib.parse.urlencode(query, quote_via=urllib.parse.quote))
    assert service.fetch(same.geturl()).status == 200
    a = service.get(service.path(SMALL, "documents", d["id"], "content"), key="readonly")
    assert a.status == 302 and service.fetch(a.headers["Location"]).body == bucket.read(d["s3_key"])
    assert service.get("/files/" + d["s3_key"], key=None).status == 404


def test_links_end(make_service, bucket, sim, place):
    """Where our clock is wrong by a minute, so is the end of the link: S3 refuses it."""
    clock = place / "clock"
    clock.write_bytes(struct.pack("q", 0))
    service = make_service(sim, start=False, store=bucket, link_ttl="60s")
    service.start(env={**crash.preload(crash.CLOCK), "CLOCK_FILE": str(clock)})
    service.get(service.path(SMALL))
    service.finished(SMALL)
    assert service.fetch(service.status(SMALL)["documents"][0]["download_url"]).status == 200
    with open(clock, "r+b") as f:
        f.write(struct.pack("q", -120_000))
    service.post(service.path(SMALL, "jobs"), {"force_refresh": True})
    service.finished(SMALL)
    link = service.get(service.path(SMALL, "documents", service.status(SMALL)["documents"][0]["id"], "content"), key="readonly").headers["Location"]
    assert service.fetch(link).status == 403


def test_links_stay_equal_for_a_while(make_service, bucket, sim):
    """So that answers can be kept and ETags work."""
    service = make_service(sim, store=bucket)
    service.get(service.path(SMALL))
    service.finished(SMALL)
    a = service.get(service.path(SMALL, "status"))
    b = service.get(service.path(SMALL, "status"), headers={"If-None-Match": a.headers["ETag"]})
    assert b.status == 304 or b.json["documents"][0]["download_url"] != a.json["documents"][0]["download_url"]  # a step ended just now


# ---- erasing ----


def test_erasing_takes_objects_and_parts(make_service, bucket, sim):
    service = make_service(sim, store=bucket)
    for n in (SMALL, SAME):
        service.get(service.path(n))
        service.finished(n)
    mine, other = (bucket.full(f"processos/{lib.digits(n)}/documentos/begun.pdf") for n in (SMALL, SAME))
    for key in (mine, other):
        up = bucket.client.create_multipart_upload(Bucket=bucket.name, Key=key)["UploadId"]
        bucket.client.upload_part(Bucket=bucket.name, Key=key, UploadId=up, PartNumber=1, Body=b"x")
    kept = bucket.keys(f"processos/{lib.digits(SAME)}/")
    assert service.call("DELETE", service.path(SMALL), key="admin").status == 200
    assert bucket.gone(f"processos/{lib.digits(SMALL)}/")
    assert bucket.keys() == kept and [key for key, _ in bucket.uploads()] == [other]


def test_erasing_more_than_a_page_of_keys(make_sim, make_service, bucket):
    """A list of S3 ends after 1000."""
    sim = make_sim("--cases", 1, "--documents", 1100, "--size", 300)
    service = make_service(sim, store=bucket)
    service.post(service.path(PLAIN[0], "jobs"), {})
    service.finished(PLAIN[0])
    assert len(bucket.keys()) == 1100
    assert service.call("DELETE", service.path(PLAIN[0]), key="admin", timeout=lib.PATIENCE).status == 200
    assert bucket.everything() == {}


def listing(*keys):
    found = "".join(f"<Contents><Key>{key}</Key></Contents>" for key in keys)
    return s3fault.page(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>".encode())


def test_erasing_takes_no_word_for_others(make_service, proxied, proxy, sim):
    """A server that lists another case's object, or more than may be deleted at once."""
    service = make_service(sim, store=proxied)
    for n in (SMALL, SAME):
        service.get(service.path(n))
        service.finished(n)
    kept = proxied.keys(f"processos/{lib.digits(SAME)}/")
    proxy.fault(listing(proxied.full(proxied.keys()[0]), proxied.full(kept[0])), "GET", "list-type", times=1)
    a = service.call("DELETE", service.path(SMALL), key="admin")
    assert (a.status, a.problem) == (503, "storage-unavailable"), a
    assert proxied.keys(f"processos/{lib.digits(SAME)}/") == kept
    below = proxied.full(f"processos/{lib.digits(SAME)}/documentos/")
    proxy.fault(listing(*(f"{below}x{i}.pdf" for i in range(1001))), "GET", rf"list-type.*{lib.digits(SAME)}", times=1)
    assert service.call("DELETE", service.path(SAME), key="admin").status == 200
    assert proxied.gone(f"processos/{lib.digits(SAME)}/")


def test_erasing_where_uploads_cannot_be_listed(make_service, proxied, proxy, sim):
    proxy.fault(s3fault.answer(501, "NotImplemented"), "GET", r"[?&]uploads")
    service = make_service(sim, store=proxied)
    service.get(service.path(SMALL))
    service.finished(SMALL)
    assert service.call("DELETE", service.path(SMALL), key="admin").status == 200
    assert proxied.gone(f"processos/{lib.digits(SMALL)}/") and service.one("SELECT COUNT(*) FROM erasure") == 0


def test_erasing_goes_on_after_a_kill(make_sim, make_service, proxied, proxy):
    """The rows are gone, of the objects some or none: the next start erases the rest."""
    sim = make_sim("--cases", 1, "--documents", 12, "--size", 2000)
    service = make_service(sim, store=proxied)
    service.post(service.path(PLAIN[0], "jobs"), {})
    service.finished(PLAIN[0])
    held = [proxy.fault(s3fault.stall(), *what) for what in (("DELETE",), ("POST", r"\?delete"))]
    connection = service.connect()
    connection.request("DELETE", service.path(PLAIN[0]), headers=service.key_header("admin"))
    lib.until(lambda: any(rule.fault.held for rule in held), "the erasing")
    service.kill()
    connection.close()
    proxy.calm()
    assert service.one("SELECT number FROM erasure") == lib.digits(PLAIN[0])
    service.database.end_patience()
    service.start()
    lib.until(lambda: service.one("SELECT COUNT(*) FROM erasure") == 0, "the rest to be erased")
    assert proxied.gone(f"processos/{lib.digits(PLAIN[0])}/")
    service.post(service.path(PLAIN[0], "jobs"), {})
    assert service.finished(PLAIN[0])["completed_documents"] == 12


# ---- who we are to S3 ----


def test_session_tokens(make_service, proxied, proxy, sim):
    """Temporary credentials: the token goes with every request, is signed, and stands in links."""
    token = "FwoGZXIvYXdzEBYaD+/=" * 4
    service = make_service(sim, store=proxied, s3_session_token=token)
    service.get(service.path(SMALL))
    link = service.finished(SMALL)["documents"][0]["download_url"]
    for e in proxy.log:
        assert e.headers["x-amz-security-token"] == token
        assert "x-amz-security-token" in re.search(r"SignedHeaders=([^,]+)", e.headers["authorization"])[1].split(";")
    assert dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(link).query))["X-Amz-Security-Token"] == token
    assert service.fetch(link).status == 200
    service.stop()
    for text in service.captured:
        assert token not in text


def test_virtual_host_style(make_service, bucket, sim, place):
    """The bucket as a name before the endpoint's."""
    bucket.endpoint = f"http://localhost:{bucket.server.port}"
    service = make_service(sim, store=bucket, store_url=bucket.url(path_style=0))
    service.get(service.path(WILD))
    service.finished(WILD)
    documents = service.get(service.path(WILD, "files?limit=500&filter_downloaded=true")).json["documents"]
    for d in documents:
        parts = urllib.parse.urlsplit(d["download_url"])
        assert parts.netloc == f"{bucket.name}.localhost:{bucket.server.port}"
        assert parts.path == "/" + bucket.full(d["s3_key"])
        assert service.fetch(d["download_url"]).status == 200
    got = subprocess.run(["curl", "-fsS", documents[0]["download_url"]], capture_output=True, check=True, timeout=lib.PATIENCE,
                         env=lib.environment()).stdout
    assert lib.sha256(got) == documents[0]["sha256"]
    service.stop()
    lib.check_invariants(service, sim)


# ---- reading back ----


def test_verify_reads_in_parallel(make_autos, proxied, proxy, sim):
    autos = make_autos(sim, store=proxied)
    autos.get(*PLAIN[:2], check=0)
    proxy.forget()
    proxy.fault(s3fault.slow(0.05), "GET", "/documentos/")
    result = autos.run("verify", "--all", check=0)
    assert len(result.out.splitlines()) == 2 and "40 good, 0 bad" in result.out
    assert len(proxy.requests("GET", "/documentos/")) == 80 and 2 <= proxy.parallel <= 32


@pytest.mark.parametrize("fault, says", [
    (lambda: s3fault.answer(404, "NoSuchBucket"), "does not exist"), (lambda: s3fault.answer(407, None), "proxy"),
    (lambda: s3fault.answer(301, "PermanentRedirect"), "region"), (lambda: s3fault.answer(400, "AuthorizationHeaderMalformed"), "region"),
    (lambda: s3fault.answer(403, "AccessDenied"), "may not read"), (lambda: s3fault.answer(400, "InvalidRequest"), "InvalidRequest")])
def test_verify_where_nothing_can_be_read(make_autos, proxied, proxy, sim, fault, says):
    """Another bucket, proxy or key is no damage, and is said once."""
    autos = make_autos(sim, store=proxied)
    autos.get(SMALL, PLAIN[0], check=0)
    proxy.fault(fault(), "GET", "/documentos/")
    result = autos.run("verify", "--all")
    assert result.status == 1 and says in one_line(result.err), result
    assert re.fullmatch(r"\S+  NOT READ  0 good, 0 bad, 0 not stored, \d+ not read\n", result.out), result


def test_verify_without_the_permission_to_list(make_autos, proxied, proxy, sim):
    """Amazon then answers 403 for what is missing: it is missing, and named."""
    autos = make_autos(sim, store=proxied)
    proxy.fault(s3fault.answer(403, "AccessDenied"), "GET", "list-type")
    autos.get(SMALL, PLAIN[0], check=0)
    victim = available(autos.manifest(SMALL))[2]
    proxy.fault(s3fault.answer(403, "AccessDenied"), "GET", victim["object_key"])
    result = autos.run("verify", "--all")
    assert result.status == 3 and f"{SMALL}  DAMAGED  5 good, 1 bad, 0 not stored" in result.out, result
    assert victim["id"] in one_line(result.err) and "is missing" in result.err
    assert f"{PLAIN[0]}  ok  40 good" in result.out


def test_verify_of_a_store_that_is_away(make_autos, proxied, proxy, sim):
    """That is no damage."""
    autos = make_autos(sim, store=proxied)
    autos.get(SMALL, check=0)
    proxy.shut()
    result = autos.run("verify", "--all")
    assert result.status == 1 and "DAMAGED" not in result.out, result
    assert "cannot reach" in result.err
    proxy.listen()
    autos.run("verify", "--all", check=0)
