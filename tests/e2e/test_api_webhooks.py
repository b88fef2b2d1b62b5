"""Tests of webhooks' addresses: what the target is sent, what is told of it, and which addresses are never called."""

import contextlib
import http.server
import json
import socket
import threading

import pytest

import lib

W = "/api/v1/webhooks/webhook-"


@contextlib.contextmanager
def target(*statuses, headers=(), body=b"do not tell this"):
    """A client's server: answers with these statuses, the last one again and again. Gives (URL, what it was sent)."""
    seen, left = [], list(statuses)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            data = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((self.path, dict(self.headers), data))
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook?x=1", seen
        finally:
            server.shutdown()


@pytest.mark.parametrize("name, statuses, success, attempts", [
    ("test-connectivity", (200,), True, None), ("test-connectivity", (404,), True, None), ("test-connectivity", (500,), True, None),
    ("send-test", (204,), True, 1), ("send-test", (500, 503, 200), True, 3), ("send-test", (500,), False, 3), ("send-test", (404,), False, None)])
def test_what_is_told_of_a_target(shared, name, statuses, success, attempts):
    service, _ = shared
    with target(*statuses) as (url, seen):
        a = service.post(W + name, {"webhook_url": url})
    assert (a.json["success"], a.json["reachable"], a.json["url"]) == (success, True, url)
    assert a.json["status_code"] == statuses[-1] and a.json["response_time_ms"] >= 0
    assert b"do not tell" not in a.body and ("error" in a.json) == (not success)
    assert attempts is None or a.json["attempts"] == attempts == len(seen)
    for path, headers, data in seen:
        assert path == "/hook?x=1" and headers["Content-Type"] == "application/json"
        assert json.loads(data)["test"] is True and "Authorization" not in headers


def test_a_payload_of_the_clients_own(shared):
    service, _ = shared
    mine = {"a": ["é", 1, None], "b": {"c": "d" * 60000}}
    for name in ("test-connectivity", "send-test"):
        with target(200) as (url, seen):
            assert service.post(W + name, {"webhook_url": url, "test_payload": mine}).json["success"]
        assert json.loads(seen[0][2]) == mine
        a = service.post(W + name, {"webhook_url": url, "test_payload": {"a": "b" * 65536}})
        assert a.problem == "invalid-body" and a.json["errors"][0]["pointer"] == "/test_payload"


def test_redirects_are_not_followed(shared):
    service, _ = shared
    with target(200) as (url, seen):
        with target(302, headers=[("Location", url)]) as (first, _):
            a = service.post(W + "send-test", {"webhook_url": first})
    assert (a.json["success"], a.json["status_code"], seen) == (False, 302, [])


def test_a_long_answer_is_not_read(shared):
    service, _ = shared
    with target(200, body=b"x" * (32 << 20)) as (url, _):
        a = service.post(W + "test-connectivity", {"webhook_url": url})
    assert a.json["reachable"] and len(a.body) < 2000


def test_nobody_there(shared):
    service, _ = shared
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{s.getsockname()[1]}/"
        for name in ("test-connectivity", "send-test"):
            a = service.post(W + name, {"webhook_url": url})
            assert not a.json["success"] and not a.json["reachable"] and a.json["error"]
            assert "status_code" not in a.json and "response_time_ms" not in a.json


def test_production_calls_nobody_inside(make_service, sim):
    """Neither by address nor by name, and https only."""
    s = make_service(sim, environment="production", public_url="https://autos.example.org")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for host in ("127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1"):
            url = f"https://{host}:{port}/"
            a = s.post(W + "test-connectivity", {"webhook_url": url})
            assert a.status == 400 or not a.json["reachable"], host
        assert s.post(W + "test-connectivity", {"webhook_url": f"http://127.0.0.1:{port}/"}).problem == "invalid-webhook-url"
        assert s.post(W + "validate", {"webhook_url": "http://client.example.org/"}).json["valid"] is False
        assert s.post(W + "validate", {"webhook_url": "https://client.example.org/"}).json["valid"] is True
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
    number = lib.number_of("detail-object")
    assert s.get(s.path(number) + "?webhook_url=http%3A%2F%2Fclient.example.org%2F").problem == "invalid-webhook-url"
