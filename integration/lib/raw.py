"""HTTP on a bare socket, for what no client library would say."""

import json
import os
import socket


def unix(path, timeout=15):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    s.connect(path)
    return s


def head(method, target, fields=None, body=b''):
    """The bytes of a request."""
    lines = ['%s %s HTTP/1.1' % (method, target)]
    fields = dict(fields or {})
    fields.setdefault('Host', 'docker')
    if body:
        fields.setdefault('Content-Length', str(len(body)))
        fields.setdefault('Content-Type', 'application/json')
    lines += ['%s: %s' % pair for pair in fields.items()]
    return ('\r\n'.join(lines) + '\r\n\r\n').encode() + body


class Reader:
    """Reads answers from a socket; what follows them stays in .rest."""

    def __init__(self, s):
        self.socket = s
        self.rest = b''

    def fill(self):
        piece = self.socket.recv(1 << 16)
        self.rest += piece
        return bool(piece)

    def until(self, mark):
        while mark not in self.rest:
            if not self.fill():
                raise EOFError('end after %r' % self.rest[-200:])
        found, _, self.rest = self.rest.partition(mark)
        return found

    def exactly(self, size):
        while len(self.rest) < size:
            if not self.fill():
                raise EOFError('end %d bytes early' % (size - len(self.rest)))
        found, self.rest = self.rest[:size], self.rest[size:]
        return found

    def to_end(self):
        while self.fill():
            pass
        found, self.rest = self.rest, b''
        return found

    def answer_head(self):
        """Status and fields (lower case) of the next answer."""
        lines = self.until(b'\r\n\r\n').decode('latin-1').split('\r\n')
        status = int(lines[0].split()[1])
        fields = {}
        for line in lines[1:]:
            name, _, value = line.partition(':')
            fields[name.strip().lower()] = value.strip()
        return status, fields

    def body(self, fields):
        if fields.get('transfer-encoding', '').lower() == 'chunked':
            whole = b''
            while True:
                size = int(self.until(b'\r\n').split(b';')[0], 16)
                piece = self.exactly(size)
                self.until(b'\r\n')
                if not size:
                    return whole
                whole += piece
        if 'content-length' in fields:
            return self.exactly(int(fields['content-length']))
        return self.to_end()

    def answer(self, method='GET'):
        """Status, fields and body of the next answer that is not a 1xx."""
        while True:
            status, fields = self.answer_head()
            if status >= 200 or status == 101:
                break
        if method == 'HEAD' or status in (101, 204, 304):
            return status, fields, b''
        return status, fields, self.body(fields)


def ask(s, method, target, fields=None, body=b''):
    """One request and its answer on a connection of its own."""
    fields = dict(fields or {})
    fields.setdefault('Connection', 'close')
    with s:
        s.sendall(head(method, target, fields, body))
        return Reader(s).answer(method)


def ask_json(s, method, target, value=None):
    body = json.dumps(value).encode() if value is not None else b''
    status, _, body = ask(s, method, target, body=body)
    return status, json.loads(body or b'null')


def make_exec(s, container, argv, tty=False, stdin=True):
    """Creates an exec in a container; returns its id."""
    status, made = ask_json(
        s, 'POST', '/v1.41/containers/%s/exec' % container,
        {'Tty': tty, 'AttachStdin': stdin, 'AttachStdout': True,
         'AttachStderr': True, 'Cmd': argv})
    assert status == 201, made
    return made['Id']


def frames(data):
    """The frames of a multiplexed stream: (channel, bytes)."""
    found = []
    while data:
        size = int.from_bytes(data[4:8], 'big')
        assert len(data) >= 8 + size, 'the stream ends inside a frame'
        found.append((data[0], data[8:8 + size]))
        data = data[8 + size:]
    return found


def read_end(s):
    """Everything until the end: (bytes, None for FIN or the error)."""
    whole = bytearray()
    while True:
        try:
            piece = s.recv(1 << 16)
        except (ConnectionResetError, BrokenPipeError) as error:
            return bytes(whole), error
        if not piece:
            return bytes(whole), None
        whole += piece


def random_file(path, size):
    with open(path, 'wb') as file:
        while size > 0:
            piece = min(size, 1 << 20)
            file.write(os.urandom(piece))
            size -= piece
    return path
