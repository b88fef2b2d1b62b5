"""Many clients at once, in one process: raw HTTP/1.1 over asyncio, and what the service takes while
they are there."""

import asyncio
import collections
import http.client
import io
import os
import resource

import api
import crash

# Sanitizers are slow and take several times the memory: the same tests, smaller.
SCALE = int(os.environ.get("SERVICE_SCALE", 4 if crash.SANITIZER else 1))

Reply = collections.namedtuple("Reply", "status headers body")


def raise_limit(wanted):
    """Descriptors for this process and those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard == resource.RLIM_INFINITY or hard >= wanted, f"ulimit -Hn is {hard}, {wanted} are needed"
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def head(service, method, path, key="user", **headers):
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in {**service.key_header(key), **headers}.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def read_reply(reader):
    """One answer that tells its length."""
    text = await reader.readuntil(b"\r\n\r\n")
    line, rest = text.split(b"\r\n", 1)
    headers = http.client.parse_headers(io.BytesIO(rest))
    body = await reader.readexactly(int(headers.get("Content-Length", 0)))
    return Reply(int(line.split()[1]), headers, body)


async def ask(service, method, path, key="user", timeout=120, **headers):
    """Reply, or the error that the connection ended with."""
    async def exchange():
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port, limit=1 << 20)
        try:
            writer.write(head(service, method, path, key, **headers))
            return await read_reply(reader)
        finally:
            writer.close()

    try:
        return await asyncio.wait_for(exchange(), timeout)
    except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as e:
        return e


def ask_all(service, requests, **headers):
    """All (method, path) at the same moment; replies in their order."""
    async def run():
        return await asyncio.gather(*(ask(service, method, path, **headers) for method, path in requests))

    return asyncio.run(run())


def judge(service, method, path, reply):
    """Holds a reply against the description, as Service.call does."""
    assert isinstance(reply, Reply), repr(reply)
    answer = api.Answer(reply.status, reply.headers, reply.body)
    service.judge(method, path, answer)
    return answer


# ---- what the service takes ----


def memory(service):
    """Resident bytes."""
    with open(f"/proc/{service.process.pid}/statm") as f:
        return int(f.read().split()[1]) * resource.getpagesize()


def descriptors(service):
    return len(os.listdir(f"/proc/{service.process.pid}/fd"))


def cpu(service):
    """Seconds of processor time."""
    with open(f"/proc/{service.process.pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
