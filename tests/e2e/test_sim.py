"""The simulated portal itself, what every other test stands on: its options, the documented numbers, and plain cases, which
are a function of the seed."""

import hashlib
import http.client
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from simulator import (API, LISTED, NUMBERS, PATIENCE, ROOT, Sim, documents, own, run, sim,  # noqa: F401 - fixtures
                       uuid_of)


# ---- options ----


def test_help_and_version():
    assert "--listen" in run("--help").stdout
    assert run("--version").stdout.startswith("autos-sim ")


@pytest.mark.parametrize(
    "args",
    [["--nonsense"], ["--cases", "x"], ["--size", "0"], ["--listen", "here"], ["stray"], ["--seed"],
     ["--listen", "127.0.0.1:70000"], ["--script", "/nonexistent"]],
)
def test_bad_option_is_one_line_and_status_2(args):
    got = run(*args)
    assert got.returncode == 2
    assert got.stderr.count("\n") == 1 and got.stderr.startswith("autos-sim: ")
    assert got.stdout == ""


def test_bad_script_names_its_line(tmp_path):
    path = tmp_path / "script"
    path.write_text("# fine\nbinario status=503\nbinario colour=red\n")
    got = run("--script", path)
    assert got.returncode == 2 and "line 3" in got.stderr and "colour" in got.stderr


def test_interrupt_ends_with_status_0():
    s = Sim()
    s.process.send_signal(signal.SIGINT)
    assert s.process.wait(PATIENCE) == 0
    s.process.stdout.close()


def test_ends_promptly_with_stalled_connections():
    with Sim() as s:
        number = NUMBERS["stall-header"]
        odd = [p for p in s.case("stall-header")["papers"] if p["fault"]]
        links = [s.raw(f"{API}/{number}/documentos/{odd[0]['ids'][0]}/binario") for _ in range(20)]
        while s.stats()["parallel"]["binario"] < 20:
            pass
    for link in links:
        link.close()


# ---- the documented numbers ----


def check_digits(number):
    digits = re.sub(r"\D", "", number)
    return int(digits[:7] + digits[9:] + digits[7:9]) % 97 == 1


def test_list_has_valid_synthetic_unique_numbers():
    assert len(LISTED) > 100
    assert len({row[0] for row in LISTED}) == len(LISTED)
    for number, name, about, outcome in LISTED:
        assert number.startswith("99") and check_digits(number), number
        assert name and about and outcome


def test_numbers_do_not_depend_on_the_seed():
    assert run("--list", "--seed", "7").stdout == run("--list").stdout


def test_page_lists_every_number():
    page = (ROOT / "docs" / "simulator.md").read_text()
    for number, name, _, outcome in LISTED:
        assert number in page, f"{number} {name} is not in docs/simulator.md"
        if name != "plain":
            line = next(x for x in page.splitlines() if x.startswith("| `" + number))
            assert f"`{name}`" in line and outcome in line, line


def test_page_lists_every_option_and_script_key():
    page = (ROOT / "docs" / "simulator.md").read_text()
    for option in re.findall(r"--[a-z-]+", run("--help").stdout):
        assert option in page, option
    source = (ROOT / "sim" / "script_read.c").read_text()
    for key in re.findall(r'\t\{"([a-z-]+)", read_', source):
        assert f"`{key}" in page, key


def test_pages_example_script_is_one(own):
    page = (ROOT / "docs" / "simulator.md").read_text()
    example = next(block for block in page.split("```") if "# A storm" in block)
    own.script(*example.splitlines())


# ---- determinism ----


def fingerprint(s):
    number = NUMBERS["plain"]
    detail = s.api("/" + number).body
    cover = s.api("?numeroProcesso=" + number).body
    bodies = [s.binario(number, uuid_of(d)).body for d in documents(json.loads(detail))[:10]]
    return [detail, cover, *bodies, s.sim("/cases?number=" + number)]


def test_same_seed_same_answers_other_seed_others():
    with Sim("--seed", "5") as a, Sim("--seed", "5") as b, Sim("--seed", "6") as c:
        assert fingerprint(a) == fingerprint(b)
        assert fingerprint(a)[2] != fingerprint(c)[2]


def test_a_document_is_the_same_twice(sim):
    number = NUMBERS["plain"]
    for d in documents(sim.detail(number))[:5]:
        assert sim.binario(number, uuid_of(d)).body == sim.binario(number, uuid_of(d)).body


# ---- plain cases ----


def test_plain_case_looks_like_the_portal(sim):
    number = NUMBERS["plain"]
    detail = sim.detail(number)
    assert isinstance(detail, list) and len(detail) == 1
    case = detail[0]
    assert re.sub(r"\D", "", case["numeroProcesso"]) == re.sub(r"\D", "", number)
    first, other = case["tramitacaoAtual"], case["tramitacoes"][0]
    assert first["grau"]["sigla"] != other["grau"]["sigla"]
    ids = [uuid_of(d) for d in documents(detail)]
    assert len(ids) == len(set(ids)) == 40
    for part in (first, other):
        order = [d["sequencia"] for d in part["documentos"]]
        assert order == sorted(order, reverse=True)
    absent = sum("arquivo" not in d for d in documents(detail))
    assert 25 <= absent < 40
    assert all(d["arquivo"]["quantidadePaginas"] == 0 for d in documents(detail) if "arquivo" in d)
    names = [d["nome"] for d in documents(detail)]
    assert len(set(names)) < len(names)
    fractions = {len(d["dataHoraJuntada"].partition(".")[2]) for d in documents(detail)}
    assert len(fractions) > 2
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", i)
               for i in ids)
    text = json.dumps(case, ensure_ascii=False)
    assert "PARTE SINTETICA" in text and "ADVOGADA SINTETICA" in text and "CPF" in text


def test_list_has_the_richer_movements(sim):
    page = sim.api("?numeroProcesso=" + NUMBERS["plain"]).json()
    assert page["maxElementsSize"] == 100 and page["total"] == page["numberOfElements"] == 1
    item = page["content"][0]
    assert re.fullmatch(r"\d{20}", item["numeroProcesso"])
    moves = item["tramitacoes"][0]["movimentos"]
    assert any("idDocumento" in m for m in moves) and "complementos" in moves[0]["tipo"]
    assert "documentos" not in item["tramitacoes"][0]


def test_bare_digits_are_the_same_case(sim):
    number = NUMBERS["plain"]
    assert sim.api("/" + re.sub(r"\D", "", number)).body == sim.api("/" + number).body


def test_every_pdf_of_a_plain_case_opens(sim, tmp_path):
    number = NUMBERS["plain"]
    pdfs = 0
    for paper in sim.cases("?number=" + number)[0]["papers"]:
        body = sim.binario(number, paper["ids"][0]).body
        assert len(body) == paper["size"]
        assert hashlib.sha256(body).hexdigest() == paper["sha256"]
        if paper["ext"] != "pdf":
            continue
        pdfs += 1
        path = tmp_path / "x.pdf"
        path.write_bytes(body)
        info = subprocess.run(["pdfinfo", path], capture_output=True, text=True)
        assert info.returncode == 0 and info.stderr == "" and "Pages:" in info.stdout
        text = subprocess.run(["pdftotext", path, "-"], capture_output=True, text=True)
        assert text.returncode == 0 and text.stderr == "" and "Tribunal Sintético" in text.stdout
        assert body.rstrip().endswith(b"%%EOF")
    assert pdfs > 10


def test_size_is_what_was_asked_for():
    with Sim("--cases", "1", "--documents", "12", "--size", "50000") as s:
        for paper in s.cases("?number=" + NUMBERS["plain"])[0]["papers"]:
            assert 45000 <= paper["size"] <= 55000 and paper["ext"] == "pdf"


def test_cases_and_documents_are_counted():
    with Sim("--cases", "3", "--documents", "7") as s:
        plain = [c for c in s.cases("?papers=0") if c["oddity"] == "plain"]
        assert [c["listed"] for c in plain] == [7, 7, 7]


def test_kinds_are_what_they_say(sim):
    marks = {"pdf": b"%PDF-", "html": b"<", "rtf": b"{\\rtf", "jpg": b"\xff\xd8\xff",
             "png": b"\x89PNG\r\n", "txt": b"Termo", "bin": b""}
    case = sim.case("kinds")
    kinds = set()
    for paper in case["papers"]:
        answer = sim.binario(case["number"], paper["ids"][0])
        assert hashlib.sha256(answer.body).hexdigest() == paper["sha256"]
        kinds.add(paper["kind"])
        if paper["ext"] == "mp4":
            assert answer.body[4:8] == b"ftyp"
        else:
            assert answer.body.startswith(marks[paper["ext"]])
        if paper["kind"] == "html":
            assert b"charset=ISO-8859-1" in answer.body
            assert "Decisão" in answer.body.decode("utf-8")
        if paper["kind"] == "html-fragment":
            assert answer.body.startswith(b"<div")
        if paper["kind"] == "rtf":
            assert answer.type == "text/richtext"
    assert len(kinds) == 11
    tiny = sim.case("tiny-html")
    assert {p["size"] for p in tiny["papers"]} == {21, 127}


def test_text_has_the_characters_of_real_extractions(sim):
    number = NUMBERS["plain"]
    uuid = uuid_of(documents(sim.detail(number))[0])
    answer = sim.api(f"/{number}/documentos/{uuid}/texto")
    assert answer.status == 200 and answer.type.startswith("text/plain")
    assert b"\0" in answer.body and b"\x1a" in answer.body and "\u2028" in answer.body.decode()


def test_big_document_is_whole_and_streams(sim):
    case = sim.case("big-document")
    big = max(case["papers"], key=lambda p: p["size"])
    assert 299_000_000 < big["size"] < 301_000_000
    digest, size = hashlib.sha256(), 0
    link = http.client.HTTPConnection(sim.host, sim.port, timeout=PATIENCE)
    link.request("GET", f"{API}/{case['number']}/documentos/{big['ids'][0]}/binario",
                 headers={"Authorization": "Bearer " + sim.token})
    reply = link.getresponse()
    while piece := reply.read(1 << 20):
        digest.update(piece)
        size += len(piece)
    link.close()
    assert size == big["size"] and digest.hexdigest() == big["sha256"]
    status = Path(f"/proc/{sim.process.pid}/status").read_text()
    if "VmRSS" in status and not os.environ.get("AUTOS_BUILD", "").endswith(("asan", "tsan")):
        assert int(re.search(r"VmRSS:\s+(\d+)", status)[1]) < 150_000
