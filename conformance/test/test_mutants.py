#!/usr/bin/env python3
"""For every case a peer that is wrong in one thing, which that case must catch, and no other.

  test_mutants.py YAMUXSPEC YAMUX_MUTANT [--all] [ID...]

The right peer must pass each case. Then each mutant is judged by its own case and by the quick cases of the same group
(--all: by all the quick ones): its own must tell it from the right peer, the others must not. A case has caught its
mutant when its verdict is the one of its class: a MUST fails or hangs, a SHOULD warns at least, a CHOICE has another
answer. Prints TAP, then "cases N, mutants N, caught N"."""
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
AT_ONCE = 4

# mutant -> the cases that catch it besides its own, and why that cannot be helped
ALSO = {
    "F-03": {"X-02": "sends the same bytes, whole, as one message"},
    "F-04": {"X-02": "cuts the same bytes at each place, too"},
    "F-06": {"X-06": "ends a connection inside a header, too"},
    "F-08": {"G-11": "sends version 1, too, and wants the end"},
    "O-03": {"F-17": "opens streams by empty Data, too"},
    "O-22": {"R-09": "resets streams before they are accepted, too"},
    "W-01": {"O-06": "sends all of a window in one frame, too"},
    "W-13": {"L-02": "sends a million updates of nothing"},
    "W-21": {"L-04": "has many streams that are full"},
    "C-09": {"F-17": "has streams without data, too", "O-15": "has a stream without data, too"},
}


class Case:
    """A row of yamuxspec --list."""

    def __init__(self, line):
        self.name, _, self.kind, title = line.split(None, 3)
        self.title = title.replace(" [slow]", "").replace(" [websocket]", "")
        self.slow = "[slow]" in title
        self.websocket = "[websocket]" in title

    def has_caught(self, right, found):
        """Is what this case found wrong by its class?"""
        if self.kind == "CHOICE":
            return signature(found) != signature(right)
        return found["verdict"] in ("fail", "hung") or (self.kind == "SHOULD" and found["verdict"] == "warn")


def listed():
    """id -> Case."""
    cases = map(Case, subprocess.check_output([PROGRAM, "--list"], text=True).splitlines())
    return {case.name: case for case in cases}


def judge(cases, ids, mutant=None, jobs="3"):
    """id -> what JSON says, for these ids."""
    found = {}
    for slow in (False, True):
        for websocket in (False, True):
            chosen = [each for each in ids if (cases[each].slow, cases[each].websocket) == (slow, websocket)]
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
    return "%s: %s %s %s %s" % (case["id"], case["verdict"], case.get("reason", ""), " ".join(case["warnings"]),
                                case["choices"] or "")


def try_mutant(cases, right, name):
    """Whether the case of this name catches its mutant; and what other cases make of it, if they should not."""
    group = [each for each in right if each != name and right[each]["milliseconds"] <= QUICK_MS
             and (EVERYTHING or each[0] == name[0]) and not cases[each].slow and each not in ALSO.get(name, {})]
    found = judge(cases, [name] + group, name)
    for each in group:  # once more, alone: a peer may find its port taken by another's
        if signature(found[each]) != signature(right[each]):
            found.update(judge(cases, [each], name, "1"))
    return (cases[name].has_caught(right[name], found[name]), describe(found[name]),
            [describe(found[each]) for each in group if signature(found[each]) != signature(right[each])])


def verdict(name, right, tried):
    """What is wrong with the case or its mutant: lines, none when all is well."""
    findings = [] if right[name]["verdict"] == "pass" else ["the right peer: " + describe(right[name])]
    if tried is None:
        return findings + ["no mutant"]
    caught, own, others = tried
    findings += [] if caught else ["the mutant is not told from the right peer: " + own]
    return findings + ["also caught by " + other for other in others]


def judge_all(pool, cases, names):
    """id -> what JSON says of the right peer, for all cases that will be needed."""
    needed = [each for each in cases if EVERYTHING or each[0] in {name[0] for name in names}]
    parts = [[each for each in needed if cases[each].slow], [each for each in needed if not cases[each].slow]]
    found = {}
    for part in pool.map(lambda ids: judge(cases, ids), parts):
        found.update(part)
    return found


def main():
    """The right peer, then each mutant; those that take long first."""
    cases = listed()
    mutants = {line.split("\t")[0] for line in subprocess.check_output([MUTANT, "--list"], text=True).splitlines()}
    names = [each for each in cases if not WANTED or each in WANTED or each[0] in WANTED]
    print("1..%d" % len(names), flush=True)
    caught = failed = 0
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        right = judge_all(pool, cases, names)
        order = sorted((name for name in names if name in mutants),
                       key=lambda name: (not cases[name].slow, -right[name]["milliseconds"]))
        tries = {name: pool.submit(try_mutant, cases, right, name) for name in order}
        for number, name in enumerate(names, 1):
            tried = tries[name].result() if name in tries else None
            findings = verdict(name, right, tried)
            caught += tried is not None and tried[0]
            failed += bool(findings)
            for finding in findings:
                print("# %s %s" % (name, finding))
            print("%s %d - Q-04 case_%s %s" % ("not ok" if findings else "ok", number, name, cases[name].title),
                  flush=True)
    if mutants - set(cases):
        print("# mutants without a case: " + " ".join(sorted(mutants - set(cases))))
    print("cases %d, mutants %d, caught %d" % (len(names), len(set(names) & mutants), caught))
    return 1 if failed or mutants - set(cases) else 0


sys.exit(main())
