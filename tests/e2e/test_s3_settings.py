"""The settings of a store in S3: credentials, what is found out about the server, and one clear line for
whatever cannot work."""

import json
import re
import struct
import subprocess

import pytest

import crash
import lib
import rados
import s3fault
import s3proxy
import stores
from commands import PLAIN, SMALL, one_line

WILD = lib.number_of("names-wild")


# ---- credentials ----


CLOUD = {
    "access": ("s3_access_key", "AWS_ACCESS_KEY_ID"), "secret": ("s3_secret_key", "AWS_SECRET_ACCESS_KEY"),
}


@pytest.mark.parametrize("how", ["aws", "files", "mixed"])
def test_credentials_as_other_tools_read_them(make_autos, bucket, sim, place, how):
    a, env, settings = bucket.account, {}, {"s3_access_key": None, "s3_secret_key": None}
    for name, value in (("access", a.access), ("secret", a.secret)):
        setting, variable = CLOUD[name]
        if how == "aws" or how == "mixed" and name == "access":
            env[variable] = value
        else:
            path = place / name
            path.write_text(value + "\n")
            path.chmod(0o600)
            settings[setting + "_file"] = path
    if how == "aws":
        env |= {"AWS_ENDPOINT_URL_S3": bucket.endpoint, "AWS_REGION": rados.REGION}
        settings["store_url"] = f"s3://{bucket.name}/{bucket.prefix}"
    autos = make_autos(sim, store=bucket, **settings)
    lib.expect_case(autos, sim, SMALL, autos.get(SMALL, env=env).status)
    lib.check_invariants(autos, sim)


@pytest.mark.parametrize("settings, word", [
    ({"s3_access_key": None}, "s3_access_key"),
    ({"s3_secret_key": None}, "s3_secret_key"),
    ({"s3_access_key": None, "s3_secret_key": None}, "s3_access_key"),
    ({"s3_secret_key": None, "s3_secret_key_file": "/absent/secret"}, "/absent/secret"),
    ({"store_url": "s3://"}, "store_url"),
    ({"store_url": "s3://bad!bucket"}, "store_url"),
    ({"store_url": "s3://bucket/a//b"}, "store_url"),
    ({"store_url": "s3://bucket/a b"}, "store_url"),
    ({"store_url": "s3://bucket?endpoint=ftp://x"}, "endpoint"),
    ({"store_url": "s3://bucket?speed=1"}, "speed"),
    ({"store_url": "s3://bucket?path_style=maybe"}, "path_style"),
    ({"store_url": "gs://bucket"}, "store_url"),
    ({"s3_part_size": "4M"}, "s3_part_size"),
    ({"s3_multipart_from": "6G"}, "s3_multipart_from"),
    ({"s3_parallel": "0"}, "s3_parallel"),
    ({"s3_part_parallel": "17"}, "s3_part_parallel"),
    ({"link_ttl": "8d"}, "link_ttl"),
])
def test_bad_settings(make_autos, bucket, sim, settings, word):
    """One line before anything begins."""
    autos = make_autos(sim, store=bucket, **settings)
    for command in (["get", "-o", autos.out, SMALL], ["store", "check"]):
        result = autos.run(*command)
        assert result.status in (1, 2) and result.out == "", result
        assert word in one_line(result.err), result.err
    assert sim.calls() == 0


def test_config_hides_secrets(make_autos, bucket, sim):
    autos = make_autos(sim, store=bucket, s3_session_token="token-that-nobody-sees")
    result = autos.run("config", check=0)
    assert "s3_secret_key = ***" in result.out and "s3_session_token = ***" in result.out
    assert bucket.account.secret not in result.out + result.err and "token-that-nobody-sees" not in result.out


def test_nothing_secret_in_a_debug_log(make_service, bucket, sim):
    service = make_service(sim, store=bucket, log_level="debug")
    service.get(service.path(WILD))
    service.finished(WILD)
    service.call("DELETE", service.path(WILD), key="admin")
    service.stop()
    text = "".join(service.captured)
    papers = sim.case(WILD)["papers"]
    lib.check_private(text, [p["name"] for p in papers if p["name"]], [service.token, bucket.account.secret])
    assert "X-Amz-Signature" not in text and "Signature=" not in text


def test_a_forward_proxy(make_autos, bucket, proxy, sim):
    autos = make_autos(sim, store=bucket, s3_proxy=proxy.url)
    lib.expect_case(autos, sim, SMALL, autos.get(SMALL).status)
    assert proxy.log and all(e.target.startswith(bucket.endpoint + "/") for e in proxy.log)
    crash.check_error(autos.get(PLAIN[0], s3_proxy="http://127.0.0.1:1"), says="cannot reach")


# ---- what the probe found ----


def checked(autos, *args, **more):
    return autos.run("store", "check", *args, **more)


def facts(text):
    """What the probe found: {"conditional writes": "yes", …}."""
    line = re.search(r"probe  \S+: (.*)$", text, re.M)[1]
    return dict(re.fullmatch(r"(.*) (yes|no|agree)", fact).groups() for fact in line.split(", "))


def test_check(make_autos, bucket, sim):
    autos = make_autos(sim, store=bucket)
    for args in ((), (bucket.url(),)):
        result = checked(autos, *args, check=0)
        lines = dict(line.split("  ", 1) for line in result.out.splitlines())
        assert result.err == ""
        assert (lines["endpoint"], lines["bucket"]) == (f"{bucket.endpoint}, region us-east-1", bucket.name)
        assert (lines["prefix"], lines["access key"], lines["write"]) == (bucket.prefix + "/", bucket.account.access, "ok")
        assert set(facts(result.out).values()) == {"yes", "agree"} and len(facts(result.out)) == 8
        assert bucket.account.secret not in result.out
    assert bucket.everything() == {} and bucket.uploads() == []
    assert sim.calls() == 0


def test_check_of_a_folder(make_autos, sim, place):
    autos = make_autos(sim, store=stores.Folder())
    assert checked(autos, check=0).out
    (place / "file").write_text("x")
    result = checked(autos, f"dir:{place}/file")
    assert result.status == 1 and "file" in one_line(result.err)


def test_the_probe_is_remembered(make_autos, proxied, proxy, sim):
    autos = make_autos(sim, store=proxied)
    autos.get(SMALL, check=0)
    probes = proxy.requests(path="/autos-probe/")
    [memory] = autos.data_dir.glob("store-probe*.json")
    assert probes and json.loads(memory.read_text()) and proxied.account.secret not in memory.read_text()
    proxy.forget()
    autos.get(SMALL, PLAIN[0], check=0)
    assert proxy.requests(path="/autos-probe/") == []
    assert "# store probe  " in autos.run("config", check=0).out
    # Not of another bucket, and not of another account.
    other = proxied.url().replace(f"s3://{proxied.name}/{proxied.prefix}", f"s3://{proxied.name}/elsewhere")
    autos.get(lib.number_of("tiny-html"), store_url=other, check=0)
    assert proxy.requests(path="/autos-probe/")
    assert [key for key in proxied.everything() if "autos-probe" in key] == []


@pytest.mark.parametrize("memory", [b"", b"{", b"[]", b'{"version": 1}', b"\0" * 300, "folder"])
def test_a_broken_memory_is_no_trouble(make_autos, proxied, proxy, sim, memory):
    autos = make_autos(sim, store=proxied)
    checked(autos, check=0)
    proxy.forget()
    [path] = autos.data_dir.glob("store-probe*.json")
    path.unlink()
    path.mkdir() if memory == "folder" else path.write_bytes(memory)
    lib.expect_case(autos, sim, SMALL, autos.get(SMALL).status)
    assert proxy.requests(path="/autos-probe/")


def test_readyz_knows_the_store(make_service, proxied, proxy, sim):
    service = make_service(sim, store=proxied)
    store = lambda: next(c for c in service.get("/readyz", key=None).json["checks"] if c["name"] == "store")  # noqa: E731
    assert store()["ok"]
    proxy.shut()
    lib.until(lambda: not store()["ok"], "the store to be missed")
    assert service.get("/readyz", key=None).status == 503
    proxy.listen()
    lib.until(lambda: store()["ok"], "the store to be found again")


# ---- one clear line ----


class Wrong:
    """Settings that cannot work, and what has to be said of them."""

    def __init__(self, says, fault=None, clock=0, account=None, waits=False, method=None, **settings):
        self.says, self.fault, self.clock, self.account, self.settings = says, fault, clock, account, settings
        self.waits = waits  # a service does not end, but waits for it to heal
        self.method = method


REGIONS = ("AuthorizationHeaderMalformed", "the authorization header is malformed; the region 'us-east-1' is wrong; expecting 'sa-east-1'")
WRONG = {
    "bucket": Wrong(r"bucket 'autos-absent' does not exist", store_url="s3://autos-absent/x?endpoint={endpoint}"),
    "access key": Wrong(r"access key .*AKIANOBODY.* is not known", s3_access_key="AKIANOBODY0000000000"),
    "secret key": Wrong(r"secret key.*wrong|wrong.*secret key", s3_secret_key="x" * 40),
    "region 400": Wrong(r"region.*sa-east-1", s3fault.answer(400, REGIONS[0], REGIONS[1], Region="sa-east-1")),
    "region 301": Wrong(r"region.*sa-east-1", s3fault.answer(301, "PermanentRedirect", headers={"x-amz-bucket-region": "sa-east-1"})),
    "clock ahead": Wrong(r"clock of this machine is (59|60) min ahead of the S3 server's", clock=3600),
    "clock behind": Wrong(r"clock of this machine is (59|60) min behind the S3 server's", clock=-3600),
    "stranger": Wrong(r"may not put", account="stranger"),
    "no puts": Wrong(r"may not put", s3fault.answer(403, "AccessDenied"), method="PUT"),
    "closed port": Wrong(r"cannot reach", waits=True, store_url="s3://{bucket}/x?endpoint=http://127.0.0.1:1"),
    "no such host": Wrong(r"cannot reach", waits=True, store_url="s3://{bucket}/x?endpoint=http://no-such-host.invalid"),
    "hotel": Wrong(r"not.* S3|S3.* not", s3fault.page()),
    "no TLS": Wrong(r"cannot reach|TLS|SSL", waits=True, store_url="s3://{bucket}/x?endpoint=https://127.0.0.1:{plain}"),
}


@pytest.fixture
def broken(make_autos, make_service, proxied, proxy, sim, place):
    """Makes a program whose settings are wrong; gives it and the environment that it needs."""

    def make(name, make_one, **more):
        wrong = WRONG[name]
        if wrong.fault:
            proxy.fault(wrong.fault, wrong.method)
        settings = {k: v.format(endpoint=proxied.endpoint, bucket=proxied.name, plain=proxied.server.port) for k, v in wrong.settings.items()}
        if wrong.account:
            account = getattr(proxied.server, wrong.account)
            settings |= {"s3_access_key": account.access, "s3_secret_key": account.secret}
        env = {}
        if wrong.clock:
            (place / "clock").write_bytes(struct.pack("q", wrong.clock * 1000))
            env = {**crash.preload(crash.CLOCK), "CLOCK_FILE": str(place / "clock")}
        # A token that is good by either clock.
        return make_one(sim, store=proxied, token=lib.make_token(86400), **settings, **more), env

    return make


@pytest.mark.parametrize("name", WRONG)
def test_check_says_what_is_wrong(broken, make_autos, bucket, name):
    autos, env = broken(name, make_autos)
    result = checked(autos, env=env)
    assert result.status == 1, result
    assert re.search(WRONG[name].says, one_line(result.err)), result.err
    lib.check_private(result.err, (), [bucket.account.secret])


@pytest.mark.parametrize("name", WRONG)
def test_get_says_what_is_wrong(broken, make_autos, sim, name):
    autos, env = broken(name, make_autos)
    result = autos.get(SMALL, env=env)
    crash.check_error(result, says=WRONG[name].says)
    assert not autos.rows("SELECT 1 FROM document WHERE state IN ('failed', 'available')") if crash.has_tables(autos) else True
    lib.check_invariants(autos)


@pytest.mark.parametrize("name", WRONG)
def test_serve_says_what_is_wrong(broken, make_service, name):
    """At once, unless it may heal by itself: then it starts, is not ready, and waits."""
    service, env = broken(name, make_service, start=False)
    if not WRONG[name].waits:
        result = service.run("serve", env=env, check=1)
        said = [line for line in result.err.splitlines() if line.startswith("autos: ")]  # beside the log
        assert result.out == "" and len(said) == 1 and re.search(WRONG[name].says, said[0]), result.err
        return
    service.start(env=env)
    a = service.get("/readyz", key=None)
    assert a.status == 503 and not next(c for c in a.json["checks"] if c["name"] == "store")["ok"]
    assert service.get("/livez", key=None).status == 200


@pytest.mark.parametrize("seconds, says", [(3600, "behind"), (-3600, "ahead of")])
def test_check_shows_a_skewed_clock(make_autos, proxied, proxy, sim, seconds, says):
    """Also where the server does not mind (yet)."""
    proxy.fault(s3fault.date(seconds))
    result = checked(make_autos(sim, store=proxied), check=0)
    assert re.search(rf"^probe .* our clock (3599|3600|3601) s {says} the server's$", result.out, re.M), result


# ---- TLS ----


@pytest.fixture
def https(s3, place):
    """A proxy that speaks TLS, with a certificate of an authority that nobody knows: (proxy, the authority)."""
    def openssl(*args):
        subprocess.run(["openssl", *map(str, args)], cwd=place, check=True, capture_output=True, timeout=lib.PATIENCE)

    (place / "ext").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:*.localhost\nbasicConstraints=CA:FALSE\n")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
            "-subj", "/CN=authority of the tests", "-days", 2)
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem", "-out", "req.pem",
            "-subj", "/CN=127.0.0.1")
    openssl("x509", "-req", "-in", "req.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", 2, "-extfile", "ext",
            "-out", "cert.pem")
    proxy = s3proxy.Proxy(s3.port, tls=(place / "cert.pem", place / "key.pem"))
    yield proxy, place / "ca.pem"
    proxy.stop()


@pytest.mark.parametrize("how", ["setting", "environment"])
def test_own_authority(make_autos, bucket, https, sim, how):
    proxy, authority = https
    bucket.endpoint = proxy.url
    autos = make_autos(sim, store=bucket)
    more = {"s3_ca_file": authority} if how == "setting" else {"env": {"AWS_CA_BUNDLE": authority}}
    lib.expect_case(autos, sim, SMALL, autos.get(SMALL, **more).status)
    checked(autos, check=0, **more)
    lib.check_invariants(autos, sim)


def test_unknown_authority(make_autos, bucket, https, sim):
    proxy, _ = https
    bucket.endpoint = proxy.url
    autos = make_autos(sim, store=bucket)
    assert re.search("certificate", one_line(checked(autos).err))
    crash.check_error(autos.get(SMALL), says="certificate")
    assert proxy.log == []
