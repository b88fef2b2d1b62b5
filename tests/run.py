#!/usr/bin/python3
"""Runs every suite against one build and ends with the line "N passed, N failed".

Suites: lint (format, banned functions, layers, sizes, documents), unit (cmocka), fuzz (corpora
replayed), e2e (pytest, real processes). They run side by side; what failed is shown at the end.
"""
import argparse
import concurrent.futures
import contextlib
import glob
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

import postgres

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run(cmd, env, timeout):
    """(exit status, output, seconds); a suite that hangs is a failure, not a wait."""
    start = time.monotonic()
    try:
        p = subprocess.run(cmd, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, timeout=timeout,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        return p.returncode, p.stdout, time.monotonic() - start
    except subprocess.TimeoutExpired as e:
        out = e.stdout or ""
        if isinstance(out, bytes):
            out = out.decode(errors="replace")
        return 124, f"{out}\n(stopped after {timeout} s)", time.monotonic() - start


def unit(path, env):
    code, out, sec = run([path], env, 300)
    passed = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test", out))
    failed = len(re.findall(r"^\[  FAILED  \] \w", out, re.M))
    if code != 0 and failed == 0:
        failed = 1
    if code == 0 and passed == 0:
        failed, out = 1, out + "\n(no test ran)"
    return passed, failed, 0, out, sec


def replay(path, env):
    corpus = os.path.join(ROOT, "tests/fuzz/corpus", os.path.basename(path))
    if not glob.glob(corpus + "/*"):
        return 0, 1, 0, f"no corpus in {corpus}", 0.0
    code, out, sec = run([path, corpus], env, 300)
    return (1, 0, 0, out, sec) if code == 0 else (0, 1, 0, out, sec)


def lint(path, env):
    code, out, sec = run([path], env, 300)
    return (1, 0, 0, out, sec) if code == 0 else (0, 1, 0, out, sec)


def e2e(args, env):
    xml = os.path.join(ROOT, args.build, "e2e.xml")
    if os.path.exists(xml):
        os.unlink(xml)
    cmd = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=15", f"--junitxml={xml}",
           "-n", str(args.jobs)] + (["-k", args.k] if args.k else []) + (["--store", args.store] if args.store else [])
    cmd += (["--database", args.database] if args.database else []) + ["tests/e2e"]
    code, out, sec = run(cmd, env, args.timeout)
    if not os.path.exists(xml):
        return 0, 1, 0, out, sec
    passed = failed = skipped = 0
    for case in ET.parse(xml).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    if code not in (0, 1, 5) and failed == 0:
        failed = 1
    return passed, failed, skipped, out, sec


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", default="build", help="directory of the build to test")
    p.add_argument("--only", choices=["lint", "unit", "fuzz", "e2e"])
    p.add_argument("-k", help="pytest's -k for the e2e suite")
    p.add_argument("--store", choices=["dir", "s3", "both"], help="what stands behind every e2e test, not only the chosen ones")
    p.add_argument("--database", choices=["sqlite", "postgres", "both"], help="what stands behind every e2e test")
    p.add_argument("--jobs", type=int, default=3 * (os.cpu_count() or 1), help="parallel e2e tests")
    p.add_argument("--timeout", type=int, default=2400, help="seconds for the e2e suite")
    args = p.parse_args()

    env = dict(os.environ)
    env["AUTOS_BUILD"] = os.path.join(ROOT, args.build)
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1:exitcode=99")
    env.setdefault("TSAN_OPTIONS", "halt_on_error=1:exitcode=99")
    ours = ("AUTOS_BUILD", "AUTOS_FLEET_KILLS", "AUTOS_FLEET_RESCUES", "AUTOS_FLEET_STOPS", "AUTOS_SEED")
    for name in list(env):  # the settings of whoever runs the tests are not theirs
        if name.startswith(("AUTOS_", "PDPJ_", "AWS_")) and name not in ours:
            del env[name]
    env.pop("DATABASE_URL", None)

    tests = os.path.join(ROOT, args.build, "tests")
    work = []
    if args.only in (None, "lint"):
        work += [(f"lint {os.path.basename(s)}", lint, os.path.join(ROOT, s))
                 for s in ("tests/lint.sh", "tests/layers.py", "tests/docs.py", "tests/openapi.py")]
    if args.only in (None, "unit"):
        work += [(os.path.basename(t), unit, t) for t in sorted(glob.glob(f"{tests}/test_*"))
                 if not t.endswith(".d")]
    if args.only in (None, "fuzz"):
        work += [(os.path.basename(t), replay, t) for t in sorted(glob.glob(f"{tests}/fuzz_*"))
                 if not t.endswith(".d")]

    total = [0, 0, 0]
    rooms = contextlib.ExitStack()
    if args.only in (None, "unit", "e2e"):  # one private PostgreSQL for all
        env["AUTOS_TEST_POSTGRES"] = rooms.enter_context(postgres.Cluster()).url()

    def count(name, result):
        passed, failed, skipped, out, sec = result
        for i, n in enumerate((passed, failed, skipped)):
            total[i] += n
        print(f"{'ok  ' if not failed else 'FAIL'} {name}: {passed} passed, {failed} failed"
              f"{f', {skipped} skipped' if skipped else ''} ({sec:.1f} s)", flush=True)
        if failed:
            print(out[-20000:], flush=True)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = {pool.submit(fn, arg, env): name for name, fn, arg in work}
        for f in concurrent.futures.as_completed(futures):
            count(futures[f], f.result())
    if args.only in (None, "e2e"):
        result = e2e(args, env)
        count("e2e", result)
        told = r"!!! " if result[1] else r"!!! |[\d.]+s (call|setup)"  # failures were shown as a whole
        print("\n".join(line for line in result[3].splitlines() if re.match(told, line)))

    rooms.close()
    report = f"{total[0]} passed, {total[1]} failed" + (f", {total[2]} skipped" if total[2] else "")
    with open(os.path.join(ROOT, args.build, "tests.txt"), "w") as f:
        f.write(" ".join(map(str, total)) + "\n")
    print(report)
    return 1 if total[1] or not total[0] else 0


if __name__ == "__main__":
    sys.exit(main())
