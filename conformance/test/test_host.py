#!/usr/bin/env python3
"""Judges our own engine (yamux-host): nothing may fail, nothing be warned of.

    test_host.py BUILD_DIR [--slow] [--case PATTERN] [--every] [--way WORD] [--timeout MS]

Both roles; TCP, unix sockets, WebSocket, and WebSocket over TLS; dialing and listening. --every: all sixteen of these;
--way: only those whose name contains WORD; --timeout: yamuxspec's T (default 3000; debug builds check the engine's
invariants at every call, and need more). A few ways at a time; a bad case is judged once more, when they are done. Prints
TAP.
"""
import argparse
import concurrent.futures
import itertools
import json
import os
import subprocess
import sys
import tempfile

AT_ONCE = 3
parser = argparse.ArgumentParser(usage=__doc__)
parser.add_argument("build")
parser.add_argument("--slow", action="store_true")
parser.add_argument("--case", default="*")
parser.add_argument("--every", action="store_true")
parser.add_argument("--way", default="")
parser.add_argument("--timeout", default="3000")
options = parser.parse_args()
SPEC = os.path.join(options.build, "conformance", "yamuxspec")
HOST = os.path.join(options.build, "conformance", "host", "yamux-host")
ADDRESSES = {"tcp": "tcp://127.0.0.1:0", "unix": "unix://", "ws": "ws://127.0.0.1:0/yamux",
             "wss": "wss://127.0.0.1:0/yamux"}
# our tester's role, the scheme, who dials
USUAL = [("client", "tcp", "tester"), ("server", "tcp", "peer"), ("client", "unix", "peer"), ("server", "ws", "tester"),
         ("client", "ws", "peer"), ("client", "wss", "tester"), ("server", "wss", "peer")]


def make_certificate(folder):
    """A PEM file with a key, and a certificate of 127.0.0.1 that is its own authority."""
    path = os.path.join(folder, "host.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", path, "-out", path + ".crt", "-days", "2", "-subj", "/CN=yamux-host",
                    "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    with open(path, "a", encoding="ascii") as file, open(path + ".crt", encoding="ascii") as crt:
        file.write(crt.read())
    return path


def judge(way, pattern=None):
    """The cases of one way, as JSON has them."""
    with tempfile.TemporaryDirectory() as folder:
        return judge_in(folder, pattern or options.case, *way)


def judge_in(folder, pattern, role, scheme, dials):
    """The same, with a folder for files."""
    output = os.path.join(folder, "report.json")
    tester, peer = ("--connect", "--listen") if dials == "tester" else ("--listen", "--connect")
    host = f"exec {HOST} --mode {{mode}} --role {{role}} {peer} {{address}}"
    command = [SPEC, tester, ADDRESSES[scheme], "--role", role, "--profile", "strict", "--case", pattern,
               "--jobs", "3", "--timeout", options.timeout, "--format", "json", "--output", output]
    if scheme == "wss":
        trust = " --cert-file ", "--ca-file"
        if dials == "peer":
            trust = " --ca-file ", "--cert-file"
        path = make_certificate(folder)
        host += trust[0] + path
        command += [trust[1], path]
    command += ["--peer-command", host] + (["--slow"] if options.slow else [])
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=1500, check=False,
                         text=True)
    try:
        with open(output, encoding="utf-8") as file:
            return json.load(file)["cases"]
    except (OSError, ValueError):
        return [{"id": "run", "verdict": "fail", "warnings": [run.stdout]}]


def name_of(way):
    """Of the test."""
    role, scheme, dials = way
    return f"engine_as_{'server' if role == 'client' else 'client'}_over_{scheme}_{dials}_dials"


def is_bad(case):
    """Neither as it should be nor left out."""
    return case["verdict"] not in ("pass", "skip")


def confirmed(way, case):
    """What a case that is bad says when nothing runs beside it: a machine that was too busy is no defect."""
    again = judge(way, case["id"]) if case["id"] != "run" else [case]
    return again[0] if again else case


def main():
    """Each way."""
    ways = USUAL
    if options.every:
        ways = itertools.product(("client", "server"), ADDRESSES, ("tester", "peer"))
    ways = [way for way in ways if options.way in name_of(way)]
    pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE)
    failed = 0
    for number, (way, cases) in enumerate(zip(ways, list(pool.map(judge, ways))), 1):
        cases = [confirmed(way, case) if is_bad(case) else case for case in cases]
        bad = [case for case in cases if is_bad(case)]
        passed = sum(case["verdict"] == "pass" for case in cases)
        good = not bad and passed > 0
        failed += not good
        print(f"{'ok' if good else 'not ok'} {number} - Y-02 {name_of(way)}: {passed} passed", flush=True)
        for case in bad:
            print(f"# {case['id']} {case['verdict']}: {case.get('reason') or case['warnings']}", flush=True)
    print(f"1..{len(ways)}")
    return failed != 0 or not ways


if __name__ == "__main__":
    sys.exit(main())
