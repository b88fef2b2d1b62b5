"""Receivers of webhooks: well-behaved ones that verify what they get, and every other kind."""

import base64
import collections
import contextlib
import hashlib
import hmac
import http.server
import json
import socket
import socketserver
import ssl
import subprocess
import threading
import time

Message = collections.namedtuple("Message", "at path headers body json")


def sign(secret, id, timestamp, body):
    """v1 of Standard Webhooks."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return "v1," + base64.b64encode(hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()).decode()


class Serving:
    """A `server` in a thread of its own, until the end of the block."""

    def begin(self):
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Receiver(Serving):
    """A client's server: what it answers is decided for each request by `answer`, which gets the message and gives a
    status, or (status, headers, body). What it got is in `seen`."""

    def __init__(self, answer=200, tls=None, on_message=None):
        self.answer, self.seen, self.lock = answer, [], threading.Lock()
        self.on_message = on_message
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                try:
                    value = json.loads(body)
                except ValueError:
                    value = None
                message = Message(time.time(), self.path, dict(self.headers), body, value)
                if outer.on_message:
                    outer.on_message(message)
                with outer.lock:
                    outer.seen.append(message)
                answer = outer.answer(message) if callable(outer.answer) else outer.answer
                status, headers, text = answer if isinstance(answer, tuple) else (answer, {}, b"")
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 1024
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_port
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self.begin()

    def messages(self, path=None):
        with self.lock:
            return [m for m in self.seen if path is None or m.path == path]


class Odd(Serving):
    """A socket whose every connection is handed to a function; connections are counted."""

    def __init__(self, talk):
        self.count = 0
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                outer.count += 1
                with contextlib.suppress(OSError):
                    talk(self.request)

        class Server(socketserver.ThreadingTCPServer):
            request_queue_size = 1024
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.begin()


def read_request(s):
    """Headers and body of one request; b"" when the peer went away."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = s.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        piece = s.recv(65536)
        if not piece:
            break
        body += piece
    return data


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def certificate(folder, name, hosts="IP:127.0.0.1", days="30", issuer=None):
    """(certificate, key) of our own making; signed by itself unless an issuer is given."""
    crt, key = folder / f"{name}.crt", folder / f"{name}.key"
    sign_by = ["-CA", str(issuer[0]), "-CAkey", str(issuer[1])] if issuer else []
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key),
                    "-out", str(crt), "-days", days, "-subj", f"/CN={name}", "-addext", f"subjectAltName={hosts}", *sign_by],
                   check=True, capture_output=True)
    return crt, key


def tls_server(crt, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(crt, key)
    return context
