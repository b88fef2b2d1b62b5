"""From an HTTP origin into S3, autos beside rclone: a real server (radosgw) and a sink that costs nothing.

The sink is nginx, which takes every PUT whatever its signature, into memory: what is measured there
is the client. Each round runs every tool once, in turn. CPU is the client's own.
"""
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from origin import Origin, free_port, wait_for_port  # noqa: E402

SINK = """
{user}daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; keepalive_requests 1000000; client_max_body_size 0;
  client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
  uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
  server {{
    listen 127.0.0.1:{port}; root {dir}/www;
    dav_methods PUT DELETE; create_full_put_path on;
    set $taken ""; # If-None-Match: *, as S3 servers obey it
    if (-f $request_filename) {{ set $taken t; }}
    if ($http_if_none_match = "*") {{ set $taken "${{taken}}n"; }}
    if ($taken = tn) {{ return 412; }}
  }}
}}
"""


class Sink:
    """Accepts any PUT. Lives in memory where the machine has room there."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="autos-sink-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        os.makedirs(f"{self.dir}/www/bucket")
        port = free_port()
        with open(f"{self.dir}/nginx.conf", "w") as f:
            f.write(SINK.format(dir=self.dir, port=port, user="user root; " if os.getuid() == 0 else ""))
        self.proc = subprocess.Popen(["/usr/sbin/nginx", "-p", self.dir, "-c", f"{self.dir}/nginx.conf"],
                                     stderr=subprocess.DEVNULL)
        self.endpoint, self.bucket, self.access, self.secret = f"http://127.0.0.1:{port}", "bucket", "any", "any"
        self.more = {"s3_multipart_from": "5G"}
        wait_for_port(port)

    def empty(self):
        shutil.rmtree(f"{self.dir}/www/bucket")
        os.makedirs(f"{self.dir}/www/bucket")

    def stop(self):
        self.proc.terminate()
        self.proc.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Rados:
    """A real S3 server; objects in memory."""

    def __init__(self):
        import rados
        import stores
        self.dir = tempfile.mkdtemp(prefix="autos-rados-")
        self.cluster, port = rados.started(Path(self.dir))
        self.access, self.secret = self.cluster.owner.access, self.cluster.owner.secret
        self.endpoint, self.bucket, self.more = f"http://127.0.0.1:{port}", "bench", {}
        self.client = stores.client(port, self.cluster.owner)
        self.client.create_bucket(Bucket=self.bucket)

    def empty(self):
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket):
            keys = [{"Key": o["Key"]} for o in page.get("Contents", ())]
            if keys:
                self.client.delete_objects(Bucket=self.bucket, Delete={"Objects": keys, "Quiet": True})

    def stop(self):
        self.cluster.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


def autos(origin, target, folder, parallel, env):
    program = str(ROOT / "build" / "autos")
    settings = {"data_dir": f"{folder}/data", "portal_url": f"{origin.url}/api/v2", "portal_token": "bench",
                "portal_pace": 0, "portal_parallel": parallel, "portal_parallel_max": parallel, "s3_parallel": parallel,
                "store_url": f"s3://{target.bucket}/autos?endpoint={target.endpoint}", "s3_access_key": target.access,
                "s3_secret_key": target.secret, **target.more}
    words = [w for k, v in settings.items() for w in ("--set", f"{k}={v}")]
    # The server is probed once a day, not with each case.
    subprocess.run([program, "store", "check", *words], env=env, check=True, stdout=subprocess.DEVNULL)
    return [program, "get", origin.number, "--no-folder", "--quiet", *words]


def rclone(origin, target, folder, parallel, env):
    return ["rclone", "copy", "--config", "/dev/null", "--http-url", f"{origin.url}/documentos/", ":http:",
            f":s3:{target.bucket}/rclone", "--s3-provider", "Other", "--s3-endpoint", target.endpoint,
            "--s3-access-key-id", target.access, "--s3-secret-access-key", target.secret, "--s3-no-check-bucket",
            "--s3-no-head", "--no-traverse", "--transfers", str(parallel), "--checkers", str(parallel), "--quiet"]


TOOLS = {"autos get": autos, "rclone": rclone}


def compare(target, title, documents, size, parallel, rounds, measure, scratch):
    origin = Origin(tempfile.mkdtemp(prefix="autos-origin-", dir=scratch), documents, size)
    work = tempfile.mkdtemp(prefix="autos-bench-", dir=scratch)
    seen = {name: [] for name in TOOLS}
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "AUTOS_"))}
    try:
        for _ in range(rounds):
            for name, make in TOOLS.items():
                target.empty()
                seen[name].append(measure(make(origin, target, tempfile.mkdtemp(dir=work), parallel, env), env))
    finally:
        origin.stop()
        shutil.rmtree(work)
    print(f"\n{title}, {parallel} at once, {rounds} rounds (medians)\n")
    print(f"{'':12}{'documents/s':>12}{'MB/s':>8}{'CPU s':>8}{'RSS MB':>8}{'rate':>8}{'CPU':>8}")
    rates = {n: statistics.median(documents / s for s, _, _ in runs) for n, runs in seen.items()}
    cpus = {n: statistics.median(c for _, c, _ in runs) for n, runs in seen.items()}
    for name, runs in seen.items():
        print(f"{name:12}{rates[name]:12.0f}{rates[name] * size / 1e6:8.0f}{cpus[name]:8.2f}{max(r for _, _, r in runs):8.0f}"
              f"{rates[name] / rates['rclone']:7.2f}x{cpus[name] / cpus['rclone']:7.2f}x")
    sys.stdout.flush()


def run(rounds, parallel, measure, scratch, sizes=("small", "large")):
    for title, make in (("radosgw", Rados), ("a sink", Sink)):
        target = make()
        try:
            if "small" in sizes:
                compare(target, f"Into {title}: 2,000 documents of 60 KB", 2000, 60_000, parallel, rounds, measure, scratch)
            if "large" in sizes:
                compare(target, f"Into {title}: 40 documents of 20 MB", 40, 20_000_000, parallel, rounds, measure, scratch)
        finally:
            target.stop()
