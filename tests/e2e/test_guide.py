"""The Python client that docs/guia.md offers, run as it stands."""

import json
import re
import subprocess
import sys

import lib

PAGE = (lib.ROOT / "docs" / "guia.md").read_text("utf-8")


def test_the_client_of_the_guide(service, sim):
    client = service.place / "baixar.py"
    client.write_text(re.search(r"^```python\n(.*?)^```", PAGE, re.M | re.S)[1], "utf-8")

    def run(number):
        p = subprocess.run([sys.executable, client, number], cwd=service.place, text=True, capture_output=True,
                           env=lib.environment(SERVICO=service.url, CHAVE=service.keys["user"]), timeout=lib.PATIENCE)
        return lib.Result(p.returncode, p.stdout, p.stderr)

    plain = lib.number_of("plain")
    assert plain in PAGE
    got = run(plain)
    assert got.status == 0 and got.out == "complete 40 de 40\n", got
    folder = service.place / plain
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    lib.check_seal(manifest)
    assert sorted(lib.sha256_file(p) for p in folder.iterdir() if p.name != "manifest.json") == \
        sorted(d["sha256"] for d in manifest["documents"])

    partial = run(lib.number_of("denied-document-403-json"))
    assert partial.status == 0 and "- denied -" in partial.out and partial.out.splitlines()[-1].startswith("partial ")
    refused = run("9910000-00.2024.8.26.0100")
    assert refused.status == 1 and refused.err.startswith("422 invalid-case-number: "), refused
