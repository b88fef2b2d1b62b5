"""No log line and no message holds a secret or anything about a person."""

import pytest

import lib

# Cases that are rich in names and numbers, and in ways to fail, where messages are made.
RICH = ["numeric-parties", "names-wild", "secrecy-mixed", "three-proceedings-two-sources", "everything",
        "everything-holds", "case-sealed-401", "truncated-json-detail", "json-error-200-detail", "detail-other-number",
        "ids-as-strings", "list-ignores-filter"]


def texts(value):
    """Every string and number that a detail holds, with where it stands."""
    if isinstance(value, dict):
        for key, v in value.items():
            for k, t in texts(v):
                yield k or key, t
    elif isinstance(value, list):
        for v in value:
            yield from texts(v)
    elif isinstance(value, (str, int)) and not isinstance(value, bool):
        yield None, str(value)


@pytest.mark.parametrize("name", RICH)
def test_nothing_personal(make_autos, sim, name):
    number = lib.number_of(name)
    autos = make_autos(sim, log_level="debug")
    said = ""
    for args in (["get", "-o", autos.out, number], ["get", "-o", autos.out, number], ["status", number],
                 ["verify", number], ["retry", "-o", autos.out, number]):
        said += autos.run(*args).err
    assert "portal answer" in said and f"case={lib.digits(number)}" in said

    papers = sim.case(number)["papers"]
    # In the cases that have every fault the papers are called like the faults: these are our words.
    faults = {p["fault"] for p in papers} | {"too-large"}
    lib.check_private(said, [p["name"] for p in papers if p["name"] and p["name"] not in faults], [autos.token])
    try:
        detail = sim.detail(number)
    except (ValueError, OSError):  # this case never gives a good one
        detail = []
    personal = {t for key, t in texts(detail)
                if key in ("nome", "numero", "cadastroReceitaFederal", "oab", "login") and len(t) >= 6} - faults
    for text in personal:
        assert text not in said, text
    lib.check_invariants(autos, sim)
