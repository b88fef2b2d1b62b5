"""Every documented case number, one test each: what is available, what is not and why, and the
exit status. Who is right when the program and the simulator differ is written in docs/portal.md.
"""

import pytest

import lib

CATALOGUE = lib.catalogue()

# What stalls is cut by the low-speed limit; a high one finds it early (a mean over seconds counts).
STALLS = {"portal_low_speed": "15K"}
SETTINGS = {
    "stall": dict(STALLS, retry_max=1),
    "stall-then-ok": STALLS,
    "stall-detail": STALLS,
    "stall-header": dict(STALLS, retry_max=1),
    "stall-header-forever": dict(STALLS, retry_max=1),
}

# The portal as a whole seems to be down when nothing else is asked of it: the work ends early, and
# the case stays open for the next start.
PORTAL_WIDE = {"maintenance-html-200"}

BIG = {"big-document"}


def named(which):
    return pytest.mark.parametrize("number, name", [(n, name) for n, name, _ in CATALOGUE if which(name)],
                                   ids=lambda v: v)


def check_all(autos, sim):
    lib.check_invariants(autos, sim)
    lib.check_nothing_false(autos)
    stats = sim.stats()
    assert stats["calls_during_pause"] == 0
    assert stats["calls"]["other"] == 0  # a path outside the API would have given the web application
    assert stats["foreign_calls"] == 0


# On S3, where every case takes the same way to the store, those whose documents differ.
ON_S3 = {
    "plain", "detail-array", "no-documents", "names-wild", "kinds", "tiny-html", "same-content", "moved-court",
    "three-proceedings-two-sources", "secrecy-mixed", "everything", "ids-as-numbers", "codex-500", "codex-500-then-ok",
    "truncated-length-then-ok", "reset-middle", "empty-then-ok", "empty-200", "chunked", "too-large", "not-found-404-json",
    "case-sealed-403", "denied-document-401-json",
}


@pytest.mark.both(name=ON_S3)
@named(lambda name: name not in PORTAL_WIDE | BIG)
def test_case(make_autos, sim, number, name):
    autos = make_autos(sim, **SETTINGS.get(name, {}))
    result = autos.get(number)
    lib.expect_case(autos, sim, number, result.status)
    check_all(autos, sim)
    assert result.out.startswith(f"{number}  ") and result.out.count("\n") == 1


@named(lambda name: name in PORTAL_WIDE)
def test_portal_wide(autos, sim, number, name):
    result = autos.get(number)
    assert result.status == 6
    assert "the portal is unavailable" in result.err
    job = autos.rows("SELECT state, outcome FROM job")[0]
    assert (job["state"], job["outcome"]) == ("pending", "")
    check_all(autos, sim)


@named(lambda name: name in BIG)
def test_big_document(make_sim, make_autos, number, name):
    """300 MB go through the spool to the store, and out again: from a folder as a link, without a second copy."""
    sim = make_sim()
    autos = make_autos(sim)
    result = autos.get(number, timeout=300)
    m = lib.expect_case(autos, sim, number, result.status)
    lib.check_invariants(autos, sim)
    big = max(m["documents"], key=lambda d: d["size"])
    assert big["size"] > 299_000_000
    if autos.store.kind == "dir":
        assert (autos.folder(number) / big["file"]).samefile(autos.object(big))


ERRORS = {
    "message": '{"timestamp":1,"status":500,"error":"Internal Server Error","message":"falha","path":"/x"}',
    "lake": '{"status":404,"error":"Not Found","externalUrlService":"https://lake.example/x","message":""}',
    "list": '[{"numeroProcesso":"1"}]',
}


@pytest.mark.both
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("type", ["application/json", "application/pdf"])
def test_error_dressed_as_document(autos, sim, error, type):
    """Whatever type it says it is, and with status 200: refused, and told apart from a missing paper."""
    number = lib.number_of("detail-array")
    body = ERRORS[error].replace('"', '\\"')
    sim.script(f'binario document=2 type={type} body="{body}"')
    autos.get(number, check=3)
    failed = [d for d in autos.manifest(number)["documents"] if d["status"] == "failed"]
    assert [(d["reason"], d["attempts"]) for d in failed] == [("invalid_content", 4)]
    check_all(autos, sim)
    sim.script("")
    autos.run("retry", "-o", autos.out, number, check=0)
    lib.expect_case(autos, sim, number)


@pytest.mark.parametrize("listed, outcome, status", [
    ('body="{\\"content\\": []}"', "not_found", 4),
    ("status=404", "not_found", 4),
    ("delay=0", "access_denied", 5),
])
def test_empty_detail(autos, sim, listed, outcome, status):
    """What is listed but shows nothing is closed to us; what is not even listed is not there."""
    number = lib.number_of("detail-array")
    sim.script(f'list {listed}\ndetail body="[]" type=application/json')
    autos.get(number, check=status)
    assert autos.one("SELECT outcome FROM job") == outcome
