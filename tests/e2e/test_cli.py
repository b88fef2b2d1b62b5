"""The commands as a user meets them: words, numbers, streams, exit statuses, settings, versions."""

import json
import os
import pty
import re
import select
import sqlite3
import time

import pytest

import lib
from commands import PARTIAL, PLAIN, SMALL, one_line

COMMANDS = ["get", "retry", "status", "verify", "config", "migrate", "version"]


# ---- words ----


@pytest.mark.parametrize("command", COMMANDS)
def test_help(make_autos, command):
    result = make_autos("http://127.0.0.1:1").run(command, "--help", check=0)
    assert result.err == ""
    assert result.out.startswith(f"usage: autos {command}")


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_help_of_all(make_autos, word):
    result = make_autos("http://127.0.0.1:1").run(word, check=0)
    for command in COMMANDS:
        assert f"\n  {command} " in result.out
    assert result.err == ""


def test_no_command(make_autos):
    assert make_autos("http://127.0.0.1:1").run().status == 2


@pytest.mark.parametrize("args", [
    ["fetch"],
    ["get"],
    ["get", "--fast"],
    ["get", SMALL, "-o"],
    ["get", SMALL, "--max-age"],
    ["get", SMALL, "--max-age", "soon"],
    ["get", SMALL, "--max-age", "-1"],
    ["get", SMALL, "--watch"],
    ["get", SMALL, "--all"],
    ["get", "123"],
    ["get", ""],
    ["get", "a case"],
    ["get", SMALL + "1"],
    ["get", "9900001-56.2024.8.26.0100"],
    ["get", SMALL, "123"],
    ["retry"],
    ["retry", SMALL, "--max-age", "1h"],
    ["status"],
    ["status", SMALL, PARTIAL],
    ["status", SMALL, "--quiet"],
    ["verify"],
    ["verify", SMALL, "--all"],
    ["verify", "0"],
    ["config", "--json"],
    ["config", "portal_url"],
    ["migrate", "now"],
    ["version", "now"],
])
def test_usage_errors(autos, sim, args):
    result = autos.run(*args)
    assert result.status == 2, result
    assert result.out == ""
    assert one_line(result.err).startswith("autos")
    assert sim.calls() == 0
    assert not autos.data_dir.exists()


@pytest.mark.parametrize("setting", ["portal_speed=1", "portal_pace", "portal_pace=fast", "portal_parallel=0",
                                     "portal_url=ftp://x/", "log_level=loud", "lease_time=1ms"])
def test_bad_settings(autos, sim, setting):
    result = autos.get(SMALL, "--set", setting)
    assert result.status == 1
    assert setting.split("=")[0] in one_line(result.err)
    assert sim.calls() == 0


def test_unknown_setting_in_file_and_environment(autos):
    f = autos.place / "autos.conf"
    f.write_text("# ours\nportal_pace = 1s\nportal_speed = 3\n")
    result = autos.run("config", "--config", f)
    assert result.status == 1 and "portal_speed" in one_line(result.err)
    result = autos.run("config", env={"AUTOS_PORTAL_SPEED": "3"})
    assert result.status == 1 and "portal_speed" in one_line(result.err).lower()
    result = autos.run("config", "--config", autos.place / "absent")
    assert result.status == 1 and "absent" in one_line(result.err)


# ---- numbers ----


def test_wrong_check_digits(autos):
    result = autos.get("9900001-56.2024.8.26.0100")
    assert result.status == 2
    assert "wrong check digits 56" in one_line(result.err) and "55 would be right" in result.err


@pytest.mark.parametrize("form", [
    "9900001-55.2024.8.26.0100", "99000015520248260100", " 9900001-55.2024.8.26.0100 ",
    "9900001 55 2024 8 26 0100", "9900001-55.2024.8.26.0100\n",
])
def test_forms_of_a_number(autos, form):
    autos.get(form, check=0)
    assert autos.manifest(SMALL)["process_number"] == lib.digits(SMALL)


def test_same_number_twice(autos, sim):
    result = autos.get(SMALL, lib.digits(SMALL), SMALL, check=0)
    assert result.out.count("\n") == 1
    assert sim.stats()["calls"] == {"list": 1, "detail": 1, "binario": 6, "texto": 0, "other": 0}


@pytest.mark.both
def test_several_numbers(autos, sim):
    numbers = [SMALL, PARTIAL, lib.number_of("not-found-404-json")]
    result = autos.get(*numbers)
    assert result.status == 4
    lines = result.out.splitlines()
    assert [line.split("  ")[:2] for line in lines] == [
        [SMALL, "complete"], [PARTIAL, "partial"], [numbers[2], "not_found"]]
    assert lines[0].endswith(f"  {autos.out}/{SMALL}")
    assert "6 of 8 documents" in lines[1]
    lib.check_invariants(autos, sim)


def test_bad_number_among_good_ones_begins_nothing(autos, sim):
    result = autos.get(SMALL, "9900001-56.2024.8.26.0100", "12")
    assert result.status == 2 and result.err.count("\n") == 2
    assert sim.calls() == 0


def test_unknown_case(autos, sim):
    result = autos.get("0000001-39.2024.8.26.0100")
    assert result.status == 4
    assert "not_found" in result.out
    assert not (autos.out / "0000001-39.2024.8.26.0100").exists()


# ---- streams ----


@pytest.mark.both
def test_json_is_one_manifest_a_case(autos, sim):
    numbers = [SMALL, PARTIAL, lib.number_of("case-sealed-403"), lib.number_of("no-documents")]
    result = autos.get("--json", *numbers)
    assert result.status == 5
    lines = result.out.splitlines()
    assert len(lines) == 4
    for line, number in zip(lines, numbers):
        m = json.loads(line)
        lib.check_seal(m)
        assert m["masked_number"] == number
        assert (autos.folder(number) / "manifest.json").read_text() == line + "\n"
    lib.check_invariants(autos, sim)


def test_quiet(autos):
    result = autos.get("-q", SMALL, check=0)
    assert (result.out, result.err) == ("", "")
    result = autos.get("--quiet", "--json", SMALL, check=0)
    assert result.err == "" and result.out.count("\n") == 1


@pytest.mark.both
@pytest.mark.parametrize("name", ["detail-array", "codex-500", "names-wild", "rate-429-seconds", "everything"])
def test_plain_output_when_piped(autos, name):
    number = lib.number_of(name)
    texts = [*autos.get(number)[1:], *autos.run("status", number)[1:], *autos.run("verify", number)[1:]]
    for text in texts:
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\x80-\x9f]", text), text


def on_terminal(autos, *args, **settings):
    """Everything that appears on a terminal of 100 columns, and the exit status."""
    leader, follower = pty.openpty()
    import fcntl
    import struct
    import termios
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    p = autos.popen(*args, stdout=follower, stderr=follower, **settings)
    os.close(follower)
    text = b""
    deadline = time.monotonic() + lib.PATIENCE
    while time.monotonic() < deadline:
        if not select.select([leader], [], [], 0.2)[0]:
            continue
        try:
            piece = os.read(leader, 65536)
        except OSError:  # nobody has it open any more
            break
        if not piece:
            break
        text += piece
    os.close(leader)
    return p.wait(lib.PATIENCE), text.decode(errors="replace")


def test_progress_on_a_terminal(make_sim, make_autos):
    sim = make_sim("--latency", 40)
    autos = make_autos(sim)
    status, text = on_terminal(autos, "get", "-o", autos.out, PLAIN[0], portal_parallel=1, portal_parallel_max=1)
    assert status == 0
    frames = re.findall(r"\r(\[[#-]+\] [^\r\x1b]*)", text)
    assert len(frames) >= 3
    for frame in frames:
        assert len(frame) < 100
        assert re.search(r"\] \d+/\d+ documents  [\d.]+ k?M?B  [\d.]+ k?M?B/s", frame), frame
    assert any(re.search(r"/40 documents.* s left", f) for f in frames)
    assert any("#" in f for f in frames)
    # The bar is gone in the end, and the summary stands alone.
    assert re.search(r"\r\x1b\[K" + re.escape(PLAIN[0]) + r"  complete  40 documents", text)


def test_progress_is_not_drawn_when_quiet(autos):
    assert on_terminal(autos, "get", "-q", "-o", autos.out, SMALL) == (0, "")


def test_wait_is_said(autos, sim):
    """Elsewhere than on a terminal a line says at once why nothing moves."""
    sim.script("binario calls=2 status=429 retry-after=1")
    result = autos.get(SMALL, check=0)
    assert "waiting 1 s: The portal asks this account to slow down" in result.err


# ---- config, migrate, version ----


@pytest.mark.both
def test_config_shows_sources_and_hides_secrets(autos):
    f = autos.place / "autos.conf"
    secret = "s3cr3t-in-a-setting"
    f.write_text(f"portal_pace = 7s\nportal_proxy = http://user:{secret}@127.0.0.1:1\n")
    result = autos.run("config", "--config", f, "--set", "retry_max=9",
                       env={"AUTOS_PORTAL_TOKEN_FILE": None, "AUTOS_PORTAL_PACE": None, "PDPJ_API_TOKEN": secret,
                            "AUTOS_PORTAL_HEADERS": f"X-Key: {secret}"}, check=0)
    settings = [line for line in result.out.splitlines() if not line.startswith("# store ")]  # there is more to say of S3
    shown = dict(re.match(r"(\w+) = (.*)  # (.*)$", line).groups()[0::2] for line in settings)
    assert shown["portal_timeout"] == "environment"
    assert shown["retry_max"] == "command line"
    assert "file" in shown["portal_pace"]
    assert shown["cases_parallel"] == "default"
    assert "retry_max = 9  #" in result.out and "portal_pace = 7s  #" in result.out
    assert "portal_token = ***  #" in result.out and "portal_proxy = ***  #" in result.out
    assert secret not in result.out + result.err


def test_config_markdown_is_the_documentation(autos):
    table = autos.run("config", "--markdown", check=0).out.strip()
    assert table in (lib.ROOT / "docs" / "configuration.md").read_text()


def test_migrate(autos):
    first = autos.run("migrate", check=0)
    assert re.fullmatch(r"database migrated from version 0 to \d+\n", first.out)
    again = autos.run("migrate", check=0)
    assert re.fullmatch(r"database is up to date: version \d+\n", again.out)


@pytest.mark.sqlite
@pytest.mark.both
def test_newer_database(autos, sim):
    autos.get(SMALL, check=0)
    c = sqlite3.connect(autos.data_dir / "autos.db")
    c.execute("INSERT INTO schema_version (version, applied_ms) VALUES (99, 0)")
    c.commit()
    c.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    c.close()
    before = lib.sha256_file(autos.data_dir / "autos.db")
    calls = sim.calls()
    for args in (["get", "-o", autos.out, SMALL], ["retry", SMALL], ["status", SMALL], ["verify", SMALL],
                 ["verify", "--all"], ["migrate"]):
        result = autos.run(*args)
        assert result.status == 1, args
        assert "version 99" in one_line(result.err) and "newer program" in result.err
    assert sim.calls() == calls
    assert lib.sha256_file(autos.data_dir / "autos.db") == before


@pytest.mark.parametrize("word", ["version", "--version"])
def test_version(autos, word):
    out = autos.run(word, check=0).out
    assert re.match(r"autos \d+\.\d+\.\d+\n", out)
    assert "SQLite/" in out and "libcurl/" in out
