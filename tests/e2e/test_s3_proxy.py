"""The S3 server of the tests and the proxy before it, asked by a client that is not ours: what the other
tests believe of them."""

import contextlib
import email.utils
import http.client
import os
import signal
import subprocess
import sys
import threading
import urllib.parse
from pathlib import Path

import pytest

import lib
import rados
import s3fault
import stores

BODY = os.urandom(300_000)


@pytest.fixture(scope="module")
def bucket(s3):
    with contextlib.closing(stores.Bucket(s3, prefix="")) as b:
        yield b


class Asked:
    """What came back, or the exception."""

    def __init__(self, bucket, proxy, method, key, body=None, connection=None, **headers):
        put = method == "PUT"
        url = bucket.client.generate_presigned_url("put_object" if put else "get_object", {"Bucket": bucket.name, "Key": key})
        parts = urllib.parse.urlsplit(url)
        c = connection or http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=lib.PATIENCE)
        self.status = self.body = self.error = None
        try:
            c.request(method, f"{parts.path}?{parts.query}", body=body, headers={"Host": parts.netloc, **headers})
            r = c.getresponse()
            self.status, self.headers = r.status, r.headers
            self.body = r.read()
        except (OSError, http.client.HTTPException) as e:
            self.error = e
        finally:
            if connection is None:
                c.close()

    def __repr__(self):
        return f"<{self.status} {self.error!r}>"


def test_nothing_is_changed(bucket, proxy):
    """Signed requests reach the server as they are, several on one connection."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", proxy.port)) as c:
        for n in range(3):
            assert Asked(bucket, proxy, "PUT", f"plain{n}", BODY, connection=c).status == 200
            assert Asked(bucket, proxy, "GET", f"plain{n}", connection=c).body == BODY
    assert [e.method for e in proxy.log] == ["PUT", "GET"] * 3 and len({e.connection for e in proxy.log}) == 1
    assert [e.sent for e in proxy.requests("PUT")] == [len(BODY)] * 3
    assert {e.status for e in proxy.log} == {200} and proxy.parallel == 1
    assert bucket.read("plain2") == BODY


def test_lists_and_parts_pass(bucket, s3, proxy):
    """Answers in chunks, and every kind of request that boto3 makes."""
    import boto3
    from botocore.config import Config

    client = boto3.client("s3", endpoint_url=proxy.url, aws_access_key_id=s3.owner.access, aws_secret_access_key=s3.owner.secret,
                          region_name=rados.REGION, config=Config(s3={"addressing_style": "path"}, proxies={}))
    up = client.create_multipart_upload(Bucket=bucket.name, Key="parts")["UploadId"]
    parts = []
    for n, data in enumerate([BODY * 20, BODY], 1):
        tag = client.upload_part(Bucket=bucket.name, Key="parts", UploadId=up, PartNumber=n, Body=data)["ETag"]
        parts.append({"PartNumber": n, "ETag": tag})
    assert [(u["UploadId"]) for u in client.list_multipart_uploads(Bucket=bucket.name)["Uploads"]] == [up]
    assert bucket.uploads() == [("parts", up)] and bucket.leftovers()
    client.complete_multipart_upload(Bucket=bucket.name, Key="parts", UploadId=up, MultipartUpload={"Parts": parts})
    assert "parts" in [o["Key"] for o in client.list_objects_v2(Bucket=bucket.name)["Contents"]]
    assert client.get_object(Bucket=bucket.name, Key="parts")["Body"].read() == BODY * 21
    client.delete_object(Bucket=bucket.name, Key="parts")
    assert bucket.uploads() == []


@pytest.mark.parametrize("fault, method, stored", [
    (s3fault.reset, "PUT", False), (s3fault.refuse, "PUT", False), (s3fault.drop, "PUT", False), (s3fault.lose, "PUT", True),
    (s3fault.lose, "GET", None)])
def test_no_answer(bucket, proxy, fault, method, stored):
    key = f"no-answer-{fault.__name__}-{method}"
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=b"old")
    proxy.fault(fault(), method, key, times=1)
    a = Asked(bucket, proxy, method, key, BODY if method == "PUT" else None)
    assert a.status is None and isinstance(a.error, (ConnectionError, http.client.HTTPException)), a
    assert isinstance(a.error, http.client.RemoteDisconnected) == (fault is s3fault.refuse), a
    if stored is not None:
        assert bucket.read(key) == (BODY if stored else b"old")
    assert Asked(bucket, proxy, method, key, BODY if method == "PUT" else None).status == 200
    assert [e.fault for e in proxy.log] == [fault.__name__, None]


@pytest.mark.parametrize("n", [0, 1, 1000, 299_999])
def test_cut(bucket, proxy, n):
    bucket.client.put_object(Bucket=bucket.name, Key="cut", Body=BODY)
    proxy.fault(s3fault.cut(n), "GET")
    a = Asked(bucket, proxy, "GET", "cut")
    assert a.body is None and isinstance(a.error, http.client.IncompleteRead), a
    assert a.error.partial == BODY[:n]


@pytest.mark.parametrize("status, code", [(500, "InternalError"), (503, "SlowDown"), (400, "AuthorizationHeaderMalformed"), (502, None)])
def test_answers(bucket, proxy, status, code):
    proxy.fault(s3fault.answer(status, code, Region="eu-west-1"), "PUT", r"/answered", nth=2, times=1)
    for expected in (200, status, 200):
        a = Asked(bucket, proxy, "PUT", "answered", BODY, Expect="100-continue")
        assert a.status == expected
        if expected == status:
            assert a.body == b"" if code is None else f"<Code>{code}</Code>".encode() in a.body


def test_changed_answers(bucket, proxy):
    put = Asked(bucket, proxy, "PUT", "changed", BODY)
    proxy.fault(s3fault.etag("f" * 32), times=1)
    assert put.headers["ETag"].strip('"') not in ("", "f" * 32)
    assert Asked(bucket, proxy, "PUT", "changed", BODY).headers["ETag"] == f'"{"f" * 32}"'
    proxy.fault(s3fault.no_etag(), times=1)
    assert Asked(bucket, proxy, "PUT", "changed", BODY).headers["ETag"] is None
    proxy.fault(s3fault.date(3600), times=1)
    a, b = (Asked(bucket, proxy, "GET", "changed").headers["Date"] for _ in range(2))
    assert 3590 <= (email.utils.parsedate_to_datetime(a) - email.utils.parsedate_to_datetime(b)).total_seconds() <= 3610
    proxy.fault(s3fault.corrupt_download(), times=1)
    bad = Asked(bucket, proxy, "GET", "changed").body
    assert len(bad) == len(BODY) and sum(x != y for x, y in zip(bad, BODY)) == 1
    proxy.fault(s3fault.page(), times=1)
    assert b"<html>" in Asked(bucket, proxy, "GET", "changed").body


def test_corrupt_upload(bucket, proxy):
    proxy.fault(s3fault.corrupt_upload(), "PUT", times=1)
    assert Asked(bucket, proxy, "PUT", "corrupt", BODY).status == 200  # nothing was signed over these bytes
    bad = bucket.read("corrupt")
    assert len(bad) == len(BODY) and sum(x != y for x, y in zip(bad, BODY)) == 1


@pytest.mark.parametrize("fault, begun", [(s3fault.stall, False), (s3fault.stall_reply, False), (lambda: s3fault.stall_reply(100_000), True)])
def test_stalls_end_when_the_test_wants(bucket, proxy, fault, begun):
    bucket.client.put_object(Bucket=bucket.name, Key="stalled", Body=BODY)
    held, answers = proxy.fault(fault(), "GET"), []
    threads = [threading.Thread(target=lambda: answers.append(Asked(bucket, proxy, "GET", "stalled"))) for _ in range(3)]
    for t in threads:
        t.start()
    lib.until(lambda: held.fault.held == 3, "three held requests")
    assert answers == [] and proxy.active == (0 if begun else 3)
    held.release()
    for t in threads:
        t.join(lib.PATIENCE)
    assert [a.body == BODY for a in answers] == [True] * 3
    assert Asked(bucket, proxy, "GET", "stalled").status == 200


def test_the_door_shuts_and_opens(bucket, proxy):
    assert Asked(bucket, proxy, "PUT", "door", BODY).status == 200
    proxy.shut()
    assert isinstance(Asked(bucket, proxy, "GET", "door").error, ConnectionRefusedError)
    proxy.listen()
    assert Asked(bucket, proxy, "GET", "door").body == BODY


# ---- the server ----


PROGRAM = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests were started with
sys.path.insert(0, os.path.dirname(sys.argv[1]))
import rados
run = rados.begin()
server = rados.server()
assert rados.server() == server
print(os.environ[rados.RUN], open(os.environ[rados.RUN] + "/keeper.pid").read(), flush=True)
if sys.argv[2] == "end":
    run.end()
else:
    os.kill(os.getpid(), getattr(signal, sys.argv[2]))
    time.sleep(600)
"""


def daemons(place):
    """What runs with a file of this folder among its arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if place.encode() in path.read_bytes():
                found.append(path.parent.name)
    return found


@pytest.mark.parametrize("how", ["end", "SIGINT", "SIGTERM", "SIGKILL"])
def test_the_server_ends_with_its_run(s3, how):
    """However the run ends, nothing of the server is left a little later."""
    env = {k: v for k, v in os.environ.items() if k != rados.RUN}
    p = subprocess.Popen([sys.executable, "-c", PROGRAM, rados.__file__, how], env=env, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    out, err = p.communicate(timeout=2 * lib.PATIENCE)
    assert p.returncode in (0, 1, -signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL) and out, err
    place, _ = out.split()
    if how == "end":
        assert daemons(place) == [] and not Path(place).exists()
    lib.until(lambda: daemons(place) == [] and not Path(place).exists(), "the daemons to go")
