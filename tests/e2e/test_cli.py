"""The commands as a user meets them: words, numbers, streams, exit statuses, signals."""

import hashlib
import json
import os
import pty
import re
import select
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

import pytest

import lib

PLAIN = [n for n, name, _ in lib.catalogue() if name == "plain"]
SMALL = lib.number_of("detail-array")  # six documents
PARTIAL = lib.number_of("codex-500")  # six of eight
COMMANDS = ["get", "retry", "status", "verify", "config", "migrate", "version"]


def one_line(text):
    assert text.count("\n") == 1 and text.endswith("\n"), text
    return text


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


# ---- stored lists and second runs ----


def test_max_age_fresh(autos, sim):
    autos.get(SMALL, check=0)
    before = sim.calls()
    result = autos.get(SMALL, "--max-age", "10m", check=0)
    assert result.out.startswith(f"{SMALL}  complete  6 documents")
    assert sim.calls() == before


@pytest.mark.sqlite
def test_max_age_stale(autos, sim):
    autos.get(SMALL, check=0)
    lib.until(lambda: autos.one("SELECT CAST(strftime('%s', 'now') AS INTEGER) * 1000 - consulted_ms FROM process")
              > 1000, "the list to age")
    autos.get(SMALL, "--max-age", "1s", check=0)
    assert sim.calls("list") == 2 and sim.calls("binario") == 6


def test_max_age_is_a_setting_too(autos, sim):
    autos.get(SMALL, check=0)
    autos.get(SMALL, check=0, max_age="7d")
    assert sim.calls("list") == 1


@pytest.mark.both
def test_max_age_with_failed_documents(autos, sim):
    """Only these are asked for again, and no list."""
    sim.script("binario document=2 status=404")
    autos.get(SMALL, check=3)
    sim.script("")
    sim.reset()
    autos.get(SMALL, "--max-age", "10m", check=0)
    stats = sim.stats()
    assert stats["calls"] == {"list": 0, "detail": 0, "binario": 1, "texto": 0, "other": 0}
    lib.expect_case(autos, sim, SMALL)
    lib.check_invariants(autos, sim)


@pytest.mark.both
def test_second_get_asks_but_fetches_nothing(autos, sim):
    autos.get(SMALL, check=0)
    first = autos.manifest(SMALL)
    sim.reset()
    autos.get(SMALL, check=0)
    assert sim.stats()["calls"] == {"list": 1, "detail": 1, "binario": 0, "texto": 0, "other": 0}
    second = autos.manifest(SMALL)
    assert second["documents"] == first["documents"]
    assert second["consulted_at"] > first["consulted_at"]
    lib.check_invariants(autos, sim)


def documents_of(detail):
    case = detail[0]
    yield from [case["tramitacaoAtual"], *case.get("tramitacoes", [])]


def without(detail, uuids):
    """The same detail without some of its documents."""
    copy = json.loads(json.dumps(detail))
    for p in documents_of(copy):
        p["documentos"] = [d for d in p["documentos"]
                           if not any(u in (d.get("hrefBinario") or d.get("hrefTexto") or "") for u in uuids)]
    return copy


def serving(make_sim, place, number, name, detail):
    """A portal that gives this detail for the case."""
    path = place / name
    path.write_text(json.dumps(detail))
    return make_sim(script=f"detail case={number} type=application/json body-file={path}\n")


@pytest.mark.both
def test_refresh(make_sim, make_autos, place):
    """New documents are fetched, vanished ones stay, everything is numbered anew."""
    number = PLAIN[0]
    true = make_sim()
    detail = true.detail(number)
    papers = sorted(true.case(number)["papers"], key=lambda p: p["date"])
    ids = [p["ids"][0] for p in papers]
    late, gone = {ids[0], ids[7], ids[20]}, {ids[1], ids[33]}

    autos = make_autos(serving(make_sim, place, number, "first.json", without(detail, late)))
    autos.get(number, check=0)
    first = autos.manifest(number)
    assert first["totals"]["documents"] == 37 and {d["id"] for d in first["documents"]} == set(ids) - late
    lib.check_invariants(autos)

    sim = serving(make_sim, place, number, "second.json", without(detail, gone))
    autos.portal = sim.portal
    autos.get(number, check=0)
    second = autos.manifest(number)
    assert set(sim.stats()["documents"]) == late
    assert {d["id"] for d in second["documents"]} == set(ids)
    assert {d["id"] for d in second["documents"] if not d["listed"]} == gone
    assert [d["position"] for d in second["documents"]] == list(range(1, 41))
    assert second["documents"][0]["id"] == ids[0]
    old = {d["id"]: d for d in first["documents"]}
    for d in second["documents"]:
        if d["id"] in old:
            assert d["sha256"] == old[d["id"]]["sha256"] and d["fetched_at"] == old[d["id"]]["fetched_at"]
    assert {d["file"] for d in first["documents"]} - {d["file"] for d in second["documents"]}
    lib.check_invariants(autos, sim)  # no file of an old number is left

    # And back: what is listed again is listed again, and nothing is fetched.
    autos.portal = true.portal
    true.reset()
    autos.get(number, check=0)
    assert all(d["listed"] for d in autos.manifest(number)["documents"])
    assert true.calls("binario") == 0
    lib.expect_case(autos, true, number)
    lib.check_invariants(autos, true)


@pytest.mark.both
def test_case_becomes_sealed(autos, sim):
    """What is stored stays stored; the folder is not touched."""
    autos.get(SMALL, check=0)
    before = autos.manifest(SMALL)
    sim.script("detail answer=denied-403-json")
    result = autos.get(SMALL)
    assert result.status == 5
    m = json.loads(autos.run("status", SMALL, "--json", check=0).out)
    assert m["job"]["outcome"] == "access_denied"
    assert [d["sha256"] for d in m["documents"]] == [d["sha256"] for d in before["documents"]]
    autos.run("verify", SMALL, check=0)
    lib.check_invariants(autos, sim)


# ---- retry ----


@pytest.mark.both
def test_retry_asks_for_what_failed_only(autos, sim):
    sim.script("binario document=3 status=404\nbinario document=5 answer=empty-200")
    autos.get(SMALL, check=3)
    sim.reset()
    sim.script("binario document=5 answer=empty-200")
    result = autos.run("retry", SMALL, "-o", autos.out)
    assert result.status == 3
    assert sim.stats()["calls"] == {"list": 0, "detail": 0, "binario": 1 + 4, "texto": 0, "other": 0}
    sim.script("")
    result = autos.run("retry", SMALL, "-o", autos.out, check=0)
    assert result.out.startswith(f"{SMALL}  complete  6 documents")
    lib.expect_case(autos, sim, SMALL)
    lib.check_invariants(autos, sim)


def test_retry_of_a_case_without_a_list(autos, sim):
    """A case that failed as a whole is asked for as a whole."""
    sim.script("detail status=400")
    autos.get(SMALL, check=6)
    sim.script("")
    autos.run("retry", SMALL, "-o", autos.out, check=0)
    lib.expect_case(autos, sim, SMALL)
    lib.check_invariants(autos, sim)


def test_retry_of_an_unknown_case(autos, sim):
    result = autos.run("retry", SMALL, "-o", autos.out)
    assert result.status == 4
    assert "not known here" in one_line(result.err)
    assert sim.calls() == 0


def test_retry_of_a_complete_case(autos, sim):
    autos.get(SMALL, check=0)
    before = sim.calls()
    result = autos.run("retry", SMALL, "-o", autos.out)
    assert "nothing to try again" in one_line(result.err)
    assert result.status == 0
    assert sim.calls() == before
    lib.check_invariants(autos, sim)


# ---- looking, beside a writer ----


def test_status_of_an_unknown_case(autos):
    assert autos.run("status", SMALL).status == 4
    autos.run("migrate", check=0)
    result = autos.run("status", SMALL)
    assert result.status == 4 and "not known here" in one_line(result.err)


@pytest.mark.both
def test_status(autos, sim):
    autos.get(PARTIAL, check=3)
    before = sim.calls()
    text = autos.run("status", PARTIAL, check=0).out
    assert re.search(rf"^case +{PARTIAL}$", text, re.M)
    assert re.search(r"^outcome +partial$", text, re.M)
    assert re.search(r"^documents +8: 6 available, 2 failed, 0 pending \(100 %\)$", text, re.M)
    assert len(re.findall(r"^\d{4}  available ", text, re.M)) == 6
    assert len(re.findall(r"^\d{4}  failed .*unavailable_upstream: ", text, re.M)) == 2
    m = json.loads(autos.run("status", "--json", PARTIAL, check=0).out)
    lib.check_seal(m)
    written = autos.manifest(PARTIAL)
    for d in written["documents"]:
        del d["file"]
    assert m["documents"] == written["documents"] and m["job"] == written["job"]
    assert sim.calls() == before


def busy(make_sim, make_autos, latency=50):
    """A get that is in the middle of its work: forty documents, one after the other."""
    sim = make_sim("--latency", latency)
    autos = make_autos(sim, portal_parallel=1, portal_parallel_max=1)
    p = autos.start_get(PLAIN[0])
    lib.until(lambda: sim.calls("binario") >= 3, "some documents")
    return sim, autos, p


@pytest.mark.both
def test_readers_beside_a_writer(make_sim, make_autos):
    sim, autos, p = busy(make_sim, make_autos, latency=100)
    m = json.loads(autos.run("status", "--json", PLAIN[0], check=0).out)
    assert m["job"]["status"] == "processing" and m["totals"]["pending"] > 0
    assert re.search(r"^job +processing$", autos.run("status", PLAIN[0], check=0).out, re.M)
    result = autos.run("verify", PLAIN[0], check=0)
    assert re.search(r"  ok  \d+ good, 0 bad, [1-9]\d* not stored\n", result.out)
    assert p.poll() is None, "it was over too soon to prove anything"
    autos.finish(p, check=0)
    lib.expect_case(autos, sim, PLAIN[0])
    lib.check_invariants(autos, sim)


@pytest.mark.both
def test_watch(make_sim, make_autos):
    sim, autos, p = busy(make_sim, make_autos)
    watch = autos.popen("status", "--watch", "--json", PLAIN[0])
    autos.finish(p, check=0)
    result = autos.finish(watch, check=0)
    seen = [json.loads(line) for line in result.out.splitlines()]
    assert len(seen) >= 2
    assert seen[0]["job"]["status"] == "processing" and seen[-1]["job"]["status"] == "completed"
    assert seen[-1]["totals"]["available"] == 40
    counts = [m["totals"]["available"] for m in seen]
    assert counts == sorted(counts)


@pytest.mark.sqlite
def test_second_writer_is_refused(make_sim, make_autos):
    sim, autos, p = busy(make_sim, make_autos, latency=100)
    for args in (["get", "-o", autos.out, SMALL], ["retry", PLAIN[0]], ["migrate"]):
        result = autos.run(*args)
        assert result.status == 1
        assert "another" in one_line(result.err), result.err
    assert p.poll() is None, "it was over too soon to prove anything"
    autos.finish(p, check=0)
    lib.expect_case(autos, sim, PLAIN[0])
    lib.check_invariants(autos, sim)


# ---- verify ----


@pytest.mark.both
def test_verify(autos):
    autos.get(SMALL, PARTIAL, check=3)
    assert autos.run("verify", SMALL, check=0).out == f"{SMALL}  ok  6 good, 0 bad, 0 not stored\n"
    result = autos.run("verify", "--all", check=0)
    assert sorted(result.out.splitlines()) == [f"{SMALL}  ok  6 good, 0 bad, 0 not stored",
                                               f"{PARTIAL}  ok  6 good, 0 bad, 2 not stored"]
    assert autos.run("verify", PLAIN[0]).status == 4


@pytest.mark.both
@pytest.mark.parametrize("damage", ["byte", "short", "missing"])
def test_verify_finds_damage(autos, damage):
    autos.get(SMALL, PARTIAL, check=3)
    victim = autos.manifest(SMALL)["documents"][2]
    key = victim["object_key"]
    data = bytearray(autos.store.read(key))
    if damage == "missing":
        autos.store.remove(key)
    else:
        data[len(data) // 2] ^= 1
        autos.store.replace(key, data if damage == "byte" else data[:-1])
    result = autos.run("verify", SMALL)
    assert result.status == 3
    assert result.out == f"{SMALL}  DAMAGED  5 good, 1 bad, 0 not stored\n"
    assert victim["id"] in one_line(result.err)
    if damage == "byte":
        assert victim["sha256"] in result.err
    assert autos.run("verify", PARTIAL).status == 0
    assert autos.run("verify", "--all").status == 3


def test_verify_goes_on_after_an_object_that_cannot_be_read(autos):
    """As a disk with one bad block has it: nothing is known of that one, and the others are looked at."""
    autos.get(SMALL, PARTIAL, check=3)
    victim = autos.manifest(SMALL)["documents"][2]
    autos.store.remove(victim["object_key"])
    autos.store.path(victim["object_key"]).mkdir()
    result = autos.run("verify", "--all")
    assert result.status == 1 and victim["id"] in one_line(result.err), result
    assert sorted(result.out.splitlines()) == [f"{SMALL}  NOT READ  5 good, 0 bad, 0 not stored, 1 not read",
                                               f"{PARTIAL}  ok  6 good, 0 bad, 2 not stored"]


@pytest.mark.both
def test_verify_without_anything(autos):
    assert autos.run("verify", SMALL).status == 4
    assert not autos.data_dir.exists()


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


# ---- the output folder ----


@pytest.mark.parametrize("kind", ["file", "unwritable", "below a file"])
def test_useless_output_folder(autos, sim, kind):
    out = autos.place / "out"
    if kind == "unwritable":
        out = "/proc/nobody/can/write"
    else:
        out.write_text("a file")
        out = out / "x" if kind == "below a file" else out
    result = autos.run("get", "-o", out, SMALL)
    assert result.status == 1
    assert "output folder" in one_line(result.err)
    assert sim.calls() == 0


def test_default_output_folder_is_here(autos):
    autos.run("get", SMALL, check=0)
    assert (autos.place / SMALL / "manifest.json").is_file()


@pytest.mark.both
def test_names_wild(autos, sim):
    number = lib.number_of("names-wild")
    m = lib.expect_case(autos, sim, number, autos.get(number).status)
    names = [p.name for p in autos.folder(number).iterdir()]
    assert len(names) == len(m["documents"]) + 1
    for name in names:
        assert len(name.encode()) <= 255
        assert name == "manifest.json" or re.fullmatch(r"\d{4}-[^/\\:*?\"<>|\x00-\x1f\x7f]+\.\w+", name), name
        assert not re.search("[\u0080-\u009f\u200b-\u200f\u2028-\u202e\ufeff]", name)
        assert not name.split(".")[0].endswith((" ", "."))
    assert len({n.lower() for n in names}) == len(names)
    assert not list(autos.place.rglob("passwd*")), "nothing leaves the folder"
    # The manifest keeps the names as they came.
    assert {"../../etc/passwd", "a/b\\c.pdf", ".."} <= {d["name"] for d in m["documents"]}
    lib.check_invariants(autos, sim)


def test_foreign_files_are_left_alone(autos, sim):
    autos.get(SMALL, check=0)
    folder = autos.folder(SMALL)
    (folder / "notes.txt").write_text("mine")
    (folder / "0099-mine.pdf").write_text("mine too")
    (folder / "sub").mkdir()
    autos.get(SMALL, check=0)
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "0099-mine.pdf").read_text() == "mine too"
    lib.check_invariants(autos, sim, foreign=["notes.txt", "0099-mine.pdf", "sub"])


@pytest.mark.both
def test_deleted_files_come_back(autos, sim):
    autos.get(SMALL, check=0)
    d = autos.manifest(SMALL)["documents"][1]
    (autos.folder(SMALL) / d["file"]).unlink()
    before = sim.calls()
    autos.get(SMALL, "--max-age", "1h", check=0)
    assert sim.calls() == before
    lib.check_invariants(autos, sim)


def test_manifest_of_a_stranger(autos, sim):
    """A manifest that names files elsewhere makes nothing be removed there."""
    autos.get(SMALL, check=0)
    folder = autos.folder(SMALL)
    victim = autos.out / "victim.txt"
    victim.write_text("mine")
    m = autos.manifest(SMALL)
    m["documents"][0]["file"] = "../victim.txt"
    (folder / "manifest.json").write_text(json.dumps(m))
    autos.get(SMALL, "--max-age", "1h", check=0)
    assert victim.read_text() == "mine"
    (folder / "manifest.json").write_text("{ not json")
    autos.get(SMALL, "--max-age", "1h", check=0)
    lib.check_invariants(autos, sim)


@pytest.mark.folder
def test_output_on_another_file_system(autos, sim):
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="autos-e2e-") as out:
        assert os.stat(out).st_dev != os.stat(autos.place).st_dev
        autos.out = lib.Path(out)
        autos.get(SMALL, check=0)
        lib.expect_case(autos, sim, SMALL)
        lib.check_invariants(autos, sim)
        for d in autos.manifest(SMALL)["documents"]:
            assert not (autos.folder(SMALL) / d["file"]).samefile(autos.object(d))


@pytest.mark.both
def test_recipes_of_the_manifest(autos):
    """The Python of docs/manifest.md as it stands there, and what its shell line does."""
    autos.get(SMALL, check=0)
    folder = autos.folder(SMALL)
    page = (lib.ROOT / "docs" / "manifest.md").read_text()
    recipe = re.search(r"```python\n(.*?)```", page, re.S)[1]
    check = lambda: subprocess.run([sys.executable, "-c", recipe, folder / "manifest.json"],  # noqa: E731
                                   capture_output=True, text=True, timeout=lib.PATIENCE).stdout
    assert check() == "ok\n"
    documents = autos.manifest(SMALL)["documents"]
    lines = "".join(f"{d['sha256']}  {d['file']}\n" for d in documents if d["file"])
    p = subprocess.run(["sha256sum", "-c", "--strict"], cwd=folder, input=lines, capture_output=True, text=True,
                       timeout=lib.PATIENCE)
    assert p.returncode == 0 and p.stdout.count(": OK\n") == 6
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace(documents[0]["sha256"], hashlib.sha256(b"").hexdigest()))
    assert check() == "CHANGED\n"


# ---- signals and a portal that is not there ----


@pytest.mark.both
@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal(make_sim, make_autos, number, status):
    """Stops in order: the lease is handed back, what is stored stays, the same command goes on."""
    sim, autos, p = busy(make_sim, make_autos)
    p.send_signal(number)
    result = autos.finish(p, check=status)
    assert "the same command goes on from there" in result.err
    job = autos.rows("SELECT state, owner FROM job")[0]
    assert (job["state"], job["owner"]) == ("pending", "")
    assert autos.one("SELECT COUNT(*) FROM document WHERE state = 'failed'") == 0
    lib.check_invariants(autos, sim)
    stored = {r[0] for r in autos.rows("SELECT doc_id FROM document WHERE state = 'available'")}
    before = sim.stats()["documents"]
    autos.get(PLAIN[0], check=0)
    after = sim.stats()["documents"]
    assert all(after[d] == before[d] for d in stored)
    lib.expect_case(autos, sim, PLAIN[0])
    lib.check_invariants(autos, sim)


@pytest.mark.both
def test_second_signal_ends_at_once(make_sim, make_autos):
    """Both arrive before the first could be acted upon: the process was stopped meanwhile."""
    sim, autos, p = busy(make_sim, make_autos)
    p.send_signal(signal.SIGSTOP)
    p.send_signal(signal.SIGINT)
    p.send_signal(signal.SIGTERM)
    p.send_signal(signal.SIGCONT)
    assert autos.finish(p).status in (130, 143)
    assert autos.rows("SELECT state FROM job")[0][0] == "processing"
    lib.check_invariants(autos, sim, clean=False)
    autos.get(PLAIN[0], check=0)
    lib.expect_case(autos, sim, PLAIN[0])
    lib.check_invariants(autos, sim)


def test_portal_down(make_autos):
    autos = make_autos("http://127.0.0.1:1")
    autos.portal = "http://127.0.0.1:1/api/v2"  # nobody listens there
    result = autos.get(SMALL)
    assert result.status == 6
    lines = [line for line in result.err.splitlines() if line.startswith("autos: ")]
    assert len(lines) == 1
    assert "the portal is unavailable: No connection to the portal" in lines[0]
    assert autos.rows("SELECT state FROM job")[0][0] == "pending"
    lib.check_invariants(autos)


@pytest.mark.both
def test_portal_goes_away_and_comes_back(make_sim, make_autos):
    sim, autos, p = busy(make_sim, make_autos)
    sim.stop()
    result = autos.finish(p, check=6)
    assert "the portal is unavailable" in result.err
    assert autos.one("SELECT COUNT(*) FROM document WHERE state = 'failed'") == 0
    again = make_sim()
    autos.portal = again.portal
    autos.get(PLAIN[0], check=0)
    lib.expect_case(autos, again, PLAIN[0])
    lib.check_invariants(autos, again)
