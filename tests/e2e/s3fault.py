"""What networks and servers do to requests: the faults of s3proxy.py. Each is one object; `held` and such are counted on it."""

import datetime
import email.utils
import re
import threading


class Gone(Exception):
    """The other end closed the connection, or is to believe so."""


class Fault:
    """Does nothing: each kind replaces a step."""

    def before(self, exchange):
        """Once the head was read. True: nothing more is done with this request."""

    def request_piece(self, exchange, at, data):
        """A piece of the request's body, `at` bytes into it, on its way to the server."""
        return data

    def reply(self, exchange, reply):
        """The whole head of the answer, and the body of a short one. True: the client gets nothing of it."""

    def reply_piece(self, exchange, at, data):
        return data

    def release(self):
        """Ends what holds requests up."""


class reset(Fault):
    """A TCP reset, before anything goes to the server."""

    def before(self, x):
        x.abort()
        return True


class refuse(Fault):
    """The connection ends in order, without an answer."""

    def before(self, x):
        x.swallow()
        raise Gone


class stall(Fault):
    """Nothing happens until the test releases it; then the request goes on."""

    def __init__(self):
        self.free, self.held = threading.Event(), 0

    def before(self, x):
        self.held += 1
        x.proxy.wait(self.free)

    def release(self):
        self.free.set()


class stall_reply(stall):
    """The server did it; its answer waits for the test, after n bytes of its body."""

    def __init__(self, n=0):
        super().__init__()
        self.n = n

    def before(self, x):
        return None

    def reply(self, x, reply):
        if self.n == 0:
            self.held += 1
            x.proxy.wait(self.free)

    def reply_piece(self, x, at, data):
        if self.n and at <= self.n < at + len(data):
            x.to_client(data[:self.n - at])
            self.held += 1
            x.proxy.wait(self.free)
            return data[self.n - at:]
        return data


class slow(Fault):
    """The first byte of the answer comes so many seconds late."""

    def __init__(self, seconds):
        self.seconds = seconds

    def reply(self, x, reply):
        x.proxy.over.wait(self.seconds)


class cut(Fault):
    """The answer ends after n bytes of its body, with a closed connection; one without a body, in its head."""

    def __init__(self, n):
        self.n = n

    def reply(self, x, reply):
        if reply.length == 0:  # then it is the head that is cut
            x.to_client(reply.head()[:len(reply.head()) // 2])
            raise Gone
        if self.n == 0:
            x.to_client(reply.head())
            raise Gone

    def reply_piece(self, x, at, data):
        if at + len(data) > self.n:
            x.to_client(data[:max(0, self.n - at)])
            raise Gone
        return data


class answer(Fault):
    """An error of S3, without asking the server. `more` are further elements; `code` None sends no body at all."""

    def __init__(self, status, code=None, message="made by the tests", headers=None, **more):
        self.status, self.code, self.headers = status, code, headers or {}
        inside = {"Code": code, "Message": message, **more, "RequestId": "tx-test"}
        self.body = b"" if code is None else ("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error>" + "".join(
            f"<{k}>{v}</{k}>" for k, v in inside.items()) + "</Error>").encode()

    def before(self, x):
        x.swallow()
        headers = {"Content-Type": "application/xml", "Content-Length": str(len(self.body)), "Date": http_date(0), **self.headers}
        lines = [f"HTTP/1.1 {self.status} Made Up", *(f"{k}: {v}" for k, v in headers.items())]
        x.log.status = self.status
        x.to_client(("\r\n".join(lines) + "\r\n\r\n").encode() + (b"" if x.log.method == "HEAD" else self.body))
        return True


class page(answer):
    """What stands between us and the server answers with a page of its own."""

    def __init__(self, status=200, body=b"<html><body>Welcome to the network of this hotel</body></html>"):
        super().__init__(status, "none", headers={"Content-Type": "text/html", "Content-Length": str(len(body))})
        self.body = body


class etag(Fault):
    """Another ETag than the server's, in the head and inside of XML."""

    def __init__(self, value="0123456789abcdef0123456789abcdef"):
        self.value = value

    def reply(self, x, reply):
        reply.lines = [re.sub(rb"(?i)^(etag: *\"?)[0-9a-f]{32}", rb"\g<1>" + self.value.encode(), line) for line in reply.lines]
        if reply.short is not None:
            reply.short = re.sub(rb"(<ETag>(?:\"|&quot;)?)[0-9a-f]{32}", rb"\g<1>" + self.value.encode(), reply.short)


class no_etag(Fault):
    """A server that says none."""

    def reply(self, x, reply):
        reply.lines = [line for line in reply.lines if not line.lower().startswith(b"etag:")]


class header(Fault):
    """Changes a header of the answer, or takes it away."""

    def __init__(self, name, value):
        self.name, self.value = name, value

    def reply(self, x, reply):
        name = self.name.lower().encode() + b":"
        reply.lines = [line for line in reply.lines if not line.lower().startswith(name)]
        if self.value is not None:
            reply.lines.append(f"{self.name}: {self.value}".encode())


class date(Fault):
    """The server's clock is this many seconds ahead of the true one."""

    def __init__(self, seconds):
        self.seconds = seconds

    def reply(self, x, reply):
        header("Date", http_date(self.seconds)).reply(x, reply)


class drop(Fault):
    """The connection breaks when half of the request's body went to the server."""

    def request_piece(self, x, at, data):
        half = x.length // 2
        if at + len(data) > half:
            x.to_server(data[:max(0, half - at)])
            x.abort()
            raise Gone
        return data


class lose(Fault):
    """The server did it, and its answer is lost with the connection."""

    def reply(self, x, reply):
        x.abort()
        return True


class corrupt_upload(Fault):
    """One bit in the middle of the request's body."""

    def request_piece(self, x, at, data):
        return flip(data, x.length // 2 - at)


class corrupt_download(Fault):
    """One bit in the middle of the answer's body."""

    def reply(self, x, reply):
        x.middle = (reply.length or 0) // 2

    def reply_piece(self, x, at, data):
        return flip(data, x.middle - at)


def flip(data, at):
    if not 0 <= at < len(data):
        return data
    data = bytearray(data)
    data[at] ^= 1
    return bytes(data)


def http_date(seconds):
    return email.utils.format_datetime(datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds), True)
