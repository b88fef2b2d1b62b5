"""Every step on the way to the disk fails once, fails from there on, or is the program's last.

A small case is fetched under the shim of tests/shim/faultfs.c, once for each call of each kind,
into nothing ("fresh") or on top of an earlier run that did not get everything ("partial"). Then
the same command is given without the shim. TORTURE=full takes every call; otherwise a kind with
many calls is sampled evenly, first and last included.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import crash
import lib

pytestmark = pytest.mark.folder

# Points of one kind and mode, unless TORTURE=full.
MOST = {"fresh": 14, "partial": 6} if crash.SANITIZER else {"fresh": 60, "partial": 16}
ERRORS = ("EIO", "ENOSPC")


def points(n, most):
    most = n if os.environ.get("TORTURE") == "full" else min(n, most)
    if most < 2:
        return list(range(1, n + 1))
    return sorted({1 + i * (n - 1) // (most - 1) for i in range(most)})


class Ground:
    """One portal and its one small case; half of its documents spill from memory into a file."""

    def __init__(self, place):
        self.place = place
        self.sim = lib.Sim("--cases", 1, "--documents", 8, "--size", 4000)
        self.number = lib.number_of("plain")
        self.truth = crash.Truth(self.sim, [self.number])
        sizes = [size for size, _ in self.truth.by_id.values()]
        assert min(sizes) < 4096 < max(sizes)
        self.earlier = None

    def autos(self, name):
        place = self.place / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        return lib.Autos(place, self.sim, spool_memory="4096")

    def partial(self):
        """An earlier run: three documents were not to be had, one exported file was replaced."""
        autos = self.autos("earlier")
        self.sim.script('binario calls=2-4 status=404 body=""')
        autos.get(self.number, check=3)
        self.sim.script("")
        folder = autos.folder(self.number)
        files = sorted(p for p in folder.iterdir() if p.name != "manifest.json")
        assert len(files) == 5
        files[0].unlink()
        shutil.copy(files[1], files[0])
        (folder / "manifest.json").unlink()
        return autos.place

    def begin(self, start):
        """A program before the run in question."""
        if start == "partial" and not self.earlier:
            self.earlier = self.partial()
        autos = self.autos("run")
        if start == "partial":
            subprocess.run(["cp", "-a", self.earlier / "data", self.earlier / "cases", autos.place], check=True)
        return autos

    def count(self, start):
        """How many calls of each kind a run makes that nobody disturbs."""
        autos, report = self.begin(start), self.place / "counts"
        autos.get(self.number, check=0, env=crash.shim(count_file=report))
        crash.check_complete(autos, self.sim, [self.number])
        return crash.counts(report)

    def disturbed(self, autos, **fault):
        stored, before = crash.committed(autos), crash.fetches(self.sim)
        result = autos.get(self.number, env=crash.shim(**fault))
        crash.check_not_asked_again(before, crash.fetches(self.sim), stored)
        assert stored <= crash.committed(autos)
        return result

    def go_on(self, autos):
        """The same command again ends well, and asks for nothing that was stored."""
        stored, before = crash.committed(autos), crash.fetches(self.sim)
        result = autos.get(self.number)
        assert (result.status, result.err) == (0, ""), result
        crash.check_not_asked_again(before, crash.fetches(self.sim), stored)
        crash.check_complete(autos, self.sim, [self.number])


@pytest.fixture
def ground():
    place = Path(crash.quick_folder())
    ground = None
    try:
        ground = Ground(place)
        yield ground
    finally:
        if ground:
            ground.sim.stop()
        shutil.rmtree(place, ignore_errors=True)


def each(ground, start, kind, act):
    n = ground.count(start)[kind]
    assert n > 0
    chosen = points(n, MOST[start])
    print(f"{len(chosen)} of {n} points")
    for at in chosen:
        autos = ground.begin(start)
        try:
            act(autos, at)
            ground.go_on(autos)
        except AssertionError as e:
            raise AssertionError(f"{kind} {at} of {n}: {e}") from e
        finally:
            autos.stop()


@pytest.mark.parametrize("how", ["once", "sticky"])
@pytest.mark.parametrize("kind", crash.KINDS)
@pytest.mark.parametrize("start", ["fresh", "partial"])
def test_fails(ground, start, kind, how):
    """A failing disk ends the run with one line, or is no matter; what is there is whole."""
    ends = {0: 0, 1: 0}

    def act(autos, at):
        result = ground.disturbed(autos, call=kind, at=at, error=ERRORS[at % 2], sticky=how == "sticky")
        assert result.status in ends, result
        ends[result.status] += 1
        crash.check_after(autos, ground.sim, ground.truth)
        if result.status == 0:
            assert result.err == ""
            crash.check_complete(autos, ground.sim, [ground.number])
        else:
            crash.check_error(result)

    each(ground, start, kind, act)
    # Links are a short cut beside copying; without any other call there is no good run.
    assert ends[0 if kind == "link" else 1] > 0, ends


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", crash.KINDS)
@pytest.mark.parametrize("start", ["fresh", "partial"])
def test_dies(ground, start, kind, when):
    """SIGKILL just before or after a step: the same command goes on from there."""
    died = 0

    def act(autos, at):
        nonlocal died
        result = ground.disturbed(autos, call=kind, at=at, kill=when)
        assert result.status in (-9, 0), result  # 0: this run made fewer calls
        died += result.status == -9
        crash.check_after(autos, ground.sim, ground.truth, killed=result.status != 0)

    each(ground, start, kind, act)
    assert died > 0
