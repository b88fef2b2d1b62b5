"""The machine itself is the trouble: disks that are full or read-only, limits, damaged files.

Full disks are real ones: small file systems in memory, mounted where only the test's own thread and
what it starts can see them. Where mounting is not allowed the shim takes their place, with a
warning.
"""

import contextlib
import ctypes
import errno
import os
import random
import re
import resource
import shutil
import signal
import tempfile
import time
import warnings
from pathlib import Path

import pytest

import crash
import lib

pytestmark = pytest.mark.folder

NO_SPACE = r"No space left on device|disk is full"


# ---- file systems of our own ----

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS = 0x20000
MS_RDONLY, MS_REMOUNT, MS_REC, MS_PRIVATE, MNT_DETACH = 1, 32, 0x4000, 1 << 18, 2


def system(call, *args):
    args = [a.encode() if isinstance(a, str) else os.fsencode(a) if isinstance(a, Path) else a for a in args]
    if getattr(libc, call)(*args) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}")


class Disk:
    """A file system of its own at `path`; without the right to mount, a folder and the shim."""

    def __init__(self, path, size):
        path.mkdir()
        self.path, self.mounted, self.trouble = path, False, "ENOSPC"
        self.home = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY)
        try:
            system("unshare", CLONE_NEWNS)
            system("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
            system("mount", b"tmpfs", path, b"tmpfs", 0, f"size={size}")
            self.mounted = True
        except OSError as e:
            if e.errno not in (errno.EPERM, errno.EACCES, errno.EINVAL):  # EINVAL: "/" of a chroot is no mount
                raise
            warnings.warn(f"no file system of our own ({e}): the shim must do")

    def resize(self, size):
        self.trouble = None
        if self.mounted:
            system("mount", b"tmpfs", self.path, b"tmpfs", MS_REMOUNT, f"size={size}")

    def read_only(self):
        self.trouble = "EROFS"
        if self.mounted:
            system("mount", b"tmpfs", self.path, b"tmpfs", MS_REMOUNT | MS_RDONLY, None)

    def env(self, at=1):
        """For programs that use the disk: nothing, or the shim from the at-th call on."""
        if self.mounted or not self.trouble:
            return {}
        return crash.shim("write,open,mkdir,link", at, self.trouble, sticky=True, path=str(self.path))

    def close(self):
        if self.mounted:
            system("umount2", self.path, MNT_DETACH)
            here = os.getcwd()
            system("setns", self.home, CLONE_NEWNS)
            os.chdir(here)
        os.close(self.home)


@pytest.fixture
def elsewhere(place):
    """A folder on another file system than the data."""
    path = Path(tempfile.mkdtemp(prefix="autos-e2e-", dir=crash.in_memory(64 << 20)))
    assert path.stat().st_dev != place.stat().st_dev, "the test needs a second file system: /dev/shm beside /tmp"
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_disk(place):
    disks = []

    def make(size):
        disks.append(Disk(place / f"disk{len(disks)}", size))
        return disks[-1]

    yield make
    for disk in reversed(disks):
        disk.close()


# ---- the stage ----


@pytest.fixture
def portal(make_sim):
    """A portal with one plain case of 40 documents, 4 MB."""
    return make_sim("--cases", 1, "--documents", 40, "--size", 100000)


@pytest.fixture
def number():
    return lib.number_of("plain")


def finish(autos, sim, number, truth, **more):
    """The same command, with the trouble gone: complete, and nothing stored is asked for again."""
    stored, before = crash.committed(autos), crash.fetches(sim)
    result = autos.get(number, **more)
    assert (result.status, result.err) == (0, ""), result
    crash.check_not_asked_again(before, crash.fetches(sim), stored)
    crash.check_complete(autos, sim, [number])
    crash.check_visible(autos, truth, killed=False)


def stored_documents(autos):
    return autos.one("SELECT COUNT(*) FROM document WHERE state = 'available'") if crash.has_tables(autos) else 0


# ---- full disks ----


@pytest.mark.sqlite
@pytest.mark.parametrize("size", ["16K", "64K", "200K", "300K", "500K", "1M", "2M", "4M"])
def test_data_disk_full(make_autos, make_disk, portal, number, size):
    autos, disk, truth = make_autos(portal), make_disk(size), crash.Truth(portal, [number])
    autos.data_dir = disk.path / "data"
    step = {"16K": 1, "64K": 3, "200K": 30, "300K": 60, "500K": 80, "1M": 100, "2M": 120, "4M": 150}[size]
    for _ in range(2):  # full it stays, and nothing gets worse
        result = autos.get(number, env=disk.env(step))
        crash.check_error(result, says=NO_SPACE)
        crash.check_visible(autos, truth, killed=False)
    disk.resize("64M")  # readers of the database need some room too
    crash.check_after(autos, portal, truth)
    assert stored_documents(autos) < 40
    finish(autos, portal, number, truth)


@pytest.mark.parametrize("size", ["0", "50K", "1M", "3900K"])
def test_output_disk_full(make_autos, make_disk, portal, number, size):
    """Only the folder for people is full: all is fetched and stored, and copied out later."""
    autos, disk, truth = make_autos(portal), make_disk("4K" if size == "0" else size), crash.Truth(portal, [number])
    autos.out = disk.path / "cases"
    for _ in range(2):
        result = autos.get(number, env=disk.env({"0": 1, "50K": 6, "1M": 12, "3900K": 40}[size]))
        crash.check_error(result, says=NO_SPACE)
        crash.check_after(autos, portal, truth)
    if size != "0":
        assert stored_documents(autos) == 40
    before = crash.fetches(portal)
    disk.resize("64M")
    finish(autos, portal, number, truth)
    assert size == "0" or crash.fetches(portal) == before


@pytest.mark.parametrize("flags", [True, False])
def test_output_elsewhere(make_autos, elsewhere, portal, number, flags):
    """Across file systems documents are copied, also where renaming knows no flags (NFS)."""
    autos, truth = make_autos(portal), crash.Truth(portal, [number])
    autos.out = elsewhere / "cases"
    env = {} if flags else crash.shim("renameat2", 1, "EINVAL", sticky=True)
    finish(autos, portal, number, truth, env=env)
    finish(autos, portal, number, truth, env=env)


def test_copy_cut_off(make_autos, elsewhere, portal, number):
    """Killed while it copies a document out: no part of one has a name that people see."""
    autos, truth = make_autos(portal), crash.Truth(portal, [number])
    autos.out = elsewhere / "cases"
    for at, when in ((1, "before"), (1, "after"), (7, "before"), (20, "after"), (40, "before"), (41, "after")):
        result = autos.get(number, env=crash.shim("write", at, kill=when, path=str(autos.out)))
        assert result.status == -signal.SIGKILL, result
        crash.check_after(autos, portal, truth, killed=True)
    before = crash.fetches(portal)
    finish(autos, portal, number, truth)
    assert crash.fetches(portal) == before


# ---- read-only disks ----


def test_read_only(make_autos, make_disk, portal, number):
    disk, truth = make_disk("64M"), crash.Truth(portal, [number])
    autos = make_autos(portal)
    autos.data_dir = disk.path / "data"
    disk.read_only()
    crash.check_error(autos.get(number, env=disk.env()), says="Read-only file system")
    disk.resize("64M")
    finish(autos, portal, number, truth)
    disk.read_only()
    crash.check_error(autos.get(number, env=disk.env()), says="Read-only file system")
    disk.resize("64M")
    finish(autos, portal, number, truth)


def test_read_only_output(make_autos, make_disk, portal, number):
    disk, truth = make_disk("64M"), crash.Truth(portal, [number])
    autos = make_autos(portal)
    autos.out = disk.path / "cases"
    disk.read_only()
    crash.check_error(autos.get(number, env=disk.env()), says="output folder.*Read-only file system")
    assert portal.calls() == 0
    disk.resize("64M")
    finish(autos, portal, number, truth)


# ---- limits ----


@pytest.mark.parametrize("limit", [4096, 40000, 70000, 150000, 300000])
def test_file_size_limit(make_autos, make_sim, number, limit):
    """No file may be larger: neither the database nor a document."""
    sim = make_sim("--cases", 1, "--documents", 8, "--size", 400000)
    autos, truth = make_autos(sim), crash.Truth(sim, [number])
    result = autos.get(number, prefix=["prlimit", f"--fsize={limit}"])
    crash.check_error(result, says="File too large|disk I/O error")
    crash.check_after(autos, sim, truth)
    finish(autos, sim, number, truth)


@pytest.mark.parametrize("limit", [8, 12, 16, 20, 24, 28, 32, 40])
def test_few_descriptors(make_autos, portal, number, limit):
    """It ends well or says what it lacks; never is it the portal's or a document's fault."""
    autos, truth = make_autos(portal, spool_memory="4096"), crash.Truth(portal, [number])
    result = autos.get(number, prefix=["prlimit", f"--nofile={limit}"])
    if result.status != 0:
        crash.check_error(result, says="Too many open files|unable to open|network transfers")
    crash.check_after(autos, portal, truth)
    finish(autos, portal, number, truth)


@pytest.mark.sqlite
def test_descriptors_and_threads(make_autos, make_sim):
    """As many at the end of a long run as at its start."""
    sim = make_sim()
    autos, number = make_autos(sim, spool_memory="4096"), lib.number_of("big-case")
    process = autos.start_get(number)
    seen = []  # (documents over, descriptors, threads)

    def look():
        try:
            fds = len(os.listdir(f"/proc/{process.pid}/fd"))
            threads = len(os.listdir(f"/proc/{process.pid}/task"))
        except FileNotFoundError:
            return True
        if fds:
            seen.append((sum(crash.fetches(sim).values()), fds, threads))
        return process.poll() is not None

    lib.until(look, "the end", every=0.005)
    assert autos.finish(process).status == 0
    assert len(seen) > 10, seen
    assert max(fds for _, fds, _ in seen) <= 200, max(seen, key=lambda s: s[1])
    assert max(threads for _, _, threads in seen) <= (8 if crash.SANITIZER else 6)
    early = [fds for over, fds, _ in seen if 100 <= over < 500]
    late = [fds for over, fds, _ in seen if over >= 600]
    if early and late:
        assert min(late) <= max(early), (early, late)
    lib.check_invariants(autos, sim)


def test_memory(make_autos, make_sim, number):
    """16 documents of 24 MB at once: memory follows the settings, not the documents."""
    sim = make_sim("--cases", 1, "--documents", 16, "--size", 24000000)
    autos = make_autos(sim, portal_parallel="16", portal_parallel_max="16")
    process = autos.start_get(number)
    peaks = [0]
    while process.poll() is None:  # of the program alone: what wait4 tells counts this process too
        with contextlib.suppress(OSError, TypeError):
            peaks.append(int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1]))
        time.sleep(0.01)
    result = autos.finish(process)
    assert result.status == 0, result
    assert sim.stats()["max_parallel"]["total"] >= 12, "they were not fetched at once"
    if not crash.SANITIZER:
        assert 0 < max(peaks) < 64 * 1024, f"{max(peaks)} KiB"
    crash.check_complete(autos, sim, [number])


# ---- clocks ----


def test_clock_jumps(make_autos, make_sim, place, number):
    """The wall clock goes a day ahead, two back, and to 1970: leases and pauses are none of its."""
    sim = make_sim("--cases", 1, "--documents", 40, "--latency", 20)
    autos, truth = make_autos(sim, token=lib.make_token(30 * 86400)), crash.Truth(sim, [number])
    moved = place / "moved"

    def move(hours):
        with open(moved, "r+b" if moved.exists() else "wb") as f:  # the same file: it is mapped
            f.write((hours * 3600 * 1000).to_bytes(8, "little", signed=True))

    move(0)
    process = autos.start_get(number, env=dict(crash.preload(crash.CLOCK), CLOCK_FILE=str(moved)))
    for documents, hours in ((5, 24), (12, -24), (20, -24 * 365 * 60), (30, 0)):
        lib.until(lambda: len(crash.committed(autos)) >= documents, "documents")
        move(hours)
    result = autos.finish(process)
    assert (result.status, result.err) == (0, ""), result
    assert max(crash.fetches(sim).values()) == 1
    finish(autos, sim, number, truth)


# ---- files that somebody lost or broke ----


def test_objects_deleted(make_autos, portal, number):
    autos = make_autos(portal)
    autos.get(number, check=0)
    autos.run("verify", number, check=0)
    shutil.rmtree(autos.data_dir / "objects")
    result = autos.run("verify", number)
    assert result.status == 3, result
    assert len(re.findall(r"^autos: .*: document \S+: object \S+ is missing$", result.err, re.M)) == 40, result.err
    assert "DAMAGED  0 good, 40 bad, 0 not stored" in result.out
    shutil.rmtree(autos.out)
    crash.check_error(autos.get(number), says="object .* is missing")


def test_object_damaged(make_autos, portal, number):
    """One bit, and one byte less: verify finds both."""
    autos = make_autos(portal)
    autos.get(number, check=0)
    first, second = autos.manifest(number)["documents"][:2]
    data = bytearray(autos.object(first).read_bytes())
    data[len(data) // 2] ^= 1
    autos.object(first).chmod(0o600)
    autos.object(first).write_bytes(data)
    os.truncate(autos.object(second), second["size"] - 1)
    result = autos.run("verify", number)
    assert result.status == 3 and "38 good, 2 bad" in result.out, result
    assert f"{first['id']}: SHA-256 is" in result.err and f"{second['id']}: size is" in result.err


def damage_header(data, rng):
    data[:100] = rng.randbytes(100)


def damage_page(data, rng):
    """The table of tables, which everything needs."""
    data[100:4096] = rng.randbytes(3996)


def damage_all(data, rng):
    data[:] = rng.randbytes(len(data))


def damage_most(data, rng):
    data[4096:] = rng.randbytes(len(data) - 4096)


def damage_length(data, rng):
    del data[len(data) // 3:]


@pytest.mark.sqlite
@pytest.mark.parametrize("damage", [damage_header, damage_page, damage_all, damage_most, damage_length])
def test_database_damaged(make_autos, portal, number, damage):
    autos = make_autos(portal)
    autos.get(number, check=0)
    path = autos.data_dir / "autos.db"
    whole = path.read_bytes()
    assert not Path(f"{path}-wal").exists()
    data = bytearray(whole)
    damage(data, random.Random(7))
    path.write_bytes(data)
    for command in (["get", "-o", autos.out, number], ["retry", "-o", autos.out, number], ["status", number],
                    ["verify", number], ["verify", "--all"], ["migrate"]):
        result = autos.run(*command)
        if command[0] == "migrate" and result.status == 0:
            continue  # it looks at the version only, which may have survived
        crash.check_error(result, says="damaged")
    path.write_bytes(whole)
    assert autos.get(number).status == 0
    lib.check_invariants(autos, portal)


@pytest.mark.sqlite
def test_database_pages_damaged(make_autos, portal, number):
    """Any page full of noise: a line or a good end, never a crash."""
    autos = make_autos(portal)
    autos.get(number, check=0)
    path = autos.data_dir / "autos.db"
    whole, rng = path.read_bytes(), random.Random(11)
    for page in range(len(whole) // 4096):
        data = bytearray(whole)
        data[page * 4096 + (100 if page == 0 else 0):(page + 1) * 4096] = rng.randbytes(3996 if page == 0 else 4096)
        path.write_bytes(data)
        for command in (["status", number], ["get", "-o", autos.out, number]):
            result = autos.run(*command)
            assert result.status in (0, 1), (page, result)
            if result.status:
                crash.check_error(result)


@pytest.mark.sqlite
def test_settings_are_folders(make_autos, portal, number):
    """A file where a folder is needed, a folder where a file is needed."""
    autos = make_autos(portal)
    autos.data_dir.write_text("not a folder")
    crash.check_error(autos.get(number), says="data_dir|autos.db|Not a directory")
    autos.data_dir.unlink()
    (autos.data_dir / "autos.db").mkdir(parents=True)
    crash.check_error(autos.get(number), says="autos.db")
    (autos.data_dir / "autos.db").rmdir()
    shutil.rmtree(autos.out)
    autos.out.write_text("not a folder")
    crash.check_error(autos.get(number), says="output folder")
    assert portal.calls() == 0


# ---- what a killed run leaves ----


@pytest.mark.sqlite
def test_wal_is_recovered(make_autos, portal, number):
    """What was committed lives in the WAL of a killed run, and the next run has it."""
    autos, truth = make_autos(portal), crash.Truth(portal, [number])
    portal.script("binario calls=20- delay=60000")
    process = autos.start_get(number)
    lib.until(lambda: stored_documents(autos) >= 10, "documents")
    process.kill()
    autos.finish(process)
    wal = autos.data_dir / "autos.db-wal"
    assert wal.stat().st_size > 0
    assert len(crash.committed(autos)) >= 10
    portal.script("")
    crash.check_after(autos, portal, truth, killed=True)
    finish(autos, portal, number, truth)
    assert not wal.exists() or wal.stat().st_size == 0


@pytest.mark.sqlite
@pytest.mark.parametrize("wal", ["missing", "empty", "noise", "half"])
def test_wal_is_lost(make_autos, portal, number, wal):
    """Without its WAL the database is older, but whole; what it lost is fetched again."""
    autos, truth = make_autos(portal), crash.Truth(portal, [number])
    portal.script("binario calls=20- delay=60000")
    process = autos.start_get(number)
    lib.until(lambda: stored_documents(autos) >= 10, "documents")
    process.kill()
    autos.finish(process)
    portal.script("")
    path = autos.data_dir / "autos.db-wal"
    data = path.read_bytes()
    (autos.data_dir / "autos.db-shm").unlink(missing_ok=True)
    if wal == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "noise": random.Random(3).randbytes(len(data)),
                          "half": data[:len(data) // 2]}[wal])
    finish(autos, portal, number, truth)


def test_leftovers_are_swept(make_autos, portal, number):
    autos, truth = make_autos(portal, spool_memory=4096), crash.Truth(portal, [number])
    result = autos.get(number, env=crash.shim("rename", 3, kill="before"))
    assert result.status == -signal.SIGKILL
    tmp = autos.data_dir / "objects" / "tmp"
    assert list(tmp.iterdir()), "the test needs a leftover"
    (tmp / "put-0123456789abcdef").write_bytes(b"x")
    crash.check_visible(autos, truth, killed=True)
    finish(autos, portal, number, truth)
    assert not list(tmp.iterdir())
    assert not list((autos.data_dir / "spool").iterdir())


def test_core_limits_are_ours():
    """These tests must not have lowered the limits of whoever runs them."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
