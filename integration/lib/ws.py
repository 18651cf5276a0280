"""WebSocket ends that send exactly what they are told to."""

import base64
import hashlib
import os
import socket
import struct

from lib import raw

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
PATH = '/api/v1/ws/orthrus/connect'


def request(key, fields=None, path=PATH, method='GET'):
    """The bytes of an upgrade request; a field of None is left out."""
    whole = {'Connection': 'Upgrade', 'Upgrade': 'websocket',
             'Host': 'orthrus', 'Sec-WebSocket-Version': '13',
             'Sec-WebSocket-Key': base64.b64encode(os.urandom(16)).decode(),
             'Authorization': 'Bearer ' + key if key is not None else None,
             'X-Orthrus-Version': '1.0.0', 'X-Orthrus-Name': 'scripted'}
    whole.update(fields or {})
    return raw.head(method, path,
                    {k: v for k, v in whole.items() if v is not None})


def frame(payload, opcode=BINARY, fin=True, mask=b'\x00\x00\x00\x00',
          reserved=0, length=None):
    """One frame. mask None: unmasked; length: a lie about the payload's."""
    size = len(payload) if length is None else length
    first = (0x80 if fin else 0) | reserved | opcode
    masked = 0x80 if mask is not None else 0
    if size < 126:
        head = struct.pack('>BB', first, masked | size)
    elif size < 1 << 16:
        head = struct.pack('>BBH', first, masked | 126, size)
    else:
        head = struct.pack('>BBQ', first, masked | 127, size)
    if mask is None:
        return head + payload
    if mask != b'\0\0\0\0':
        payload = bytes(b ^ mask[i & 3] for i, b in enumerate(payload))
    return head + mask + payload


class Refused(Exception):
    """The server did not upgrade; status, fields and body say how."""

    def __init__(self, status, fields, body):
        super().__init__('status %d' % status)
        self.status, self.fields, self.body = status, fields, body


class Peer:
    """One end of a connection that is upgraded."""

    masks = True  # does this end mask what it sends?

    def __init__(self, connection):
        self.socket = connection
        self.socket.settimeout(15)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = raw.Reader(self.socket)
        self.controls = []

    def send(self, payload, **how):
        if not self.masks:
            how.setdefault('mask', None)
        self.socket.sendall(frame(payload, **how))

    def receive_frame(self):
        """(opcode, fin, payload) of the next frame. A client must mask, a
        server must not."""
        first, second = self.reader.exactly(2)
        assert bool(second & 0x80) != self.masks, second
        assert not first & 0x70, first
        size = second & 127
        if size == 126:
            size = struct.unpack('>H', self.reader.exactly(2))[0]
        elif size == 127:
            size = struct.unpack('>Q', self.reader.exactly(8))[0]
        mask = self.reader.exactly(4) if second & 0x80 else b''
        payload = self.reader.exactly(size)
        if any(mask):
            key = (mask * (size // 4 + 1))[:size]
            payload = (int.from_bytes(payload, 'big') ^ int.from_bytes(
                key, 'big')).to_bytes(size, 'big')
        return first & 15, bool(first & 0x80), payload

    def receive(self):
        """The payload of the next data frame; controls are kept aside."""
        while True:
            opcode, _, payload = self.receive_frame()
            if opcode < CLOSE:
                return payload
            self.controls.append((opcode, payload))
            if opcode == PING:
                self.send(payload, opcode=PONG)
            if opcode == CLOSE:
                raise EOFError('close %r' % payload)

    def end(self):
        """Reads to the end: the close code, or None, and how TCP ended: None
        for FIN or the error."""
        code = None
        try:
            while True:
                opcode, _, payload = self.receive_frame()
                if opcode == CLOSE:
                    code = (struct.unpack('>H', payload[:2])[0]
                            if len(payload) >= 2 else 1005)
        except EOFError:
            return code, None
        except ConnectionResetError as error:
            return code, error

    def abort(self):
        """Ends the connection with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                               struct.pack('ii', 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()


class Client(Peer):
    """The end that dials; a Refused when it is not upgraded."""

    def __init__(self, address, key, fields=None):
        host, _, port = address.rpartition(':')
        super().__init__(socket.create_connection((host, int(port)), 15))
        self.socket.sendall(request(key, fields))
        self.status, self.fields = self.reader.answer_head()
        if self.status != 101:
            body = self.reader.body(self.fields)
            self.close()
            raise Refused(self.status, self.fields, body)


class Accepted(Peer):
    """The end that is dialled; fields are those of the request."""

    masks = False

    def __init__(self, connection, answer=None):
        """answer: bytes instead of the upgrade; then the end is of no use."""
        super().__init__(connection)
        lines = self.reader.until(b'\r\n\r\n').decode().split('\r\n')
        self.line = lines[0]
        self.fields = {}
        for line in lines[1:]:
            name, _, value = line.partition(':')
            self.fields[name.lower()] = value.strip()
        if answer is None:
            key = self.fields['sec-websocket-key'] + (
                '258EAFA5-E914-47DA-95CA-C5AB0DC85B11')
            digest = base64.b64encode(hashlib.sha1(key.encode()).digest())
            answer = (b'HTTP/1.1 101 Switching Protocols\r\n'
                      b'Upgrade: websocket\r\nConnection: Upgrade\r\n'
                      b'Sec-WebSocket-Accept: ' + digest + b'\r\n\r\n')
        self.socket.sendall(answer)
