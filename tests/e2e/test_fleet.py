"""Several processes on one PostgreSQL and one store: they hear of each other, one goes on with what another began to erase,
and an installation is moved once nobody runs."""

import contextlib
import threading
import time

import databases
import fleet
import lib
import s3fault


# ---- They hear of each other ----


def test_roles(make_sim, make_fleet):
    """What is asked of one process is done by another and told by a third."""
    sim = make_sim("--cases", 3, "--documents", 6, "--size", 2000)
    f = make_fleet(sim)
    first, second, worker = f.add("api1", "api"), f.add("api2", "api"), f.add("worker1", "worker")
    number = fleet.plain(sim, 1)[0]
    job = first.post(first.path(number, "jobs")).json["job_id"]
    with second.events(second.path(number, "events")) as stream:
        events = list(stream)
    assert "completed" in str(events[-1].data), events[-1]
    assert second.status(number)["status"] == first.status(number)["status"] == "completed"
    assert second.get(f"/api/v1/jobs/{job}").json["status"] == "completed"
    # Whoever only works says that it lives, and answers nobody else.
    assert worker.get("/readyz", key=None).json["status"] == "ready"
    assert worker.call("GET", "/livez", key=None).status == 200
    c = worker.connect()
    with contextlib.closing(c):
        c.request("GET", worker.path(number, "status"), headers=worker.key_header("user"))
        assert c.getresponse().status == 404
    assert {c["name"]: c["ok"] for c in first.get("/readyz", key=None).json["checks"]}["worker"]
    f.check(10)


def test_waiting_elsewhere(make_sim, make_fleet):
    """A request that waits at one process is answered by what another one did, long before its time."""
    sim = make_sim("--cases", 2, "--documents", 4, "--size", 2000, script="list delay=700\n")
    f = make_fleet(sim, portal_timeout="20s")
    first, second = f.add("api1", "api"), f.add("api2", "api")
    f.add("worker1", "worker")
    number = fleet.plain(sim, 1)[0]
    first.post(first.path(number, "jobs"))
    began = time.monotonic()
    answer = second.get(second.path(number), headers={"Prefer": "wait=50"})
    assert answer.status in (200, 202) and time.monotonic() - began < 40
    second.finished(number)
    # A key that is revoked at one is refused at the other.
    users = {u["username"]: u["id"] for u in first.get("/api/v1/users", key="admin").json}
    made = first.post(f"/api/v1/users/{users['user-of-tests']}/keys", {"label": "x"}, key="admin").json
    key = made["api_key"]
    lib.until(lambda: second.get("/api/v1/users/me", key=key).status == 200, "the new key", every=0.05)
    assert first.call("DELETE", f"/api/v1/users/{users['user-of-tests']}/keys/{made['key']['id']}",
                      key="admin").status in (200, 204)
    lib.until(lambda: second.get("/api/v1/users/me", key=key).status == 401, "the end of the key", every=0.05)


# ---- A case is erased ----


def test_slow_eraser(make_sim, make_fleet, proxied, proxy):
    """Whoever erases hangs on the way to the store; another one finishes it and the case is asked for again. When
    the first one goes on it deletes nothing of that."""
    sim = make_sim("--cases", 1, "--documents", 12, "--size", 2000)
    f = make_fleet(sim, s3_low_speed_time="300s")
    f.store = proxied
    client = f.add("api1", "api")
    f.add("worker1", "worker")
    number = fleet.plain(sim, 1)[0]
    client.post(client.path(number, "jobs"))
    client.finished(number)
    held, answers = proxy.fault(s3fault.stall(), "GET", r"list-type=2", times=1), []
    eraser = threading.Thread(target=lambda: answers.append(client.call("DELETE", client.path(number), key="admin", timeout=120)))
    eraser.start()
    try:
        lib.until(lambda: held.fault.held, "the erasing")
        assert client.post(client.path(number, "jobs")).problem == "case-busy"
        f.database.end_patience()
        lib.until(lambda: f.one("SELECT COUNT(*) FROM erasure") == 0, "another one to erase it", every=0.05)
        assert proxied.gone(f"processos/{lib.digits(number)}/")
        client.post(client.path(number, "jobs"))
        assert client.finished(number)["completed_documents"] == 12
        assert not answers, "the first one is still at it"
    finally:
        held.release()
        eraser.join()
    assert [a.status for a in answers] == [200]
    f.check(10)


def test_end_while_erasing(make_sim, make_fleet, proxied, proxy):
    """A process that ends does not wait for a store that hangs; the next one erases the rest."""
    sim = make_sim("--cases", 1, "--documents", 4, "--size", 2000)
    f = make_fleet(sim, s3_low_speed_time="600s")
    f.store = proxied
    node = f.add("all1", "all")
    number = fleet.plain(sim, 1)[0]
    node.post(node.path(number, "jobs"))
    node.finished(number)
    c = f.database.connect()
    c.execute("DELETE FROM process")
    c.execute("INSERT INTO erasure (number, at_ms) VALUES (?, 5)", (lib.digits(number),))
    c.close()
    held = proxy.fault(s3fault.stall(), "GET", r"list-type=2")
    lib.until(lambda: held.fault.held or None, "the erasing", every=0.05)
    node.stop()
    assert f.one("SELECT COUNT(*) FROM erasure") == 1 and f.one("SELECT COUNT(*) FROM node") == 0
    held.release()
    f.database.end_patience()
    node.begin()
    lib.until(lambda: f.one("SELECT COUNT(*) FROM erasure") == 0, "the rest to be erased", every=0.05)
    assert proxied.gone(f"processos/{lib.digits(number)}/")


def test_stored_after_the_erasing(make_sim, make_fleet, proxied, proxy):
    """A worker freezes while it stores; its case is cancelled and erased meanwhile. What it stores when it goes on is
    erased as well, and then the case may be asked for again."""
    sim = make_sim("--cases", 1, "--documents", 12, "--size", 3000)
    f = make_fleet(sim, s3_low_speed_time="300s")
    f.store = proxied
    client, worker = f.add("api1", "api"), f.add("worker1", "worker")
    number = fleet.plain(sim, 1)[0]
    below = f"processos/{lib.digits(number)}/"
    held = proxy.fault(s3fault.stall(), "PUT", "documentos")
    job = client.post(client.path(number, "jobs")).json["job_id"]
    lib.until(lambda: held.fault.held >= 2, "objects under way")
    worker.suspend()
    try:
        client.post(f"/api/v1/jobs/{job}/cancel")
        assert client.call("DELETE", client.path(number), key="admin").status == 409, "they may still come"
        f.rows("UPDATE node SET until_ms = 1 WHERE owner = (SELECT owner FROM job) RETURNING 1")  # it is taken for dead
        lib.until(lambda: client.call("DELETE", client.path(number), key="admin").status == 200, "the case to be erased",
                  every=0.2)
        assert proxied.gone(below)
    finally:
        worker.resume()
        held.release()
    lib.until(lambda: f.metric(worker, "docs_stored_total") >= held.fault.held, "what was under way")
    lib.until(lambda: proxied.gone(below) and f.rows("SELECT 1 FROM erasure") == [], "its end", every=0.2)
    client.post(client.path(number, "jobs"))
    assert client.finished(number)["completed_documents"] == 12
    f.check(10)


# ---- It is moved ----


def test_move(place, make_sim, make_fleet, make_autos):
    """A database in use is not moved; once nobody runs, it is, and the other kind of database tells the same."""
    sim = make_sim("--cases", 2, "--documents", 4, "--size", 2000)
    f = make_fleet(sim)
    node = f.add("all1", "all")
    number = fleet.plain(sim, 1)[0]
    node.post(node.path(number, "jobs"))
    node.finished(number)
    other = lib.Autos(f.place, sim, store=f.store, database=databases.Sqlite())
    url = f"sqlite:{other.data_dir}/autos.db"
    other.data_dir.mkdir(exist_ok=True)
    refused = other.run("move", "--from", f.database.url, "--to", url)
    assert refused.status == 1 and len(refused.err.splitlines()) == 1
    assert "the source is in use by 1 autos processes: stop all of them first" in refused.err
    node.stop()
    moved = other.run("move", "--quiet", "--from", f.database.url, "--to", url)
    assert moved.status == 0 and "read back and compared" in moved.out, moved
    told = other.run("status", number)
    assert told.status == 0 and "4" in told.out, told
