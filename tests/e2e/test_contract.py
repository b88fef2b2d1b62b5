"""The client of api.py itself: it takes every answer that is described, and no other."""

import contextlib
import http.client
import tempfile
from pathlib import Path

import pytest

import api
import lib

CASE = "/api/v1/processes/0000001-39.2024.8.26.0100"


@pytest.fixture(scope="module")
def contract():
    return api.Contract()


@pytest.fixture(scope="module")
def fake():
    """answers.py in the place of the program; gives a maker of services."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(pytest.MonkeyPatch.context()).setattr(lib, "AUTOS", Path(__file__).with_name("answers.py"))

        def make():
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix="autos-contract-"))
            service = api.Service(place, token="synthetic-header.synthetic-claims.synthetic-mark")
            stack.callback(service.stop)
            return service.start()

        yield make


@pytest.fixture(scope="module")
def service(fake):
    return fake()


def target_of(path):
    for name, value in (("{n}", "0000001-39.2024.8.26.0100"), ("{id}", "1"), ("{key_id}", "1"), ("{file}", "docs.css"),
                        ("{key}", "processos/1/documentos/1.pdf")):
        path = path.replace(name, value)
    return path


def described(contract):
    for path, item in contract.doc["paths"].items():
        for method, op in item.items():
            for status in op["responses"]:
                yield method.upper(), target_of(path), op["operationId"], int(status)


def test_every_described_answer_is_taken(service):
    c = service.connect()
    seen = set()
    for method, target, operation, status in described(service.contract):
        a = service.call(method, target, headers={"X-Status": str(status), "Connection": "keep-alive"}, connection=c)
        assert a.status == status
        seen.add((operation, status))
    assert seen <= set(service.coverage)
    assert ("get_file", 206) in seen and ("get_me", 200) in seen
    c.close()


def test_what_is_not_described_has_its_own_answers(service):
    assert service.get("/nowhere").problem == "not-found"
    assert service.call("PATCH", "/health").problem == "method-not-allowed"
    assert service.call("HEAD", CASE + "/status").body == b""
    assert service.get("/livez", headers={"X-Status": "414"}).problem == "target-too-long"


@pytest.mark.parametrize("method, path, how", [
    ("GET", CASE, "court"),                                     # a member is missing
    ("GET", CASE, 'extra="x"'),                                 # a member too many
    ("GET", CASE, 'id="1"'),                                    # another type
    ("GET", CASE, 'process_number="0000001-39.2024.8.26.0100"'),
    ("GET", CASE, 'created_at="2026-03-02T12:00:00Z"'),
    ("GET", CASE, 'documents.0.status="stored"'),               # deep inside, through references
    ("GET", CASE, 'documents.1.extra=1'),
    ("GET", CASE + "/status", "documents.0.reason"),
    ("GET", "/api/v1/processes", "job_id"),                     # inside an array
    ("GET", "/api/v1/jobs", "jobs.0.job_id=1"),
    ("GET", CASE, "-X-Request-ID"),
    ("GET", CASE, "-RateLimit"),
    ("GET", CASE, "-ETag"),
    ("GET", CASE, "ETag: 1-4"),
    ("GET", CASE, "X-RateLimit-Reset: soon"),
    ("GET", CASE, 'ETag: "a"|"b"'),                             # twice
    ("GET", CASE, "Content-Type: text/html"),
    ("GET", CASE, "-Content-Type"),
    ("GET", CASE, "status=201"),
    ("GET", CASE, 'body={"a":1,"a":2}'),
    ("GET", CASE, "body={\"a\":NaN}"),
    ("GET", "/livez", "body=ok "),
    ("GET", "/nowhere", "status=200"),
    ("GET", "/nowhere", "status=500"),
    ("GET", "/nowhere", "status=405"),
    ("GET", "/nowhere", "detail"),
    ("GET", "/nowhere", 'detail=""'),
    ("GET", "/nowhere", "detail=7"),
    ("GET", "/nowhere", 'type="about:blank"'),
    ("GET", "/nowhere", 'type="/problems/unheard-of"'),
    ("GET", "/nowhere", 'type="/problems/case-busy"'),
    ("GET", "/nowhere", 'title="Nothing"'),
    ("GET", "/nowhere", 'instance="/elsewhere"'),
    ("PATCH", "/health", "Allow: GET, PATCH"),
    ("PATCH", "/health", "-Allow"),
    ("GET", CASE, 'subject="synthetic-claims"'),                # the portal's token
])
def test_what_differs_is_refused(service, method, path, how):
    assert service.call(method, path).status in (200, 404, 405)
    with pytest.raises((AssertionError, ValueError)):
        service.call(method, path, headers={"X-Break": how})


def test_a_key_in_an_answer_is_refused(service):
    with pytest.raises(AssertionError, match="given away"):
        service.get(CASE, headers={"X-Break": f'subject="{service.keys["admin"]}"'})


def test_request_ids_come_back(service):
    a = service.get(CASE, headers={"X-Request-ID": "mine-7"})
    assert a.headers["X-Request-ID"] == "mine-7"
    with pytest.raises(AssertionError, match="another X-Request-ID"):
        service.get(CASE, headers={"X-Request-ID": "mine-7", "X-Break": "X-Request-ID: other"})


def test_event_streams(service):
    with service.events(CASE + "/events") as stream:
        first = next(stream)
        assert (first.id, first.event, first.data["total_documents"]) == ("a", "progress", 1)
        last = next(stream)
        assert (last.id, last.event, last.data["outcome"]) == ("b", "done", "complete")
        assert list(stream) == []  # a block that was cut is no event
        assert stream.comments == 1
    with service.events(CASE + "/events", headers={"X-Status": "204"}) as stream:
        assert stream.status == 204 and list(stream) == []


def test_event_kinds_and_members_are_held_against_the_description(contract):
    op = contract.find("GET", CASE + "/events")[1]
    good = contract.doc["components"]["schemas"]["EventDocument"]["examples"][0]
    contract.check_event(op, "document", good)
    for event, data in (("news", good), ("progress", good), ("document", {**good, "more": 1}), ("document", {})):
        with pytest.raises(AssertionError):
            contract.check_event(op, event, data)


def test_raw_bytes(service):
    a = service.get_raw(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (a.status, a.body) == (200, b"ok")
    assert service.get_raw(b"", close=True) is None


def test_literal_paths_come_before_parameters(contract):
    for target, operation in (("/api/v1/users/me", "get_me"), ("/api/v1/processes/batches/1", "get_batch"),
                              ("/api/v1/processes/search", "search"), ("/files/a/b/c.pdf?name=x", "get_file")):
        method = "POST" if operation == "search" else "GET"
        assert contract.find(method, target)[1]["operationId"] == operation


def test_start_kill_and_stop(fake):
    service = fake()
    port = service.port
    service.kill()
    with pytest.raises(ConnectionError):
        http.client.HTTPConnection("127.0.0.1", port).request("GET", "/livez")
    service.start()
    assert service.get("/livez").body == b"ok"
    service.stop()
    assert service.captured.count("started\n") == 2


def test_a_printed_key_is_found(fake):
    service = fake()
    service.stop()
    service.captured.append(f"key={service.keys['user']}\n")
    with pytest.raises(AssertionError, match="API key"):
        service.check_captured()
    service.captured.clear()
