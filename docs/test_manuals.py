#!/usr/bin/env python3
"""The manuals and units against the programs. Usage: test_manuals.py ORTHRUSD ORTHRUS-AGENT; prints TAP."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

SERVER, AGENT = sys.argv[1:3]


def read(path):
    """A file of the tree, as text."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def options_of(program):
    """Every flag that --help names."""
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=True, timeout=20)
    return set(re.findall(r"^ +--([a-z][a-z-]+)", done.stdout, re.M))


def compare(program, manual):
    """The same flags in both."""
    said = options_of(program)
    written = set(re.findall(r"\\-([a-z][a-z-]+)", read(manual).split(".Sh OPTIONS")[1].split(".Sh ")[0]))
    assert len(said) > 10 and said == written, (sorted(said - written), sorted(written - said))


def orthrusd_8_names_every_option():
    """server/orthrusd.8"""
    compare(SERVER, "server/orthrusd.8")


def orthrus_agent_1_names_every_option():
    """agent/orthrus-agent.1"""
    compare(AGENT, "agent/orthrus-agent.1")


def manuals_are_well_formed():
    """mandoc finds no error or warning."""
    for page in ("server/orthrusd.8", "agent/orthrus-agent.1", "cli/orthrusctl.1"):
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True,
                              check=False)
        assert not done.stdout, done.stdout


def units_are_confined():
    """systemd-analyze scores both units at 2.0 or better."""
    if not shutil.which("systemd-analyze"):
        return "SKIP no systemd-analyze here"
    with tempfile.TemporaryDirectory() as folder:
        for unit in ("server/orthrusd.service", "agent/orthrus-agent.service"):
            path = os.path.join(folder, os.path.basename(unit))
            with open(path, "w", encoding="utf-8") as file:
                file.write(read(unit).replace("@CMAKE_INSTALL_FULL_BINDIR@", "/usr/bin"))
            done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", path],
                                  capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout[-300:] + done.stderr
    return None


TESTS = [("U-01,U-04", orthrusd_8_names_every_option), ("U-02,U-04", orthrus_agent_1_names_every_option),
         ("U-04", manuals_are_well_formed), ("U-04,X26", units_are_confined)]


def main():
    """Run all, print TAP."""
    failed = 0
    for number, (ids, test) in enumerate(TESTS, 1):
        try:
            skip = test()
            print("ok %d - %s %s%s" % (number, ids, test.__name__, " # " + skip if skip else ""))
        except Exception as error:
            failed += 1
            print("not ok %d - %s %s\n# %r" % (number, ids, test.__name__, error))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
