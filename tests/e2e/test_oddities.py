"""Every documented case number, one test each: what is available, what is not and why, and the
exit status."""

import pytest

import lib

CATALOGUE = lib.catalogue()
BIG = {"big-document"}


@pytest.mark.parametrize(
    "number, name", [(n, name) for n, name, _ in CATALOGUE if name not in BIG], ids=lambda v: v
)
def test_case(autos, sim, number, name):
    result = autos.get(number)
    lib.expect_case(autos, sim, number, result.status)
    lib.check_invariants(autos, sim)
    lib.check_nothing_false(autos)
