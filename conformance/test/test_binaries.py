#!/usr/bin/env python3
"""Judges orthrusd and orthrus-agent: nothing may fail, nothing be warned of.

    test_binaries.py BUILD_DIR [--slow] [--case PATTERN] [--only NAME] [--timeout MS] [--keep]

orthrusd is yamux server and opens a stream for each connection to a loopback proxy; yamuxspec dials it as an agent does,
and conformance/orthrus/server are its clients. orthrus-agent is yamux client; yamuxspec listens for it, and
conformance/orthrus/agent gives it an application in place of a Docker Engine. Both over WebSocket and TLS. A bad case is
judged once more, when all are done. Prints TAP.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "integration"))
sys.dont_write_bytecode = True

from lib.proc import Process, wait_for  # noqa: E402  pylint: disable=wrong-import-position
from lib.rig import free_port  # noqa: E402  pylint: disable=wrong-import-position
from lib.ws import PATH  # noqa: E402  pylint: disable=wrong-import-position

ORTHRUS = os.path.join(ROOT, "conformance", "orthrus")
MODES = "any,echo,sink,hold,source,app"
# A case that must have been judged, so that a run in which most was skipped does not pass.
LEAST = {"orthrusd": 100, "orthrus-agent": 115}
RUN_S = 600


class Judge:
    """One run of yamuxspec, against one program, over one scheme."""

    def __init__(self, options, program, scheme, folder):
        self.options, self.program, self.scheme, self.home = options, program, scheme, folder
        self.name = "%s_over_%s" % (program.replace("-", "_"), scheme)
        self.folder = tempfile.mkdtemp(prefix=self.name, dir=folder)
        self.processes, self.cases, self.seconds = [], [], 0.0
        self.trouble = ""
        self.certificate = os.path.join(folder, "certificate.pem")

    def path(self, name):
        """In the folder of this run."""
        return os.path.join(self.folder, name)

    def start(self, name, argv, env=None):
        """A process that ends with the run."""
        process = Process(name, argv, self.path(name + ".log"), env)
        self.processes.append(process)
        return process

    def built(self, *path):
        """A program under test."""
        return os.path.join(self.options.build, *path)

    def server(self):
        """Starts orthrusd, an agent's record and its clients; yamuxspec's arguments."""
        address, secure = "127.0.0.1:%d" % free_port(), self.scheme == "wss"
        url = ("https://" if secure else "http://") + address
        environment = {"SSL_CERT_FILE": self.certificate}
        tls = ["--tls-cert", self.certificate, "--tls-key", self.certificate] if secure else []
        process = self.start("orthrusd", [self.built("server", "orthrusd"), "--listen", address, "--data-dir",
                                          self.path("data"), "--opens-per-second", "1000000", *tls])
        token = self.path("data/admin.token")
        wait_for("orthrusd to listen", lambda: "listening" in process.text() or not process.alive())
        control = self.path("control")
        made = subprocess.run([self.built("cli", "orthrusctl"), "--server", url, "--ca-file", self.certificate,
                               "--token-file", token, "--json", "agent", "add", "judged"], capture_output=True, text=True,
                              timeout=20, check=True)
        made = json.loads(made.stdout)
        with open(token, encoding="ascii") as file:
            secret = file.read().strip()
        clients = self.start("clients", [sys.executable, os.path.join(ORTHRUS, "server"), control, url, secret,
                                         made["agent"]["uuid"]], environment)
        clients.wait_text("ready")
        return ["--connect", "%s://%s%s" % (self.scheme, address, PATH), "--header", "Authorization: Bearer "
                + made["auth_key"], "--ca-file", self.certificate, "--stream-preface", "01", "--control",
                "unix://" + control, "--mirror", "--mode", MODES + ",opener", "--pid", str(process.pid), "--jobs", "1"]

    def agent(self):
        """yamuxspec's arguments; it starts the agent. The 256 streams of L-04 fill their windows faster than an
        application in Python empties them, so the agent may hold that much."""
        command = "exec %s %s {mode} {address} --ca-file %s --drain-timeout 2s --spill-budget 256MiB" % (
            os.path.join(ORTHRUS, "agent"), self.built("agent", "orthrus-agent"), self.certificate)
        return ["--role", "server", "--listen", "%s://127.0.0.1:0%s" % (self.scheme, PATH), "--cert-file",
                self.certificate, "--stream-preface", "0100", "--mode", MODES, "--peer-command", command, "--peer-log",
                self.path("agent.log")]

    def run(self):
        """To the end."""
        begun = time.monotonic()
        try:
            arguments = self.server() if self.program == "orthrusd" else self.agent()
            arguments += ["--slow"] if self.options.slow else []
            output = self.path("report.json")
            done = subprocess.run([self.built("conformance", "yamuxspec"), *arguments, "--profile", "strict", "--timeout",
                                   self.options.timeout, "--case", self.options.case, "--format", "json", "--output",
                                   output], capture_output=True, text=True, timeout=RUN_S, check=False)
            self.trouble = done.stderr
            with open(output, encoding="utf-8") as file:
                self.cases = json.load(file)["cases"]
        except (AssertionError, OSError, ValueError, subprocess.SubprocessError) as error:
            self.trouble += "%s %s" % (error, getattr(error, "stderr", "") or "")
        finally:
            for process in reversed(self.processes):
                self.end(process)
        self.seconds = time.monotonic() - begun

    def end(self, process):
        """It must have run until now, and end well."""
        if not process.alive():
            self.trouble += "%s ended by itself:\n%s\n" % (process.name, process.tail())
        process.stop(5, twice=True)
        self.trouble += "".join("%s\n" % line for line in process.faults())

    def confirm(self):
        """What is bad is judged once more, alone: a machine that was too busy is no defect."""
        for index, case in enumerate(self.cases):
            if case["verdict"] in ("pass", "skip"):
                continue
            again = Judge(argparse.Namespace(**{**vars(self.options), "case": case["id"]}), self.program, self.scheme,
                          self.home)
            again.run()
            self.trouble += again.trouble
            self.cases[index] = (again.cases or [case])[0]

    def report(self, number):
        """The line of TAP; true when all is well."""
        count = {verdict: sum(case["verdict"] == verdict for case in self.cases)
                 for verdict in ("pass", "warn", "fail", "hung", "skip")}
        least = LEAST[self.program] if self.options.case == "*" else 1
        good = not self.trouble and count["pass"] >= least and not count["warn"] + count["fail"] + count["hung"]
        print("%sok %d - Y-02,Y-03 %s" % ("" if good else "not ", number, self.name))
        print("# %d cases: %s; %.0f s" % (len(self.cases), ", ".join("%d %s" % (count[key], key) for key in count),
                                          self.seconds))
        for line in self.trouble.splitlines():
            print("#   " + line)
        reasons = {}
        for case in self.cases:
            if case["verdict"] == "skip":
                reasons.setdefault(case["reason"], []).append(case["id"])
            elif case["verdict"] != "pass":
                print("#   %s %s: %s" % (case["id"], case["verdict"], case.get("reason") or case["warnings"]))
        for reason, ids in reasons.items():
            print("#   skip %s: %s" % (" ".join(ids), reason))
        sys.stdout.flush()
        return good


def main():
    """All four at a time: they wait more than they work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--slow", action="store_true")
    parser.add_argument("--case", default="*")
    parser.add_argument("--only", default="", metavar="NAME", help="as orthrusd_over_ws")
    parser.add_argument("--timeout", default="6000", metavar="MS")
    parser.add_argument("--keep", action="store_true", help="the logs")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    folder = tempfile.mkdtemp(prefix="oc")
    made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                           "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                           "-", "-out", "-"], capture_output=True, timeout=20, check=True)
    with open(os.open(os.path.join(folder, "certificate.pem"), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(made.stdout)
    judges = [Judge(options, program, scheme, folder) for scheme in ("ws", "wss") for program in LEAST]
    judges = [judge for judge in judges if options.only in ("", judge.name)]
    threads = [threading.Thread(target=judge.run) for judge in judges]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    good = True
    for number, judge in enumerate(judges, 1):
        judge.confirm()
        good = judge.report(number) and good
    print("1..%d" % len(judges))
    if options.keep:
        print("# kept: " + folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return not good


if __name__ == "__main__":
    sys.exit(main())
