"""A fleet: processes of several roles on one PostgreSQL and one store, each in a network of its own where
that is allowed (root), clients that ask it, and what must hold of all of them together."""

import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import threading
import time

import api
import lib
import stores

NETS = itertools.count(1)


def plain(sim, n):
    """The numbers of n cases without any oddity."""
    return [c["number"] for c in sim.cases("?papers=0") if c["oddity"] == "plain"][:n]


def may_make_networks():
    return os.geteuid() == 0


def ip(*args):
    subprocess.run(["ip", *map(str, args)], check=True, capture_output=True, timeout=lib.PATIENCE)


class Net:
    """A bridge with an address of its own; `join` gives a network namespace that is plugged into it."""

    def __init__(self):
        self.id = f"{os.getpid() % 100000}n{next(NETS)}"
        self.prefix = f"10.{100 + os.getpid() % 100}.{os.getpid() // 100 % 250}"
        self.bridge, self.address, self.spaces = f"b{self.id}", f"{self.prefix}.1", []
        ip("link", "add", self.bridge, "type", "bridge")
        ip("addr", "add", f"{self.address}/24", "dev", self.bridge)
        ip("link", "set", self.bridge, "up")

    def join(self):
        n = len(self.spaces) + 2
        name, outside = f"autos-{self.id}-{n}", f"v{self.id}{n}"
        ip("netns", "add", name)
        self.spaces.append((name, outside))
        ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("link", "set", outside, "master", self.bridge, "up")
        ip("-n", name, "addr", "add", f"{self.prefix}.{n}/24", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", name, "link", "set", "lo", "up")
        return name, outside, f"{self.prefix}.{n}"

    def close(self):
        for name, outside in self.spaces:
            for command in (("link", "del", outside), ("netns", "del", name)):
                with contextlib.suppress(subprocess.CalledProcessError):
                    ip(*command)
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("link", "del", self.bridge)


class SharedFolder(stores.Folder):
    """One folder for all, as a network file system would be."""

    def __init__(self, place):
        super().__init__()
        self.place = place
        self.settings = {"store_url": f"dir:{place}"}

    @property
    def root(self):
        return self.place


class Node(api.Service):
    """One process; `host` is where it listens."""

    host, space, outside = "127.0.0.1", None, None

    def connect(self, timeout=lib.PATIENCE):
        return api.http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def begin(self):
        return self.start("--role", self.role, prefix=("ip", "netns", "exec", self.space) if self.space else ())

    def suspend(self):
        """Returns once every thread of it has stopped."""
        self.process.send_signal(signal.SIGSTOP)
        lib.until(lambda: os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOHANG), "the process to stop", every=0.001)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def cut(self):
        ip("link", "set", self.outside, "down")

    def heal(self):
        ip("link", "set", self.outside, "up")


class Fleet:
    """Nodes `api1`, `worker1`, ... on one database and one store."""

    def __init__(self, place, sim, database, net=None, **settings):
        self.place, self.sim, self.database, self.net = place, sim, database, net
        self.store = SharedFolder(place / "objects")
        self.settings = {"rate_limit": "1000000", "rate_limit_anonymous": "1000000", "metrics_public": "yes",
                         **settings}
        self.nodes = {}
        self.keys = {}

    def add(self, name, role, start=True):
        where = self.place / name
        where.mkdir()
        more = dict(self.settings)
        space = outside = host = None
        if self.net:
            space, outside, host = self.net.join()
            more["listen"] = f"{host}:0"
        node = Node(where, self.sim, store=self.store, database=self.database, **more)
        node.role = role
        if host:
            node.host, node.space, node.outside = host, space, outside
        if not self.keys:
            self.keys = {r: node.make_key(f"{r}-of-tests", r) for r in api.ROLES}
        node.keys = self.keys
        self.nodes[name] = node
        return node.begin() if start else node

    def stop(self):
        with contextlib.ExitStack() as stack:
            for node in self.nodes.values():
                stack.callback(node.stop)
        self.database.autos = None

    def rows(self, sql, *values):
        c = self.database.connect()
        try:
            return c.execute(sql, values).fetchall()
        finally:
            c.close()

    def one(self, sql, *values):
        return self.rows(sql, *values)[0][0]

    def unfinished(self):
        return self.one("SELECT COUNT(*) FROM job WHERE state IN ('pending', 'processing')")

    def metric(self, node, name):
        """What a node counts, without labels."""
        text = node.get("/metrics", key=None).body.decode()
        return int(float(next(line for line in text.splitlines() if line.startswith(f"autos_{name} ")).split()[1]))

    def check(self, limit):
        """I1, I2, I6, I8 once everything is over."""
        assert self.unfinished() == 0
        c = self.database.connect()
        try:
            lib.check_jobs(c)
            available = c.execute("SELECT d.doc_id, r.object_key, r.size, r.sha256 FROM document d"
                                  " JOIN result r ON r.document_id = d.id WHERE d.state = 'available'").fetchall()
        finally:
            c.close()
        there = self.store.measure({d["object_key"] for d in available})
        for d in available:
            assert there[d["object_key"]] == (d["size"], d["sha256"]), d["doc_id"]
        stats = self.sim.stats()
        assert stats["max_parallel"]["total"] <= limit, json.dumps(stats["max_parallel"])
        assert stats["bearer_elsewhere"] == 0
        return stats


class Clients(threading.Thread):
    """Asks for one case after the other at whichever process answers, until it was accepted."""

    def __init__(self, f, numbers):
        super().__init__(daemon=True)
        self.f, self.numbers, self.accepted, self.failed = f, numbers, [], None

    def run(self):
        try:
            for number in self.numbers:
                self.ask(number)
                time.sleep(0.05)
        except Exception as e:  # noqa: BLE001
            self.failed = e

    def ask(self, number):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            node = random.choice([n for name, n in self.f.nodes.items() if name.startswith("api")])
            with contextlib.suppress(OSError, api.http.client.HTTPException):
                c = api.http.client.HTTPConnection(node.host, node.port or 1, timeout=5)
                with contextlib.closing(c):
                    c.request("POST", node.path(number, "jobs"), body="{}", headers={
                        **node.key_header("user"), "Content-Type": "application/json"})
                    status = c.getresponse().status
                if status in (200, 202):
                    self.accepted.append(number)
                    return
            time.sleep(0.1)
        raise AssertionError(f"{number} was never accepted")
