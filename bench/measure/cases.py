"""The cases: what is measured, through which rigs. Each row is data; load.py and crowd.py measure it."""
from dataclasses import dataclass

from measure import figures
from measure.core import Core
from measure.crowd import Crowd

ORTHRUS = ["ours", "goagent", "goserver", "go"]
RELAYS = ["haproxy", "nginx", "socat", "relay", "unmask", "splice"]
CHAINS = ["haproxy2", "nginx2"]
RIVALS = ["rathole", "bore", "wstunnel", "chisel", "frp", "ssh"]


@dataclass(frozen=True)
class Case:  # pylint: disable=too-many-instance-attributes
    """One case of the load generator."""
    name: str
    title: str
    job: str                   # get: agent -> client; put: client -> agent; ask: small requests
    rigs: tuple
    connections: int = 1
    each: bool = False         # a connection for each request
    rate: int = 0              # requests a second, timed from when they were due
    bulk: int = 0              # bulk streams meanwhile
    bulk_job: str = "get"
    measured: int = 1000       # ms
    warm_up: int = 300         # ms
    figures: tuple = ()        # those that are printed; the first is drawn
    less_is_better: bool = False
    round_trip: int = 0        # ms, over a line; 0: loopback
    loss: float = 0.0          # share of its packets
    line_rate: int = 125_000_000  # bytes a second of that line: 1 Gbit/s


def _bulk(name, title, job, streams, rigs):
    return Case(name, title, job, tuple(rigs), connections=streams,
                figures=("GiB/s", "cpu s a GiB", "agent s a GiB"))


def _ask(name, title, connections, rigs, **more):
    return Case(name, title, "ask", tuple(rigs), connections=connections,
                figures=("requests/s", "cpu us a request", "agent us a request", "p50 us", "p99 us"), **more)


def _late(name, title, bulk, rigs, bulk_job="get"):
    return Case(name, title, "ask", tuple(rigs), connections=4, rate=400, bulk=bulk, bulk_job=bulk_job, measured=2500,
                warm_up=500, figures=("p99 us", "p50 us", "p999 us", "requests/s", "bulk GiB/s"), less_is_better=True)


_LINE = ("direct", "ours", "goagent", "go", "rathole", "bore", "wstunnel", "ssh")  # over a long one


def _late_line(name, beside, bulk, rate=100, mbits=100):
    return Case(name, "latency of %d small requests a second%s%s, 20 ms of round trip, %d Mbit/s" % (
        rate, " " if bulk else ", ", beside, mbits), "ask", _LINE, connections=16, rate=rate, bulk=bulk, measured=3000,
                warm_up=2000, figures=("p99 us", "p50 us", "bulk GiB/s")[:3 if bulk else 2], less_is_better=True, round_trip=20,
                line_rate=mbits * 125_000)


def _far(job, round_trip, loss):
    way = "agent → client" if job == "get" else "client → agent"
    return Case("far%d%s-%s" % (round_trip, "-loss" if loss else "", job),
                "bulk, %s, 1 stream, %d ms of round trip, %g %% lost" % (way, round_trip, loss * 100), job,
                _LINE, measured=3000,
                warm_up=max(1500, 15 * round_trip),
                figures=("MiB/s",), round_trip=round_trip, loss=loss)


_ALL = ORTHRUS + RELAYS + CHAINS + RIVALS
_NO_FORKS = [name for name in _ALL if name != "socat"]  # a process for each connection cannot be accounted
_TLS = ["ours-tls", "goagent-tls", "go-tls", "haproxy2-tls", "wstunnel-tls", "chisel", "frp", "ssh"]
_QUEUES = ["ours", "goagent", "go", "haproxy2", "relay2", *RIVALS]

CASES = {case.name: case for case in [
    _bulk("get1", "bulk, agent → client, 1 stream", "get", 1, ["direct", *_ALL]),
    _bulk("get16", "bulk, agent → client, 16 streams", "get", 16, ["direct", *_ALL]),
    _bulk("put1", "bulk, client → agent, 1 stream", "put", 1, ["direct", *_ALL]),
    _bulk("put16", "bulk, client → agent, 16 streams", "put", 16, ["direct", *_ALL]),
    _bulk("get1-tls", "bulk over TLS, agent → client, 1 stream", "get", 1, _TLS),
    _bulk("get16-tls", "bulk over TLS, agent → client, 16 streams", "get", 16, _TLS),
    _bulk("put1-tls", "bulk over TLS, client → agent, 1 stream", "put", 1, _TLS),
    _bulk("put16-tls", "bulk over TLS, client → agent, 16 streams", "put", 16, _TLS),
    _ask("ask1", "small requests, 1 kept connection", 1, _ALL),
    _ask("ask16", "small requests, 16 kept connections", 16, ["direct", *_ALL]),
    _ask("ask64", "small requests, 64 kept connections", 64, _ALL),
    _ask("ask-each", "small requests, a connection each, 16 at once", 16, _NO_FORKS, each=True),
    _ask("policy", "small requests, 16 kept connections, by policy", 16, ["ours", "readonly"]),
    _late("late0", "latency of 400 small requests a second, nothing else", 0, _QUEUES),
    _late("late1", "latency of 400 small requests a second beside 1 bulk stream to the client", 1, _QUEUES),
    _late("late16", "latency of 400 small requests a second beside 16 bulk streams to the client", 16, _QUEUES),
    _late("late1-put", "latency of 400 small requests a second beside 1 bulk stream to the agent", 1, _QUEUES, "put"),
    _late_line("late-line0", "nothing else", 0),
    _late_line("late-line", "beside 1 bulk stream to the client", 1),
    _late_line("late-line4", "beside 4 bulk streams to the client", 4),
    _late_line("late-thin", "beside 1 bulk stream to the client", 1, rate=50, mbits=20),
    *[_far(job, round_trip, loss) for round_trip in (20, 100, 200) for loss in (0, 0.01) for job in ("get", "put")],
    *[Crowd("storm%d" % count, "%s agents connect at once" % figures.short(count), "storm", ("ours", "go"), count,
            figures=("us CPU a connect", "live p99 ms", "live max ms", "connects/s", "lost")) for count in (1000, 5000, 10000)],
    *[Crowd("idle%d" % count, "%s idle agents, a keep-alive each 2 s" % figures.short(count), "idle", ("ours", "go"), count,
            figures=("KiB an agent", "us CPU a ping", "CPU s a minute", "KiB an agent, later", "pings/s"))
      for count in (0, 1000, 5000, 10000)],
    Crowd("streams1000", "1,000 idle streams of one agent", "streams", tuple(ORTHRUS + CHAINS + RIVALS), 1000,
          figures=("server MB", "agent MB", "relay MB")),
    Core("engine", "the multiplexer over a pipe of memory, 64 KiB a write, 1 and 16 streams",
         ("orthrus", "orthrus, in place", "the copy alone", "hashicorp/yamux 0.1.2", "yamux 0.14.1 (Rust)"),
         ("GiB a CPU s, 1", "GiB a CPU s, 16", "allocations")),
    Core("growth", "instructions of the core as agents or streams become more: size to this power",
         ("agents", "link", "bulk-in", "bulk-out", "short-streams"), ("exponent", "at most"), less_is_better=True),
]}

# (case, rounds, rigs or None for all of the case): what a taste is, and what is published
QUICK = [
    ("get1", 1, ORTHRUS + ["haproxy", "relay"]), ("put1", 1, ORTHRUS + ["haproxy", "relay"]),
    ("ask16", 1, ORTHRUS + ["haproxy2"]), ("late0", 1, ["ours", "go"]), ("late1", 1, ["ours", "go"]),
    ("far100-get", 1, ["direct", "ours", "go"]), ("idle1000", 1, None), ("storm1000", 1, None),
    ("streams1000", 1, ["ours", "go"]),
]
_BULK = [*ORTHRUS, "haproxy", "relay", "splice", "rathole", "bore"]
_FAR = ["direct", "ours", "go", "rathole", "bore"]
PUBLISHED = [
    *[(name, 5, [*_BULK, "unmask"]) for name in ("get1", "get16")], *[(name, 5, _BULK) for name in ("put1", "put16")],
    ("get1", 1, ["direct", "nginx", "socat", "haproxy2", "nginx2", "ssh"]),
    ("get1-tls", 5, None), ("put1-tls", 5, None),
    ("ask16", 5, [*ORTHRUS, "haproxy", "haproxy2", "rathole", "bore", "ssh"]),
    ("ask1", 3, ["ours", "go", "haproxy2", "rathole", "bore"]), ("ask64", 3, ["ours", "go", "haproxy2", "rathole", "bore"]),
    ("ask-each", 3, ["ours", "go", "haproxy2", "rathole", "bore"]), ("policy", 5, None),
    ("late0", 5, ["ours", "go", "rathole", "bore"]), ("late1", 5, ["ours", "go", "relay2", "rathole", "bore"]),
    ("late16", 5, ["ours", "go", "rathole", "bore"]), ("late-line0", 2, _FAR), ("late-line", 3, _FAR),
    ("far100-get", 5, _FAR), ("far100-put", 2, _FAR),
    *[(name, 1, _FAR) for name in ("far20-get", "far200-get", "far100-loss-get")],
    ("idle5000", 5, None), ("idle1000", 3, ["ours"]), ("idle1000", 1, ["go"]), ("storm1000", 1, None), ("storm5000", 5, None),
    ("streams1000", 1, None), ("engine", 5, None), ("growth", 1, None),
]
