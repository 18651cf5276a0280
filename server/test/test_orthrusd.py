#!/usr/bin/env python3
"""The real orthrusd over real sockets, with a scripted agent (peer.py).

    test_orthrusd.py PROGRAM [PATTERN] [--slow]
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import sessions  # noqa: F401, E402  (each registers its tests)
import starts  # noqa: F401, E402
import tap  # noqa: E402
import web  # noqa: F401, E402

if __name__ == "__main__":
    sys.exit(tap.run())
