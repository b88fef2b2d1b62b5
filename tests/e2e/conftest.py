"""Fixtures of the whole-program tests; see lib.py."""

import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import lib  # noqa: E402


@pytest.fixture
def place():
    """A private folder that is gone after the test."""
    path = Path(tempfile.mkdtemp(prefix="autos-e2e-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_sim():
    """Starts simulated portals with arguments of the test's own."""
    started = []

    def make(*args, script=None):
        started.append(lib.Sim(*args, script=script))
        return started[-1]

    yield make
    for sim in started:
        sim.stop()


@pytest.fixture
def sim(make_sim):
    """A simulated portal that nobody else has asked anything."""
    return make_sim()


@pytest.fixture
def make_autos(place):
    """Programs with data of their own; what they started is ended by its id."""
    made = []

    def make(portal, name=None, **settings):
        where = place / (name or f"autos{len(made) + 1}")
        where.mkdir()
        made.append(lib.Autos(where, portal, **settings))
        return made[-1]

    yield make
    for autos in made:
        autos.stop()


@pytest.fixture
def autos(make_autos, sim):
    """The program, pointed at `sim`."""
    return make_autos(sim)
