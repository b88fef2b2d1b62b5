"""The output folder: what is written there, under which names, and what in it is left alone."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile

import pytest

import lib
from commands import SMALL, one_line


@pytest.mark.parametrize("kind", ["file", "unwritable", "below a file"])
def test_useless_output_folder(autos, sim, kind):
    out = autos.place / "out"
    if kind == "unwritable":
        out = "/proc/nobody/can/write"
    else:
        out.write_text("a file")
        out = out / "x" if kind == "below a file" else out
    result = autos.run("get", "-o", out, SMALL)
    assert result.status == 1
    assert "output folder" in one_line(result.err)
    assert sim.calls() == 0


def test_default_output_folder_is_here(autos):
    autos.run("get", SMALL, check=0)
    assert (autos.place / SMALL / "manifest.json").is_file()


@pytest.mark.both
def test_names_wild(autos, sim):
    number = lib.number_of("names-wild")
    m = lib.expect_case(autos, sim, number, autos.get(number).status)
    names = [p.name for p in autos.folder(number).iterdir()]
    assert len(names) == len(m["documents"]) + 1
    for name in names:
        assert len(name.encode()) <= 255
        assert name == "manifest.json" or re.fullmatch(r"\d{4}-[^/\\:*?\"<>|\x00-\x1f\x7f]+\.\w+", name), name
        assert not re.search("[\u0080-\u009f\u200b-\u200f\u2028-\u202e\ufeff]", name)
        assert not name.split(".")[0].endswith((" ", "."))
    assert len({n.lower() for n in names}) == len(names)
    assert not list(autos.place.rglob("passwd*")), "nothing leaves the folder"
    # The manifest keeps the names as they came.
    assert {"../../etc/passwd", "a/b\\c.pdf", ".."} <= {d["name"] for d in m["documents"]}
    lib.check_invariants(autos, sim)


def test_foreign_files_are_left_alone(autos, sim):
    autos.get(SMALL, check=0)
    folder = autos.folder(SMALL)
    (folder / "notes.txt").write_text("mine")
    (folder / "0099-mine.pdf").write_text("mine too")
    (folder / "sub").mkdir()
    autos.get(SMALL, check=0)
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "0099-mine.pdf").read_text() == "mine too"
    lib.check_invariants(autos, sim, foreign=["notes.txt", "0099-mine.pdf", "sub"])


@pytest.mark.both
def test_deleted_files_come_back(autos, sim):
    autos.get(SMALL, check=0)
    d = autos.manifest(SMALL)["documents"][1]
    (autos.folder(SMALL) / d["file"]).unlink()
    before = sim.calls()
    autos.get(SMALL, "--max-age", "1h", check=0)
    assert sim.calls() == before
    lib.check_invariants(autos, sim)


def test_manifest_of_a_stranger(autos, sim):
    """A manifest that names files elsewhere makes nothing be removed there."""
    autos.get(SMALL, check=0)
    folder = autos.folder(SMALL)
    victim = autos.out / "victim.txt"
    victim.write_text("mine")
    m = autos.manifest(SMALL)
    m["documents"][0]["file"] = "../victim.txt"
    (folder / "manifest.json").write_text(json.dumps(m))
    autos.get(SMALL, "--max-age", "1h", check=0)
    assert victim.read_text() == "mine"
    (folder / "manifest.json").write_text("{ not json")
    autos.get(SMALL, "--max-age", "1h", check=0)
    lib.check_invariants(autos, sim)


@pytest.mark.folder
def test_output_on_another_file_system(autos, sim):
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="autos-e2e-") as out:
        assert os.stat(out).st_dev != os.stat(autos.place).st_dev
        autos.out = lib.Path(out)
        autos.get(SMALL, check=0)
        lib.expect_case(autos, sim, SMALL)
        lib.check_invariants(autos, sim)
        for d in autos.manifest(SMALL)["documents"]:
            assert not (autos.folder(SMALL) / d["file"]).samefile(autos.object(d))


@pytest.mark.both
def test_recipes_of_the_manifest(autos):
    """The Python of docs/manifest.md as it stands there, and what its shell line does."""
    autos.get(SMALL, check=0)
    folder = autos.folder(SMALL)
    page = (lib.ROOT / "docs" / "manifest.md").read_text()
    recipe = re.search(r"```python\n(.*?)```", page, re.S)[1]
    check = lambda: subprocess.run([sys.executable, "-c", recipe, folder / "manifest.json"],  # noqa: E731
                                   capture_output=True, text=True, timeout=lib.PATIENCE).stdout
    assert check() == "ok\n"
    documents = autos.manifest(SMALL)["documents"]
    lines = "".join(f"{d['sha256']}  {d['file']}\n" for d in documents if d["file"])
    p = subprocess.run(["sha256sum", "-c", "--strict"], cwd=folder, input=lines, capture_output=True, text=True,
                       timeout=lib.PATIENCE)
    assert p.returncode == 0 and p.stdout.count(": OK\n") == 6
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace(documents[0]["sha256"], hashlib.sha256(b"").hexdigest()))
    assert check() == "CHANGED\n"
