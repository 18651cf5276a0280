#!/usr/bin/env python3
"""The real orthrusd over real sockets, with a scripted agent (peer.py).

    test_orthrusd.py PROGRAM MODULE [PATTERN] [--times]

MODULE: sessions, life, web, starts, or all.
"""

import importlib
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import helpers  # noqa: E402
import tap  # noqa: E402

MODULES = ["sessions", "life", "web", "starts"]

if __name__ == "__main__":
    module = sys.argv.pop(2) if len(sys.argv) > 2 else "all"
    for name in MODULES if module == "all" else [module]:
        importlib.import_module(name)  # which registers its tests
    failed = tap.run()
    problem = helpers.end_shared()
    if problem:
        print(f"# {problem}")
    sys.exit(bool(failed or problem))
