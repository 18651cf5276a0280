#!/usr/bin/env python3
"""The acceptance criteria of our server and of the reference; and that `ac` can fail.

    test_ac.py BUILD_DIR
"""
import http.server
import os
import subprocess
import sys
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
AC = os.path.join(ROOT, "conformance", "orthrus", "ac")


class Yes(http.server.BaseHTTPRequestHandler):
    """A server that says yes to all, and does nothing."""

    def answer(self):
        """200 and a little JSON, whatever was asked."""
        body = b'{"agent": {"uuid": "u"}, "auth_key": "k", "uuid": "u", "status": "online", "proxy_address": "127.0.0.1:1"}'
        self.send_response(200 if self.command == "GET" else 201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer  # pylint: disable=invalid-name

    def log_message(self, *_):  # pylint: disable=arguments-differ
        """Nothing."""


def ask(*words):
    """A run of ac."""
    return subprocess.run([AC, *words], capture_output=True, text=True, timeout=240, check=False)


def yes_man():
    """The address of one."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Yes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return "http://127.0.0.1:%d" % server.server_port


def main():
    """Rows of the two servers, then two of our own."""
    build = sys.argv[1]
    peer = os.path.join(build, "orthrus-peer")
    subprocess.run([os.path.join(ROOT, "integration/peer/build"), peer], check=True, timeout=600)
    lines, good = [], True
    for words in (("--ours", build), ("--reference", peer)):
        done = ask(*words)
        good = good and done.returncode == 0
        lines += [line for line in done.stdout.splitlines() if line.startswith(("ok", "not ok", "#"))]
    done = ask("--url", yes_man())
    held = [line for line in done.stdout.splitlines() if line.startswith("ok") and "# SKIP" not in line]
    checks = {"a_server_that_only_says_yes_fails": done.returncode == 1 and not held,
              "no_server_at_all_is_status_3": ask("--url", "http://127.0.0.1:1").returncode == 3,
              "no_criterion_of_that_name_is_status_2": ask("--ours", build, "AC-99").returncode == 2}
    lines += ["%s 0 - Q-04 %s" % ("ok" if right else "not ok", name) for name, right in checks.items()]
    number = 0
    for line in lines:
        if line.startswith(("ok", "not ok")):
            number += 1
            verdict, _, rest = line.partition(" - ")
            line = "%s %d - %s" % (verdict.rpartition(" ")[0], number, rest)
        print(line)
    print("# " + "\n# ".join(held)) if held else None
    print("1..%d" % number)
    return 0 if good and all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
