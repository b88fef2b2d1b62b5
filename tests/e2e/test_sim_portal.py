"""What the simulated portal answers: paths, tokens and methods, searches and their pages, and the shapes of a case."""

import base64
import hashlib
import json
import re
import time
import urllib.parse

import pytest

from simulator import API, NUMBERS, Sim, documents, own, run, sim, uuid_of  # noqa: F401 - fixtures


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
