"""Receivers that hang, drip, close, flood, answer garbage, or have a bad certificate: each is named, none holds up another."""

import concurrent.futures
import socket
import threading
import time

import crash
import lib
import receiver

W = "/api/v1/webhooks"


def numbers(sim, n):
    return [c["number"] for c in sim.cases("?papers=0") if c["oddity"] == "plain"][:n]


def ready(make_sim, make_service, n=1, **more):
    """(service, numbers of cases that are stored)."""
    sim = make_sim("--cases", max(n, 1), "--documents", 2, "--size", 2000)
    s = make_service(sim, **{"webhook_timeout": "1s", "webhook_schedule": "1d", "rate_limit": "1000000", **more})
    found = numbers(sim, n)
    for number in found:
        s.post(s.path(number, "jobs"), {})
    for number in found:
        s.finished(number)
    return s, found


def first_attempt(s, url):
    def tried():
        found = [d for d in s.get(f"{W}/deliveries?limit=1000").json["deliveries"] if d["webhook_url"] == url]
        return found[0] if found and found[0]["attempt_count"] else None

    d = lib.until(tried, f"a try of {url}", every=0.02)
    return d, s.get(f"{W}/deliveries/{d['id']}").json["attempts"][0]


def hang(s):
    receiver.read_request(s)
    s.recv(1)


def hang_at_once(s):
    time.sleep(30)


def drip(s):
    receiver.read_request(s)
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1000):
        s.sendall(b"x")
        time.sleep(0.05)


def drip_head(s):
    receiver.read_request(s)
    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000:
        s.sendall(bytes([byte]))
        time.sleep(0.05)


def close(s):
    s.recv(10)


def close_after(s):
    receiver.read_request(s)


def cut(s):
    receiver.read_request(s)
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")


def flood(s):
    receiver.read_request(s)
    s.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(100):
        s.sendall(b"100000\r\n" + b"z" * 0x100000 + b"\r\n")
    s.sendall(b"0\r\n\r\n")


def announced(s):
    receiver.read_request(s)
    s.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 104857600\r\n\r\n" + b"z" * (1 << 20))


def garbage(s):
    receiver.read_request(s)
    s.sendall(bytes(range(256)) * 4)


def other_protocol(s):
    receiver.read_request(s)
    s.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")


def long_header(s):
    receiver.read_request(s)
    s.sendall(b"HTTP/1.1 200 OK\r\nX: " + b"y" * (4 << 20) + b"\r\n\r\n")


ODD = {
    hang: "timeout", hang_at_once: "timeout", drip: "timeout", drip_head: "timeout", close: "reset", close_after: "reset", cut: "reset",
    flood: "ok", announced: "http", garbage: "protocol", other_protocol: "protocol", long_header: "protocol",
}


def memory_kb(s):
    with open(f"/proc/{s.process.pid}/status") as f:
        return int(next(line for line in f if line.startswith("VmHWM")).split()[1])


def test_each_is_named(make_sim, make_service):
    s, (number,) = ready(make_sim, make_service)
    with receiver.Receiver() as good:
        odd = {f: receiver.Odd(f) for f in ODD}
        try:
            before = memory_kb(s)
            for f, o in odd.items():
                assert s.post(s.path(number, "jobs"), {"webhook_url": f"{o.url}/{f.__name__}"}).status == 200
            s.post(s.path(number, "jobs"), {"webhook_url": good.url})
            lib.until(good.messages, "the one that answers")
            for f, o in odd.items():
                d, a = first_attempt(s, f"{o.url}/{f.__name__}")
                assert a["result"] == ODD[f], (f.__name__, a)
                assert d["status"] == ("delivered" if ODD[f] == "ok" else "pending"), (f.__name__, d)
                assert len(a["answer"] or "") <= 1024
            grown = memory_kb(s) - before
            assert grown < 40 << 10, f"{grown} KB more"
        finally:
            for o in odd.values():
                o.__exit__()


def test_no_connection(make_sim, make_service):
    s, (number,) = ready(make_sim, make_service)
    for url, result in ((f"http://127.0.0.1:{receiver.free_port()}/", "connect"), ("http://nowhere.invalid/", "dns")):
        s.post(s.path(number, "jobs"), {"webhook_url": url})
        _, a = first_attempt(s, url)
        assert a["result"] == result and a["status_code"] is None, a


def test_certificates(make_sim, make_service, place):
    """Expired, of another name, of nobody known, and no TLS at all; beside one that is good."""
    ca = receiver.certificate(place, "good")
    other = receiver.certificate(place, "other", "DNS:another.example.org")
    unknown = receiver.certificate(place, "unknown")
    trusted = place / "trusted.pem"
    trusted.write_bytes(ca[0].read_bytes() + other[0].read_bytes())
    s, (number,) = ready(make_sim, make_service, webhook_ca_file=trusted)
    with receiver.Receiver(tls=receiver.tls_server(*ca)) as good, receiver.Receiver(tls=receiver.tls_server(*other)) as name, \
            receiver.Receiver(tls=receiver.tls_server(*unknown)) as nobody, receiver.Receiver() as plain:
        urls = {good.url + "/": "ok", name.url + "/": "tls", nobody.url + "/": "tls", f"https://127.0.0.1:{plain.port}/": "tls"}
        for url, result in urls.items():
            s.post(s.path(number, "jobs"), {"webhook_url": url})
            _, a = first_attempt(s, url)
            assert a["result"] == result, (url, a)
        assert [len(x.messages()) for x in (good, name, nobody, plain)] == [1, 0, 0, 0]


def test_a_thousand_dead_targets(make_sim, make_service):
    """They hang; the living one hears of its job while every one of them is still waited for. How soon is printed."""
    count = 1000
    s, found = ready(make_sim, make_service, 4, webhook_timeout="60s", drain_time="100ms")
    held, sockets = [], []
    # Each target is a port of its own whose queue takes the connection and never answers.
    for _ in range(count):
        x = socket.socket()
        x.bind(("127.0.0.1", 0))
        x.listen(8)
        sockets.append(x)
    try:
        with receiver.Receiver() as alive:
            before = memory_kb(s)
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                urls = [f"http://127.0.0.1:{x.getsockname()[1]}/" for x in sockets]
                answers = list(pool.map(lambda iu: s.post(s.path(found[iu[0] % 3], "jobs"), {"webhook_url": iu[1]}), enumerate(urls)))
            assert {a.status for a in answers} == {200}
            lib.until(lambda: s.one("SELECT COUNT(*) FROM delivery WHERE state = 'delivering'") == count, "all to be under way")
            for i in range(5):
                asked = time.time()
                s.post(s.path(found[3], "jobs"), {"webhook_url": f"{alive.url}/{i}"})
                m = lib.until(lambda: alive.messages(f"/{i}"), "the living one")[0]
                held.append(m.at - asked)
            grown = memory_kb(s) - before
            print(f"{count} dead targets: the living one heard after {max(held) * 1000:.0f} ms at most; {grown / 1024:.0f} MB more")
            assert crash.SANITIZER or grown < 120 << 10
            assert s.get("/readyz", key=None).status == 200
            assert s.one("SELECT COUNT(*) FROM delivery WHERE state = 'delivering'") >= count * 0.9, "they were not dead for long enough"
    finally:
        for x in sockets:
            x.close()


def test_a_long_queue_of_one_target(make_sim, make_service):
    """Hundreds for a target that hangs do not delay another's first one."""
    s, found = ready(make_sim, make_service, 2, webhook_timeout="50s")
    go = threading.Event()
    with receiver.Receiver(lambda m: (go.wait(lib.PATIENCE), 200)[1]) as slow, receiver.Receiver() as quick:
        for i in range(300):
            s.post(s.path(found[0], "jobs"), {"webhook_url": f"{slow.url}/{i}"})
        lib.until(lambda: len(slow.messages()) >= 8, "the first few")
        s.post(s.path(found[1], "jobs"), {"webhook_url": quick.url})
        lib.until(quick.messages, "the other")
        assert len(slow.messages()) == 8, "no more than a few at once"
        go.set()
