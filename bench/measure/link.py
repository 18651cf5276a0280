"""A long line: two network namespaces of our own, and link.c between them.

The near one holds the client and the server, the far one the agent and the origin. TCP may use larger windows there than
by default, so that a raw TCP stream can fill the line.
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
                self._ip("netns", "add", name)
            self.process = Process("link", [self.bench.tool("link"), *self.names, *self.shape], self.bench.path("link.log"))
            self.process.wait_text("ready")
            for name, address in zip(self.names, (NEAR, FAR)):
                self._ip("-n", name, "link", "set", "lo", "up")
                self._ip("-n", name, "address", "add", address + "/24", "dev", "wan0")
                self._ip("-n", name, "link", "set", "wan0", "mtu", "1500", "txqueuelen", "20000", "up")
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

    @staticmethod
    def _ip(*words):
        subprocess.run(["ip", *words], check=True, capture_output=True)

    def place(self):
        """For rigs."""
        return rigs.Place(NEAR, lambda: inside(self.names[0]), lambda: inside(self.names[1]))

    def __exit__(self, *_):
        if self.process:
            self.process.kill()
        for name in self.names:
            with contextlib.suppress(subprocess.CalledProcessError):
                self._ip("netns", "delete", name)
