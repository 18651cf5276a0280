"""The load: bench/load.c, started and understood."""
import json
import subprocess

from measure import figures, rigs

GIB = 2.0 ** 30


class Failed(Exception):
    """A run that came to nothing; the reason is its text."""


def start(bench, job, address, *options, watch=()):
    """Starts it; its figures come with result()."""
    argv = [bench.tool("load"), job, address, *[str(option) for option in options]]
    for pid in watch:
        argv += ["--watch", str(pid)]
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(popen, timeout):
    """Its figures, when it has ended."""
    try:
        out, err = popen.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        popen.kill()
        popen.communicate()
        raise Failed("the load did not end in time") from None
    if popen.returncode != 0:
        raise Failed(" ".join(err.split())[-200:] or "the load ended with %d" % popen.returncode)
    return json.loads(out)


def part_cpu(raw, rig, part):
    """CPU seconds of one part of a rig."""
    return sum(raw["cpu_s"][str(pid)] for pid in rig.parts.get(part, []))


def per_unit(raw, rig, units, scale, unit):
    """What each part has cost for each unit of work."""
    found = {}
    for part in rig.parts:
        found["%s %s" % (part, unit)] = scale * part_cpu(raw, rig, part) / units
    # whoever stands between client and agent: the server, or the relays
    near = "server" if "server" in rig.parts else "relay"
    if near in rig.parts:
        found["cpu " + unit] = found["%s %s" % (near, unit)]
    return found


def measure(bench, rig, origin, case, place=None, beside=()):
    """One run of a case through a rig: {"others": share, "figures": {...}}. place: where its client is; beside: pids of
    what else belongs to the run."""
    with (place or rigs.Place()).near():
        return _measure(bench, rig, origin, case, beside)


def _measure(bench, rig, origin, case, beside):
    options = ["--connections", case.connections, "--measured", case.measured, "--warm-up", case.warm_up]
    options += ["--each"] if case.each else []
    options += ["--rate", case.rate] if case.rate else []
    options += ["--counters", origin.counters] if case.job == "put" else []
    watched = [*rig.pids(), origin.process.pid, *beside, *bench.softirqs]
    limit = (case.measured + case.warm_up) / 1000 + 20
    background = None
    if case.bulk:
        background = start(bench, case.bulk_job, rig.address, "--connections", case.bulk, "--measured",
                           case.measured + 1500, "--warm-up", case.warm_up, *(
                               ["--counters", origin.counters] if case.bulk_job == "put" else []))
        watched.append(background.pid)
    try:
        raw = result(start(bench, case.job, rig.address, *options, watch=watched), limit)
        bulk = result(background, limit) if background else None
    finally:
        if background and background.poll() is None:
            background.kill()
            background.communicate()
    return {"others": figures.others(raw, bench.cores), "figures": _figures(raw, bulk, rig, case)}


def _figures(raw, bulk, rig, case):
    if case.job == "ask":
        if not raw["requests"]:
            raise Failed("no answer in the measured time")
        found = {"requests/s": raw["requests"] / raw["seconds"]}
        for name in ("p50", "p90", "p99", "p999", "max"):
            found[name + " us"] = raw[name + "_us"]
        if bulk:
            found["bulk GiB/s"] = bulk["bytes"] / GIB / bulk["seconds"]
        else:
            found.update(per_unit(raw, rig, raw["requests"], 1e6, "us a request"))
        return found
    if not raw["bytes"]:
        raise Failed("no byte in the measured time")
    found = {"MiB/s": raw["bytes"] / 2 ** 20 / raw["seconds"], "GiB/s": raw["bytes"] / GIB / raw["seconds"]}
    found.update(per_unit(raw, rig, raw["bytes"] / GIB, 1, "s a GiB"))
    return found
