"""The application behind a stream, where the far end of the stream is a socket.

What each mode and command does is in docs/yamuxspec.md. A socket knows fewer ends than a stream: a reset and a lost
session are both an error. A unix socket knows no reset at all; there an error is the end of both directions at once.
"""
import os
import select
import socket
import struct
import threading
import time

PATTERN = bytes(i % 251 for i in range(251 * 256))
MODES = ("echo", "sink", "hold", "source", "app")
PIECE = 65536
SHUTDOWN_S = 0.2  # of the command `shutdown BYTES`


def pattern(count):
    """count bytes of the pattern in pieces; without a count, for ever."""
    while count is None or count > 0:
        piece = PATTERN if count is None else PATTERN[:count]
        yield piece
        count = None if count is None else count - len(piece)


def hangs_up(sock):
    """The peer has gone, not only finished."""
    poll = select.poll()
    poll.register(sock, 0)
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))


def finish(sock):
    """No more is written."""
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def abort(sock):
    """Ends it with an error for the other side: a unix socket that is closed with input unread does that, too."""
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class App:
    """All streams of one process; labels are theirs together.

    stop() ends the session in order, for the commands `drain` and `shutdown`; None: there is no way to.
    """

    def __init__(self, stop=None):
        self.stop = stop
        self.notes = {}

    def serve(self, sock, mode, skip=0):
        """Does what the mode says, to the end of the socket; the first bytes mean nothing."""
        try:
            if skip:
                sock.recv(skip, socket.MSG_WAITALL)
            getattr(self, "do_" + mode)(sock)
        except OSError:
            pass
        finally:
            sock.close()

    # ---- modes ----

    @staticmethod
    def do_echo(sock):
        """Copies back."""
        while True:
            piece = sock.recv(PIECE)
            if not piece:
                return finish(sock)
            sock.sendall(piece)

    def do_sink(self, sock, label=None, finishes=True):
        """Reads, drops and notes."""
        count, finished = 0, not finishes
        self.note(label, count, "open")
        while True:
            try:
                piece = sock.recv(PIECE)
            except OSError:
                return self.note(label, count, "error")
            if not piece:
                lost = sock.family == socket.AF_UNIX and not finished and hangs_up(sock)
                self.note(label, count, "error" if lost else "eof")
                return finish(sock)
            count += len(piece)
            self.note(label, count, "open")

    @staticmethod
    def do_hold(sock):
        """Nothing, until the peer has gone."""
        poll = select.poll()
        poll.register(sock, 0)
        poll.poll()

    def do_source(self, sock):
        """Writes without end, and drops what comes."""
        threading.Thread(target=self.serve, args=(sock.dup(), "drop"), daemon=True).start()
        for piece in pattern(None):
            sock.sendall(piece)

    def do_drop(self, sock):
        """Reads beside a writer."""
        self.do_sink(sock, finishes=False)

    def do_app(self, sock):
        """One command, in the stream's first line."""
        line = b""
        while b"\n" not in line:
            line = sock.recv(PIECE, socket.MSG_PEEK)
            if not line:
                return
        line, _, _ = line.partition(b"\n")
        words = line.decode("ascii", "replace").split(" ")
        if words == ["reset"]:
            return abort(sock)  # the line is left unread
        sock.recv(len(line) + 1)
        self.command(sock, words)

    # ---- commands ----

    def command(self, sock, words):
        """A line of `app`."""
        name, arguments = words[0], words[1:]
        method = getattr(self, "command_" + name, None)
        if name in MODES and not arguments:
            getattr(self, "do_" + name)(sock)
        elif method is None or (name in ("drain", "shutdown") and self.stop is None):
            sock.sendall(b"unsupported\n")
            finish(sock)
        else:
            method(sock, *arguments)

    def command_watch(self, sock, label, pause_ms):
        """Reads later."""
        self.note(label, 0, "open")
        time.sleep(int(pause_ms) / 1000)
        self.do_sink(sock, label)

    def command_report(self, sock, label):
        """What was noted."""
        sock.sendall(b"%d %s\n" % self.notes.get(label, (0, b"unknown")))
        finish(sock)

    def command_finish(self, sock, label=None):
        """Only reads."""
        finish(sock)
        self.do_sink(sock, label, finishes=False)

    def command_write(self, sock, count):
        """Writes and finishes."""
        for piece in pattern(int(count)):
            sock.sendall(piece)
        self.command_finish(sock)

    @staticmethod
    def command_close(sock):
        """Neither reads nor writes."""
        sock.close()

    def command_drain(self, sock):
        """The session takes no more streams."""
        self.stop()
        sock.sendall(b"draining\n")
        self.do_echo(sock)

    def command_shutdown(self, sock, count=None):
        """Ends the session, idle or in the midst of writing."""
        if count is None:
            self.command_finish(sock)
            sock.close()
            self.stop()
            return
        timer = threading.Timer(SHUTDOWN_S, self.stop)
        timer.start()
        for piece in pattern(int(count)):
            sock.sendall(piece)

    def note(self, label, count, end):
        """For `report`."""
        if label not in (None, "-"):
            self.notes[label] = (count, end.encode())


def listen(path, serve):
    """A unix socket whose connections go to serve(), each in a thread."""
    listener = socket.socket(socket.AF_UNIX)
    if os.path.exists(path):
        os.unlink(path)
    listener.bind(path)
    listener.listen(1024)

    def accept():
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=serve, args=(sock,), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
