#!/usr/bin/python3
"""Compares every #include "..." of src/ with the rooms of docs/design.md: nobody includes upwards."""
import glob
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Libraries that exactly one room may see. OpenSSL: hashing in sys, its version in cmd_admin.
ONLY = {
    "curl/": {"http", "http_fault"},
    "sqlite3.h": {"db_sqlite"},
    "libpq": {"db_pg", "db_pg_open", "db_pg_commit"},
    "microhttpd.h": {"server", "server_exchange"},
    "openssl/": {"sys", "cmd_admin"},
    "zlib.h": {"body"},
    "expat.h": {"s3_xml"},
}


def rooms():
    """{room: level} from the table of docs/design.md: lines '| 0 base | `err` `buf` ... |'."""
    out = {}
    for line in open(os.path.join(ROOT, "docs/design.md"), encoding="utf-8"):
        m = re.match(r"\| (\d) \w+ \| (.+?) \|", line)
        if m:
            for name in re.findall(r"`([a-z_0-9]+)(?:\.h)?`", m.group(2)):
                out[name] = int(m.group(1))
    return out


def main():
    level, bad = rooms(), []
    if len(level) < 10:
        bad.append("docs/design.md: the table of rooms was not found")
    files = sorted(glob.glob(os.path.join(ROOT, "src/*.[ch]")))
    for path in files:
        me = os.path.splitext(os.path.basename(path))[0]
        if me not in level:
            bad.append(f"src/{os.path.basename(path)}: not in the table of docs/design.md")
            continue
        for line in open(path, encoding="utf-8"):
            m = re.match(r'#include "([^"]+)\.h"', line)
            if m and m.group(1) not in level:
                bad.append(f"{path}: includes {m.group(1)}.h, which is not in the table")
            elif m and level[m.group(1)] > level[me]:
                bad.append(f"{path} (level {level[me]}) includes {m.group(1)}.h (level {level[m.group(1)]})")
            m = re.match(r"#include <([^>]+)>", line)
            for lib, owners in ONLY.items():
                if m and m.group(1).startswith(lib) and me not in owners:
                    bad.append(f"{path}: includes <{m.group(1)}>, which belongs to {', '.join(sorted(owners))}")
            # The flow and the routes do not know each other.
            m = re.match(r'#include "(api_\w+|server|worker|flow)\.h"', line)
            if m and ((me.startswith("api") and m.group(1) in ("worker", "flow")) or
                      (me in ("worker", "flow") and m.group(1).startswith("api"))):
                bad.append(f"{path}: worker and api do not know each other")
    # SQL lives in the rooms of level 3 and in the drivers.
    for path in files:
        me = os.path.splitext(os.path.basename(path))[0]
        text = open(path, encoding="utf-8").read()
        if level.get(me) != 3 and not me.startswith("db") and re.search(r'"(SELECT|INSERT|UPDATE|DELETE) ', text):
            bad.append(f"{path}: holds SQL")
    print("\n".join(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
