"""What the database bears: requests accepted and empty jobs worked on, on SQLite and on a private PostgreSQL that
syncs, with 1, 2 and 4 workers, beside pgbench with the same statements; and the rate while somebody holds a snapshot."""
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests"))

import postgres  # noqa: E402

FLEET = os.path.join(ROOT, os.environ.get("AUTOS_BUILD", "build"), "bench", "fleet")
DURABLE = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "256MB", "max_wal_size": "4GB"}
NEXT = [0]
PARTS = ("sqlite", "postgres", "finished", "held")


def start(*args):
    return subprocess.Popen([FLEET, *map(str, args)], stdout=subprocess.PIPE, text=True)


def rates(processes):
    """By second, all processes together."""
    outs = []
    for p in processes:
        out, _ = p.communicate()
        assert p.returncode == 0, p.args
        outs.append([int(n) for n in out.split()])
    return [sum(second) for second in zip(*outs)]


def first():
    NEXT[0] += 3000000
    return NEXT[0]


def rate(processes):
    return statistics.median(rates(processes)[1:])


def accept(url, seconds, n, window):
    return rate([start("accept", url, seconds, first(), window) for _ in range(n)])


def work(url, seconds, n, at_once, backlog):
    rates([start("accept", url, backlog, first(), 256)])
    return rate([start("work", url, seconds, at_once, 0) for _ in range(n)])


PGBENCH_ACCEPT = """
\\set n random(1, 1000000000000)
\\set m random(1, 1000000000000)
BEGIN;
INSERT INTO process (number, created_ms, updated_ms) SELECT CAST(:n AS TEXT) || ':' || :client_id, 1, 1
 WHERE NOT EXISTS (SELECT 1 FROM erasure WHERE number = 'x') ON CONFLICT (number) DO NOTHING RETURNING id AS p \\gset
INSERT INTO job (process_id, state, relist, run_at_ms, created_ms, ready_ms, scope, priority, request_id, trace, last_event)
 VALUES (:p, 'pending', 1, 1, 1, 1, 'documents', 0, '', '', 1) RETURNING id AS j \\gset
INSERT INTO event (job_id, seq, kind, subject, state, at_ms) VALUES (:j, 1, 'job', '', 'pending', 1);
INSERT INTO commit_mark (id, at_ms) SELECT :m, 1 WHERE pg_current_xact_id_if_assigned() IS NOT NULL RETURNING id;
DELETE FROM commit_mark WHERE id = :m;
COMMIT;
"""

PGBENCH_WORK = """
\\set m random(1, 1000000000000)
BEGIN;
WITH found AS MATERIALIZED (SELECT id FROM job WHERE state = 'pending'
 ORDER BY priority DESC, run_at_ms, id LIMIT 1 FOR UPDATE SKIP LOCKED)
 UPDATE job SET state = 'processing', owner = 'x', epoch = epoch + 1, lease_until_ms = 9, last_event = last_event + 1
 WHERE id IN (SELECT id FROM found) RETURNING id AS j \\gset
INSERT INTO event (job_id, seq, kind, subject, state, at_ms) VALUES (:j, 2, 'job', '', 'processing', 1);
INSERT INTO commit_mark (id, at_ms) SELECT :m, 1 WHERE pg_current_xact_id_if_assigned() IS NOT NULL RETURNING id;
DELETE FROM commit_mark WHERE id = :m;
COMMIT;
BEGIN;
SELECT relist, again FROM job WHERE id = :j AND state = 'processing' FOR NO KEY UPDATE;
UPDATE job SET state = 'completed', outcome = 'empty', finished_ms = 1, owner = '', lease_until_ms = 0,
 last_event = last_event + 1 WHERE id = :j AND state = 'processing';
INSERT INTO event (job_id, seq, kind, subject, state, at_ms) VALUES (:j, 3, 'done', '', 'completed', 1);
INSERT INTO commit_mark (id, at_ms) SELECT :m, 1 WHERE pg_current_xact_id_if_assigned() IS NOT NULL RETURNING id;
DELETE FROM commit_mark WHERE id = :m;
COMMIT;
"""


def pgbench(cluster, database, script, seconds, clients):
    with tempfile.NamedTemporaryFile("w", suffix=".sql", delete=False) as f:
        f.write(script)
    os.chmod(f.name, 0o644)
    out = cluster.run("pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(seconds), "-f", f.name,
                      "-d", cluster.url(database))
    os.unlink(f.name)
    return float(next(line for line in out.splitlines() if line.startswith("tps")).split()[2])


FINISHED = """
INSERT INTO process (number, created_ms, updated_ms) SELECT 'f' || i, 1, 1 FROM generate_series(1, 1000000) i;
INSERT INTO job (process_id, state, outcome, relist, run_at_ms, created_ms, ready_ms, finished_ms, epoch, last_event)
 SELECT id, 'completed', 'empty', 1, 1, 1, 1, 1, 1, 3 FROM process WHERE number LIKE 'f%';
VACUUM ANALYZE job;
CHECKPOINT;
"""


def finished(cluster, url, seconds):
    """What is over costs nothing: two workers on a table without and with a million finished jobs."""
    for full, name in enumerate(("on empty tables", "behind a million finished jobs")):
        if full:
            with tempfile.NamedTemporaryFile("w", suffix=".sql", delete=False) as f:
                f.write(FINISHED)
            os.chmod(f.name, 0o644)
            cluster.run("psql", "-X", "-q", "-d", cluster.url("bench"), "-f", f.name)
            os.unlink(f.name)
        else:
            cluster.sql("TRUNCATE process CASCADE", "bench")
        runs = [work(url, seconds, 2, 16, 6) for _ in range(3)]
        print(f"| PostgreSQL: claim + end, 2 workers, 16 at once, {name} | {statistics.median(runs):,.0f} |", flush=True)


@contextlib.contextmanager
def snapshot(cluster):
    """Somebody who began a transaction, looked, and forgot it."""
    holder = subprocess.Popen(cluster.command("psql", "-X", "-q", "-d", cluster.url("bench")), stdin=subprocess.PIPE, text=True,
                              stdout=subprocess.DEVNULL, cwd=cluster.place)
    holder.stdin.write("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_current_xact_id(); SELECT COUNT(*) FROM job;\n")
    holder.stdin.flush()
    yield
    holder.stdin.write("COMMIT;\n")
    holder.stdin.close()
    holder.wait()


def held(cluster, url, seconds, rounds):
    """Two workers and a client at full speed, without and with a snapshot that is held, in turn: each starts with empty
    tables, and ends with those of its last second."""
    def both():
        cluster.sql("TRUNCATE process CASCADE", "bench")
        cluster.sql("CHECKPOINT", "bench")
        with snapshot(cluster) if hold else contextlib.nullcontext():
            accepting = start("accept", url, seconds, first(), 64)
            working = [start("work", url, seconds, 16, 0) for _ in range(2)]
            rates([accepting])
            return rates(working)[1:]

    found = {False: [], True: []}
    for i in range(rounds):
        for hold in (False, True) if i % 2 == 0 else (True, False):
            found[hold].append(both())
    third = seconds // 3
    for hold, name in (False, "two workers and a client at full speed"), (True, f"the same while a snapshot is held for {seconds} s"):
        runs = found[hold]
        print(f"| {name} | {statistics.median(map(statistics.mean, runs)):,.0f} |")
        print(f"| ... the first third, the last third | {statistics.median(statistics.mean(r[:third]) for r in runs):,.0f},"
              f" {statistics.median(statistics.mean(r[-third:]) for r in runs):,.0f} |")
    kept = [statistics.mean(h) / statistics.mean(f) for f, h in zip(found[False], found[True])]
    print(f"| kept, median of {rounds} rounds ({', '.join(f'{k:.0%}' for k in kept)}) | {statistics.median(kept):.0%} |", flush=True)


def sqlite(seconds):
    work_dir = tempfile.mkdtemp(prefix="autos-bench-", dir=os.environ.get("TMPDIR", "/var/tmp"))
    try:
        url = f"sqlite:{work_dir}/autos.db"
        for window in (1, 64, 256):
            print(f"| SQLite: accepts, {window} at a time | {accept(url, seconds, 1, window):,.0f} |", flush=True)
        for at_once in (1, 4, 64):
            print(f"| SQLite: claim + end of empty jobs, {at_once} at once | {work(url, seconds, 1, at_once, 4):,.0f} |", flush=True)
    finally:
        shutil.rmtree(work_dir)


def rate_table(cluster, url, seconds):
    for window in (1, 64, 256):
        print(f"| PostgreSQL: accepts, {window} at a time | {accept(url, seconds, 1, window):,.0f} |", flush=True)
    for n in (2, 4):
        print(f"| PostgreSQL: accepts, {n} processes, 64 at a time each | {accept(url, seconds, n, 64):,.0f} |", flush=True)
    for n in (1, 2, 4):
        for at_once in (1, 4, 64):
            figure = work(url, seconds, n, at_once, 6)
            print(f"| PostgreSQL: claim + end of empty jobs, {n} workers, {at_once} at once | {figure:,.0f} |", flush=True)
    for clients in (1, 8):
        print(f"| pgbench: accepts, {clients} clients | {pgbench(cluster, 'bench', PGBENCH_ACCEPT, seconds, clients):,.0f} |")
        print(f"| pgbench: claim + end, {clients} clients | {pgbench(cluster, 'bench', PGBENCH_WORK, seconds, clients):,.0f} |",
              flush=True)


def measure(parts=PARTS, rounds=3, seconds=6, held_seconds=60):
    print("## Database\n\n| what | a second |\n|---|--:|")
    if "sqlite" in parts:
        sqlite(seconds)
    if set(parts) <= {"sqlite"}:
        return
    with postgres.Cluster(**DURABLE) as cluster:
        cluster.sql("CREATE DATABASE bench")
        url = cluster.url("bench")
        rates([start("accept", url, 1, first(), 1)])  # makes the tables
        if "postgres" in parts:
            rate_table(cluster, url, seconds)
        if "finished" in parts:
            finished(cluster, url, seconds)
        if "held" in parts:
            held(cluster, url, held_seconds, rounds)


if __name__ == "__main__":
    measure(sys.argv[1:] or PARTS)
