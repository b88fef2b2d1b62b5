"""The service under load, beside a plain libmicrohttpd answer and nginx, in one run.

Each round runs every load once, in turn. Medians and ratios are printed, and the mark that a figure is
held against; nothing is asserted but that the answers are the right ones. The load generator (wrk, one
thread, 64 connections) shares the machine with what it measures.
"""
import contextlib
import http.client
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from origin import free_port

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(os.path.dirname(os.path.dirname(HERE)), "build")
AUTOS, SIM = os.path.join(BUILD, "autos"), os.path.join(BUILD, "autos-sim")
QUEUE, PLAIN = os.path.join(BUILD, "bench", "queue"), os.path.join(BUILD, "bench", "plain_mhd")
CONNECTIONS, DOCUMENTS, FEW, MANY = 64, 33, 1000, 1_000_000
MARKS = {"accept": 10_000, "status": 20_000, "unchanged": 60_000}
RSS_MARK_MB, QUEUE_MARK = 40, 0.05

NGINX = """
{user}daemon off; worker_processes 2; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
  uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
  server {{ listen 127.0.0.1:{port}; location / {{ default_type text/plain; return 200 "ok"; }} }}
}}
"""


# ---- programs under load ----


class Program:
    """A process that listens; its children belong to it."""

    def __init__(self, process, url):
        self.process, self.url = process, url

    def pids(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            return [self.process.pid] + [int(p) for p in f.read().split()]

    def cpu_s(self):
        ticks = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_mb(self):
        """(resident now, most since reset_peak)."""
        with open(f"/proc/{self.process.pid}/status") as f:
            text = f.read()
        return tuple(int(re.search(rf"{name}:\s+(\d+) kB", text).group(1)) / 1024 for name in ("VmRSS", "VmHWM"))

    def reset_peak(self):
        with open(f"/proc/{self.process.pid}/clear_refs", "w") as f:
            f.write("5")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def plain(scratch):
    p = subprocess.Popen([PLAIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return Program(p, f"http://127.0.0.1:{int(p.stdout.readline())}")


def nginx(scratch):
    folder, port = tempfile.mkdtemp(prefix="nginx-", dir=scratch), free_port()
    with open(f"{folder}/nginx.conf", "w") as f:
        f.write(NGINX.format(dir=folder, port=port, user="user root; " if os.getuid() == 0 else ""))
    p = subprocess.Popen(["/usr/sbin/nginx", "-p", folder, "-c", f"{folder}/nginx.conf"], stderr=subprocess.DEVNULL)
    for _ in range(200):
        with contextlib.suppress(OSError):
            http.client.HTTPConnection("127.0.0.1", port, timeout=1).connect()
            return Program(p, f"http://127.0.0.1:{port}")
        time.sleep(0.02)
    raise RuntimeError("nginx did not start")


class Service(Program):
    """`autos serve` without a token, so that what is asked for stays queued; without limits of rate."""

    def __init__(self, data, **settings):
        self.data = data
        env = {k: v for k, v in os.environ.items() if not k.startswith("AUTOS_")}
        settings = {"data_dir": data, "listen": "127.0.0.1:0", "portal_url": "http://127.0.0.1:1/api/v2", "rate_limit": "0",
                    "rate_limit_anonymous": "0", **settings}
        env.update({f"AUTOS_{k.upper()}": v for k, v in settings.items()})
        self.key = subprocess.run([AUTOS, "user", "create", f"bench{os.urandom(4).hex()}"], env=env, check=True,
                                  capture_output=True, text=True).stdout.strip()
        log = open(f"{data}/serve.log", "ab")
        process = subprocess.Popen([AUTOS, "serve"], env=env, stdout=subprocess.PIPE, stderr=log, text=True)
        line = process.stdout.readline()
        if not line.startswith("listening on "):
            raise RuntimeError(f"autos serve did not start: see {data}/serve.log")
        super().__init__(process, line.split()[2])

    def ask(self, method, path, expect, **headers):
        """One request; its answer must have the expected status. (headers, bytes of body)"""
        c = http.client.HTTPConnection(self.url.split("//")[1])
        c.request(method, path, headers={"X-API-Key": self.key, **headers})
        r = c.getresponse()
        body = r.read()
        c.close()
        if r.status != expect:
            raise RuntimeError(f"{method} {path}: {r.status}, not {expect}: {body[:300]!r}")
        return r.headers, len(body)


def stored_case(data):
    """Fetches one case of DOCUMENTS documents into a data folder; its number."""
    sim = subprocess.Popen([SIM, "--listen", "127.0.0.1:0", "--cases", "1", "--documents", str(DOCUMENTS), "--size", "2000",
                            "--token", "bench"], stdout=subprocess.PIPE, text=True)
    try:
        url = re.match(r"listening on (\S+)", sim.stdout.readline()).group(1)
        listing = subprocess.run([SIM, "--list", "--cases", "1"], capture_output=True, text=True, check=True).stdout
        number = next(line.split("\t")[0] for line in listing.splitlines() if "\tplain\t" in line)
        number = re.sub(r"\D", "", number)
        subprocess.run([AUTOS, "get", number, "-o", f"{data}/out", "--quiet", "--set", f"data_dir={data}", "--set",
                        f"portal_url={url}/api/v2", "--set", "portal_token=bench", "--set", "portal_pace=0"], check=True)
        return number
    finally:
        sim.terminate()
        sim.wait()


# ---- load ----


class Load:
    """What wrk is to ask of a program, and what came of it."""

    def __init__(self, title, program, path="/", headers=None, script=None, mark=None):
        self.title, self.program, self.path, self.script, self.mark = title, program, path, script, mark
        self.headers = headers or {}
        self.rates, self.cpu_us, self.median_us, self.slow_us, self.rss = [], [], [], [], []
        self.asked = 0  # requests so far: an accept must never ask for a case twice

    def run(self, seconds):
        cmd = ["wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{seconds}s", "--latency"]
        for name, value in self.headers.items():
            cmd += ["-H", f"{name}: {value}"]
        cmd += ["--script", f"{HERE}/{self.script[0]}"] if self.script else []
        cmd += [self.program.url + self.path]
        cmd += ["--", HERE, str(self.script[1](self))] if self.script else []
        memory = []
        over = threading.Event()
        self.program.reset_peak()
        watch = threading.Thread(target=lambda: self.watch(memory, over))
        watch.start()
        cpu = self.program.cpu_s()
        out = subprocess.run(cmd, capture_output=True, text=True, check=True).stdout
        cpu = self.program.cpu_s() - cpu
        over.set()
        watch.join()
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)", out)
        if bad:
            raise RuntimeError(f"{self.title}: {bad.group(0)}")
        n = int(re.search(r"(\d+) requests in", out).group(1))
        self.asked += n + CONNECTIONS
        self.rates.append(float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)))
        self.cpu_us.append(cpu * 1e6 / n)
        self.median_us.append(microseconds(out, "50%"))
        self.slow_us.append(microseconds(out, "99%"))
        self.rss.append((statistics.median(memory), self.program.memory_mb()[1]))
        return self.rates[-1]

    def watch(self, memory, over):
        while True:
            memory.append(self.program.memory_mb()[0])
            if over.wait(0.2):
                return

    @property
    def rate(self):
        return statistics.median(self.rates)

    def line(self, plain_rate):
        reached = "" if not self.mark else f"{'reached' if self.rate >= self.mark else 'MISSED'}: {self.mark:,}/s"
        rss = f"{statistics.median(r for r, _ in self.rss):.0f} / {max(h for _, h in self.rss):.0f}"
        return (f"{self.title:34}{self.rate:9,.0f}{min(self.rates):9,.0f}{max(self.rates):9,.0f}{self.rate / plain_rate:7.2f}"
                f"{statistics.median(self.cpu_us):8.1f}{statistics.median(self.median_us) / 1000:8.2f}"
                f"{statistics.median(self.slow_us) / 1000:8.2f}{rss:>10}  {reached}")


def microseconds(out, percentile):
    value, unit = re.search(rf"^\s+{percentile}\s+([\d.]+)(us|ms|s)$", out, re.M).groups()
    return float(value) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def warm(scratch, stack):
    data = tempfile.mkdtemp(prefix="read-", dir=scratch)
    path = f"/api/v1/processes/{stored_case(data)}/status"
    read = Service(data)
    stack.callback(read.stop)
    answer, size = read.ask("GET", path, 200)
    tag = answer["ETag"]
    read.ask("GET", path, 304, **{"If-None-Match": tag})
    answer, small = read.ask("GET", path, 200, **{"Accept-Encoding": "gzip"})
    if answer["Content-Encoding"] != "gzip":
        raise RuntimeError("the answer is not compressed")
    key = {"X-API-Key": read.key}
    return [Load("304 of a status", read, path, {**key, "If-None-Match": tag}, mark=MARKS["unchanged"]),
            Load(f"status, {size:,} bytes", read, path, key, mark=MARKS["status"]),
            Load(f"status, gzip, {small:,} bytes", read, path, {**key, "Accept-Encoding": "gzip"}, mark=MARKS["status"]),
            Load("/livez", read, "/livez")]


def speed(rounds, seconds, scratch):
    """Everything that the service answers often, beside servers that do nothing else."""
    with contextlib.ExitStack() as stack:
        servers = [plain(scratch), nginx(scratch)]
        for s in servers:
            stack.callback(s.stop)
        write = Service(tempfile.mkdtemp(prefix="write-", dir=scratch))
        stack.callback(write.stop)
        loads = [Load("libmicrohttpd, 2 bytes", servers[0]), Load("nginx return 200", servers[1])] + warm(scratch, stack)
        loads.append(Load("durable accepts", write, "/", {"X-API-Key": write.key},
                          ("accept.lua", lambda load: load.asked), MARKS["accept"]))
        for i in range(rounds):
            for load in loads:
                load.run(seconds)
            tell(f"round {i + 1} of {rounds}")
    base = loads[0].rate
    print(f"\nThe service, {CONNECTIONS} connections, {rounds} rounds of {seconds} s each (medians)\n")
    print(f"{'':34}{'per s':>9}{'least':>9}{'most':>9}{'ratio':>7}{'CPU us':>8}{'p50 ms':>8}{'p99 ms':>8}{'RSS/peak':>10}  mark")
    for load in loads:
        print(load.line(base))
    peak = max(h for load in loads[2:] for _, h in load.rss)
    print(f"\nratio: to plain libmicrohttpd. CPU us: of the server, each request. Resident MB: median / peak; "
          f"the service peaks at {peak:.0f} MB, {'below' if peak < RSS_MARK_MB else 'MISSED: below'} {RSS_MARK_MB}.")
    sys.stdout.flush()


# ---- a long queue ----


def filled(scratch, name, jobs):
    data = os.path.join(scratch, name)
    os.mkdir(data)
    start = time.monotonic()
    subprocess.run([QUEUE, "fill", f"sqlite:{data}/autos.db", "0", str(jobs)], check=True)
    tell(f"{jobs:,} jobs queued in {time.monotonic() - start:.0f} s, {os.path.getsize(f'{data}/autos.db') / 1e6:.0f} MB")
    return data


def claims(data, rounds, at_once):
    """(claims a second with their commits, and without)."""
    out = subprocess.run([QUEUE, "claim", f"sqlite:{data}/autos.db", str(rounds), str(at_once)], check=True,
                         capture_output=True, text=True).stdout
    return [float(x) for x in out.split()]


def queue_round(data, jobs, asked, seconds, seen):
    """One turn at one length of the queue. No answers are kept, so that every status reads the database."""
    for name, at_once in (("claims, 4 a transaction", 4), ("claims, 64 a transaction", 64)):
        durable, inside = claims(data, 200, at_once)
        seen[name].append(durable)
        seen[f"{name}, no commit"].append(inside)
    service = Service(data, cache_memory="0")
    try:
        key = {"X-API-Key": service.key}
        loads = {"status of random queued cases": Load("status", service, "/", key, ("queued.lua", lambda load: jobs)),
                 "accepts": Load("accept", service, "/", key, ("accept.lua", lambda load: jobs + asked))}
        for name, load in loads.items():
            seen[name].append(load.run(seconds))
            seen[f"{name}, by CPU time"].append(1e6 / load.cpu_us[0])
        return loads["accepts"].asked
    finally:
        service.stop()


def long_queue(rounds, seconds, scratch):
    """The same work on a short and on a long queue. What is measured by CPU time (a second of the server's) hardly feels
    other users of the machine and of its disk."""
    names = ["accepts", "accepts, by CPU time", "status of random queued cases", "status of random queued cases, by CPU time",
             "claims, 4 a transaction", "claims, 4 a transaction, no commit", "claims, 64 a transaction",
             "claims, 64 a transaction, no commit"]
    few, many = ({name: [] for name in names} for _ in range(2))
    short, long = filled(scratch, "few", FEW), filled(scratch, "many", MANY)
    asked = 0
    for i in range(rounds):
        copy = os.path.join(scratch, f"few{i}")  # accepts make it longer: each round begins with FEW
        shutil.copytree(short, copy)
        turns = [lambda: queue_round(copy, FEW, 0, seconds, few), lambda: queue_round(long, MANY, asked, seconds, many)]
        if i % 2:  # whoever comes second finds the disk busier
            asked += turns[1]()
            turns[0]()
        else:
            turns[0]()
            asked += turns[1]()
        tell(f"round {i + 1} of {rounds}")
    print(f"\n{FEW:,} and {MANY:,} queued jobs, {rounds} rounds (medians; mark: within {QUEUE_MARK:.0%})\n")
    print(f"{'per s':44}{FEW:>10,}{MANY:>12,}{'ratio':>8}")
    for name in names:
        a, b = statistics.median(few[name]), statistics.median(many[name])
        ratio = statistics.median(y / x for x, y in zip(few[name], many[name]))
        print(f"{name:44}{a:10,.0f}{b:12,.0f}{ratio:8.2f}  {'reached' if ratio >= 1 - QUEUE_MARK else 'MISSED'}")
    sys.stdout.flush()


def tell(text):
    print(text, file=sys.stderr, flush=True)


def measure(rounds, seconds, parts, scratch):
    """`scratch` must be on a disk: a commit that syncs to memory proves nothing."""
    os.makedirs(scratch or BUILD, exist_ok=True)
    work = tempfile.mkdtemp(prefix="bench-service-", dir=scratch or BUILD)
    try:
        if "speed" in parts:
            speed(rounds, seconds, work)
        if "queue" in parts:
            long_queue(rounds, seconds, work)
    finally:
        shutil.rmtree(work)
