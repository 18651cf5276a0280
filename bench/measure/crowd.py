"""Crowds: many agents at one server, and many idle streams of one agent. The load is swarm.c.

Each run starts its own server. The agents are provisioned once; orthrusd gets a copy of that data directory, the Go
server the list of keys, so that what is measured begins with the first connect.
"""
import concurrent.futures
import contextlib
import functools
import http.client
import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass

from lib.proc import wait_for

from measure import load, rigs

CONNECT_S_MAX = 120
CALLERS = 8  # connections to the API at one time


@dataclass(frozen=True)
class Crowd:
    """One case of many."""
    name: str
    title: str
    kind: str              # storm, idle or streams
    rigs: tuple
    count: int             # agents, or streams
    interval: int = 2      # s between keep-alives, of both servers
    measured: int = 5000   # ms of idling
    figures: tuple = ()
    less_is_better: bool = True


def cpu(pid):
    """CPU seconds of a process, to the nanosecond: its CPU clock, by the number that the kernel gives it."""
    return time.clock_gettime((~pid << 3) | 2)


def busy():
    """CPU seconds of the machine that were not idle, and those that its host took."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    return (sum(ticks[:3]) + ticks[5] + ticks[6] + ticks[7]) / os.sysconf("SC_CLK_TCK")


class Span:
    """A stretch of time: what these processes have used of it, and what others have."""

    def __init__(self, bench, pids):
        self.cores = bench.cores
        self.pids = [*pids, *bench.softirqs, os.getpid()]
        self.before = self._now()

    def _now(self):
        return time.monotonic(), busy(), {pid: cpu(pid) for pid in self.pids}

    def end(self):
        """Returns (seconds, {pid: CPU seconds}, share of others)."""
        now = self._now()
        seconds = now[0] - self.before[0]
        spent = {pid: now[2][pid] - self.before[2][pid] for pid in self.pids}
        rest = now[1] - self.before[1] - sum(spent.values())
        return seconds, spent, max(0.0, rest / (seconds * self.cores))


class Swarm:
    """Agents in one process; they are up when wait() returns."""

    def __init__(self, bench, address, keys, at_once):
        self.count = len(keys)
        self.counters = bench.path("pongs")
        reading, self.stop = os.pipe()
        with open(bench.write("keys", "\n".join(keys) + "\n"), "rb") as keys_in:
            self.popen = subprocess.Popen(
                ["sh", "-c", 'exec "$@" 3<&%d' % reading, "sh", bench.tool("swarm"), address, str(at_once), self.counters],
                stdin=keys_in, stdout=subprocess.PIPE, text=True, pass_fds=(reading,))
        os.close(reading)

    def wait(self):
        """Until all are connected, or have been lost."""
        said = []
        for line in self.popen.stdout:
            said.append(line.strip())
            if line.startswith("connected"):
                break
        if not said or not said[-1].startswith("connected %d " % self.count):
            raise load.Failed("not all agents connected: %s" % said[-3:])

    def pongs(self):
        """Pings answered so far."""
        with open(self.counters, "rb") as file:
            return int.from_bytes(file.read(8), "little")

    def close(self):
        """End it; returns how many agents were lost."""
        os.close(self.stop)
        rest = self.popen.communicate(timeout=60)[0]
        return int(rest.rsplit("lost ", 1)[1])

    def kill(self):
        """After a failure."""
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.communicate()


class Provision:
    """Agents that both servers know."""

    def __init__(self, bench, count):
        server = rigs.OurServer(bench, [], "127.0.0.1", False)
        shares = [range(first, count, CALLERS) for first in range(CALLERS)]
        try:
            with concurrent.futures.ThreadPoolExecutor(CALLERS) as callers:
                found = callers.map(functools.partial(self._add, server), shares)
                self.keys = [key for keys in found for key in keys]
        finally:
            server.close()
        self.data = server.data
        self.list = bench.write("provisioned", "".join("agent-%d %s\n" % pair for pair in enumerate(self.keys)))

    @staticmethod
    def _add(server, numbers):
        """Keys of new agents, over one connection."""
        keys = []
        fields = {"Authorization": "Bearer " + server.token, "Content-Type": "application/json"}
        with contextlib.closing(http.client.HTTPConnection(server.address, timeout=60)) as connection:
            for number in numbers:
                connection.request("POST", "/api/v1/orthrus/agents", json.dumps({"name": "agent-%d" % number}), fields)
                keys.append(json.loads(connection.getresponse().read())["auth_key"])
        return keys

    def server(self, bench, peer, options=()):
        """A server that knows them."""
        if peer == "ours":
            path = bench.path("data")
            shutil.copytree(self.data, path)
            return CopiedServer(bench, options, path)
        return rigs.GoServer(bench, ["--keys", self.list, *options], "127.0.0.1", False)


class CopiedServer(rigs.OurServer):
    """orthrusd on a data directory that is there."""

    def __init__(self, bench, options, data):
        self.given = data
        super().__init__(bench, options, "127.0.0.1", False)

    def start(self):
        self.data = self.given
        super().start()


def provision(bench, count):
    """As many as any case needs, once."""
    if bench.provisioned is None or len(bench.provisioned.keys) < count:
        bench.provisioned = Provision(bench, count)
    return bench.provisioned


def wait_listening(server, count):
    """Until every session has its listener."""
    wait_for("every listener to be live", lambda: len(server.process.listeners()) >= count + 1, 60)


# ---- the kinds -------------------------------------------------------------

def storm(bench, peer, case):
    """All agents connect at once, while one that was connected before is in use."""
    made = provision(bench, case.count + 1)
    origin = rigs.Origin(bench)
    server = made.server(bench, peer)
    agent = swarm = live = None
    try:
        agent = rigs.Agent(bench, "ours", server.connect_url(), made.keys[case.count], origin.socket,
                           ["--policy", "allow-all"])
        wait_listening(server, 1)
        port = max(port for _, port in server.process.listeners()
                   if port != int(server.address.rpartition(":")[2]))
        watched = [server.process.pid, agent.process.pid, origin.process.pid]
        live = load.start(bench, "ask", "127.0.0.1:%d" % port, "--connections", 4, "--rate", 100,
                          "--measured", CONNECT_S_MAX * 1000, "--warm-up", 300)
        time.sleep(0.5)
        span = Span(bench, [*watched, live.pid])
        swarm = Swarm(bench, server.address, made.keys[:case.count], case.count)
        swarm.wait()
        seconds = span.end()[0]
        time.sleep(0.1)  # for the listeners of the last ones
        _, spent, share = span.end()
        live.terminate()
        share = max(0.0, share - cpu(swarm.popen.pid) / (seconds * bench.cores))
        latency = load.result(live, 20)
        wait_listening(server, case.count + 1)
        lost = swarm.close()
        if lost:
            raise load.Failed("%d sessions lost" % lost)
        return {"others": share, "figures": {
            "us CPU a connect": 1e6 * spent[server.process.pid] / case.count, "connects/s": case.count / seconds,
            "live p99 ms": latency["p99_us"] / 1000, "live max ms": latency["max_us"] / 1000, "lost": lost}}
    finally:
        for popen in (live, swarm and swarm.popen):
            if popen and popen.poll() is None:
                popen.kill()
                popen.communicate()
        if agent:
            agent.close()
        server.close()
        origin.close()


def idle(bench, peer, case):
    """Memory and CPU of agents that do nothing but answer pings."""
    made = provision(bench, case.count + 1)
    options = {"ours": ["--ping-interval", "%ds" % case.interval], "go": ["--keep-alive", "%ds" % case.interval]}
    server = made.server(bench, peer, options[peer])
    swarm = None
    try:
        pid, found = server.process.pid, {}
        empty = server.process.rss_kib()
        if case.count:
            swarm = Swarm(bench, server.address, made.keys[:case.count], 64)
            swarm.wait()
            wait_listening(server, case.count)
            found["KiB an agent"] = (server.process.rss_kib() - empty) / case.count
            time.sleep(case.interval)  # until pings have spread over the interval
        before = swarm.pongs() if swarm else 0
        span = Span(bench, [pid, swarm.popen.pid] if swarm else [pid])
        time.sleep(case.measured / 1000)
        seconds, spent, share = span.end()
        found["CPU s a minute"] = spent[pid] * 60 / seconds
        if swarm:
            pongs = swarm.pongs() - before
            if not pongs:
                raise load.Failed("no ping came")
            found["us CPU a ping"] = 1e6 * spent[pid] / pongs
            found["KiB an agent, later"] = (server.process.rss_kib() - empty) / case.count
            found["pings/s"] = pongs / seconds
            lost = swarm.close()
            if lost:
                raise load.Failed("%d sessions lost" % lost)
        return {"others": share, "figures": found}
    finally:
        if swarm:
            swarm.kill()
        server.close()


def streams(bench, peer, case):
    """Memory of connections that are open and say nothing, in server and agent."""
    origin = rigs.Origin(bench)
    rig = held = None
    try:
        rig = rigs.make(bench, peer, origin)
        sizes = {part: sum(_rss(pid) for pid in pids) for part, pids in rig.parts.items()}
        held = subprocess.Popen([bench.tool("load"), "hold", rig.address, "--connections", str(case.count)],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if held.stdout.readline() != "held\n":
            raise load.Failed("not all connections came through")
        time.sleep(0.3)
        found = {"%s MB" % part: (sum(_rss(pid) for pid in pids) - sizes[part]) * 1024 / 1e6
                 for part, pids in rig.parts.items()}
        held.communicate(input="", timeout=20)
        return {"others": 0.0, "figures": found}  # memory does not depend on who else runs
    finally:
        if held and held.poll() is None:
            held.kill()
            held.communicate()
        if rig:
            rig.close()
        origin.close()


def _rss(pid):
    """KiB of a process and its children."""
    with open("/proc/%d/status" % pid, encoding="ascii") as file:
        size = next((int(line.split()[1]) for line in file if line.startswith("VmRSS:")), 0)
    with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as file:
        return size + sum(_rss(int(child)) for child in file.read().split())


KINDS = {"storm": storm, "idle": idle, "streams": streams}


def measure(bench, peer, case):
    """One run of a case."""
    return KINDS[case.kind](bench, peer, case)
