"""Clients that are slow, silent or too many: they are cut off, and nobody else notices."""

import contextlib
import http.client
import re
import select
import socket
import sqlite3
import struct
import time

import pytest

import lib
import swarm

LIMIT = 1  # request_timeout in seconds


@pytest.fixture
def service(make_service):
    """A service without a portal: nothing here needs one."""
    return make_service("http://127.0.0.1:1/api/v2", request_timeout=f"{LIMIT}s", rate_limit=0, rate_limit_anonymous=0,
                        connections_per_address=0)


def connect(service, **options):
    return socket.create_connection(("127.0.0.1", service.port), timeout=lib.PATIENCE, **options)


def is_cut(s):
    """Whether the other side has ended it; reads what is there."""
    s.setblocking(False)
    try:
        while True:
            if not s.recv(65536):
                return True
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    finally:
        s.setblocking(True)


def drip(sockets, data, every):
    """Sends a byte at a time to all of them until each is cut off; gives the seconds of each."""
    started, open_, took, i = time.monotonic(), list(sockets), {}, 0
    next_at = started
    while open_:
        assert time.monotonic() - started < 20 * LIMIT, f"{len(open_)} of {len(sockets)} were never cut off"
        for s in list(open_):
            try:
                s.send(data[i % len(data):][:1])
                cut = is_cut(s)
            except ConnectionError:
                cut = True
            if cut:
                open_.remove(s)
                took[s] = time.monotonic() - started
        i += 1
        next_at += every
        readable = [s for s in open_]
        while (left := next_at - time.monotonic()) > 0 and readable:
            ready = select.select(readable, [], [], left)[0]
            for s in ready:
                readable.remove(s)  # looked at in the next round
    return list(took.values())


def quick(service):
    """Seconds that /livez takes on a new connection."""
    started = time.monotonic()
    assert service.get("/livez", key=None).status == 200
    return time.monotonic() - started


@pytest.mark.parametrize("data", [
    b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"X-More: 1\r\n" * 1000,
    b"x" * 5000,
], ids=["head", "line"])
def test_dripped_head(service, data):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(connect(service)) for _ in range(20)]
        took = drip(sockets, data, 0.1)
        assert 2 * LIMIT - 0.1 <= min(took) and max(took) < 2 * LIMIT + 2, took
    assert quick(service) < 1


def test_dripped_body(service):
    head = (f"POST /api/v1/processes/search HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.keys['user']}\r\n"
            "Content-Type: application/json\r\nContent-Length: 5000\r\n\r\n").encode()
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(connect(service)) for _ in range(20)]
        for s in sockets:
            s.sendall(head)
        took = drip(sockets, b" " * 5000, 0.1)
        assert 2 * LIMIT - 0.1 <= min(took) and max(took) < 2 * LIMIT + 2, took


def test_silent_and_idle(service):
    """One never says a word, one stops in the middle, one has been answered."""
    started = time.monotonic()
    with connect(service) as silent, connect(service) as half, connect(service) as idle:
        half.sendall(b"GET /livez HTTP/1.1\r\nHo")
        idle.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        r = http.client.HTTPResponse(idle)
        r.begin()
        assert r.read() == b"ok" and not r.will_close
        for s in (silent, half, idle):
            with contextlib.suppress(ConnectionError):
                while s.recv(1000):
                    pass
        assert LIMIT - 0.1 <= time.monotonic() - started < 2 * LIMIT + 2


def test_kept_alive_while_it_asks(service):
    """A client that asks now and then keeps its connection for longer than any limit."""
    c = service.connect()
    c.connect()
    port, end = c.sock.getsockname(), time.monotonic() + 5 * LIMIT
    while time.monotonic() < end:
        assert service.get("/livez", connection=c).status == 200
        assert c.sock.getsockname() == port
        select.select([c.sock], [], [], 0.6 * LIMIT)
    c.close()


def fill_with_jobs(service, n, size):
    """n final jobs whose errors have so many bytes; the service must not run."""
    db = sqlite3.connect(service.data_dir / "autos.db")
    db.execute("INSERT INTO process (number, created_ms, updated_ms) VALUES (?, 1, 1)", ("99000015520248260100",))
    db.executemany("INSERT INTO job (process_id, state, outcome, error, run_at_ms, created_ms, finished_ms)"
                   " VALUES (1, 'failed', 'upstream_error', ?, 1, 1, 1)", (("x" * size,) for _ in range(n)))
    db.commit()
    db.close()


@pytest.mark.sqlite
def test_slow_reading(service):
    """An answer of 8 MB that is read a little at a time, or not at all, is cut."""
    limit = 2
    service.stop()
    fill_with_jobs(service, 400, 20000)
    service.start(request_timeout=f"{limit}s")
    whole = len(service.get("/api/v1/jobs?limit=1000").body)
    assert whole > 8e6
    request = swarm.head(service, "GET", "/api/v1/jobs?limit=1000")

    def connections():
        """None while no thread has time for us."""
        try:
            text = service.get("/metrics", key="admin").body.decode()
        except (OSError, http.client.HTTPException):
            return None
        return int(re.search(r"^autos_http_connections (\d+)$", text, re.M)[1]) - 1

    with contextlib.ExitStack() as stack:
        sockets = []
        for _ in range(6):
            s = stack.enter_context(socket.socket())
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(("127.0.0.1", service.port))
            s.sendall(request)
            sockets.append(s)
        started = time.monotonic()
        lib.until(lambda: (connections() or 0) >= 3, "them to be heard")

        def over():
            """Three read a little all the time, three nothing."""
            for s in sockets[3:]:
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    s.recv(1 << 16, socket.MSG_DONTWAIT)
            return connections() == 0

        lib.until(over, "all of them to be cut", every=0.02 * limit)
        took = time.monotonic() - started
        print(f"slow readers cut after {took:.1f} s")
        assert limit - 0.1 < took < 4 * limit + 8
    assert quick(service) < 1


def reset(s):
    """Ends a connection as a cable that is pulled out does not: with a reset."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def test_clients_that_go_away(make_sim, make_service):
    """In the middle of a file, of an answer, of a wait and of a stream: nothing stays behind."""
    sim = make_sim("--cases", 2, "--documents", 3, "--size", 4000000)
    service = make_service(sim, rate_limit=0, portal_low_speed_time="30s", wait_default="2s", wait_max="3s")
    number, other = [c["number"] for c in sim.cases("?papers=0") if c["oddity"] == "plain"]
    service.post(service.path(number, "jobs"))
    service.finished(number)
    link = next(d["download_url"] for d in service.status(number)["documents"])
    sim.script("detail delay=20000\n")
    service.post(service.path(other, "jobs"))
    requests = [swarm.head(service, "GET", "/" + link.split("/", 3)[3], None),
                swarm.head(service, "GET", service.path(number)),
                swarm.head(service, "GET", service.path(other), Prefer="wait=3"),
                swarm.head(service, "GET", service.path(other, "events")),
                swarm.head(service, "GET", service.path(number, "events"))]
    quick(service)
    before = swarm.descriptors(service)
    for i in range(100):
        s = connect(service)
        s.sendall(requests[i % len(requests)])
        if i % 3:
            s.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                s.recv(1 + 997 * i)
        reset(s)
    assert quick(service) < 1
    lib.until(lambda: swarm.descriptors(service) <= before + 4, "all of them to be forgotten", timeout=40)
    sim.script("")
    service.stop()


def test_connections_per_address(make_service):
    service = make_service("http://127.0.0.1:1/api/v2", connections_per_address=5, request_timeout="10s")
    with contextlib.ExitStack() as stack:
        five = [stack.enter_context(connect(service)) for _ in range(5)]
        for s in five:
            s.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert s.recv(12) == b"HTTP/1.1 200"
        for _ in range(3):
            assert service.get_raw(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n") is None
        # Through the control socket the commands still work.
        assert service.run("user", "create", "another", check=0).out.startswith("autos_")
    def served():
        answer = service.get_raw(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        return answer and answer.status == 200

    lib.until(served, "room for another")


def test_thousands_of_idle_connections(make_service):
    idle = 3000 // swarm.SCALE
    swarm.raise_limit(idle + 1000)
    service = make_service("http://127.0.0.1:1/api/v2", connections_per_address=0, connections_max=idle + 100,
                           request_timeout="60s", rate_limit_anonymous=0)
    before = swarm.memory(service)
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(connect(service)) for _ in range(idle)]
        for s in sockets[::3]:
            s.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Half")
        for s in sockets[1::3]:
            s.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        for s in sockets[1::3]:
            assert s.recv(12) == b"HTTP/1.1 200"
        took = [quick(service) for _ in range(20)]
        grown = swarm.memory(service) - before
        print(f"{idle} idle connections: /livez in {max(took) * 1000:.0f} ms at most, {grown / idle / 1024:.1f} KiB each")
        assert max(took) < 1
        assert grown / idle < (64 << 10) * swarm.SCALE
        # Full: who comes now waits at the door, the commands have their own, and nothing spins.
        more = [stack.enter_context(connect(service)) for _ in range(200)]
        for s in more:
            s.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        poll = select.poll()
        for s in more:
            poll.register(s, select.POLLIN)
        lib.until(lambda: len(poll.poll(0)) in (99, 100), "the last places to be taken", every=0.1)
        cpu = swarm.cpu(service)
        poll.unregister(more[0])
        time.sleep(1)
        assert swarm.cpu(service) - cpu < 0.5
        assert service.run("key", "list", check=0).status == 0
        assert service.run("user", "create", "another", check=0).status == 0
        for s in sockets:
            s.close()
        for s in more:
            assert s.recv(12) == b"HTTP/1.1 200"
    assert quick(service) < 1
