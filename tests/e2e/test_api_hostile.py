"""What nobody should send: broken HTTP, broken paths, broken JSON. The service answers or hangs up, leaks nothing, and
goes on."""

import json
import random
import socket

import pytest

V1 = "/api/v1"
CASE = "9910000-32.2024.8.26.0100"
SETTINGS = {"request_timeout": "1s"}  # some clients must be waited for
SECRET = (b"/tmp/", b"autos.db", b"sqlite", b"SELECT", b"src/", b".c:", b"root:")


def alive(service):
    assert service.get("/livez", key=None).status == 200


def no_secret(a):
    for word in SECRET:
        assert word not in a.body.replace(b"database-unavailable", b""), a


# ---- HTTP ----


@pytest.mark.parametrize("data", [
    b"", b"\r\n", b"\r\n\r\n", b"GET\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\nHost: x\n\n", b"\x00" * 100, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n : y\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n", b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", b"GET /" + bytes(range(1, 32)) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nA: " + bytes(range(128, 256)) + b"\r\n\r\n", b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"GET http://example.org/ HTTP/1.1\r\nHost: x\r\n\r\n", b"GET //example.org HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /api/v1/webhooks/webhook-test-receiver HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{}"])
def test_broken_http(shared, data):
    service, _ = shared
    a = service.get_raw(data, close=True)
    if a is not None:
        assert a.status < 500 or a.status == 505, a
        no_secret(a)
    alive(service)


def test_no_request_is_smuggled(shared):
    """RFC 9112, 6.3: two lengths end the connection; what follows is no request."""
    service, _ = shared
    inner = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    data = (b"POST /api/v1/webhooks/webhook-test-receiver HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\n{}\r\n0\r\n\r\n" % (12 + len(inner))) + inner
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as s:
        s.sendall(data)
        got = b""
        while piece := s.recv(65536):
            got += piece
    assert got.count(b"HTTP/1.1 ") == 1 and got.startswith(b"HTTP/1.1 400"), got
    alive(service)


def test_random_bytes(shared):
    service, _ = shared
    dice = random.Random(7)
    good = b"GET /api/v1/processes?limit=5&cursor=x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer y\r\nPrefer: wait=1\r\nRange: bytes=0-\r\n\r\n"
    for _ in range(60):
        data = bytearray(good)
        for _ in range(dice.randrange(1, 9)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        service.get_raw(bytes(data), close=True)
    alive(service)


def test_slow_and_gone_clients(shared):
    service, _ = shared
    half = []
    for i in range(50):
        s = socket.create_connection(("127.0.0.1", service.port))
        s.sendall(b"GET /api/v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + service.keys["user"].encode() + b"\r\n" + b"\r\n" * (i % 2))
        half.append(s)
    alive(service)
    for s in half:
        s.close()
    alive(service)


# ---- paths ----


@pytest.mark.parametrize("path", [
    "//", "//api/v1/jobs", "/api//v1/jobs", "/api/v1/jobs//", "/api/v1/./jobs", "/api/v1/../v1/jobs", "/api/v1/%2e%2e/v1/jobs",
    "/api%2Fv1/jobs", "/api/v1/jobs%00", "/api/v1/jobs%0a", "/api/v1/jobs%", "/api/v1/jobs%2", "/api/v1/jobs%zz", "/API/V1/JOBS", "/api/v1/jobs;x=1",
    "/api/v1/jobs/1/2/3", "/" + "a/" * 100, "/api/v1/nothing/%F0%9F%92%A9", "/api/v1/nothing/%ff%fe", "/docs/..%2fdocs.js", "/docs/%2e%2e/livez",
    "/problems/..", "/problems/case-busy%2f..", "/?" + "&" * 100, "/livez?" + "&".join(f"a{i}=1" for i in range(100)), "/livez?%00", "/livez?a=%ff",
    "/livez#x", "/livez?x#y", "/*", "/.git/config"])
def test_paths(shared, path):
    service, _ = shared
    a = service.get(path, key="user")
    assert a.status in (400, 404) or path.startswith(("/livez#", "/livez?", "/?")), a
    assert a.status < 500
    no_secret(a)


def test_two_ways_to_write_an_address(shared):
    """RFC 3986, 6.2.2.2; a slash at the end does not matter."""
    service, _ = shared
    key = service.keys["user"].encode()
    for path in (b"/api/v1/jobs/", b"/%61pi/v1/jobs", b"/api/v1/%6a%6F%62s/?limit=1"):
        assert service.get_raw(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nX-API-Key: " + key + b"\r\n\r\n").status == 200


@pytest.mark.parametrize("number", ["0", "x", "9910000-33.2024.8.26.0100", "9910000322024826010",
                                    "991000032202482601000", "9910000-32.2024.8.26.0100x", "٩٩١٠٠٠٠٣٢٢٠٢٤٨٢٦٠١٠٠", "a" * 3000, "-1", "00000000000000000000",
                                    "9910000-32_2024_8_26_0100"])
def test_numbers(shared, number):
    service, _ = shared
    quoted = "".join(f"%{b:02X}" for b in number.encode())
    for op in ("", "/status", "/files", "/manifest", "/events", "/documents/1/content"):
        a = service.get(f"{V1}/processes/{quoted}{op}")
        assert a.problem in ("invalid-case-number", "target-too-long"), a
    assert service.call("DELETE", f"{V1}/processes/{quoted}", key="admin").status in (422, 414)


@pytest.mark.parametrize("ident", ["0", "-1", "1e3", "99999999999999999999", "1%20", "%2b1", "0x1", "1.0", "x", "٣", "1;DROP"])
def test_ids(shared, ident):
    service, _ = shared
    quoted = "".join(c if c.isascii() else "".join(f"%{b:02X}" for b in c.encode()) for c in ident)
    for method, path in (("GET", f"jobs/{quoted}"), ("POST", f"jobs/{quoted}/cancel"), ("GET", f"processes/batches/{quoted}"),
                         ("GET", f"users/{quoted}/keys"), ("DELETE", f"users/1/keys/{quoted}"), ("DELETE", f"users/{quoted}")):
        assert service.call(method, f"{V1}/{path}", key="admin").status == 404


# ---- bodies ----

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("raw, problem", [
    (b"{", "malformed-body"), (b"null", "malformed-body"), (b"[]", "malformed-body"), (b"1", "malformed-body"), (b'"x"', "malformed-body"),
    (b"{}{}", "malformed-body"), (b"{'a':1}", "malformed-body"), (b'{"a":1,}', "malformed-body"), (b'{"a":NaN}', "malformed-body"),
    (b'\xef\xbb\xbf{}', "malformed-body"), (b'{"a":"\xc3\x28"}', "malformed-body"), (b'{"a":"\\ud800"}', "malformed-body"),
    (b'{"a":1e999}', "malformed-body"), (b'{"a":' + b"[" * 3000 + b"]" * 3000 + b"}", "malformed-body"), (b'{"\xff":1}', "malformed-body"),
    (b'{"webhook_url":1}', "invalid-body"), (b'{"force_refresh":"yes"}', "invalid-body"), (b'{"force_refresh":1}', "invalid-body"),
    (b'{"max_age":-1}', "invalid-body"), (b'{"max_age":1.5}', "invalid-body"), (b'{"max_age":99999999999999999999}', "malformed-body"),
    (b'{"priority":10}', "invalid-body"), (b'{"priority":"1"}', "invalid-body"), (b'{"webhook_url":"x\\u0000y"}', "malformed-body"),
    (b'{"webhook_url":{"a":1}}', "invalid-body")])
def test_bodies(shared, raw, problem):
    service, _ = shared
    a = service.call("POST", service.path(CASE, "jobs"), raw=raw, headers=JSON)
    assert a.problem == problem, a
    no_secret(a)


def test_unknown_members(shared):
    """Ignored where older clients send some; elsewhere a mistyped member must not be overlooked."""
    service, _ = shared
    a = service.post(service.path(CASE, "jobs"), {"webhook_url": None, "max_age": None})
    assert a.status in (200, 202), "null is as if it were absent"
    a = service.post(service.path(CASE, "jobs"), {"unknown": {"deep": [1, 2, 3]}, "web/hook~url": 1})
    assert a.problem == "invalid-body"
    assert {e["pointer"] for e in a.json["errors"]} == {"/unknown", "/web~1hook~0url"}
    a = service.post(f"{V1}/processes/search", {"process_numbers": ["1"], "page": 1, "limit": 10})
    assert a.status == 200


@pytest.mark.parametrize("kind, status", [("application/json; charset=utf-8", 200), ("APPLICATION/JSON", 200), ("application/problem+json", 200),
                                          ("text/plain", 415), ("application/x-www-form-urlencoded", 415), ("multipart/form-data; boundary=x", 415),
                                          ("application/jsonx", 415), ("", 415), ("x" * 5000, 415)])
def test_media_types(shared, kind, status):
    service, _ = shared
    path = f"{V1}/webhooks/webhook-validate"
    a = service.call("POST", path, raw=b'{"webhook_url":"https://example.org/"}', headers={"Content-Type": kind})
    assert a.status == status, a
    assert service.call("POST", path, raw=b"").status == 422, "no body is an empty object"


def test_answers_are_valid_whatever_is_echoed(shared):
    """Text of clients that comes back in JSON and headers."""
    service, _ = shared
    nasty = ['"', "\\", "</script>", "\u2028", "\U0001f4a9", "%0d%0aX-Injected: 1", "a\tb", "é" * 400]
    a = service.post(f"{V1}/processes/search", {"process_numbers": nasty})
    assert len(a.json["invalid"]) == len(nasty)
    for text in nasty:
        a = service.post(f"{V1}/webhooks/webhook-validate", {"webhook_url": "https://example.org/" + text})
        assert a.json["url"].endswith(text)
        a = service.post(f"{V1}/webhooks/webhook-test-receiver", {text: 1}, key=None)
        assert a.json["payload_keys"] == [text]
    for path in (f"{V1}/jobs/%0d%0aX-Injected:%201", f"{V1}/processes?cursor=%0d%0aX-Injected:%201", f"{V1}/jobs?limit=1&x=%22%3E%3C/script%3E"):
        assert "X-Injected" not in service.get(path).headers
    a = service.get(f"{V1}/jobs?limit=1&x=%3Cscript%3E&y=<script>")
    assert json.dumps(a.json) and "<script>" not in a.headers.get("Link", "")
