#!/usr/bin/env python3
"""The measuring itself: arithmetic, and the programs that make load. No figure of time is judged. Usage: test_bench.py
FOLDER-OF-PROGRAMS; prints TAP."""
import contextlib
import importlib.machinery
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import types
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0:1] = [HERE, os.path.join(os.path.dirname(HERE), "integration")]
sys.dont_write_bytecode = True

from measure import cases, core, figures, goals, link, plot, report, rigs  # noqa: E402  pylint: disable=wrong-import-position

PROGRAMS = sys.argv[1]


def program(name):
    """One of this folder's."""
    return os.path.join(PROGRAMS, name)


def equal(found, wanted):
    """Both are shown when they differ."""
    assert found == wanted, "%r is not %r" % (found, wanted)


def refuses(function, *arguments):
    """A question without an answer is an error, not a figure."""
    try:
        found = function(*arguments)
    except (ValueError, IndexError, ZeroDivisionError):
        return
    raise AssertionError("%r came of it" % (found,))


# ---- arithmetic ------------------------------------------------------------

def percentiles_are_values_that_were_seen():
    """The nearest rank, from above; never between two."""
    hundred = list(range(100, 0, -1))
    equal([figures.percentile(hundred, share) for share in (0, 0.01, 0.5, 0.99, 0.999, 1)], [1, 1, 50, 99, 100, 100])
    equal(figures.percentile([7], 0.5), 7)
    equal(figures.percentile([1, 2], 0.5), 1)
    equal(figures.percentile([1, 2, 3], 0.5), 2)
    refuses(figures.percentile, [], 0.5)


def a_spread_is_median_least_and_most():
    """Of an even number, the middle of the two in the middle."""
    equal(figures.spread([3, 1, 2]), (2, 1, 3))
    equal(figures.spread([4, 1, 2, 3]), (2.5, 1, 4))


def ratios_pair_runs_of_the_same_round():
    """A round that one of them lacks has no ratio, and nothing is divided by nothing."""
    equal(figures.ratios({0: 2, 1: 9, 2: 4}, {0: 4, 2: 2}), [0.5, 2])
    equal(figures.ratios({0: 2, 1: 3}, {0: 0, 1: 6}), [0.5])
    equal(figures.ratios({}, {0: 1}), [])


def a_series_is_of_one_case_peer_and_figure():
    """What a run has no figure for is not there."""
    runs = [
        {"case": "a", "peer": "x", "round": 0, "figures": {"f": 1}},
        {"case": "a", "peer": "x", "round": 1, "figures": {"f": 0, "g": 5}},
        {"case": "a", "peer": "y", "round": 0, "figures": {"f": 3}},
        {"case": "b", "peer": "x", "round": 2, "figures": {"f": 4}},
        {"case": "a", "peer": "x", "round": 3, "figures": {"f": None}},
    ]
    equal(figures.series(runs, "a", "x", "f"), {0: 1, 1: 0})
    equal(figures.series(runs, "a", "x", "g"), {1: 5})


def others_are_what_nobody_here_has_used():
    """Of two cores for two seconds: 3.4 busy, of which 3 known, and 0.2 stolen by the host."""
    run = {"own_cpu_s": 1.0, "cpu_s": {"1": 1.5, "2": 0.5}, "busy_s": 3.4, "stolen_s": 0.2, "seconds": 2.0}
    equal(round(figures.others(run, 2), 6), 0.15)
    # the kernel counts ticks, so the sum may exceed what is busy
    equal(figures.others(dict(run, busy_s=2.5, stolen_s=0), 2), 0.0)


def script(*shares):
    """Runs with these shares of others, one a call, and how often it was called."""
    calls = []

    def once():
        calls.append(1)
        return {"others": shares[len(calls) - 1]}
    return once, calls


def a_quiet_run_counts_at_once():
    """At the limit it is still quiet."""
    once, calls = script(0.05)
    equal(figures.Patience(tries=3, limit=0.05).measure(once), {"others": 0.05, "tries": 1, "disturbed": False})
    equal(len(calls), 1)


def a_disturbed_run_is_thrown_away_and_repeated():
    """What counts is the quiet one, not the first."""
    once, _ = script(0.3, 0.0501, 0.01)
    equal(figures.Patience(tries=3, limit=0.05).measure(once), {"others": 0.01, "tries": 3, "disturbed": False})


def a_machine_that_stays_loud_gives_the_least_disturbed_run_and_says_so():
    """Bounded: as many tries as were asked for."""
    once, calls = script(0.3, 0.1, 0.2, 0.0)
    equal(figures.Patience(tries=3, limit=0.05).measure(once), {"others": 0.1, "tries": 3, "disturbed": True})
    equal(len(calls), 3)


def patience_ends_when_the_machine_does_not_get_quiet():
    """After so many in a row each run has one try, until one is quiet."""
    patience = figures.Patience(tries=2, noisy=2, limit=0.05)
    tries = [patience.measure(script(*shares)[0])["tries"] for shares in (
        (0.5, 0.5), (0.5, 0.5), (0.5,), (0.0,), (0.5, 0.0))]
    equal(tries, [2, 2, 1, 1, 2])


def an_exponent_is_the_slope_between_logarithms():
    """Constant, linear, square."""
    sizes = (10, 100, 1000, 10000)
    for power in (0, 1, 2):
        equal(round(figures.exponent([(size, 3 * size ** power) for size in sizes]), 9), power)


def short_numbers_have_three_digits_that_matter():
    """And the thousands are marked."""
    equal([figures.short(value) for value in (0, 0.01234, 0.5, 1, 1.234, 12.34, 123.4, 1234.5, -2.5)],
          ["0", "0.0123", "0.5", "1.00", "1.23", "12.3", "123", "1,234", "-2.50"])


# ---- cases, goals, report --------------------------------------------------

def every_plan_names_what_there_is():
    """Cases, rigs, figures and chapters: a row that names nothing would be a hole in the report."""
    for case in cases.CASES.values():
        assert case.figures and (isinstance(case, core.Core) or set(case.rigs) <= set(rigs.RIGS)), case
    for name, count, only in cases.QUICK + cases.PUBLISHED:
        assert count >= 1 and set(only or ()) <= set(cases.CASES[name].rigs), (name, only)
    drawn = [name for row in report.CHAPTERS for name in row[2]]
    equal((sorted(drawn), len(drawn)), (sorted(cases.CASES), len(set(drawn))))
    published = {(name, rig) for name, _, only in cases.PUBLISHED for rig in only or cases.CASES[name].rigs}
    for goal in goals.GOALS:
        for case, rig, figure in filter(None, [point for _, point in goal.points] if isinstance(goal, goals.Growth)
                                        else [goal.above, goal.below, goal.floor]):
            assert (case, rig) in published and figure in cases.CASES[case].figures, (case, rig, figure)


def run_of(case, peer, number, **found):
    """A run as bench/run leaves it."""
    return {"case": case, "peer": peer, "round": number, "others": 0.01, "tries": 1, "disturbed": False,
            "figures": {name.replace("_", " "): value for name, value in found.items()}}


def figures_to_be_drawn_are_replaced_by_their_like_only():
    """A few cases, measured to see something, leave the published figures alone unless --keep says that they belong to them."""
    run = importlib.machinery.SourceFileLoader("run", os.path.join(HERE, "run")).load_module()  # pylint: disable=deprecated-method
    for words, name in (("get1 --rounds 1", "bench-last"), ("--quick", "bench-last"), ("", "bench-last"), ("--published", "bench"),
                        ("--keep get1", "bench"), ("--report", "bench")):
        equal(run.options(words.split()).json, os.path.join(os.path.dirname(HERE), "build", name + ".json"))
    equal(run.options(["--published", "--json", "x"]).json, "x")


def a_goal_is_met_by_the_median_of_its_pairs():
    """At the limit it is met; beyond it, on the wrong side, it is not; without figures it is neither."""
    runs = [run_of("a", "x", number, f=value) for number, value in enumerate((1, 2, 9))]
    runs += [run_of("a", "y", number, f=4) for number in range(3)]
    pair = ("a", "x", "f"), ("a", "y", "f")
    equal(goals.Goal("P-01", "", *pair, at_most=0.5).judge(runs), (0.5, 0.25, 2.25, True))
    equal(goals.Goal("P-01", "", *pair, at_most=0.49).judge(runs)[3], False)
    equal(goals.Goal("P-01", "", *pair, at_least=0.5).judge(runs)[3], True)
    equal(goals.Goal("P-01", "", *pair, at_least=0.51).judge(runs)[3], False)
    equal(goals.Goal("P-01", "", ("a", "x", "f"), None, at_most=2).judge(runs), (2, 1, 9, True))
    equal(goals.Goal("P-01", "", ("b", "x", "f"), None, at_most=2).judge(runs), None)


def what_is_not_met_has_its_reason_beside_the_floor():
    """A goal that is met has none; the floor is its own ratio, with the one that does least."""
    runs = [run_of("put16", "ours", 0, **{"cpu s a GiB": 0.3}), run_of("put16", "haproxy", 0, **{"cpu s a GiB": 0.5}),
            run_of("put16", "goserver", 0, **{"cpu s a GiB": 2.0}), run_of("put16", "splice", 0, **{"cpu s a GiB": 0.26})]
    found = report.reasons(runs)
    equal(len(found), 4)
    assert found[3].startswith("- P-02, put16: CPU a GiB, orthrusd / HAProxy: a splice relay"), found[3]
    assert "0.52" in found[3], found[3]
    equal(report.reasons([]), [])


def what_comes_from_an_agent_has_to_be_unmasked():
    """P-01: the least that get can do is another than put's, which need not look at bytes."""
    runs = [run_of("get16", name, 0, **{"cpu s a GiB": value})
            for name, value in (("ours", 0.4), ("goserver", 1.0), ("unmask", 0.39), ("splice", 0.1))]
    found = report.reasons(runs)
    equal(len(found), 4)
    assert "unmasked" in found[3] and "0.39" in found[3], found[3]


def growth_is_the_exponent_of_a_total():
    """A cost for each that stays makes a linear total; one that doubles with ten times as many does not pass."""
    runs = [run_of("small", "x", 0, f=3), run_of("large", "x", 0, f=3), run_of("dear", "x", 0, f=6)]
    points = (100, ("small", "x", "f")), (1000, ("large", "x", "f"))
    found = goals.Growth("P-10", "", points, 1.05).judge(runs)
    equal((round(found[0], 9), found[3]), (1, True))
    found = goals.Growth("P-10", "", (points[0], (1000, ("dear", "x", "f"))), 1.05).judge(runs)
    equal((round(found[0], 3), found[3]), (1.301, False))
    equal(goals.Growth("P-10", "", (points[0], (1000, ("none", "x", "f"))), 1.05).judge(runs), None)


def figures_of_the_core_take_the_form_of_all_others():
    """1 and 16 streams of one round are one run; growth is its exponents, not the counts that they were fitted to."""
    rows = [{"case": "engine", "peer": "x", "streams": streams, "round": 0, "bytes": 2 ** 30 * streams, "cpu_s": 0.5,
             "frames": 1, "allocations": 1} for streams in (1, 16)]
    equal(core.of_engines(rows), {("x", 0): {"GiB a CPU s, 1": 2, "GiB a CPU s, 16": 32, "allocations": 2}})
    rows = [{"case": "growth", "work": "w", "size": 1, "count": 1, "instructions": 9},
            {"case": "growth", "work": "w", "exponent": 0.5, "most": 1.05, "what": ""}]
    equal(core.of_growth(rows), {("w", 0): {"exponent": 0.5, "at most": 1.05}})


def a_plot_is_well_formed_and_its_bars_are_in_proportion():
    """Lengths as the medians, whiskers as least and most, any label as text."""
    bars = [{"label": "a < b & c", "kind": "ours", "median": 50, "least": 25, "most": 100, "text": "50"},
            {"label": "none", "kind": "rival", "median": 0, "least": 0, "most": 0, "text": "0"}]
    root = xml.etree.ElementTree.fromstring(plot.panels([("title", bars), ("empty", [])]))
    name = "{http://www.w3.org/2000/svg}"
    widths = [float(each.get("width")) for each in root.findall(name + "rect")[1:]]
    full = plot.WIDTH - plot.LABEL - plot.VALUE
    equal(widths, [full / 2, 1.0])  # none is a line, so that it can be seen
    whisker = root.find(name + "path").get("d")
    assert whisker.startswith("M%.1f " % (plot.LABEL + full / 4)), whisker
    assert "H%.1f " % (plot.LABEL + full) in whisker, whisker
    assert "a < b & c" in [each.text for each in root.findall(name + "text")], "the label"


def the_report_says_what_was_measured_and_what_was_not():
    """Goals met, missed and without figures; rivals both ways round; what was left out; disturbed runs are owned to."""
    runs = []
    for number in range(5):
        for peer, rate, cost in (("ours", 2.0, 0.5), ("goserver", 1.0, 2.0), ("rathole", 4.0, 0.25), ("haproxy", 1.0, 0.4)):
            runs.append(run_of("get1", peer, number, GiB_per_s=rate, cpu_s_a_GiB=cost))
            runs[-1]["figures"]["GiB/s"] = runs[-1]["figures"].pop("GiB per s")
    runs[0].update(disturbed=True, others=0.5, tries=3)
    whole = {"when": "now", "took_s": 60, "command": "bench/run", "missing": {"frp": "refused"}, "failures": ["get1, socat: x"],
             "machine": {"system": "s", "processor": "p", "cores": 2, "memory": "m", "tcp": "t"},
             "versions": {"go": "go1"}, "runs": runs}
    files = report.document(whole)
    equal(sorted(files), ["performance.md", "performance/bulk.svg"])
    xml.etree.ElementTree.fromstring(files["performance/bulk.svg"])
    text = files["performance.md"]
    for line in (
            "| P-01 | get1: CPU a GiB, orthrusd / Go server, both with orthrus-agent | ≤ 0.35 | 0.25 (0.25..0.25) | **yes** |",
            "| P-01 | get1: CPU a GiB, orthrusd / HAProxy | ≤ 1 | 1.25 (1.25..1.25) | no |",
            "| P-01 | get16: CPU a GiB, orthrusd / HAProxy | ≤ 1 | not measured | – |",
            "| get1 | GiB/s | 0.5 × |", "| get1 | cpu s a GiB | 0.5 × |", "Left out: frp (refused).", "- get1, socat: x",
            "| Go server + orthrus-agent | 1.00 (1.00..1.00) | 2.00 (2.00..2.00) | 2.00 |"):
        assert line in text, "no %r in\n%s" % (line, text)
    assert "1 of them stayed disturbed" in text and "50.0 % in the worst" in text, text


# ---- the programs ----------------------------------------------------------

class Started:
    """Programs that announce their ports and then say ready; ended by their id."""

    def __init__(self):
        self.popens = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for popen in self.popens:
            popen.kill()
            popen.communicate()

    def start(self, name, *arguments):
        """Returns the address that it listens on."""
        popen = subprocess.Popen([program(name), *arguments], stdout=subprocess.PIPE, text=True)
        self.popens.append(popen)
        port = popen.stdout.readline().strip()
        equal(popen.stdout.readline(), "ready\n")
        return "127.0.0.1:" + port


def load(job, address, *more):
    """Its figures. 100 ms are enough: only that they are there and agree is judged. On a machine that is busy with other
    things nothing may happen in that time: then again."""
    for _ in range(50):
        done = subprocess.run([program("load"), job, address, "--measured", "100", "--warm-up", "50", *more],
                              capture_output=True, text=True, check=True, timeout=60)
        found = json.loads(done.stdout)
        if found["bytes" if job != "ask" else "requests"] and all(found["cpu_s"].values()):
            return found
    raise AssertionError("nothing happened: %r" % found)


def talk(address, request):
    """All that a server says to it until it ends."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), 20) as client:
        client.sendall(request)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    return answer


def the_origin_answers_small_and_bulk_requests_exactly():
    """As many bytes as were asked for, as many as its head says; bodies are taken whole."""
    with Started() as started, tempfile.TemporaryDirectory() as folder:
        counters = folder + "/counters"
        address = started.start("origin", counters, "127.0.0.1:0", folder + "/socket")
        close = b"Connection: close\r\n\r\n"
        head, _, body = talk(address, b"GET /containers/json HTTP/1.1\r\n" + close).partition(b"\r\n\r\n")
        assert b"Content-Length: 256" in head, head
        equal((len(body), json.loads(body)), (256, []))
        head, _, body = talk(address, b"GET /events?bytes=300000 HTTP/1.1\r\n" + close).partition(b"\r\n\r\n")
        assert b"Content-Length: 300000" in head, head
        equal(body, bytes(300000))
        answer = talk(address, b"POST /build HTTP/1.1\r\nContent-Length: 70000\r\n" + close + bytes(70000))
        assert answer.startswith(b"HTTP/1.1 200 OK"), answer
        with open(counters, "rb") as file:
            equal([int.from_bytes(file.read(8), sys.byteorder) for _ in range(2)], [70000, 3])


def load_counts_what_came_through_all_relays():
    """Every job, kept connections and one each, to the origin itself and through copy, unmask and splice."""
    with Started() as started, tempfile.TemporaryDirectory() as folder:
        counters = folder + "/counters"
        origin = started.start("origin", counters, "127.0.0.1:0")
        addresses = [origin, *[started.start("relay", kind, "127.0.0.1:0", origin) for kind in ("copy", "unmask", "splice")]]
        for address, pid in zip(addresses, [str(popen.pid) for popen in started.popens]):
            for job, more in (("get", ["--connections", "4"]), ("put", ["--connections", "4", "--counters", counters])):
                found = load(job, address, "--watch", pid, *more)
                equal((found["requests"], list(found["cpu_s"])), (0, [pid]))
            for more in ([], ["--each"], ["--rate", "1000"]):
                found = load("ask", address, "--connections", "4", *more)
                assert 0 < found["p50_us"] <= found["p90_us"] <= found["p99_us"] <= found["max_us"], found


def load_gives_up_on_a_service_that_is_none():
    """It fails; it does not report a figure."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % nobody.getsockname()[1]
        done = subprocess.run([program("load"), "ask", address], capture_output=True, text=True, check=False, timeout=60)
    equal((done.returncode, done.stdout), (1, ""))
    assert done.stderr, "no reason was given"


def a_machine_alone_is_a_namespace_that_does_not_pace():
    """Its loopback is up and uses reno, whatever this machine does; afterwards it is gone, and this machine unchanged."""
    with open("/proc/sys/net/ipv4/tcp_congestion_control", encoding="ascii") as file:
        before = file.read()
    with contextlib.ExitStack() as stack:
        try:
            alone = stack.enter_context(link.Loopback())
        except (OSError, subprocess.CalledProcessError) as error:
            return "SKIP no namespaces here: %r" % error
        if not alone.name:
            return "SKIP namespaces need root"
        with alone.place().near():
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        equal(listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0"), b"reno")
        with alone.place().far():
            stack.enter_context(socket.create_connection(listener.getsockname(), 5))
        with contextlib.suppress(OSError):
            stack.enter_context(socket.create_connection(listener.getsockname(), 5))
            raise AssertionError("reached from outside")
    with open("/proc/sys/net/ipv4/tcp_congestion_control", encoding="ascii") as file:
        equal(file.read(), before)
    assert not os.path.exists("/run/netns/" + alone.name)
    return ""


def link_carries_packets_late_and_loses_what_it_must():
    """No packet is early; with every one lost, none comes."""
    if link.missing():
        return "SKIP " + link.missing()
    for loss in (0.0, 1.0):
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            bench = types.SimpleNamespace(tool=program, path=lambda name, folder=folder: folder + "/" + name)
            try:
                line = stack.enter_context(link.Link(bench, 30, loss, 10_000_000))
            except (OSError, subprocess.CalledProcessError) as error:
                return "SKIP no namespaces here: %r" % error
            with link.inside(line.names[1]):
                far = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            with link.inside(line.names[0]):
                near = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            far.bind((link.FAR, 0))
            far.settimeout(30 if loss == 0 else 0.5)
            sent = time.monotonic()
            near.sendto(b"packet", far.getsockname())
            if loss == 0:
                equal(far.recv(100), b"packet")
                assert time.monotonic() - sent >= 0.03, "it came early"
            else:
                with contextlib.suppress(TimeoutError):
                    raise AssertionError("%r was not lost" % far.recv(100))
    return ""


TESTS = [
    percentiles_are_values_that_were_seen, a_spread_is_median_least_and_most, ratios_pair_runs_of_the_same_round,
    a_series_is_of_one_case_peer_and_figure, others_are_what_nobody_here_has_used, a_quiet_run_counts_at_once,
    a_disturbed_run_is_thrown_away_and_repeated,
    a_machine_that_stays_loud_gives_the_least_disturbed_run_and_says_so,
    patience_ends_when_the_machine_does_not_get_quiet, an_exponent_is_the_slope_between_logarithms,
    short_numbers_have_three_digits_that_matter, every_plan_names_what_there_is,
    figures_to_be_drawn_are_replaced_by_their_like_only, a_goal_is_met_by_the_median_of_its_pairs,
    what_is_not_met_has_its_reason_beside_the_floor, what_comes_from_an_agent_has_to_be_unmasked, growth_is_the_exponent_of_a_total, figures_of_the_core_take_the_form_of_all_others,
    a_plot_is_well_formed_and_its_bars_are_in_proportion, the_report_says_what_was_measured_and_what_was_not,
    the_origin_answers_small_and_bulk_requests_exactly,
    load_counts_what_came_through_all_relays, load_gives_up_on_a_service_that_is_none,
    a_machine_alone_is_a_namespace_that_does_not_pace, link_carries_packets_late_and_loses_what_it_must,
]


def main():
    """Run all, print TAP."""
    failed = 0
    for number, test in enumerate(TESTS, 1):
        try:
            skip = test()
            print("ok %d - Q-04 %s%s" % (number, test.__name__, " # " + skip if skip else ""))
        except Exception as error:  # pylint: disable=broad-except
            failed += 1
            print("not ok %d - Q-04 %s\n# %r" % (number, test.__name__, error))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
