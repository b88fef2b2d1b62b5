"""The simulated portal itself: what every other test stands on.

Runs the built autos-sim on a free port; every instance is private to its test or module.
"""

import base64
import concurrent.futures
import email.utils
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import time
import urllib.parse
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SIM = ROOT / os.environ.get("AUTOS_BUILD", "build") / "autos-sim"
API = "/api/v2/processos"
PATIENCE = 20  # seconds: only ever reached when something is broken
STALLED = 0.4  # seconds without a byte that count as a stall


# ---- a simulator and its answers ----


def run(*args):
    return subprocess.run([SIM, *args], capture_output=True, text=True, timeout=PATIENCE)


class Answer:
    """One HTTP exchange as it went over the wire, complete or not."""

    def __init__(self):
        self.status, self.headers, self.body, self.fault = 0, {}, b"", None

    def json(self):
        return json.loads(self.body)

    @property
    def type(self):
        return self.headers.get("content-type")


class Sim:
    def __init__(self, *args):
        self.process = subprocess.Popen([SIM, *args], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.fullmatch(r"listening on (http://([\d.]+):(\d+))\n", line)
        assert found, line
        self.url, self.host, self.port = found[1], found[2], int(found[3])
        self.token = run("--make-token", "3600").stdout.strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0
        self.process.stdout.close()

    def ask(self, path, method="GET", token=True, body=None, timeout=PATIENCE, host=None):
        answer = Answer()
        headers = {}
        if token:
            headers["Authorization"] = "Bearer " + (self.token if token is True else token)
        link = http.client.HTTPConnection(host or self.host, self.port, timeout=timeout)
        try:
            link.request(method, path, body=body, headers=headers)
            reply = link.getresponse()
            answer.status = reply.status
            answer.headers = {k.lower(): v for k, v in reply.getheaders()}
            while piece := reply.read(16384):
                answer.body += piece
            if reply.length:
                answer.fault = "short"
        except http.client.IncompleteRead as e:
            answer.body += e.partial
            answer.fault = "short"
        except http.client.RemoteDisconnected:
            answer.fault = "closed"
        except ConnectionResetError:
            answer.fault = "reset"
        except TimeoutError:
            answer.fault = "timeout"
        finally:
            link.close()
        return answer

    def api(self, rest, **kw):
        return self.ask(API + rest, **kw)

    def sim(self, rest, body=None):
        method = "GET" if body is None else "POST"
        answer = self.ask("/_sim" + rest, method=method, token=False, body=body)
        assert answer.status == 200, answer.body
        return answer.body

    def stats(self):
        return json.loads(self.sim("/stats"))

    def cases(self, query=""):
        return json.loads(self.sim("/cases" + query))["cases"]

    def case(self, oddity):
        number = NUMBERS[oddity]
        return self.cases("?number=" + number)[0]

    def reset(self):
        self.sim("/reset", body="")

    def script(self, *lines):
        self.sim("/script", body="\n".join(lines))

    def detail(self, number):
        return self.api("/" + number).json()

    def binario(self, number, uuid, **kw):
        return self.api(f"/{number}/documentos/{uuid}/binario", **kw)

    def raw(self, path):
        """A connection on which the request was just sent."""
        link = socket.create_connection((self.host, self.port), timeout=PATIENCE)
        link.sendall(
            f"GET {path} HTTP/1.1\r\nHost: sim\r\nAuthorization: Bearer {self.token}\r\n\r\n".encode()
        )
        return link


LISTED = [line.split("\t") for line in run("--list").stdout.splitlines()]
NUMBERS = {row[1]: row[0] for row in reversed(LISTED)}  # the first plain one wins


@pytest.fixture(scope="module")
def sim():
    with Sim() as s:
        yield s


@pytest.fixture
def own():
    """A simulator that no other test has asked anything."""
    with Sim() as s:
        yield s


def documents(detail):
    case = detail[0] if isinstance(detail, list) else detail.get("content", [detail])[0]
    found = []
    for part in [case.get("tramitacaoAtual")] + case.get("tramitacoes", []):
        found += part["documentos"] if part else []
    return found


def uuid_of(document):
    href = document.get("hrefBinario") or document.get("hrefTexto")
    return href.split("/documentos/")[1].split("/")[0] if href else None


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


# ---- paths, tokens, methods ----


@pytest.mark.parametrize("path", ["/", "/x", "/processos/{n}", "/processos/{n}/documentos/{u}/binario",
                                  "/consulta/autosdigitais", "/api/v1/processos", "/api/v2x"])
@pytest.mark.parametrize("token", [True, False])
def test_outside_the_api_is_the_shell(sim, path, token):
    path = path.format(n=NUMBERS["plain"], u="0000")
    answer = sim.ask(path, token=token)
    assert answer.status == 200 and answer.type == "text/html" and len(answer.body) == 2422
    assert answer.body.startswith(b'<!DOCTYPE html><html lang="pt-br">')
    assert b"<app-root" in answer.body and b"ng-version=" in answer.body


@pytest.mark.parametrize("rest", ["documentos", "tramitacoes", "partes", "movimentacoes",
                                  "documentos/{u}", "documentos/{u}/download", "documentos/{u}/arquivo"])
def test_sub_paths_that_do_not_exist(sim, rest):
    number = NUMBERS["plain"]
    uuid = uuid_of(documents(sim.detail(number))[0])
    answer = sim.api(f"/{number}/{rest.format(u=uuid)}")
    assert answer.status == 404
    error = answer.json()
    assert isinstance(error["timestamp"], int) and error["message"] == ""
    assert error["path"].startswith(API) and error["error"] == "Not Found"


def test_documents_of_other_cases_and_numbers_instead_of_uuids(sim):
    number = NUMBERS["plain"]
    other = uuid_of(documents(sim.detail(NUMBERS["kinds"]))[0])
    assert sim.binario(number, other).status == 404
    assert sim.binario(number, "123456").status == 400
    assert sim.binario(number, "no-uuid").status == 404
    assert sim.api("/0000001-39.2024.8.26.0100").status == 404
    assert sim.api("?numeroProcesso=0000001-39.2024.8.26.0100").json()["content"] == []


def jwt(**claims):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return ".".join([part({"alg": "none"}), part(claims), "x"])


REALM = "https://sso.cloud.pje.jus.br/auth/realms/pje"


@pytest.mark.parametrize(
    "token",
    [False, "nonsense", "a.b.c", jwt(iss=REALM), jwt(iss=REALM, exp=1000), jwt(exp=9e9),
     jwt(iss="https://elsewhere.invalid/realms/pje", exp=9e9), jwt(iss=REALM, exp="9e9")],
)
def test_bad_token_is_401_without_anything(sim, token):
    for path in ("", "?numeroProcesso=" + NUMBERS["plain"], "/" + NUMBERS["plain"], "/x/y"):
        answer = sim.api(path, token=token)
        assert (answer.status, answer.type, answer.body) == (401, None, b"")


def test_good_tokens():
    with Sim("--token", "plain-word") as s:
        path = "/" + NUMBERS["plain"]
        assert s.api(path, token="plain-word").status == 200
        assert s.api(path, token="other-word").status == 401
        assert s.api(path, token=jwt(iss=REALM, exp=int(time.time()) + 60)).status == 200
        assert s.api(path, token=run("--make-token", "60").stdout.strip()).status == 200
        assert s.api(path, token=run("--make-token", "-1").stdout.strip()).status == 401


def test_made_token_is_the_realms_and_nobodys():
    payload = run("--make-token", "60").stdout.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert claims["iss"] == REALM and claims["azp"] == "portalexterno-frontend"
    assert 55 < claims["exp"] - time.time() <= 61
    assert "SINTETICA" in claims["name"]


def test_revoked_token(own):
    path = "/" + NUMBERS["plain"]
    own.sim("/token", body='{"revoked": true}')
    assert own.api(path).status == 401
    own.sim("/token", body='{"revoked": true, "status": 500}')
    assert own.api(path).status == 500
    own.sim("/token", body='{"revoked": false}')
    assert own.api(path).status == 200


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE"])
def test_other_methods(sim, method):
    answer = sim.api("/" + NUMBERS["plain"], method=method)
    assert answer.status == 405 and answer.headers["allow"] == "GET"


# ---- searches ----


def pages(s, query):
    """The numbers on each page, following the cursor as clients do."""
    found, cursor = [], None
    while True:
        more = "&searchAfter=" + urllib.parse.quote(cursor) if cursor else ""
        answer = s.api(query + more)
        if answer.status == 404:
            return found, 404
        page = answer.json()
        if not page["content"]:
            return found, 200
        found.append([i["numeroProcesso"] for i in page["content"]])
        cursor = ",".join(map(str, page["searchAfter"]))


def test_search_by_lawyer_pages_and_ends_with_404():
    with Sim("--cases", "250", "--documents", "1") as s:
        found, end = pages(s, "?oabRepresentante=SP999001&size=20")
        assert end == 404 and [len(p) for p in found] == [20, 20, 10]
        assert len({n for p in found for n in p}) == 50
        assert s.api("?oabRepresentante=SP000000").status == 404


def test_search_by_party_and_unknown_parameters():
    with Sim("--cases", "150", "--documents", "1") as s:
        party = s.detail(NUMBERS["plain"])[0]["tramitacaoAtual"]["partes"][0]
        cpf = party["documentosPrincipais"][0]["numero"]
        found, end = pages(s, "?cpfCnpjParte=" + cpf)
        assert end == 200 and sum(map(len, found)) == 30
        assert s.api("?cpfCnpjParte=00000000000").json()["content"] == []
        everything, _ = pages(s, "?colour=red&size=1000")  # clipped to 100
        assert [len(p) for p in everything][:2] == [100, 100]
        assert sum(map(len, everything)) == len(s.cases("?papers=0"))


def test_cursor_as_json_array_is_404(sim):
    cursor = sim.api("?oabRepresentante=SP999001&size=1").json()["searchAfter"]
    assert sim.api("?oabRepresentante=SP999001&searchAfter=" +
                   urllib.parse.quote(json.dumps(cursor))).status == 404


def test_list_shapes(sim):
    def ask(oddity):
        return sim.api("?numeroProcesso=" + NUMBERS[oddity]).json()

    def digits(oddity):
        return re.sub(r"\D", "", NUMBERS[oddity])

    assert ask("list-bare-array")[0]["numeroProcesso"] == digits("list-bare-array")
    assert list(ask("list-content")) == ["content"]
    assert ask("list-data")["data"][0]["numeroProcesso"] == digits("list-data")
    assert ask("list-total-object")["total"]["value"] == 1
    assert "search_after" in ask("list-cursor-underscore")
    assert "nextSearchAfter" in ask("list-cursor-next")
    assert digits("list-ignores-filter") not in json.dumps(ask("list-ignores-filter"))
    assert len(ask("list-ignores-filter")["content"]) == 3
    assert ask("list-empty")["content"] == []
    loop = ask("list-cursor-loop")
    again = sim.api("?numeroProcesso=" + NUMBERS["list-cursor-loop"] + "&searchAfter=" +
                    urllib.parse.quote(",".join(map(str, loop["searchAfter"])))).json()
    assert loop["searchAfter"] == again["searchAfter"] and again["content"]
    for oddity, wanted in (("list-paged", [2, 2, 1]), ("list-paged-late", [0, 0, 1])):
        found, _ = pages(sim, "?numeroProcesso=" + NUMBERS[oddity])
        assert [p.count(digits(oddity)) for p in found] == wanted


# ---- shapes of the detail ----


def test_detail_shapes(sim):
    assert isinstance(sim.detail(NUMBERS["detail-array"]), list)
    assert "tramitacaoAtual" in sim.detail(NUMBERS["detail-object"])
    assert "tramitacaoAtual" in sim.detail(NUMBERS["detail-content"])["content"][0]
    assert sim.detail(NUMBERS["detail-empty-array"]) == []
    other = sim.detail(NUMBERS["detail-other-number"])[0]["numeroProcesso"]
    assert re.sub(r"\D", "", other) != re.sub(r"\D", "", NUMBERS["detail-other-number"])
    assert "tramitacoes" not in sim.detail(NUMBERS["only-tramitacao-atual"])[0]
    lone = sim.detail(NUMBERS["only-tramitacoes"])[0]
    assert "tramitacaoAtual" not in lone and len(lone["tramitacoes"]) == 2
    assert documents(sim.detail(NUMBERS["no-documents"])) == []


def key(document):
    return tuple(json.dumps(document.get(k)) for k in
                 ("idOrigem", "sequencia", "dataHoraJuntada", "tipo", "nome"))


def test_two_sources(sim):
    case = sim.case("three-proceedings-two-sources")
    detail = sim.detail(case["number"])[0]
    first, twin, second = detail["tramitacaoAtual"], *detail["tramitacoes"]
    assert first["grau"]["sigla"] == twin["grau"]["sigla"] == "G1" and second["grau"]["sigla"] == "G2"
    assert str(first["idFonteDadosCodex"]) != str(twin["idFonteDadosCodex"])

    def papers(part):
        return [key(d)[:1] + key(d)[1:3] + key(d)[4:] for d in part["documentos"]]

    assert papers(first) == papers(twin)
    ids = {uuid_of(d) for d in first["documentos"]}, {uuid_of(d) for d in twin["documentos"]}
    assert not ids[0] & ids[1]
    assert case["distinct"] == 14 and case["listed"] == 24
    single = 0
    for paper in case["papers"]:
        answers = [sim.binario(case["number"], i) for i in paper["ids"]]
        good = [a for a in answers if a.status == 200]
        assert good and all(hashlib.sha256(a.body).hexdigest() == paper["sha256"] for a in good)
        single += len(good) < len(answers)
    assert single == 4


def test_moved_court(sim):
    case = sim.case("moved-court")
    detail = sim.detail(case["number"])[0]
    now, before = detail["tramitacaoAtual"]["documentos"], detail["tramitacoes"][0]["documentos"]
    assert (len(now), len(before)) == (43, 17)
    same = {(d["nome"], d["dataHoraJuntada"], d["sequencia"]) for d in now}
    assert all((d["nome"], d["dataHoraJuntada"], d["sequencia"]) in same for d in before)
    assert not {d["idOrigem"] for d in now} & {d["idOrigem"] for d in before}
    twins = [p for p in case["papers"] if len(p["ids"]) == 2]
    assert len(twins) == 17
    a, b = (sim.binario(case["number"], i).body for i in twins[0]["ids"])
    assert a == b


def test_ids_names_dates_levels(sim):
    def all_of(oddity):
        return documents(sim.detail(NUMBERS[oddity]))

    assert all(isinstance(d["idCodex"], str) for d in all_of("ids-as-strings"))
    assert all(isinstance(d["idOrigem"], int) for d in all_of("ids-as-numbers"))
    assert all("arquivo" not in d for d in all_of("no-arquivo"))
    names = [d.get("nome", "missing") for d in all_of("names-wild")]
    assert "../../etc/passwd" in names and None in names and "missing" in names and "" in names
    assert any(n and len(n.encode()) == 300 for n in names if n)
    assert len({d["dataHoraJuntada"] for d in all_of("dates-wild")}) == 22
    levels = [d.get("nivelSigilo", "missing") for d in all_of("secrecy-mixed")]
    assert {"PUBLICO", "SIGILO_ABSOLUTO", 0, 5, 42, "missing"} <= set(levels)
    assert len(all_of("big-case")) == 1000
    parties = sim.detail(NUMBERS["numeric-parties"])[0]["tramitacaoAtual"]["partes"]
    assert isinstance(parties[0]["documentosPrincipais"][0]["numero"], int)
    assert any("nome" not in p for p in parties)
    same = sim.case("same-content")["papers"]
    assert len({p["sha256"] for p in same}) == 3 and len(same) == 6


def test_arquivo_wrong_is_wrong_and_the_body_whole(sim):
    case = sim.case("arquivo-wrong")
    declared = {uuid_of(d): d["arquivo"] for d in documents(sim.detail(case["number"]))}
    for paper in case["papers"]:
        body = sim.binario(case["number"], paper["ids"][0]).body
        assert len(body) == paper["size"] != declared[paper["ids"][0]]["tamanho"]
        assert declared[paper["ids"][0]]["tipo"] != paper["mime"]


def test_hrefs(own):
    def hrefs(oddity):
        return [d.get("hrefBinario") for d in documents(own.detail(NUMBERS[oddity]))]

    assert None in hrefs("href-missing")
    assert all(uuid_of(d) for d in documents(own.detail(NUMBERS["href-missing"])))
    assert any(not uuid_of(d) for d in documents(own.detail(NUMBERS["href-none"])))
    assert all(h.startswith(API) for h in hrefs("href-prefixed"))
    assert all(h.startswith(own.url + API) for h in hrefs("href-absolute"))
    foreign = [h for h in hrefs("href-foreign") if h.startswith("http")]
    assert len(foreign) == 1 and not foreign[0].startswith(own.url)
    where = urllib.parse.urlsplit(foreign[0])
    own.ask(where.path, host=where.hostname)  # what a careless client would do
    stats = own.stats()
    assert stats["bearer_elsewhere"] == 1 and stats["foreign_calls"] == 1


# ---- faults: each does what its name says, as often as it should ----


def status(code, *marks, type=None, error=None):
    def check(a, true):
        assert a.fault is None and a.status == code
        assert a.body != true
        for mark in marks:
            assert mark in a.body.decode(), a.body
        assert type is None or a.type.startswith(type)
        if error is not None:
            assert isinstance(a.json()["timestamp"], error)

    return check


def bare_401(a, true):
    assert (a.status, a.type, a.body) == (401, None, b"")


def rate_seconds(a, true):
    assert a.status == 429 and a.headers["retry-after"] == "1"


def rate_date(a, true):
    assert a.status == 429
    at = email.utils.parsedate_to_datetime(a.headers["retry-after"]).timestamp()
    assert 0 < at - time.time() <= 3


def redirect(where):
    def check(a, true):
        assert a.status == 302 and where in a.headers["location"] and a.body == b""

    return check


def empty(a, true):
    assert a.status == 200 and a.body == b"" and a.headers["content-length"] == "0"


def cut(a, true):
    assert a.status == 200 and a.fault == "short"
    assert a.body == true[: len(a.body)] and 0 < len(a.body) < len(true)
    assert int(a.headers["content-length"]) == len(true)


def cut_chunked(a, true):
    assert a.status == 200 and a.fault == "short" and "content-length" not in a.headers
    assert a.body == true[: len(a.body)] and len(a.body) < len(true)


def short(a, true):
    assert a.status == 200 and a.fault is None
    assert a.body == true[: len(a.body)] and 0 < len(a.body) < len(true)
    assert not a.body.rstrip().endswith(b"%%EOF")


def half_length(a, true):
    assert a.status == 200 and int(a.headers["content-length"]) == len(true) // 2


def reset_start(a, true):
    assert a.status == 0 and a.fault == "reset"


def reset_middle(a, true):
    assert a.fault == "reset" and len(a.body) < len(true)


def stall(a, true):
    assert a.status == 200 and a.fault == "timeout" and len(a.body) < len(true)


def mute(a, true):
    assert a.status == 0 and a.fault == "timeout"


def fine(a, true):
    assert a.status == 200 and a.fault is None and a.body == true


def no_length(a, true):
    fine(a, true)
    assert "content-length" not in a.headers


def gzipped(a, true):
    import gzip

    assert a.headers["content-encoding"] == "gzip" and gzip.decompress(a.body) == true


def junk(a, true):
    assert a.status == 200 and a.type == "application/pdf" and not a.body.startswith(b"%PDF")


NO_ACCESS = "Usuário não possui acesso ao processo 99"
# name of the fault: on how many calls (0 = always), and what they look like
FAULTS = {
    "token-401-empty": (1, bare_401),
    "token-401-json": (1, status(401, '"Unauthorized"', '"message":""', type="application/json")),
    "denied-401-json": (0, status(401, NO_ACCESS, type="application/json")),
    "denied-403-json": (0, status(403, NO_ACCESS, type="application/json")),
    "waf-403-html": (2, status(403, "403 Forbidden", type="text/html")),
    "not-found-404-json": (0, status(404, error=int)),
    "not-found-404-iso": (0, status(404, error=str)),
    "not-indexed-404": (0, status(404, "Não foram encontrados registros")),
    "not-indexed-500": (0, status(500, "RegistroNaoEncontradoException")),
    "codex-500": (0, status(500, "Erro interno na API do Codex.", "externalUrlService")),
    "codex-500-then-ok": (2, status(500, "Erro interno na API do Codex.")),
    "codex-overload": (2, status(504, "O tempo de resposta do serviço Codex excedeu o limite")),
    "codex-overload-500": (2, status(500, "O tempo de resposta do serviço Codex excedeu o limite")),
    "rate-429-plain": (1, status(429)),
    "rate-429-seconds": (2, rate_seconds),
    "rate-429-date": (1, rate_date),
    "error-500": (2, status(500, '"message":""')),
    "gateway-502": (2, status(502, "502 Bad Gateway", type="text/html")),
    "gateway-503": (2, status(503, "503 Service", type="text/html")),
    "gateway-504": (2, status(504, "504 Gateway", type="text/html")),
    "gateway-503-forever": (0, status(503, type="text/html")),
    "maintenance-200": (0, status(200, "em manutenção", type="text/html")),
    "maintenance-200-then-ok": (2, status(200, "em manutenção", type="text/html")),
    "shell-200": (0, status(200, "<app-root", "ng-version=", type="text/html")),
    "shell-200-then-ok": (2, status(200, "<app-root", type="text/html")),
    "login-200": (0, status(200, "kc-form-login", "login-actions", type="text/html")),
    "login-200-then-ok": (1, status(200, "kc-form-login", type="text/html")),
    "json-error-200": (0, status(200, "Erro interno na API do Codex.", '"status":500', type="application/json")),
    "redirect-302-sso": (1, redirect("https://sso.cloud.pje.jus.br/")),
    "redirect-302-other": (0, redirect("arquivos.invalid")),
    "bad-request-400": (0, status(400, type="application/json")),
    "empty-200": (0, empty),
    "empty-then-ok": (2, empty),
    "truncated-length": (0, cut),
    "truncated-length-then-ok": (2, cut),
    "truncated-pdf": (0, short),
    "cut-chunked": (0, cut_chunked),
    "cut-chunked-then-ok": (2, cut_chunked),
    "wrong-length": (0, half_length),
    "reset-start": (2, reset_start),
    "reset-middle": (2, reset_middle),
    "reset-forever": (0, reset_start),
    "stall": (0, stall),
    "stall-then-ok": (1, stall),
    "stall-header": (0, mute),
    "stall-header-then-ok": (1, mute),
    "drip": (0, fine),
    "chunked": (0, no_length),
    "slow-headers": (0, fine),
    "gzip-encoded": (0, gzipped),
    "mismatch": (0, junk),
}


def test_every_fault_is_checked(sim):
    used = set()
    for case in sim.cases():
        used |= {case["list_fault"], case["detail_fault"]}
        used |= {p["fault"] for p in case["papers"]}
    assert used - {None} == set(FAULTS)


def check_fault(s, fault, path, true):
    times, check = FAULTS[fault]
    patience = STALLED if check in (stall, mute) else PATIENCE
    for _ in range(times or 3):
        check(s.ask(path, timeout=patience), true)
    if times:
        fine(s.ask(path), true)


@pytest.mark.parametrize("number,name", [r[:2] for r in LISTED if 101 <= int(r[0][2:7]) <= 150])
def test_document_fault(own, number, name):
    case = own.cases("?number=" + number)[0]
    odd = [p for p in case["papers"] if p["fault"]]
    good = [p for p in case["papers"] if not p["fault"]]
    assert len(odd) == 2 and len(good) == 6
    assert case["outcome"] == ("partial" if odd[0]["result"] == "failed" else "complete")
    assert own.api("/" + number).status == 200
    for paper in odd:
        true = own.sim("/document/" + paper["ids"][0])
        assert len(true) == paper["size"]
        check_fault(own, paper["fault"], f"{API}/{number}/documentos/{paper['ids'][0]}/binario", true)
        # a fault that passes leaves a document that can be had, the others do not, but for
        # those that are only slow
        passing = FAULTS[paper["fault"]][0] > 0 or FAULTS[paper["fault"]][1] in (fine, no_length)
        assert (paper["result"] == "available") == passing
    for paper in good:
        assert hashlib.sha256(own.binario(number, paper["ids"][0]).body).hexdigest() == paper["sha256"]


@pytest.mark.parametrize("number,name", [r[:2] for r in LISTED if 201 <= int(r[0][2:7]) <= 299])
def test_case_fault(number, name):
    with Sim() as clean, Sim() as odd:
        # what the calls are without their faults: a rule comes before a fault
        clean.script('* header="X-Nothing: 1"')
        case = odd.cases("?number=" + number)[0]
        assert case["list_fault"] or case["detail_fault"]
        for fault, path in ((case["list_fault"], f"{API}?numeroProcesso={number}"),
                            (case["detail_fault"], f"{API}/{number}")):
            if not fault:
                assert odd.ask(path).status == 200
                continue
            true = clean.ask(path).body
            assert json.loads(true)
            check_fault(odd, fault, path, true)


def test_everything_holds_every_fault_of_documents(own):
    here = {p["fault"] for o in ("everything", "everything-holds") for p in own.case(o)["papers"]}
    waiting = {f for f, (_, check) in FAULTS.items() if check in (stall, mute)}
    only_calls = {"shell-200-then-ok", "login-200-then-ok", "maintenance-200-then-ok"}
    assert here - {None} == set(FAULTS) - waiting - only_calls
    for oddity in ("everything", "everything-holds"):
        case = own.case(oddity)
        for paper in case["papers"]:
            if paper["result"] == "failed":
                continue
            for _ in range(4):
                answer = own.binario(case["number"], paper["ids"][0])
                if answer.status == 200 and answer.fault is None and answer.body:
                    break
            assert hashlib.sha256(answer.body).hexdigest() == paper["sha256"], paper


def test_wrong_length_sends_more_than_it_says(own):
    case = own.case("wrong-length")
    paper = next(p for p in case["papers"] if p["fault"])
    with own.raw(f"{API}/{case['number']}/documentos/{paper['ids'][0]}/binario") as link:
        sent = b""
        while piece := link.recv(65536):
            sent += piece
    head, _, body = sent.partition(b"\r\n\r\n")
    assert int(re.search(rb"Content-Length: (\d+)", head)[1]) * 2 <= paper["size"] == len(body)


def test_too_large_announces_5_gib(own):
    case = own.case("too-large")
    paper = next(p for p in case["papers"] if p["reason"] == "too_large")
    with own.raw(f"{API}/{case['number']}/documentos/{paper['ids'][0]}/binario") as link:
        head = link.recv(4096)
        assert int(re.search(rb"Content-Length: (\d+)", head)[1]) > 5_000_000_000


def test_slow_headers_come_in_pieces(own):
    case = own.case("slow-headers")
    paper = next(p for p in case["papers"] if p["fault"])
    with own.raw(f"{API}/{case['number']}/documentos/{paper['ids'][0]}/binario") as link:
        assert link.recv(65536) == b"HTTP/1.1 200 OK\r\n"


def test_drip_is_slow_but_steady(own):
    case = own.case("drip")
    paper = next(p for p in case["papers"] if p["fault"])
    begun = time.monotonic()
    answer = own.binario(case["number"], paper["ids"][0], timeout=1)
    assert len(answer.body) == paper["size"]
    assert time.monotonic() - begun >= paper["size"] // 2048 * 0.05 * 0.8


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
