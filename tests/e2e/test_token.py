"""The token: missing, expired, renewed, dying, and never shown."""

import time

import pytest

import lib
from commands import one_line

pytestmark = pytest.mark.both

NUMBER = lib.number_of("plain")
REALM = "https://sso.cloud.pje.jus.br/auth/realms/pje"


def refused_before_any_call(autos, sim, result):
    assert result.status == 6
    assert result.out == ""
    assert sim.calls() == 0
    one_line(result.err)
    assert not autos.out.exists() or not list(autos.out.iterdir())


def test_missing(autos, sim):
    result = autos.get(NUMBER, env={"AUTOS_PORTAL_TOKEN_FILE": None})
    refused_before_any_call(autos, sim, result)
    assert "portal_token_file" in result.err


@pytest.mark.parametrize("text, word", [("", "empty"), (" \n\t\n", "empty"), ("Bearer \n", "empty"),
                                        ("two words", "blank"), ("x" * 9000, "portal_token_file")])
def test_useless_file(autos, sim, text, word):
    autos.write_token(text)
    result = autos.get(NUMBER)
    refused_before_any_call(autos, sim, result)
    assert word in result.err
    assert "xxxx" not in result.err and "two words" not in result.err


@pytest.mark.parametrize("kind", ["absent", "folder"])
def test_unreadable_file(autos, sim, kind):
    autos.token_file.unlink()
    if kind == "folder":
        autos.token_file.mkdir()
    result = autos.get(NUMBER)
    refused_before_any_call(autos, sim, result)
    assert "portal_token_file" in result.err and str(autos.token_file) in result.err


def test_expired(autos, sim):
    autos.write_token(lib.jwt(exp=int(time.time()) - 60, iss=REALM))
    result = autos.get(NUMBER)
    refused_before_any_call(autos, sim, result)
    assert "expired at 20" in result.err


def test_expired_but_nothing_to_ask(autos, sim):
    """What is stored and young enough needs no token."""
    autos.get(NUMBER, check=0)
    autos.write_token(lib.jwt(exp=int(time.time()) - 60, iss=REALM))
    before = sim.calls()
    autos.get(NUMBER, "--max-age", "1h", check=0)
    assert sim.calls() == before


def test_soon_expiring_warns(autos, sim):
    autos.write_token(lib.make_token(300))
    result = autos.get(NUMBER, check=0)
    assert "warning: the portal token expires in 4 min" in one_line(result.err)


def test_margin_is_a_setting(autos):
    autos.write_token(lib.make_token(300))
    assert autos.get(NUMBER, portal_token_margin="1m", check=0).err == ""


def test_foreign_issuer_warns(make_sim, make_autos):
    token = lib.jwt(exp=int(time.time()) + 3600, iss="https://sso.example/auth/realms/other")
    sim = make_sim("--token", token)
    result = make_autos(sim, token=token).get(NUMBER, check=0)
    assert "warning: " in one_line(result.err) and "realm" in result.err


def test_opaque_token_works(make_sim, make_autos):
    """What is no JWT is tried: the portal decides."""
    sim = make_sim("--token", "opaque-0123456789")
    result = make_autos(sim, token="opaque-0123456789").get(NUMBER, check=0)
    assert "opaque" not in result.err


@pytest.mark.parametrize("form", ["{}\n", "  {}  \r\n\n", "Bearer {}", "bearer {}\n", "\n Bearer   {} \n"])
def test_forms_of_the_file(autos, sim, form):
    autos.write_token(form.format(autos.token))
    assert autos.get(NUMBER, check=0).err == ""
    assert "401" not in sim.stats()["status"]


def test_token_as_setting(autos, sim):
    env = {"AUTOS_PORTAL_TOKEN_FILE": None, "PDPJ_API_TOKEN": "Bearer " + autos.token}
    autos.get(NUMBER, env=env, check=0)


def test_both_are_a_contradiction(autos, sim):
    result = autos.get(NUMBER, portal_token=autos.token)
    assert result.status == 1
    assert "portal_token" in one_line(result.err)
    assert autos.token not in result.err
    assert sim.calls() == 0


def test_renewed_in_the_middle(make_sim, make_autos):
    sim = make_sim("--latency", 20)
    autos = make_autos(sim, portal_parallel=2, portal_parallel_max=2, portal_token_wait="60s")
    p = autos.start_get(NUMBER)
    lib.until(lambda: sim.calls("binario") >= 6, "some documents")
    sim.revoke()
    lib.until(lambda: sim.stats()["status"].get("401", 0) >= 2, "refusals")
    calls = lib.until(lambda: sim.stats()["parallel"]["total"] == 0 and sim.calls(), "silence")
    sim.revoke(False)
    autos.write_token(lib.make_token(7200))
    result = autos.finish(p, check=0)
    lib.expect_case(autos, sim, NUMBER, result.status)
    lib.check_invariants(autos, sim)
    assert calls < sim.calls()


@pytest.mark.sqlite
def test_expired_is_waited_for(autos, sim):
    """With portal_token_wait an expired token is no reason to end, not even at the start."""
    autos.write_token(lib.jwt(exp=int(time.time()) - 60, iss=REALM))
    p = autos.start_get(NUMBER, portal_token_wait="60s")
    lib.until(lambda: (autos.data_dir / "autos.db").exists() and autos.rows(
        "SELECT name FROM sqlite_master WHERE name = 'job'") and autos.rows("SELECT 1 FROM job"), "the job")
    assert sim.calls() == 0
    autos.write_token(autos.token)
    autos.finish(p, check=0)
    lib.expect_case(autos, sim, NUMBER)


def test_wait_ends(make_autos, sim):
    autos = make_autos(sim, portal_token_wait="1s")
    sim.revoke()
    result = autos.get(NUMBER)
    assert result.status == 6
    assert "waiting for a new token" in result.err
    assert "the portal refused the token" in result.err


def test_dies_in_the_middle(make_sim, make_autos):
    """Nothing is failed, nothing that is stored is fetched again."""
    sim = make_sim("--latency", 20)
    autos = make_autos(sim, portal_parallel=2, portal_parallel_max=2)
    p = autos.start_get(NUMBER)
    lib.until(lambda: sim.calls("binario") >= 6, "some documents")
    sim.revoke()
    result = autos.finish(p)
    assert result.status == 6
    assert "autos: the portal refused the token" in result.err
    assert "the same command goes on" in result.err
    assert autos.one("SELECT COUNT(*) FROM document WHERE state = 'failed'") == 0
    assert autos.rows("SELECT state FROM job")[0][0] == "pending"
    lib.check_invariants(autos, sim)

    stored = {r[0] for r in autos.rows("SELECT doc_id FROM document WHERE state = 'available'")}
    assert len(stored) >= 4
    before = sim.stats()
    sim.revoke(False)
    lib.expect_case(autos, sim, NUMBER, autos.get(NUMBER).status)
    after = sim.stats()
    for doc in stored:
        assert after["documents"][doc] == before["documents"][doc]
    assert after["calls"]["binario"] - before["calls"]["binario"] == 40 - len(stored)
    lib.check_invariants(autos, sim)


def test_dead_from_the_start(autos, sim):
    sim.revoke()
    result = autos.get(NUMBER)
    assert result.status == 6
    assert "the portal refused the token" in result.err
    assert sim.calls() <= 3
    assert autos.rows("SELECT state FROM job")[0][0] == "pending"


def test_expires_while_working(make_sim, make_autos):
    """Past its end a token is not used at all, whatever the portal would say."""
    sim = make_sim("--latency", 100)
    autos = make_autos(sim, token=lib.make_token(2), portal_parallel=1, portal_parallel_max=1)
    result = autos.get(NUMBER)
    assert result.status == 6
    assert "expired at 20" in result.err
    assert "401" not in sim.stats()["status"]
    assert autos.one("SELECT COUNT(*) FROM document WHERE state = 'failed'") == 0
    lib.check_invariants(autos, sim)


def test_never_shown(make_sim, make_autos):
    """Neither in a log line nor in the arguments that every user of the machine may read."""
    sim = make_sim("--latency", 10)
    autos = make_autos(sim, log_level="debug")
    p = autos.start_get(NUMBER)
    lib.until(lambda: sim.calls("binario") >= 3, "some documents")
    with open(f"/proc/{p.pid}/cmdline", "rb") as f:
        shown = f.read()
    with open(f"/proc/{p.pid}/environ", "rb") as f:
        shown += f.read()
    result = autos.finish(p, check=0)
    assert result.err.count("portal answer") >= 42
    for part in autos.token.split("."):
        assert part.encode() not in shown
        assert part not in result.err + result.out
    for path in autos.place.rglob("*"):
        if path.is_file() and path != autos.token_file:
            assert autos.token.split(".")[1].encode() not in path.read_bytes(), path


def test_refused_token_is_not_logged(autos, sim):
    sim.revoke()
    result = autos.get(NUMBER, log_level="debug")
    assert "token refused" in result.err
    for part in autos.token.split("."):
        assert part not in result.err


def test_never_leaves_the_portal(autos, sim):
    """Other hosts are not even asked, and those that are allowed only over https."""
    number = lib.number_of("href-foreign")
    other = f"127.0.0.2:{sim.port}"
    for settings in ({}, {"portal_hosts": other}, {"portal_hosts": "127.0.0.2"}):
        autos.get(number, check=3, **settings)
        stats = sim.stats()
        assert stats["foreign_calls"] == 0 and stats["bearer_elsewhere"] == 0
    lib.expect_case(autos, sim, number)


def test_dead_token_answered_with_500(autos, sim):
    """Seen on the portal: nothing tells it from a failing portal, and the same command heals it."""
    sim.revoke(status=500)
    autos.get(NUMBER, check=6)
    sim.revoke(False)
    lib.expect_case(autos, sim, NUMBER, autos.get(NUMBER).status)
    lib.check_invariants(autos, sim)


def test_dies_as_500_in_the_middle(make_sim, make_autos):
    sim = make_sim("--latency", 20)
    autos = make_autos(sim, portal_parallel=2, portal_parallel_max=2)
    p = autos.start_get(NUMBER)
    lib.until(lambda: sim.calls("binario") >= 6, "some documents")
    sim.revoke(status=500)
    autos.finish(p, check=3)
    lib.check_invariants(autos, sim)
    sim.revoke(False)
    stored = autos.one("SELECT COUNT(*) FROM document WHERE state = 'available'")
    before = sim.calls("binario")
    autos.get(NUMBER, check=0)
    assert sim.calls("binario") - before == 40 - stored
    lib.expect_case(autos, sim, NUMBER)
    lib.check_invariants(autos, sim)
