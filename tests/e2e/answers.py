#!/usr/bin/python3
"""Stands in for `autos` where the client of api.py is tested: every answer is an example of
docs/openapi.json.

`answers.py user create NAME --role R` prints a key, `answers.py serve` answers. Request headers choose: X-Status the
status, X-Break a fault (see `broken`). A key says its role; an unknown one is 401.
"""

import http.server
import json
import re
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import api  # noqa: E402

CONTRACT = api.Contract()
HEADERS = {
    "X-Request-ID": "made-here-1",
    "RateLimit-Policy": '"default";q=1000;w=60',
    "RateLimit": '"default";r=999;t=60',
    "X-RateLimit-Limit": "1000",
    "X-RateLimit-Remaining": "999",
    "X-RateLimit-Reset": "1772452860",
    "ETag": '"1-4"',
    "Location": "/api/v1/jobs/1",
    "Retry-After": "2",
    "Link": '<http://127.0.0.1/api/v1/jobs?cursor=abc>; rel="next"',
    "WWW-Authenticate": "Bearer",
    "Preference-Applied": "wait=10",
    "Accept-Ranges": "bytes",
    "Content-Range": "bytes 0-99/1000",
    "Content-Disposition": 'attachment; filename="peticao.pdf"',
}
STREAM = (": hello\n\n"
          'id: a\nevent: progress\ndata: {"job_id":"1","seq":1,"at":"2026-03-02T12:00:00.000Z",'
          '"process_number":"00000013920248260100","status":"processing",\n'
          'data: "total_documents":1,"completed_documents":0,"failed_documents":0,"progress_percentage":0}\n\n'
          'id: b\r\nevent: done\r\ndata: {"job_id":"1","seq":2,"at":"2026-03-02T12:00:00.000Z",'
          '"process_number":"00000013920248260100","status":"completed",'
          '"total_documents":1,"completed_documents":1,"failed_documents":0,"progress_percentage":100.0,'
          '"outcome":"complete","error_message":null}\r\n\r\n'
          "id: c\nevent: done\ndata: {")


def example_of(media):
    """A value of a media type, and its bytes."""
    schema = CONTRACT.resolve(media.get("schema", {"const": "%PDF-1.4"}))
    if "example" in media:
        return media["example"]
    if "examples" in schema:
        return schema["examples"][0]
    if schema.get("type") == "array":
        return [CONTRACT.resolve(schema["items"])["examples"][0]]
    if schema.get("type") == "object":
        return {}
    return schema.get("const", "text")


def response_of(method, target, status):
    """(status, headers, body): as described, or 404 and 405."""
    path, op = CONTRACT.find(method, target)
    common = CONTRACT.doc["x-unrouted"]
    if op is None:
        status = status or ("405" if path else "404")
        described = common[status]
    else:
        status = status or min(op["responses"])
        described = op["responses"].get(status) or common[status]
    described = CONTRACT.resolve(described)
    headers = {n: HEADERS[n] for n in described["headers"] if n in HEADERS}
    if status == "405":
        headers["Allow"] = ", ".join(m.upper() for m in CONTRACT.doc["paths"][path])
    body = b""
    for kind, media in list(described.get("content", {}).items())[:1]:
        headers["Content-Type"] = kind.replace("*/*", "application/pdf")
        value = example_of(media)
        if kind == "application/problem+json":
            value = {**value, "instance": target.split("?")[0]}
        elif kind == "text/event-stream":
            value = STREAM
        body = (value if isinstance(value, str) else json.dumps(value)).encode()
    return int(status), headers, body


def broken(how, status, headers, body):
    """The same answer with one fault: `-Name` a header less, `Name: value` another one, `member` a
    member less, `member=JSON` another value, `status=N`."""
    if how.startswith("-"):
        del headers[how[1:]]
    elif ": " in how:
        name, value = how.split(": ", 1)
        headers[name] = value
    elif how.startswith("status="):
        status = int(how[7:])
    elif how.startswith("body="):
        body = how[5:].encode()
    else:
        value = json.loads(body)
        inside = value[0] if isinstance(value, list) else value
        *path, name = how.split("=")[0].split(".")
        for part in path:
            inside = inside[int(part) if part.isdigit() else part]
        if "=" in how:
            inside[name] = json.loads(how.split("=", 1)[1])
        else:
            del inside[name]
        body = json.dumps(value).encode()
    return status, headers, body


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one piece

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, headers, body = response_of(self.command, self.path, self.headers.get("X-Status"))
        if "X-Request-ID" in self.headers and re.fullmatch(r"[A-Za-z0-9._:+/=-]{1,128}", self.headers["X-Request-ID"]):
            headers["X-Request-ID"] = self.headers["X-Request-ID"]
        if "X-Break" in self.headers:
            status, headers, body = broken(self.headers["X-Break"], status, headers, body)
        self.send_response_only(status)
        for name, value in headers.items():
            for one in value.split("|"):
                self.send_header(name, one)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = answer

    def log_message(self, *_):
        pass


def main():
    if sys.argv[1:3] == ["user", "create"]:
        print("autos_" + (sys.argv[3] + "x" * 43)[:43])
        return
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True

    def stop(*_):
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    print("started", file=sys.stderr, flush=True)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever(poll_interval=0.02)


if __name__ == "__main__":
    main()
