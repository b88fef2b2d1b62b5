"""Cases over HTTP: asked for once, told from 0 to 100, answered from what is stored, erased."""

import concurrent.futures
import http.server
import re
import threading

import pytest

import lib

pytestmark = [pytest.mark.both, pytest.mark.databases]

V1 = "/api/v1"
CASE = "9910000-32.2024.8.26.0100"
HOOK = "https://client.example.org/hook?a=b"


# ---- one request is enough ----


@pytest.mark.parametrize("query, hook", [("", None), (f"?webhook_url={HOOK.replace('?', '%3F')}", HOOK)])
def test_one_request_fetches_everything(service, sim, query, hook):
    a = service.get(service.path(CASE) + query)
    assert a.status == 200 and a.json["process_number"] == lib.digits(CASE)
    assert a.json["has_documents"] and len(a.json["documents"]) == 40
    assert a.json["full_data"]["numeroProcesso"] and a.json["court"] == "TJSP"
    end = service.finished(CASE)
    assert (end["outcome"], end["progress_percentage"], end["webhook_url"]) == ("complete", 100, hook)
    truth = {i: p for p in sim.case(CASE)["papers"] for i in p["ids"]}
    assert len(end["documents"]) == len(truth)
    for d in end["documents"]:
        assert (d["size"], d["sha256"]) == (truth[d["uuid"]]["size"], truth[d["uuid"]]["sha256"])
    a = service.get(service.path(CASE)).json
    assert a["documents_downloaded"] and a["job_status"] == "completed" and a["outcome"] == "complete"
    service.stop()
    lib.check_invariants(service, sim)


@pytest.mark.parametrize("url", ["x", "ftp://example.org/", "https://", "http://user:pw@example.org/", "https://example.org/" + "a" * 2000,
                                 "https://example.org/%20 b", "http://169.254.169.254/", "javascript:alert(1)", ""])
def test_a_wrong_webhook_starts_nothing(shared, url):
    service, sim = shared
    number = "9910003-74.2025.5.02.0001"
    before = sim.calls()
    quoted = "".join(f"%{b:02x}" for b in url.encode())
    if url != "http://169.254.169.254/":  # told apart when it is called
        assert service.get(service.path(number) + f"?webhook_url={quoted}").problem == "invalid-webhook-url"
        a = service.post(service.path(number, "jobs"), {"webhook_url": url})
        assert a.problem in ("invalid-webhook-url", "invalid-body")
    assert service.get(service.path(number, "status")).status == 404
    assert sim.calls() == before


def test_many_at_once_make_one_job(service, sim):
    sim.script("list delay=50")
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: service.get(service.path(CASE)), range(20)))
    assert {a.status for a in answers} == {200}
    assert len({a.json["job_id"] for a in answers}) == 1
    service.finished(CASE)
    assert len(service.get(f"{V1}/jobs").json["jobs"]) == 1
    assert sim.calls("list") == 1 and sim.calls("detail") == 1
    assert all(n == 1 for n in sim.stats()["documents"].values())


def test_a_stored_case_asks_the_portal_nothing(service, sim):
    service.get(service.path(CASE))
    first = service.finished(CASE)
    sim.reset()
    for op in ("", "status", "files", "manifest"):
        assert service.get(service.path(CASE, op).rstrip("/")).status == 200
    assert service.post(service.path(CASE, "download-all-documents")).json["downloaded"] == 40
    assert sim.calls() == 0
    again = service.status(CASE)
    for before, after in zip(first["documents"], again["documents"]):
        assert service.fetch(after["download_url"]).status == 200
        assert after["expires_at"] >= before["expires_at"]
    assert service.get(service.path(CASE) + "?force_refresh=true").json["job_id"] != first["job_id"]
    service.finished(CASE)
    assert sim.calls("detail") == 1 and sim.calls("binario") == 0


# ---- how far it is ----


def test_progress_goes_from_0_to_100(service, sim):
    sim.script("list delay=40\nbinario delay=60")
    assert service.get(service.path(CASE), headers={"Prefer": "respond-async"}).status == 202
    seen = [service.status(CASE)]
    assert (seen[0]["progress_percentage"], seen[0]["status"] in ("pending", "processing")) == (0, True)
    while seen[-1]["status"] not in ("completed", "failed"):
        seen.append(service.status(CASE))
        s = seen[-1]
        states = [d["status"] for d in s["documents"]]
        assert s["total_documents"] == len(states)
        assert (s["completed_documents"], s["failed_documents"]) == (states.count("available"), states.count("failed"))
        assert (s["pending_documents"], s["processing_documents"]) == (states.count("pending"), states.count("processing"))
        assert s["progress_percentage"] < 100 or s["completed_documents"] == 40
    percents = [s["progress_percentage"] for s in seen]
    assert percents == sorted(percents) and percents[-1] == 100 and len(set(percents)) > 3


ODD = ["denied-document-401-json", "href-none", "no-documents", "not-found-404-json", "case-sealed-401", "case-codex-500",
       "detail-empty-array-listed", "truncated-json-detail", "names-wild", "secrecy-mixed", "moved-court", "kinds", "dates-wild",
       "error-500-document", "empty-200", "too-large", "ids-as-numbers", "detail-object", "detail-content", "list-bare-array"]


@pytest.mark.parametrize("name", ODD)
def test_odd_cases_end_honestly(shared, name):
    """Whatever the portal does: a final status, 100 %, and each document with bytes or a reason."""
    service, sim = shared
    number = lib.number_of(name)
    case = sim.case(number)
    a = service.get(service.path(number))
    problem = {"not_found": "case-not-found", "access_denied": "case-access-denied", "upstream_error": "portal-error"}
    end = service.finished(number)
    assert end["outcome"] == case["outcome"]
    assert end["progress_percentage"] == 100
    assert end["status"] == ("completed" if case["outcome"] in ("complete", "empty") else "failed")
    assert bool(end["error_message"]) == (end["status"] == "failed")
    if case["outcome"] in problem:
        assert a.problem == problem[case["outcome"]]
        return
    assert a.status == 200 and isinstance(a.json["full_data"], dict)
    for d in service.get(service.path(number, "files?limit=500")).json["documents"]:
        if d["status"] == "available":
            got = service.fetch(d["download_url"])
            assert (len(got.body), lib.sha256(got.body)) == (d["size"], d["sha256"])
            assert got.headers.get_content_type() == d["mime_type"]
        else:
            assert d["status"] == "failed" and d["reason"] and d["error"] and d["download_url"] is None
    m = service.get(service.path(number, "manifest")).json
    lib.check_seal(m)
    assert m["totals"]["documents"] == end["total_documents"]


def test_a_list_only_leaves_the_documents(service, sim):
    a = service.get(service.path(CASE) + "?auto_download=false&include_full_data=false")
    assert a.json["full_data"] is None and len(a.json["documents"]) == 40
    job = f"{V1}/jobs/{a.json['job_id']}"
    lib.until(lambda: service.get(job).json["status"] == "completed", "the list")
    s = service.status(CASE)
    assert (s["status"], s["outcome"], s["pending_documents"], s["progress_percentage"]) == ("pending", "limited", 40, 0)
    assert sim.calls("binario") == 0
    d = s["documents"][7]
    for name in (d["id"], d["uuid"]):
        a = service.post(service.path(CASE, "download-document", name))
        assert (a.status, a.json["uuid"]) == (200, d["uuid"])
        assert service.fetch(a.json["download_url"]).status == 200
    assert sim.calls("binario") == 1
    assert service.post(service.path(CASE, "download-all-documents")).json["downloaded"] == 40
    assert sim.calls("binario") == 40


# ---- events ----


def test_events_tell_everything_once(service, sim):
    sim.script("binario delay=2")
    job = service.post(service.path(CASE, "jobs"), {}).json["job_id"]
    with service.events(service.path(CASE, "events")) as stream:
        live = list(stream)
    numbered = [e for e in live if e.data["seq"]]
    assert [e.data["seq"] for e in numbered] == list(range(1, len(numbered) + 1))
    assert {e.id for e in numbered} == {f"{job}-{e.data['seq']}" for e in numbered}
    documents = [e for e in live if e.event == "document"]
    assert len({e.data["uuid"] for e in documents if e.data["status"] == "available"}) == 40
    assert live[-1].event == "done" and live[-1].data["outcome"] == "complete"
    assert live[-1].data["progress_percentage"] == 100
    middle = numbered[len(numbered) // 2]
    with service.events(service.path(CASE, "events"), headers={"Last-Event-ID": middle.id}) as stream:
        rest = list(stream)
    assert [e.id for e in rest] == [e.id for e in numbered if e.data["seq"] > middle.data["seq"]]
    for unknown in ("9-9", "x", "1-", "-1", f"{job}-99999x", "1" * 100):
        with service.events(service.path(CASE, "events"), headers={"Last-Event-ID": unknown}) as stream:
            assert next(stream).data["seq"] == 1
    assert service.call("HEAD", service.path(CASE, "events")).headers.get_content_type() == "text/event-stream"


# ---- lists ----


@pytest.fixture(scope="module")
def listed(shared):
    service, _ = shared
    numbers = [n for n, name, outcome in lib.catalogue() if outcome == "complete"][:25]
    a = service.post(f"{V1}/processes/search", {"process_numbers": numbers}, headers={"Prefer": "wait=30"})
    assert a.json["total_requested"] == 25
    batch = f"{V1}/processes/batches/{a.json['batch_id']}"
    lib.until(lambda: service.get(batch).json["pending"] == 0, "the batch")
    lib.until(lambda: not service.get(f"{V1}/jobs?status=processing").json["jobs"], "the jobs")
    return service, {lib.digits(n) for n in numbers}


def walk(service, path):
    while path:
        a = service.get(path)
        assert a.status == 200
        yield a.json
        link = a.headers.get("Link")
        path = link and re.fullmatch(r'<([^<>]+)>; rel="next"', link)[1].removeprefix(service.url)


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("sort", ["updated_at", "created_at", "last_consultation", "process_number", "court"])
def test_cases_page_by_page(listed, sort, order):
    service, numbers = listed
    base = f"{V1}/processes?sort_by={sort}&sort_order={order}"
    whole = service.get(base + "&limit=1000").json
    assert numbers <= {p["process_number"] for p in whole}
    values = [p[sort] or "" for p in whole]
    assert values == sorted(values, reverse=order == "desc")
    pages = list(walk(service, base + "&limit=7"))
    assert [p["process_number"] for page in pages for p in page] == [p["process_number"] for p in whole]
    assert all(len(page) == 7 for page in pages[:-1])
    assert service.get(base + "&limit=3&skip=5").json == whole[5:8]
    assert all(p["documents"] is None and p["full_data"] is None for p in whole)


def test_filters(listed):
    service, _ = listed
    whole = service.get(f"{V1}/processes?limit=1000").json
    got = service.get(f"{V1}/processes?limit=1000&filter_court=tjsp").json
    assert {p["process_number"] for p in got} == {p["process_number"] for p in whole if p["court"] == "TJSP"}
    for flag in ("true", "false"):
        got = service.get(f"{V1}/processes?limit=1000&filter_has_documents={flag}").json
        assert {p["process_number"] for p in got} == {p["process_number"] for p in whole if p["has_documents"] == (flag == "true")}
    got = service.get(f"{V1}/processes?limit=5&include_full_data=true").json
    assert all(isinstance(p["full_data"], dict) for p in got)


def test_jobs_and_files_page_by_page(listed):
    service, _ = listed
    whole = service.get(f"{V1}/jobs?limit=1000").json["jobs"]
    ids = [j["job_id"] for page in walk(service, f"{V1}/jobs?limit=7") for j in page["jobs"]]
    assert ids == [j["job_id"] for j in whole] == sorted(ids, key=int, reverse=True)
    number = whole[0]["process_number"]
    assert {j["process_number"] for j in service.get(f"{V1}/jobs?process_number={number}").json["jobs"]} == {number}
    service.get(service.path(CASE))
    service.finished(CASE)
    for sort in ("created_at", "name", "type", "size", "status"):
        for order in ("asc", "desc"):
            base = service.path(CASE, f"files?sort_by={sort}&sort_order={order}")
            whole = service.get(base).json["documents"]
            values = [d[sort] for d in whole]
            assert values == sorted(values, key=lambda v: v.encode() if isinstance(v, str) else v, reverse=order == "desc"), sort
            assert [d["id"] for page in walk(service, base + "&limit=7") for d in page["documents"]] == [d["id"] for d in whole]
    kind = whole[0]["type"]
    got = service.get(service.path(CASE, "files?limit=500&filter_downloaded=true&filter_type=" + kind.upper().replace(" ", "%20"))).json
    assert got["total"] == sum(d["type"] == kind for d in whole) and got["total_documents"] == 40
    assert service.get(service.path(CASE, "files?filter_downloaded=false")).json["documents"] == []


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=-1", "limit=x", "limit=1e3", "skip=-1", "sort_by=name", "sort_order=up",
                                   "filter_has_documents=maybe", "cursor=x", "cursor=!", "cursor=" + "QUFB", "include_full_data=2",
                                   "limit=99999999999999999999", "limit="])
def test_parameters_are_checked(shared, query):
    service, _ = shared
    a = service.get(f"{V1}/processes?{query}")
    assert a.problem == "invalid-parameter" and a.json["errors"][0]["parameter"] == query.split("=")[0]


@pytest.mark.parametrize("cursor", ["x", "QUFB", "LTE", "MA", "A" * 2000])
def test_wrong_cursors(shared, cursor):
    service, _ = shared
    service.get(service.path(CASE))
    for path, key in ((f"{V1}/jobs", "user"), (f"{V1}/users", "admin"), (service.path(CASE, "files"), "user")):
        assert service.get(f"{path}?cursor={cursor}", key=key).problem == "invalid-parameter"


# ---- many numbers ----


def test_a_search(service, sim):
    numbers = ["9910000-32.2024.8.26.0100", "99100013420244036100", lib.number_of("not-found-404-json"), "9910000-33.2024.8.26.0100",
               "", "x" * 5000, "9910000-32.2024.8.26.0100"]
    a = service.post(f"{V1}/processes/search", {"process_numbers": numbers, "include_documents": True, "unknown": 1})
    assert (a.json["total_requested"], a.json["found"], len(a.json["invalid"])) == (7, 2, 3)
    assert a.json["not_found"] == [lib.digits(numbers[2])] and a.json["pending"] == []
    for n in numbers[:2]:
        assert service.finished(n)["outcome"] == "complete"
    b = service.get(f"{V1}/processes/batches/{a.json['batch_id']}").json
    assert [i["status"] for i in b["items"]] == ["found", "found", "failed"]
    assert [i["completed_documents"] for i in b["items"]] == [40, 40, 0]
    assert service.post(f"{V1}/processes/search", {"process_numbers": ["x"]}).json["batch_id"] is None
    sim.reset()
    a = service.post(f"{V1}/processes/search", {"process_numbers": numbers[:2]})
    assert a.json["found"] == 2 and sim.calls() == 0


def test_a_search_of_1000(service, sim):
    """Answered at once, worked off afterwards."""
    def number(i):
        head = f"{9_920_000 + i:07d}"
        check = 98 - int(head + "2024" + "8260100" + "00") % 97
        return f"{head}{check:02d}20248260100"

    numbers = [number(i) for i in range(1000)]
    a = service.post(f"{V1}/processes/search", {"process_numbers": numbers})
    assert a.json["total_requested"] == 1000 and len(a.json["pending"]) + len(a.json["not_found"]) == 1000
    b = service.get(f"{V1}/processes/batches/{a.json['batch_id']}").json
    assert [i["process_number"] for i in b["items"]] == numbers


# ---- what reaches the portal ----


def test_the_trace_reaches_the_portal(make_service):
    seen = []

    class Portal(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(dict(self.headers))
            body = b'{"timestamp":1,"status":404,"error":"Not Found","message":"No message available","path":"/"}'
            self.send_response(404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Portal) as portal:
        threading.Thread(target=portal.serve_forever, args=(0.01,)).start()
        service = make_service(f"http://127.0.0.1:{portal.server_port}/api/v2")
        trace = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
        service.get(service.path(CASE), headers={"traceparent": trace, "X-Request-ID": "mine-1"})
        assert {h["traceparent"][:35] for h in seen} == {trace[:35]}
        assert service.get(f"{V1}/jobs").json["jobs"][0]["request_id"] == "mine-1"
        seen.clear()
        service.post(service.path(CASE, "jobs"), {"force_refresh": True}, headers={"traceparent": "00-" + "0" * 32 + "-" + "0" * 16 + "-01"})
        service.finished(CASE)
        assert all(re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", h["traceparent"]) and "0" * 32 not in h["traceparent"] for h in seen)
        assert not any(key in str(seen) for key in service.keys.values())
        portal.shutdown()


# ---- again ----


def test_a_retry_fetches_what_failed_only(service, sim):
    sim.script("binario document=7 answer=codex-500\nbinario document=9 answer=codex-500")
    service.get(service.path(CASE))
    end = service.finished(CASE)
    assert (end["status"], end["outcome"], end["completed_documents"], end["failed_documents"]) == ("failed", "partial", 38, 2)
    assert end["progress_percentage"] == 100
    failed = {d["uuid"] for d in end["documents"] if d["status"] == "failed"}
    assert {d["reason"] for d in end["documents"] if d["uuid"] in failed} == {"unavailable_upstream"}
    sim.script("")
    sim.reset()
    a = service.post(f"{V1}/jobs/{end['job_id']}/retry")
    assert (a.status, a.json["job_id"]) == (202, end["job_id"])
    assert service.finished(CASE)["outcome"] == "complete"
    assert set(sim.stats()["documents"]) == failed and sim.calls("list", "detail") == 0
    assert service.post(f"{V1}/jobs/{end['job_id']}/retry").problem == "job-not-retryable"


def test_asking_again_takes_up_what_failed(make_service, sim):
    """A client of the main entry needs no retry: the next GET does it, when the last try is some time ago."""
    service = make_service(sim, partial_retry_after="0")
    sim.script("binario document=7 answer=codex-500")
    service.get(service.path(CASE))
    first = service.finished(CASE)
    assert first["outcome"] == "partial"
    sim.script("")
    sim.reset()
    assert service.get(service.path(CASE)).status == 200
    last = lib.until(lambda: (s := service.status(CASE))["outcome"] == "complete" and s, "the second job")
    assert last["job_id"] != first["job_id"] and sum(sim.stats()["documents"].values()) == 1


def test_polling_with_get_does_not_ask_the_portal_again(service, sim):
    """What failed just now is not tried at every GET; a webhook, force_refresh and POST do ask."""
    sim.script("binario document=7 answer=codex-500")
    service.get(service.path(CASE))
    first = service.finished(CASE)
    assert first["outcome"] == "partial"
    calls = sim.stats()["calls"]
    for _ in range(5):
        a = service.get(service.path(CASE))
        assert (a.status, a.json["job_id"], a.json["outcome"]) == (200, first["job_id"], "partial")
    assert sim.stats()["calls"] == calls
    sim.script("")
    sim.reset()
    again = service.post(service.path(CASE, "jobs"), {})
    assert again.status == 202 and again.json["job_id"] != first["job_id"]
    assert service.finished(CASE)["outcome"] == "complete"


def test_a_refresh_joins_a_job_that_ends_with_gaps(service, sim):
    """The portal did answer: documents that are missing are no reason for a 502."""
    sim.script("binario stall=header")
    first = service.get(service.path(CASE), headers={"Prefer": "respond-async"}).json["job_id"]
    lib.until(lambda: service.status(CASE)["processing_documents"], "the list")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        refresh = pool.submit(service.post, service.path(CASE, "refresh"), headers={"Prefer": "wait=60"})
        lib.until(lambda: "autos_http_waiting 1" in service.call("GET", "/metrics", key="admin").body.decode(), "the request to wait")
        sim.script("binario document=7 answer=codex-500")
        a = refresh.result()
    assert (a.status, a.json["job_id"], a.json["job_status"]) == (200, first, "failed")


def test_an_active_job_is_adopted_and_widened(service, sim):
    sim.script("* stall=header")
    a = service.get(service.path(CASE) + "?auto_download=false", headers={"Prefer": "respond-async"})
    job = f"{V1}/jobs/{a.json['job_id']}"
    assert service.get(job).json["scope"] == "list"
    b = service.post(service.path(CASE, "jobs"), {"webhook_url": HOOK, "priority": 5})
    assert (b.status, b.json["adopted"], b.json["job_id"]) == (200, True, a.json["job_id"])
    assert (b.json["scope"], b.json["priority"], b.json["webhook_url"]) == ("documents", 5, HOOK)
    service.post(service.path(CASE, "jobs"), {"webhook_url": HOOK + "2", "priority": 1})
    c = service.get(job).json
    assert (c["priority"], c["webhook_url"]) == (5, HOOK), "the highest and the first"
    sim.script("")
    assert service.finished(CASE)["outcome"] == "complete"


def test_a_cancelled_job_keeps_what_is_stored(service, sim):
    sim.script("binario document=9 stall=header")
    job = service.get(service.path(CASE)).json["job_id"]
    lib.until(lambda: service.status(CASE)["completed_documents"] == 39, "the others")
    service.post(f"{V1}/jobs/{job}/cancel")
    s = service.status(CASE)
    assert (s["status"], s["completed_documents"], s["pending_documents"], s["processing_documents"]) == ("cancelled", 39, 1, 0)
    assert all(service.fetch(d["download_url"]).status == 200 for d in s["documents"] if d["status"] == "available")
    sim.script("")
    assert service.post(f"{V1}/jobs/{job}/retry").status == 202
    assert service.finished(CASE)["outcome"] == "complete"


# ---- ends ----


def test_an_erased_case_is_gone(service, sim):
    service.get(service.path(CASE))
    link = service.finished(CASE)["documents"][0]["download_url"]
    assert service.call("DELETE", service.path(CASE), key="admin").status == 200
    assert service.fetch(link).status == 404
    for op in ("status", "files", "manifest", "events"):
        assert service.get(service.path(CASE, op)).problem == "case-not-found"
    assert service.get(f"{V1}/processes").json == [] == service.get(f"{V1}/jobs").json["jobs"]
    folder = f"processos/{lib.digits(CASE)}/"
    assert service.store.gone(folder)
    assert service.get(service.path(CASE)).status == 200
    assert service.finished(CASE)["completed_documents"] == 40 and len(service.store.keys(folder)) > 30
    assert service.fetch(link).status == 200, "the same paper under the same key"


def test_a_cancelled_case_can_be_erased(service, sim):
    sim.script("binario stall=header")
    job = service.get(service.path(CASE)).json["job_id"]
    assert service.call("DELETE", service.path(CASE), key="admin").problem == "case-busy"
    assert service.post(f"{V1}/jobs/{job}/cancel").json["status"] == "cancelled"
    lib.until(lambda: service.call("DELETE", service.path(CASE), key="admin").status == 200, "the worker to let go")
    sim.script("")


def test_one_key_one_job(service, sim):
    """The same request twenty times at once: one is done, the others get its answer, or are told to wait."""
    sim.script("list stall=header")

    def ask(_):
        return service.post(service.path(CASE, "jobs"), {"force_refresh": True}, headers={"Idempotency-Key": "k"})

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, range(20)))
    assert {a.status for a in answers} <= {202, 409}
    assert len({a.json["job_id"] for a in answers if a.status == 202}) == 1
    assert sum(a.status == 202 and not a.headers["Idempotency-Replayed"] for a in answers) == 1
    assert all(a.status == 202 or a.problem == "request-running" for a in answers)
    sim.script("")


def test_a_stop_answers_whoever_waits(service, sim):
    sim.script("list stall=header")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(service.get, service.path(CASE), headers={"Prefer": "wait=50"})
        lib.until(lambda: b"autos_http_waiting 1\n" in service.get("/metrics", key="admin").body, "the request")
        with service.events(service.path(CASE, "events")) as stream:
            assert next(stream).event == "progress"
            service.stop()
            assert all(e.event != "done" for e in stream)
        assert waiting.result().status == 202
    sim.script("")
    service.start()
    assert service.finished(CASE)["outcome"] == "complete"
