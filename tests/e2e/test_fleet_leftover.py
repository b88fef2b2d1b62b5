"""A case that is erased while a worker that had it is frozen with objects of it under way."""

import lib
import s3fault
from test_fleet import make_cluster, make_fleet, plain  # noqa: F401


def test_stored_after_the_erasing(make_sim, make_fleet, proxied, proxy):
    """A worker freezes while it stores; its case is cancelled and erased meanwhile. What it stores when it goes on is
    erased as well, and then the case may be asked for again."""
    sim = make_sim("--cases", 1, "--documents", 12, "--size", 3000)
    f = make_fleet(sim, s3_low_speed_time="300s")
    f.store = proxied
    client, worker = f.add("api1", "api"), f.add("worker1", "worker")
    number = plain(sim, 1)[0]
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
