"""A proxy between the program and an S3 server that does, to chosen requests, what networks and servers do.

    proxy.fault(s3fault.reset(), "PUT", r"/documentos/", nth=3)          the third such request
    proxy.fault(s3fault.answer(503, "SlowDown"), "PUT", times=10)        the next ten
    held = proxy.fault(s3fault.stall(), "GET"); ...; held.release()      for as long as the test wants

HTTP/1.1 (RFC 9112), a thread for each connection. Requests go on with their head unchanged, Host included,
since that is what was signed. The first rule that is due takes a request. `log` tells of every request that
was read, in order of arrival.
"""

import contextlib
import re
import select
import socket
import ssl
import struct
import threading
import time

from s3fault import Fault, Gone

PIECE = 64 << 10
HEAD_MAX = 64 << 10


# ---- bytes ----


class Stream:
    """A socket that is read line by line and piece by piece."""

    def __init__(self, s):
        self.s, self.buffer = s, b""

    def more(self):
        data = self.s.recv(PIECE)
        if not data:
            raise Gone
        self.buffer += data

    def head(self):
        """The lines of a head; none when the other end has nothing more to say."""
        while b"\r\n\r\n" not in self.buffer:
            assert len(self.buffer) < HEAD_MAX
            self.more()
        text, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        return text.split(b"\r\n")

    def line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def pieces(self, length):
        """So many bytes, as they come; None: all that follow."""
        left = length
        while left is None or left > 0:
            try:
                if not self.buffer:
                    self.more()
            except Gone:
                if left is None:
                    return
                raise
            data = self.buffer if left is None else self.buffer[:left]
            self.buffer = self.buffer[len(data):]
            left = left and left - len(data)
            yield data

    def chunked(self):
        """A body in chunks (RFC 9112, 7.1), put together; trailers are dropped."""
        body = b""
        while size := int(self.line().split(b";")[0], 16):
            body += b"".join(self.pieces(size))
            self.line()
        while self.line():
            pass
        return body


def value_of(lines, name):
    for line in lines[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip().decode("latin-1")
    return None


class Reply:
    """An answer of the server: its head, and its body if that is short."""

    def __init__(self, lines, method, stream):
        self.lines, self.short = lines, None
        self.status = int(lines[0].split()[1])
        length = value_of(lines, b"content-length")
        if value_of(lines, b"transfer-encoding"):
            self.short = stream.chunked()
        bodiless = method == "HEAD" or self.status in (204, 304)
        self.length = 0 if bodiless else len(self.short) if self.short is not None else int(length) if length else None
        if self.short is None and not bodiless and self.length is not None and self.length <= PIECE:
            self.short = b"".join(stream.pieces(self.length))

    def head(self):
        skip = (b"transfer-encoding:", b"connection:") + ((b"content-length:",) if self.short is not None else ())
        lines = [line for line in self.lines if not line.lower().startswith(skip)]
        if self.short is not None:
            lines.append(b"Content-Length: %d" % len(self.short))
        return b"\r\n".join(lines) + b"\r\n\r\n"


# ---- requests ----


class Entry:
    """A request in the log."""

    def __init__(self, method, target, lines, connection):
        self.method, self.target, self.connection = method, target, connection
        self.headers = {k.strip().lower().decode(): v.strip().decode("latin-1")
                        for k, _, v in (line.partition(b":") for line in lines[1:])}
        self.status = self.fault = None
        self.sent = 0  # bytes of the body that went to the server
        self.began = time.monotonic()
        self.ended = None
        self.answered = False

    def __repr__(self):
        return f"<{self.method} {self.target} {self.status} {self.fault or ''}>"


class Exchange:
    """One request and its answer."""

    def __init__(self, proxy, client, log):
        self.proxy, self.client, self.log, self.server = proxy, client, log, None
        self.length = int(log.headers.get("content-length", 0))
        assert "transfer-encoding" not in log.headers, "the proxy takes no chunked requests"

    def to_client(self, data):
        self.proxy.answers(self.log)
        self.client.s.sendall(data)

    def to_server(self, data):
        self.server.s.sendall(data)
        self.log.sent += len(data)

    def still_there(self):
        """Raises Gone when the client has closed its end, whatever it sent before."""
        p = select.poll()
        p.register(self.client.s, select.POLLRDHUP)
        if p.poll(0):
            raise Gone

    def abort(self):
        """Ends the client's connection with a reset (SO_LINGER of zero)."""
        self.client.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.s.close()

    def wait_for_body(self):
        """Lets a client that asks before it sends go on (RFC 9110, 10.1.1)."""
        if self.log.headers.get("expect", "").lower() == "100-continue":
            self.to_client(b"HTTP/1.1 100 Continue\r\n\r\n")

    def swallow(self):
        self.wait_for_body()
        for _ in self.client.pieces(self.length):
            pass

    def run(self, lines, fault):
        if fault.before(self):
            return
        with contextlib.closing(socket.create_connection(("127.0.0.1", self.proxy.upstream), timeout=60)) as s:
            self.server = Stream(s)
            self.forward(lines, fault)
            self.give_back(fault)

    def forward(self, lines, fault):
        s = self.server.s
        if self.log.target.startswith("http://"):  # we were asked as a proxy: RFC 9112, 3.2.2
            path = "/" + self.log.target.split("/", 3)[3]
            lines = [f"{self.log.method} {path} HTTP/1.1".encode(), *lines[1:]]
        s.sendall(b"\r\n".join(line for line in lines if not line.lower().startswith(b"expect:")) + b"\r\n\r\n")
        self.wait_for_body()
        at = 0
        for data in self.client.pieces(self.length):
            self.to_server(fault.request_piece(self, at, data))
            at += len(data)

    def give_back(self, fault):
        lines = self.server.head()
        while lines[0].split()[1] == b"100":
            lines = self.server.head()
        reply = Reply(lines, self.log.method, self.server)
        self.log.status = reply.status
        if fault.reply(self, reply):
            return
        head, at = reply.head(), 0
        if reply.short is not None:
            body = fault.reply_piece(self, 0, reply.short)
            self.to_client(head + body if reply.length else head)
            return
        self.to_client(head)
        for data in self.server.pieces(reply.length):
            self.to_client(fault.reply_piece(self, at, data))
            at += len(data)
        if reply.length is None:
            raise Gone


class Rule:
    def __init__(self, fault, method, pattern, nth, times, when):
        self.fault, self.method, self.pattern, self.when = fault, method, re.compile(pattern), when
        self.nth, self.left, self.seen, self.hits = nth, times, 0, 0

    def takes(self, entry):
        if (self.method and entry.method != self.method) or not self.pattern.search(entry.target) or self.left == 0:
            return False
        if self.when and not self.when(entry):
            return False
        self.seen += 1
        if self.seen < self.nth:
            return False
        self.left = self.left and self.left - 1
        self.hits += 1
        return True

    def release(self):
        """Ends the rule, and what it holds up."""
        self.left = 0
        self.fault.release()


class Proxy:
    """Listens on a port of its own until `stop`. tls: (certificate, key), files in PEM."""

    def __init__(self, upstream, tls=None):
        self.upstream = upstream
        self.lock, self.over = threading.Lock(), threading.Event()
        self.log, self.rules = [], []
        self.active = self.parallel = 0  # requests at this moment, and at most since `forget`
        self.broken = []  # what the proxy itself did wrong
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*tls)
        self.listener = None
        self.sockets, self.threads = set(), []
        self.port = 0
        self.listen()

    def listen(self):
        """Opens the door, again on the same port after `shut`."""
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.url = f"http{'s' if self.context else ''}://127.0.0.1:{self.port}"
        self.spawn(self.accept, self.listener)

    def shut(self):
        """Nobody listens any more, and all connections are broken."""
        listener, self.listener = self.listener, None
        if listener:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self.lock:
            sockets = list(self.sockets)
        for s in sockets:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def stop(self):
        self.over.set()
        for rule in self.rules:
            rule.release()
        self.shut()
        for t in self.threads:
            t.join(60)
        assert not self.broken, self.broken

    def spawn(self, function, *args):
        self.threads = [t for t in self.threads if t.is_alive()]
        self.threads.append(threading.Thread(target=function, args=args, daemon=True))
        self.threads[-1].start()

    def wait(self, event):
        while not event.wait(0.05):
            if self.over.is_set():
                raise Gone

    # -- rules and log --

    def fault(self, fault, method=None, path="", nth=1, times=None, when=None):
        """From the nth matching request on, so many times (None: until it is released)."""
        rule = Rule(fault, method, path, nth, times, when)
        with self.lock:
            self.rules.append(rule)
        return rule

    def calm(self):
        """No rule any more."""
        with self.lock:
            rules, self.rules = self.rules, []
        for rule in rules:
            rule.release()

    def forget(self):
        """An empty log, and the most requests at once counted anew."""
        with self.lock:
            self.log, self.parallel = [], self.active

    def requests(self, method=None, path=""):
        with self.lock:
            return [e for e in self.log if (method is None or e.method == method) and re.search(path, e.target)]

    # -- connections --

    def accept(self, listener):
        while True:
            try:
                s, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.sockets.add(s)
            self.spawn(self.serve, s)

    def serve(self, s):
        try:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context:
                plain, s = s, self.context.wrap_socket(s, server_side=True)
                with self.lock:
                    self.sockets.discard(plain)
                    self.sockets.add(s)
            client = Stream(s)
            while not self.over.is_set():
                self.exchange(client, client.head())
        except (Gone, OSError):
            pass
        except Exception as e:
            self.broken.append(repr(e))
        finally:
            with self.lock:
                self.sockets.discard(s)
            s.close()

    def answers(self, entry):
        """Not under way any more: whoever has the first byte of its answer may ask the next before we know that he has it."""
        with self.lock:
            self.active -= not entry.answered
            entry.answered = True

    def exchange(self, client, lines):
        method, target, _ = lines[0].decode("latin-1").split(" ")
        entry = Entry(method, target, lines, id(client))
        with self.lock:
            self.log.append(entry)
            self.active += 1
            self.parallel = max(self.parallel, self.active)
            rule = next((r for r in self.rules if r.takes(entry)), None)
        fault = rule.fault if rule else Fault()
        entry.fault = type(fault).__name__ if rule else None
        try:
            Exchange(self, client, entry).run(lines, fault)
        finally:
            entry.ended = time.monotonic()
            self.answers(entry)
        if client.s.fileno() < 0:
            raise Gone
