"""Rigs: every way from a client to the origin that is measured, ours and others'.

A rig has an address for clients, and pids by the part they play: server (whoever the client talks to), agent (whoever
talks to the origin), or relay (there is but one). Everything runs in one session and one process group, so that the
scheduler treats all of them alike.
"""
import contextlib
import getpass
import os
import secrets
import signal
import socket
import ssl
import subprocess

from lib import rig as base
from lib.proc import Process, wait_for
from lib.rig import free_port

Process.own_session = False


class OurServer(base.OurServer):
    """orthrusd as it is shipped."""
    log_level = "info"


class Agent(base.Agent):
    """An agent as it is shipped."""
    log_level = "info"


class Origin:
    """The service behind every agent and relay: origin.c, on TCP and on a unix socket."""

    def __init__(self, bench, host="127.0.0.1"):
        self.counters = bench.path("counters")
        self.socket = bench.path("origin")
        self.process = Process("origin", [bench.tool("origin"), self.counters, host + ":0", self.socket],
                               bench.path("origin.log"))
        self.process.wait_text("ready")
        self.target = "%s:%s" % (host, self.process.text().split()[0])

    def close(self):
        """End it."""
        self.process.kill()


class Place:
    """Where a rig's two ends are: a namespace each, or the machine itself, and the address of the near one."""

    def __init__(self, host="127.0.0.1", near=contextlib.nullcontext, far=contextlib.nullcontext):
        self.host, self.near, self.far = host, near, far


class Rig:
    """What all rigs have in common."""

    def __init__(self, name):
        self.name = name
        self.address = ""
        self.parts = {}      # part: [pid]
        self.processes = []  # in the order in which they end

    def add(self, part, process):
        """A process of this rig, and the part it plays."""
        self.parts.setdefault(part, []).append(process.pid)
        self.processes.insert(0, process)
        return process

    def pids(self):
        """All of them."""
        return [pid for pids in self.parts.values() for pid in pids]

    def wait_ready(self):
        """Until a request comes back through it."""
        host, _, port = self.address.rpartition(":")

        def probe():
            for process in self.processes:
                assert process.alive(), "%s ended:\n%s" % (process.name, process.tail())
            try:
                with socket.create_connection((host, int(port)), 1) as client:
                    client.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
                    return client.recv(65536).startswith(b"HTTP/1.1 200")
            except OSError:
                return False
        wait_for("an answer through " + self.name, probe, 20)
        return self

    def close(self):
        """End all of it, what was started last first."""
        for process in self.processes:
            process.send(signal.SIGTERM)
        for process in self.processes:
            try:
                process.popen.wait(2)
            except subprocess.TimeoutExpired:
                process.kill()


# ---- Orthrus ---------------------------------------------------------------

def tunnel(server_kind, agent_kind, tls=False, policy="allow-all", server_options=(), agent_options=()):
    """A rig of one of the servers and one of the agents."""
    def build(rig, bench, origin, place):
        options = list(server_options)
        if tls:
            options += ["--tls-cert", bench.certificate(), "--tls-key", bench.certificate_key()]
        make_server = GoServer if server_kind == "go" else OurServer
        with place.near():
            if server_kind == "ours":  # its limit of connections a second is not what is measured
                options += ["--opens-per-second", "1000000"]
                options += ["--behind-proxy"] if place.host != "127.0.0.1" and not tls else []
            server = make_server(bench, options, place.host, tls)
            rig.server = server
            rig.add("server", server.process)
            uuid, key = server.add_agent("a-" + secrets.token_hex(4))
        options = list(agent_options)
        if tls:
            options += ["--ca-file", bench.certificate()]
        if agent_kind == "ours":
            options += ["--policy", policy]
        with place.far():
            agent = Agent(bench, agent_kind, server.connect_url(), key, origin.socket, options)
            rig.add("agent", agent.process)
        with place.near():
            rig.address = server.wait_proxy(uuid)
    return build


class _Placed:  # pylint: disable=too-few-public-methods
    """A server of the harness, at a given address."""

    def __init__(self, bench, options, host, tls):
        self.host = host
        if tls:
            self.tls = ssl.create_default_context(cafile=bench.certificate())
        super().__init__(bench, options)


class PlacedServer(_Placed, OurServer):
    """orthrusd at an address."""


class GoServer(_Placed, base.GoServer):
    """The Go reference server at an address."""

    def __init__(self, bench, options, host, tls):
        super().__init__(bench, ["--half-close", "--listen", host + ":0", *options], host, tls)


OurServer = PlacedServer


# ---- relays ----------------------------------------------------------------

def relay(start, hops=1):
    """Plain TCP relays in front of the origin, one or more in series. start(bench, host, target) returns (process,
    port)."""
    def build(rig, bench, origin, place):
        target = origin.target
        with place.near():
            for _ in range(hops):
                process, port = start(bench, place.host, target)
                rig.add("relay", process)
                target = "%s:%d" % (place.host, port)
        rig.address = target
    return build


def bare(kind):
    """relay.c"""
    def start(bench, host, target):
        process = Process("relay " + kind, [bench.tool("relay"), kind, host + ":0", target], bench.path("relay.log"))
        process.wait_text("ready")
        return process, int(process.text().split()[0])
    return start


def haproxy(bench, host, target, port=0, bind="", server=""):  # pylint: disable=too-many-arguments
    """HAProxy with its defaults, in TCP mode; bind and server are more words for either side."""
    port = port or free_port()
    config = bench.write("haproxy.cfg", """
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen relay
    bind %s:%d %s
    server origin %s %s
""" % (host, port, bind, target, server))
    return Process("haproxy", ["haproxy", "-db", "-f", config], bench.path("haproxy.log")), port


def haproxy_pair(rig, bench, origin, place):
    """Two of them with TLS in between: what a tunnel would be without a tunnel."""
    port, door = free_port(), free_port()
    with open(bench.certificate(), encoding="ascii") as cert, open(bench.certificate_key(), encoding="ascii") as key:
        pem = bench.write("haproxy.pem", cert.read() + key.read())
    with place.far():
        far = haproxy(bench, place.host, origin.target, door, bind="ssl crt " + pem)[0]
        rig.add("agent", far)
    with place.near():
        rig.add("server", haproxy(bench, place.host, "%s:%d" % (place.host, door), port, server="ssl verify none")[0])
    rig.address = "%s:%d" % (place.host, port)


def nginx(bench, host, target):
    """nginx as Debian configures it, with a stream server alone."""
    port = free_port()
    config = bench.write("nginx.conf", """
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
worker_processes auto;
daemon off;
pid %s;
error_log stderr;
events { worker_connections 8192; }
stream {
    server { listen %s:%d; proxy_pass %s; proxy_timeout 1h; }
}
""" % (bench.path("nginx.pid"), host, port, target))
    return Process("nginx", ["nginx", "-c", config], bench.path("nginx.log")), port


def socat(bench, host, target):
    """socat forks for each connection."""
    port = free_port()
    return Process("socat", ["socat", "TCP-LISTEN:%d,bind=%s,fork,reuseaddr,backlog=512" % (port, host), "TCP:" + target],
                   bench.path("socat.log")), port


def direct(rig, _, origin, __):
    """Nothing between client and origin."""
    rig.address = origin.target


# ---- whole rivals ----------------------------------------------------------

def rival(start_server, start_agent, fixed_door=None):
    """A rival: its agent dials its server, and the origin is reached through a port of the server."""
    def build(rig, bench, origin, place):
        door, port = fixed_door or free_port(), free_port()
        with place.near():
            rig.add("server", start_server(bench, place.host, door, port))
            wait_for(
                "a rival's server", lambda: rig.processes[0].alive() and _answers(place.host, door), 10)
        with place.far():
            rig.add("agent", start_agent(bench, place.host, door, port, origin.target))
        rig.address = "%s:%d" % (place.host, port)
    return build


def _answers(host, port):
    with contextlib.suppress(OSError), socket.create_connection((host, port), 1):
        return True
    return False


def rathole_server(bench, host, door, port):
    """rathole, plain TCP: its default transport."""
    config = bench.write("rathole.toml", """
[server]
bind_addr = "%s:%d"
default_token = "bench"
[server.services.origin]
bind_addr = "%s:%d"
""" % (host, door, host, port))
    return Process("rathole", [bench.rivals.path("rathole"), "--server", config], bench.path("rathole.log"))


def rathole_agent(bench, host, door, _, target):
    """Its client."""
    config = bench.write("rathole.toml", """
[client]
remote_addr = "%s:%d"
default_token = "bench"
[client.services.origin]
local_addr = "%s"
""" % (host, door, target))
    return Process("rathole", [bench.rivals.path("rathole"), "--client", config], bench.path("rathole.log"))


BORE_DOOR = 7835  # nothing else can be said


def bore_server(bench, _, __, ___):
    """bore: a TCP connection back for each one. It binds all addresses, so only where there are no others."""
    assert os.geteuid() == 0, "bore needs a namespace of its own, and that needs root"
    return Process("bore", [bench.rivals.path("bore"), "server"], bench.path("bore.log"))


def bore_agent(bench, host, _, port, target):
    """Its client."""
    near, _, target_port = target.rpartition(":")
    return Process("bore", [bench.rivals.path("bore"), "local", target_port, "--local-host", near, "--to", host,
                            "--port", str(port)], bench.path("bore.log"))


def wstunnel(scheme):
    """wstunnel: a WebSocket for each connection."""
    def server(bench, host, door, _):
        options = []
        if scheme == "wss":
            options = ["--tls-certificate", bench.certificate(), "--tls-private-key", bench.certificate_key()]
        return Process("wstunnel", [bench.rivals.path("wstunnel"), "server", *options, "%s://%s:%d" % (scheme, host, door)],
                       bench.path("wstunnel.log"))

    def agent(bench, host, door, port, target):
        return Process("wstunnel", [bench.rivals.path("wstunnel"), "client", "-R", "tcp://%s:%d:%s" % (host, port, target),
                                    "%s://%s:%d" % (scheme, host, door)], bench.path("wstunnel.log"))
    return rival(server, agent)


def chisel_server(bench, host, door, _):
    """chisel: SSH over WebSocket, always encrypted."""
    return Process("chisel", [bench.rivals.path("chisel"), "server", "--reverse", "--host", host, "--port", str(door)],
                   bench.path("chisel.log"))


def chisel_agent(bench, host, door, port, target):
    """Its client."""
    return Process("chisel", [bench.rivals.path("chisel"), "client", "http://%s:%d" % (host, door),
                              "R:%s:%d:%s" % (host, port, target)], bench.path("chisel.log"))


def frp_server(bench, host, door, _):
    """frp with its defaults: TLS to itself, yamux."""
    config = bench.write("frps.toml", 'bindAddr = "%s"\nbindPort = %d\nproxyBindAddr = "%s"\n' % (host, door, host))
    return Process("frps", [bench.rivals.path("frps"), "-c", config], bench.path("frps.log"))


def frp_agent(bench, host, door, port, target):
    """Its client."""
    near, _, target_port = target.rpartition(":")
    config = bench.write("frpc.toml", """
serverAddr = "%s"
serverPort = %d
[[proxies]]
name = "origin"
type = "tcp"
localIP = "%s"
localPort = %s
remotePort = %d
""" % (host, door, near, target_port, port))
    return Process("frpc", [bench.rivals.path("frpc"), "-c", config], bench.path("frpc.log"))


def ssh_server(bench, host, door, _):
    """OpenSSH's server, for ssh -R; always encrypted."""
    key, folder = bench.ssh_key(), bench.folder
    config = bench.write("sshd_config", """
ListenAddress %s:%d
HostKey %s
AuthorizedKeysFile %s.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
AllowTcpForwarding yes
GatewayPorts clientspecified
""" % (host, door, key, key))
    with contextlib.suppress(PermissionError):
        os.makedirs("/run/sshd", exist_ok=True)
    return Process("sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", config], bench.path("sshd.log"), cwd=folder)


def ssh_agent(bench, host, door, port, target):
    """ssh -R"""
    return Process("ssh", ["ssh", "-N", "-F", "none", "-i", bench.ssh_key(), "-p", str(door),
                           "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes",
                           "-o", "ExitOnForwardFailure=yes", "-R", "%s:%d:%s" % (host, port, target),
                           getpass.getuser() + "@" + host],
                   bench.path("ssh.log"))


RIGS = {
    "direct": direct,
    "ours": tunnel("ours", "ours"),
    "goagent": tunnel("ours", "raw-agent"),
    "goserver": tunnel("go", "ours"),
    "go": tunnel("go", "raw-agent"),
    "readonly": tunnel("ours", "ours", policy="read-only"),
    "ours-tls": tunnel("ours", "ours", tls=True),
    "goagent-tls": tunnel("ours", "raw-agent", tls=True),
    "go-tls": tunnel("go", "raw-agent", tls=True),
    "haproxy": relay(haproxy),
    "haproxy2": relay(haproxy, hops=2),
    "haproxy2-tls": haproxy_pair,
    "nginx": relay(nginx),
    "nginx2": relay(nginx, hops=2),
    "socat": relay(socat),
    "relay": relay(bare("copy")),
    "relay2": relay(bare("copy"), hops=2),
    "unmask": relay(bare("unmask")),
    "splice": relay(bare("splice")),
    "rathole": rival(rathole_server, rathole_agent),
    "bore": rival(bore_server, bore_agent, BORE_DOOR),
    "wstunnel": wstunnel("ws"),
    "wstunnel-tls": wstunnel("wss"),
    "chisel": rival(chisel_server, chisel_agent),
    "frp": rival(frp_server, frp_agent),
    "ssh": rival(ssh_server, ssh_agent),
}

TITLES = {
    "direct": "no relay", "ours": "Orthrus", "goagent": "orthrusd + Go agent", "goserver": "Go server + orthrus-agent",
    "go": "Go server + Go agent", "readonly": "Orthrus, read-only policy", "ours-tls": "Orthrus, TLS",
    "goagent-tls": "orthrusd + Go agent, TLS", "go-tls": "Go server + Go agent, TLS",
    "haproxy": "HAProxy", "haproxy2": "2 × HAProxy", "haproxy2-tls": "2 × HAProxy, TLS between", "nginx": "nginx",
    "nginx2": "2 × nginx", "socat": "socat", "relay": "bare recv/send relay", "relay2": "2 × bare recv/send relay",
    "unmask": "bare recv/unmask/send relay", "splice": "bare splice relay",
    "rathole": "rathole", "bore": "bore", "wstunnel": "wstunnel", "wstunnel-tls": "wstunnel, TLS", "chisel": "chisel (SSH)",
    "frp": "frp (TLS)", "ssh": "ssh -R",
}


def make(bench, name, origin, place=None):
    """A rig that answers."""
    place = place or Place()
    rig = Rig(name)
    try:
        RIGS[name](rig, bench, origin, place)
        with place.near():
            return rig.wait_ready()
    except BaseException:
        rig.close()
        raise
