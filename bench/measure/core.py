"""The core alone: bench/engine and bench/growth, and their figures in the form of all others."""
import json
import os
import resource
import subprocess
import time
from dataclasses import dataclass

from measure import figures, load
from measure.crowd import busy

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GIB = 2.0 ** 30
MIB = 1024  # of a run of an engine


@dataclass(frozen=True)
class Core:
    """One case of the core; its rigs are engines, or works."""
    name: str
    title: str
    rigs: tuple
    figures: tuple
    less_is_better: bool = False


def children():
    """CPU seconds of what has ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def program(bench, *argv):
    """Its rows, and the share of the machine that others used meanwhile."""
    out = bench.path("core")
    begun, machine, own = time.monotonic(), busy(), children()
    done = subprocess.run([os.path.join(HERE, argv[0]), *argv[1:], "--json", out], capture_output=True, text=True, check=False)
    seconds = time.monotonic() - begun
    if not os.path.exists(out):
        raise load.Failed((done.stdout + done.stderr).strip()[-300:] or "bench/%s says nothing" % argv[0])
    for line in done.stderr.splitlines():
        if line.startswith("engine: without "):
            name, _, reason = line.removeprefix("engine: without ").partition(": ")
            bench.rivals.missing[name] = reason
    with open(out, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return rows, max(0.0, (busy() - machine - (children() - own)) / (seconds * bench.cores))


def of_engines(rows):
    """{(engine, round): figures}: of 1 and of 16 streams in one."""
    found = {}
    for row in rows:
        run = found.setdefault((row["peer"], row["round"]), {"allocations": 0})
        run["GiB a CPU s, %d" % row["streams"]] = row["bytes"] / GIB / row["cpu_s"]
        run["allocations"] += row["allocations"]
    return found


def of_growth(rows):
    """{(work, 0): figures}"""
    return {(row["work"], 0): {"exponent": row["exponent"], "at most": row["most"]} for row in rows if "exponent" in row}


def measure(bench, case, count):
    """All runs of a case. The programs alternate by themselves; instructions are the same however busy the machine."""
    if case.name == "growth":
        found, share = of_growth(program(bench, "growth")[0]), 0.0
    else:
        rows, share = program(bench, "engine", "--build-dir", bench.build_dir, "--rounds", str(count), "--mib", str(MIB))
        found = of_engines(rows)
    return [{"case": case.name, "peer": peer, "round": number, "others": share, "tries": 1,
             "disturbed": share > figures.OTHERS_MAX, "figures": each} for (peer, number), each in found.items()]
