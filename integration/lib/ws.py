"""A WebSocket client that sends exactly what it is told to."""

import base64
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


class Client:
    """One connection, upgraded."""

    def __init__(self, address, key, fields=None):
        host, _, port = address.rpartition(':')
        self.socket = socket.create_connection((host, int(port)), 15)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = raw.Reader(self.socket)
        self.socket.sendall(request(key, fields))
        self.status, self.fields = self.reader.answer_head()
        if self.status != 101:
            body = self.reader.body(self.fields)
            self.close()
            raise Refused(self.status, self.fields, body)
        self.controls = []

    def send(self, payload, **how):
        self.socket.sendall(frame(payload, **how))

    def receive_frame(self):
        """(opcode, fin, payload) of the next frame. A server must not mask."""
        first, second = self.reader.exactly(2)
        assert not second & 0x80 and not first & 0x70, (first, second)
        size = second & 127
        if size == 126:
            size = struct.unpack('>H', self.reader.exactly(2))[0]
        elif size == 127:
            size = struct.unpack('>Q', self.reader.exactly(8))[0]
        return first & 15, bool(first & 0x80), self.reader.exactly(size)

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
