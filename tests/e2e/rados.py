#!/usr/bin/python3
"""A real S3 server for the tests: Ceph's object gateway with one monitor and one object store in
memory, from Debian's packages, on loopback ports of its own. Up in two seconds.

One serves a whole run of pytest, all its workers included. The process that begins the run calls
`begin`; whoever needs the server calls `server`, and the first who does starts a keeper. The keeper
runs the daemons until the run is over: it waits for a lock that the kernel gives back however a
process ends. So they are stopped in order after a failed, an interrupted and a killed run alike.

    rados.py run [DIR]      runs one for a person, until a signal comes
"""

import collections
import contextlib
import ctypes
import fcntl
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "ceph-authtool", "monmaptool")
PACKAGES = "ceph-mon ceph-osd radosgw"
RUN = "TEST_S3_RUN"  # environment: the folder that all processes of a run share
REGION = "us-east-1"
PATIENCE = 60  # seconds for a daemon to come up or to go

Account = collections.namedtuple("Account", "access secret")
Server = collections.namedtuple("Server", "port owner stranger")  # accounts: one with buckets, one without any


class Unavailable(Exception):
    """There is no server, and why."""


def missing():
    """The programs that are not installed."""
    return [name for name in PROGRAMS if not shutil.which(name)]


def new_account():
    """Keys in the form that AWS gives them; secrets hold characters that need care in a query."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    return Account("AKIA" + "".join(secrets.choice(letters) for _ in range(16)),
                   "".join(secrets.choice(letters + letters.lower() + "+/") for _ in range(38)) + "+/")


# ---- the daemons ----


def configuration(place, monitor, gateway):
    """What differs from Ceph's defaults. Authentication stays on: without it the gateway hangs."""
    sections = {
        "global": {
            "fsid": (place / "fsid").read_text(),
            "mon host": f"[v2:127.0.0.1:{monitor},v1:127.0.0.1:{monitor + 1}]",
            "mon initial members": "a",
            "keyring": place / "keyring",
            "auth allow insecure global id reclaim": "false",
            # Loopback only. The address, not only the network: else daemons ask for interfaces.
            "public network": "127.0.0.0/8",
            "public addr": "127.0.0.1",
            "cluster addr": "127.0.0.1",
            # One copy of everything in as few pieces as possible.
            "osd pool default size": 1,
            "osd pool default min size": 1,
            "osd pool default pg num": 1,
            "osd pool default pgp num": 1,
            "osd pool default pg autoscale mode": "off",
            "osd crush chooseleaf type": 0,
            "mon allow pool size one": "true",
            "mon warn on pool no redundancy": "false",
            "mon max pg per osd": 1000,
            "mon data avail crit": 1,
            # A start is a row of decisions of the monitor, which else lets a second pass before each.
            "paxos propose interval": 0.05,
            "paxos min wait": 0.01,
            "mon client hunt interval": 0.3,
            # Nothing outside the folder.
            "run dir": place / "run",
            "log file": place / "log" / "$name.log",
            "admin socket": place / "run" / "$name.asok",
            "crash dir": place / "run",
            "pid file": "",
            "osd class load list": "*",
            "osd class default list": "*",
        },
        "mon": {"mon data": place / "mon", "mon cluster log file": place / "log" / "cluster.log"},
        "osd": {
            "osd data": place / "osd",
            "osd objectstore": "memstore",
            "memstore device bytes": 8 << 30,
            "osd journal": "",
            "osd max object name len": 2048,
        },
        "client": {
            "client mount timeout": 20,
            # Else every answer with a body waits for a late acknowledgement, 40 ms.
            "rgw frontends": f"beast endpoint=127.0.0.1:{gateway} tcp_nodelay=1",
            "rgw data": place / "rgw",
            "rgw dns name": "localhost",  # buckets are names below it, too
            "rgw run sync thread": "false",
            "rgw enable quota threads": "false",
            "rgw thread pool size": 64,
            # What was deleted is gone from memory seconds later, not hours.
            "rgw gc obj min wait": 2,
            "rgw gc processor period": 2,
        },
    }
    lines = []
    for name, values in sections.items():
        lines += [f"[{name}]", *(f"{key} = {value}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def end_with_parent():
    """In a child: SIGTERM when its parent dies, however that dies (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def free_ports(n):
    """n ports in a row that nobody listened on a moment ago."""
    while True:
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                for k in range(1, n):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port + k))
            except (OSError, OverflowError):
                continue
            return port


class Cluster:
    """The three daemons in a folder of their own."""

    def __init__(self, place):
        self.place = Path(place)
        self.daemons = []  # in the order of their start
        self.owner, self.stranger = new_account(), new_account()

    def command(self, *args, **more):
        """Runs a program of Ceph's; its words go to the log."""
        with open(self.place / "log" / "commands.log", "ab") as log:
            return subprocess.run([*map(str, args), "-c", self.place / "ceph.conf"], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=log, check=True, timeout=PATIENCE, **more).stdout

    def daemon(self, *args):
        with open(self.place / "log" / f"{args[0]}.out", "ab") as log:
            p = subprocess.Popen([*args, "-f", "-c", self.place / "ceph.conf"], stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=log, preexec_fn=end_with_parent)
        self.daemons.append(p)
        return p

    def wait_for(self, ready, what):
        deadline = time.monotonic() + PATIENCE
        while not ready():
            for p in self.daemons:
                if p.poll() is not None:
                    raise Unavailable(f"{p.args[0]} ended with status {p.returncode}: {self.last_words()}")
            if time.monotonic() > deadline:
                raise Unavailable(f"{what} did not come up in {PATIENCE} s: {self.last_words()}")
            time.sleep(0.05)

    def last_words(self):
        return " | ".join(line for f in sorted((self.place / "log").glob("*.out"))
                          for line in f.read_text(errors="replace").splitlines()[-3:])

    def start(self):
        """Gives the port of the gateway."""
        for name in ("mon", "osd", "run", "log", "rgw"):
            (self.place / name).mkdir(parents=True)
        (self.place / "fsid").write_text(Path("/proc/sys/kernel/random/uuid").read_text().strip())
        port = free_ports(3)
        (self.place / "ceph.conf").write_text(configuration(self.place, port + 1, port))
        self.make_keys()
        self.start_monitor(port + 1)
        self.start_store()
        self.start_gateway(port)
        return port

    def make_keys(self):
        ring = self.place / "keyring"
        self.command("ceph-authtool", ring, "--create-keyring", "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        for name in ("client.admin", "client.rgw", "osd.0"):
            caps = [word for kind in ("mon", "osd", "mgr") for word in ("--cap", kind, "allow *")]
            self.command("ceph-authtool", ring, "--gen-key", "-n", name, *caps)

    def start_monitor(self, port):
        fsid = (self.place / "fsid").read_text()
        where = f"[v2:127.0.0.1:{port},v1:127.0.0.1:{port + 1}]"
        self.command("monmaptool", "--create", "--addv", "a", where, "--fsid", fsid, self.place / "monmap")
        self.command("ceph-mon", "--mkfs", "-i", "a", "--monmap", self.place / "monmap", "--keyring",
                     self.place / "keyring")
        self.daemon("ceph-mon", "-i", "a")

    def start_store(self):
        self.command("ceph-osd", "--mkfs", "-i", "0", "--no-mon-config", "--osd-uuid",
                     Path("/proc/sys/kernel/random/uuid").read_text().strip())
        self.command("ceph", "osd", "new", (self.place / "osd" / "fsid").read_text().strip(), "0")
        self.daemon("ceph-osd", "-i", "0")
        self.wait_for(lambda: b"1 up" in self.command("ceph", "osd", "stat"), "the object store")

    def start_gateway(self, port):
        self.daemon("radosgw", "-n", "client.rgw")
        self.wait_for(lambda: answers(port), "the gateway")
        for name, account in (("owner", self.owner), ("stranger", self.stranger)):
            self.command("radosgw-admin", "user", "create", f"--uid={name}", f"--display-name={name}",
                         f"--access-key={account.access}", f"--secret-key={account.secret}", "--max-buckets=0")

    def stop(self):
        """Whoever needs the others goes first."""
        for p in reversed(self.daemons):
            p.terminate()
            try:
                p.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        self.daemons = []


def answers(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


# ---- one for a run ----


class Stopped(Exception):
    pass


def stop_on_signals(*_):
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # once is enough
    raise Stopped


def started(place):
    """A cluster, on other ports if somebody was faster to take those that were free."""
    for attempt in range(3):
        cluster = Cluster(place / f"ceph{attempt}")
        try:
            return cluster, cluster.start()
        except BaseException as e:
            cluster.stop()
            if attempt == 2 or not isinstance(e, (Unavailable, subprocess.SubprocessError)):
                raise


def keep(place, until_over):
    """Starts the server, writes its facts to `server.json`, and ends it when `until_over` returns."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, stop_on_signals)
    cluster, facts = None, place / "server.json.part"
    try:
        cluster, port = started(place)
        facts.write_text(json.dumps({"port": port, "owner": cluster.owner, "stranger": cluster.stranger}))
        facts.rename(place / "server.json")
        until_over()
    except Stopped:
        pass
    except Exception as e:
        facts.write_text(json.dumps({"error": f"{type(e).__name__}: {e}"}))
        facts.rename(place / "server.json")
        until_over()
    finally:
        if cluster:
            cluster.stop()
        shutil.rmtree(place, ignore_errors=True)


class Run:
    """Held by the process that begins a run; `end` returns when nothing of the server is left."""

    def __init__(self):
        self.place = Path(tempfile.mkdtemp(prefix="autos-s3-"))
        self.alive = open(self.place / "alive", "w")
        fcntl.flock(self.alive, fcntl.LOCK_EX)
        os.environ[RUN] = str(self.place)

    def end(self):
        os.environ.pop(RUN, None)
        with open(self.place / "starting", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # nobody is between starting one and having started it
            keeper = self.place / "keeper.pid"
            if keeper.exists():
                self.alive.close()
                wait_for_end(int(keeper.read_text()))
        self.alive.close()
        shutil.rmtree(self.place, ignore_errors=True)


def wait_for_end(pid):
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    select.select([fd], [], [], 3 * PATIENCE)
    os.close(fd)


def begin():
    """Begins a run, unless this process belongs to one: then None."""
    return None if RUN in os.environ else Run()


def server():
    """The server of this run, started if nobody did it before."""
    absent = missing()
    if absent:
        raise Unavailable(f"{absent[0]} is missing (Debian's packages {PACKAGES}): packaging/deps.sh test installs it")
    place = Path(os.environ[RUN])
    facts = place / "server.json"
    with open(place / "starting", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not facts.exists():
            start_keeper(place, facts)
    found = json.loads(facts.read_text())
    if "error" in found:
        raise Unavailable(found["error"])
    return Server(found["port"], Account(*found["owner"]), Account(*found["stranger"]))


def start_keeper(place, facts):
    with open(place / "keeper.log", "ab") as log:
        p = subprocess.Popen([sys.executable, __file__, "keep", place], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                             start_new_session=True)  # a Ctrl-C is for the tests; it goes when they are gone
    (place / "keeper.pid").write_text(str(p.pid))
    deadline = time.monotonic() + 4 * PATIENCE
    while not facts.exists():
        if p.poll() is not None or time.monotonic() > deadline:
            raise Unavailable(f"the S3 server did not start: {(place / 'keeper.log').read_text()[-2000:]}")
        time.sleep(0.05)


def main():
    if sys.argv[1:2] == ["keep"]:
        place = Path(sys.argv[2])

        def over():
            with open(place / "alive") as alive:
                fcntl.flock(alive, fcntl.LOCK_EX)

        keep(place, over)
    elif sys.argv[1:2] == ["run"]:
        place = Path(sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp(prefix="autos-s3-"))
        place.mkdir(exist_ok=True)

        def over():
            print((place / "server.json").read_text(), flush=True)
            while True:
                signal.pause()

        keep(place, over)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
