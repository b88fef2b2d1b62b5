"""Private PostgreSQL clusters for tests and measurements: a folder, a port and a life of their own.

Debian keeps the programs in /usr/lib/postgresql/VERSION/bin. They refuse to run as root, so root
hands them to an account without rights.
"""
import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from signal import SIGINT, SIGQUIT

PATIENCE = 60
SETTINGS = {
    "max_connections": "400", "shared_buffers": "64MB", "fsync": "off", "full_page_writes": "off",
    "autovacuum_naptime": "10s", "log_min_messages": "warning", "logging_collector": "off", "max_wal_senders": "4",
    "wal_level": "replica", "hot_standby": "on", "timezone": "UTC", "max_locks_per_transaction": "256",
    "max_prepared_transactions": "8",
}


def programs():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda p: int(p.split("/")[4]))
    path = found[-1] if found else shutil.which("postgres")
    assert path, "PostgreSQL is missing: run make deps-test"
    return os.path.dirname(path)


def account():
    """Who runs it: somebody else when we are root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise AssertionError("neither an account postgres nor nobody")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Cluster:
    """One server. With `primary` it is a standby of that one (streaming replication)."""

    def __init__(self, primary=None, listen="127.0.0.1", prefix=(), **settings):
        self.bin = programs()
        self.user = account()
        self.prefix = list(prefix)
        self.listen, self.port = listen, free_port()
        self.place = tempfile.mkdtemp(prefix="autos-pg-")
        os.chmod(self.place, 0o755)
        self.data = os.path.join(self.place, "data")
        self.settings = dict(SETTINGS, **settings)
        self.process = None
        if self.user:
            os.chown(self.place, self.user.pw_uid, self.user.pw_gid)
        if primary:
            self.run("pg_basebackup", "-D", self.data, "-R", "-X", "stream", "-d",
                     f"{primary.url()}&application_name=standby")
        else:
            self.run("initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "--no-sync", "--no-instructions",
                     "--locale=C.UTF-8", "--encoding=UTF8")
            with open(os.path.join(self.data, "pg_hba.conf"), "a", encoding="utf-8") as f:
                f.write("host all all 0.0.0.0/0 trust\nhost replication all 0.0.0.0/0 trust\n")

    def command(self, *args):
        drop = ["setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups"] if self.user else []
        return drop + [os.path.join(self.bin, args[0]), *args[1:]]

    def run(self, *args):
        p = subprocess.run(self.command(*args), capture_output=True, text=True, timeout=PATIENCE, cwd=self.place)
        assert p.returncode == 0, (args, p.stdout[-2000:], p.stderr[-2000:])
        return p.stdout

    def start(self, wait=True):
        options = [f"-c{k}={v}" for k, v in self.settings.items()]
        log = open(os.path.join(self.place, "log"), "ab")
        self.process = subprocess.Popen(
            self.prefix + self.command("postgres", "-D", self.data, "-p", str(self.port), "-h", self.listen,
                                       "-k", self.place, *options),
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.place)
        log.close()
        deadline = time.monotonic() + PATIENCE
        while wait and subprocess.run([os.path.join(self.bin, "pg_isready"), "-q", "-h", self.place, "-p", str(self.port)],
                                      check=False).returncode:
            assert self.process.poll() is None and time.monotonic() < deadline, self.log()
            time.sleep(0.05)
        return self

    def log(self):
        with open(os.path.join(self.place, "log"), encoding="utf-8", errors="replace") as f:
            return f.read()[-4000:]

    def url(self, database="postgres", **options):
        more = "".join(f"&{k}={v}" for k, v in options.items())
        return f"postgres://postgres@/{database}?host={self.place}&port={self.port}{more}"

    def sql(self, text, database="postgres"):
        """Rows as text, by psql."""
        return self.run("psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), "-c", text)

    def signal(self, sig):
        self.process.send_signal(sig)

    def stop(self, sig=SIGINT):
        """SIGINT: fast shutdown; SIGKILL: as a crash, its children end by themselves."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(sig)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def promote(self):
        self.run("pg_ctl", "promote", "-D", self.data, "-w", "-s")

    def remove(self):
        self.stop(SIGQUIT)
        shutil.rmtree(self.place, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.remove()
