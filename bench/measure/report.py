"""docs/performance.md and its plots, from the JSON that bench/run leaves. Measures nothing, decides nothing."""
import os
import statistics

from measure import cases, figures, goals, plot, rigs

KINDS = {name: "ours" for name in ("ours", "ours-tls", "readonly", "orthrus", "orthrus, in place")}
KINDS.update({name: "rival" for name in ("rathole", "bore", "wstunnel", "wstunnel-tls", "chisel", "frp", "ssh")})

# heading, file of the plot, its cases, how many of their figures are drawn, what to know
CHAPTERS = [
    ("Bulk", "bulk", ["get1", "get16", "put1", "put16"], 2,
     "CPU is that of whoever the client talks to: the server, or all relays in the path."),
    ("Bulk over TLS", "tls", ["get1-tls", "get16-tls", "put1-tls", "put16-tls"], 2,
     "`ssh -R` is always encrypted. The Go server speaks TLS itself here; in the field a proxy does."),
    ("Small requests", "requests", ["ask1", "ask16", "ask64", "ask-each", "policy"], 2,
     "256 bytes of answer; each request follows the answer to the one before on its connection."),
    ("Latency beside bulk", "latency", ["late0", "late1", "late16", "late1-put", "late-line0", "late-line", "late-line4",
                                          "late-thin"], 1,
     "400 requests a second on 4 connections, each timed from when it was due. On loopback the processors are what is "
     "saturated; `late-line` is a line of 100 Mbit/s and 20 ms, `late-line0` the same without bulk, `late-line4` "
     "beside 4 bulk streams, `late-thin` on 20 Mbit/s."),
    ("Long lines", "far", [case for case in cases.CASES if case.startswith("far")], 1,
     "One stream over a line of 1 Gbit/s between two network namespaces (`bench/link.c`). `no relay` is raw TCP on the same "
     "line."),
    ("Many agents", "agents", ["idle0", "idle1000", "idle5000", "idle10000", "storm1000",
                                "storm5000", "storm10000"], 2,
     "All agents of a storm connect at once while one that was connected is in use. Idle agents answer pings and do "
     "nothing else."),
    ("Idle streams", "streams", ["streams1000"], 1, "Connections through one agent that have had one answer and are kept."),
    ("The core alone", "core", ["engine", "growth"], 2,
     "`bench/engine`: two sessions in one process, no socket, no WebSocket; in place is without the copy into the pipe, as "
     "orthrusd does it. `bench/growth`: instructions, counted by callgrind."),
]


def cell(values):
    """Median (least..most)."""
    return "%s (%s..%s)" % tuple(map(figures.short, figures.spread(list(values)))) if values else ""


def peers_of(runs, case):
    """The rigs of a case, in its order."""
    return list(dict.fromkeys(run["peer"] for run in runs if run["case"] == case))


def goal_table(runs):
    """Every goal with what was measured."""
    lines = ["| id | what | goal | measured | met |", "|---|---|---|---|---|"]
    for goal in goals.GOALS:
        found = goal.judge(runs)
        told = "not measured | –"
        if found:
            told = "%s (%s..%s) | %s" % (*map(figures.short, found[:3]), "**yes**" if found[3] else "no")
        lines.append("| %s | %s | %s | %s |" % (goal.requirement, goal.text, goal.bar(), told))
    return lines


def reasons(runs):
    """Why what is not met is not: of each such goal, in order; {floor} is what the least of all would make of it."""
    lines = []
    for goal in goals.GOALS:
        found = goal.judge(runs)
        if found and not found[3]:
            why = getattr(goal, "why", "") or "no reason is known."
            if "{floor}" in why:
                why = why.replace("{floor}", figures.short(goal.judge_floor(runs) or float("nan")))
            lines.append("- %s, %s: %s" % (goal.requirement, goal.text, why))
    return ["", "What is not met, and why:", "", *lines] if lines else []


def times(ratio):
    """"0.5 ×": how many times better."""
    return figures.short(ratio) + " ×"


def counterpart(case):
    """Who of ours is compared with in a case."""
    if case.name == "engine":
        return "orthrus"
    return "ours-tls" if case.name.endswith("-tls") else "ours"


def rival_table(runs, missing):
    """Orthrus against whole rivals: how many times better, on the first figure of each case."""
    present = [name for name in dict.fromkeys(run["peer"] for run in runs) if KINDS.get(name) == "rival"]
    if not present:
        return ["No rival could be installed."]
    lines = ["| case | figure | " + " | ".join(rigs.TITLES[name] for name in present) + " |",
             "|---|---|" + "---|" * len(present)]
    for case in cases.CASES.values():
        for figure in case.figures[:2]:
            cells = []
            for name in present:
                ours = figures.series(runs, case.name, counterpart(case), figure)
                theirs = figures.series(runs, case.name, name, figure)
                less = case.less_is_better or "cpu" in figure
                found = figures.ratios(theirs, ours) if less else figures.ratios(ours, theirs)
                cells.append(times(statistics.median(found)) if found else "")
            if any(cells):
                lines.append("| %s | %s | %s |" % (case.name, figure, " | ".join(cells)))
    lines += ["", "More than 1 × is better than the rival, whether more or less of the figure is."]
    if missing:
        lines += ["", "Left out: " + "; ".join("%s (%s)" % pair for pair in missing.items()) + "."]
    return lines


def case_table(runs, case):
    """One case: a line for each rig, and its ratio to Orthrus in the first figure."""
    ours = counterpart(case)
    names = [name for name in case.figures
             if any(run["figures"].get(name) is not None for run in runs if run["case"] == case.name)]
    lines = ["| %s | %s | Orthrus ÷ it |" % (case.name, " | ".join(names)), "|---|" + "---|" * (len(names) + 1)]
    base = figures.series(runs, case.name, ours, names[0])
    for peer in peers_of(runs, case.name):
        found = figures.ratios(base, figures.series(runs, case.name, peer, names[0]))
        lines.append("| %s | %s | %s |" % (
            rigs.TITLES.get(peer, peer),
            " | ".join(cell(figures.series(runs, case.name, peer, name).values()) for name in names),
            figures.short(statistics.median(found)) if found and peer != ours else ""))
    return lines


def panel(runs, case, figure):
    """(title, bars) for plot.panels."""
    bars = []
    for peer in peers_of(runs, case.name):
        values = list(figures.series(runs, case.name, peer, figure).values())
        if values:
            middle, least, most = figures.spread(values)
            bars.append({"label": rigs.TITLES.get(peer, peer), "kind": KINDS.get(peer, "reference"), "median": middle,
                         "least": least, "most": most, "text": figures.short(middle)})
    return "%s: %s (%s)" % (case.name, case.title, figure), bars


def chapter(whole, heading, name, names, drawn, note):
    """(lines, SVG) of one chapter; None when nothing of it was measured."""
    runs = whole["runs"]
    present = [cases.CASES[each] for each in names if each in cases.CASES and peers_of(runs, each)]
    if not present:
        return None
    groups = [panel(runs, case, figure) for case in present for figure in case.figures[:drawn]]
    lines = ["## " + heading, "", note, "", "![%s](performance/%s.svg)" % (heading, name)]
    for case in present:
        lines += ["", "**%s**: %s." % (case.name, case.title), "", *case_table(runs, case)]
    return lines, plot.panels([group for group in groups if group[1]])


def disturbance(whole):
    """How quiet it was, in one sentence."""
    runs = whole["runs"]
    loud = sum(run["disturbed"] for run in runs)
    shares = [run["others"] for run in runs]
    warning = ""
    if 2 * loud > len(runs):
        warning = (" **The machine was busy with other things**: what waits for a processor (throughput, requests a second, "
                   "latency) says little here; CPU, memory and counts say more.")
    return "%d runs in %.0f minutes; others used %.1f %% of the machine in the median run, %.1f %% in the worst. %s" % (
        len(runs), whole["took_s"] / 60, 100 * statistics.median(shares), 100 * max(shares),
        "%d of them stayed disturbed (above %.0f %%), however often they were repeated, and count all the same." % (
            loud, 100 * figures.OTHERS_MAX) if loud else "None was disturbed.") + warning


def document(whole):
    """{path below docs/: text}"""
    machine = whole["machine"]
    lines = [
        "# Performance", "",
        "Drawn by `bench/run --report` from what `%s` measured on %s. What each case does and how a run counts is in "
        "[bench/](../bench)." % (whole["command"], whole["when"]), "",
        "%s, %s cores, %s, %s, TCP %s. " % (machine["processor"], machine["cores"], machine["memory"], machine["system"],
                                            machine["tcp"]) + disturbance(whole), "",
        "Versions: " + ", ".join("%s %s" % pair for pair in whole["versions"].items()) + ".", "",
        "Figures are medians (least..most), ratios medians of pairs of the same round. Absolute figures are this machine's; "
        "ratios travel.", "", "## Goals", "", *goal_table(whole["runs"]),
        *reasons(whole["runs"]), "",
        "## Against whole rivals", "", *rival_table(whole["runs"], whole["missing"]), ""]
    files = {}
    for row in CHAPTERS:
        found = chapter(whole, *row)
        if found:
            lines += [*found[0], ""]
            files["performance/%s.svg" % row[1]] = found[1]
    if whole["failures"]:
        lines += ["## Runs that came to nothing", "", *["- " + reason for reason in whole["failures"]], ""]
    files["performance.md"] = "\n".join(lines)
    return files


def write(whole, folder):
    """All of it, into docs/."""
    os.makedirs(os.path.join(folder, "performance"), exist_ok=True)
    for path, text in document(whole).items():
        with open(os.path.join(folder, path), "w", encoding="utf-8") as file:
            file.write(text)
