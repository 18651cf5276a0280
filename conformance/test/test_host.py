#!/usr/bin/env python3
"""Judges our own engine (yamux-host): nothing may fail, nothing be warned of.

    test_host.py BUILD_DIR [--slow] [--case PATTERN] [--every]

Both roles, TCP, unix sockets and WebSocket, dialing and listening; --every:
all twelve of these. Prints TAP.
"""
import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile

# Every call of core/mux checks its invariants in debug builds: L-04 is slow.
TIMEOUT_MS = 12000
parser = argparse.ArgumentParser(usage=__doc__)
parser.add_argument("build")
parser.add_argument("--slow", action="store_true")
parser.add_argument("--case", default="*")
parser.add_argument("--every", action="store_true")
options = parser.parse_args()
SPEC = os.path.join(options.build, "conformance", "yamuxspec")
HOST = os.path.join(options.build, "conformance", "host", "yamux-host")
# our tester's role, the scheme, who dials
USUAL = [("client", "tcp", "tester"), ("server", "tcp", "peer"),
         ("client", "unix", "peer"), ("server", "ws", "tester"),
         ("client", "ws", "peer")]


def judge(role, scheme, dials, folder):
    address = {"tcp": "tcp://127.0.0.1:0",
               "unix": "unix://",
               "ws": "ws://127.0.0.1:0/yamux"}[scheme]
    output = os.path.join(folder, "report.json")
    tester, peer = ("--connect", "--listen") if dials == "tester" else \
        ("--listen", "--connect")
    command = [SPEC, "--peer-command",
               f"exec {HOST} --mode {{mode}} --role {{role}} "
               f"{peer} {{address}}",
               tester, address, "--role", role, "--profile", "strict",
               "--case", options.case, "--timeout", str(TIMEOUT_MS),
               "--format", "json", "--output", output]
    command += ["--slow"] if options.slow else []
    run = subprocess.run(command, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, timeout=1500, check=False,
                         text=True)
    try:
        with open(output, encoding="utf-8") as file:
            return json.load(file)["cases"]
    except (OSError, ValueError):
        return [{"id": "run", "verdict": "fail", "warnings": [run.stdout]}]


def main():
    ways = USUAL
    if options.every:
        ways = itertools.product(("client", "server"), ("tcp", "unix", "ws"),
                                 ("tester", "peer"))
    failed = number = 0
    for number, (role, scheme, dials) in enumerate(ways, 1):
        with tempfile.TemporaryDirectory() as folder:
            cases = judge(role, scheme, dials, folder)
        bad = [case for case in cases
               if case["verdict"] not in ("pass", "skip")]
        passed = sum(case["verdict"] == "pass" for case in cases)
        good = not bad and passed > 0
        failed += not good
        peer = "server" if role == "client" else "client"
        print(f"{'ok' if good else 'not ok'} {number} - Y-02 "
              f"engine_as_{peer}_over_{scheme}_{dials}_dials: "
              f"{passed} passed", flush=True)
        for case in bad:
            print(f"# {case['id']} {case['verdict']}: "
                  f"{case.get('failure') or case['warnings']}")
    print(f"1..{number}")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
