"""`autos store move`: every object arrives with equal bytes, whatever happens on the way, and no other does."""

import re

import pytest

import lib
import s3fault
import stores
from commands import PLAIN, one_line
from test_s3_store import KINDS, SAME, available, file_name


def moved(autos, source, target, **more):
    return autos.run("store", "move", "--from", source, "--to", target, **more)


def counts(result):
    found = re.search(r"(\d+) copied, (\d+) already there, (\d+) failed", result.out)
    assert found, result
    return tuple(map(int, found.groups()))


@pytest.fixture
def both_ways(make_autos, make_bucket, sim, place, request):
    """(program with cases on the first store, URL of it, URL of a second, what the second holds)."""

    def make(way):
        folder, bucket = stores.Folder(), make_bucket()
        url = f"dir:{place}/other"
        if way == "dir to s3":
            autos = make_autos(sim, store=folder)
            source, target, other = f"dir:{folder.root}", bucket.url(), bucket
        elif way == "s3 to dir":
            autos = make_autos(sim, store=bucket)
            source, target, other = bucket.url(), url, None
        else:
            autos = make_autos(sim, store=bucket)
            other = make_bucket("copy")
            source, target = bucket.url(), other.url()
        for number in (KINDS, SAME, PLAIN[0]):
            autos.get(number)
        autos.settings |= {k: v for k, v in bucket.settings.items() if k != "store_url"}
        return autos, source, target, other

    return make


def documents(autos):
    return sum(len(available(autos.manifest(number))) for number in (KINDS, SAME, PLAIN[0]))


WAYS = ["dir to s3", "s3 to dir", "s3 to s3"]


def check_moved(autos, target, place, other):
    """Every object of the first store is in the second, and the program works on it."""
    if other is None:
        root = place / "other"
        there = {str(p.relative_to(root)): (p.stat().st_size, lib.sha256_file(p)) for p in root.rglob("*") if p.is_file()}
        assert not [k for k in there if not k.startswith("processos/")]
    else:
        there = other.measure(other.keys())
        assert other.leftovers() == []
    assert there == autos.store.measure(autos.store.keys("processos/"))
    assert autos.run("verify", "--all", store_url=target).status == 0
    return there


@pytest.mark.parametrize("way", WAYS)
def test_move(both_ways, place, way):
    autos, source, target, other = both_ways(way)
    n = documents(autos)
    copied, there, failed = counts(moved(autos, source, target, check=0))
    assert (copied + there, failed) == (n, 0) and copied >= len(autos.store.keys("processos/"))  # some share an object
    check_moved(autos, target, place, other)
    assert counts(moved(autos, source, target, check=0)) == (0, n, 0)
    if other:
        m = autos.manifest(KINDS)
        for d in available(m):
            head = other.head(d["object_key"])
            assert (head["ContentType"], head["Metadata"]["sha256"]) == (d["mime_type"], d["sha256"])
            assert file_name(head["ContentDisposition"])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("damage", ["byte", "missing"])
def test_move_of_a_damaged_store(both_ways, place, way, damage):
    """What is wrong is said and not copied; the rest is."""
    autos, source, target, other = both_ways(way)
    victim = available(autos.manifest(KINDS))[1]
    data = bytearray(autos.store.read(victim["object_key"]))
    data[0] ^= 1
    autos.store.replace(victim["object_key"], data) if damage == "byte" else autos.store.remove(victim["object_key"])
    result = moved(autos, source, target)
    copied, there, failed = counts(result)
    assert (result.status, copied + there, failed) == (3, documents(autos) - 1, 1), result
    assert victim["object_key"].rsplit("/", 1)[1].split(".")[0] in one_line(result.err)
    if other:
        assert victim["object_key"] not in other.keys()
    else:
        assert not (place / "other" / victim["object_key"]).exists()


@pytest.mark.parametrize("way", ["dir to s3", "s3 to s3"])
def test_move_is_killed_and_goes_on(both_ways, proxy, place, way):
    autos, source, target, other = both_ways(way)
    through = other.url(proxy.url)
    n = documents(autos)
    for at in (1, 4, 8):
        held = proxy.fault(s3fault.stall(), "PUT", "/documentos/", nth=at)
        p = autos.popen("store", "move", "--from", source, "--to", through)
        lib.until(lambda: held.fault.held, f"put {at}")
        p.kill()
        autos.finish(p)
        held.release()
        assert all(found for found in other.measure(k for k in other.keys() if "autos-probe" not in k).values())
    before = len([k for k in other.keys() if k.startswith("processos/")])
    copied, there, failed = counts(moved(autos, source, through, check=0))
    assert (copied + there, failed) == (n, 0) and there >= before > 0
    check_moved(autos, target, place, other)


def test_move_from_s3_is_killed_and_goes_on(both_ways, proxy, place):
    autos, source, target, _ = both_ways("s3 to dir")
    through, n = autos.store.url(proxy.url), documents(autos)
    for at in (1, 4, 8):
        held = proxy.fault(s3fault.stall(), "GET", "/documentos/", nth=at)
        p = autos.popen("store", "move", "--from", through, "--to", target)
        lib.until(lambda: held.fault.held, f"get {at}")
        p.kill()
        autos.finish(p)
        held.release()
    copied, there, failed = counts(moved(autos, through, target, check=0))
    assert (copied + there, failed) == (n, 0)
    check_moved(autos, target, place, None)


@pytest.mark.parametrize("fault", [s3fault.corrupt_download, lambda: s3fault.cut(100), lambda: s3fault.etag()], ids=["corrupt", "cut", "etag"])
def test_move_verifies(both_ways, proxy, place, fault):
    """What comes broken over the network once is asked for again, and never arrives broken."""
    autos, source, target, _ = both_ways("s3 to dir")
    rule = proxy.fault(fault(), "GET", "/documentos/", times=2)
    n = documents(autos)
    result = moved(autos, autos.store.url(proxy.url), target)
    assert rule.hits == 2
    copied, there, failed = counts(result)
    assert copied + there + failed == n and result.status == (3 if failed else 0)
    if failed:
        moved(autos, autos.store.url(proxy.url), target, check=0)
    check_moved(autos, target, place, None)


@pytest.mark.parametrize("args", [[], ["check", "a", "b"], ["move"], ["move", "--from", "dir:/tmp/x"], ["move", "--to", "dir:/tmp/x"], ["sell"]])
def test_usage(make_autos, bucket, sim, args):
    result = make_autos(sim, store=bucket).run("store", *args)
    assert result.status == 2 and one_line(result.err).startswith("autos"), result


@pytest.mark.parametrize("target, word", [("gs://x", "'gs'"), ("dir:", "dir"), ("s3://autos-absent?endpoint={endpoint}", "autos-absent")])
def test_move_to_nowhere(both_ways, sim, target, word):
    autos, source, _, bucket = both_ways("dir to s3")
    result = moved(autos, source, target.format(endpoint=bucket.endpoint))
    assert result.status in (1, 2) and word in one_line(result.err), result
