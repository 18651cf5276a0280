"""What one run of bench/run shares: programs, a folder, keys, what it runs on."""
import contextlib
import os
import platform
import re
import resource
import shutil
import subprocess
import tempfile

from lib.rig import Programs

from measure import rivals

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOLS = ["link", "load", "origin", "relay", "swarm"]


def run(argv, **options):
    """A helper program, to its end."""
    return subprocess.run(argv, check=True, capture_output=True, text=True, **options)


def allow_descriptors(wanted=65536):
    """For servers with ten thousand agents: as many as that, or as many as may be had."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (max(wanted, hard), hard):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, limit), limit))
            return


def softirqs():
    """Pids of the threads in which the kernel delivers packets when it has many: on a quiet machine, those of the run."""
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError), open("/proc/%d/comm" % int(name), encoding="ascii") as file:
            if file.read().startswith("ksoftirqd/"):
                found.append(int(name))
    return found


class Bench:
    """What rigs and cases need of their run. The harness's servers ask it for programs and paths, and complain to it."""

    def __init__(self, build_dir):
        self.build_dir = os.path.abspath(build_dir)
        self.folder = tempfile.mkdtemp(prefix="ob")
        self.programs = Programs(self.build_dir, os.path.join(self.build_dir, "orthrus-peer"))
        self.rivals = rivals.Rivals(os.path.join(ROOT, "build/rivals"))
        self.cores = os.cpu_count()
        self.softirqs = softirqs()
        self.problems = []  # of how processes ended; the harness adds to it
        self.failures = []  # runs that came to nothing
        self.provisioned = None  # of crowd.py
        self._count = 0

    def path(self, name):
        """A new path in the private folder."""
        self._count += 1
        return "%s/%d-%s" % (self.folder, self._count, name)

    def write(self, name, text):
        """A new file there; returns its path."""
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def tool(self, name):
        """One of this folder's programs."""
        return self.programs.check(os.path.join(self.build_dir, "bench", name))

    def build(self):
        """Everything of this tree, and the Go reference."""
        if not os.path.exists(os.path.join(self.build_dir, "build.ninja")):
            run(["cmake", "--preset", os.path.basename(self.build_dir)], cwd=ROOT)
        run(["cmake", "--build", self.build_dir, "--target", "orthrusd", "orthrus-agent", *TOOLS])
        run([os.path.join(ROOT, "integration/peer/build"), self.programs.peer])

    def certificate(self):
        """For 127.0.0.1 and the far side of a link; made at the first call."""
        path = self.folder + "/cert.pem"
        if not os.path.exists(path):
            run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                 "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,IP:10.88.0.1",
                 "-keyout", self.certificate_key(), "-out", path])
        return path

    def certificate_key(self):
        """Its private key."""
        return self.folder + "/key.pem"

    def ssh_key(self):
        """One key for sshd and for its client."""
        path = self.folder + "/ssh"
        if not os.path.exists(path):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path])
        return path

    def close(self):
        """Leave nothing behind."""
        shutil.rmtree(self.folder, ignore_errors=True)


def first_line(argv, pattern=r"[0-9]+(?:\.[0-9]+)+[^\s,]*"):
    """The version that a program prints."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    except OSError:
        return "not here"
    match = re.search(pattern, done.stdout + done.stderr)
    return match.group(0) if match else "unknown"


def machine():
    """What it was measured on."""
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    with open("/proc/sys/net/ipv4/tcp_congestion_control", encoding="ascii") as file:
        tcp = file.read().strip()
    if not os.geteuid():  # link.Loopback
        tcp = "reno on loopback, %s on long lines" % tcp
    return {"system": platform.platform(), "processor": model, "cores": os.cpu_count(),
            "memory": "%.0f GiB" % (os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2 ** 30), "tcp": tcp}


def versions(bench):
    """Of everything that was measured."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False)
    found = {
        "orthrus": commit.stdout.strip(), "go": first_line(["go", "version"], r"go[0-9.]+"),
        "hashicorp/yamux": "0.1.2", "gorilla/websocket": "1.5.3", "haproxy": first_line(["haproxy", "-v"]),
        "nginx": first_line(["nginx", "-v"]), "socat": first_line(["socat", "-V"], r"(?<=version )[0-9.]+"),
        "openssl": first_line(["openssl", "version"]), "ssh": first_line(["ssh", "-V"], r"OpenSSH_[^\s,]+"),
    }
    found.update(bench.rivals.versions())
    return found
