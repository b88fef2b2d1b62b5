"""Copies of a running service as docs/operations.md makes them: database first, then documents."""

import contextlib
import shutil
import sqlite3
import subprocess

import lib
import pytest

pytestmark = [pytest.mark.folder, pytest.mark.sqlite]

CASES = 3


def finish(service):
    """Until every job is over, all of them complete."""
    lib.until(lambda: not service.one("SELECT COUNT(*) FROM job WHERE outcome = ''"), "the last job")
    assert {r[0] for r in service.rows("SELECT outcome FROM job")} == {"complete"}


def by_vacuum(source, to):
    with contextlib.closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=lib.PATIENCE)) as c:
        c.execute("VACUUM INTO ?", (str(to),))


def by_backup(source, to):
    with contextlib.closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=lib.PATIENCE)) as c:
        with contextlib.closing(sqlite3.connect(to)) as d:
            c.backup(d)


def by_shell(source, to):
    """The very line of docs/operations.md."""
    page = (lib.ROOT / "docs" / "operations.md").read_text("utf-8")
    line = next(x for x in page.splitlines() if "VACUUM INTO" in x and "sqlite3" in x)
    line = line.strip().replace("sudo -u autos ", "").replace("/var/lib/autos", str(source.parent))
    line = line.replace("/var/backups/autos/autos.db", str(to))
    assert str(source) in line and str(to) in line, line
    subprocess.run(["sh", "-ec", line], check=True, timeout=lib.PATIENCE)


@pytest.mark.parametrize("copy", [by_vacuum, by_backup, by_shell])
def test_a_backup_under_load_is_whole(make_service, make_sim, place, copy):
    assert copy is not by_shell or shutil.which("sqlite3"), "sqlite3 is missing: packaging/deps.sh test"
    sim = make_sim("--cases", CASES, "--latency", 50)
    service = make_service(sim, portal_parallel_max=3)
    numbers = [n for n, name, _ in lib.catalogue() if name == "plain"][:CASES]
    for n in numbers:
        assert service.post(service.path(n, "jobs"), {}).status == 202
    stored = "SELECT COUNT(*) FROM document WHERE state = 'available'"
    lib.until(lambda: service.one(stored) >= 5, "the first documents")

    where = place / "restored"
    (where / "data").mkdir(parents=True)
    copy(service.data_dir / "autos.db", where / "data" / "autos.db")
    shutil.copytree(service.data_dir / "objects", where / "data" / "objects",
                    ignore=lambda _, names: [n for n in names if n == "tmp"])
    finish(service)  # the copy hurt nobody

    restored = lib.Autos(where, sim)
    got = restored.one(stored)
    assert 5 <= got <= service.one(stored)
    text = restored.run("verify", "--all", check=0).out
    assert sum(int(line.split("  ")[2].split()[0]) for line in text.splitlines()) == got, text
    lib.check_invariants(restored, clean=False)

    # What was not there at that moment is fetched by a service on the copy.
    second = make_service(sim, name="second", start=False)
    shutil.rmtree(second.data_dir, ignore_errors=True)
    shutil.copytree(where / "data", second.data_dir)
    second.keys = service.keys
    second.start()
    finish(second)
    restored.stop()
