"""Server-sent events of a running case: everybody sees everything once, in order; from any point on
too; and who does not read costs nothing."""

import asyncio
import json
import re
import socket
import sqlite3
import time

import crash
import pytest

import lib
import swarm

pytestmark = pytest.mark.databases

SETTINGS = {"rate_limit": 0, "rate_limit_anonymous": 0, "connections_per_address": 0}


def numbers(sim, n):
    return [c["number"] for c in sim.cases("?papers=0") if c["oddity"] == "plain"][:n]


def parse(text):
    """[(id or None, event, data)] of a whole stream; comments are counted as (None, None, text)."""
    events = []
    for block in text.decode().split("\n\n")[:-1]:
        fields = {}
        for line in block.split("\n"):
            name, _, value = line.partition(": ")
            fields[name] = value
        if "event" in fields:
            events.append((fields.get("id"), fields["event"], json.loads(fields["data"])))
        elif "" in fields:
            events.append((None, None, fields[""]))
    return events


async def chunks(reader):
    """A chunked body to its end (RFC 9112, 7.1)."""
    text = b""
    while n := int(await reader.readline(), 16):
        text += await reader.readexactly(n)
        assert await reader.readexactly(2) == b"\r\n"
    return text


async def listen(service, number, last=None, key="readonly"):
    """(status, events) once the service ends the stream."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port, limit=1 << 20)
    try:
        more = {"Last_Event_ID": last} if last else {}
        writer.write(swarm.head(service, "GET", service.path(number, "events"), key, Accept="text/event-stream", **more))
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        status = int(head.split()[1])
        if status != 200:
            return status, []
        assert "transfer-encoding: chunked" in head and "content-type: text/event-stream" in head, head
        return status, parse(await chunks(reader))
    finally:
        writer.close()


def rows(service, number):
    """What there is to be seen: (sequence, kind, subject)."""
    return [tuple(r) for r in service.rows(
        "SELECT e.seq, e.kind, e.subject FROM event e JOIN job j ON j.id = e.job_id JOIN process p ON p.id = j.process_id"
        " WHERE p.number = ? ORDER BY e.seq", lib.digits(number))]


def check_stream(events, job_id, expected):
    """Exactly these rows, in this order, and `done` at the end."""
    seen = [e for e in events if e[0]]
    assert [e[0] for e in seen] == [f"{job_id}-{seq}" for seq, _, _ in expected]
    for (_, event, data), (_, kind, subject) in zip(seen, expected):
        assert event == {"document": "document", "done": "done"}.get(kind, "progress")
        assert data["job_id"] == job_id
        if event == "document":
            assert data["uuid"] == subject
    assert seen[-1][1] == "done" and events[-1] == seen[-1]
    assert sum(1 for e in seen if e[1] == "done") == 1


def test_many_listeners(make_sim, make_service):
    listeners, documents = 200 // swarm.SCALE, 60
    swarm.raise_limit(4096)
    sim = make_sim("--cases", 1, "--documents", documents, "--size", 2000, "--latency", 60)
    service = make_service(sim, **SETTINGS)
    number = numbers(sim, 1)[0]
    job_id = service.post(service.path(number, "jobs")).json["job_id"]

    async def run():
        first = [asyncio.create_task(listen(service, number)) for _ in range(listeners // 2)]
        # The others come when it is under way.
        await asyncio.to_thread(lib.until, lambda: len(crash.committed(service)) > 5, "some documents")
        rest = [asyncio.create_task(listen(service, number)) for _ in range(listeners - len(first))]
        return await asyncio.gather(*first, *rest)

    seen = asyncio.run(run())
    expected = rows(service, number)
    assert len([r for r in expected if r[1] == "document"]) >= documents
    for status, events in seen:
        assert status == 200
        check_stream(events, job_id, expected)
        assert events[-1][2]["outcome"] == "complete" and events[-1][2]["completed_documents"] == documents
    lib.until(lambda: "autos_http_streams 0" in service.get("/metrics", key="admin").body.decode(), "the streams to end")

    async def resume(points):
        return await asyncio.gather(*(listen(service, number, f"{job_id}-{seq}") for seq in points))

    # From any point on, exactly the rest; nothing after the end.
    last = expected[-1][0]
    replies = asyncio.run(resume(range(1, last + 1)))
    for seq, (status, events) in zip(range(1, last), replies):
        assert status == 200
        check_stream(events, job_id, expected[seq:])
    assert replies[-1] == (204, [])
    # A place that is nobody's: everything.
    for wrong in ("0-0", "999-3", "x", f"{job_id}-", f"{job_id}-1x"):
        status, events = asyncio.run(listen(service, number, wrong))
        assert status == 200
        check_stream(events, job_id, expected)


def test_listeners_that_come_back(make_sim, make_service):
    """Cut off again and again by their own network, they miss nothing."""
    sim = make_sim("--cases", 1, "--documents", 50, "--size", 2000, "--latency", 40)
    service = make_service(sim, **SETTINGS)
    number = numbers(sim, 1)[0]
    job_id = service.post(service.path(number, "jobs")).json["job_id"]
    seen, last, connections = [], None, 0
    while True:
        with socket.create_connection(("127.0.0.1", service.port), timeout=lib.PATIENCE) as s:
            more = {"Last_Event_ID": last} if last else {}
            s.sendall(swarm.head(service, "GET", service.path(number, "events"), "readonly", Connection="close", **more))
            connections += 1
            text = b""
            while text.count(b"\nevent: ") < 4 and b"event: done" not in text:
                piece = s.recv(300)
                if not piece:
                    break
                text += piece
        if b" 204 " in text[:20]:
            break
        for i in re.findall(rb"(?<=\n)id: (\S+)\nevent: \S+\ndata: [^\n]*\n\n", re.sub(rb"\r\n[0-9a-f]+\r\n", b"", text)):
            last = i.decode()
            seen.append(last)
    assert connections > 5
    assert seen == [f"{job_id}-{seq}" for seq, _, _ in rows(service, number)]


def make_long(service, number, n):
    """Gives the last job of a case n more events before its `done`; the service must not run."""
    db = sqlite3.connect(service.data_dir / "autos.db")
    job, last = db.execute("SELECT j.id, j.last_event FROM job j JOIN process p ON p.id = j.process_id"
                           " WHERE p.number = ? ORDER BY j.id DESC", (lib.digits(number),)).fetchone()
    db.execute("UPDATE event SET seq = seq + ? WHERE job_id = ? AND seq = ?", (n, job, last))
    db.executemany("INSERT INTO event (job_id, seq, kind, subject, state, at_ms) VALUES (?, ?, 'document', ?, 'available', 1)",
                   ((job, last + i, f"document-{i}" + "x" * 400) for i in range(n)))
    db.execute("UPDATE job SET last_event = last_event + ? WHERE id = ?", (n, job))
    db.commit()
    db.close()


@pytest.mark.sqlite  # the length is put into the file
def test_those_who_never_read(make_sim, make_service):
    """Fifty of them, with 15 MB to come for each: memory stays, others are served, they are cut."""
    stuck, timeout = 50, 4
    sim = make_sim("--cases", 1, "--documents", 3, "--size", 2000)
    service = make_service(sim, request_timeout=f"{timeout}s", **SETTINGS)
    number = numbers(sim, 1)[0]
    service.post(service.path(number, "jobs"))
    service.finished(number)
    service.stop()
    make_long(service, number, 30000)
    service.start()

    def streams():
        text = service.get("/metrics", key="admin").body.decode()
        return int(re.search(r"^autos_http_streams (\d+)$", text, re.M)[1])

    assert streams() == 0
    before, sockets = swarm.memory(service), []
    started = time.monotonic()
    for _ in range(stuck):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.connect(("127.0.0.1", service.port))
        s.sendall(swarm.head(service, "GET", service.path(number, "events"), "readonly"))
        sockets.append(s)
    lib.until(lambda: streams() == stuck, "the streams")
    grown = (swarm.memory(service) - before) / stuck
    print(f"a stuck listener takes {grown / 1024:.0f} KiB")
    assert crash.SANITIZER or grown < 512 << 10
    # A reader beside them gets all of it.
    status, events = asyncio.run(listen(service, number))
    assert status == 200 and events[-1][1] == "done"
    assert len([e for e in events if e[0]]) == len(rows(service, number))
    lib.until(lambda: streams() == 0, "the stuck ones to be cut", timeout=10 * timeout)
    took = time.monotonic() - started
    print(f"cut after {took:.1f} s")
    assert timeout <= took
    for s in sockets:
        s.close()


def test_erased_case_ends_its_streams(make_sim, make_service):
    sim = make_sim("--cases", 1, "--documents", 3, "--size", 2000)
    service = make_service(sim, **SETTINGS)
    number = numbers(sim, 1)[0]
    service.post(service.path(number, "jobs"))
    service.finished(number)
    assert service.call("DELETE", service.path(number), key="admin").status in (200, 204)
    assert asyncio.run(listen(service, number))[0] == 404
