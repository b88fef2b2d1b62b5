"""Download links: whole, in parts, tampered with, expired; and what strangers' bytes may do."""

import re
import struct
import urllib.parse

import pytest

import crash
import lib

pytestmark = pytest.mark.both

CASE = "9910000-32.2024.8.26.0100"
WILD, KINDS, PAGES = map(lib.number_of, ("names-wild", "kinds", "tiny-html"))


@pytest.fixture(scope="module")
def stored(shared):
    """(service, its documents, one link with its bytes)."""
    service, sim = shared
    service.get(service.path(CASE))
    service.finished(CASE)
    documents = service.get(service.path(CASE, "files?sort_by=size&sort_order=asc")).json["documents"]
    path = documents[20]["download_url"].removeprefix(service.url)
    return service, path, service.fetch(path).body


def ask(service, path, **headers):
    return service.fetch(path, {k.replace("_", "-"): v for k, v in headers.items()})


@pytest.mark.parametrize("spec, first, last", [
    ("bytes=0-0", 0, 0), ("bytes=0-99", 0, 99), ("bytes=100-199", 100, 199), ("bytes=-5", -5, None), ("bytes=7-", 7, None),
    ("bytes=0-99999999", 0, None), ("bytes=-99999999", 0, None), ("BYTES=3-4", 3, 4)])
def test_ranges(stored, spec, first, last):
    service, path, body = stored
    n = len(body)
    first = n + first if first < 0 else first
    last = n - 1 if last is None else last
    a = ask(service, path, Range=spec)
    assert (a.status, a.body) == (206, body[first:last + 1])
    assert a.headers["Content-Range"] == f"bytes {first}-{last}/{n}" and a.headers["Content-Length"] == str(last + 1 - first)


@pytest.mark.folder
@pytest.mark.parametrize("spec", ["bytes=0-1,5-6", "bytes=x", "bytes=5-4", "lines=1-2", "bytes=", "", "bytes=--5", "bytes=1-2-3", "bytes 0-5"])
def test_unusable_ranges_give_the_whole(stored, spec):
    service, path, body = stored
    a = ask(service, path, Range=spec)
    assert (a.status, a.body) == (200, body) and a.headers["Accept-Ranges"] == "bytes"


@pytest.mark.folder
@pytest.mark.parametrize("first", ["{n}", "999999999", "-0", "9223372036854775807"])
def test_ranges_behind_the_end(stored, first):
    service, path, body = stored
    spec = first.format(n=len(body)) + ("" if first == "-0" else "-")
    a = ask(service, path, Range="bytes=" + spec)
    assert (a.status, a.headers["Content-Range"]) == (416, f"bytes */{len(body)}")


@pytest.mark.folder
def test_conditions(stored):
    service, path, body = stored
    tag = ask(service, path).headers["ETag"]
    assert not tag.startswith("W/")
    for value in (tag, "*", f'"x", {tag}', "W/" + tag):
        assert ask(service, path, If_None_Match=value).status == 304
    assert ask(service, path, If_None_Match='"x"').status == 200
    assert ask(service, path, Range="bytes=0-9", If_Range=tag).status == 206
    for other in ('"x"', "W/" + tag, "Tue, 24 Nov 2026 00:00:00 GMT"):
        a = ask(service, path, Range="bytes=0-9", If_Range=other)
        assert (a.status, a.body) == (200, body)
    a = service.call("HEAD", path, key=None)
    assert (a.status, a.headers["Content-Length"], a.body) == (200, str(len(body)), b"")


def test_a_part_after_the_other(stored):
    """As a resumed download does it."""
    service, path, body = stored
    got = b""
    while len(got) < len(body):
        got += ask(service, path, Range=f"bytes={len(got)}-{len(got) + len(body) // 5}").body
    assert got == body


# ---- who may ----


def parts(path):
    where, query = path.split("?")
    return where, dict(urllib.parse.parse_qsl(query))


def put_together(where, query):
    return where + "?" + urllib.parse.urlencode(query)


@pytest.mark.folder
def test_tampered_links(stored):
    service, path, _ = stored
    where, query = parts(path)
    assert ask(service, put_together(where, query)).status == 200
    for name, value in (("name", "other.pdf"), ("type", "text/html"), ("expires", str(int(query["expires"]) + 1)),
                        ("signature", "0" * 64), ("signature", query["signature"][:-1]), ("signature", query["signature"].upper()),
                        ("signature", query["signature"] + "0"), ("expires", "0" + query["expires"] + "0")):
        if query[name] != value:
            a = ask(service, put_together(where, {**query, name: value}))
            assert a.status == 403 and a.problem == "invalid-link", (name, value)
    other = where.replace("documentos", "documentoz")
    assert ask(service, put_together(other, query)).problem == "invalid-link"
    for name in query:
        assert ask(service, put_together(where, {k: v for k, v in query.items() if k != name})).problem == "invalid-parameter"
    for value in ("x", "-1", "1e9", "", "9" * 40, " 1"):
        assert ask(service, put_together(where, {**query, "expires": value})).problem == "invalid-parameter"


@pytest.mark.folder
@pytest.mark.parametrize("key", ["../autos.db", "..%2fautos.db", "%2e%2e/autos.db", "processos/../../autos.db", "processos/%2e%2e/%2e%2e/autos.db",
                                 "/etc/passwd", "%2Fetc%2Fpasswd", "processos//x", "tmp/x", ".", "..", "processos/.hidden", "a%00b", "a%0ab",
                                 "a\\..\\b", "", "a" * 600, "/".join("a" * 60)])
def test_paths_lead_nowhere(stored, key):
    """Not even with a signature that somebody found: the key is checked by itself, and first."""
    service, path, _ = stored
    a = ask(service, f"/files/{key}?{path.split('?')[1]}")
    assert a.status in (400, 403, 404) and b"root:" not in a.body and b"SQLite" not in a.body


@pytest.mark.folder
def test_links_end(make_service, sim, place):
    clock = place / "clock"
    clock.write_bytes(struct.pack("q", 0))
    library = lib.BUILD / "tests" / "clockjump.so"
    s = make_service(sim, start=False, link_ttl="600")
    s.start(env={**crash.preload(library), "CLOCK_FILE": str(clock)})
    s.get(s.path(CASE))
    s.finished(CASE)
    old = s.status(CASE)["documents"][0]["download_url"]
    assert s.fetch(old).status == 200
    left = s.get(s.path(CASE, "files")).json["documents"][0]["expires_in"]
    assert 550 <= left <= 600
    with open(clock, "r+b") as f:
        f.write(struct.pack("q", (left + 1) * 1000))
    assert s.fetch(old).problem == "invalid-link"
    assert s.fetch(s.status(CASE)["documents"][0]["download_url"]).status == 200
    a = s.get(s.path(CASE, "documents", s.status(CASE)["documents"][0]["id"], "content"), key="readonly")
    assert s.fetch(a.headers["Location"]).status == 200


def test_links_outlive_a_restart(service):
    service.get(service.path(CASE))
    service.finished(CASE)
    link = service.status(CASE)["documents"][0]["download_url"]
    service.stop()
    service.start()
    assert service.fetch(link).status == 200


# ---- what strangers' bytes may do ----


def files(service, number):
    service.get(service.path(number))
    service.finished(number)
    return service.get(service.path(number, "files?limit=500&filter_downloaded=true")).json["documents"]


@pytest.mark.folder
def test_names(stored):
    service = stored[0]
    for d in files(service, WILD):
        a = service.fetch(d["download_url"])
        value = a.headers["Content-Disposition"]
        found = re.fullmatch(r"attachment; filename=\"([ !#-\[\]-~]*)\"(; filename\*=UTF-8''([!#$&+.^_`|~0-9A-Za-z%-]+))?", value)
        assert found, value
        name = urllib.parse.unquote(found[3], errors="strict") if found[3] else found[1]
        assert name == urllib.parse.parse_qs(urllib.parse.urlsplit(d["download_url"]).query)["name"][0]
        assert not re.search(r"[/\\\0-\x1f\x7f]", name) and len(name.encode()) <= 255 and name not in (".", "..")


@pytest.mark.folder
@pytest.mark.parametrize("number", [KINDS, PAGES])
def test_nothing_runs_as_a_page_of_ours(stored, number):
    service = stored[0]
    kinds = set()
    for d in files(service, number):
        a = service.fetch(d["download_url"])
        kinds.add(a.headers.get_content_type())
        assert a.headers.get_content_type() == d["mime_type"]
        assert a.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
        assert a.headers["X-Content-Type-Options"] == "nosniff"
        assert a.headers["Content-Disposition"].startswith("attachment")
        assert a.headers["Referrer-Policy"] == "no-referrer"
        assert a.headers["Cache-Control"].startswith("private")
    assert "text/html" in kinds
