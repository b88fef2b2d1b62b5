"""Every answer that docs/openapi.json describes, provoked from outside by the real program.

`Book` writes down which (operation, status) were seen; what is missing at the end must stand in
UNSEEN with its reason.
"""

import collections
import concurrent.futures
import contextlib
import os
import resource
import shutil
import threading

import pytest

import api
import lib
import receiver
import s3fault
import s3proxy

V1 = "/api/v1"
CASE, OTHER, SPARE = "9910000-32.2024.8.26.0100", "9910001-34.2024.4.03.6100", "9910002-66.2025.8.19.0001"
NEVER_ASKED = "9910008-09.2024.8.26.0100"

MOMENT = "the first request with the key is over within one commit"
UNSEEN = {
    **{(op, 409): MOMENT for op in ("create_user", "create_key", "regenerate_key", "download_document", "download_documents", "redeliver_failed")},
    ("redeliver_failed", 503): "without a failed delivery nothing is written",
    ("delete_user", 409): "whoever asks with a key is another active admin",
    **{(op, 503): "needs a key that changed while the database cannot be read" for op in (
        "webhook_validate", "webhook_connectivity", "webhook_send_test", "monitor_status", "monitor_metrics",
        "monitor_performance", "monitor_health", "monitor_alerts", "monitor_dashboard", "monitor_history")},
}

UNSEEN_ON_S3 = {("get_file", status): "S3 hands the bytes out" for status in (200, 206, 304, 403, 416, 503)}

BODIES = {
    "post_job": {}, "search": {"process_numbers": [CASE]}, "create_user": {"username": "x"}, "put_me": {}, "put_user": {},
    "create_key": {}, "webhook_validate": {"webhook_url": "x"}, "webhook_connectivity": {"webhook_url": "x"},
    "webhook_send_test": {"webhook_url": "x"}, "webhook_receiver": {},
    "redeliver_failed": {"since": "2026-01-01T00:00:00Z"}, "rotate_secret": {},
}
WRONG = {
    "post_job": {"priority": "high"}, "search": {"process_numbers": CASE}, "create_user": {"username": 7},
    "put_me": {"email": 7}, "put_user": {"active": "yes"}, "create_key": {"label": []},
    "webhook_validate": {"webhook_url": 1}, "webhook_connectivity": {}, "webhook_send_test": {"webhook_url": "x", "test_payload": 1},
    "redeliver_failed": {"since": "yesterday"}, "rotate_secret": {"kind": "rsa"},
}
LEAST = {"none": None, "readonly": "readonly", "user": "user", "admin": "admin", "by setting": "admin"}
LESS = {"readonly": None, "user": "readonly", "admin": "user", "by setting": "user"}


class Book:
    """Asks a service and knows which operation it was."""

    def __init__(self, contract):
        self.contract, self.seen = contract, collections.Counter()

    def open(self, service):
        service.coverage = self.seen
        return service

    def operations(self):
        for path, item in self.contract.doc["paths"].items():
            for method, op in item.items():
                yield method.upper(), path, op

    def missing(self):
        everything = {(op["operationId"], int(s)) for _, _, op in self.operations() for s in op["responses"]}
        return everything - set(self.seen)


def target(path, number=CASE, ident="1"):
    for name, value in (("{n}", number), ("{id}", ident), ("{key_id}", "1"), ("{file}", "docs.css"), ("{key}", "a/b.pdf"),
                        ("{name}", "case-busy")):
        path = path.replace(name, value)
    return path


def role_of(op):
    return LEAST[op["x-role"]]


def send(service, method, path, op, **more):
    body = BODIES.get(op["operationId"])
    more.setdefault("key", role_of(op))
    if body is not None and "raw" not in more:
        more.setdefault("body", body)
    return service.call(method, path, **more)


@pytest.fixture(scope="module")
def book():
    return Book(api.Contract())


# ---- what every route answers by the same rules ----


def refusals(book, service):
    """401, 403, 400, 413, 415, 422 for each operation that describes them."""
    for method, path, op in book.operations():
        where, described = target(path), op["responses"]
        if "401" in described:
            assert send(service, method, where, op, key=None).problem == "authentication-required"
            assert send(service, method, where, op, key="autos_" + "A" * 43).status == 401
        if "403" in described and op["operationId"] != "get_file" and LESS[op["x-role"]]:
            assert send(service, method, where, op, key=LESS[op["x-role"]]).problem == "role-required", path
        if "400" in described:
            assert send(service, method, where + "?a=%00", op).problem == "malformed-request", path
        if "requestBody" in op:
            body_refusals(service, method, where, op)
        if "{n}" in path and "422" in described:
            assert send(service, method, target(path, "9910000-33.2024.8.26.0100"), op).problem == "invalid-case-number"


def body_refusals(service, method, where, op):
    json_type = {"Content-Type": "application/json"}
    assert send(service, method, where, op, raw=b" " * (1 << 20) + b"{}", headers=json_type).problem == "body-too-large"
    assert send(service, method, where, op, raw=b"a=b", headers={"Content-Type": "text/plain"}).status == 415
    for bad in (b"{", b"[]", b'"x"', b'{"a":1,"a":2}', b'{"a":"\xff"}', b'{"a":"\\u0000"}', b"[" * 5000, b'{"a":1}x'):
        assert send(service, method, where, op, raw=bad, headers=json_type).problem == "malformed-body", bad[:20]
    if op["operationId"] in WRONG:
        a = service.call(method, where, key=role_of(op), body=WRONG[op["operationId"]])
        assert a.problem == "invalid-body" and a.json["errors"][0]["pointer"].startswith("/"), a


def test_rates(book, make_service):
    """429 on each operation: one request of a key, and one without key, are allowed in an hour."""
    s = book.open(make_service("http://127.0.0.1:1/api/v2", rate_limit="1", rate_limit_anonymous="1", rate_limit_window="1h"))
    for role in api.ROLES:
        assert s.get("/metrics", key=role).status == (200 if role == "admin" else 403)
    assert s.get("/health", key=None).status == 200
    for method, path, op in book.operations():
        if "429" in op["responses"]:
            a = send(s, method, target(path), op)
            assert a.problem == "quota-exceeded" and 3500 < int(a.headers["Retry-After"]) <= 3600, path
        elif op["operationId"] != "readyz":
            assert send(s, method, target(path), op).status != 429, path


# ---- what each route answers ----


def stored_case(s):
    assert s.get(s.path(CASE)).status == 200
    assert s.finished(CASE)["outcome"] == "complete"
    for op in ("", "status", "files", "manifest"):
        a = s.get(s.path(CASE, op).rstrip("/"))
        assert a.status == 200
        assert s.get(s.path(CASE, op).rstrip("/"), headers={"If-None-Match": a.headers["ETag"]}).status == 304
    with s.events(s.path(CASE, "events")) as stream:
        last = list(stream)[-1]
    assert last.event == "done"
    with s.events(s.path(CASE, "events"), headers={"Last-Event-ID": last.id}) as stream:
        assert stream.status == 204
    d = s.get(s.path(CASE, "files")).json["documents"][0]
    assert s.get(s.path(CASE, "documents", d["uuid"], "content")).status == 302
    a = s.fetch(d["download_url"])
    assert a.status == 200 and len(a.body) == d["size"]
    if s.store.kind == "dir":
        our_links(s, d, a)
    else:
        assert s.get(f"/files/{d['s3_key']}", key=None).problem == "not-found"
    for op in ("refresh", "download-documents", "download-all-documents", f"download-document/{d['id']}"):
        assert s.post(s.path(CASE, op)).status == 200
    assert s.get(f"{V1}/processes").status == s.get(f"{V1}/jobs").status == 200
    s.finished(CASE)
    if s.store.kind == "dir":
        object_gone(s, d)


def our_links(s, d, a):
    """Links of a folder lead to us."""
    path = d["download_url"].removeprefix(s.url)
    for headers, status in (({"Range": "bytes=0-9"}, 206), ({"Range": "bytes=99999999-"}, 416),
                            ({"If-None-Match": a.headers["ETag"]}, 304)):
        assert s.get(path, key=None, headers=headers).status == status
    assert s.get(path.replace("signature=", "signature=0"), key=None).problem == "invalid-link"
    assert s.get(path.split("?")[0], key=None).problem == "invalid-parameter"


def object_gone(s, d):
    path, at = d["download_url"].removeprefix(s.url), s.store.path(d["s3_key"])
    at.unlink()
    assert s.get(path, key=None).problem == "not-found"
    at.symlink_to(at.name)
    a = s.get(path, key=None)
    assert a.problem == "storage-unavailable" and str(at) not in a.json["detail"]


def unknown(s):
    for op in ("status", "files", "manifest", "events", "documents/1/content"):
        assert s.get(s.path(NEVER_ASKED, op)).problem == "case-not-found"
    assert s.get(s.path(NEVER_ASKED), key="readonly").problem == "case-not-found"
    assert s.call("DELETE", s.path(NEVER_ASKED), key="admin").problem == "case-not-found"
    assert s.get(s.path(CASE, "documents/nothing/content")).problem == "document-not-found"
    assert s.post(s.path(CASE, "download-document/nothing")).problem == "document-not-found"
    assert s.post(s.path(NEVER_ASKED, "download-documents")).problem == "case-not-found"
    assert s.get(f"{V1}/jobs/999999").problem == "job-not-found"
    for what in ("cancel", "retry"):
        assert s.post(f"{V1}/jobs/999999/{what}").problem == "job-not-found"
    assert s.get(f"{V1}/processes/batches/999999").problem == "batch-not-found"
    for method, path in (("PUT", ""), ("DELETE", ""), ("POST", "/regenerate-api-key"), ("GET", "/keys"), ("POST", "/keys")):
        body = {} if method in ("PUT", "POST") and path != "/regenerate-api-key" else None
        assert s.call(method, f"{V1}/users/999999{path}", key="admin", body=body).problem == "user-not-found"
    assert s.call("DELETE", f"{V1}/users/1/keys/999999", key="admin").problem == "key-not-found"
    assert s.get(f"{V1}/jobs?process_number=1").problem == "invalid-case-number"
    assert s.get("/problems/case-busy", key=None).headers["Location"] == s.url + "/docs#problem-case-busy"
    assert s.get("/docs/nothing", key=None).status == s.get("/problems/nothing", key=None).status == 404


def refused_cases(s):
    gone, sealed, broken = map(lib.number_of, ("not-found-404-json", "case-sealed-401", "case-codex-500"))
    for number, problem in ((gone, "case-not-found"), (sealed, "case-access-denied"), (broken, "portal-error")):
        for call in (lambda n: s.get(s.path(n)), *(lambda n, o=o: s.post(s.path(n, o)) for o in
                     ("refresh", "download-documents", "download-all-documents"))):
            assert call(number).problem == problem
    # A document of a case that was listed once is fetched without a list, so only it can fail.
    partial = lib.number_of("denied-document-401-json")
    s.get(s.path(partial))
    s.finished(partial)
    d = next(d for d in s.get(s.path(partial, "files")).json["documents"] if d["status"] == "failed")
    a = s.post(s.path(partial, "download-document", d["id"]))
    assert (a.problem, a.json["reason"]) == ("document-failed", "denied")
    assert s.get(s.path(partial, "documents", d["id"], "content")).problem == "document-not-stored"


def jobs(s, sim):
    """202, 200, 409 of jobs: while the portal does not answer."""
    sim.script("* stall=header")
    a = s.post(s.path(OTHER, "jobs"), {})
    assert (a.status, a.json["adopted"]) == (202, False)
    job = f"{V1}/jobs/{a.json['job_id']}"
    assert a.headers["Location"] == s.url + job
    a = s.post(s.path(OTHER, "jobs"), {})
    assert (a.status, a.json["adopted"]) == (200, True)
    now = {"Prefer": "respond-async"}
    assert s.get(s.path(OTHER), headers=now).headers["Location"] == s.url + job
    for op in ("refresh", "download-documents", "download-all-documents"):
        a = s.post(s.path(OTHER, op), headers=now)
        assert (a.status, a.headers["Location"], a.json["job_id"]) == (202, s.url + job, job.rsplit("/", 1)[1]), op
    assert s.call("DELETE", s.path(OTHER), key="admin").problem == "case-busy"
    assert s.post(job + "/retry").problem == "job-not-retryable"
    a = s.get(job)
    running_keys(s, job)
    assert s.get(job, headers={"If-None-Match": a.headers["ETag"]}).status == 200, "another state, another tag"
    a = s.get(job)
    assert a.json["status"] == "cancelled"
    assert s.get(job, headers={"If-None-Match": a.headers["ETag"]}).status == 304
    assert s.post(job + "/cancel").problem == "job-final"
    sim.script("")
    a = s.post(job + "/retry", headers={"Idempotency-Key": "again"})
    assert (a.status, a.headers["Location"]) == (202, s.url + job)
    assert s.post(job + "/retry", headers={"Idempotency-Key": "again"}).headers["Idempotency-Replayed"] == "true"
    assert s.finished(OTHER)["outcome"] == "complete"
    assert s.post(s.path(OTHER, "jobs"), {"max_age": 3600}).status == 200
    one_document(s, sim)


def one_document(s, sim):
    """202 of download-document: the list is known, the bytes do not come."""
    assert s.get(s.path(SPARE) + "?auto_download=false").status == 200
    d = s.finished_job(SPARE)["documents"][0]
    sim.script("binario stall=header")
    a = s.post(s.path(SPARE, "download-document", d["id"]), headers={"Prefer": "respond-async"})
    assert (a.status, a.json["download_url"], a.json["uuid"]) == (202, None, d["uuid"])
    sim.script("")
    s.post(f"{V1}/jobs/{a.json['job_id']}/cancel")


def running_keys(s, job):
    """409 request-running and 422 key-reused; a cancelled job ends whoever waits for it."""
    waiting = {"Prefer": "wait=50", "Idempotency-Key": "first"}
    search = {"process_numbers": [OTHER]}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        first = pool.submit(s.post, f"{V1}/processes/search", search, headers=waiting)
        lib.until(lambda: s.get("/metrics", key="admin").body.count(b"autos_http_waiting 1\n"), "the first request")
        assert s.post(f"{V1}/processes/search", search, headers=waiting).problem == "request-running"
        assert s.post(job + "/cancel", headers={"Idempotency-Key": "stop"}).status == 200
        answer = first.result().json
        assert answer["pending"] == [lib.digits(OTHER)]
    replay = s.post(f"{V1}/processes/search", search, headers=waiting)
    assert replay.json == answer and replay.headers["Idempotency-Replayed"] == "true"
    for method, path, op in Book(s.contract).operations():
        if any(p.get("$ref", "").endswith("/IdempotencyKey") for p in op.get("parameters", ())):
            a = send(s, method, target(path), op, headers={"Idempotency-Key": "first"}, key="user" if role_of(op) == "user" else "admin")
            if role_of(op) == "user":
                assert a.problem == ("key-reused" if "download-document/" not in path else "document-not-found"), path


def many(s):
    a = s.post(f"{V1}/processes/search", {"process_numbers": [CASE, OTHER, "nothing"]})
    assert a.json["found"] == 2 and len(a.json["invalid"]) == 1
    batch = f"{V1}/processes/batches/{a.json['batch_id']}"
    a = s.get(batch)
    assert s.get(batch, headers={"If-None-Match": a.headers["ETag"]}).status == 304
    assert s.post(f"{V1}/processes/search", {"process_numbers": ["x"] * 1001}).problem == "too-many-numbers"


def people(s):
    key = {"Idempotency-Key": "person"}
    a = s.post(f"{V1}/users", {"username": "someone", "email": None}, key="admin", headers=key)
    user, person = a.json["user"]["id"], f"{V1}/users/{a.json['user']['id']}"
    assert s.get(f"{V1}/users/me", key=a.json["api_key"]).json["username"] == "someone"
    again = s.post(f"{V1}/users", {"username": "someone", "email": None}, key="admin", headers=key)
    assert again.json["api_key"] is None and again.json["user"] == a.json["user"]
    assert s.post(f"{V1}/users", {"username": "someone"}, key="admin").problem == "username-taken"
    assert s.post(f"{V1}/users", {"username": "b"}, key="admin", headers=key).problem == "key-reused"
    assert s.get(f"{V1}/users", key="admin").json[0]["id"] == user
    assert s.call("PUT", person, key="admin", body={"role": "readonly"}).json["role"] == "readonly"
    for op in ("keys", "regenerate-api-key"):
        body = {} if op == "keys" else None
        first = s.post(f"{person}/{op}", body, key="admin", headers={"Idempotency-Key": op})
        assert s.get(f"{V1}/users/me", key=first.json["api_key"]).status == 200
        second = s.post(f"{person}/{op}", body, key="admin", headers={"Idempotency-Key": op})
        assert second.json["api_key"] is None
        assert s.post(f"{V1}/users/1/{op}", body, key="admin", headers={"Idempotency-Key": op}).problem == "key-reused"
    keys = s.get(person + "/keys", key="admin").json
    live = next(k for k in keys if not k["revoked_at"])
    assert s.call("DELETE", f"{person}/keys/{live['id']}", key="admin").status == 200
    assert s.call("DELETE", person, key="admin").status == 200
    me = s.get(f"{V1}/users/me", key="admin").json["id"]
    assert s.call("DELETE", f"{V1}/users/{me}", key="admin").problem == "self-deletion"
    for path in (f"{V1}/users/{me}", f"{V1}/users/me"):
        assert s.call("PUT", path, key="admin", body={"active": False}).problem == "last-admin"
        assert s.call("PUT", path, key="admin", body={"email": "a@example.org"}).json["email"] == "a@example.org"
    assert s.call("PUT", f"{V1}/users/me", body={"role": "admin"}).problem == "role-required"


def webhooks(s):
    hook = s.url + V1 + "/webhooks/webhook-test-receiver"
    for name, member in (("validate", "valid"), ("test-connectivity", "success"), ("send-test", "success")):
        path = f"{V1}/webhooks/webhook-{name}"
        assert s.post(path, {"webhook_url": hook}).json[member] is True
        if name != "validate":
            assert s.post(path, {"webhook_url": "ftp://example.org"}).problem == "invalid-webhook-url"
    assert s.post(f"{V1}/webhooks/webhook-test-receiver", {"test": True}, key=None).json["payload_keys"] == ["test"]


def deliveries(s):
    """Of a receiver that is slow, then away; and the secrets."""
    w = f"{V1}/webhooks"
    answered = threading.Event()
    with receiver.Receiver(lambda m: (answered.wait(lib.PATIENCE), 500)[1]) as r:
        assert s.post(s.path(CASE, "jobs"), {"webhook_url": r.url, "webhook_thin": True}).status == 200
        lib.until(r.messages, "the message")
        d = s.get(f"{w}/deliveries?status=delivering&limit=1").json["deliveries"][0]
        assert (d["status"], d["webhook_thin"], d["attempt_count"]) == ("delivering", True, 0)
        assert s.post(f"{w}/deliveries/{d['id']}/redeliver").problem == "delivery-busy"
        answered.set()
        lib.until(lambda: s.get(f"{w}/deliveries/{d['id']}").json["attempts"], "the attempt")
    assert s.get(f"{w}/deliveries/{d['id']}", key="admin").json["webhook_url"] == r.url
    key = {"Idempotency-Key": "again-1"}
    assert s.post(f"{w}/deliveries/{d['id']}/redeliver", headers=key).status == 202
    assert s.post(f"{w}/deliveries/{d['id']}/redeliver", headers=key).headers["Idempotency-Replayed"] == "true"
    assert s.post(f"{w}/deliveries/redeliver-failed", {"since": "2026-01-01T00:00:00Z"}).json == {"redelivered": 0, "more": False}
    assert s.get(f"{w}/deliveries/msg_0").problem == s.post(f"{w}/deliveries/msg_0/redeliver").problem == "delivery-not-found"
    other = {"user_id": s.get(f"{V1}/users/me", key="admin").json["id"]}
    assert s.get(f"{w}/secrets?user_id={other['user_id']}").problem == s.post(f"{w}/secrets", other).problem == "role-required"
    assert s.post(f"{w}/secrets", {"user_id": 999999}, key="admin").problem == "user-not-found"
    first = s.get(f"{w}/secrets").json["secrets"]
    assert s.post(f"{w}/secrets", {"overlap": 60}).json["secret"].startswith("whsec_")
    assert s.post(f"{w}/secrets", {}).problem == "secret-rotating"
    old = next(x for x in s.get(f"{w}/secrets").json["secrets"] if x["kind"] == "hmac" and x["expires_at"])
    assert old["id"] in [x["id"] for x in first]
    assert s.call("DELETE", f"{w}/secrets/{old['id']}").status == 200
    assert s.call("DELETE", f"{w}/secrets/{old['id']}").problem == "secret-not-found"
    new = next(x for x in s.get(f"{w}/secrets").json["secrets"] if x["kind"] == "hmac")
    assert s.call("DELETE", f"{w}/secrets/{new['id']}").problem == "last-secret"


def pages(s):
    for path in ("/", "/health", "/api-info", "/livez", "/readyz", "/openapi.json", "/docs", "/docs/docs.css", "/docs/docs.js"):
        a = s.get(path, key=None)
        assert a.status == 200
        if "ETag" in a.headers:
            assert s.get(path, key=None, headers={"If-None-Match": a.headers["ETag"]}).status == 304
    for path in ("status", "metrics", "performance", "health/detailed", "alerts", "dashboard", "metrics/historical"):
        assert s.get(f"{V1}/monitoring/{path}", key="admin").status == 200
    assert s.get("/metrics", key="admin").status == 200


class FolderTrouble:
    """What makes a folder fail."""

    def __init__(self, store):
        self.store = store

    @contextlib.contextmanager
    def not_erasable(self, folder):
        """A path that is longer than any may be."""
        at = os.open(self.store.path(folder), os.O_RDONLY)
        for _ in range(20):
            os.mkdir("d" * 250, dir_fd=at)
            inner = os.open("d" * 250, os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = inner
        os.close(at)
        yield
        shutil.rmtree(self.store.path(folder))

    @contextlib.contextmanager
    def away(self):
        hidden = self.store.root.with_name("hidden")
        self.store.root.rename(hidden)
        yield
        hidden.rename(self.store.root)


class BucketTrouble:
    """What makes S3 fail: a proxy before it."""

    def __init__(self, store, proxy):
        self.store, self.proxy = store, proxy
        store.endpoint = proxy.url

    @contextlib.contextmanager
    def not_erasable(self, folder):
        held = [self.proxy.fault(s3fault.answer(500, "InternalError"), *what) for what in (("DELETE",), ("POST", r"\?delete"))]
        yield
        for rule in held:
            rule.release()

    @contextlib.contextmanager
    def away(self):
        self.proxy.shut()
        yield
        self.proxy.listen()


@pytest.fixture
def trouble(make_store):
    """A store of a program, and what makes it fail."""
    store = make_store()
    if store.kind == "dir":
        yield FolderTrouble(store)
        return
    proxy = s3proxy.Proxy(store.server.port)
    yield BucketTrouble(store, proxy)
    proxy.stop()


def erased(s, trouble):
    """200; 503 and 409 while the objects cannot be erased."""
    assert s.call("DELETE", s.path(CASE), key="admin").status == 200
    assert s.store.gone(f"processos/{lib.digits(CASE)}/")
    with trouble.not_erasable(f"processos/{lib.digits(OTHER)}/"):
        assert s.call("DELETE", s.path(OTHER), key="admin").problem == "storage-unavailable"
        for a in (s.get(s.path(OTHER)), s.post(s.path(OTHER, "jobs"), {}), s.post(s.path(OTHER, "refresh")),
                  s.post(s.path(OTHER, "download-all-documents")), s.post(f"{V1}/processes/search", {"process_numbers": [OTHER]})):
            assert a.problem == "case-busy" and a.headers["Retry-After"]


def troubled(book, s, sim, trouble):
    """503: the database cannot be read, then not be written; the store is not there."""
    s.stop()
    s.start()
    database = s.data_dir / "autos.db"
    database.rename(s.data_dir / "away")
    seen = [send(s, method, target(path), op).problem for method, path, op in book.operations()
            if op["x-role"] in api.ROLES and method == "GET" and "monitoring" not in path]
    (s.data_dir / "away").rename(database)
    assert set(seen) == {"database-unavailable"}, seen
    assert s.get(f"{V1}/users/me").status == 200
    partial = lib.number_of("denied-document-401-json")
    s.post(s.path(partial, "jobs"), {"webhook_url": s.url + V1 + "/webhooks/webhook-test-receiver"})
    s.finished(partial)
    job = s.status(SPARE)["job_id"]
    document = s.status(SPARE)["documents"][0]["id"]
    user = s.get(f"{V1}/users/me").json["id"]
    key = str(s.get(f"{V1}/users/{user}/keys", key="admin").json[0]["id"])
    sim.script("* stall=header")
    active = s.post(s.path(NEVER_ASKED, "jobs"), {}).json["job_id"]
    lib.until(lambda: s.get(f"{V1}/jobs/{active}").json["status"] == "processing", "the worker")
    sent = s.get(f"{V1}/webhooks/deliveries?limit=1").json["deliveries"][0]["id"]
    s.post(f"{V1}/webhooks/secrets", {"kind": "ed25519"})
    secret = next(x["id"] for x in s.get(f"{V1}/webhooks/secrets").json["secrets"] if x["expires_at"])
    limits = resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    for method, path, op in book.operations():
        if "webhook-" in path or op["x-role"] not in api.ROLES or method == "GET":
            continue
        if op["operationId"] == "redeliver_failed":
            continue  # none failed: nothing is written
        ident = sent if "deliveries" in path else secret if "secrets" in path else active if path.endswith("/cancel") else job if "/jobs/" in path else document if "document/" in path else user
        body = {"username": "nobody"} if path.endswith("/users") else {"force_refresh": True} if path.endswith("/jobs") else None
        path = path.replace("{key_id}", key)
        a = send(s, method, target(path, SPARE, str(ident)), op, **({"body": body} if body else {}))
        assert a.problem == "database-unavailable", a
    resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE, limits)
    assert s.post(f"{V1}/jobs/{active}/cancel").status == 200
    assert s.post(f"{V1}/users", {"username": "after-all"}, key="admin").status == 200
    with trouble.away():
        lib.until(lambda: not next(c for c in s.get("/readyz", key=None).json["checks"] if c["name"] == "store")["ok"],
                  "the store to be missed")


class Service(api.Service):
    def finished_job(self, number):
        """The status once the latest job is final, whatever the case's own word is."""
        def final():
            s = self.status(number)
            return s if s["completed_at"] else None

        return lib.until(final, f"the end of {number}")


@pytest.mark.sqlite
@pytest.mark.both
def test_every_described_answer(book, sim, make_service, trouble):
    book.seen.clear()
    test_rates(book, make_service)
    s = book.open(make_service(sim, kind=Service, store=trouble.store, portal_timeout="60s", lease_time="60s",
                            rate_limit_anonymous="1000"))
    stored_case(s)
    unknown(s)
    jobs(s, sim)
    refused_cases(s)
    many(s)
    people(s)
    webhooks(s)
    deliveries(s)
    pages(s)
    refusals(book, s)
    erased(s, trouble)
    troubled(book, s, sim, trouble)
    s.stop()
    strict = make_service(sim, environment="production", public_url="https://autos.example.org", portal_token_file=None)
    book.open(strict)
    assert strict.post(f"{V1}/webhooks/webhook-test-receiver", {}, key=None).problem == "not-found"
    missing, unseen = book.missing(), set(UNSEEN if s.store.kind == "dir" else {**UNSEEN, **UNSEEN_ON_S3})
    assert missing == unseen, (sorted(missing - unseen), sorted(unseen - missing))
