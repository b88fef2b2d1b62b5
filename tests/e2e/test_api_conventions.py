"""What all routes have in common: ids, preferences, tags, methods, sizes, limits, headers, CORS."""

import gzip
import re
import socket
import time
import urllib.parse

import pytest

import api
import lib

V1 = "/api/v1"
CASE, OTHER = "9910000-32.2024.8.26.0100", "9910001-34.2024.4.03.6100"
CONTRACT = api.Contract()
ROUTES = [(m.upper(), p, o) for p, item in CONTRACT.doc["paths"].items() for m, o in item.items()]
TAGGED = ["", "status", "files", "manifest"]


@pytest.fixture(scope="module")
def stored(shared):
    service, sim = shared
    service.get(service.path(CASE))
    service.finished(CASE)
    return service, sim


def fill(path):
    for name in re.findall(r"{(\w+)}", path):
        path = path.replace("{" + name + "}", {"n": CASE, "file": "docs.js", "key": "a/b", "name": "case-busy"}.get(name, "1"))
    return path


# ---- ids and headers ----


@pytest.mark.parametrize("mine, kept", [("a", True), ("A-z_0.9:/+=", True), ("x" * 128, True), ("x" * 129, False), ("", False), ("a b", False),
                                        ("a\tb", False), ("é", False), ("<script>", False), ("a,b", False)])
def test_request_ids(stored, mine, kept):
    service, _ = stored
    for path in ("/livez", "/nowhere", service.path(CASE, "status"), V1 + "/jobs?limit=x"):
        a = service.get(path, headers={"X-Request-ID": mine.encode().decode("latin-1")})
        assert (a.headers["X-Request-ID"] == mine) == kept
        assert kept or re.fullmatch("[0-9a-f]{32}", a.headers["X-Request-ID"])


@pytest.mark.parametrize("method, path", [(m, p) for m, p, _ in ROUTES if "events" not in p] + [("GET", "/nowhere"), ("PATCH", "/health")])
def test_security_headers_are_everywhere(stored, method, path):
    service, _ = stored
    for key in ("admin", None):
        if method == "DELETE" and key:
            continue
        body = {} if method in ("POST", "PUT") else None
        h = service.call(method, fill(path), key=key, body=body, headers={"Prefer": "respond-async"}).headers
        assert h["X-Content-Type-Options"] == "nosniff" and h["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in h["Content-Security-Policy"] and "frame-ancestors 'none'" in h["Content-Security-Policy"]
        assert h["Cache-Control"] and not h["Strict-Transport-Security"] and not h["Server"]
        assert not h["Access-Control-Allow-Origin"]


def test_the_pages_carry_their_own_policy(stored):
    service, _ = stored
    assert "script-src 'self'" in service.get("/docs", key=None).headers["Content-Security-Policy"]
    assert b"<script>" not in service.get("/docs", key=None).body


# ---- preferences ----


def test_prefer(service, sim):
    sim.script("* stall=header")
    for value, applied, least, most in (("respond-async", "respond-async", 0, 2), ("wait=0", "wait=0", 0, 2), ("wait=1", "wait=1", 1, 4),
                                        ("foo, WAIT=1;x=y", "wait=1", 1, 4), ("respond-async, wait=9", "respond-async", 0, 2)):
        start = time.monotonic()
        a = service.get(service.path(CASE), headers={"Prefer": value})
        assert (a.status, a.headers["Preference-Applied"]) == (202, applied)
        assert least <= time.monotonic() - start < most
        assert a.json["documents"] is None and a.json["last_consultation"] is None
    sim.script("")


def test_waits_are_bounded(make_service, sim):
    sim.script("* stall=header")
    s = make_service(sim, wait_max="1s", wait_default="0")
    assert s.get(s.path(CASE), headers={"Prefer": "wait=50"}).headers["Preference-Applied"] == "wait=1"
    a = s.get(s.path(OTHER))
    assert a.status == 202 and not a.headers["Preference-Applied"]
    assert s.get(s.path(CASE), headers={"Prefer": "wait=x"}).status == 202


# ---- tags ----


@pytest.mark.parametrize("op", TAGGED)
def test_tags(stored, op):
    service, _ = stored
    path = service.path(CASE, op).rstrip("/")
    tag = service.get(path).headers["ETag"]
    for value in (tag, "*", f'"x", {tag}', tag.removeprefix("W/")):
        a = service.get(path, headers={"If-None-Match": value})
        assert (a.status, a.headers["ETag"], a.body) == (304, tag, b"")
    assert service.get(path, headers={"If-None-Match": '"x"'}).status == 200
    assert service.call("HEAD", path, headers={"If-None-Match": tag}).status == 304


def test_tags_change_with_the_case(service, sim):
    sim.script("binario stall=header")
    job = service.get(service.path(CASE)).json["job_id"]
    lib.until(lambda: service.status(CASE)["processing_documents"], "the worker")
    before = {op: service.get(service.path(CASE, op).rstrip("/")).headers["ETag"] for op in TAGGED}
    service.post(f"{V1}/jobs/{job}/cancel")
    for op, tag in before.items():
        a = service.get(service.path(CASE, op).rstrip("/"), key="readonly", headers={"If-None-Match": tag})
        assert a.status == 200 and a.headers["ETag"] != tag, op
    assert service.status(CASE)["status"] == "cancelled"
    sim.script("")


# ---- methods ----


@pytest.mark.parametrize("path", sorted({p for _, p, _ in ROUTES}))
def test_other_methods(stored, path):
    service, _ = stored
    item = CONTRACT.doc["paths"][path]
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "x"):
        if method.lower() not in item or method == "x":
            a = service.call(method, fill(path), key=None)  # no key: what is not there needs none
            assert a.problem == "method-not-allowed"
    a = service.call("OPTIONS", fill(path), key=None)
    assert a.status == 204 and set(item) <= set(a.headers["Allow"].lower().split(", "))


@pytest.mark.parametrize("path", [p for m, p, o in ROUTES if m == "GET" and "events" not in p])
def test_head_is_get_without_body(stored, path):
    service, _ = stored
    a, b = (service.call(m, fill(path), key="admin", headers={"Prefer": "wait=0"}) for m in ("GET", "HEAD"))
    assert a.status == b.status and b.body == b""
    assert a.headers.get_content_type() == b.headers.get_content_type()
    if not path.startswith(("/health", "/api-info", "/metrics", V1 + "/monitoring")) and path != "/":
        assert b.headers["Content-Length"] == a.headers["Content-Length"] or a.status == 302


# ---- compression ----


def test_gzip(stored):
    service, _ = stored
    path = service.path(CASE, "status")
    plain = service.get(path)
    assert not plain.headers["Content-Encoding"] and "Accept-Encoding" in plain.headers["Vary"]
    c = service.connect()
    c.request("GET", path, headers={**service.key_header("user"), "Accept-Encoding": "br, gzip;q=0.5"})
    r = c.getresponse()
    data = r.read()
    c.close()
    assert r.headers["Content-Encoding"] == "gzip" and len(data) < len(plain.body) / 2
    assert gzip.decompress(data) == plain.body
    for refused in ("gzip;q=0", "identity", "br", "", "*;q=0"):
        assert not service.get(path, headers={"Accept-Encoding": refused}).headers["Content-Encoding"]
    assert not service.get("/livez", key=None, headers={"Accept-Encoding": "gzip"}).headers["Content-Encoding"]


# ---- sizes ----


def raw(service, head, key="user"):
    return service.get_raw(head.replace(b"KEY", service.keys[key].encode()))


def test_sizes_of_heads(stored):
    service, _ = stored
    line = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
    assert raw(service, line + b"X: " + b"a" * 15000 + b"\r\n\r\n").status == 200
    for filler in (b"X: " + b"a" * 17000 + b"\r\n", b"Y: b\r\n" * 70):
        a = raw(service, line + filler + b"\r\n")
        assert a.status == 431 and a.problem == "headers-too-large", (a, len(filler))
    for n, status in ((8100, 404), (8200, 414), (15000, 414)):
        a = raw(service, b"GET /" + b"a" * n + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert a.status == status and a.json["instance"] != "", n
    a = raw(service, b"GET /livez?" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert a.problem == "target-too-long"
    assert service.get("/livez", key=None).status == 200


def test_heads_that_do_not_fit_at_all(stored):
    """What is too large even to be looked at is refused by the HTTP library itself, with the same status."""
    service, _ = stored
    line = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
    for head, statuses in ((line + b"X: " + b"a" * (1 << 20), (431,)), (line + b"Z: c\r\n" * 5000, (431,)), (b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nHost: x", (414,))):
        with socket.create_connection(("127.0.0.1", service.port), timeout=lib.PATIENCE) as s:
            try:
                s.sendall(head + b"\r\n\r\n")
            except OSError:
                pass  # it may hang up before it was told everything
            try:
                answer = s.recv(4096)
            except ConnectionResetError:
                continue
        assert not answer or int(answer.split(b" ")[1]) in statuses, answer[:100]
    assert service.get("/livez", key=None).status == 200


def test_a_huge_body_is_not_kept(stored):
    """100 MB, generated as they go: refused, and the service is no larger than before."""
    service, _ = stored

    def memory():
        return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{service.process.pid}/status").read())[1]) << 10

    before, block = memory(), b" " * (1 << 20)
    for key, problem in (("user", "body-too-large"), (None, "authentication-required")):
        a = service.call("POST", f"{V1}/processes/search", key=key, raw=(block for _ in range(50)), headers={"Content-Type": "application/json"})
        assert a.problem == problem
    assert memory() - before < 16 << 20
    a = service.call("POST", f"{V1}/processes/search", raw=b" " * ((1 << 20) - 40) + b'{"process_numbers":["x"]}', headers={"Content-Type": "text/json"})
    assert a.status in (200, 415)
    assert service.get("/livez", key=None).status == 200


# ---- CORS ----


def test_cors(make_service, sim):
    s = make_service(sim, cors_origins="https://a.example.org, https://b.example.org")
    for origin, allowed in (("https://a.example.org", True), ("https://b.example.org", True), ("https://c.example.org", False),
                            ("https://a.example.org.evil.example", False), ("null", False), ("https://a.example.or", False), ("", False)):
        for path in ("/health", "/nowhere", f"{V1}/jobs"):
            h = s.get(path, headers={"Origin": origin}).headers
            assert h["Access-Control-Allow-Origin"] == (origin if allowed else None)
            assert "Origin" in ", ".join(h.get_all("Vary")) and not h["Access-Control-Allow-Credentials"]
            assert not allowed or "X-Request-ID" in h["Access-Control-Expose-Headers"]
        a = s.call("OPTIONS", f"{V1}/jobs", key=None, headers={"Origin": origin, "Access-Control-Request-Method": "GET"})
        assert (a.status, a.headers["Access-Control-Allow-Origin"]) == (204, origin if allowed else None)
        assert "Authorization" in a.headers["Access-Control-Allow-Headers"]
    assert s.call("OPTIONS", "/nowhere", key=None).status == 404


def test_cors_for_all(make_service, sim):
    s = make_service(sim, cors_origins="*")
    assert s.get("/health", headers={"Origin": "https://any.example"}).headers["Access-Control-Allow-Origin"] in ("*", "https://any.example")


# ---- limits ----


def remaining(a):
    return int(a.headers["X-RateLimit-Remaining"])


def test_limits(make_service, sim):
    s = make_service(sim, rate_limit="5", rate_limit_window="1h", rate_limit_anonymous="3", rate_limit_routes="get_me=2/2h")
    jobs, me = f"{V1}/jobs", f"{V1}/users/me"
    first = s.get(jobs)
    assert first.headers["RateLimit-Policy"] == '"default";q=5;w=3600' and remaining(first) == 4
    assert abs(int(first.headers["X-RateLimit-Reset"]) - time.time() - 3600) < 60
    assert [remaining(s.get(jobs)) for _ in range(4)] == [3, 2, 1, 0]
    a = s.get(jobs)
    assert a.problem == "quota-exceeded" and 3500 < int(a.headers["Retry-After"]) <= 3600
    assert s.get(me).status == 429, "one limit for all routes"
    assert [s.get(me, key="readonly").status for _ in range(3)] == [200, 200, 429], "a limit of the route"
    assert s.get(s.path(CASE, "status"), key="readonly").status == 404, "the other routes are still open"
    assert s.get("/health", key=None).headers["X-RateLimit-Remaining"] == "2"
    assert s.get(jobs, key=None).status == s.get(jobs, key="wrong").status == 401
    assert s.get(jobs, key="guess").status == 429, "guessing is limited"
    assert s.get("/health", key=None).status == 429
    for path in ("/livez", "/readyz", "/files/a?name=x"):
        assert s.get(path, key=None).status != 429
    assert s.get(jobs, key="admin").status == 200, "a good key goes on"


def test_a_users_own_limit(make_service, sim):
    s = make_service(sim, rate_limit="0", rate_limit_anonymous="0")
    a = s.get(f"{V1}/jobs")
    assert not a.headers["RateLimit"] and not a.headers["X-RateLimit-Limit"]
    me = s.get(f"{V1}/users/me").json["id"]
    s.call("PUT", f"{V1}/users/{me}", key="admin", body={"rate_limit_requests": 2, "rate_limit_window": 7200})
    a = s.get(f"{V1}/jobs")
    assert a.headers["RateLimit-Policy"] == '"default";q=2;w=7200'
    assert [s.get(f"{V1}/jobs").status for _ in range(2)] == [200, 429]
    s.call("PUT", f"{V1}/users/{me}", key="admin", body={"rate_limit_requests": None})
    assert s.get(f"{V1}/jobs").status == 200


def test_clients_behind_a_proxy(make_service, sim):
    s = make_service(sim, rate_limit_anonymous="1", rate_limit_window="1h", trusted_proxies="127.0.0.1")

    def ask(value):
        return s.get("/health", key=None, headers={"X-Forwarded-For": value}).status

    assert [ask("192.0.2.1"), ask("192.0.2.1"), ask("192.0.2.2"), ask("2001:db8::1")] == [200, 429, 200, 200]
    assert ask("192.0.2.99, 192.0.2.1") == 429, "what the client wrote itself does not count"
    assert ask("192.0.2.1, 127.0.0.1") == 429
    assert ask("nonsense") == 200 and ask("other nonsense") == 429, "the proxy's own address"


def test_a_header_of_a_stranger_counts_for_nothing(make_service, sim):
    s = make_service(sim, rate_limit_anonymous="1", rate_limit_window="1h")
    assert [s.get("/health", key=None, headers={"X-Forwarded-For": f"192.0.2.{i}"}).status for i in range(2)] == [200, 429]


# ---- Idempotency-Key ----


def test_idempotency_keys(service, sim):
    key = {"Idempotency-Key": '"quoted"'}
    path = service.path(CASE, "jobs")
    first = service.post(path, {"priority": 1}, headers=key)
    service.finished(CASE)
    again = service.post(path, {"priority": 1}, headers={"Idempotency-Key": "quoted"})
    assert (again.status, again.json, again.headers["Location"]) == (first.status, first.json, first.headers["Location"])
    assert again.headers["Idempotency-Replayed"] == "true" and not first.headers["Idempotency-Replayed"]
    assert service.post(path, {"priority": 2}, headers=key).problem == "key-reused"
    assert service.post(service.path(OTHER, "jobs"), {"priority": 1}, headers=key).problem == "key-reused"
    mine = service.post(path, {"priority": 1}, headers=key, key="admin")
    assert mine.status == 200 and not mine.headers["Idempotency-Replayed"], "keys are each user's own"
    for bad in ("", "a" * 256, '"open', "a b", "é".encode().decode("latin-1")):
        assert service.post(path, {}, headers={"Idempotency-Key": bad}).problem == "malformed-request", bad
    assert service.post(path, {"priority": 99}, headers={"Idempotency-Key": "k"}).problem == "invalid-body"
    assert service.post(path, {"priority": 3}, headers={"Idempotency-Key": "k"}).status == 200, "a refusal spends no key"
    service.stop()
    service.start()
    again = service.post(path, {"priority": 1}, headers=key)
    strip = urllib.parse.urlsplit
    assert again.json == first.json and strip(again.headers["Location"]).path == strip(first.headers["Location"]).path


def test_nothing_secret_is_kept(service):
    a = service.post(f"{V1}/users", {"username": "someone"}, key="admin", headers={"Idempotency-Key": "one"})
    service.stop()
    for path in service.data_dir.rglob("autos.db*"):
        assert a.json["api_key"].encode() not in path.read_bytes()
    for key in service.keys.values():
        assert all(key.encode() not in p.read_bytes() for p in service.data_dir.rglob("autos.db*"))
