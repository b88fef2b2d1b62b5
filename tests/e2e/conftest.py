"""Fixtures of the whole-program tests; see lib.py."""

import contextlib
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import api  # noqa: E402
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


@pytest.fixture
def make_service(place):
    """Services with data of their own, started unless start=False; stopped in order at the end."""
    made = []
    with contextlib.ExitStack() as stack:

        def make(portal, name=None, start=True, **settings):
            where = place / (name or f"service{len(made) + 1}")
            where.mkdir()
            service = api.Service(where, portal, **settings)
            made.append(service)
            stack.callback(service.stop)
            return service.start() if start else service

        yield make


@pytest.fixture
def service(make_service, sim):
    """A service, pointed at `sim`."""
    return make_service(sim)


@pytest.fixture(scope="module")
def shared(request):
    """(service, sim) for all tests of a file that change nothing which others look at. SETTINGS of the file are its own."""
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="autos-e2e-")))
        sim = stack.enter_context(lib.Sim())
        more = getattr(request.module, "SETTINGS", {})
        service = api.Service(place, sim, rate_limit="100000", rate_limit_anonymous="100000", **more)
        stack.callback(service.stop)
        yield service.start(), sim
