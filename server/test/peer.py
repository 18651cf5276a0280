"""An agent that says exactly what a test tells it to, and a server to say it to.

WebSocket (RFC 6455) and yamux in the client role, on blocking sockets and one
reading thread. It answers pings and keeps windows; everything else is up to
the test. Nothing here is shared with the C code.
"""

import base64
import collections
import hashlib
import json
import os
import re
import select
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

CONNECT = "/api/v1/ws/orthrus/connect"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
WINDOW = 256 * 1024
PATIENCE = 20  # seconds until something that must happen is taken for missing

DATA, WINDOW_UPDATE, PING, GO_AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8

CONT, TEXT, BINARY, CLOSE, WS_PING, WS_PONG = 0, 1, 2, 8, 9, 10


class Refused(Exception):
    """The upgrade was answered with something else than 101."""

    def __init__(self, status, headers, body):
        super().__init__(f"HTTP {status}")
        self.status, self.headers, self.body = status, headers, body


def frame(opcode, payload=b"", fin=True, mask=True):
    """One WebSocket frame as bytes."""
    head = bytes([(0x80 if fin else 0) | opcode])
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", len(payload))
    if not mask:
        return head + payload
    key = os.urandom(4)
    long_key = key * (len(payload) // 4 + 1)
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(
        long_key[: len(payload)], "big"
    )
    return head + key + masked.to_bytes(len(payload), "big")


def yamux(kind, flags, stream, length, body=b""):
    """One yamux frame as bytes."""
    return struct.pack(">BBHII", 0, kind, flags, stream, length) + body


class TlsSocket:
    """A TLS socket that one thread may read while another writes, which the
    ssl module's own may not."""

    def __init__(self, sock, context):
        self.tls = context.wrap_socket(sock, server_hostname="localhost")
        self.tls.setblocking(False)
        self.lock = threading.Lock()

    def _do(self, call):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                with self.lock:
                    return call()
            except ssl.SSLWantReadError:
                select.select([self.tls], [], [], 1)
            except ssl.SSLWantWriteError:
                select.select([], [self.tls], [], 1)
        raise TimeoutError("timed out")

    def recv(self, size, flags=0):
        return self._do(lambda: self.tls.recv(size, flags))

    def sendall(self, data):
        while data:
            sent = self._do(lambda: self.tls.send(data))
            data = data[sent:]

    def __getattr__(self, name):
        return getattr(self.tls, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tls.close()


class Stream:
    """One yamux stream that the server opened."""

    def __init__(self, peer, number):
        self.peer, self.number = peer, number
        self.data = bytearray()
        self.finished = self.was_reset = False
        self.send_window = WINDOW
        self.freed = 0
        self.changed = threading.Condition(peer.lock)

    def read(self, size, least=None):
        """size bytes, or at least least of them; fewer at the end."""
        least = size if least is None else least
        with self.changed:
            while len(self.data) < least and not self.finished:
                if self.was_reset:
                    raise ConnectionResetError
                if not self.changed.wait(PATIENCE):
                    raise TimeoutError(f"stream {self.number}: no data")
            taken = bytes(self.data[:size])
            del self.data[:size]
            self.freed += len(taken)
            credit = self.freed if self.freed >= WINDOW // 2 else 0
            self.freed -= credit
        if credit:
            self.peer.send(yamux(WINDOW_UPDATE, 0, self.number, credit))
        return taken

    def read_all(self):
        """Everything up to the end."""
        parts = []
        while part := self.read(65536):
            parts.append(part)
        return b"".join(parts)

    def read_until(self, mark):
        """Bytes up to and with mark."""
        seen = b""
        while not seen.endswith(mark):
            byte = self.read(1)
            if not byte:
                break
            seen += byte
        return seen

    def write(self, data):
        """Within the window, in frames of at most 16 KiB."""
        data = memoryview(data)
        while data:
            with self.changed:
                while self.send_window == 0:
                    if self.was_reset:
                        raise ConnectionResetError
                    if not self.changed.wait(PATIENCE):
                        raise TimeoutError(f"stream {self.number}: no window")
                size = min(len(data), self.send_window, 16384)
                self.send_window -= size
            body = bytes(data[:size])
            self.peer.send(yamux(DATA, 0, self.number, size, body))
            data = data[size:]

    def finish(self):
        self.peer.send(yamux(WINDOW_UPDATE, FIN, self.number, 0))

    def reset(self):
        self.peer.send(yamux(WINDOW_UPDATE, RST, self.number, 0))

    def wait_reset(self):
        """True once the server has reset the stream."""
        with self.changed:
            return self.changed.wait_for(lambda: self.was_reset, PATIENCE)

    def wait_finished(self):
        with self.changed:
            return self.changed.wait_for(
                lambda: self.finished or self.was_reset, PATIENCE
            )


class Peer:
    """A connected agent. handler(stream) runs in a thread for each stream."""

    def __init__(self, sock, rest=b"", handler=None, accept=True, answer=True):
        self.sock, self.handler = sock, handler
        self.accept, self.answer = accept, answer
        self.lock = threading.RLock()
        self.sending = threading.Lock()
        self.streams = {}
        self.opened = []
        self.went_away = None
        self.close_code = None
        self.gone = threading.Event()
        self.new_stream = threading.Condition(self.lock)
        self.pongs = collections.deque()
        self.opcode = BINARY
        self.fragment = None  # bytes a fragment; None: whole messages
        self.buffer = bytearray(rest)
        self.inner = bytearray()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    # -- sending --

    def send_raw(self, data):
        with self.sending:
            self.sock.sendall(data)

    def send(self, data):
        """Bytes of the yamux session, framed as this peer is told to."""
        if self.fragment is None:
            self.send_raw(frame(self.opcode, data))
            return
        pieces = [
            data[i : i + self.fragment]
            for i in range(0, len(data), self.fragment)
        ] or [b""]
        out = b""
        for i, piece in enumerate(pieces):
            last = i == len(pieces) - 1
            out += frame(self.opcode if i == 0 else CONT, piece, fin=last)
            if not last:
                out += frame(WS_PING, b"between")
        self.send_raw(out)

    def ping(self, value=7):
        self.send(yamux(PING, SYN, 0, value))

    # -- receiving --

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError
        self.buffer += data

    def _take(self, size):
        while len(self.buffer) < size:
            self._more()
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    def _run(self):
        try:
            while True:
                self._one_frame()
        except (EOFError, OSError, ValueError):
            pass
        with self.lock:
            for stream in self.streams.values():
                stream.was_reset = True
                stream.changed.notify_all()
            self.new_stream.notify_all()
        self.gone.set()

    def _one_frame(self):
        first, second = self._take(2)
        length = second & 0x7F
        if second & 0x80:
            raise ValueError("the server masked a frame")
        if length == 126:
            (length,) = struct.unpack(">H", self._take(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._take(8))
        payload = self._take(length)
        opcode = first & 0x0F
        if opcode in (CONT, TEXT, BINARY):
            self.inner += payload
            while self._one_message():
                pass
        elif opcode == WS_PING:
            self.send_raw(frame(WS_PONG, payload))
        elif opcode == WS_PONG:
            self.pongs.append(payload)
        elif opcode == CLOSE:
            if payload:
                (self.close_code,) = struct.unpack(">H", payload[:2])
            try:
                self.send_raw(frame(CLOSE, payload))
            except OSError:
                pass

    def _one_message(self):
        if len(self.inner) < 12:
            return False
        _, kind, flags, number, length = struct.unpack(">BBHII", self.inner[:12])
        size = 12 + (length if kind == DATA else 0)
        if len(self.inner) < size:
            return False
        body = bytes(self.inner[12:size])
        del self.inner[:size]
        if kind == PING and flags & SYN:
            if self.answer:
                self.send(yamux(PING, ACK, 0, length))
        elif kind == PING:
            self.pongs.append(length)
        elif kind == GO_AWAY:
            self.went_away = length
        else:
            self._on_stream(kind, flags, number, length, body)
        return True

    def _on_stream(self, kind, flags, number, length, body):
        with self.lock:
            if flags & SYN:
                stream = self.streams[number] = Stream(self, number)
                self.opened.append(stream)
                self.new_stream.notify_all()
            stream = self.streams.get(number)
            if stream is None:
                return
            if kind == WINDOW_UPDATE:
                stream.send_window += length
            stream.data += body
            if flags & FIN:
                stream.finished = True
            if flags & RST:
                stream.was_reset = True
            stream.changed.notify_all()
        if flags & SYN and self.accept:
            self.send(yamux(WINDOW_UPDATE, ACK, number, 0))
        if flags & SYN and self.handler:
            threading.Thread(
                target=self._handle, args=(stream,), daemon=True
            ).start()

    def _handle(self, stream):
        try:
            self.handler(stream)
        except (OSError, TimeoutError):
            pass

    def next_stream(self, count=1):
        """The count-th stream that the server has opened."""
        with self.lock:
            if not self.new_stream.wait_for(
                lambda: len(self.opened) >= count or self.gone.is_set(), PATIENCE
            ):
                raise TimeoutError("no stream was opened")
            return self.opened[count - 1]

    def wait_gone(self, timeout=PATIENCE):
        return self.gone.wait(timeout)

    def close(self):
        """Go as the existing agents go: without a word."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        self.thread.join(PATIENCE)


def upgrade_head(host, key, headers=None, path=CONNECT, method="GET", nonce=None):
    """The head of an upgrade as bytes; headers: changes, None removes one."""
    fields = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": nonce or base64.b64encode(os.urandom(16)).decode(),
        "Authorization": f"Bearer {key}" if key is not None else None,
        "X-Orthrus-Version": "1.0.0",
        "X-Orthrus-Name": "test",
    }
    fields.update(headers or {})
    lines = [f"{method} {path} HTTP/1.1"]
    lines += [f"{k}: {v}" for k, v in fields.items() if v is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read_head(sock):
    """Status, headers and what came behind the head."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(65536)
        if not part:
            raise EOFError(f"no answer, only {data!r}")
        data += part
    head, rest = data.split(b"\r\n\r\n", 1)
    lines = head.decode("latin-1").split("\r\n")
    status = int(lines[0].split(" ")[1])
    headers = {}
    for line in lines[1:]:
        name, value = line.split(":", 1)
        headers[name.lower()] = value.strip()
    return status, headers, rest


def read_answer(sock):
    """Status, headers and body of one answer."""
    status, headers, rest = read_head(sock)
    wanted = int(headers.get("content-length", 0))
    while len(rest) < wanted:
        part = sock.recv(65536)
        if not part:
            break
        rest += part
    return status, headers, rest


def is_reset(sock):
    """Did the peer end the connection with RST (not with FIN)?"""
    try:
        while sock.recv(65536):
            pass
        return False
    except ConnectionResetError:
        return True


class Server:
    """orthrusd in a directory of its own, on a port of the kernel's choice."""

    def __init__(self, program, *arguments, tls=None, directory=None, env=None):
        self.own = None if directory else tempfile.TemporaryDirectory()
        self.directory = directory or self.own.name
        self.data = os.path.join(self.directory, "data")
        self.socket = os.path.join(self.directory, "admin.sock")
        self.tls = tls
        command = [program, "--listen", "127.0.0.1:0", "--data-dir", self.data]
        command += ["--admin-socket", self.socket, "--log-format", "json"]
        command += ["--log-level", "debug", *arguments]
        if tls:
            command += ["--tls-cert", tls[0], "--tls-key", tls[1]]
        self.log = open(os.path.join(self.directory, "log"), "ab+")
        start = self.log.tell()
        self.process = subprocess.Popen(
            command,
            stderr=self.log,
            stdout=subprocess.DEVNULL,
            env={**os.environ, **(env or {})},
        )
        line = self.wait_log("listening", start)
        self.host, port = line["address"].rsplit(":", 1)
        self.port = int(port)

    # -- its log --

    def lines(self, start=0):
        with open(self.log.name, "rb") as log:
            log.seek(start)
            out = []
            for line in log.read().splitlines():
                try:
                    out.append(json.loads(line))
                except ValueError:
                    out.append({"event": "not_json", "text": line.decode()})
            return out

    def wait_log(self, event, start=0, **fields):
        """The first line of this event with these fields."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for line in self.lines(start):
                if line.get("event") == event and all(
                    line.get(k) == v for k, v in fields.items()
                ):
                    return line
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(
                    f"no {event} {fields} in the log:\n"
                    + "\n".join(map(str, self.lines(start)))
                )
            time.sleep(0.01)

    def log_text(self):
        with open(self.log.name, encoding="utf-8") as log:
            return log.read()

    # -- its API --

    @property
    def token(self):
        with open(os.path.join(self.data, "admin.token"), encoding="ascii") as f:
            return f.read().strip()

    def open(self, source=None):
        """A connection to the main listener."""
        sock = socket.create_connection(
            (self.host, self.port), PATIENCE, source_address=source
        )
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            context = ssl.create_default_context(cafile=self.tls[0])
            context.check_hostname = False
            sock = TlsSocket(sock, context)
        return sock

    def call(self, method, path, body=None, headers=None, token=True):
        """Status and parsed body of one API call."""
        assert self.process.poll() is None, self.log_text()[-4000:]
        fields = {
            "Host": f"{self.host}:{self.port}",
            "Connection": "close",
        }
        if token:
            fields["Authorization"] = f"Bearer {self.token}"
        text = b""
        if body is not None:
            text = json.dumps(body).encode()
            fields["Content-Type"] = "application/json"
            fields["Content-Length"] = str(len(text))
        fields.update(headers or {})
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in fields.items()
        )
        with self.open() as sock:
            sock.sendall(head.encode() + b"\r\n" + text)
            status, _, text = read_answer(sock)
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text

    def add_agent(self, name="agent"):
        """(uuid, key) of a new agent."""
        status, body = self.call("POST", "/api/v1/orthrus/agents", {"name": name})
        assert status == 201, (status, body)
        return body["agent"]["uuid"], body["auth_key"]

    def agent(self, uuid):
        status, body = self.call("GET", f"/api/v1/orthrus/agents/{uuid}")
        assert status == 200, (status, body)
        return body

    def wait_agent(self, uuid, condition):
        """The agent object once condition(agent) holds."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                agent = self.agent(uuid)
            except (ConnectionResetError, EOFError):
                continue  # no place was left (X14)
            if condition(agent):
                return agent
            assert time.monotonic() < deadline, agent
            time.sleep(0.01)

    # -- agents --

    def upgrade(self, key, early=b"", headers=None, **more):
        """A socket after 101, and the bytes that came behind it."""
        sock = self.open()
        nonce = base64.b64encode(os.urandom(16)).decode()
        head = upgrade_head(
            f"{self.host}:{self.port}", key, headers, nonce=nonce, **more
        )
        sock.sendall(head + early)
        status, fields, rest = read_head(sock)
        if status != 101:
            wanted = int(fields.get("content-length", 0))
            while len(rest) < wanted:
                rest += sock.recv(65536)
            sock.close()
            raise Refused(status, fields, rest)
        digest = hashlib.sha1(nonce.encode() + GUID).digest()
        assert fields["sec-websocket-accept"] == base64.b64encode(digest).decode()
        assert fields["upgrade"].lower() == "websocket", fields
        return sock, fields, rest

    def connect(self, key, handler=None, early=b"", **more):
        """A Peer, connected."""
        sock, fields, rest = self.upgrade(key, early)
        peer = Peer(sock, rest, handler, **more)
        peer.headers = fields
        return peer

    def connect_agent(self, uuid, key, handler=None, **more):
        """A Peer, and the port of its loopback proxy once it is live."""
        peer = self.connect(key, handler, **more)
        return peer, self.proxy_port(uuid)

    def proxy_port(self, uuid):
        agent = self.wait_agent(uuid, lambda a: a["proxy_address"] != "")
        match = re.fullmatch(r"127\.0\.0\.1:(\d+)", agent["proxy_address"])
        assert match, agent
        return int(match.group(1))

    def dial(self, port):
        """A TCP connection to a loopback proxy."""
        sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    # -- its process --

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/smaps_rollup", encoding="ascii") as f:
            for line in f:
                if line.startswith("Rss:"):
                    return int(line.split()[1]) * 1024
        raise AssertionError("no Rss")

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, timeout=PATIENCE * 3):
        return self.process.wait(timeout)

    def stop(self):
        if self.process.poll() is None:
            self.signal()
            try:
                self.process.wait(1)
            except subprocess.TimeoutExpired:
                self.signal()
        code = self.process.wait(PATIENCE)
        if code != 0:
            print("# " + self.log_text()[-4000:].replace("\n", "\n# "))
        self.log.close()
        if self.own:
            self.own.cleanup()
        return code

