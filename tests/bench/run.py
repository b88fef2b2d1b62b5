#!/usr/bin/python3
"""autos beside curl --parallel, rclone and aria2c: the same files, the same origin, one run; into S3
beside rclone (s3.py); and its service under load (service.py).

Each round runs every tool once, in turn, so that a noisy neighbour hits all of them. Medians and
ratios are printed; nothing is asserted.
"""
import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fleet  # noqa: E402
import s3  # noqa: E402
import service  # noqa: E402
import webhooks  # noqa: E402
from origin import Origin  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
AUTOS = os.path.join(ROOT, "build", "autos")
SIM = os.path.join(ROOT, "build", "autos-sim")


def measure(cmd, env=None):
    """(seconds, CPU seconds, peak resident MB); a tool that fails is no measurement."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as out:
        p = subprocess.Popen(cmd, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=env)
        _, status, use = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        sec = time.monotonic() - start
        if p.returncode != 0:
            out.seek(0)
            raise RuntimeError(f"{cmd[0]} ended with {p.returncode}: {out.read().decode(errors='replace')[-2000:]}")
    return sec, use.ru_utime + use.ru_stime, use.ru_maxrss / 1024


def autos(origin, folder, parallel):
    return [AUTOS, "get", origin.number, "-o", f"{folder}/out", "--quiet", "--set", f"data_dir={folder}/data",
            "--set", f"portal_url={origin.url}/api/v2", "--set", "portal_token=bench", "--set", "portal_pace=0",
            "--set", f"portal_parallel={parallel}", "--set", f"portal_parallel_max={parallel}"]


def curl(origin, folder, parallel):
    with open(f"{folder}/urls", "w") as f:
        for u in origin.urls():
            f.write(f'url = "{u}"\noutput = "{folder}/{u.rsplit("/", 1)[1]}"\n')
    return ["curl", "--silent", "--show-error", "--fail", "--parallel", "--parallel-max", str(parallel),
            "--config", f"{folder}/urls"]


def rclone(origin, folder, parallel):
    return ["rclone", "copy", "--config", "/dev/null", "--http-url", f"{origin.url}/documentos/", ":http:", f"{folder}/out",
            "--transfers", str(parallel), "--checkers", str(parallel), "--quiet"]


def aria2c(origin, folder, parallel):
    with open(f"{folder}/urls", "w") as f:
        f.write("\n".join(origin.urls()) + "\n")
    return ["aria2c", "--quiet", "--no-conf", "-i", f"{folder}/urls", "-d", f"{folder}/out", "-j", str(parallel),
            "-x", "1", "-s", "1", "--file-allocation=none", "--auto-file-renaming=false"]


TOOLS = {"autos get": autos, "curl --parallel": curl, "rclone": rclone, "aria2c": aria2c}


def compare(title, documents, size, parallel, rounds, scratch):
    origin = Origin(tempfile.mkdtemp(prefix="autos-origin-", dir=scratch), documents, size)
    seen = {name: [] for name in TOOLS}
    work = tempfile.mkdtemp(prefix="autos-bench-", dir=scratch)
    try:
        for _ in range(rounds):
            for name, make in TOOLS.items():
                folder = tempfile.mkdtemp(dir=work)
                os.sync()
                seen[name].append(measure(make(origin, folder, parallel)))
                if documents * size * rounds * len(TOOLS) > shutil.disk_usage(work).free / 2:
                    shutil.rmtree(folder)
    finally:  # not in between: ext4 is slow to create files for a minute after many were deleted
        origin.stop()
        shutil.rmtree(work)
    print(f"\n{title}, {parallel} at once, {rounds} rounds (median; all written to a folder, only autos syncs)\n")
    print(f"{'':18}{'documents/s':>12}{'MB/s':>9}{'CPU s':>8}{'RSS MB':>8}{'autos is':>10}")
    mine = statistics.median(s for s, _, _ in seen["autos get"])
    for name, runs in seen.items():
        sec = statistics.median(s for s, _, _ in runs)
        cpu = statistics.median(c for _, c, _ in runs)
        rss = max(r for _, _, r in runs)
        print(f"{name:18}{documents / sec:12.0f}{documents * size / sec / 1e6:9.0f}{cpu:8.2f}{rss:8.0f}{sec / mine:9.2f}x")
        sys.stdout.flush()


def memory(documents, size, scratch):
    """Peak memory of autos while `documents` large ones arrive at once."""
    folder = tempfile.mkdtemp(prefix="autos-bench-", dir=scratch)
    sim = subprocess.Popen([SIM, "--listen", "127.0.0.1:0", "--cases", "1", "--documents", str(documents), "--size",
                            str(size), "--token", "bench"], stdout=subprocess.PIPE, text=True)
    try:
        url = re.match(r"listening on (\S+)", sim.stdout.readline()).group(1)
        listing = subprocess.run([SIM, "--list", "--cases", "1"], capture_output=True, text=True, check=True).stdout
        number = next(line.split("\t")[0] for line in listing.splitlines() if "\tplain\t" in line)
        cmd = [AUTOS, "get", number, "-o", f"{folder}/out", "--quiet", "--set", f"data_dir={folder}/data", "--set",
               f"portal_url={url}/api/v2", "--set", "portal_token=bench", "--set", "portal_pace=0", "--set",
               f"portal_parallel={documents}", "--set", f"portal_parallel_max={documents}"]
        sec, cpu, rss = measure(cmd)
        print(f"\n{documents} documents of {size / 1e6:.0f} MB, all at once: peak resident {rss:.0f} MB, "
              f"{documents * size / sec / 1e6:.0f} MB/s, {cpu:.1f} s CPU")
    finally:
        sim.terminate()
        sim.wait()
        shutil.rmtree(folder)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("part", nargs="?", choices=["downloads", "s3", "service", "webhooks", "fleet"], help="default: all")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--parallel", type=int, default=32, help="downloads: files at once")
    p.add_argument("--seconds", type=int, default=3, help="service: length of one measurement")
    p.add_argument("--scratch", help="where everything is written (default: the temporary directory for downloads, "
                                     "build for the service)")
    p.add_argument("--only", choices=["small", "large", "memory", "speed", "queue", "webhooks", *fleet.PARTS])
    a = p.parse_args()

    def wanted(part, name):
        return a.part in (None, part) and a.only in (None, name)

    if wanted("downloads", "small"):
        compare("2,000 documents of 60 KB", 2000, 60_000, a.parallel, a.rounds, a.scratch)
    if wanted("downloads", "large"):
        compare("40 documents of 20 MB", 40, 20_000_000, a.parallel, a.rounds, a.scratch)
    if wanted("downloads", "memory"):
        memory(32, 200_000_000, a.scratch)
    sizes = [name for name in ("small", "large") if wanted("s3", name)]
    if sizes:
        s3.run(a.rounds, a.parallel, measure, a.scratch, sizes)
    parts = [name for name in ("speed", "queue") if wanted("service", name)]
    if parts:
        service.measure(a.rounds, a.seconds, parts, a.scratch)
    if wanted("webhooks", "webhooks"):
        webhooks.measure(min(a.rounds, 3), a.scratch)
    parts = [name for name in fleet.PARTS if wanted("fleet", name)]
    if parts:
        fleet.measure(parts, min(a.rounds, 3))


if __name__ == "__main__":
    main()
