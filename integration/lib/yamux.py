"""An agent, and a server, that say exactly what a test tells them to."""

import socket
import struct

from lib import ws

DATA, WINDOW, PING, GOAWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8
INITIAL_WINDOW = 256 * 1024
TYPES = {DATA: 'data', WINDOW: 'window', PING: 'ping', GOAWAY: 'goaway'}


def header(kind, flags, stream, length, version=0):
    return struct.pack('>BBHII', version, kind, flags, stream, length)


class Frame:
    """One frame that came in; body is empty but for data."""

    def __init__(self, head, body=b''):
        (self.version, self.kind, self.flags, self.stream,
         self.length) = struct.unpack('>BBHII', head)
        self.body = body

    def __repr__(self):
        return '%s flags %d stream %d length %d' % (
            TYPES.get(self.kind, self.kind), self.flags, self.stream,
            self.length)


class Session:
    """One side of a session, frame by frame."""

    def __init__(self, end):
        self.ws = end
        self.bytes = b''
        self.opcode = ws.BINARY

    def send(self, kind, flags, stream, length=None, body=b'', version=0):
        if length is None:
            length = len(body)
        self.ws.send(header(kind, flags, stream, length, version) + body,
                     opcode=self.opcode)

    def data(self, stream, body, flags=0):
        self.send(DATA, flags, stream, body=body)

    def reset(self, stream):
        self.send(WINDOW, RST, stream, 0)

    def _exactly(self, size):
        while len(self.bytes) < size:
            self.bytes += self.ws.receive()
        found, self.bytes = self.bytes[:size], self.bytes[size:]
        return found

    def next(self, answer_pings=True):
        """The next frame; the server's pings are answered on the way."""
        while True:
            frame = Frame(self._exactly(12))
            if frame.kind == DATA:
                frame.body = self._exactly(frame.length)
            if frame.kind == PING and answer_pings:
                if frame.flags & SYN:
                    self.send(PING, ACK, 0, frame.length)
                continue
            return frame

    def wait_frame(self, kind, flag=0):
        """The next frame of a kind, with a flag if one is given."""
        while True:
            frame = self.next(answer_pings=kind != PING)
            if frame.kind == kind and (not flag or frame.flags & flag):
                return frame

    def close(self):
        self.ws.close()


class Agent(Session):
    """The side that dials and takes streams."""

    def __init__(self, address, key, fields=None):
        super().__init__(ws.Client(address, key, fields))

    def accept(self):
        """The next new stream, acknowledged, its preface read; returns its
        id and what followed the preface in the same frame."""
        frame = self.next()
        while not frame.flags & SYN:
            frame = self.next()
        stream = frame.stream
        self.send(WINDOW, ACK, stream, 0)
        body = frame.body
        while not body:
            frame = self.next()
            if frame.stream == stream and frame.kind == DATA:
                body = frame.body
        assert body[:1] == b'\x01', body[:20]
        return stream, body[1:]


class Server(Session):
    """The side that is dialled and opens streams."""

    stream = 0

    def open(self, preface=b'\x01'):
        """Opens a stream and sends its preface; returns its id."""
        self.stream += 2
        self.send(WINDOW, SYN, self.stream, 0)
        if preface:
            self.data(self.stream, preface)
        return self.stream

    def read(self, stream, size=None):
        """(bytes, flags) of one stream: until so many came, or until its
        end, 'fin' or 'reset'. Credit is given back at once."""
        body = b''
        while size is None or len(body) < size:
            frame = self.next()
            if frame.stream != stream:
                continue
            if frame.body:
                body += frame.body
                self.send(WINDOW, 0, stream, len(frame.body))
            if frame.flags & RST:
                return body, 'reset'
            if frame.flags & FIN:
                return body, 'fin'
        return body, ''


class Listener:
    """Where an agent dials: each connection is a Server or an answer."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(('127.0.0.1', 0))
        self.socket.listen(16)
        self.socket.settimeout(30)
        self.address = '127.0.0.1:%d' % self.socket.getsockname()[1]
        self.ends = []

    def connect_url(self):
        return 'ws://%s%s' % (self.address, ws.PATH)

    def accept(self, answer=None):
        end = ws.Accepted(self.socket.accept()[0], answer)
        self.ends.append(end)
        return Server(end) if answer is None else end

    def close(self):
        self.socket.close()
        for end in self.ends:
            end.close()
