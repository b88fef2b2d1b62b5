"""Who may what: every route with every role, and keys that are wrong, revoked, expired, of inactive users."""

import struct

import pytest

import api
import crash
import lib

pytestmark = pytest.mark.databases

V1 = "/api/v1"
CASE = "9910000-32.2024.8.26.0100"
ME, JOBS = f"{V1}/users/me", f"{V1}/jobs"
CONTRACT = api.Contract()
ROUTES = [(m.upper(), p, o) for p, item in CONTRACT.doc["paths"].items() for m, o in item.items()]
RANK = {None: 0, "readonly": 1, "user": 2, "admin": 3}


def fill(path):
    for name, value in (("{n}", "9910009-11.2024.4.03.6100"), ("{file}", "docs.js"), ("{key}", "a/b"), ("{name}", "x"), ("{id}", "999"), ("{key_id}", "9")):
        path = path.replace(name, value)
    return path


@pytest.mark.parametrize("method, path, op", ROUTES, ids=[o["operationId"] for _, _, o in ROUTES])
def test_roles(shared, method, path, op):
    """401 without a key, 403 with a lesser role, neither with that role or a higher one."""
    service, _ = shared
    least = {"none": 0, "by setting": 3}.get(op["x-role"]) if op["x-role"] in ("none", "by setting") else RANK[op["x-role"]]
    for role, rank in RANK.items():
        body = {} if "requestBody" in op else None
        a = service.call(method, fill(path), key=role, body=body, headers={"Prefer": "respond-async"})
        own_403 = op["operationId"] == "get_file" or op["operationId"] == "get_process" and a.status == 403 and a.problem == "case-access-denied"
        if rank < least:
            assert a.problem == ("role-required" if role else "authentication-required"), role
        else:
            assert a.status not in (401, 403) or own_403, (role, a)


def test_only_users_start_something(shared):
    service, sim = shared
    before = sim.calls()
    number = "9910007-14.2025.5.02.0001"
    for query in ("?force_refresh=true", "?webhook_url=https%3A%2F%2Fclient.example.org%2F"):
        assert service.get(service.path(number) + query, key="readonly").problem == "role-required"
    assert service.get(service.path(number), key="readonly").problem == "case-not-found"
    assert sim.calls() == before


@pytest.mark.parametrize("headers, status", [
    ({"Authorization": "Bearer {key}"}, 200), ({"Authorization": "bearer {key}"}, 200), ({"Authorization": "BEARER   {key}"}, 200),
    ({"X-API-Key": "{key}"}, 200), ({"x-api-key": "{key}"}, 200),
    ({"Authorization": "{key}"}, 401), ({"Authorization": "Basic {key}"}, 401), ({"Authorization": "Bearer"}, 401), ({"Authorization": ""}, 401),
    ({"Authorization": "Bearer {key}x"}, 401), ({"Authorization": "Bearer {half}"}, 401), ({"X-API-Key": ""}, 401),
    ({"Authorization": "Bearer wrong", "X-API-Key": "{key}"}, 401), ({"X-API-Key": "k" * 10000}, 401), ({"X-API-Key": "'; DROP TABLE user; --"}, 401),
    ({"Cookie": "key={key}"}, 401)])
def test_how_a_key_is_sent(shared, headers, status):
    service, _ = shared
    key = service.keys["user"]
    a = service.get(ME, key=None, headers={k: v.format(key=key, half=key[:30]) for k, v in headers.items()})
    assert a.status == status
    if status == 401:
        assert a.headers["WWW-Authenticate"].startswith("Bearer")
    assert service.get(f"{ME}?api_key={key}", key=None).status == 401, "keys stand in no address"


def new_user(service, name, role="user"):
    a = service.post(f"{V1}/users", {"username": name, "role": role}, key="admin")
    assert a.status == 200
    return a.json["user"]["id"], a.json["api_key"]


def test_revoked_keys(shared):
    service, _ = shared
    user, first = new_user(service, "many-keys")
    more = [service.post(f"{V1}/users/{user}/keys", {"label": f"n{i}"}, key="admin").json for i in range(3)]
    keys = [first] + [m["api_key"] for m in more]
    assert [service.get(ME, key=k).status for k in keys] == [200] * 4
    assert service.call("DELETE", f"{V1}/users/{user}/keys/{more[0]['key']['id']}", key="admin").status == 200
    assert [service.get(ME, key=k).status for k in keys] == [200, 401, 200, 200]
    assert service.get(ME, key=keys[1]).problem == "invalid-key"
    assert service.call("DELETE", f"{V1}/users/{user}/keys/{more[0]['key']['id']}", key="admin").problem == "key-not-found"
    other = service.get(ME, key="user").json["id"]
    assert service.call("DELETE", f"{V1}/users/{other}/keys/{more[1]['key']['id']}", key="admin").problem == "key-not-found"
    new = service.post(f"{V1}/users/{user}/regenerate-api-key", key="admin").json["api_key"]
    assert [service.get(ME, key=k).status for k in [*keys, new]] == [401] * 4 + [200]
    listed = service.get(f"{V1}/users/{user}/keys", key="admin")
    assert sum(k["revoked_at"] is None for k in listed.json) == 1 and all(k["hint"] for k in listed.json)
    for k in [*keys, new]:
        assert k.encode() not in listed.body


def test_users_come_and_go(shared):
    service, _ = shared
    user, key = new_user(service, "comes-and-goes")
    path = f"{V1}/users/{user}"
    for active, status in ((False, 401), (True, 200)):
        assert service.call("PUT", path, key="admin", body={"active": active}).json["active"] is active
        assert service.get(ME, key=key).status == status
    for role, status in (("readonly", 403), ("user", 200), ("admin", 200)):
        assert service.call("PUT", path, key="admin", body={"role": role}).json["role"] == role
        assert service.get(JOBS, key=key).status == status
    assert service.get(f"{V1}/users", key=key).status == 200
    assert service.call("DELETE", path, key="admin").status == 200
    assert service.get(ME, key=key).status == 401
    assert service.call("DELETE", path, key="admin").problem == "user-not-found"


def test_keys_expire(make_service, sim, place):
    clock = place / "clock"
    clock.write_bytes(struct.pack("q", 0))
    s = make_service(sim, start=False)
    s.start(env={**crash.preload(lib.BUILD / "tests" / "clockjump.so"), "CLOCK_FILE": str(clock)})
    user, _ = new_user(s, "short-lived")
    made = s.post(f"{V1}/users/{user}/keys", {"expires_in": 3600}, key="admin").json
    assert made["key"]["expires_at"] and s.get(ME, key=made["api_key"]).status == 200
    with open(clock, "r+b") as f:
        f.write(struct.pack("q", 3_601_000))
    assert s.get(ME, key=made["api_key"]).problem == "invalid-key"
    assert s.get(ME, key="user").status == 200


@pytest.mark.parametrize("body, pointer", [
    ({}, "/username"), ({"username": ""}, "/username"), ({"username": "a b"}, "/username"), ({"username": "a" * 101}, "/username"),
    ({"username": "é"}, "/username"), ({"username": "a", "role": "root"}, "/role"), ({"username": "a", "rate_limit_requests": -1}, "/rate_limit_requests"),
    ({"username": "a", "rate_limit_window": 1.5}, "/rate_limit_window"), ({"username": "a", "email": "none"}, "/email"),
    ({"username": ["a"]}, "/username"), ({"username": "a", "rate_limit_requests": 2**63}, None)])
def test_users_are_checked(shared, body, pointer):
    service, _ = shared
    a = service.post(f"{V1}/users", body, key="admin")
    assert a.problem in ("invalid-body", "malformed-body")
    assert pointer is None or pointer in [e["pointer"] for e in a.json["errors"]]


def test_nobody_raises_themselves(shared):
    service, _ = shared
    for role in ("user", "readonly"):
        for body in ({"role": "admin"}, {"rate_limit_requests": 0}, {"active": True}, {"rate_limit_window": None}):
            assert service.call("PUT", ME, key=role, body=body).problem == "role-required"
        assert service.call("PUT", ME, key=role, body={"email": "a@example.org"}).status == 200
        assert service.get(ME, key=role).json["role"] == role


def test_metrics_public(make_service, sim):
    s = make_service(sim, metrics_public="yes")
    a = s.get("/metrics", key=None)
    assert a.status == 200 and b"autos_http_requests" in a.body
