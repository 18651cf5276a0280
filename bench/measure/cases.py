"""The cases: what is measured, through which rigs. Each row is data; load.py and crowd.py measure it."""
from dataclasses import dataclass, replace  # noqa: F401

ORTHRUS = ["ours", "goagent", "goserver", "go"]
RELAYS = ["haproxy", "nginx", "socat", "relay", "splice"]
CHAINS = ["haproxy2", "nginx2"]
RIVALS = ["rathole", "wstunnel", "chisel", "frp", "ssh"]
PLAIN_RIVALS = ["rathole", "wstunnel"]


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


def _bulk(name, title, job, streams, rigs):
    return Case(name, title, job, tuple(rigs), connections=streams,
                figures=("GiB/s", "cpu s a GiB", "agent s a GiB"))


def _ask(name, title, connections, rigs, **more):
    return Case(name, title, "ask", tuple(rigs), connections=connections,
                figures=("requests/s", "cpu us a request", "agent us a request", "p50 us", "p99 us"), **more)


def _late(name, title, bulk, rigs, bulk_job="get"):
    return Case(name, title, "ask", tuple(rigs), connections=4, rate=400, bulk=bulk, bulk_job=bulk_job, measured=2500,
                warm_up=500, figures=("p99 us", "p50 us", "p999 us", "requests/s", "bulk GiB/s"), less_is_better=True)


_ALL = ORTHRUS + RELAYS + CHAINS + RIVALS
_NO_FORKS = [name for name in _ALL if name != "socat"]  # a process for each connection cannot be accounted
_TLS = ["ours-tls", "go-tls", "wstunnel-tls", "chisel", "frp", "ssh"]
_QUEUES = ["ours", "go", "haproxy2", *RIVALS]

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
]}
