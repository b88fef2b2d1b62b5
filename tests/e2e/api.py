"""The service and a client that believes nothing: every answer is held against docs/openapi.json.

A route, status, member or header that is not described fails the test that met it. Answers may
not even have more members than are described, although the description lets them.
"""

import collections
import contextlib
import copy
import functools
import gzip
import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import time
import urllib.parse

import jsonschema

import lib

Event = collections.namedtuple("Event", "id event data")
ROLES = ("admin", "user", "readonly")
FINAL = ("completed", "failed", "cancelled")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @functools.cached_property
    def json(self):
        return strict_json(self.body)

    @property
    def problem(self):
        """The name of the problem that the answer is."""
        return self.json["type"].rsplit("/", 1)[1]

    def __repr__(self):
        return f"<{self.status} {self.headers.get('Content-Type')} {self.body[:600]!r}>"


def strict_json(data):
    """RFC 8259, and no name twice."""
    def members(pairs):
        names = [k for k, _ in pairs]
        assert len(set(names)) == len(names), f"a member stands twice: {names}"
        return dict(pairs)

    def no_number(word):
        raise AssertionError(f"{word} is not JSON")

    text = data.decode("utf-8")
    return json.loads(text, object_pairs_hook=members, parse_constant=no_number)


# ---- the description ----


class Contract:
    """docs/openapi.json as a judge of answers."""

    def __init__(self, text=None):
        self.doc = json.loads(text or (lib.ROOT / "docs" / "openapi.json").read_text("utf-8"))
        self.problems = {p["name"]: p for p in self.doc["x-problem-types"]}
        self.components = close(copy.deepcopy(self.doc["components"]))
        self.validators = {}
        self.limited = True  # answers that a limit can concern say how much of it is left
        self.routes = sorted(((self.pattern(path, item), path, item) for path, item in self.doc["paths"].items()),
                             key=lambda r: [part.startswith("{") for part in r[1].split("/")])

    def resolve(self, value):
        while "$ref" in value:
            target = self.doc
            for part in value["$ref"][2:].split("/"):
                target = target[part]
            value = target
        return value

    def pattern(self, path, item):
        long = {p["name"] for op in item.values() for p in map(self.resolve, op.get("parameters", ())) if p.get("x-segments")}
        parts = [p if not p.startswith("{") else ".+" if p[1:-1] in long else "[^/]+" for p in path.split("/")]
        return re.compile("/".join(p if p in (".+", "[^/]+") else re.escape(p) for p in parts))

    def find(self, method, target):
        """(path as described, operation): (None, None) and (path, None) when there is none."""
        path = target.split("?")[0]
        for pattern, name, item in self.routes:
            if pattern.fullmatch(path):
                return name, item.get("get" if method == "HEAD" else method.lower())
        return None, None

    def validate(self, schema, value, what):
        name = json.dumps(schema, sort_keys=True)
        if name not in self.validators:
            self.validators[name] = jsonschema.Draft202012Validator(
                {"components": self.components, "allOf": [close(copy.deepcopy(schema))]})
        errors = [f"/{'/'.join(map(str, e.absolute_path))}: {e.message[:400]}" for e in self.validators[name].iter_errors(value)]
        assert not errors, f"{what}: {errors}"

    def check(self, method, target, answer, sent=None):
        """Judges an answer; gives the operation's id, None for what has none."""
        path, op = self.find(method, target)
        what = f"{method} {target[:200]} -> {answer.status}"
        common = self.doc["x-unrouted"]
        if op is None:
            assert str(answer.status) in common, f"{what}: no such route is described"
            wrong_method = path is not None and answer.status == 405
            assert answer.status not in (404, 405) or wrong_method == (path is not None), f"{what}: 404 and 405 mixed up"
            described = common[str(answer.status)]
        else:
            described = op["responses"].get(str(answer.status))
            if described is None and answer.status not in (404, 405):
                described = common.get(str(answer.status))
            assert described is not None, f"{what}: {op['operationId']} does not describe it: {answer!r}"
        described = self.resolve(described)
        assert op is not None or answer.status != 204 or method == "OPTIONS", f"{what}: no such route is described"
        self.check_headers(what, op and op["x-role"], described, answer, sent or {})
        self.check_body(what, method, target, described, answer)
        if answer.status == 405:
            allowed = {m.upper() for m in self.doc["paths"][path]} | ({"HEAD"} if "get" in self.doc["paths"][path] else set())
            named = set(re.split(r",\s*", answer.headers["Allow"]))
            assert named in (allowed, allowed - {"HEAD"}), f"{what}: Allow {named}, described {allowed}"
        return op["operationId"] if op else None

    def check_headers(self, what, role, described, answer, sent):
        for name, header in described["headers"].items():
            header, values = self.resolve(header), answer.headers.get_all(name, [])
            assert len(values) <= 1, f"{what}: {name} stands {len(values)} times"
            assert values or not (header.get("required") or self.limit_due(name, role, answer)), f"{what}: no {name}"
            for value in values:
                whole = header["schema"].get("type") == "integer"
                assert not whole or re.fullmatch("[0-9]+", value), f"{what}: {name}: {value} is no number"
                self.validate(header["schema"], int(value) if whole else value, f"{what}: {name}")
        known = {n.lower() for n in (*described["headers"], *self.doc["x-common-headers"])}
        unknown = {n.lower() for n in answer.headers} - known
        assert not unknown, f"{what}: headers that are not described: {unknown}"
        sent = {k.lower(): v for k, v in sent.items()}
        mine, pattern = sent.get("x-request-id"), self.doc["components"]["headers"]["X-Request-ID"]["schema"]["pattern"]
        if mine is not None and re.fullmatch(pattern, mine):
            assert answer.headers["X-Request-ID"] == mine, f"{what}: another X-Request-ID"

    def limit_due(self, name, role, answer):
        """Whether the header that tells of a limit must be there: not where none applies, nor before
        it is known who asks."""
        unread = answer.status in (401, 414, 431) or answer.status == 400 and answer.problem == "malformed-request"
        keyed = role in ROLES and not unread or answer.status == 429
        return "RateLimit" in name and keyed and self.limited

    def check_body(self, what, method, target, described, answer):
        content = described.get("content", {})
        if method == "HEAD" or not content:
            assert not answer.body, f"{what}: a body that is not described: {answer.body[:200]!r}"
            return
        kind = answer.headers.get_content_type() if answer.headers["Content-Type"] else None
        media = content.get(kind, content.get("*/*"))
        assert kind and media is not None, f"{what}: Content-Type {kind}, described {list(content)}"
        if kind == "application/json" or kind.endswith("+json"):
            self.validate(media["schema"], answer.json, what)
        elif kind != "text/event-stream" and "schema" in media:
            self.validate(media["schema"], answer.body.decode("utf-8"), what)
        if kind == "application/problem+json":
            self.check_problem(what, target, answer)

    def check_problem(self, what, target, answer):
        problem = answer.json
        known = self.problems.get(answer.problem)
        assert known, f"{what}: {answer.problem} is not in x-problem-types"
        assert problem["status"] == known["status"] == answer.status, f"{what}: {problem}"
        assert problem["title"] == known["title"], f"{what}: {problem}"
        path = urllib.parse.urlsplit(problem["instance"]).path
        if answer.status not in (400, 414, 431):  # what cannot be read is not named
            assert urllib.parse.unquote(path) == urllib.parse.unquote(target.split("?")[0]), f"{what}: {problem}"

    def check_event(self, operation, event, data):
        known = operation["x-events"]
        assert event in known, f"event {event} is not described"
        self.validate(known[event], data, f"event {event}")


def close(schema):
    """Forbids, in place, every member that a schema does not describe."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
            schema["additionalProperties"] = False
        for value in schema.values():
            close(value)
    elif isinstance(schema, list):
        for value in schema:
            close(value)
    return schema


# ---- event streams ----


class Stream:
    """Server-sent events as they come; iterate, at most until the connection ends."""

    def __init__(self, contract, target, connection, response):
        self.contract, self.target, self.connection, self.response = contract, target, connection, response
        self.status, self.headers = response.status, response.headers
        self.comments = 0
        self.last_id = None

    def __iter__(self):
        return self

    def __next__(self):
        """WHATWG HTML, 9.2.6; a block that the connection cut is no event."""
        event, data = "message", []
        while line := self.response.readline():
            line = line.decode("utf-8").rstrip("\r\n")
            if not line:
                if data:
                    value = strict_json("\n".join(data).encode())
                    self.contract.check_event(self.contract.find("GET", self.target)[1], event, value)
                    return Event(self.last_id, event, value)
                event = "message"
                continue
            name, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if not name:
                self.comments += 1
            elif name == "event":
                event = value
            elif name == "data":
                data.append(value)
            elif name == "id":
                self.last_id = value
            else:
                assert name == "retry" and value.isdigit(), line
        raise StopIteration

    def close(self):
        self.connection.close()


# ---- the service ----


class Service(lib.Autos):
    """`autos serve` on a port of its own, with one key of each role."""

    coverage = collections.Counter()  # (operationId, status) of every answer of this process

    def __init__(self, place, portal="http://127.0.0.1:1/api/v2", **settings):
        super().__init__(place, portal, **{"listen": "127.0.0.1:0", **settings})
        self.contract = Contract()
        self.contract.limited = str(settings.get("rate_limit")) != "0"
        self.process = None
        self.port = self.url = None
        self.logs = 0
        self.keys = {}

    def make_key(self, name, role):
        """A user and a key, made while nothing serves."""
        out = self.run("user", "create", name, "--role", role, check=0).out
        assert re.fullmatch(r"autos_[A-Za-z0-9_-]{43}\n", out), out
        return out.strip()

    def start(self, *args, prefix=(), **settings):
        """Returns once it listens. Settings as of Autos.popen."""
        assert self.process is None, "it runs already"
        if not self.keys:
            self.keys = {role: self.make_key(f"{role}-of-tests", role) for role in ROLES}
        self.logs += 1
        self.log = self.place / f"serve{self.logs}.log"
        with open(self.log, "wb") as err:
            self.process = self.popen("serve", *args, stderr=err, prefix=prefix, **settings)
        line = self.first_line()
        found = re.fullmatch(r"listening on (https?://[\d.]+:(\d+))\n", line)
        assert found, (line, self.process.poll(), self.stderr()[-4000:])
        self.url, self.port = found[1], int(found[2])
        return self

    def first_line(self):
        deadline, line = time.monotonic() + lib.PATIENCE, b""
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            assert left > 0, f"it does not listen: {self.stderr()[-4000:]}"
            if select.select([self.process.stdout], [], [], left)[0]:
                byte = os.read(self.process.stdout.fileno(), 1)
                if not byte:
                    break
                line += byte
        return line.decode()

    def stderr(self):
        return self.log.read_text("utf-8", "replace")

    def stop(self, expect=0, sig=signal.SIGTERM):
        """Ends it in order; what it wrote is checked. Then whatever else was started is ended."""
        if self.process is not None:
            process, self.process = self.process, None
            process.send_signal(sig)
            try:
                status = process.wait(lib.PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise AssertionError(f"it does not stop: {self.stderr()[-4000:]}") from None
            finally:
                process.stdout.close()
                self.captured.append(self.stderr())
            self.check_captured()
            assert status == expect, (status, self.stderr()[-4000:])
        super().stop()

    def kill(self):
        """As a power cut would."""
        process, self.process = self.process, None
        process.kill()
        process.wait()
        process.stdout.close()
        self.captured.append(self.stderr())
        self.check_captured()

    def check_captured(self):
        """No secret in what it wrote."""
        for text in self.captured:
            lib.no_sanitizer(text)
            lib.check_private(text, (), [self.token, *self.store.secrets])
            for key in self.keys.values():
                assert key not in text, "an API key was printed"

    # -- asking --

    def key_header(self, key):
        if key is None:
            return {}
        return {"Authorization": f"Bearer {self.keys.get(key, key)}"}

    def connect(self, timeout=lib.PATIENCE):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def call(self, method, path, key="user", headers=None, body=None, raw=None, connection=None, timeout=lib.PATIENCE):
        """Asks and checks. key: a role of ours, any other key, or None. body becomes JSON; raw is
        sent as it is. connection: one of connect(), kept open."""
        sent = {**self.key_header(key), **(headers or {})}
        if body is not None:
            raw = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        c = connection or self.connect(timeout)
        try:
            c.request(method, path, body=raw, headers=sent)
            r = c.getresponse()
            assert r.version == 11
            answer = Answer(r.status, r.headers, r.read())
        finally:
            if connection is None:
                c.close()
        if answer.headers.get("Content-Encoding"):
            assert answer.headers["Content-Encoding"] == "gzip" and "gzip" in sent.get("Accept-Encoding", "")
            answer.body = gzip.decompress(answer.body)
        self.judge(method, path, answer, sent)
        return answer

    def judge(self, method, path, answer, sent=None):
        operation = self.contract.check(method, path, answer, sent)
        self.coverage[operation, answer.status] += 1
        for piece in self.token.split("."):
            assert len(piece) < 8 or piece.encode() not in answer.body, "the portal's token was given away"
        for name, key in self.keys.items():
            assert key.encode() not in answer.body, f"the key of {name} was given away"
        for secret in self.store.secrets:
            assert secret.encode() not in answer.body, "a secret of the store was given away"

    def get(self, path, **more):
        return self.call("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.call("POST", path, body=body, **more)

    @contextlib.contextmanager
    def events(self, path, key="readonly", headers=None, timeout=lib.PATIENCE):
        """The stream of a path; `for e in stream` gives Events until the service ends it."""
        c = self.connect(timeout)
        sent = {**self.key_header(key), "Accept": "text/event-stream", **(headers or {})}
        try:
            c.request("GET", path, headers=sent)
            r = c.getresponse()
            streams = r.status == 200
            self.judge("GET", path, Answer(r.status, r.headers, b"" if streams else r.read()), sent)
            yield Stream(self.contract, path, c, r)
        finally:
            c.close()

    def get_raw(self, data, timeout=lib.PATIENCE, close=False):
        """Sends bytes as they are. The first answer, unchecked, or None when there is none. `close`
        ends our side after them."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as s:
            with contextlib.suppress(ConnectionError):
                s.sendall(data)
                if close:
                    s.shutdown(socket.SHUT_WR)
            method = data.split(b" ", 1)[0].decode("ascii", "replace")
            r = http.client.HTTPResponse(s, method=method)
            try:
                r.begin()
                return Answer(r.status, r.headers, r.read())
            except (http.client.HTTPException, ConnectionError):
                return None
            finally:
                r.close()

    # -- cases --

    def path(self, number, *rest):
        return "/".join(["/api/v1/processes", number, *rest])

    def status(self, number, **more):
        return self.get(self.path(number, "status"), **more).json

    def finished(self, number, timeout=lib.PATIENCE, key="readonly"):
        """The status of a case once it is final."""
        def final():
            s = self.status(number, key=key)
            return s if s["status"] in FINAL else None

        return lib.until(final, f"the end of {number}", timeout, every=0.02)

    def fetch(self, path_or_url, headers=None):
        """What a download link gives, without a key: from us, or from the store itself."""
        parts = urllib.parse.urlsplit(path_or_url)
        target = parts.path + ("?" + parts.query if parts.query else "")
        if not self.store.owns(path_or_url):
            return self.call("GET", target, key=None, headers=headers)
        c = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=lib.PATIENCE)
        with contextlib.closing(c):
            c.request("GET", target, headers={"Host": parts.netloc, **(headers or {})})
            r = c.getresponse()
            return Answer(r.status, r.headers, r.read())
