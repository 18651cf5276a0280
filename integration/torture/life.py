"""One life of orthrusd and orthrus-agent, in which one of them has a fault: start, work, end."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from lib import fake, raw  # noqa: E402  pylint: disable=wrong-import-position
from lib.proc import Process  # noqa: E402  pylint: disable=wrong-import-position
from lib.rig import free_port  # noqa: E402  pylint: disable=wrong-import-position

PATIENCE = 60  # seconds for anything that must come to be
SOON = 3  # for what may not, if the fault is for ever
LEAK = 98  # the sanitizer's exit status; whose the leak is, its report says
BULK = bytes(range(256)) * 1200
PROGRAMS = {"orthrusd": "server/orthrusd", "orthrus-agent": "agent/orthrus-agent"}
REQUEST = b"GET /v1.41/%s HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"


class Pulse(threading.Thread):
    """Whether this process ran all the time. What comes too late because everything stood still, all programs and this
    one, is nobody's fault."""

    STILL = 5  # seconds that no load makes of one

    def __init__(self):
        super().__init__(daemon=True)
        self.stops, self.last = 0, time.monotonic()
        self.start()

    def run(self):
        while True:
            time.sleep(1)
            now = time.monotonic()
            self.stops += now - self.last > self.STILL
            self.last = now

    def stood_still(self):
        """How often so far; a stop that is not counted yet included."""
        return self.stops + (time.monotonic() - self.last > self.STILL)


class Wrong(Exception):
    """What no fault excuses."""


def engine(connection):
    """Answers lists, in one piece or many, and echoes what is upgraded."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(65536)
        if not piece:
            return
        head += piece
    head, _, rest = head.partition(b"\r\n\r\n")
    if b"Upgrade: tcp" in head:
        connection.sendall(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n" + rest)
        while piece := connection.recv(65536):
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        return
    body = BULK if b"/events" in head else b"[]"
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                       b"Connection: close\r\n\r\n" % len(body) + body)


def ask(port, what, expected):
    """One answer through the tunnel: True when whole, False when it failed as it should."""
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as s:
            s.settimeout(PATIENCE)
            s.sendall(REQUEST % what)
            data, error = raw.read_end(s)
    except TimeoutError as late:
        raise Wrong("no answer to %s, and no end" % what.decode()) from late
    except OSError:
        return False
    head, _, body = data.partition(b"\r\n\r\n")
    if error is not None or not head.startswith(b"HTTP/1.1 200"):
        return False
    if body != expected:
        raise Wrong("a clean end after %d of %d bytes" % (len(body), len(expected)))
    return True


def exchange(port):
    """Bytes there and back on an upgraded connection, each side ended by itself."""
    sent = BULK[:100000]
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as s:
            s.settimeout(PATIENCE)
            s.sendall(b"POST /v1.41/exec/1/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                      b"Content-Length: 0\r\n\r\n")
            reader = raw.Reader(s)
            if not reader.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101"):
                return False
            s.sendall(sent)
            s.shutdown(socket.SHUT_WR)
            data, error = raw.read_end(s)
    except TimeoutError as late:
        raise Wrong("no end of an upgraded connection") from late
    except (OSError, EOFError):
        return False
    if error is None and reader.rest + data != sent:
        raise Wrong("a clean end after %d of %d bytes" % (len(reader.rest + data), len(sent)))
    return error is None


class Life:
    """What is started, and its end."""

    def __init__(self, build_dir, faulty, point, environment):
        self.faulty, self.point, self.environment = faulty, point, environment
        self.build_dir = build_dir
        self.folder = tempfile.mkdtemp(prefix="torture.", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        self.processes = {}
        self.engine = fake.UnixServer(self.folder + "/docker.sock", engine)
        self.address = "127.0.0.1:%d" % free_port()
        self.token = ""

    def start(self, name, arguments, environment=None):
        env = {**self.environment, **(environment or {}), "ORTHRUS_FAULT_REPORT": "%s/%s.calls" % (self.folder, name)}
        if name == self.faulty and self.point is not None:
            env["ORTHRUS_FAULT"] = self.point.environment()
        self.processes[name] = Process(name, [os.path.join(self.build_dir, PROGRAMS[name])] + arguments,
                                       "%s/%s.log" % (self.folder, name), env)

    def wait(self, probe, patience):
        """The first true value of probe(); None when it does not come, or a program has ended."""
        end = time.monotonic() + patience
        while time.monotonic() < end and all(process.alive() for process in self.processes.values()):
            found = probe()
            if found:
                return found
            time.sleep(0.01)
        return None

    def call(self, method, path, body=None):
        """(status, JSON) of the API; (0, None) when there is no answer."""
        request = urllib.request.Request("http://%s%s" % (self.address, path), method=method,
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers={"Authorization": "Bearer " + self.token,
                                                  "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, None
        except TimeoutError as late:
            raise Wrong("the API does not answer") from late
        except (OSError, ValueError, urllib.error.URLError) as error:
            if isinstance(getattr(error, "reason", None), TimeoutError):
                raise Wrong("the API does not answer") from error
            return 0, None

    def token_is_there(self):
        try:
            with open(self.folder + "/data/admin.token", encoding="ascii") as file:
                self.token = file.read().strip()
        except OSError:
            return False
        return self.call("GET", "/readyz")[0] == 200

    def add_agent(self):
        status, made = self.call("POST", "/api/v1/orthrus/agents", {"name": "one"})
        return made if status == 201 and made else None

    def port(self, uuid):
        status, view = self.call("GET", "/api/v1/orthrus/agents/" + uuid)
        address = (view or {}).get("proxy_address") if status == 200 and view.get("status") == "online" else None
        return int(address.rpartition(":")[2]) if address else None

    def work(self, policy):
        """As far as the fault lets it go; True when all was well in the end."""
        patience = PATIENCE if self.point is None or self.point.times == 1 else SOON
        self.start("orthrusd", ["--listen", self.address, "--data-dir", self.folder + "/data", "--drain-timeout",
                                "1s", "--admin-socket", self.folder + "/admin.sock"])
        if not self.wait(self.token_is_there, patience):
            return False
        made = self.wait(self.add_agent, patience)
        if not made:
            return False
        self.start("orthrus-agent", ["--policy", policy, "--reconnect-min", "100ms", "--reconnect-max", "200ms",
                                     "--drain-timeout", "1s", "--status-file", self.folder + "/status",
                                     "--unauthorized-delay", "100ms"],
                   {"ORTHRUS_SERVER_URL": "ws://" + self.address.replace("127.0.0.1", "localhost"),
                    "ORTHRUS_AUTH_KEY": made["auth_key"],
                    "ORTHRUS_AGENT_ID": "one", "ORTHRUS_DOCKER_SOCKET": self.folder + "/docker.sock"})
        uuid = made["agent"]["uuid"]

        def serves():
            port = self.port(uuid)
            good = port and ask(port, b"containers/json", b"[]") and ask(port, b"events", BULK)
            return good and (policy == "read-only" or exchange(port)) and self.call("GET", "/metrics")[0] in (0, 200)

        return self.wait(lambda: "well" if serves() else "not" if self.has_no_proxy() else "", patience) == "well"

    def has_no_proxy(self):
        """It could not be bound, and is not tried again (AC-13)."""
        return "proxy_failed" in self.text("orthrusd")

    def end(self):
        """Ends both; what is wrong, as texts."""
        found = []
        for name in ("orthrus-agent", "orthrusd"):
            process = self.processes.get(name)
            if process is None:
                continue
            asked = process.alive()
            process.send(signal.SIGTERM)
            try:
                status = process.popen.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.send(signal.SIGABRT)  # the sanitizer shows where it is
                try:
                    process.popen.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()
                found.append("%s does not end:\n%s" % (name, process.tail(30)))
                continue
            if status < 0 or (status >= 64 and status != LEAK):
                found.append("%s ends with %d" % (name, status))
            elif not asked and self.point is None:
                found.append("%s has ended with %d" % (name, status))
        self.engine.close()
        return found

    def text(self, name):
        return self.processes[name].text() if name in self.processes else ""

    def counts(self):
        try:
            with open("%s/%s.calls" % (self.folder, self.faulty), encoding="ascii") as file:
                return {call: int(count) for call, count in (line.split() for line in file)}
        except OSError:
            return {}

    def close(self):
        for process in self.processes.values():
            process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Ctl:
    """A server with some agents, and orthrusctl asking it."""

    def __init__(self, build_dir, environment):
        self.program = os.path.join(build_dir, "cli/orthrusctl")
        self.environment = environment
        self.life = Life(build_dir, "", None, environment)
        life = self.life
        life.start("orthrusd", ["--listen", life.address, "--data-dir", life.folder + "/data"])
        if not life.wait(life.token_is_there, PATIENCE):
            raise Wrong("orthrusd does not start")
        for number in range(20):
            life.call("POST", "/api/v1/orthrus/agents", {"name": "agent-%d" % number})
        self.answers = {}

    def ask(self, words, point):
        """(what is wrong, output, calls)."""
        with tempfile.NamedTemporaryFile(prefix="torture.") as report:
            env = {**os.environ, **self.environment, "ORTHRUS_FAULT_REPORT": report.name,
                   "ORTHRUSCTL_SERVER": "http://" + self.life.address,
                   "ORTHRUSCTL_TOKEN_FILE": self.life.folder + "/data/admin.token"}
            if point is not None:
                env["ORTHRUS_FAULT"] = point.environment()
            try:
                done = subprocess.run([self.program, *words.split()], env=env, capture_output=True, timeout=PATIENCE,
                                      check=False)
            except subprocess.TimeoutExpired:
                return ["no end"], "", {}
            counts = {call: int(count) for call, count in (line.split() for line in report.read().decode().splitlines())}
        errors = done.stderr.decode(errors="replace")
        found = []
        if point is None:
            self.answers[words] = done.stdout
        if done.returncode not in (0, 1, 2, LEAK):
            found.append("it ends with %d" % done.returncode)
        elif done.returncode == 0 and done.stdout != self.answers[words]:
            found.append("a success with %d of %d bytes" % (len(done.stdout), len(self.answers[words])))
        elif done.returncode != 0 and (not errors or point is None):
            found.append("it ends with %d and says %r" % (done.returncode, errors))
        return found, errors, counts

    def close(self):
        self.life.end()
        self.life.close()


def live(build_dir, faulty, point, environment, policy):
    """(what is wrong, output of the faulty program, its calls)."""
    life = Life(build_dir, faulty, point, environment)
    try:
        found = []
        try:
            good = life.work(policy)
            if not good and (point is None or (point.times == 1 and all(p.alive() for p in life.processes.values())
                                               and not life.has_no_proxy())):
                found.append("it does not work again")
        except Wrong as wrong:
            # who is never accepted waits, and who is not told of an end
            if point is None or not (point.call == "shutdown" or (point.call == "accept4" and point.times > 1)):
                found.append(str(wrong))
        found += life.end()
        return found, life.text(faulty), life.counts()
    finally:
        life.close()
