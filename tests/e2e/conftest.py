"""Fixtures of the whole-program tests; see lib.py.

A test that uses `make_autos`, `make_service` or `shared` has a store behind it: a folder, and where it is marked `both` a
bucket of a real S3 server as well (then it is called `name[s3]`, `name[s3-…]`). --store chooses for all tests
but those marked `folder`, which are about the folder itself.
"""

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import api  # noqa: E402
import databases  # noqa: E402
import fleet  # noqa: E402
import lib  # noqa: E402
import postgres  # noqa: E402
import rados  # noqa: E402
import s3proxy  # noqa: E402
import stores  # noqa: E402

NO_SERVER = "no S3 server: "


def pytest_addoption(parser):
    parser.addoption("--database", choices=["sqlite", "postgres", "both"], help="what stands behind every test")
    parser.addoption("--store", choices=["dir", "s3", "both"], help="what stands behind every test that has a store")


def pytest_configure(config):
    config.addinivalue_line("markers", "both(PARAMETER={values}): runs on the folder and on S3, there only with these values")
    config.addinivalue_line("markers", "folder: is about the store that is a folder")
    config.addinivalue_line("markers", "databases: runs on SQLite and on PostgreSQL")
    config.addinivalue_line("markers", "sqlite: is about the file of SQLite's")
    config.s3_run = rados.begin()


def pytest_unconfigure(config):
    databases.Server.end()
    if config.s3_run:
        config.s3_run.end()


# ---- which store ----


def kinds(definition, chosen):
    if definition.get_closest_marker("folder"):
        return ["dir"]
    if chosen:
        return ["dir", "s3"] if chosen == "both" else [chosen]
    return ["dir", "s3"] if definition.get_closest_marker("both") else ["dir"]


def database_kinds(definition, chosen):
    if definition.get_closest_marker("sqlite"):
        return ["sqlite"]
    if chosen:
        return ["sqlite", "postgres"] if chosen == "both" else [chosen]
    return ["sqlite", "postgres"] if definition.get_closest_marker("databases") else ["sqlite"]


def pytest_generate_tests(metafunc):
    if "store_kind" in metafunc.fixturenames:
        metafunc.parametrize("store_kind", kinds(metafunc.definition, metafunc.config.getoption("store")), indirect=True)
    if "database_kind" in metafunc.fixturenames:
        found = database_kinds(metafunc.definition, metafunc.config.getoption("database"))
        if found != ["sqlite"]:
            metafunc.parametrize("database_kind", found, indirect=True)


def pytest_itemcollected(item):
    """On the folder a test has its plain name."""
    kind = getattr(item, "callspec", None) and item.callspec.params.get("store_kind")
    if kind == "dir":
        rest = item.callspec.id.split("-", 1)[1:]
        item.name = item.originalname + "".join(f"[{r}]" for r in rest)
        item._nodeid = item.parent.nodeid + "::" + item.name


def pytest_collection_modifyitems(config, items):
    """--store=s3 leaves out what is about the folder, --store=dir what needs the server."""
    chosen = config.getoption("store")
    left_out = {i for i in items if chosen == "s3" and i.get_closest_marker("folder")
                or chosen == "dir" and "s3" in i.fixturenames
                or not chosen and (only_on_folder(i) or is_doubled(i))}
    items[:] = [i for i in items if i not in left_out]


def only_on_folder(item):
    """Whether it is an S3 variant that the mark `both` leaves out."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    mark = item.get_closest_marker("both")
    return params.get("store_kind") == "s3" and any(params[name] not in values for name, values in mark.kwargs.items())


def is_doubled(item):
    """S3 and PostgreSQL together: one file of tests shows that they do not mind each other."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    together = params.get("store_kind") == "s3" and params.get("database_kind") == "postgres"
    return together and item.path.name != "test_everything.py"


@pytest.fixture(scope="module")
def store_kind(request):
    return request.param


@pytest.fixture(scope="module")
def database_kind(request):
    return getattr(request, "param", "sqlite")


def new_database(kind):
    """A database for one program; whoever makes it closes it."""
    return databases.Postgres(databases.Server.url()) if kind == "postgres" else databases.Sqlite()


@pytest.fixture
def make_database(database_kind):
    """Databases of the kind that the test runs on, removed at the end."""
    with contextlib.ExitStack() as stack:

        def make():
            database = new_database(database_kind)
            stack.callback(database.close)
            return database

        yield make


@pytest.fixture(scope="session")
def s3():
    """The S3 server of this run."""
    try:
        return rados.server()
    except rados.Unavailable as e:
        if rados.missing() and os.environ.get("CI") != "true":
            pytest.skip(NO_SERVER + str(e))
        pytest.fail(NO_SERVER + str(e))


def pytest_terminal_summary(terminalreporter):
    skipped = [r for r in terminalreporter.stats.get("skipped", ()) if NO_SERVER in str(r.longrepr)]
    if skipped:
        terminalreporter.write_line(f"!!! {len(skipped)} tests of documents in S3 WERE NOT RUN: {skipped[0].longrepr[2]}")


def new_store(kind, request):
    """A store for one program; whoever makes it closes it."""
    return stores.Bucket(request.getfixturevalue("s3")) if kind == "s3" else stores.Folder()


@pytest.fixture
def make_store(store_kind, request):
    """Stores of the kind that the test runs on, each of one program; removed at the end."""
    with contextlib.ExitStack() as stack:

        def make():
            store = new_store(store_kind, request)
            stack.callback(store.close)
            return store

        yield make


@pytest.fixture
def make_bucket(s3):
    """Buckets, whatever the test runs on otherwise."""
    with contextlib.ExitStack() as stack:

        def make(*args, **more):
            bucket = stores.Bucket(s3, *args, **more)
            stack.callback(bucket.close)
            return bucket

        yield make


@pytest.fixture
def bucket(make_bucket):
    return make_bucket()


@pytest.fixture
def proxy(s3):
    """Between the program and the S3 server."""
    p = s3proxy.Proxy(s3.port)
    yield p
    p.stop()


@pytest.fixture
def proxied(bucket, proxy):
    """A bucket that programs reach by the proxy."""
    bucket.endpoint = proxy.url
    return bucket


# ---- programs ----


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
def make_autos(place, make_store, make_database):
    """Programs with data of their own; what they started is ended by its id."""
    made = []

    def make(portal, name=None, store=None, database=None, **settings):
        where = place / (name or f"autos{len(made) + 1}")
        where.mkdir()
        made.append(lib.Autos(where, portal, store=store or make_store(), database=database or make_database(), **settings))
        return made[-1]

    yield make
    for autos in made:
        autos.stop()


@pytest.fixture
def autos(make_autos, sim):
    """The program, pointed at `sim`."""
    return make_autos(sim)


@pytest.fixture
def make_service(place, make_store, make_database):
    """Services with data of their own, started unless start=False; stopped in order at the end."""
    made = []
    with contextlib.ExitStack() as stack:

        def make(portal, name=None, start=True, store=None, database=None, kind=api.Service, **settings):
            where = place / (name or f"service{len(made) + 1}")
            where.mkdir()
            service = kind(where, portal, store=store or make_store(), database=database or make_database(), **settings)
            made.append(service)
            stack.callback(service.stop)
            return service.start() if start else service

        yield make


@pytest.fixture
def service(make_service, sim):
    """A service, pointed at `sim`."""
    return make_service(sim)


@pytest.fixture(scope="module")
def shared(request, store_kind, database_kind):
    """(service, sim) for all tests of a file that change nothing which others look at. SETTINGS of the file are its own."""
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="autos-e2e-")))
        sim = stack.enter_context(lib.Sim())
        store = new_store(store_kind, request)
        stack.callback(store.close)
        database = new_database(database_kind)
        stack.callback(database.close)
        more = getattr(request.module, "SETTINGS", {})
        service = api.Service(place, sim, store=store, database=database, rate_limit="100000", rate_limit_anonymous="100000", **more)
        stack.callback(service.stop)
        yield service.start(), sim


# ---- fleets ----


@pytest.fixture
def make_cluster():
    """PostgreSQL servers of the test's own."""
    with contextlib.ExitStack() as stack:

        def make(*args, **settings):
            cluster = postgres.Cluster(*args, **settings)
            stack.callback(cluster.remove)
            return cluster.start()

        yield make


@pytest.fixture
def make_fleet(place, make_cluster):
    with contextlib.ExitStack() as stack:

        def make(sim, base=None, net=None, tablespace="", **settings):
            database = databases.Postgres(base or databases.Server.url(), tablespace and f"TABLESPACE {tablespace}")
            stack.callback(database.close)
            f = fleet.Fleet(place, sim, database, net, **settings)
            stack.callback(f.stop)
            return f

        yield make


@pytest.fixture
def net():
    if not fleet.may_make_networks():
        yield None  # the same on the loopback interface
        return
    n = fleet.Net()
    yield n
    n.close()
