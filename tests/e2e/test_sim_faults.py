"""Faults of the simulated portal: each does what its name says, as often as it should."""

import email.utils
import hashlib
import json
import re
import time

import pytest

from simulator import API, LISTED, PATIENCE, STALLED, Sim, own, sim  # noqa: F401 - fixtures


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
