"""What stands behind `database_url`, seen from outside the program: a file of SQLite's, or a database of
its own on a private PostgreSQL. Both look alike to the tests: statements with `?`, rows by name."""

import itertools
import os
import sqlite3
import sys
from pathlib import Path

import psycopg2
import psycopg2.extras

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import postgres  # noqa: E402

PATIENCE = 60
NUMBERS = itertools.count(1)


class Sqlite:
    """The default: a file in the data folder of the program that it is given to."""

    kind = "sqlite"
    settings = {}

    def __init__(self):
        self.autos = None  # whose data folder

    def exists(self):
        return (self.autos.data_dir / "autos.db").exists()

    def connect(self):
        c = sqlite3.connect(f"file:{self.autos.data_dir}/autos.db?mode=ro", uri=True, timeout=PATIENCE)
        c.row_factory = sqlite3.Row
        return c

    def check(self, connection):
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert not connection.execute("PRAGMA foreign_key_check").fetchall()

    def end_patience(self):
        pass

    def close(self):
        pass


class Connection:
    """As sqlite3's."""

    def __init__(self, url):
        self.inner = psycopg2.connect(url, cursor_factory=psycopg2.extras.DictCursor)
        self.inner.autocommit = True

    def execute(self, sql, values=()):
        cursor = self.inner.cursor()
        cursor.execute(sql.replace("%", "%%").replace("?", "%s") if values else sql, values or None)
        return cursor

    def close(self):
        self.inner.close()


def has_table(connection, name):
    known = "pg_tables WHERE tablename" if isinstance(connection, Connection) else "sqlite_master WHERE name"
    return connection.execute(f"SELECT 1 FROM {known} = ?", (name,)).fetchone() is not None


class Postgres:
    """A database on a server: `base` is the server's URL, with a `?` in it."""

    kind = "postgres"

    def __init__(self, base, more=""):
        self.autos = None
        self.base, self.name = base, f"autos_{os.getpid()}_{next(NUMBERS)}"
        self.admin(f"CREATE DATABASE {self.name} {more}")
        before, after = base.split("/postgres?", 1)
        self.url = f"{before}/{self.name}?{after}"
        self.settings = {"database_url": self.url}

    def admin(self, sql):
        c = Connection(self.base)
        try:
            return c.execute(sql)
        finally:
            c.close()

    def exists(self):
        c = self.connect()
        try:
            return c.execute("SELECT to_regclass('event') IS NOT NULL").fetchone()[0]
        finally:
            c.close()

    def connect(self):
        return Connection(self.url)

    def check(self, connection):
        pass

    def end_patience(self):
        """Where others may be at it, a case that is being erased is left to them for two minutes, and who did what
        is for all to do has its lease for some seconds; they are over."""
        c = self.connect()
        try:
            c.execute("UPDATE erasure SET at_ms = at_ms - 120000")
            c.execute("UPDATE leader SET until_ms = 0")
        finally:
            c.close()

    def close(self):
        self.admin(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")


class Server:
    """The server that tests/run.py started, or one of this session's own."""

    own = None

    @classmethod
    def url(cls):
        given = os.environ.get("AUTOS_TEST_POSTGRES")
        if given:
            return given
        if cls.own is None:
            cls.own = postgres.Cluster().start()
        return cls.own.url()

    @classmethod
    def end(cls):
        if cls.own is not None:
            cls.own.remove()
            cls.own = None
