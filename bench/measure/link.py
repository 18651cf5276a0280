"""Where runs take place: network namespaces of our own.

One alone, whose loopback no congestion control paces; or two with a long line, link.c, between them. The near one holds the
client and the server, the far one the agent and the origin. TCP may use larger windows there than by default, so that a
raw TCP stream can fill the line.
"""
import contextlib
import ctypes
import os
import subprocess

from lib.proc import Process

from measure import rigs

NEAR, FAR = "10.88.0.1", "10.88.0.2"
WINDOW_MAX = 64 * 2 ** 20
CLONE_NEWNET = 0x40000000


@contextlib.contextmanager
def inside(namespace):
    """What is started and connected meanwhile belongs to the namespace."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(fd):
        if libc.setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns " + namespace)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open("/run/netns/" + namespace, os.O_RDONLY)
    try:
        enter(there)
        yield
    finally:
        enter(home)
        os.close(home)
        os.close(there)


def missing():
    """Why there can be no line here; '' if there can."""
    if os.geteuid() != 0:
        return "namespaces need root"
    return "" if os.path.exists("/dev/net/tun") else "the kernel has no TUN device"


def _ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Loopback:
    """A machine without a line; a context manager. BBR, where it is the default, would measure the kernel's timers: 62 MB/s
    on an idle machine, whatever relays. A kernel's own choice stays where namespaces cannot be had."""

    def __init__(self):
        self.name = "" if os.geteuid() else "orthrus-bench-%d" % os.getpid()

    def __enter__(self):
        if self.name:
            _ip("netns", "add", self.name)
            _ip("-n", self.name, "link", "set", "lo", "up")
            with self.inside(), open("/proc/sys/net/ipv4/tcp_congestion_control", "w", encoding="ascii") as file:
                file.write("reno")
        return self

    def inside(self):
        """What is started and connected meanwhile belongs to it."""
        return inside(self.name) if self.name else contextlib.nullcontext()

    def place(self):
        """For rigs."""
        return rigs.Place(near=self.inside, far=self.inside)

    def __exit__(self, *_):
        if self.name:
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("netns", "delete", self.name)


class Link:
    """The line; a context manager. rate in bytes a second."""

    def __init__(self, bench, delay_ms, loss, rate):
        self.bench = bench
        self.names = ["orthrus-%s-%d" % (end, os.getpid()) for end in ("near", "far")]
        self.shape = [str(round(delay_ms * 1000)), str(round(loss * 1e6)), str(rate), str(max(20, round(2 * delay_ms)))]
        self.process = None

    def __enter__(self):
        try:
            for name in self.names:
                _ip("netns", "add", name)
            self.process = Process("link", [self.bench.tool("link"), *self.names, *self.shape], self.bench.path("link.log"))
            self.process.wait_text("ready")
            for name, address in zip(self.names, (NEAR, FAR)):
                _ip("-n", name, "link", "set", "lo", "up")
                _ip("-n", name, "address", "add", address + "/24", "dev", "wan0")
                _ip("-n", name, "link", "set", "wan0", "mtu", "1500", "txqueuelen", "20000", "up")
                with inside(name):
                    for knob in ("tcp_rmem", "tcp_wmem"):
                        self._allow("/proc/sys/net/ipv4/" + knob)
        except BaseException:
            self.__exit__()
            raise
        return self

    @staticmethod
    def _allow(knob):
        """Larger windows, in this namespace only."""
        with open(knob, "r+", encoding="ascii") as file:
            least, usual, _ = file.read().split()
            file.seek(0)
            file.write("%s %s %d" % (least, usual, WINDOW_MAX))

    def place(self):
        """For rigs."""
        return rigs.Place(NEAR, lambda: inside(self.names[0]), lambda: inside(self.names[1]))

    def __exit__(self, *_):
        if self.process:
            self.process.kill()
        for name in self.names:
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("netns", "delete", name)
