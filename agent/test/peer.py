"""The far end of an agent, scripted: a WebSocket and yamux server that does exactly what a test says, a Docker socket,
a proxy, and the agent process itself. Standard library only; every wait is bounded."""
import base64
import hashlib
import json
import os
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

TIMEOUT = 20.0  # of any wait; only a failing test comes near it
KEY = "ch_orthrus_" + "5ec2e7" * 10 + "abcd"
DATA, WINDOW, PING, GO_AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8


def wait_until(question, what):
    """Ask until the answer is true; returns it."""
    end = time.monotonic() + TIMEOUT
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < end, "timed out waiting for " + what
        time.sleep(0.005)


def frame(kind, flags, stream, length, payload=b""):
    """One yamux frame."""
    return struct.pack(">BBHII", 0, kind, flags, stream, length) + payload


def ws_frame(payload, opcode=2, final=True):
    """One WebSocket frame as a server sends it."""
    head = bytes([opcode | (0x80 if final else 0)])
    if len(payload) < 126:
        return head + bytes([len(payload)]) + payload
    if len(payload) < 65536:
        return head + struct.pack(">BH", 126, len(payload)) + payload
    return head + struct.pack(">BQ", 127, len(payload)) + payload


def unmask(payload, mask):
    """Undo RFC 6455 5.3."""
    size = len(payload)
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")


class Stream:
    """A yamux stream that this side opened."""

    def __init__(self, session, number):
        self.session, self.number = session, number
        self.data, self.window = bytearray(), 262144
        self.acked = self.fin = self.reset = False
        self.credit = True  # give the agent credit for what came, at once

    def wait(self, question, what):
        """Wait for a state of this stream."""
        with self.session.changed:
            done = self.session.changed.wait_for(lambda: question() or self.session.ended, TIMEOUT)
            assert done and question(), "stream %d: no %s (%d bytes, fin %s, reset %s, session %s)" % (
                self.number, what, len(self.data), self.fin, self.reset, self.session.ended)

    def send(self, data):
        """Send within the window that the agent granted."""
        data = bytes(data)
        while data:
            self.wait(lambda: self.window > 0 or self.reset, "window")
            assert not self.reset, "reset while sending"
            size = min(self.window, len(data), 65536)
            self.window -= size
            self.session.send(frame(DATA, 0, self.number, size, data[:size]))
            data = data[size:]

    def finish(self):
        """FIN: nothing more from us."""
        self.session.send(frame(WINDOW, FIN, self.number, 0))

    def abort(self):
        """RST."""
        self.session.send(frame(WINDOW, RST, self.number, 0))

    def read(self, size):
        """Exactly size bytes."""
        self.wait(lambda: len(self.data) >= size, "%d bytes" % size)
        out = bytes(self.data[:size])
        del self.data[:size]
        return out

    def read_to(self, mark):
        """Bytes up to and with a mark."""
        self.wait(lambda: mark in self.data, repr(mark))
        return self.read(self.data.index(mark) + len(mark))

    def read_all(self):
        """Everything until the agent's FIN."""
        self.wait(lambda: self.fin or self.reset, "end")
        assert not self.reset, "reset instead of an end; had %r" % bytes(self.data[:200])
        return self.read(len(self.data))

    def wait_reset(self):
        """The agent's RST; a FIN before it is a lie (L-04)."""
        self.wait(lambda: self.reset, "reset")
        assert not self.fin, "an orderly end before the reset"

    def response(self, method="GET"):
        """One HTTP response with a Content-Length: status, head, body."""
        head = self.read_to(b"\r\n\r\n").decode()
        size = 0
        for line in head.split("\r\n"):
            name, _, value = line.partition(":")
            if name.lower() == "content-length":
                size = int(value)
        return int(head.split()[1]), head, self.read(size if method != "HEAD" else 0)


class Session:
    """One agent's connection after the 101."""

    def __init__(self, sock, request, opened=0):
        """opened: streams whose SYN has gone out already."""
        self.sock, self.request = sock, request
        self.changed = threading.Condition()
        self.sending = threading.Lock()
        self.next = 2 + 2 * opened
        self.streams = {number: Stream(self, number) for number in range(2, self.next, 2)}
        self.ended, self.close_code, self.pongs, self.go_away = None, None, [], None
        self.answer_pings, self.pings_heard, self.pings, self.sent_pings = True, 0, 0, 0
        self.opcode, self.fragment = 2, 0
        self.raw, self.payload = bytearray(), bytearray()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    # ---- out

    def send_raw(self, data):
        """Bytes as they are."""
        with self.sending:
            try:
                self.sock.sendall(data)
            except OSError:
                pass  # run() finds out why

    def send(self, payload):
        """A message, cut into fragments if the test wants that."""
        size = self.fragment or max(len(payload), 1)
        parts = [payload[i:i + size] for i in range(0, len(payload), size)] or [b""]
        out = b""
        for i, part in enumerate(parts):
            out += ws_frame(part, self.opcode if i == 0 else 0, i == len(parts) - 1)
            if self.fragment:
                out += ws_frame(b"between", 9) if i == 0 and len(parts) > 1 else b""
        self.send_raw(out)

    def open(self, first=b"\x01"):
        """Open a stream; first bytes go right behind the SYN."""
        stream = Stream(self, self.next)
        self.next += 2
        with self.changed:
            self.streams[stream.number] = stream
        stream.window -= len(first)
        self.send(frame(WINDOW, SYN, stream.number, 0))
        if first:
            self.send(frame(DATA, 0, stream.number, len(first), first))
        return stream

    def docker(self, request=b""):
        """A Docker stream with a request on it."""
        stream = self.open(b"\x01")
        if request:
            stream.send(request)
        return stream

    def get(self, path, method="GET"):
        """Request and response on a stream of its own."""
        stream = self.docker(("%s %s HTTP/1.1\r\nHost: docker\r\n\r\n" % (method, path)).encode())
        status, head, body = stream.response(method)
        stream.finish()
        return status, head, body

    def ping(self):
        """A yamux ping; returns when it was answered."""
        self.sent_pings += 1
        before = self.pings
        self.send(frame(PING, SYN, 0, self.sent_pings))
        self.wait(lambda: self.pings > before, "pong")

    def wait(self, question, what):
        """Wait for a state of the session."""
        with self.changed:
            assert self.changed.wait_for(question, TIMEOUT), "session: no " + what

    def wait_end(self):
        """Until the agent hangs up."""
        self.wait(lambda: self.ended is not None, "end")
        return self.ended

    def reset(self):
        """Die without a word: the reader wakes up and closes, which sends RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.shut(socket.SHUT_RD)

    def shut(self, how=socket.SHUT_RDWR):
        """End the connection; the reader wakes up and closes."""
        try:
            self.sock.shutdown(how)
        except OSError:
            pass

    # ---- in

    def run(self):
        """The reader's thread."""
        reason = "closed"
        try:
            while True:
                self.take_messages()
                data = self.receive()
                if not data:
                    break
                self.raw += data
        except (OSError, AssertionError) as problem:
            reason = str(problem) or type(problem).__name__
        with self.changed:
            self.ended = reason
            self.changed.notify_all()
        self.sock.close()

    def receive(self):
        """Some bytes. OpenSSL does not let two threads use one connection at once, so TLS takes turns."""
        if not isinstance(self.sock, ssl.SSLSocket):
            return self.sock.recv(262144)
        while True:
            if not self.sock.pending():
                assert select.select([self.sock], [], [], TIMEOUT)[0], "timed out"
            with self.sending:
                self.sock.settimeout(0)
                try:
                    return self.sock.recv(262144)
                except ssl.SSLWantReadError:
                    pass
                finally:
                    self.sock.settimeout(TIMEOUT)

    def take_messages(self):
        """Take whole WebSocket frames off what was received."""
        while len(self.raw) >= 2:
            opcode, size, at = self.raw[0] & 15, self.raw[1] & 127, 2
            assert self.raw[1] & 0x80, "an unmasked frame"
            if size >= 126:
                wide = 2 if size == 126 else 8
                if len(self.raw) < 2 + wide:
                    return
                size, at = int.from_bytes(self.raw[2:2 + wide], "big"), 2 + wide
            if len(self.raw) < at + 4 + size:
                return
            payload = unmask(bytes(self.raw[at + 4:at + 4 + size]), bytes(self.raw[at:at + 4]))
            del self.raw[:at + 4 + size]
            if opcode == 8:
                with self.changed:
                    self.close_code = int.from_bytes(payload[:2], "big")
                    self.changed.notify_all()
                self.send_raw(ws_frame(payload[:2], 8))
            elif opcode == 10:
                with self.changed:
                    self.pongs.append(payload)
                    self.changed.notify_all()
            elif opcode in (0, 1, 2):
                self.payload += payload
                self.take_frames()

    def take_frames(self):
        """Take whole yamux frames off the payload."""
        while len(self.payload) >= 12:
            version, kind, flags, number, length = struct.unpack(">BBHII", self.payload[:12])
            assert version == 0 and kind < 4, "no yamux frame: %s" % bytes(self.payload[:12]).hex()
            body = length if kind == DATA else 0
            if len(self.payload) < 12 + body:
                return
            data = bytes(self.payload[12:12 + body])
            del self.payload[:12 + body]
            with self.changed:
                self.take_frame(kind, flags, number, length, data)
                self.changed.notify_all()

    def take_frame(self, kind, flags, number, length, data):
        """Act on one frame; the lock is held."""
        if kind == PING:
            if flags & SYN and self.answer_pings:
                self.pings_heard += 1
                self.send(frame(PING, ACK, 0, length))
            self.pings += bool(flags & ACK)
            return
        if kind == GO_AWAY:
            self.go_away = length
            return
        stream = self.streams.get(number)
        assert stream, "a frame for stream %d, which is not open" % number
        assert not (data and (stream.fin or stream.reset)), "data after the end"
        stream.acked |= bool(flags & ACK)
        stream.data += data
        if data and stream.credit:
            self.send(frame(WINDOW, 0, number, len(data)))
        if kind == WINDOW:
            stream.window += length
        stream.fin |= bool(flags & FIN)
        stream.reset |= bool(flags & RST)


class Server:
    """Listens where the agent dials."""

    def __init__(self, context=None):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.listener.settimeout(TIMEOUT)
        self.port = self.listener.getsockname()[1]
        self.context = context
        self.sessions = []

    @property
    def url(self):
        """What the agent is to be given."""
        return "%s://%s:%d" % ("wss" if self.context else "ws", "localhost" if self.context else "127.0.0.1", self.port)

    def accept_request(self):
        """The socket, and the head of the request on it."""
        sock, _ = self.listener.accept()
        sock.settimeout(TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.context:
            sock = self.context.wrap_socket(sock, server_side=True)
        head = b""
        while b"\r\n\r\n" not in head:
            data = sock.recv(4096)
            assert data, "the agent hung up inside its request"
            head += data
        return sock, head.decode()

    @staticmethod
    def upgrade(request):
        """The 101 that belongs to a request."""
        key = next(line.split(": ")[1] for line in request.split("\r\n") if line.startswith("Sec-WebSocket-Key"))
        accept = base64.b64encode(
            hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
        return ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Accept: %s\r\n\r\n" % accept).encode()

    def accept(self):
        """A session."""
        sock, request = self.accept_request()
        sock.sendall(self.upgrade(request))
        session = Session(sock, request)
        self.sessions.append(session)
        return session

    def refuse(self, answer):
        """Answer with something else."""
        sock, _ = self.accept_request()
        sock.sendall(answer)
        sock.close()

    def close(self):
        """Let go of everything."""
        self.listener.close()
        for session in self.sessions:
            session.shut()


class Docker:
    """A unix socket; handler(connection) is called in a thread for each connection."""

    def __init__(self, path, handler, backlog=64):
        self.path, self.handler = path, handler
        self.accepted, self.live, self.lock = 0, 0, threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(backlog)
        if handler:
            self.start(handler)

    def start(self, handler):
        """Begin to accept."""
        self.handler = handler
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        """The accepting thread."""
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(TIMEOUT)
            with self.lock:
                self.accepted += 1
                self.live += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        """A thread of one connection."""
        try:
            self.handler(connection)
        except OSError:
            pass
        finally:
            connection.close()
            with self.lock:
                self.live -= 1

    def close(self):
        """Gone, as after a stop of the engine."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        os.unlink(self.path)


def read_head(connection):
    """One HTTP head from a connection; None at its end."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            return None
        head += byte
    return head.decode()


def http_engine(connection):
    """Answers every GET and HEAD with the request line, keep-alive, as an engine does."""
    while True:
        head = read_head(connection)
        if head is None:
            return
        body = (head.split("\r\n")[0] + "\n").encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: %d\r\n\r\n" % len(body) +
                           (b"" if head.startswith("HEAD") else body))


def echo(connection):
    """Gives back every byte, and the end behind them."""
    while True:
        data = connection.recv(65536)
        if not data:
            connection.shutdown(socket.SHUT_WR)
            return
        connection.sendall(data)


def listen_tcp(world, handler):
    """A TCP target; its port."""
    listener = world.add(socket.create_server(("127.0.0.1", 0)))

    def run():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    def serve(connection):
        try:
            handler(connection)
        except OSError:
            pass
    threading.Thread(target=run, daemon=True).start()
    return listener.getsockname()[1]


def forward_preface(target):
    """0x02, length, host:port."""
    return b"\x02" + struct.pack(">H", len(target)) + target.encode()


def patterned(size, seed=1):
    """Bytes that do not repeat."""
    out = bytearray()
    block = bytes([seed])
    while len(out) < size:
        block = hashlib.sha256(block).digest()
        out += block * 8
    return bytes(out[:size])


class Agent:
    """An orthrus-agent process."""

    def __init__(self, program, url, folder, *arguments, environment=None, key=KEY):
        self.folder = folder
        self.status_path = os.path.join(folder, "status-%d.json" % len(os.listdir(folder)))
        self.lines, self.changed = [], threading.Condition()
        env = {name: value for name, value in os.environ.items() if "proxy" not in name.lower() and
               not name.startswith("ORTHRUS_") and name != "NOTIFY_SOCKET"}
        env.update({"ORTHRUS_SERVER_URL": url} if url else {})
        env.update({"ORTHRUS_AUTH_KEY": key} if key else {})
        env.update(environment or {})
        command = [program, "--docker-socket", os.path.join(folder, "docker.sock"), "--log-format", "json",
                   "--log-level", "debug", "--status-file", self.status_path, "--reconnect-min", "20ms",
                   "--reconnect-max", "40ms", *arguments]
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        """Collect the log."""
        for line in self.process.stderr:
            with self.changed:
                self.lines.append(line.decode())
                self.changed.notify_all()

    def events(self, event):
        """Log lines of this event."""
        with self.changed:
            lines = [line for line in self.lines if '"event":"%s"' % event in line]
        return [json.loads(line) for line in lines]

    def wait_log(self, event, count=1):
        """The count-th line of this event."""
        with self.changed:
            done = self.changed.wait_for(lambda: len(self.events(event)) >= count, TIMEOUT)
        assert done, "no log line %s; the last ones:\n%s" % (event, "".join(self.lines[-5:]))
        return self.events(event)[count - 1]

    def status(self):
        """The status file."""
        with open(self.status_path, encoding="utf-8") as file:
            return json.load(file)

    def wait_status(self, question, what):
        """Until the status file says so."""
        def ask():
            try:
                status = self.status()
            except (OSError, ValueError):
                return None
            return status if question(status) else None
        return wait_until(ask, what)

    def descriptors(self):
        """How many are open."""
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def memory(self):
        """Resident bytes."""
        with open("/proc/%d/statm" % self.process.pid, encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def end(self, number=signal.SIGTERM):
        """Signal it; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self):
        """The exit status."""
        status = self.process.wait(TIMEOUT)
        self.thread.join(TIMEOUT)
        return status

    def close(self):
        """Ask it to end; what a sanitizer has found shows in its exit status."""
        try:
            status = self.end()
        except subprocess.TimeoutExpired:
            status = "does not end"
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()
        assert status == 0, "the agent: %s\n%s" % (status, "".join(self.lines[-40:]))


class World:
    """What one test has started; all of it ends with the test."""

    def __init__(self, program):
        self.program = program
        self.folder = tempfile.mkdtemp(prefix="orthrus-agent-")
        with open(program, "rb") as file:
            self.sanitized = b"__asan_init" in file.read()
        self.things = []

    def add(self, thing):
        """Close it at the end."""
        self.things.append(thing)
        return thing

    def server(self, context=None):
        """A listening server."""
        return self.add(Server(context))

    def docker(self, handler, backlog=64, name="docker.sock"):
        """A Docker socket where the agent looks for one."""
        return self.add(Docker(os.path.join(self.folder, name), handler, backlog))

    def agent(self, url, *arguments, **more):
        """A running agent."""
        return self.add(Agent(self.program, url, self.folder, *arguments, **more))

    def connected(self, *arguments, handler=http_engine, context=None, **more):
        """Server, agent and session in one go."""
        if handler:
            self.docker(handler)
        server = self.server(context)
        agent = self.agent(server.url, *arguments, **more)
        return server, agent, server.accept()

    def certificates(self, name="localhost", client=False):
        """A CA and what it signed: paths by name."""
        paths = {part: os.path.join(self.folder, name + "-" + part) for part in ("ca", "ca.key", "cert", "key", "csr")}
        def run(*words):
            subprocess.run(["openssl", *words], check=True, capture_output=True)
        run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            "/CN=test CA", "-keyout", paths["ca.key"], "-out", paths["ca"])
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + name, "-keyout",
            paths["key"], "-out", paths["csr"])
        extension = os.path.join(self.folder, "extension")
        with open(extension, "w", encoding="ascii") as file:
            file.write("extendedKeyUsage=clientAuth\n" if client else "subjectAltName=DNS:%s\n" % name)
        run("x509", "-req", "-in", paths["csr"], "-CA", paths["ca"], "-CAkey", paths["ca.key"], "-CAcreateserial",
            "-days", "2", "-extfile", extension, "-out", paths["cert"])
        return paths

    @staticmethod
    def tls(paths, client_ca=None):
        """A server's TLS context."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(paths["cert"], paths["key"])
        if client_ca:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def close(self):
        """The end of a test: servers first, so that an agent has nothing to drain."""
        problems = []
        for thing in sorted(self.things, key=lambda thing: isinstance(thing, Agent)):
            try:
                thing.close()
            except OSError:
                pass
            except AssertionError as problem:
                problems.append(str(problem))
        shutil.rmtree(self.folder)
        assert not problems, "\n".join(problems)
