"""Deliveries to one local receiver: how many a second, and how long after the end of a job a message arrives, with
an empty queue and with a long one.

The receiver is nginx, which answers 200 to everything: it is no part of what is measured, but shares the machine with
it, and so does the simulated portal of the second part. Queued deliveries are rows written while no service runs.
"""
import http.client
import json
import os
import re
import shutil
import sqlite3
import statistics
import subprocess
import tempfile
import time

from service import SIM, Service, nginx

RATE, JOBS, QUEUED, DOCUMENTS = 20_000, 300, 100_000, 4


class Portal:
    """A simulated portal with cases of a few small documents."""

    def __init__(self, cases):
        args = [SIM, "--listen", "127.0.0.1:0", "--cases", str(cases), "--documents", str(DOCUMENTS), "--size", "2000", "--token", "bench"]
        self.process = subprocess.Popen(args, stdout=subprocess.PIPE, text=True)
        self.url = re.match(r"listening on (\S+)", self.process.stdout.readline()).group(1)
        c = http.client.HTTPConnection(self.url.split("//")[1])
        c.request("GET", "/_sim/cases?papers=0")
        self.numbers = [x["number"] for x in json.load(c.getresponse())["cases"] if x["oddity"] == "plain"][:cases]

    def stop(self):
        self.process.terminate()
        self.process.wait()


def start(data, portal):
    return Service(data, portal_url=portal.url + "/api/v2", portal_token="bench", portal_pace="0", portal_parallel="10", log_level="warn",
                   cases_parallel="8")


def ask(service, numbers, url):
    """Jobs of these cases, over one connection."""
    c = http.client.HTTPConnection(service.url.split("//")[1])
    for number in numbers:
        c.request("POST", f"/api/v1/processes/{number}/jobs", json.dumps({"webhook_url": url}),
                  {"X-API-Key": service.key, "Content-Type": "application/json"})
        r = c.getresponse()
        r.read()
        if r.status not in (200, 202):
            raise RuntimeError(f"a job: {r.status}")
    c.close()


def one(data, sql, *values):
    db = sqlite3.connect(f"file:{data}/autos.db?mode=ro", uri=True, timeout=60)
    try:
        return db.execute(sql, values).fetchone()[0]
    finally:
        db.close()


def wait(data, sql, *values):
    while one(data, sql, *values):
        time.sleep(0.02)


def queue(data, count, url):
    """Deliveries of the one that is there, due now, to an address of its own."""
    db = sqlite3.connect(f"{data}/autos.db", timeout=60)
    now = int(time.time() * 1000)
    origin = re.match(r"(https?://[^/]+)", url).group(1)
    db.execute("INSERT INTO webhook_target (origin, due_ms, created_ms) VALUES (?, ?, ?) ON CONFLICT (origin) DO UPDATE SET due_ms = excluded.due_ms",
               (origin, now, now))
    target = db.execute("SELECT id FROM webhook_target WHERE origin = ?", (origin,)).fetchone()[0]
    columns = "job_id, process_id, user_id, thin, seq, job_state, outcome, job_error, total, available, failed, finished_ms"
    db.executemany(
        f"INSERT INTO delivery (event_id, target_id, url, state, round_ms, next_ms, created_ms, {columns})"
        f" SELECT ?, ?, ?, 'pending', ?, ?, ?, {columns} FROM delivery WHERE id = 1",
        ((f"msg_{i:032x}", target, url, now, now, now) for i in range(db.execute("SELECT COUNT(*) FROM delivery").fetchone()[0], count)))
    db.commit()
    db.close()


def rate(data, portal, scratch, rounds):
    """Seconds to deliver RATE messages of a case of a few documents, all queued before."""
    rates, cpu = [], []
    for _ in range(rounds):
        work, receiver = tempfile.mkdtemp(prefix="rate-", dir=scratch), nginx(scratch)
        shutil.copytree(data, f"{work}/data")
        queue(f"{work}/data", RATE, f"{receiver.url}/hook")
        service = start(f"{work}/data", portal)
        left = "SELECT COUNT(*) FROM delivery WHERE state <> 'delivered'"
        wait(f"{work}/data", left)
        spent = service.cpu_s()
        first, last = (one(f"{work}/data", f"SELECT {f}(at_ms) FROM delivery_attempt WHERE delivery_id > 1") for f in ("MIN", "MAX"))
        service.stop()
        receiver.stop()
        rates.append((RATE - 1) / ((last - first) / 1000))
        cpu.append(spent * 1e6 / RATE)
        shutil.rmtree(work)
    print(f"{RATE} messages of {DOCUMENTS} documents to one receiver: {statistics.median(rates):.0f}/s "
          f"({min(rates):.0f} - {max(rates):.0f}), {statistics.median(cpu):.0f} us CPU each", flush=True)


def lag(data, portal, scratch, queued):
    """From the end of a job to the answer of its receiver, while `queued` others wait for another receiver."""
    work = tempfile.mkdtemp(prefix="lag-", dir=scratch)
    receiver, other = nginx(scratch), nginx(scratch)
    shutil.copytree(data, f"{work}/data")
    if queued:
        queue(f"{work}/data", queued, f"{other.url}/hook")
    service = start(f"{work}/data", portal)
    try:
        ask(service, portal.numbers[1:], f"{receiver.url}/lag")
        mine = f"{receiver.url}/lag"
        wait(f"{work}/data", "SELECT COUNT(*) < ? FROM delivery WHERE url = ? AND state = 'delivered'", len(portal.numbers) - 1, mine)
        left = one(f"{work}/data", "SELECT COUNT(*) FROM delivery WHERE state = 'pending'")
        db = sqlite3.connect(f"file:{work}/data/autos.db?mode=ro", uri=True)
        lags = sorted(r[0] for r in db.execute(
            "SELECT a.at_ms + a.duration_ms - d.finished_ms FROM delivery d JOIN delivery_attempt a ON a.delivery_id = d.id"
            " WHERE d.url = ? AND a.class = 'ok'", (mine,)))
        db.close()
    finally:
        service.stop()
        receiver.stop()
        other.stop()
    print(f"{queued} queued ({left} still when the last job's message arrived): {len(lags)} jobs, lag p50 {lags[len(lags) // 2]} ms, "
          f"p99 {lags[len(lags) * 99 // 100]} ms, most {lags[-1]} ms", flush=True)
    shutil.rmtree(work)


def measure(rounds, scratch):
    scratch = tempfile.mkdtemp(prefix="autos-bench-", dir=scratch)
    portal = Portal(JOBS + 1)
    try:
        data = f"{scratch}/data"
        os.mkdir(data)
        receiver = nginx(scratch)
        service = start(data, portal)
        ask(service, portal.numbers[:1], f"{receiver.url}/first")
        wait(data, "SELECT COUNT(*) = 0 FROM delivery WHERE state = 'delivered'")
        service.stop()
        receiver.stop()
        print()
        rate(data, portal, scratch, rounds)
        lag(data, portal, scratch, 0)
        lag(data, portal, scratch, QUEUED)
    finally:
        portal.stop()
        shutil.rmtree(scratch)
