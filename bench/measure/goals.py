"""The goals, each beside what was measured. A goal is met by the median of its pairs."""
from dataclasses import dataclass

from measure import figures


@dataclass(frozen=True)
class Goal:
    """above / below (or above itself) compared with a limit. Each is (case, rig, figure)."""
    requirement: str
    text: str
    above: tuple
    below: tuple
    at_most: float = None
    at_least: float = None
    why: str = ""         # it is not met, when it is not
    floor: tuple = None   # who does the least that must be done, in place of above

    def judge(self, runs):
        """None: not measured. Else (median, least, most, met?)."""
        above = figures.series(runs, *self.above)
        values = list(above.values())
        if self.below:
            values = figures.ratios(above, figures.series(runs, *self.below))
        if not values:
            return None
        middle, least, most = figures.spread(values)
        met = middle <= self.at_most if self.at_most is not None else middle >= self.at_least
        return middle, least, most, met

    def judge_floor(self, runs):
        """The median with the floor in place of what is judged; None: not measured."""
        values = figures.ratios(figures.series(runs, *self.floor), figures.series(runs, *self.below))
        return figures.spread(values)[0] if values else None

    def bar(self):
        """The limit, in words."""
        return "≤ %g" % self.at_most if self.at_most is not None else "≥ %g" % self.at_least


@dataclass(frozen=True)
class Growth:
    """How a total grows with a number: the exponent fitted to the medians. points: (number, (case, rig, figure)); each
    figure is a cost for each one of them."""
    requirement: str
    text: str
    points: tuple
    at_most: float

    def judge(self, runs):
        """As a goal's."""
        found = []
        for number, point in self.points:
            values = figures.series(runs, *point).values()
            if not values:
                return None
            found.append((number, number * figures.spread(list(values))[0]))
        power = figures.exponent(found)
        return power, power, power, power <= self.at_most

    def bar(self):
        """The limit, in words."""
        return "≤ %g" % self.at_most


_MASKED = ("what an agent sends is masked (RFC 6455, 5.3), so that it has to be read, unmasked and sent: a relay of our own that "
           "does only that, without frames or streams, would have {floor} in the same runs.")
_PAGES = "a splice relay without frames, which only moves pages, would have {floor} in the same runs."
_CORES = ("what is saturated is not the link but two processors, which five programs share: two bare recv/send relays in series would "
          "have {floor} in the same runs. What a saturated line does is `late-line`.")
_WAKES = ("the Go agent writes 16 KiB at a time. They gather before orthrusd reads them (D-087), but of 16 streams each belongs to "
          "another client, who is woken for it: a fifth of what is left of its CPU (perf).")
_CONNECT = ("the Go reference checks no key. What is left is the kernel's for two sockets and a listener, three fifths; libwebsockets "
            "has an eighth and the look-up of the key in SQLite another (perf).")
_COPY = "the copy alone, without any multiplexer, would have {floor} in the same runs; orthrusd does without it."


def _bulk(requirement, case, text, ours, theirs, limit, why="", figure="cpu s a GiB"):
    floor, least = (_MASKED, "unmask") if case.startswith("get") else (_PAGES, "splice")
    return Goal(requirement, "%s: CPU a GiB, %s" % (case, text), (case, ours, figure), (case, theirs, figure), at_most=limit,
                why=why or floor, floor=(case, least, figure))


def _all():
    for case in ("get1", "get16"):
        yield _bulk("P-01", case, "orthrusd / Go server, both with the Go agent", "goagent", "go", 0.40, _WAKES)
        yield _bulk("P-01", case, "orthrusd / Go server, both with orthrus-agent", "ours", "goserver", 0.35)
        yield _bulk("P-01", case, "orthrusd / HAProxy", "ours", "haproxy", 1)
        yield _bulk("P-01", case, "orthrusd / bare recv/send relay", "ours", "relay", 1.5)
    for case in ("put1", "put16"):
        yield _bulk("P-02", case, "orthrusd / Go server, both with the Go agent", "goagent", "go", 0.25)
        yield _bulk("P-02", case, "orthrusd / Go server, both with orthrus-agent", "ours", "goserver", 0.25)
        yield _bulk("P-02", case, "orthrusd / HAProxy", "ours", "haproxy", 0.5)
    yield Goal("P-03", "ask16: server CPU a request, orthrusd / Go server, both with orthrus-agent",
               ("ask16", "ours", "cpu us a request"), ("ask16", "goserver", "cpu us a request"), at_most=0.30)
    yield Goal("P-03", "ask16: requests a second, Orthrus / Go server and agent",
               ("ask16", "ours", "requests/s"), ("ask16", "go", "requests/s"), at_least=2.5)
    yield Goal("P-03", "ask16: requests a second, Orthrus / 2 × HAProxy",
               ("ask16", "ours", "requests/s"), ("ask16", "haproxy2", "requests/s"), at_least=1)
    yield Goal("P-04", "late1: p99 beside one bulk stream, Orthrus / Go", ("late1", "ours", "p99 us"),
               ("late1", "go", "p99 us"), at_most=0.2, why=_CORES, floor=("late1", "relay2", "p99 us"))
    yield Goal("P-04", "p99 of Orthrus, beside one bulk stream (late1) / alone (late0)", ("late1", "ours", "p99 us"),
               ("late0", "ours", "p99 us"), at_most=3, why=_CORES, floor=("late1", "relay2", "p99 us"))
    yield Goal("P-04", "p99 of Orthrus on a line of 100 Mbit/s that one bulk stream fills (late-line) / that is idle (late-line0)",
               ("late-line", "ours", "p99 us"), ("late-line0", "ours", "p99 us"), at_most=3)
    for figure in ("KiB an agent", "KiB an agent, later"):
        yield Goal("P-05", "idle5000: %s, orthrusd / Go" % figure, ("idle5000", "ours", figure),
                   ("idle5000", "go", figure), at_most=0.25)
    yield Goal("P-06", "far100-get: throughput, Orthrus / Go", ("far100-get", "ours", "MiB/s"),
               ("far100-get", "go", "MiB/s"), at_least=15)
    yield Goal("P-06", "far100-get: throughput, Orthrus / raw TCP on the same line", ("far100-get", "ours", "MiB/s"),
               ("far100-get", "direct", "MiB/s"), at_least=0.8)
    yield Goal("P-07", "storm5000: server CPU a connect, orthrusd with its key check / Go without",
               ("storm5000", "ours", "us CPU a connect"), ("storm5000", "go", "us CPU a connect"), at_most=0.5, why=_CONNECT)
    yield Goal("P-07", "storm5000: sessions lost", ("storm5000", "ours", "lost"), None, at_most=0)
    yield Goal("P-07", "storm5000: p99 of a live request meanwhile, ms", ("storm5000", "ours", "live p99 ms"), None,
               at_most=100)
    yield Goal("P-08", "idle5000: server CPU a keep-alive, orthrusd / Go at the same interval",
               ("idle5000", "ours", "us CPU a ping"), ("idle5000", "go", "us CPU a ping"), at_most=0.4)
    for streams in (1, 16):
        figure = "GiB a CPU s, %d" % streams
        for ours, how in (("orthrus", "with the copy into the pipe"), ("orthrus, in place", "in place, as orthrusd does it")):
            yield Goal("P-09", "engine: %s stream%s, ours %s / hashicorp/yamux" % (figure, "s" if streams > 1 else "", how),
                       ("engine", ours, figure), ("engine", "hashicorp/yamux 0.1.2", figure), at_least=10,
                       why=_COPY, floor=("engine", "the copy alone", figure))
    yield Goal("P-09", "engine: allocations after set-up", ("engine", "orthrus", "allocations"), None, at_most=0)
    yield Goal("P-10", "streams1000: MB of 1,000 idle streams in orthrusd", ("streams1000", "ours", "server MB"), None,
               at_most=8)

    for work, most in (("agents", 1.05), ("link", 1.05), ("bulk-in", 1.05), ("bulk-out", 1.05), ("short-streams", 0.05)):
        yield Goal("P-10", "growth: exponent of %s" % work, ("growth", work, "exponent"), None, at_most=most)
    for text, case, figure in (("connects", "storm", "us CPU a connect"), ("keep-alives", "idle", "us CPU a ping")):
        yield Growth("P-10", "orthrusd's CPU for the %s of 1,000 and 5,000 agents: exponent" % text, tuple(
            (count, ("%s%d" % (case, count), "ours", figure)) for count in (1000, 5000)), 1.05)


GOALS = list(_all())
