"""The commands beside a running service and without one, and the service's own start: sockets,
settings, TLS."""

import json
import re
import signal
import socket
import ssl
import stat
import subprocess
import time
import urllib.request

import pytest

import crash
import lib

SMALL = lib.number_of("detail-array")
PLAIN = lib.number_of("plain")
OUTCOMES = {"complete": SMALL, "empty": lib.number_of("no-documents"), "partial": lib.number_of("codex-500"),
            "not_found": lib.number_of("not-found-404-json"), "access_denied": lib.number_of("case-sealed-401"),
            "upstream_error": lib.number_of("case-codex-500")}


def one_line(text, *words):
    text = re.sub(r"(?m)^\S+Z \w+ store .*\n", "", text)  # in S3 it was asked first, and that is logged
    assert text.count("\n") == 1 and text.startswith("autos: "), text
    for word in words:
        assert word in text, text
    return text


def files(folder):
    return {p.name: lib.sha256_file(p) for p in folder.iterdir() if p.name != "manifest.json"}


# ---- get and retry through the service ----


def test_get_is_the_same_with_a_service(make_sim, make_service, make_autos):
    """The same folders, the same exit statuses, whoever does the work."""
    sim = make_sim()
    service, alone = make_service(sim), make_autos(sim)
    for outcome, number in OUTCOMES.items():
        a, b = alone.get(number), get(service, number)
        assert (a.status, b.status) == (lib.EXIT[outcome],) * 2, (outcome, a, b)
        assert service.status(number)["outcome"] == outcome
        if (alone.folder(number)).exists():
            assert files(alone.folder(number)) == files(service.folder(number)) and b.out.split()[1] == a.out.split()[1]
            mine, other = service.manifest(number), alone.manifest(number)
            assert [d["sha256"] for d in mine["documents"]] == [d["sha256"] for d in other["documents"]]
            assert [d["file"] for d in mine["documents"]] == [d["file"] for d in other["documents"]]
        else:
            assert not service.folder(number).exists()
    assert service.one("SELECT COUNT(*) FROM job") == len(OUTCOMES)
    assert get(service, *OUTCOMES.values()).status == 6  # the worst of them
    service.stop()
    lib.check_invariants(service, sim)


def get(service, *numbers, **more):
    return service.run("get", "-o", service.out, *numbers, **more)


def test_many_at_once_and_quiet(make_sim, make_service):
    sim = make_sim("--cases", 4, "--documents", 8, "--size", 3000)
    service = make_service(sim)
    numbers = [c["number"] for c in sim.cases("?papers=0") if c["oddity"] == "plain"]
    r = get(service, "--json", *numbers, check=0)
    assert [json.loads(line)["process_number"] for line in r.out.splitlines()] == [lib.masked(n) for n in numbers] or \
        len(r.out.splitlines()) == 4
    r = get(service, "--quiet", *numbers, check=0)
    assert (r.out, r.err) == ("", "")
    assert get(service, "--max-age", "1h", numbers[0], check=0).status == 0
    assert sim.calls("binario") == 32


def test_retry_through_the_service(make_sim, make_service):
    sim = make_sim(script=f"binario case={SMALL} document=2 status=404 body=\"\"\n")
    service = make_service(sim, retry_max=0)
    assert get(service, SMALL).status == 3
    stored = crash.committed(service)
    sim.script("")
    r = service.run("retry", "-o", service.out, SMALL, check=0)
    assert "complete" in r.out
    assert stored <= crash.committed(service)
    again = service.run("retry", "-o", service.out, SMALL)
    assert (again.status, "nothing to try again" in again.err) in ((0, True), (4, True)), again
    assert service.run("retry", "-o", service.out, PLAIN).status == 4
    lib.check_folders(service)


def test_interrupted_while_watching(make_sim, make_service):
    sim = make_sim("--cases", 1, "--documents", 12, "--size", 20000, script="binario drip=2000/100\n")
    service = make_service(sim)
    for turn in range(2):
        p = service.popen("get", "-o", service.out, PLAIN)
        lib.until(lambda: crash.has_tables(service) and sim.stats()["parallel"]["binario"], "documents in flight")
        lib.until(lambda: int(re.search(r"SigCgt:\s*(\w+)", open(f"/proc/{p.pid}/status").read())[1], 16) & 2,
                  "the command to catch signals")
        p.send_signal(signal.SIGINT)
        r = service.finish(p)
        assert r.status == 130, r
        assert "the service goes on" in r.err
        assert service.status(PLAIN)["status"] == "processing"
    sim.script("")
    assert service.finished(PLAIN)["completed_documents"] == 12
    assert service.one("SELECT COUNT(*) FROM job") == 1
    r = get(service, PLAIN, check=0)
    assert len(files(service.folder(PLAIN))) == 12


def test_get_without_a_token(make_sim, make_service):
    service = make_service(make_sim(), start=False)
    service.token_file.unlink()
    service.start()
    r = get(service, SMALL)
    assert r.status == 6 and "autos: the portal token: there is none" in r.err, r
    # The service waits on; with a token it is done.
    service.write_token(service.token)
    assert service.finished(SMALL)["outcome"] == "complete"
    assert get(service, SMALL).status == 0


def test_get_when_the_service_is_killed(make_sim, make_service):
    sim = make_sim("--cases", 1, "--documents", 12, "--size", 20000, script="binario drip=1000/100\n")
    service = make_service(sim)
    p = service.popen("get", "-o", service.out, PLAIN, portal_token_wait="1s")
    lib.until(lambda: sim.stats()["parallel"]["binario"], "documents in flight")
    service.kill()
    sim.script("")
    service.start()
    r = service.finish(p)
    assert r.status in (0, 1), r
    assert get(service, PLAIN, check=0).status == 0
    assert len(files(service.folder(PLAIN))) == 12


def test_status_and_verify_beside_the_service(make_sim, make_service):
    sim = make_sim("--cases", 1, "--documents", 20, "--size", 20000, script="binario calls=5- drip=1000/100\n")
    service = make_service(sim)
    assert service.run("status", PLAIN).status == 4
    service.post(service.path(PLAIN, "jobs"))
    watcher = service.popen("status", PLAIN, "--watch")
    lib.until(lambda: len(crash.committed(service)) > 2, "some documents")
    r = service.run("verify", PLAIN)
    assert r.status == 0 and " 0 bad" in r.out, r
    assert "processing" in service.run("status", PLAIN, check=0).out
    sim.script("")
    service.finished(PLAIN)
    r = service.finish(watcher, check=0)
    assert "20 available, 0 failed, 0 pending" in r.out
    assert json.loads(service.run("status", PLAIN, "--json", check=0).out)["job"]["outcome"] == "complete"
    r = service.run("verify", "--all", check=0)
    assert "20 good, 0 bad, 0 not stored" in r.out


# ---- cancel ----


@pytest.mark.parametrize("running", [True, False])
def test_cancel(make_sim, make_service, running):
    sim = make_sim("--cases", 1, "--documents", 12, "--size", 20000, script="binario drip=100/100\n")
    service = make_service(sim, drain_time="0")
    job = service.post(service.path(PLAIN, "jobs")).json["job_id"]
    lib.until(lambda: sim.stats()["parallel"]["binario"], "documents in flight")
    if not running:
        service.stop()
    assert (service.run("cancel", job, check=0).out, service.one("SELECT state FROM job")) == ("", "cancelled")
    one_line(service.run("cancel", job, check=2).err, "over")
    one_line(service.run("cancel", "77", check=4).err, "77")
    one_line(service.run("cancel", "x7", check=2).err, "x7")
    if running:
        lib.until(lambda: sim.stats()["parallel"]["binario"] == 0, "the transfers to be cut", timeout=5)
    else:
        service.start()
    sim.script("")
    r = service.run("retry", "-o", service.out, PLAIN, check=0)
    assert len(files(service.folder(PLAIN))) == 12


# ---- users and keys ----


@pytest.mark.parametrize("running", [True, False])
def test_users_and_keys(make_sim, make_service, running):
    service = make_service(make_sim(), start=running)

    def me(key):
        if not running:
            service.start()
        a = service.get("/api/v1/users/me", key=key)
        if not running:
            service.stop()
        return a

    r = service.run("user", "create", "ana", "--role", "readonly", "--email", "ana@example.org", check=0)
    first = r.out.strip()
    assert re.fullmatch(r"autos_[A-Za-z0-9_-]{43}", first) and r.err == ""
    service.keys["ana"] = first  # from now on it must not be seen anywhere
    a = me(first)
    assert (a.status, a.json["username"], a.json["role"]) == (200, "ana", "readonly")
    second = service.run("key", "create", "ana", "--expires", "90d", "--label", "second", check=0).out.strip()
    service.keys["ana2"] = second
    assert me(second).status == 200
    users = service.run("user", "list", check=0).out
    assert re.search(r"^\d+ +ana +readonly +yes", users, re.M), users
    keys = service.run("key", "list", "ana", check=0).out
    assert "second" in keys and first not in keys and second not in keys
    ids = [line.split()[0] for line in keys.splitlines()[1:]]
    assert len(ids) == 2
    # Revoked: at once.
    revoked = next(line.split()[0] for line in keys.splitlines() if "second" in line)
    assert service.run("key", "revoke", revoked, check=0).out == ""
    assert me(second).status == 401
    assert me(first).status == 200
    assert "revoked" in service.run("key", "list", "ana", check=0).out
    # Errors are one line, the same in both ways.
    one_line(service.run("user", "create", "ana", check=2).err, "name already")
    one_line(service.run("user", "create", "bad name!", check=2).err)
    one_line(service.run("user", "create", "eva", "--role", "king", check=2).err, "king")
    one_line(service.run("key", "create", "nobody", check=4).err, "nobody")
    one_line(service.run("key", "create", "ana", "--expires", "soon", check=2).err, "soon")
    one_line(service.run("key", "revoke", "4711", check=4).err, "no ", "key")
    one_line(service.run("key", "revoke", "x", check=2).err)
    one_line(service.run("key", "list", "nobody", check=4).err, "nobody")


def test_last_access_is_written(make_sim, make_service):
    service = make_service(make_sim())
    assert service.get("/api/v1/users/me", key="readonly").status == 200
    lib.until(lambda: re.search(r"readonly-of-tests +readonly +yes +\d{4}-", service.run("user", "list", check=0).out),
              "the last access")


# ---- the control socket ----


def test_control_socket(make_sim, make_service):
    service = make_service(make_sim())
    path = service.data_dir / "control.sock"
    st = path.stat()
    assert stat.S_ISSOCK(st.st_mode) and stat.S_IMODE(st.st_mode) == 0o600
    assert stat.S_IMODE(service.data_dir.stat().st_mode) == 0o700
    service.stop()
    assert not path.exists()
    # A killed service leaves its socket; commands see that nobody is there, the next start replaces it.
    service.start()
    service.kill()
    assert path.exists()
    assert service.run("user", "create", "eva", check=0).out.startswith("autos_")
    service.start()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert service.run("user", "create", "rui", check=0).out.startswith("autos_")


def test_data_dir_too_deep_for_a_socket(make_sim, make_service):
    service = make_service(make_sim(), start=False)
    service.data_dir = service.place / ("d" * 90) / "data"
    one_line(service.run("serve", check=1).err, "data_dir", "too long")
    assert get(service, SMALL).status == 0  # without a socket there is no service to be met


@pytest.mark.sqlite
def test_two_services(make_sim, make_service):
    service = make_service(make_sim())
    one_line(service.run("serve", "--listen", "127.0.0.1:0", check=1).err, "autos.db")
    assert service.get("/livez").status == 200
    assert service.run("key", "list", check=0).status == 0  # its socket is still there


@pytest.mark.sqlite
def test_service_and_get_at_the_same_time(make_sim, make_service):
    """While `autos get` works alone, a service is refused; the other way round it helps."""
    sim = make_sim("--cases", 1, "--documents", 12, "--size", 20000, script="binario drip=2000/100\n")
    service = make_service(sim, start=False)
    p = service.popen("get", "-o", service.out, PLAIN)
    lib.until(lambda: sim.stats()["parallel"]["binario"], "documents in flight")
    one_line(service.run("serve", check=1).err, "autos.db")
    sim.script("")
    service.finish(p, check=0)


# ---- starting ----


@pytest.mark.sqlite
def test_roles(make_sim, make_service):
    service = make_service(make_sim(), start=False)
    for role in ("api", "worker"):
        one_line(service.run("serve", "--role", role, check=2).err, role, "sqlite")
    one_line(service.run("serve", "--role", "boss", check=2).err, "boss")
    one_line(service.run("serve", "now", check=2).err)
    assert not service.data_dir.exists()
    service.start("--role", "all")


@pytest.mark.parametrize("settings, names", [
    ({"listen": "nowhere"}, ["listen"]),
    ({"listen": "127.0.0.1:99999"}, ["listen"]),
    ({"wait_default": "50s", "wait_max": "10s"}, ["wait_default"]),
    ({"tls_cert_file": "/absent"}, ["tls_cert_file"]),
    ({"tls_key_file": "/absent"}, ["tls_key_file"]),
    ({"rate_limit_routes": "search=lots"}, ["rate_limit_routes"]),
    ({"environment": "production"}, ["public_url"]),
    ({"environment": "production", "public_url": "http://x"}, ["public_url"]),
    ({"listen": "nowhere", "wait_default": "50s", "wait_max": "10s", "tls_key_file": "/absent",
      "environment": "production", "rate_limit_routes": "x"},
     ["listen", "wait_default", "tls_key_file", "public_url", "rate_limit_routes"]),
])
def test_bad_settings(make_sim, make_service, settings, names):
    service = make_service(make_sim(), start=False)
    r = service.run("serve", check=1, **settings)
    assert r.out == ""
    lines = r.err.splitlines()
    assert [re.match(r"autos: (\w+)", line)[1] for line in lines] == names, r.err
    assert not service.data_dir.exists(), "something was begun"


@pytest.mark.parametrize("settings, word", [
    ({"tls_cert_file": "/absent/cert", "tls_key_file": "/absent/key"}, "tls_cert_file"),
    ({"rate_limit_routes": "no_such_route=3/60s"}, "no_such_route"),
    ({"listen": "192.0.2.1:0"}, "192.0.2.1"),
])
def test_what_is_seen_at_the_start(make_sim, make_service, settings, word):
    service = make_service(make_sim(), start=False)
    r = service.run("serve", check=1, **settings)
    assert r.out == ""
    one_line(r.err, word)


def test_port_in_use(make_sim, make_service):
    service = make_service(make_sim(), start=False)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        address = f"127.0.0.1:{s.getsockname()[1]}"
        r = service.run("serve", "--listen", address, check=1)
    one_line(r.err, address, "in use")
    service.start("--listen", address)  # nothing is left of the failed start


def test_signal_while_it_starts(make_sim, make_service):
    """Whenever it comes: an end in order, or by the signal, and never a hang."""
    service = make_service(make_sim(), start=False)
    for ms in (0, 1, 3, 10, 20, 40):
        p = service.popen("serve")
        time.sleep(ms / 1000)
        p.send_signal(signal.SIGTERM)
        r = service.finish(p)
        assert r.status in (0, -signal.SIGTERM), r
    service.start()


# ---- TLS ----


def make_certificate(place):
    cert, key = place / "cert.pem", place / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    return cert, key


@pytest.mark.folder
def test_tls(make_sim, make_service, place):
    cert, key = make_certificate(place)
    sim = make_sim("--cases", 1, "--documents", 4, "--size", 400000)
    service = make_service(sim, tls_cert_file=cert, tls_key_file=key)
    assert service.url.startswith("https://")
    trust = ssl.create_default_context(cafile=cert)

    def ask(path, key=None, method="GET"):
        req = urllib.request.Request(path if "://" in path else service.url + path, method=method, headers=service.key_header(key))
        with urllib.request.urlopen(req, timeout=lib.PATIENCE, context=trust) as r:
            return r.status, r.read()

    assert ask("/livez") == (200, b"ok")
    with pytest.raises(ssl.SSLError):
        with ssl.create_default_context().wrap_socket(socket.create_connection(("127.0.0.1", service.port)),
                                                      server_hostname="127.0.0.1"):
            pass
    # Plain HTTP gets no answer.
    assert service.get_raw(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n") is None
    assert ask(f"/api/v1/processes/{PLAIN}/jobs", "user", "POST")[0] == 202
    lib.until(lambda: json.loads(ask(f"/api/v1/processes/{PLAIN}/status", "user")[1])["status"] == "completed", "the case")
    links = [d["download_url"] for d in json.loads(ask(f"/api/v1/processes/{PLAIN}/status", "user")[1])["documents"]]
    hashes = {p["sha256"] for p in sim.case(PLAIN)["papers"]}
    for link in links:
        assert link.startswith(service.url + "/files/") or link.startswith("/files/"), link
        assert lib.sha256(ask(link)[1]) in hashes
    assert service.run("key", "list", check=0).status == 0  # the control socket speaks no TLS
    # Many at once, and a drain with a stream and a half-read answer open.
    raw = trust.wrap_socket(socket.create_connection(("127.0.0.1", service.port)), server_hostname="127.0.0.1")
    raw.sendall(f"GET {links[0][len(service.url):] if '://' in links[0] else links[0]} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert raw.recv(12) == b"HTTP/1.1 200"
    service.stop()
    raw.close()


def test_tls_key_of_another(make_sim, make_service, place):
    (place / "other").mkdir()
    cert, _ = make_certificate(place)
    _, key = make_certificate(place / "other")
    service = make_service(make_sim(), start=False)
    r = service.run("serve", check=1, tls_cert_file=cert, tls_key_file=key)
    assert r.out == ""
    one_line(r.err, "tls_cert_file", "tls_key_file")
