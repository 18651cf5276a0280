"""An agent that says exactly what a test tells it to."""

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


class Agent:
    """The client side of a session, frame by frame."""

    def __init__(self, address, key, fields=None):
        self.ws = ws.Client(address, key, fields)
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

    def wait_frame(self, kind, flag=0):
        """The next frame of a kind, with a flag if one is given."""
        while True:
            frame = self.next(answer_pings=kind != PING)
            if frame.kind == kind and (not flag or frame.flags & flag):
                return frame

    def close(self):
        self.ws.close()
