"""What tests of the commands share: cases that they ask for, one line on stderr, and a command in the middle of its work."""

import lib

PLAIN = [n for n, name, _ in lib.catalogue() if name == "plain"]
SMALL = lib.number_of("detail-array")  # six documents
PARTIAL = lib.number_of("codex-500")  # six of eight


def one_line(text):
    assert text.count("\n") == 1 and text.endswith("\n"), text
    return text


def busy(make_sim, make_autos, latency=50):
    """A get that is in the middle of its work: forty documents, one after the other."""
    sim = make_sim("--latency", latency)
    autos = make_autos(sim, portal_parallel=1, portal_parallel_max=1)
    p = autos.start_get(PLAIN[0])
    lib.until(lambda: sim.calls("binario") >= 3, "some documents")
    return sim, autos, p
