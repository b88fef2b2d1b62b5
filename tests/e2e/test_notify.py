"""What a service manager is told (sd_notify(3)): ready when requests are answered, stopping at the drain."""

import contextlib
import os
import socket
import urllib.request

import lib
import pytest


pytestmark = pytest.mark.both


@contextlib.contextmanager
def manager(name):
    """A datagram socket as systemd has it; @name stands for an abstract one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind("\0" + name[1:] if name.startswith("@") else name)
        s.settimeout(lib.PATIENCE)
        yield s


def told(s):
    return dict(line.split("=", 1) for line in s.recv(4096).decode().split("\n"))


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_ready_and_stopping(make_service, place, abstract):
    name = f"@autos-test-{os.getpid()}" if abstract else str(place / "notify.sock")
    service = make_service("http://127.0.0.1:1/api/v2", start=False)
    with manager(name) as s:
        service.start(env={"NOTIFY_SOCKET": name})
        ready = told(s)
        assert ready == {"READY": "1", "STATUS": f"listening on {service.url}"}
        with urllib.request.urlopen(service.url + "/livez", timeout=lib.PATIENCE) as r:
            assert r.read() == b"ok"
        service.stop()
        s.setblocking(False)
        assert told(s)["STOPPING"] == "1"
        with pytest.raises(BlockingIOError):  # each was said once
            s.recv(4096)


@pytest.mark.parametrize("name", ["/nonexistent/notify.sock", "vsock:2:1", "/" + "x" * 200])
def test_a_manager_that_does_not_listen_ends_nothing(make_service, name):
    service = make_service("http://127.0.0.1:1/api/v2", start=False)
    service.start(env={"NOTIFY_SOCKET": name})
    with urllib.request.urlopen(service.url + "/livez", timeout=lib.PATIENCE) as r:
        assert r.status == 200
