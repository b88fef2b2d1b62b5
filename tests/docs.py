#!/usr/bin/python3
"""Compares the documents with the program: settings, commands, exit statuses, problems, metrics, log
lines, the installed unit, links between pages; and runs what README shows in five minutes."""
import contextlib
import glob
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.abspath(os.environ.get("AUTOS_BUILD", os.path.join(ROOT, "build")))
AUTOS = os.path.join(BUILD, "autos")
PATIENCE = 120  # seconds: only ever reached when something is broken


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as f:
        return f.read()


def environment(**more):
    keep = {k: v for k, v in os.environ.items() if k == "PATH" or k.endswith("SAN_OPTIONS")}
    return {"HOME": "/nonexistent", **keep, **more}


def out(*args):
    return subprocess.run([AUTOS, *args], env=environment(), capture_output=True, text=True, check=True).stdout


def commands(bad):
    readme = read("README.md")
    for command in re.findall(r"^  ([a-z]+) +\S", out("--help"), re.M):
        text = out(command, "--help")
        if not text.startswith(f"usage: autos {command}"):
            bad.append(f"autos {command} --help: no usage line")
        if f"autos {command}" not in readme:
            bad.append(f"README.md: does not mention `autos {command}`")


def links(bad):
    pages = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"] + glob.glob("docs/*.md", root_dir=ROOT)
    for page in pages:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read(page)):
            if not os.path.exists(os.path.join(ROOT, os.path.dirname(page), link)):
                bad.append(f"{page}: link to {link}, which is not there")


def api(bad):
    """docs/api.md names every problem with its status, and no address that is not there."""
    page = read("docs/api.md")
    described = json.loads(read("docs/openapi.json"))
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", page, re.M))
    program = dict(re.findall(r'\{"([a-z-]+)", (\d{3}), "', read("src/api_answer.c")))
    for name in sorted(set(rows) | set(program)):
        if rows.get(name) != program.get(name):
            bad.append(f"docs/api.md: problem {name}: {rows.get(name)} there, {program.get(name)} in the program")
    known = [re.sub(r"\{[^}]*\}", "{}", p) for p in described["paths"]]
    for method, path in re.findall(r"`(GET|POST|PUT|DELETE) (/[^`? ]*)", page):
        full = path if path.startswith(("/api/", "/files")) or path in known else "/api/v1" + path
        if re.sub(r"\{[^}]*\}", "{}", full) not in known:
            bad.append(f"docs/api.md: {method} {path} is not described in docs/openapi.json")


def operations(bad):
    """docs/operations.md names every metric, every event of the log from info on, and real settings."""
    page = read("docs/operations.md")
    header, extra = read("src/metrics.h"), read("src/api_metrics.c")
    names = {f"autos_{n}_total" for n in re.findall(r"\tM\((\w+), COUNTER", header)}
    names |= {f"autos_{n}" for n in re.findall(r"\tM\((\w+), GAUGE", header)}
    names |= {f"autos_{n}_total" for n in re.findall(r"\tF\((\w+),", header)}
    names |= {f"autos_{n}" for n in re.findall(r"\tG\((\w+),", header)}
    names |= {f"autos_{n}_seconds" for n in re.findall(r"\tH\((\w+),", header)}
    names |= set(re.findall(r'"((?:autos|process)_\w+)"', extra)) | {"autos_build_info"}
    for name in sorted(names):
        if f"`{name}`" not in page:
            bad.append(f"docs/operations.md: does not name the metric {name}")
    for name in sorted(set(re.findall(r"\bautos_\w+", page))):
        if re.sub(r"_(bucket|sum|count)$", "", name) not in names:
            bad.append(f"docs/operations.md: there is no metric {name}")
    for path in glob.glob(os.path.join(ROOT, "src", "*.c")):
        for event in re.findall(r'log_(?:info|warn|error)\(\s*"([^"]+)"', read(path)):
            if f"`{event}`" not in page:
                bad.append(f"docs/operations.md: does not name the log event `{event}` of {os.path.basename(path)}")


def packaging(bad):
    """The example settings are settings, those that are commented out too; the unit gives a drain its time."""
    text = re.sub(r"^#(\w+ = )", r"\1", read("packaging/autos.conf"), flags=re.M)
    with tempfile.TemporaryDirectory() as place, tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
        for name in re.findall(r"/etc/autos/(s3\.\w+)", text):  # read at once, unlike the token
            with open(os.path.join(place, name), "w") as secret:
                secret.write("secret")
        f.write(text.replace("/etc/autos/s3.", f"{place}/s3."))
        f.flush()
        p = subprocess.run([AUTOS, "config", "--config", f.name], env=environment(), capture_output=True, text=True)
    if p.returncode:
        bad.append(f"packaging/autos.conf: {p.stderr.strip()}")
    for key in re.findall(r"^(\w+) = ", text, re.M):
        if not re.search(rf"^{key} = .*# file$", p.stdout, re.M):
            bad.append(f"packaging/autos.conf: {key} is not taken")
    stop = int(re.search(r"^TimeoutStopSec=(\d+)s$", read("packaging/autos.service"), re.M)[1])
    drain = int(re.search(r"^drain_time = (\d+)s ", out("config"), re.M)[1])
    if stop < drain + 20:
        bad.append(f"packaging/autos.service: TimeoutStopSec={stop}s is too short for drain_time = {drain}s")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def five_minutes(bad):
    """The shell blocks of README's section, as they stand but for the ports."""
    section = read("README.md").split("## The service in five minutes")[1].split("\n## ")[0]
    script = "\n".join(re.findall(r"^```sh\n(.*?)^```", section, re.M | re.S))
    for port in ("8000", "8090"):
        if f":{port}" not in script:
            bad.append(f"README.md: port {port} is gone from the five minutes")
        script = script.replace(f":{port}", f":{free_port()}")
    with tempfile.TemporaryDirectory(prefix="autos-readme-") as place:
        os.symlink(BUILD, os.path.join(place, "build"))
        p = subprocess.Popen(["bash", "-euo", "pipefail", "-c", script], cwd=place, env=environment(), text=True,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             start_new_session=True)
        try:
            text, _ = p.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            text = "it does not end"
        if p.poll() != 0:  # what the script started is of its session
            with contextlib.suppress(ProcessLookupError):
                os.killpg(p.pid, signal.SIGKILL)
            p.wait()
            bad.append(f"README.md: the five minutes end with {p.returncode}: {text[-1500:]}")
            return
        for what in ('"status":"ready"', "event: done", '"outcome":"complete"'):
            if what not in text:
                bad.append(f"README.md: the five minutes do not show {what}")
        with open(os.path.join(place, "try", "document.pdf"), "rb") as f:
            if f.read(5) != b"%PDF-":
                bad.append("README.md: the five minutes do not download a PDF")


def main():
    bad = []
    table = out("config", "--markdown")
    if table.strip() not in read("docs/configuration.md"):
        bad.append("docs/configuration.md: differs from `autos config --markdown`; put its output there")
    for check in (commands, links, api, operations, packaging, five_minutes):
        check(bad)
    print("\n".join(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
