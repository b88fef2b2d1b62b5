"""What whole-program tests share: the simulated portal, the program, and the invariants.

Everything is private to one test: folder, database, token, port. Nothing sleeps; `until` polls
with a deadline.
"""

import base64
import collections
import hashlib
import json
import os
import re
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import databases
import stores
from stores import sha256_file

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("AUTOS_BUILD", "build")
AUTOS = BUILD / "autos"
SIM = BUILD / "autos-sim"
API = "/api/v2"
PATIENCE = 60  # seconds: only ever reached when something is broken

# docs: exit status of an outcome, and the order from good to bad
EXIT = {"complete": 0, "empty": 0, "partial": 3, "not_found": 4, "access_denied": 5, "upstream_error": 6}
WORSE = [0, 3, 4, 5, 6, 1, 2]

# Pages and errors that the portal serves in the place of documents.
FALSE_DOCUMENTS = (b"app-root", b"ng-version", b"kc-form-login", b"login-actions", b"externalUrlService")

# Long enough not to be met in fault-free runs on a loaded machine, short enough for tests.
FAST = {
    "retry_delay": "10ms",
    "portal_pace": "0",
    "portal_pause": "50ms",
    "portal_pause_max": "200ms",
    "portal_low_speed_time": "1s",
    "portal_timeout": "3s",
    "lease_time": "2s",
}

Result = collections.namedtuple("Result", "status out err")


def until(condition, what="it", timeout=PATIENCE, every=0.01):
    """Polls until the condition gives something true, and gives that."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {timeout} s in vain for {what}"
        time.sleep(every)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def environment(**more):
    """The environment without anybody's settings."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AUTOS_", "PDPJ_", "AWS_")) and k != "DATABASE_URL"}
    env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1:exitcode=99")
    env.update({k: str(v) for k, v in more.items()})
    return env


def no_sanitizer(text):
    found = re.search(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:", text)
    assert not found, text[:6000]


def digits(number):
    return re.sub(r"\D", "", number)


def masked(number):
    d = digits(number)
    return f"{d[:7]}-{d[7:9]}.{d[9:13]}.{d[13]}.{d[14:16]}.{d[16:]}"


# ---- the simulated portal ----


def sim_output(*args):
    p = subprocess.run([SIM, *map(str, args)], capture_output=True, text=True, timeout=PATIENCE, env=environment())
    assert p.returncode == 0, p.stderr
    return p.stdout


def make_token(seconds=3600):
    return sim_output("--make-token", seconds).strip()


def jwt(**claims):
    """A token of our own making, in the portal's form."""
    part = lambda o: base64.urlsafe_b64encode(json.dumps(o).encode()).rstrip(b"=").decode()  # noqa: E731
    return ".".join([part({"alg": "RS256", "typ": "JWT"}), part(claims), "c2lnbmF0dXJl"])


def catalogue():
    """Every documented case: (number, name, outcome)."""
    rows = [line.split("\t") for line in sim_output("--list").splitlines()]
    return [(r[0], r[1], r[3]) for r in rows]


def number_of(name, nth=0):
    return [n for n, oddity, _ in catalogue() if oddity == name][nth]


class Sim:
    """One autos-sim on a port of its own; stopped by its own id."""

    def __init__(self, *args, script=None):
        self.files = []
        if script is not None:
            f = tempfile.NamedTemporaryFile("w", suffix=".script", delete=False)
            f.write(script)
            f.close()
            self.files.append(f.name)
            args += ("--script", f.name)
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([SIM, *map(str, args)], stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                        env=environment(), stdin=subprocess.DEVNULL)
        line = self.process.stdout.readline()
        found = re.match(r"listening on (http://[\d.]+:(\d+))$", line)
        assert found, line
        self.url, self.port = found[1], int(found[2])
        self.portal = self.url + API

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.process.stdout.close()
        self.process = None
        self.errors.seek(0)
        text = self.errors.read()
        self.errors.close()
        for name in self.files:
            os.unlink(name)
        no_sanitizer(text)
        assert status == 0, (status, text[-3000:])

    def ask(self, path, body=None):
        req = urllib.request.Request(self.url + path, data=body.encode() if body is not None else None)
        with urllib.request.urlopen(req, timeout=PATIENCE) as r:
            return r.read()

    def stats(self):
        return json.loads(self.ask("/_sim/stats"))

    def calls(self, *routes):
        """How many calls of the portal were made, of all routes or of those named."""
        calls = self.stats()["calls"]
        return sum(n for route, n in calls.items() if route != "_sim" and (not routes or route in routes))

    def cases(self, query=""):
        return json.loads(self.ask("/_sim/cases" + query))["cases"]

    def case(self, number):
        """One case with true sizes and hashes."""
        return self.cases(f"?number={digits(number)}")[0]

    def detail(self, number):
        req = urllib.request.Request(f"{self.portal}/processos/{digits(number)}",
                                     headers={"Authorization": f"Bearer {make_token()}"})
        with urllib.request.urlopen(req, timeout=PATIENCE) as r:
            return json.load(r)

    def document(self, number, ident):
        """The bytes of a document, as they are without any fault."""
        req = urllib.request.Request(f"{self.portal}/processos/{digits(number)}/documentos/{ident}/binario",
                                     headers={"Authorization": f"Bearer {make_token()}"})
        with urllib.request.urlopen(req, timeout=PATIENCE) as r:
            return r.read()

    def script(self, text):
        self.ask("/_sim/script", text)

    def reset(self):
        self.ask("/_sim/reset", "")

    def revoke(self, revoked=True, status=401):
        self.ask("/_sim/token", json.dumps({"revoked": revoked, "status": status}))


# ---- the program ----


class Autos:
    """The program with a data folder, a store, an output folder and a token file of its own."""

    def __init__(self, place, portal="http://127.0.0.1:1/api/v2", token=None, store=None, database=None, **settings):
        self.place = Path(place)
        self.store = store or stores.Folder()
        self.store.autos = self
        self.database = database or databases.Sqlite()
        self.database.autos = self
        self.data_dir = self.place / "data"
        self.out = self.place / "cases"
        self.token_file = self.place / "token"
        self.token = make_token() if token is None else token
        self.write_token(self.token)
        self.portal = portal.portal if isinstance(portal, Sim) else portal
        self.settings = {**FAST, **self.store.settings, **self.database.settings, **settings}
        self.captured = []  # every stderr
        self.processes = []

    def write_token(self, text):
        """Replaces the token file in one step, as a renewer would."""
        part = self.token_file.with_suffix(".part")
        part.write_text(text)
        part.chmod(0o600)
        part.rename(self.token_file)

    def env(self, env=None, **settings):
        all_settings = dict(self.settings, **settings)
        base = {
            "AUTOS_DATA_DIR": self.data_dir,
            "AUTOS_PORTAL_URL": self.portal,
            "AUTOS_PORTAL_TOKEN_FILE": self.token_file,
        }
        base.update({"AUTOS_" + k.upper(): v for k, v in all_settings.items()})
        base.update(env or {})
        return environment(**{k: v for k, v in base.items() if v is not None})

    def popen(self, *args, env=None, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
              prefix=(), **settings):
        """Starts it. An environment value or a setting of None takes the variable away."""
        p = subprocess.Popen([*prefix, AUTOS, *map(str, args)], stdout=stdout, stderr=stderr, stdin=stdin,
                             env=self.env(env, **settings), cwd=self.place)
        self.processes.append(p)
        return p

    def finish(self, p, check=None, timeout=PATIENCE):
        """Waits for what popen started."""
        try:
            out, err = p.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            p.kill()
            out, err = p.communicate()
            raise AssertionError(f"still running after {timeout} s:\n{err.decode(errors='replace')[-4000:]}")
        out, err = (out or b"").decode(errors="replace"), (err or b"").decode(errors="replace")
        self.captured.append(err)
        no_sanitizer(err)
        if check is not None:
            assert p.returncode == check, (p.returncode, out[-2000:], err[-4000:])
        return Result(p.returncode, out, err)

    def run(self, *args, check=None, timeout=PATIENCE, **more):
        """(status, out, err); more: env={}, and settings as portal_pace="1s"."""
        return self.finish(self.popen(*args, **more), check, timeout)

    def get(self, *numbers, **more):
        return self.run("get", "-o", self.out, *numbers, **more)

    def start_get(self, *numbers, **more):
        return self.popen("get", "-o", self.out, *numbers, **more)

    def folder(self, number):
        return self.out / masked(number)

    def manifest(self, number):
        return json.loads((self.folder(number) / "manifest.json").read_text("utf-8"))

    def object(self, document):
        """Its file, in a store that is a folder."""
        return self.store.path(document["object_key"])

    def db(self):
        return self.database.connect()

    def rows(self, sql, *values):
        c = self.db()
        try:
            return c.execute(sql, values).fetchall()
        finally:
            c.close()

    def one(self, sql, *values):
        return self.rows(sql, *values)[0][0]

    def stop(self):
        for p in self.processes:
            if p.poll() is None:
                p.kill()
                p.wait()
            for pipe in (p.stdout, p.stderr):
                if pipe:
                    pipe.close()


# ---- what must always be true ----

CPF = re.compile(r"(?<![\w-])(\d{11}|\d{3}\.\d{3}\.\d{3}-\d{2})(?![\w-])")


def check_private(text, names=(), tokens=()):
    """I7: neither secrets nor personal data."""
    for token in tokens:
        for piece in token.split("."):
            assert len(piece) < 8 or piece not in text, "a token was printed"
    assert "SINTETIC" not in text, text[:4000]
    assert not CPF.search(text), CPF.search(text)
    for name in names:
        assert len(name) < 10 or name not in text, name


def check_objects(autos, documents):
    """I2: each available document is there, whole, and told right."""
    there = autos.store.measure({d["object_key"] for d in documents})
    for d in documents:
        assert there[d["object_key"]] == (d["size"], d["sha256"]), d["doc_id"]


def check_folders(autos, foreign=()):
    """The output folder holds what its manifest names, and nothing else."""
    hashes = {}
    for folder in autos.out.iterdir() if autos.out.is_dir() else ():
        if not (folder / "manifest.json").is_file():
            continue
        m = json.loads((folder / "manifest.json").read_text("utf-8"))
        check_seal(m)
        named = {d["file"]: d for d in m["documents"] if d["file"]}
        assert len(named) == sum(1 for d in m["documents"] if d["file"])
        there = {p.name for p in folder.iterdir()} - set(foreign)
        assert there == set(named) | {"manifest.json"}, there ^ set(named)
        for name, d in named.items():
            st = (folder / name).stat()
            key = (st.st_dev, st.st_ino)
            if key not in hashes:
                hashes[key] = sha256_file(folder / name)
            assert (st.st_size, hashes[key]) == (d["size"], d["sha256"]), name


def check_seal(manifest):
    """The Python recipe of docs/manifest.md."""
    m = dict(manifest)
    said = m.pop("manifest_sha256")
    text = json.dumps(m, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert sha256(text.encode()) == said


def check_jobs(db):
    """I8, I3, and counters that equal the documents."""
    if databases.has_table(db, "delivery"):  # killed while migrating
        untold = db.execute("SELECT w.job_id, w.url FROM job_webhook w JOIN job j ON j.id = w.job_id WHERE j.state IN"
                            " ('completed', 'failed', 'cancelled') AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.job_id = w.job_id"
                            " AND d.url = w.url AND d.user_id = w.user_id AND d.seq = j.last_event)").fetchall()
        assert not untold, [tuple(r) for r in untold]
    for job in db.execute("SELECT * FROM job"):
        seqs = [r[0] for r in db.execute("SELECT seq FROM event WHERE job_id = ? ORDER BY seq", (job["id"],))]
        assert seqs == list(range(1, job["last_event"] + 1)), job["id"]
    for job in db.execute("SELECT * FROM job WHERE id IN (SELECT MAX(id) FROM job GROUP BY process_id)"):
        states = collections.Counter(
            r[0] for r in db.execute("SELECT state FROM document WHERE process_id = ?", (job["process_id"],)))
        if job["total"]:
            assert (job["total"], job["available"], job["failed"]) == (
                sum(states.values()), states["available"], states["failed"]), (dict(job), states)
        if job["state"] == "completed":
            assert set(states) <= {"available"}, states


def check_invariants(autos, sim=None, clean=True, foreign=()):
    """I2, I5, I7, I8 and the counters. clean=False after a kill: leftovers are still allowed."""
    names = set()
    if autos.database.exists():
        db = autos.db()
        try:
            autos.database.check(db)
            check_jobs(db)
            names = {r[0] for r in db.execute("SELECT name FROM document")}
            available = db.execute(
                "SELECT d.doc_id, r.object_key, r.size, r.sha256 FROM document d"
                " JOIN result r ON r.document_id = d.id WHERE d.state = 'available'").fetchall()
            count = db.execute("SELECT COUNT(*) FROM document WHERE state = 'available'").fetchone()[0]
            assert len(available) == count
            check_objects(autos, available)
        finally:
            db.close()
    if clean:
        assert not autos.store.leftovers(), autos.store.leftovers()
        spool = autos.data_dir / "spool"
        assert not spool.is_dir() or not list(spool.iterdir()), list(spool.iterdir())
    check_folders(autos, foreign)
    for text in autos.captured:
        no_sanitizer(text)
        check_private(text, names, [autos.token, *autos.store.secrets])
    if sim is not None:
        stats = sim.stats()
        assert stats["bearer_elsewhere"] == 0
        assert stats["max_parallel"]["total"] <= int(autos.settings.get("portal_parallel_max", 10))


def check_nothing_false(autos):
    """Not one page or error of the portal is stored as a document."""
    for where, data in small_files(autos):
        for mark in FALSE_DOCUMENTS:
            assert mark not in data, where


def small_files(autos, most=16 << 20):
    """(name, bytes) of all documents of its store and its output folder but the largest."""
    for path in autos.out.rglob("*"):
        if path.is_file() and path.name != "manifest.json" and path.stat().st_size <= most:
            yield path, path.read_bytes()
    for key, size in autos.store.sizes().items():
        if size <= most:
            yield key, autos.store.read(key)


def worst(outcomes):
    return max((EXIT[o] for o in outcomes), key=WORSE.index)


def expect_case(autos, sim, number, status=None, case=None):
    """The manifest against what the simulator says a careful client has in the end."""
    case = case or sim.case(number)
    if status is not None:
        assert status == EXIT[case["outcome"]], (status, case["outcome"])
    if not (autos.folder(number) / "manifest.json").exists():
        assert not [p for p in case["papers"] if case["outcome"] in ("complete", "partial")], "no manifest"
        m = json.loads(autos.run("status", number, "--json", check=0).out)
    else:
        m = autos.manifest(number)
    assert m["job"]["outcome"] == case["outcome"], (m["job"], case["outcome"])
    assert m["job"]["status"] == ("completed" if EXIT[case["outcome"]] == 0 else "failed")
    if case["outcome"] in ("complete", "partial", "empty"):
        expect_papers(m, case)
    else:
        assert m["documents"] == []
    return m


def expect_papers(m, case):
    by_id = {i: p for p in case["papers"] for i in p["ids"]}
    seen, mine = set(), collections.defaultdict(list)
    for d in m["documents"]:
        ids = [d["id"], *d["aliases"]]
        if d["id"].startswith("origem-"):  # listed without any link: the portal's id is not to be seen
            same = [p for p in case["papers"] if (p["sequence"], p["date"]) == (d["sequence"], d["filed_at"])]
            assert len(same) == 1 and same[0]["reason"] == "unavailable_upstream"
            ids = same[0]["ids"]
            mine[id(same[0])].append(d)
            seen |= set(ids)
            continue
        assert not seen & set(ids), "an id stands in two documents"
        seen |= set(ids)
        assert len({id(by_id[i]) for i in ids}) == 1, "one document for two papers"
        mine[id(by_id[d["id"]])].append(d)
    assert seen == set(by_id), "ids are lost"
    for p in case["papers"]:
        expect_paper(p, mine[id(p)])
    totals, states = m["totals"], collections.Counter(d["status"] for d in m["documents"])
    assert totals["documents"] == len(m["documents"])
    assert (totals["available"], totals["failed"], totals["pending"]) == (states["available"], states["failed"], 0)


def expect_paper(paper, documents):
    """A paper may stand in the manifest twice; then one entry is the file, others name it."""
    label = (paper["fault"], paper["name"])
    assert any(d["status"] == paper["result"] for d in documents), (label, documents)
    for d in documents:
        if d["status"] == "available":
            assert (d["size"], d["sha256"]) == (paper["size"], paper["sha256"]), (label, d)
            assert d["mime_type"] == paper["mime"], (label, d)
            assert not d["reason"]
        else:
            assert d["reason"] == paper["reason"], (label, d["reason"], d["error_message"])
            assert d["error_message"]
    files = [d for d in documents if d.get("file")]
    if "file" in documents[0]:
        assert len(files) == (paper["result"] == "available"), label
    for d in documents:
        if d["status"] == "available" and files and d is not files[0]:
            assert d["duplicate_of"] == files[0]["id"], label
