"""Webhooks: who is told, what, how often; signatures; sending again."""

import collections
import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.parse

import pytest

import api
import lib
import receiver

W = "/api/v1/webhooks"
FAST = {"webhook_schedule": "30ms,60ms", "rate_limit": "100000"}
INTEROP = lib.ROOT / "tests" / "interop"


def numbers(sim, n=None):
    return [c["number"] for c in sim.cases("?papers=0") if c["oddity"] == "plain"][:n]


def deliveries(s, **more):
    return s.get(f"{W}/deliveries?limit=1000", **more).json["deliveries"]


def delivery(s, url, **more):
    """The newest to an address, once it is over."""
    def over():
        found = [d for d in deliveries(s, **more) if d["webhook_url"] == url]
        return found[0] if found and found[0]["ended_at"] else None

    return lib.until(over, f"the end of the delivery to {url}", every=0.02)


def attempts(s, d):
    return s.get(f"{W}/deliveries/{d['id']}").json["attempts"]


def secret_of(s, **more):
    return s.post(f"{W}/secrets", {"overlap": 0}, **more).json["secret"]


# ---- who is told ----


@pytest.mark.databases
def test_everybody_is_told(make_sim, make_service):
    """The first caller, those who joined, and those who came when all was done."""
    sim = make_sim("--cases", 2, "--documents", 6, "--size", 3000, script="binario calls=1-2 drip=800/100\n")
    s, number = make_service(sim, **FAST), numbers(sim, 1)[0]
    with receiver.Receiver() as r:
        first = s.post(s.path(number, "jobs"), {"webhook_url": r.url + "/first"})
        assert first.status == 202
        status = s.status(number)
        assert (status["webhook_url"], status["webhook_sent"], status["webhook_sent_at"]) == (r.url + "/first", False, None)
        assert s.post(s.path(number, "jobs"), {"webhook_url": r.url + "/joined"}).json["adopted"] is True
        query = urllib.parse.urlencode({"webhook_url": r.url + "/get", "webhook_thin": "true"})
        s.get(s.path(number) + "?" + query, headers={"Prefer": "respond-async"})
        assert not r.messages()
        assert s.finished(number)["outcome"] == "complete"
        lib.until(lambda: len(r.messages()) == 3, "the first three")
        s.post(s.path(number, "jobs"), {"webhook_url": r.url + "/late"})
        s.get(s.path(number) + "?" + urllib.parse.urlencode({"webhook_url": r.url + "/later"}))
        lib.until(lambda: len(r.messages()) == 5, "those who came later")
        # Who asks once more, when nothing is under way to him, is told once more.
        lib.until(lambda: s.one("SELECT COUNT(*) FROM delivery WHERE state = 'delivered'") == 5, "what became of them")
        s.post(s.path(number, "jobs"), {"webhook_url": r.url + "/late"})
        lib.until(lambda: len(r.messages("/late")) == 2, "the same address again")
        status = lib.until(lambda: s.status(number) if s.status(number)["webhook_sent"] else None, "the status")
    assert status["webhook_sent_at"] >= status["completed_at"]
    ids = [m.headers["webhook-id"] for m in r.messages()]
    assert len(set(ids)) == 6 and all(re.fullmatch("msg_[0-9a-f]{32}", i) for i in ids)
    for m in r.messages():
        assert m.headers["X-Webhook-ID"] == m.json["job_id"] == first.json["job_id"]
        assert m.headers["X-Webhook-Attempt"] == "1" and m.json["event_id"] == m.headers["webhook-id"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", m.headers["X-Webhook-Timestamp"])
        assert (m.json["type"], m.json["status"], m.json["outcome"]) == ("job.completed", "completed", "complete")
        assert m.json["process_number"] == lib.digits(number) and m.json["progress_percentage"] == 100.0
        assert (m.json["total_documents"], m.json["completed_documents"], m.json["failed_documents"]) == (6, 6, 0)
        api.Contract().validate({"$ref": "#/components/schemas/JobMessage"}, m.json, "a message")
    for d in r.messages("/first")[0].json["documents"]:
        assert len(s.fetch(d["download_url"].removeprefix(s.url)).body) == d["size"]
    s.stop()
    lib.check_invariants(s, sim)


def test_a_thin_message_names_nothing(make_sim, make_service):
    sim = make_sim("--cases", 2, "--documents", 6, "--size", 3000)
    s, number = make_service(sim, **FAST), numbers(sim, 1)[0]
    with receiver.Receiver() as r:
        s.post(s.path(number, "jobs"), {"webhook_url": r.url, "webhook_thin": True})
        thin = lib.until(r.messages, "the message")[0]
    assert {k for d in thin.json["documents"] for k in d} == {"id", "uuid", "status"}
    assert len(thin.json["documents"]) == 6 and "error_message" not in thin.json
    names = {d["name"] for d in s.status(number)["documents"]}
    assert names and not any(n.encode() in thin.body or json.dumps(n).encode() in thin.body for n in names)
    assert b"/files/" not in thin.body
    s.stop()
    s.start(webhook_thin="yes")
    with receiver.Receiver() as r:
        s.post(s.path(number, "jobs"), {"webhook_url": r.url})
        assert "name" not in lib.until(r.messages, "the message")[0].json["documents"][0]


@pytest.mark.databases
@pytest.mark.parametrize("oddity, status, outcome", [
    ("not-found-404-json", "failed", "not_found"), ("case-sealed-401", "failed", "access_denied"),
    ("case-codex-500", "failed", "upstream_error"), ("denied-document-401-json", "failed", "partial"),
    ("detail-object", "completed", "complete")])
def test_every_end_is_told(make_service, sim, oddity, status, outcome):
    s, number = make_service(sim, **FAST), lib.number_of(oddity)
    with receiver.Receiver() as r:
        s.post(s.path(number, "jobs"), {"webhook_url": r.url})
        m = lib.until(r.messages, "the message")[0]
    assert (m.json["type"], m.json["status"], m.json["outcome"]) == ("job." + status, status, outcome)
    assert m.json["failed_documents"] == sum(d["status"] == "failed" for d in m.json["documents"])
    api.Contract().validate({"$ref": "#/components/schemas/JobMessage"}, m.json, "a message")


def test_all_documents_failed(make_sim, make_service):
    sim = make_sim("--cases", 1, "--documents", 3, "--size", 3000, script="binario status=404 type=application/json body=404\n")
    s, number = make_service(sim, **FAST), numbers(sim, 1)[0]
    with receiver.Receiver() as r:
        s.post(s.path(number, "jobs"), {"webhook_url": r.url})
        m = lib.until(r.messages, "the message")[0]
        assert (m.json["status"], m.json["completed_documents"], m.json["failed_documents"]) == ("failed", 0, 3)
        # The retry ends again, and is another message of the same job.
        sim.script("")
        assert s.post(f"/api/v1/jobs/{m.json['job_id']}/retry").status == 202
        lib.until(lambda: len(r.messages()) == 2, "the second end")
        again = r.messages()[1]
    assert (again.json["job_id"], again.json["status"]) == (m.json["job_id"], "completed")
    assert again.json["event_id"] != m.json["event_id"] and again.json["sequence"] > m.json["sequence"]


def test_a_cancelled_job_is_told(make_sim, make_service):
    sim = make_sim("--cases", 1, "--documents", 6, "--size", 20000, script="binario drip=100/100\n")
    s, number = make_service(sim, **FAST), numbers(sim, 1)[0]
    with receiver.Receiver() as r:
        job = s.post(s.path(number, "jobs"), {"webhook_url": r.url}).json["job_id"]
        lib.until(lambda: sim.stats()["parallel"]["binario"], "work")
        s.post(f"/api/v1/jobs/{job}/cancel")
        m = lib.until(r.messages, "the message")[0]
    assert (m.json["type"], m.json["status"], m.json["outcome"]) == ("job.cancelled", "cancelled", None)
    assert m.json["progress_percentage"] < 100


# ---- tries ----


@pytest.mark.databases
def test_tries_and_their_log(make_service, sim):
    answers = collections.deque([(503, {"Retry-After": "1"}, b"busy \xff\x01 now " + b"x" * 5000), 500, 200])
    s, number = make_service(sim, **FAST), lib.number_of("plain")
    with receiver.Receiver(lambda m: answers.popleft()) as r:
        s.post(s.path(number, "jobs"), {"webhook_url": r.url})
        d = delivery(s, r.url)
    assert (d["status"], d["attempt_count"], d["last_result"]) == ("delivered", 3, "ok")
    first, second, third = attempts(s, d)
    assert [a["attempt"] for a in (first, second, third)] == [1, 2, 3]
    assert (first["status_code"], first["result"], first["error_message"]) == (503, "http", "answered 503")
    assert first["answer"].startswith("busy ?  now xxx") and len(first["answer"]) == 1024
    assert first["reason"] == "asked to wait 1 s: again in 1000 ms" or "asked to wait" in first["reason"]
    assert first["address"] == f"127.0.0.1 {r.port}" and first["trigger"] == "auto" and first["duration_ms"] >= 0
    assert second["reason"] == "by the schedule: again in 60 ms" and third["reason"] is None
    got = r.messages()
    assert [m.headers["X-Webhook-Attempt"] for m in got] == ["1", "2", "3"]
    assert len({m.headers["webhook-id"] for m in got}) == 1 and got[1].at - got[0].at >= 0.99
    assert s.status(number)["webhook_sent"] is True


@pytest.mark.databases
def test_the_end_of_the_schedule(make_service, sim):
    s, number = make_service(sim, **FAST), lib.number_of("plain")
    with receiver.Receiver(404) as r:
        s.post(s.path(number, "jobs"), {"webhook_url": r.url})
        d = delivery(s, r.url)
        assert (d["status"], d["attempt_count"], d["last_result"], d["next_attempt_at"]) == ("failed", 3, "http", None)
        assert attempts(s, d)[-1]["reason"] == "that was the last of 3 tries"
        assert s.status(number)["webhook_sent"] is False
        r.answer = 204
        assert s.post(f"{W}/deliveries/redeliver-failed", {"since": d["ended_at"]}).json["redelivered"] == 1
        d = delivery(s, r.url)
        assert (d["status"], d["attempt_count"]) == ("delivered", 4)
        assert [a["trigger"] for a in attempts(s, d)] == ["auto", "auto", "auto", "manual"]
        assert s.status(number)["webhook_sent"] is True
        # One that was delivered is sent again as well, with its id.
        assert s.post(f"{W}/deliveries/{d['id']}/redeliver").status == 202
        lib.until(lambda: len(r.messages()) == 5, "the same once more")
        assert len({m.headers["webhook-id"] for m in r.messages()}) == 1
        assert s.post(f"{W}/deliveries/redeliver-failed", {"since": "2020-01-01T00:00:00-03:00"}).json["redelivered"] == 0


def test_gone(make_service, sim):
    s, number = make_service(sim, **FAST), lib.number_of("plain")
    with receiver.Receiver(410) as r:
        s.post(s.path(number, "jobs"), {"webhook_url": r.url})
        d = delivery(s, r.url)
        assert (d["status"], d["attempt_count"], d["last_result"]) == ("cancelled", 1, "gone")
        assert s.post(f"{W}/deliveries/redeliver-failed", {"since": "2020-01-01T00:00:00Z"}).json["redelivered"] == 0


@pytest.mark.databases
def test_a_paused_target(make_sim, make_service):
    """After three failures nothing is sent but one that tries; others are not held up; one success opens it."""
    sim = make_sim("--cases", 1, "--documents", 2, "--size", 2000)
    s = make_service(sim, **{**FAST, "webhook_schedule": ",".join(["20ms"] * 20)}, webhook_pause_after=3, webhook_pause="400ms", webhook_pause_max="400ms")
    number = numbers(sim, 1)[0]
    with receiver.Receiver(500) as bad, receiver.Receiver() as good:
        s.post(s.path(number, "jobs"), {"webhook_url": bad.url + "/0"})
        s.finished(number)
        for i in range(1, 12):
            s.post(s.path(number, "jobs"), {"webhook_url": f"{bad.url}/{i}"})
        lib.until(lambda: "webhook target paused" in s.stderr(), "the pause")
        assert s.one("SELECT paused_until_ms > 0 FROM webhook_target")
        assert b"autos_webhook_targets_paused 1" in s.get("/metrics", key="admin").body
        s.post(s.path(number, "jobs"), {"webhook_url": good.url})
        assert delivery(s, good.url)["status"] == "delivered"
        before = len(bad.messages())
        lib.until(lambda: len(bad.messages()) >= before + 2, "two that try")
        times = [m.at for m in bad.messages()[before:before + 2]]
        assert times[1] - times[0] > 0.35, "one after each pause"
        bad.answer = 200
        lib.until(lambda: all(d["status"] == "delivered" for d in deliveries(s)), "all to arrive")
    assert s.one("SELECT failures + paused_until_ms FROM webhook_target WHERE origin = ?", bad.url) == 0


@pytest.mark.databases
def test_few_at_once_to_one_target(make_sim, make_service):
    sim = make_sim("--cases", 1, "--documents", 2, "--size", 2000)
    s, number = make_service(sim, **FAST, webhook_target_parallel=3), numbers(sim, 1)[0]
    lock, now, most = threading.Lock(), [0], [0]

    def slow(m):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.03)
        with lock:
            now[0] -= 1
        return 200

    with receiver.Receiver(slow) as r:
        s.post(s.path(number, "jobs"), {"webhook_url": f"{r.url}/0"})
        s.finished(number)
        for i in range(1, 40):
            s.post(s.path(number, "jobs"), {"webhook_url": f"{r.url}/{i}"})
        lib.until(lambda: len(r.messages()) == 40, "all")
    assert most[0] == 3


@pytest.mark.databases
def test_stopping_hands_back(make_sim, make_service):
    """A stop while a receiver thinks: the message comes again at the next start, and no try is spent."""
    sim = make_sim("--cases", 1, "--documents", 2, "--size", 2000)
    s, number = make_service(sim, **FAST, drain_time="100ms"), numbers(sim, 1)[0]
    go = threading.Event()
    with receiver.Receiver(lambda m: (go.wait(lib.PATIENCE), 200)[1]) as r:
        s.post(s.path(number, "jobs"), {"webhook_url": r.url})
        lib.until(r.messages, "the first")
        s.stop()
        assert tuple(s.rows("SELECT state, attempts, owner FROM delivery")[0]) == ("pending", 0, "")
        go.set()
        s.start()
        assert delivery(s, r.url)["attempt_count"] == 1
    assert len({m.headers["webhook-id"] for m in r.messages()}) == 1 and len(r.messages()) == 2


# ---- whose ----


@pytest.mark.databases
def test_everybody_has_their_own(make_sim, make_service):
    """Secrets and deliveries of one user are not another's; a user who is gone is sent nothing."""
    sim = make_sim("--cases", 1, "--documents", 2, "--size", 2000)
    s, number = make_service(sim, **FAST), numbers(sim, 1)[0]
    key = s.post("/api/v1/users", {"username": "other"}, key="admin").json
    other, user_id = key["api_key"], key["user"]["id"]
    mine, theirs, over = secret_of(s), secret_of(s, key=other), threading.Event()
    with receiver.Receiver() as r:
        url = r.url + "/same"
        s.post(s.path(number, "jobs"), {"webhook_url": url})
        lib.until(r.messages, "the first one's")
        s.post(s.path(number, "jobs"), {"webhook_url": url}, key=other)
        lib.until(lambda: len(r.messages()) == 2, "both")
        for m, secret in zip(r.messages(), (mine, theirs)):
            assert m.headers["webhook-signature"] == receiver.sign(secret, m.headers["webhook-id"], m.headers["webhook-timestamp"], m.body)
        assert len(deliveries(s)) == len(deliveries(s, key=other)) == 1 and len(deliveries(s, key="admin")) == 2
        foreign = deliveries(s, key=other)[0]["id"]
        assert s.get(f"{W}/deliveries/{foreign}").problem == "delivery-not-found"
        assert s.post(f"{W}/deliveries/{foreign}/redeliver").problem == "delivery-not-found"
        r.answer = lambda m: (over.wait(lib.PATIENCE), 500)[1]
        s.call("POST", s.path(number, "jobs"), key=other, body={"webhook_url": r.url + "/gone"})
        lib.until(lambda: r.messages("/gone"), "a try")
        assert s.call("PUT", f"/api/v1/users/{user_id}", key="admin", body={"active": False}).status == 200
        over.set()
        d = delivery(s, r.url + "/gone", key="admin")
        assert (d["status"], d["error_message"]) == ("cancelled", "the user is gone or not active")


@pytest.mark.databases
def test_a_user_who_goes_while_messages_wait(make_sim, make_service):
    """What is at hand for a user is not sent any more once they are not active."""
    sim = make_sim("--cases", 1, "--documents", 2, "--size", 2000)
    s, number = make_service(sim, **FAST, webhook_target_parallel=1, webhook_timeout="60s", lease_time="600s"), numbers(sim, 1)[0]
    made = s.post("/api/v1/users", {"username": "other"}, key="admin").json
    slow = threading.Event()
    slow.set()
    with receiver.Receiver(lambda m: (slow.wait(lib.PATIENCE), 200)[1]) as r:
        s.post(s.path(number, "jobs"), {"webhook_url": r.url})
        s.finished(number)
        assert delivery(s, r.url)["status"] == "delivered"
        slow.clear()
        for i in range(20):
            s.call("POST", s.path(number, "jobs"), key=made["api_key"], body={"webhook_url": f"{r.url}/{i}"})
        lib.until(lambda: s.one("SELECT COUNT(*) FROM delivery WHERE state = 'delivering'") == 20 and len(r.messages()) == 2,
                  "messages at hand")
        assert s.call("PUT", f"/api/v1/users/{made['user']['id']}", key="admin", body={"active": False}).status == 200
        assert s.one("SELECT COUNT(*) FROM delivery WHERE state = 'cancelled'") == 20
        lib.until(lambda: "webhook leases lost" in s.stderr(), "the loss to be noticed")
        slow.set()
        s.post(s.path(number, "jobs"), {"webhook_url": r.url + "/mine"})
        assert delivery(s, r.url + "/mine")["status"] == "delivered"
        assert len(r.messages()) == 3


@pytest.mark.databases
def test_rotation(make_sim, make_service):
    sim = make_sim("--cases", 1, "--documents", 2, "--size", 2000)
    s, number = make_service(sim, **FAST), numbers(sim, 1)[0]
    old = secret_of(s)
    new = s.post(f"{W}/secrets", {"overlap": 2}).json["secret"]

    def signatures(m):
        return [receiver.sign(x, m.headers["webhook-id"], m.headers["webhook-timestamp"], m.body) for x in (new, old)]

    with receiver.Receiver() as r:
        s.post(s.path(number, "jobs"), {"webhook_url": r.url})
        m = lib.until(r.messages, "the message")[0]
        assert m.headers["webhook-signature"].split(" ") == signatures(m)
        lib.until(lambda: len([x for x in s.get(f"{W}/secrets").json["secrets"] if x["kind"] == "hmac"]) == 1, "the overlap to end")
        s.post(s.path(number, "jobs"), {"webhook_url": r.url + "/2"})
        m = lib.until(lambda: r.messages("/2"), "the message")[0]
        assert m.headers["webhook-signature"].split(" ") == signatures(m)[:1]
        out = s.run("webhook", "rotate", "user-of-tests", "--expires", "1h", check=0).out.strip()
        s.post(s.path(number, "jobs"), {"webhook_url": r.url + "/3"})
        m = lib.until(lambda: r.messages("/3"), "the message")[0]
        old, new = new, out
        assert m.headers["webhook-signature"].split(" ") == signatures(m)
    for text in (s.stderr(), s.get("/metrics", key="admin").body.decode()):
        assert old.removeprefix("whsec_") not in text and new.removeprefix("whsec_") not in text


# ---- signatures, by others and by us ----


def test_a_test_is_signed(service):
    secret = secret_of(service)
    with receiver.Receiver() as r:
        a = service.post(f"{W}/webhook-send-test", {"webhook_url": r.url, "test_payload": {"test": True, "a": "ç"}})
    assert a.json["success"] and a.json["attempts"] == 1
    h, body = r.messages()[0].headers, r.messages()[0].body
    assert h["webhook-signature"] == receiver.sign(secret, h["webhook-id"], h["webhook-timestamp"], body)


def a_message(make_sim, make_service, **more):
    """(service, message, shared secret, public key) of a delivery."""
    sim = make_sim("--cases", 1, "--documents", 3, "--size", 2000)
    s, number = make_service(sim, **FAST, **more), numbers(sim, 1)[0]
    secret = secret_of(s)
    with receiver.Receiver() as r:
        s.post(s.path(number, "jobs"), {"webhook_url": r.url})
        m = lib.until(r.messages, "the message")[0]
    public = next(x["public_key"] for x in s.get(f"{W}/secrets").json["secrets"] if x["kind"] == "ed25519")
    return s, m, secret, public


def raw(m):
    head = "".join(f"{k}: {v}\r\n" for k, v in m.headers.items())
    return b"POST /hook HTTP/1.1\r\n" + head.encode() + b"\r\n" + m.body


def test_verify_offline(make_sim, make_service, place):
    s, m, secret, public = a_message(make_sim, make_service, webhook_ed25519="yes")
    message, body, keys = place / "message", place / "body", place / "keys"
    message.write_bytes(raw(m))
    body.write_bytes(m.body)
    headers = [x for k in ("webhook-id", "webhook-timestamp", "webhook-signature") for x in ("--header", f"{k}: {m.headers[k]}")]
    assert len(m.headers["webhook-signature"].split(" ")) == 2
    for key in (secret, public, f"whsec_{'A' * 43}=\n{secret}"):
        keys.write_text(key + "\n")
        out = s.run("webhook", "verify", "--secret-file", keys, message, check=0).out
        assert out.startswith(f"good: {m.headers['webhook-id']}, ")
        s.run("webhook", "verify", "--secret-file", keys, *headers, body, check=0)
        s.run("webhook", "verify", message, env={"WEBHOOK_SECRET": key}, check=0)
    old = raw(m).replace(m.headers["webhook-timestamp"].encode(), b"1614265330")
    for broken, says in ((raw(m)[:-1] + b"]", "no signature"), (raw(m).replace(b"msg_", b"msg-"), "no signature"), (old, "no signature")):
        message.write_bytes(broken)
        p = s.run("webhook", "verify", "--secret-file", keys, message)
        assert p.status == 1 and says in p.err, p
    body.write_text('{"test": 2432232314}')
    keys.write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    known = ["--header", "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek", "--header", "webhook-timestamp: 1614265330",
             "--header", "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", body]
    p = s.run("webhook", "verify", "--secret-file", keys, *known)
    assert p.status == 1 and "s old" in p.err
    s.run("webhook", "verify", "--secret-file", keys, "--any-age", *known, check=0)
    assert s.run("webhook", "verify", "--secret-file", keys, body).status == 2
    assert s.run("webhook", "verify", body).status == 2


def test_the_reference_library(make_sim, make_service, place):
    """Ours by theirs, theirs by ours: the npm package `standardwebhooks`."""
    s, m, secret, _ = a_message(make_sim, make_service)
    modules = lib.ROOT / "build" / "interop" / "node_modules"
    assert (modules / "standardwebhooks").is_dir(), "run tests/interop/install.sh"
    env = {**os.environ, "NODE_PATH": str(modules)}

    def node(what, **more):
        given = json.dumps({"what": what, "secret": secret, **more})
        p = subprocess.run(["node", INTEROP / "interop.js"], input=given, capture_output=True, text=True, env=env, timeout=lib.PATIENCE)
        assert p.returncode == 0, p.stderr
        return json.loads(p.stdout)

    headers = {k.lower(): v for k, v in m.headers.items()}
    body = m.body.decode()
    assert node("verify", headers=headers, body=body) == {"good": True}
    assert node("verify", headers=headers, body=body[:-1] + "]")["good"] is False
    assert node("verify", headers={**headers, "webhook-id": "msg_other"}, body=body)["good"] is False
    for i, text in enumerate(("{}", '{"a": "ção"}', "", "x" * 70000)):
        made = node("sign", id=f"msg_{i}", timestamp=int(time.time()), body=text)
        file, keys = place / "theirs", place / "keys"
        file.write_text(text)
        keys.write_text(secret)
        args = [x for k, v in made["headers"].items() for x in ("--header", f"{k}: {v}")]
        s.run("webhook", "verify", "--secret-file", keys, *args, file, check=0)
        file.write_text(text + " ")
        assert s.run("webhook", "verify", "--secret-file", keys, *args, file).status == 1


RECEIVERS = {
    "python": ("receiver.py", ["/usr/bin/python3", "receiver.py"]),
    "js": ("receiver.js", ["node", "receiver.js"]),
    "php": ("receiver.php", ["php", "-S", "127.0.0.1:{port}", "receiver.php"]),
    "ruby": ("receiver.rb", ["ruby", "receiver.rb"]),
    "go": ("receiver.go", ["go", "run", "receiver.go"]),
}


@pytest.mark.parametrize("language", RECEIVERS)
def test_receivers_of_the_docs(make_sim, make_service, place, language):
    """The code of docs/webhooks.md as it stands: takes ours, refuses what was forged, altered or is old."""
    page = (lib.ROOT / "docs" / "webhooks.md").read_text("utf-8")
    code = re.search(rf"^```{language}\n(.*?)^```", page.split("## Receivers")[1], re.M | re.S)[1]
    name, command = RECEIVERS[language]
    assert shutil.which(command[0]), f"{command[0]} is missing: run packaging/deps.sh test"
    sim = make_sim("--cases", 1, "--documents", 3, "--size", 2000)
    s, number = make_service(sim, **FAST), numbers(sim, 1)[0]
    secret, port = secret_of(s), receiver.free_port()
    (place / name).write_text(code)
    env = {**os.environ, "PORT": str(port), "WEBHOOK_SECRET": secret, "HOME": str(place), "GOCACHE": str(place / "go"), "GO111MODULE": "off"}
    with open(place / "receiver.log", "wb") as log:
        p = subprocess.Popen([x.format(port=port) for x in command], cwd=place, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        def post(headers, body):
            import http.client
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=lib.PATIENCE)
            try:
                c.request("POST", "/hook", body, {"Content-Type": "application/json", **headers})
                return c.getresponse().status
            except OSError:
                return None
            finally:
                c.close()

        lib.until(lambda: p.poll() is None and post({}, b"{}") == 400, "the receiver", every=0.1)
        s.post(s.path(number, "jobs"), {"webhook_url": f"http://127.0.0.1:{port}/hook"})
        d = delivery(s, f"http://127.0.0.1:{port}/hook")
        assert (d["status"], d["attempt_count"]) == ("delivered", 1), (place / "receiver.log").read_text()
        assert d["id"] in (place / "receiver.log").read_text()
        now, body = int(time.time()), b'{"a": "\xc3\xa7"}'

        def signed(at, secret=secret, body=body, id="msg_1"):
            return {"webhook-id": id, "webhook-timestamp": str(at), "webhook-signature": receiver.sign(secret, id, at, body)}

        other = "whsec_" + "A" * 43 + "="
        good = signed(now)
        assert post(good, body) == 204
        assert post({**good, "webhook-signature": "v1,AAAA v2,B " + good["webhook-signature"]}, body) == 204
        for headers, text in ((good, body + b" "), (signed(now, other), body), (signed(now - 400), body), (signed(now + 400), body),
                              ({**good, "webhook-id": "msg_2"}, body), ({**good, "webhook-timestamp": str(now + 1)}, body),
                              ({**good, "webhook-timestamp": "x"}, body), ({**good, "webhook-signature": "v1,"}, body),
                              ({**good, "webhook-signature": good["webhook-signature"][3:]}, body), ({}, body)):
            assert post(headers, text) == 400, headers
    finally:
        os.killpg(p.pid, 9)
        p.wait()
