"""What tests of the simulated portal itself share: the built autos-sim on a free port, each instance private to its test or
module, and answers as they went over the wire, complete or not."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SIM = ROOT / os.environ.get("AUTOS_BUILD", "build") / "autos-sim"
API = "/api/v2/processos"
PATIENCE = 20  # seconds: only ever reached when something is broken
STALLED = 0.4  # seconds without a byte that count as a stall


def run(*args):
    return subprocess.run([SIM, *args], capture_output=True, text=True, timeout=PATIENCE)


class Answer:
    """One HTTP exchange as it went over the wire, complete or not."""

    def __init__(self):
        self.status, self.headers, self.body, self.fault = 0, {}, b"", None

    def json(self):
        return json.loads(self.body)

    @property
    def type(self):
        return self.headers.get("content-type")


class Sim:
    def __init__(self, *args):
        self.process = subprocess.Popen([SIM, *args], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.fullmatch(r"listening on (http://([\d.]+):(\d+))\n", line)
        assert found, line
        self.url, self.host, self.port = found[1], found[2], int(found[3])
        self.token = run("--make-token", "3600").stdout.strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0
        self.process.stdout.close()

    def ask(self, path, method="GET", token=True, body=None, timeout=PATIENCE, host=None):
        answer = Answer()
        headers = {}
        if token:
            headers["Authorization"] = "Bearer " + (self.token if token is True else token)
        link = http.client.HTTPConnection(host or self.host, self.port, timeout=timeout)
        try:
            link.request(method, path, body=body, headers=headers)
            reply = link.getresponse()
            answer.status = reply.status
            answer.headers = {k.lower(): v for k, v in reply.getheaders()}
            while piece := reply.read(16384):
                answer.body += piece
            if reply.length:
                answer.fault = "short"
        except http.client.IncompleteRead as e:
            answer.body += e.partial
            answer.fault = "short"
        except http.client.RemoteDisconnected:
            answer.fault = "closed"
        except ConnectionResetError:
            answer.fault = "reset"
        except TimeoutError:
            answer.fault = "timeout"
        finally:
            link.close()
        return answer

    def api(self, rest, **kw):
        return self.ask(API + rest, **kw)

    def sim(self, rest, body=None):
        method = "GET" if body is None else "POST"
        answer = self.ask("/_sim" + rest, method=method, token=False, body=body)
        assert answer.status == 200, answer.body
        return answer.body

    def stats(self):
        return json.loads(self.sim("/stats"))

    def cases(self, query=""):
        return json.loads(self.sim("/cases" + query))["cases"]

    def case(self, oddity):
        number = NUMBERS[oddity]
        return self.cases("?number=" + number)[0]

    def reset(self):
        self.sim("/reset", body="")

    def script(self, *lines):
        self.sim("/script", body="\n".join(lines))

    def detail(self, number):
        return self.api("/" + number).json()

    def binario(self, number, uuid, **kw):
        return self.api(f"/{number}/documentos/{uuid}/binario", **kw)

    def raw(self, path):
        """A connection on which the request was just sent."""
        link = socket.create_connection((self.host, self.port), timeout=PATIENCE)
        link.sendall(
            f"GET {path} HTTP/1.1\r\nHost: sim\r\nAuthorization: Bearer {self.token}\r\n\r\n".encode()
        )
        return link


LISTED = [line.split("\t") for line in run("--list").stdout.splitlines()]
NUMBERS = {row[1]: row[0] for row in reversed(LISTED)}  # the first plain one wins


@pytest.fixture(scope="module")
def sim():
    with Sim() as s:
        yield s


@pytest.fixture
def own():
    """A simulator that no other test has asked anything."""
    with Sim() as s:
        yield s


def documents(detail):
    case = detail[0] if isinstance(detail, list) else detail.get("content", [detail])[0]
    found = []
    for part in [case.get("tramitacaoAtual")] + case.get("tramitacoes", []):
        found += part["documentos"] if part else []
    return found


def uuid_of(document):
    href = document.get("hrefBinario") or document.get("hrefTexto")
    return href.split("/documentos/")[1].split("/")[0] if href else None
