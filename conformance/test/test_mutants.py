#!/usr/bin/env python3
"""For every case a peer that is wrong in one thing, which that case must catch, and no other.

  test_mutants.py YAMUXSPEC YAMUX_MUTANT [--all] [ID...]

The right peer must pass each case. Then each mutant is judged by its own case and by the quick cases of the same group
(--all: by all the quick ones): its own must tell it from the right peer, the others must not. A case is told by its
verdict, and where the protocol leaves the answer open, by the answer it records. Prints TAP, then
"cases N, mutants N, caught N"."""
import concurrent.futures
import json
import os
import subprocess
import sys

PROGRAM, MUTANT = (os.path.abspath(path) for path in sys.argv[1:3])
EVERYTHING = "--all" in sys.argv[3:]
WANTED = [word for word in sys.argv[3:] if not word.startswith("-")]
QUICK_MS = 1500  # what a quick case takes at most, with the right peer
PATIENCE = {True: "400", False: "2000"}  # T in ms; slow cases wait for many T
AT_ONCE = 3


def listed():
    """id -> (title, slow?, websocket?) of yamuxspec's cases."""
    cases = {}
    for line in subprocess.check_output([PROGRAM, "--list"], text=True).splitlines():
        name, _, _, title = line.split(None, 3)
        cases[name] = (title.replace(" [slow]", "").replace(" [websocket]", ""), "[slow]" in line, "[websocket]" in line)
    return cases


def judge(cases, ids, mutant=None, jobs="2"):
    """id -> what JSON says, for these ids."""
    found = {}
    for slow in (False, True):
        for websocket in (False, True):
            chosen = [each for each in ids if cases[each][1:] == (slow, websocket)]
            if not chosen:
                continue
            command = "exec %s %s --mode {mode} --listen {address} --role {role}" % (
                MUTANT, "--mutant " + mutant if mutant else "")
            words = [PROGRAM, "--peer-command", command, "--format", "json", "--timeout", PATIENCE[slow],
                     "--jobs", jobs, "--connect", "ws://127.0.0.1:0/" if websocket else "tcp://127.0.0.1:0"]
            for first in range(0, len(chosen), 100):
                words += ["--case", ",".join(chosen[first:first + 100])]
            done = subprocess.run(words + (["--slow"] if slow else []), capture_output=True, text=True, timeout=1800,
                                  check=False)
            if not done.stdout:
                sys.exit("# %s\n# %s" % (" ".join(words), done.stderr))
            found.update({case["id"]: case for case in json.loads(done.stdout)["cases"]})
    return found


def signature(case):
    """What tells a right answer from a wrong one."""
    return case["verdict"], sorted(case["choices"].items())


def describe(case):
    """One line."""
    return "%s: %s %s %s" % (case["id"], case["verdict"], case.get("reason", ""), case["choices"] or "")


def try_mutant(cases, right, name):
    """What is wrong with the pair of case and mutant; empty: caught, and by nothing else."""
    group = [each for each in right if each != name and right[each]["milliseconds"] <= QUICK_MS
             and (EVERYTHING or each[0] == name[0]) and not cases[each][1]]
    found = judge(cases, [name] + group, name, "3")
    findings = []
    if signature(found[name]) == signature(right[name]):
        findings.append("the mutant is not told from the right peer: " + describe(found[name]))
    others = [each for each in group if signature(found[each]) != signature(right[each])]
    if others:  # a busy machine deserves a second look
        again = judge(cases, others, name, "1")
        findings += ["also caught by " + describe(again[each]) for each in others
                     if signature(again[each]) != signature(right[each])]
    return findings


def main():
    """The right peer, then each mutant."""
    cases = listed()
    mutants = {line.split("\t")[0] for line in subprocess.check_output([MUTANT, "--list"], text=True).splitlines()}
    ids = [each for each in cases if not WANTED or each in WANTED or each[0] in WANTED]
    print("1..%d" % len(ids), flush=True)
    needed = [each for each in cases if EVERYTHING or each[0] in {name[0] for name in ids}]
    right = judge(cases, needed)
    caught = failed = 0
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        tries = {name: pool.submit(try_mutant, cases, right, name) for name in ids if name in mutants}
        for number, name in enumerate(ids, 1):
            findings = [] if right[name]["verdict"] == "pass" else ["the right peer: " + describe(right[name])
                                                                    + " " + " ".join(right[name]["warnings"])]
            findings += tries[name].result() if name in tries else ["no mutant"]
            caught += name in tries and not any("not told" in each for each in findings)
            failed += bool(findings)
            for finding in findings:
                print("# %s %s" % (name, finding))
            print("%s %d - %s %s" % ("not ok" if findings else "ok", number, name, cases[name][0]), flush=True)
    if mutants - set(cases):
        print("# mutants without a case: " + " ".join(sorted(mutants - set(cases))))
    print("cases %d, mutants %d, caught %d" % (len(ids), len(set(ids) & mutants), caught))
    return 1 if failed else 0


sys.exit(main())
