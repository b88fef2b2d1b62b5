"""What the tests of crashes and of broken disks share: the shim, what must hold after any end of
the program, and who asked the portal for what."""

import collections
import json
import os
import re
import sqlite3
import subprocess
import tempfile
from pathlib import Path

import lib

SHIM = lib.BUILD / "tests" / "faultfs.so"
CLOCK = lib.BUILD / "tests" / "clockjump.so"
KINDS = ("write", "fsync", "rename", "open", "link", "mkdir")
ABORTED = (*(f".autos-{what}-{i}" for what in ("part", "copy") for i in range(8)), ".manifest-part")  # hidden, and gone after the next run


def sanitizer():
    """The runtime that the program was built with, or None."""
    found = re.search(r"=> (\S*lib[at]san\.so\S*)", subprocess.run(["ldd", lib.AUTOS], capture_output=True,
                                                                   text=True, check=True).stdout)
    return found and found[1]


SANITIZER = sanitizer()


def in_memory(room):
    """The file system in memory, if there is one with so many bytes left."""
    memory = "/dev/shm"
    if not os.access(memory, os.W_OK):
        return None
    st = os.statvfs(memory)
    return memory if st.f_bavail * st.f_frsize >= room else None


def quick_folder():
    """A folder in memory where there is one: these tests sync thousands of times."""
    return tempfile.mkdtemp(prefix="autos-e2e-", dir=in_memory(1 << 30))


def preload(library):
    assert library.exists(), f"{library} is missing: run make tests"
    return {"LD_PRELOAD": f"{SANITIZER}:{library}" if SANITIZER else str(library)}


def shim(call=None, at=0, error="EIO", sticky=False, kill=None, path=None, count_file=None, delay=None):
    """The environment that makes the program's calls fail; the sanitizer's runtime must be first."""
    env = preload(SHIM)
    for key, value in (("CALL", call), ("AT", at), ("ERRNO", error), ("STICKY", "1" if sticky else None),
                       ("KILL", kill), ("PATH", path), ("COUNT_FILE", count_file),
                       ("DELAY", delay)):
        if value:
            env["FAULT_" + key] = str(value)
    return env


def counts(path):
    return {kind: int(n) for kind, n in (line.split() for line in Path(path).read_text().splitlines())}


# ---- what was there, and who was asked ----


class Truth:
    """What the portal has: sizes and hashes by id, for some cases."""

    def __init__(self, sim, numbers):
        self.by_id = {}
        for number in numbers:
            for paper in sim.case(number)["papers"]:
                for i in paper["ids"]:
                    self.by_id[i] = (paper["size"], paper["sha256"])
        self.hashes = {sha for _, sha in self.by_id.values()}

    def of_key(self, key):
        """What the object has to be: its name is the portal's id, on S3 with part of the hash if that was taken."""
        name = Path(key).stem
        return self.by_id.get(name) or self.by_id[re.sub("-[0-9a-f]{8}$", "", name)]


def has_tables(autos):
    """False while the database is still being made: before the first migration is committed."""
    if not autos.database.exists():
        return False
    if autos.database.kind != "sqlite":
        return True
    try:
        return autos.one("SELECT COUNT(*) FROM sqlite_master WHERE name = 'event'") == 1
    except sqlite3.OperationalError as e:
        # Before it is switched to WAL a new file has a rollback journal, which readers leave alone.
        assert "readonly" in str(e) and (autos.data_dir / "autos.db-journal").exists(), e
        return False


def committed(autos):
    """The portal's ids of all documents that the database calls available."""
    if not has_tables(autos):
        return set()
    return {r[0] for r in autos.rows(
        "SELECT f.ref_id FROM document_ref f JOIN document d ON d.id = f.document_id WHERE d.state = 'available'"
        " UNION SELECT doc_id FROM document WHERE state = 'available'")}


def fetches(sim):
    """How often each document was asked for."""
    return collections.Counter(sim.stats()["documents"])


def check_not_asked_again(before, after, ids):
    again = {i: (before[i], after[i]) for i in ids if after[i] != before[i]}
    assert not again, f"stored documents were fetched again: {again}"


# ---- what must hold whenever the program has ended, in whatever way ----


def check_visible(autos, truth, killed):
    """Nothing partial has a name: neither among the objects nor in the folders for people."""
    left = autos.store.leftovers()
    for what in left:
        assert killed and autos.store.killed_leaves(what), what
    for key, found in autos.store.measure(k for k in autos.store.keys() if k not in left).items():
        assert found == truth.of_key(key), (key, found, truth.of_key(key))
    for path in autos.out.rglob("*"):
        if path.is_dir():
            continue
        if path.name == "manifest.json":
            lib.check_seal(json.loads(path.read_text("utf-8")))
        elif path.name in ABORTED:
            assert killed, path
        else:
            assert lib.sha256_file(path) in truth.hashes, path


def check_after(autos, sim, truth, killed=False):
    check_visible(autos, truth, killed)
    if has_tables(autos):
        lib.check_invariants(autos, sim, clean=not killed, foreign=ABORTED if killed else ())


def check_complete(autos, sim, numbers, status=0):
    """The end of every story: all cases are here, right, and nothing else is."""
    for number in numbers:
        lib.expect_case(autos, sim, number, status)
    lib.check_invariants(autos, sim)


def error_lines(err):
    """The program's own lines on stderr: (errors, all others but progress and the note that work is kept)."""
    lines = [line for line in err.splitlines() if line and not re.match(r"\d+/\d+ documents  ", line)]
    errors = [line for line in lines if line.startswith("autos: ")]
    kept = "Everything stored so far is kept; the same command goes on from there."
    return errors, [line for line in lines if line not in errors and line != kept]


def check_error(result, *, status=1, says=None):
    """One clear line."""
    errors, others = error_lines(result.err)
    assert result.status == status, result
    assert len(errors) == 1 and not others, result.err
    assert len(errors[0]) > 20 and (says is None or re.search(says, errors[0])), result.err
