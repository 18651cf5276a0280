"""Tests by name, their results as TAP lines: ok 3 - AC-05 what_holds."""

import argparse
import fnmatch
import sys
import time
import traceback

TESTS = []


class Skip(Exception):
    """Not here; the reason says why."""


def test(ids):
    """Evidence for these requirement ids (commas between them)."""

    def register(function):
        TESTS.append((ids, function))
        return function

    return register


def run(arguments=None):
    """Run those asked for; returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("pattern", nargs="?", default="*")
    parser.add_argument("--times", action="store_true")
    options = parser.parse_args(arguments)
    chosen = [
        (f"{ids} {function.__name__}", function)
        for ids, function in TESTS
        if fnmatch.fnmatch(f"{ids} {function.__name__}", options.pattern)
    ]
    failed = 0
    print(f"1..{len(chosen)}", flush=True)
    for number, (name, function) in enumerate(chosen, 1):
        start = time.monotonic()
        try:
            function(options.program)
            print(f"ok {number} - {name}", flush=True)
        except Skip as reason:
            print(f"ok {number} - {name} # SKIP {reason}", flush=True)
        except Exception:
            failed += 1
            print(f"not ok {number} - {name}")
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
            sys.stdout.flush()
        if options.times:
            print(f"# {time.monotonic() - start:.2f} s", flush=True)
    return 1 if failed or not chosen else 0
