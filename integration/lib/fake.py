"""Docker sockets that are none: fast, silent, broken or in small pieces."""

import hashlib
import os
import socket
import threading


class UnixServer:
    """A unix socket that serves each connection in a thread."""

    def __init__(self, path, serve):
        self.path = path
        self.serve = serve
        self.connections = set()
        self.errors = []
        self.accepted = 0
        self.lock = threading.Lock()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen(512)
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with self.lock:
                self.accepted += 1
                self.connections.add(connection)
            threading.Thread(target=self._one, args=(connection,),
                             daemon=True).start()

    def _one(self, connection):
        try:
            with connection:
                self.serve(connection)
        except OSError as error:
            self.errors.append(error)
        finally:
            with self.lock:
                self.connections.discard(connection)

    def live(self):
        with self.lock:
            return len(self.connections)

    def close(self):
        self.socket.close()
        with self.lock:
            left = list(self.connections)
        for connection in left:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass


def read_head(connection):
    """A request's head, and what came after it in the same reads."""
    data = b''
    while b'\r\n\r\n' not in data:
        piece = connection.recv(65536)
        if not piece:
            return None, data
        data += piece
    first, _, rest = data.partition(b'\r\n\r\n')
    return first, rest


BLOCK = hashlib.sha512(b'orthrus').digest() * 1024  # 64 KiB


def pattern(size):
    """size bytes that are not the same from one 64 KiB to the next: each
    block starts with its own number."""
    number = 0
    while size > 0:
        block = number.to_bytes(8, 'big') + BLOCK[8:]
        yield block if size >= len(block) else block[:size]
        size -= len(block)
        number += 1


def pattern_hash(size):
    digest = hashlib.sha256()
    for block in pattern(size):
        digest.update(block)
    return digest.hexdigest()


def send_pattern(s, size):
    for block in pattern(size):
        s.sendall(block)


def receive_hash(s, size, pause=None):
    """SHA-256 of the next size bytes. pause(done) is called in between."""
    digest, done = hashlib.sha256(), 0
    buffer = memoryview(bytearray(1 << 18))
    while done < size:
        got = s.recv_into(buffer, min(len(buffer), size - done))
        if not got:
            raise EOFError('end after %d of %d bytes' % (done, size))
        digest.update(buffer[:got])
        done += got
        if pause:
            pause(done)
    return digest.hexdigest()


def blob_server(path):
    """GET /events?size=N answers N bytes of the pattern with a length; POST
    answers the SHA-256 of its body. The read-only policy lets /events pass."""
    def serve(connection):
        request, rest = read_head(connection)
        if request is None:
            return
        line = request.split(b'\r\n')[0].decode()
        fields = dict(
            (pair.split(b':', 1)[0].strip().lower().decode(),
             pair.split(b':', 1)[1].strip().decode())
            for pair in request.split(b'\r\n')[1:])
        if line.startswith('GET'):
            size = int(line.split('size=')[1].split()[0].split('&')[0])
            connection.sendall(
                b'HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\n'
                b'Connection: close\r\nContent-Length: %d\r\n\r\n' % size)
            send_pattern(connection, size)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)
        else:
            size = int(fields['content-length'])
            digest, done = hashlib.sha256(rest), len(rest)
            buffer = memoryview(bytearray(1 << 18))
            while done < size:
                got = connection.recv_into(buffer)
                if not got:
                    return
                digest.update(buffer[:got])
                done += got
            text = digest.hexdigest().encode()
            connection.sendall(
                b'HTTP/1.1 200 OK\r\nConnection: close\r\n'
                b'Content-Length: %d\r\n\r\n' % len(text) + text)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)
    return UnixServer(path, serve)


class Silent:
    """Accepts and reads, and never answers; tells when its peer has gone."""

    def __init__(self, path, greeting=b''):
        self.gone = threading.Semaphore(0)
        self.came = threading.Semaphore(0)

        def serve(connection):
            try:
                request, _ = read_head(connection)
                if request is None:
                    return
                self.came.release()
                if greeting:
                    connection.sendall(greeting)
                while connection.recv(65536):
                    pass
            finally:
                self.gone.release()
        self.server = UnixServer(path, serve)

    def close(self):
        self.server.close()


class Segments:
    """A proxy that passes bytes on in pieces of a given size, both ways."""

    def __init__(self, listen, target, size):
        """listen: a unix path, or 0 for a TCP port of its own; target: a
        unix path or (host, port)."""
        self.size = size
        self.target = target
        if listen:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(listen)
        else:
            self.socket = socket.socket()
            self.socket.bind(('127.0.0.1', 0))
            self.port = self.socket.getsockname()[1]
        self.socket.listen(128)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.socket.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX if isinstance(self.target, str)
                                else socket.AF_INET)
            try:
                far.connect(self.target)
            except OSError:
                near.close()
                continue
            for s in (near, far):
                if s.family == socket.AF_INET:
                    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            left = [2]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, daemon=True,
                                 args=(source, sink, left)).start()

    def _pump(self, source, sink, left):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    break
                self.before(data)
                for at in range(0, len(data), self.size):
                    sink.sendall(data[at:at + self.size])
        except OSError:
            for s in (source, sink):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        left[0] -= 1
        if not left[0]:
            source.close()
            sink.close()

    def before(self, data):
        """What a subclass wants to do before data goes on."""

    def close(self):
        self.socket.close()


def duplex_server(path):
    """Hijacks any upgrade: sends as many bytes of the pattern as X-Size says
    while it takes all that comes, then sends its SHA-256 and ends."""
    def serve(connection):
        request, rest = read_head(connection)
        if request is None:
            return
        size = int(request.split(b'X-Size: ')[1].split(b'\r\n')[0])
        connection.sendall(b'HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\n'
                           b'Upgrade: tcp\r\n\r\n')
        sender = threading.Thread(target=quietly, daemon=True, args=(
            send_pattern, connection, size))
        sender.start()
        digest = hashlib.sha256(rest)
        buffer = memoryview(bytearray(1 << 18))
        while True:
            got = connection.recv_into(buffer)
            if not got:
                break
            digest.update(buffer[:got])
        sender.join()
        connection.sendall(digest.hexdigest().encode())
    return UnixServer(path, serve)


def quietly(function, *arguments):
    """Runs it in a thread whose peer may go away."""
    try:
        function(*arguments)
    except OSError:
        pass
