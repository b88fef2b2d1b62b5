#!/usr/bin/python3
"""Compares the documents with the program: settings, commands, exit statuses, links between pages."""
import glob
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("AUTOS_BUILD", os.path.join(ROOT, "build"))
AUTOS = os.path.join(BUILD, "autos")


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as f:
        return f.read()


def out(*args):
    env = {"HOME": "/nonexistent", "PATH": os.environ.get("PATH", "")}
    return subprocess.run([AUTOS, *args], env=env, capture_output=True, text=True, check=True).stdout


def main():
    bad = []
    table = out("config", "--markdown")
    if table.strip() not in read("docs/configuration.md"):
        bad.append("docs/configuration.md: differs from `autos config --markdown`; put its output there")
    readme = read("README.md")
    for command in re.findall(r"^  ([a-z]+) +\S", out("--help"), re.M):
        text = out(command, "--help")
        if not text.startswith(f"usage: autos {command}"):
            bad.append(f"autos {command} --help: no usage line")
        if f"autos {command}" not in readme:
            bad.append(f"README.md: does not mention `autos {command}`")
    pages = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"] + glob.glob("docs/*.md", root_dir=ROOT)
    for page in pages:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read(page)):
            if not os.path.exists(os.path.join(ROOT, os.path.dirname(page), link)):
                bad.append(f"{page}: link to {link}, which is not there")
    print("\n".join(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
