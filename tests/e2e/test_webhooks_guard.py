"""Which addresses are called: every range, in every spelling, behind every name. What counts is counted at the sockets.

The real program runs with a name service of the test's own (tests/shim/names.c), which also writes down every
connect that it makes, and lets none leave the machine.
"""

import socket
import threading

import pytest

import crash
import lib
import receiver

NAMES = lib.BUILD / "tests" / "names.so"
PUBLIC = "11.22.33.44"  # of nobody in particular; the shim leads it to the test's own receiver

# First and last of each range, and every form in which IPv4 hides in IPv6.
RANGES = """
0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.100.100.200 100.127.255.255 127.0.0.1 127.255.255.255
169.254.0.0 169.254.169.254 169.254.255.255 172.16.0.0 172.31.255.255 192.0.0.0 192.0.0.255 192.0.2.0 192.0.2.255
192.88.99.0 192.88.99.255 192.168.0.0 192.168.255.255 198.18.0.0 198.19.255.255 198.51.100.0 198.51.100.255
203.0.113.0 203.0.113.255 224.0.0.0 239.255.255.255 240.0.0.0 255.255.255.254 255.255.255.255
:: ::1 ::2 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1
64:ff9b::127.0.0.1 64:ff9b::8.8.8.8 64:ff9b:1::1 64:ff9b:1:ffff:ffff:ffff:ffff:ffff 100::1 100::ffff:ffff:ffff:ffff
2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:db8::1 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 2002::1 2002:7f00:1::
2002:808:808::1 3fff::1 3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff 5f00::1 fc00::1 fd00:ec2::254 fdff:ffff::1 fe80::1 febf::1
fec0::1 feff::1 ff00::1 ff02::1 ffff::1
""".split()

# The same machine, spelt in every way that a resolver or a URL parser may take.
SPELLINGS = """
127.0.0.1 127.1 127.0.1 2130706433 0x7f000001 0x7f.0x0.0x0.0x1 0x7f.1 0177.0.0.1 017700000001 0177.0x0.0.1 127.0.0.01
0 0.0.0.0 0x0 3232235521 0xc0a80001 0300.0250.0.1 192.168.1 2852039166 0xa9fea9fe 0251.0376.0251.0376 169.254.43518
[::1] [0:0:0:0:0:0:0:1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:a9fe:a9fe] [::127.0.0.1] [64:ff9b::7f00:1]
[64:ff9b::127.0.0.1] [2002:7f00:1::] [2001:0:7f00:1::1] [fd00::1] [fe80::1] localhost LOCALHOST a.localhost
""".split()


class Listener:
    """Counts who connects to a port, on every address of this machine."""

    def __init__(self):
        self.count = 0
        self.socket = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            self.count += 1
            peer.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Names:
    """The environment that leads names where the test wants, and what was connected to."""

    def __init__(self, place):
        self.file, self.connects = place / "names", place / "connects"
        self.file.write_text("")
        self.connects.write_text("")

    def env(self):
        return {**crash.preload(NAMES), "NAMES": self.file, "CONNECTS": self.connects, "ROUTE": f"{PUBLIC}=127.0.0.1"}

    def add(self, name, addresses):
        with self.file.open("a") as f:
            f.write(f"{name} {addresses}\n")

    def to(self, port):
        """Addresses that were connected to at this port."""
        return [line.split()[0] for line in self.connects.read_text().splitlines() if line.endswith(f" {port}")]


@pytest.fixture
def names(place):
    return Names(place)


PRODUCTION = {"environment": "production", "public_url": "https://autos.example.org", "rate_limit": "100000"}


def strict(make_service, sim, names, **more):
    s = make_service(sim, start=False, **{**PRODUCTION, "webhook_schedule": "50ms,50ms", **more})
    s.start(env=names.env())
    number = lib.number_of("plain")
    s.post(s.path(number, "jobs"), {})
    assert s.finished(number)["status"] == "completed"
    return s, number


def ended(s, url):
    """The delivery to an address, once it is over."""
    def over():
        found = [d for d in s.get("/api/v1/webhooks/deliveries?limit=1000").json["deliveries"] if d["webhook_url"] == url]
        return found[0] if found and found[0]["ended_at"] else None

    return lib.until(over, f"the end of the delivery to {url}", every=0.02)


def call(s, number, url):
    a = s.post(s.path(number, "jobs"), {"webhook_url": url})
    assert a.status == 200, a


def test_every_range_behind_a_name(make_service, sim, names, place):
    s, number = strict(make_service, sim, names)
    with Listener() as listener:
        urls = {}
        for i, address in enumerate(RANGES):
            names.add(f"n{i}.example.org", address)
            urls[address] = f"https://n{i}.example.org:{listener.port}/"
            call(s, number, urls[address])
        for address, url in urls.items():
            d = ended(s, url)
            assert (d["status"], d["last_result"], d["attempt_count"]) == ("cancelled", "blocked", 1), (address, d)
        one = s.get(f"/api/v1/webhooks/deliveries/{d['id']}").json["attempts"][0]
        assert one["address"] and one["status_code"] is None and "may not be called" in one["error_message"]
        for i, address in enumerate(RANGES[::7]):
            name = f"t{i}.example.org"
            names.add(name, address)
            for test in ("test-connectivity", "send-test"):
                a = s.post(f"/api/v1/webhooks/webhook-{test}", {"webhook_url": f"https://{name}:{listener.port}/"})
                assert not a.json["reachable"] and "may not be called" in a.json["error"], (address, a)
        assert (listener.count, names.to(listener.port)) == (0, [])
    print(f"{len(RANGES)} addresses behind names: 0 connections")


def test_every_spelling(make_service, sim, names):
    s, number = strict(make_service, sim, names)
    with Listener() as listener:
        for host in SPELLINGS:
            for url in (f"https://{host}:{listener.port}/", f"https://{host}:{listener.port}/?a=https://example.org/"):
                v = s.post("/api/v1/webhooks/webhook-validate", {"webhook_url": url}).json
                assert not v["valid"] and v["error"].startswith("the webhook address "), url
                assert s.post(s.path(number, "jobs"), {"webhook_url": url}).problem == "invalid-webhook-url", url
                for test in ("test-connectivity", "send-test"):
                    assert s.post(f"/api/v1/webhooks/webhook-{test}", {"webhook_url": url}).problem == "invalid-webhook-url"
        for url in (f"https://good.example.org@127.0.0.1:{listener.port}/", f"https://u:p@good.example.org:{listener.port}/",
                    f"http://good.example.org:{listener.port}/", "https://good.example.org:22/", "https://good.example.org:3389/",
                    "https://good.example.org:6667/", f"gopher://good.example.org:{listener.port}/"):
            assert s.post(s.path(number, "jobs"), {"webhook_url": url}).problem == "invalid-webhook-url", url
        assert (listener.count, names.to(listener.port)) == (0, [])
    print(f"{len(SPELLINGS)} spellings: 0 connections")


def test_rules_that_became_stricter(make_service, sim, names):
    """What was named in development waits, and is not called in production."""
    s = make_service(sim, start=False, webhook_schedule="300ms,1s,1s", webhook_pause_after=1000)
    number = lib.number_of("plain")
    hosts = ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "017700000001", "127.1")
    with Listener() as listener:
        s.start()
        for host in hosts:
            s.post(s.path(number, "jobs"), {"webhook_url": f"http://{host}:{listener.port}/"})
        s.finished(number)
        lib.until(lambda: listener.count >= len(hosts), "the tries in development")
        s.stop()
        before = listener.count
        s.start(env=names.env(), **PRODUCTION)
        for host in hosts:
            d = ended(s, f"http://{host}:{listener.port}/")
            assert (d["status"], d["last_result"]) == ("cancelled", "blocked"), (host, d)
        assert (listener.count, names.to(listener.port)) == (before, [])


def test_public_then_private(make_service, sim, names, place):
    """A name that leads to a good address when it is tested, and to a bad one when it is called; and one that changes
    between two tries."""
    crt, key = receiver.certificate(place, "ca", "DNS:*.example.org")
    with receiver.Receiver(lambda m: 500 if m.path == "/again" else 204, tls=receiver.tls_server(crt, key)) as r:
        s, number = strict(make_service, sim, names, webhook_ca_file=crt)
        names.add("good.example.org", PUBLIC)
        names.add("turns.example.org", f"{PUBLIC} | 127.0.0.1")
        names.add("later.example.org", f"{PUBLIC} | {PUBLIC} | 169.254.169.254")
        names.add("both.example.org", f"10.0.0.1 {PUBLIC}")
        names.add("none.example.org", "10.0.0.1 127.0.0.1 fd00::1")
        url = {n: f"https://{n}.example.org:{r.port}/{'again' if n == 'later' else n}" for n in ("good", "turns", "later", "both", "none")}
        assert s.post("/api/v1/webhooks/webhook-test-connectivity", {"webhook_url": url["turns"]}).json["reachable"]
        for u in url.values():
            call(s, number, u)
        assert (ended(s, url["good"])["status"], ended(s, url["both"])["status"]) == ("delivered", "delivered")
        for n, tries in (("turns", 1), ("later", 3), ("none", 1)):
            d = ended(s, url[n])
            assert (d["status"], d["last_result"], d["attempt_count"]) == ("cancelled", "blocked", tries), (n, d)
        assert sorted(m.path for m in r.messages() if m.json.get("type")) == ["/again", "/again", "/both", "/good"]
        assert set(names.to(r.port)) == {PUBLIC}


def test_our_own_doors(make_service, sim, names, place):
    """Allowed ranges open loopback to receivers, not to the service itself."""
    crt, key = receiver.certificate(place, "ca", "IP:127.0.0.1,DNS:me.example.org")
    with receiver.Receiver(tls=receiver.tls_server(crt, key)) as r:
        s, number = strict(make_service, sim, names, webhook_ca_file=crt, webhook_allow="127.0.0.0/8")
        assert "webhooks may call private addresses" in s.stderr()
        names.add("me.example.org", "127.0.0.1")
        own, other = f"https://me.example.org:{s.port}/", f"https://127.0.0.1:{r.port}/inner"
        for u in (own, other):
            call(s, number, u)
        d = ended(s, own)
        assert (d["status"], d["last_result"]) == ("cancelled", "blocked")
        attempt = s.get(f"/api/v1/webhooks/deliveries/{d['id']}").json["attempts"][0]
        assert "this service" in attempt["error_message"]
        assert ended(s, other)["status"] == "delivered"
        assert names.to(s.port) == []


def test_redirects_and_proxies(make_service, sim, names):
    """Neither a Location nor a proxy of the environment is followed."""
    with Listener() as elsewhere, Listener() as proxy:
        where = f"http://127.0.0.1:{proxy.port}"
        env = {**names.env(), **{k: where for k in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy")}}
        with receiver.Receiver(lambda m: (int(m.path[1:]), {"Location": f"http://127.0.0.1:{elsewhere.port}/x"}, b"")) as r:
            s = make_service(sim, start=False, webhook_schedule="20ms")
            s.start(env=env)
            number = lib.number_of("plain")
            s.post(s.path(number, "jobs"), {})
            s.finished(number)
            for status in (301, 302, 303, 307, 308, 300, 304):
                call(s, number, f"{r.url}/{status}")
                d = ended(s, f"{r.url}/{status}")
                assert (d["status"], d["last_result"], d["attempt_count"]) == ("failed", "http", 2), d
                assert f"answered {status}" in d["error_message"]
        assert (elsewhere.count, proxy.count, names.to(elsewhere.port), names.to(proxy.port)) == (0, 0, [], [])


def test_allowed_ranges_are_checked(make_autos, sim):
    for bad in ("10.0.0.1/8", "0.0.0.0/0", "::/0", "inner", "10.0.0.0/8;127.0.0.0/8"):
        p = make_autos(sim, name=f"a{abs(hash(bad))}").run("serve", "--listen", "127.0.0.1:0", webhook_allow=bad)
        assert p.status == 1 and "webhook_allow: '" in p.err, p
