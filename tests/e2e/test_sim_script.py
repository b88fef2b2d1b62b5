"""What the simulated portal counts, and scripts: rules choose calls, do what they say to them, and are a function of the
seed."""

import concurrent.futures
import socket
import struct
import time

import pytest

from simulator import API, NUMBERS, PATIENCE, STALLED, Sim, documents, own, uuid_of  # noqa: F401 - a fixture


# ---- numbers ----


def test_stats_count(own):
    number = NUMBERS["plain"]
    ids = [uuid_of(d) for d in documents(own.detail(number))]
    own.api("?numeroProcesso=" + number)
    own.api("?numeroProcesso=" + number)
    own.binario(number, ids[0])
    own.binario(number, ids[0])
    size = len(own.binario(number, ids[1]).body)
    own.api(f"/{number}/documentos/{ids[0]}/texto")
    own.ask("/elsewhere")
    own.ask("/elsewhere", token=False)
    own.api("", token=False)
    stats = own.stats()
    assert stats["calls"] == {"list": 3, "detail": 1, "binario": 3, "texto": 1, "other": 2}
    assert stats["status"] == {"200": 9, "401": 1}
    assert stats["documents"] == {ids[0]: 2, ids[1]: 1}
    assert stats["bearer_elsewhere"] == 1
    assert stats["max_parallel"] == {"total": 1, "binario": 1}
    assert stats["parallel"] == {"total": 0, "binario": 0}
    assert 0 <= stats["min_list_gap_ms"] < 5000 and stats["bytes_sent"] > size
    own.reset()
    stats = own.stats()
    assert stats["documents"] == {} and sum(stats["calls"].values()) == 0
    assert stats["min_list_gap_ms"] == -1 and stats["bytes_sent"] == 0


def test_reset_begins_transient_faults_again(own):
    case = own.case("gateway-502")
    paper = next(p for p in case["papers"] if p["fault"])
    for _ in range(2):
        got = [own.binario(case["number"], paper["ids"][0]).status for _ in range(3)]
        assert got == [502, 502, 200]
        assert own.stats()["faults"] == {"gateway-502": 2}
        own.reset()


def test_parallel_is_measured():
    with Sim("--latency", "300") as s:
        ids = [uuid_of(d) for d in documents(s.detail(NUMBERS["plain"]))]
        s.reset()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: s.binario(NUMBERS["plain"], i), ids[:8]))
        stats = s.stats()
        assert stats["max_parallel"] == {"total": 8, "binario": 8}
        assert stats["parallel"]["total"] == 0


def test_one_after_the_other_is_never_parallel(own):
    number = NUMBERS["plain"]
    ids = [uuid_of(d) for d in documents(own.detail(number))]
    own.script("binario every=3 stall=50%")
    for i in ids * 2:  # on a new connection each, some given up
        own.binario(number, i, timeout=0.05)
    assert own.stats()["max_parallel"]["total"] == 1


def test_calls_during_a_pause_are_counted(own):
    number = NUMBERS["plain"]
    own.script("detail calls=1 status=429 retry-after=2")
    assert own.api("/" + number).status == 429
    begun = time.monotonic()
    asked = 0
    while time.monotonic() - begun < 0.5:
        own.api("/" + number)
        asked += 1
    during = own.stats()["calls_during_pause"]
    assert 0 < during <= asked and own.stats()["pauses"] == 1
    while time.monotonic() - begun < 2.1:
        own.stats()
    own.api("/" + number)
    assert own.stats()["calls_during_pause"] == during


# ---- scripts ----


def test_script_statuses_headers_bodies(own, tmp_path):
    number = NUMBERS["plain"]
    own.script(
        "# comment, then an empty line",
        "",
        f"detail case={number} calls=2-3 status=418 body=\"a \\\"b\\\"\\n\" type=text/x header=\"X-One: 1\" header=\"X-Two: 2\"",
        "detail calls=4 redirect=http://elsewhere.invalid/",
        "detail calls=5 answer=codex-500   # a named fault",
        "list every=2 answer=shell-200 name=shells",
        "texto status=204",
    )
    assert own.api("/" + number).status == 200
    odd = [own.api("/" + number) for _ in range(2)]
    assert all(a.status == 418 and a.body == b'a "b"\n' and a.type == "text/x" for a in odd)
    assert odd[0].headers["x-one"] == "1" and odd[0].headers["x-two"] == "2"
    assert own.api("/" + number).status == 200  # the second rule has seen one call less
    lists = [len(own.api("?numeroProcesso=" + number).body) == 2422 for _ in range(4)]
    assert lists == [False, True, False, True]
    assert own.stats()["faults"]["shells"] == 2


def test_first_rule_wins_and_reset_begins_again(own):
    number = NUMBERS["plain"]
    own.script("detail calls=1 status=503", "detail calls=1-2 status=502", "* calls=4- status=500")
    for _ in range(2):
        got = [own.api("/" + number).status for _ in range(6)]
        assert got == [503, 502, 502, 200, 200, 200]
        own.reset()


def test_script_selects_documents(own):
    number = NUMBERS["plain"]
    papers = own.cases("?number=" + number)[0]["papers"]
    third, fifth = papers[2]["ids"][0], papers[4]["ids"][0]
    own.script(f"binario case={number} document=3 status=503", f"binario document={fifth} status=502")
    assert [own.binario(number, p["ids"][0]).status for p in papers[:6]] == [200, 200, 503, 200, 502, 200]
    own.script("binario per=document calls=1 status=503")
    for i in (third, fifth):
        assert [own.binario(number, i).status for _ in range(2)] == [503, 200]


def test_script_bodies_go_wrong(own):
    number = NUMBERS["plain"]
    uuid = own.cases("?number=" + number)[0]["papers"][0]["ids"][0]
    true = own.sim("/document/" + uuid)

    def ask(rule, timeout=PATIENCE):
        own.script("binario " + rule)
        return own.binario(number, uuid, timeout=timeout)

    a = ask("cut=1000")
    assert a.fault == "short" and a.body == true[:1000]
    a = ask("cut=50% chunked")
    assert a.fault == "short" and a.body == true[: len(a.body)]
    a = ask("cut=random")
    assert a.fault == "short" and len(a.body) < len(true)
    a = ask("short=1000")
    assert a.fault is None and a.body == true[:1000]
    assert ask("stall=1000", STALLED).fault == "timeout"
    assert ask("stall=header", STALLED).fault == "timeout"
    assert ask("reset=start").fault == "reset"
    assert ask("reset=100").fault == "reset"
    a = ask(f"length={len(true) + 5}")
    assert a.fault == "short" and a.body == true
    a = ask("length=50%")
    assert a.body == true[: len(true) // 2]
    a = ask("gzip")
    assert a.headers["content-encoding"] == "gzip"
    begun = time.monotonic()
    assert ask("delay=150").body == true
    assert time.monotonic() - begun >= 0.15
    assert ask("delay=1-20 chunked").body == true
    assert ask("drip=4000/10").body == true
    assert ask("slow-headers").body == true
    assert ask("status=200 type=application/pdf").body == b""


def test_body_file_only_from_a_file(tmp_path):
    (tmp_path / "page.bin").write_bytes(b"\0\1binary")
    path = tmp_path / "script"
    path.write_text(f'detail status=200 type=application/x body-file={tmp_path}/page.bin\n')
    with Sim("--script", path) as s:
        assert s.api("/" + NUMBERS["plain"]).body == b"\0\1binary"
        refused = s.ask("/_sim/script", method="POST", token=False, body=path.read_text())
        assert refused.status == 400 and "body-file" in refused.json()["error"]


@pytest.mark.parametrize("line", ["nowhere status=500", "list status=9999", "list calls=0", "list every=0",
                                  "list probability=2", "list case=123", "list answer=nothing",
                                  "list header=novalue", "list retry-after=1.5", "list drip=5",
                                  "list cut=200%", "list calls=5-2", "list per=year", "list redirect="])
def test_script_refuses(own, line):
    refused = own.ask("/_sim/script", method="POST", token=False, body="detail status=500\n" + line)
    assert refused.status == 400 and "line 2" in refused.json()["error"]
    assert own.api("/" + NUMBERS["plain"]).status == 200  # and the old one stays


def storm(seed):
    with Sim("--seed", seed, "--cases", "1", "--documents", "100", "--size", "4000") as s:
        s.script("binario per=document probability=0.3 reset=start name=resets",
                 "binario per=document probability=0.3 cut=random name=cuts",
                 "binario per=document probability=0.2 status=429 retry-after=1 name=limits")
        number = NUMBERS["plain"]
        ids = [p["ids"][0] for p in s.cases("?number=" + number)[0]["papers"]]

        def ask(i):
            a = s.binario(number, i)
            return a.status, a.fault, len(a.body) if a.fault == "short" else 0

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            seen = list(pool.map(ask, ids))
        return seen, s.stats()["faults"]


def test_a_storm_is_a_function_of_the_seed():
    first, faults = storm("3")
    assert storm("3") == (first, faults)
    assert storm("4")[0] != first
    assert 15 <= faults["resets"] <= 45 and faults["cuts"] > 5 and faults["limits"] > 2


def test_many_stalled_connections_do_not_block_others(own):
    number = NUMBERS["plain"]
    uuid = own.cases("?number=" + number)[0]["papers"][0]["ids"][0]
    own.script("texto stall=header", "detail stall=50%")
    links = [own.raw(f"{API}/{number}/documentos/{uuid}/texto") for _ in range(200)]
    links += [own.raw(f"{API}/{number}") for _ in range(200)]
    while own.stats()["parallel"]["total"] < 400:
        pass
    begun = time.monotonic()
    for _ in range(50):
        assert own.binario(number, uuid).status == 200
    assert time.monotonic() - begun < 5
    for link in links:  # gone clients are noticed
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        link.close()
    while own.stats()["parallel"]["total"]:
        pass
