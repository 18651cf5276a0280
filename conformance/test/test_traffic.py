#!/usr/bin/env python3
"""yamux-traffic: it passes where everything is right, and fails where one thing is wrong.

  test_traffic.py BUILD_DIR [WORD...]     only tests whose name contains a WORD

Right peers: our own engine, the mutants' without a defect, hashicorp/yamux. Wrong ones: mutants whose application sees
or makes other bytes than were sent, and a relay that spoils one frame between two right ends. Prints TAP."""
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(sys.argv[1])
TRAFFIC, HOST, MUTANT = (os.path.join(BUILD, "conformance", path)
                         for path in ("host/yamux-traffic", "host/yamux-host", "mutants/yamux-mutant"))
FEW = ["--streams", "60", "--max-bytes", "1048576"]
LIMIT = 120  # seconds for a run that should pass
TESTS = []
DATA, UPDATE, PING = 0, 1, 2
ACK, FIN, RST = 2, 4, 8


def test(function):
    """Register one test."""
    TESTS.append(function)
    return function


# ---- programs -------------------------------------------------------------------------------------------------------

def other(role):
    """The role of the peer."""
    return "server" if role == "client" else "client"


class Started:
    """A peer that runs while its block does."""

    def __init__(self, *words):
        self.words = words

    def __enter__(self):
        self.process = subprocess.Popen(self.words, cwd=ROOT)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def run(address, role="client", words=(), timeout=LIMIT):
    """Status and all that it says."""
    done = subprocess.run([TRAFFIC, "--connect", address, "--role", role, "--timeout", str(timeout), *words],
                          capture_output=True, text=True, timeout=timeout + 30, check=False)
    return done.returncode, done.stdout + done.stderr


def expect(result, status, pattern):
    """The status, and something that it says."""
    got, said = result
    assert got == status, "exit %d, not %d: %s" % (got, status, said)
    assert re.search(pattern, said), "no '%s' in: %s" % (pattern, said)


def free_port():
    """One that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def addresses(folder):
    """One of each kind."""
    return "unix://%s/peer" % folder, "tcp://127.0.0.1:%d" % free_port()


# ---- right peers ----------------------------------------------------------------------------------------------------

@test
def our_engine_against_itself():
    """Y-02"""
    seed = 0
    for role in ("client", "server"):
        with tempfile.TemporaryDirectory() as folder:
            for address in addresses(folder):
                seed += 1
                with Started(HOST, "--mode", "app", "--listen", address, "--role", other(role)):
                    expect(run(address, role, FEW + ["--seed", str(seed)]), 0, "\n60 streams, .* hashes equal")


@test
def a_peer_that_can_only_echo():
    """Y-02"""
    with tempfile.TemporaryDirectory() as folder:
        address = "unix://%s/peer" % folder
        with Started(HOST, "--mode", "echo", "--listen", address, "--role", "server"):
            said = run(address, "client", FEW + ["--mode", "echo"])
        expect(said, 0, "hashes equal")
        assert "open-echo" not in said[1] and "write" not in said[1], said[1]


@test
def the_mutants_engine_without_a_defect():
    """Y-02"""
    with tempfile.TemporaryDirectory() as folder:
        address = "unix://%s/peer" % folder
        for role in ("client", "server"):
            with Started(MUTANT, "--mode", "app", "--listen", address, "--role", other(role)):
                expect(run(address, role, FEW), 0, "hashes equal")


@test
def hashicorp_in_both_roles():
    """Y-03"""
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "hashicorp")
        subprocess.run([os.path.join(ROOT, "conformance/peers/hashicorp/build"), program], check=True,
                       stdout=subprocess.DEVNULL, timeout=600)
        for role in ("client", "server"):
            address = "unix://%s/%s" % (folder, role)
            with Started(program, "--mode", "app", "--address", address, "--role", other(role)):
                said = run(address, role, FEW)
            expect(said, 0, "hashes equal")
            for line in ("broken +0 streams.*echo instead", r"write +\d+ streams", r"open-abort +\d+ streams"):
                assert re.search(line, said[1]), said[1]


# ---- wrong peers ----------------------------------------------------------------------------------------------------

def mutant(name, pattern, words=(), timeout=60):
    """This one must fail, and for this reason."""
    with tempfile.TemporaryDirectory() as folder:
        address = "unix://%s/peer" % folder
        mode = "echo" if "echo" in words else "app"
        with Started(MUTANT, "--mutant", name, "--mode", mode, "--listen", address, "--role", "server"):
            result = run(address, "client", words or FEW, timeout)
        expect(result, 1, pattern)
        assert "again: yamux-traffic --connect %s " % address in result[1], result[1]


@test
def a_byte_that_is_spoilt():
    """L-03"""
    mutant("L-04", r"byte \d+ is 0x.., should be 0x", ["--mode", "echo", "--streams", "260", "--max-bytes", "1048576"])


@test
def data_that_is_lost_while_another_stream_is_full():
    """L-05"""
    mutant("W-21", "byte|it ended early|hash")


@test
def a_fin_that_overtakes_data():
    """L-03"""
    mutant("C-11", "write: .*it ended early", ["--max-bytes", "1048576"])


@test
def a_reset_of_ours_that_they_take_for_the_end():
    """L-04"""
    mutant("R-10", "abort-watch: .*eof', and we reset it")


@test
def a_reset_of_ours_on_their_stream_that_they_take_for_the_end():
    """L-04"""
    mutant("U-07", "open-abort: .*eof', and we reset it")


@test
def a_stream_without_bytes_that_never_ends():
    """L-03"""
    mutant("C-09", "it hangs\n +stream .* 0 of 0 bytes out", ["--mode", "echo", "--max-bytes", "1048576"], timeout=4)


@test
def credit_that_stops_after_a_half_close():
    """L-03"""
    mutant("C-07", "it hangs\n +stream .*finish: ", timeout=4)


@test
def a_session_that_they_end():
    """Y-02"""
    # frames cross a reset in some of its streams: enough of them, and it is sure to see one
    mutant("U-14", "the session has ended", ["--streams", "600", "--max-bytes", "1048576"])


def mutant_without(name, words):
    """This one is right in all but what is left out."""
    with tempfile.TemporaryDirectory() as folder:
        address = "unix://%s/peer" % folder
        mode = "echo" if "echo" in words else "app"
        with Started(MUTANT, "--mutant", name, "--mode", mode, "--listen", address, "--role", "server"):
            result = run(address, "client", words)
        expect(result, 0, "hashes equal")
        return result[1]


@test
def what_a_peer_gets_wrong_can_be_left_out():
    """Y-03"""
    said = mutant_without("R-10", FEW + ["--without", "abort-watch"])
    assert re.search(r"abort-watch +0 streams.*\(echo instead\)", said), said


@test
def an_echo_without_half_close_waits_for_all_of_it():
    """Y-03"""
    said = mutant_without("C-07", ["--mode", "echo", "--without", "echo,slow,late,abort", "--streams", "30", "--max-bytes",
                                   "1048576"])
    assert re.search(r"calm +30 streams", said) and "halves: 30 ours, 0 theirs" in said, said


# ---- a relay that spoils one frame ----------------------------------------------------------------------------------

class Relay:
    """Between yamux-traffic and a right peer; spoil(relay, header, payload) gives the bytes of the peer's frame that go on.
    header: [type, flags, stream, length]."""

    def __init__(self, folder, there, spoil):
        self.address = "unix://%s/relay" % folder
        self.there = there
        self.spoil = spoil
        self.done = False
        self.kept = None
        self.received = {}
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind("%s/relay" % folder)
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        """One connection."""
        here = self.listener.accept()[0]
        there = socket.socket(socket.AF_UNIX)
        for _ in range(500):
            try:
                there.connect(self.there)
                break
            except OSError:
                time.sleep(0.01)
        threading.Thread(target=self.forward, args=(here, there), daemon=True).start()
        try:
            self.judge(there.makefile("rb"), here)
        except (OSError, struct.error):
            pass
        here.close()
        there.close()

    def forward(self, here, there):
        """What yamux-traffic sends, as it is."""
        try:
            while piece := here.recv(65536):
                there.sendall(piece)
            there.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def judge(self, there, here):
        """What the peer sends, frame by frame."""
        while True:
            header = list(struct.unpack(">xBHII", there.read(12)))
            payload = there.read(header[3]) if header[0] == DATA else b""
            before = self.received.get(header[2], 0)
            self.received[header[2]] = before + len(payload)
            here.sendall(self.spoil(self, header, payload))


def frame(kind, flags, stream, length, payload=b""):
    """Its bytes."""
    return struct.pack(">BBHII", 0, kind, flags, stream, length) + payload


def is_due(relay, header, payload):
    """Once: a frame in the middle of some stream's data."""
    if relay.done or header[0] != DATA or header[1] != 0 or len(payload) < 100 or relay.received[header[2]] < 100000:
        return False
    relay.done = True
    return True


def flip(relay, header, payload):
    """One bit."""
    if is_due(relay, header, payload):
        payload = payload[:50] + bytes([payload[50] ^ 1]) + payload[51:]
    return frame(*header, payload)


def lose(relay, header, payload):
    """A whole frame."""
    return b"" if is_due(relay, header, payload) else frame(*header, payload)


def shorten(relay, header, payload):
    """The last byte of a frame."""
    if is_due(relay, header, payload):
        return frame(*header[:3], len(payload) - 1, payload[:-1])
    return frame(*header, payload)


def double(relay, header, payload):
    """A frame comes twice."""
    return frame(*header, payload) * (2 if is_due(relay, header, payload) else 1)


def swap(relay, header, payload):
    """A frame's bytes are given to another stream."""
    if relay.kept is None and is_due(relay, header, payload):
        relay.kept = header[2]
    elif relay.kept and header[0] == DATA and header[2] != relay.kept and len(payload) > 100:
        header[2], relay.kept = relay.kept, 0
    return frame(*header, payload)


def finish(relay, header, payload):
    """A FIN too early."""
    early = frame(UPDATE, FIN, header[2], 0) if is_due(relay, header, payload) else b""
    return frame(*header, payload) + early


def reset(relay, header, payload):
    """An RST that nobody sent."""
    after = frame(UPDATE, RST, header[2], 0) if is_due(relay, header, payload) else b""
    return frame(*header, payload) + after


def starve(_, header, payload):
    """All credit is lost."""
    return b"" if header[0] == UPDATE and header[1] == 0 else frame(*header, payload)


def silence(_, header, payload):
    """All answers to pings are lost."""
    return b"" if header[0] == PING and header[1] == ACK else frame(*header, payload)


def relayed(spoil, pattern, timeout=60):
    """This must be found."""
    with tempfile.TemporaryDirectory() as folder:
        with Started(HOST, "--mode", "app", "--listen", "unix://%s/peer" % folder, "--role", "server"):
            relay = Relay(folder, "%s/peer" % folder, spoil)
            expect(run(relay.address, "client", FEW, timeout), 1, pattern)


@test
def a_bit_that_is_flipped():
    """L-03"""
    relayed(flip, r"byte \d+ is 0x.., should be 0x..")


@test
def a_frame_that_is_lost():
    """L-03"""
    relayed(lose, r"byte \d+ is|it ended early|finished before")


@test
def a_byte_that_is_lost():
    """L-03"""
    relayed(shorten, r"byte \d+ is|it ended early")


@test
def a_frame_that_comes_twice():
    """L-03"""
    relayed(double, r"byte \d+ is|nobody sent|data beyond the granted window")


@test
def bytes_of_another_stream():
    """L-03"""
    relayed(swap, r"byte \d+ is|nobody sent|data beyond the granted window")


@test
def an_end_that_comes_early():
    """L-03"""
    relayed(finish, "it ended early|they finished before we did")


@test
def a_reset_that_nobody_sent():
    """L-04"""
    relayed(reset, "it was reset, and nobody should")


@test
def credit_that_never_comes():
    """L-05"""
    relayed(starve, "not done after 3 s: it hangs\n +stream ", timeout=3)


@test
def a_ping_that_is_not_answered():
    """L-01"""
    relayed(silence, "not done after 8 s: no answer to a ping", timeout=8)


# ---- bad words, bad peers -------------------------------------------------------------------------------------------

@test
def words_that_are_not_understood():
    """Q-04"""
    for words in ([], ["--connect", "peer"], ["--connect", "tcp://127.0.0.1:1", "--streams", "0"],
                  ["--connect", "tcp://127.0.0.1:1", "--role", "both"], ["--connect", "tcp://127.0.0.1:1", "more"],
                  ["--connect", "tcp://127.0.0.1:1", "--max-bytes", "1"], ["--nothing"],
                  ["--connect", "tcp://127.0.0.1:1", "--without", "echo,nothing"],
                  ["--connect", "tcp://127.0.0.1:1", "--without", "calm"]):
        done = subprocess.run([TRAFFIC, *words], capture_output=True, text=True, timeout=20, check=False)
        expect((done.returncode, done.stderr), 2, "usage: yamux-traffic")


@test
def nobody_there():
    """Q-04"""
    with tempfile.TemporaryDirectory() as folder:
        expect(run("unix://%s/nobody" % folder, timeout=1), 3, "no peer at unix://.*/nobody: ")


def serve_once(folder, answer):
    """A listener that takes one connection, and says this."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("%s/peer" % folder)
    listener.listen()
    kept = []

    def serve():
        conn = listener.accept()[0]
        kept.append(conn)
        conn.sendall(answer)
    threading.Thread(target=serve, daemon=True).start()
    return kept


@test
def a_peer_that_is_silent():
    """Q-04"""
    with tempfile.TemporaryDirectory() as folder:
        kept = serve_once(folder, b"")
        expect(run("unix://%s/peer" % folder, words=FEW, timeout=2), 1, "not done after 2 s: it hangs\n( +their .*\n)? +stream ")
        assert kept


@test
def a_peer_that_talks_nonsense():
    """Q-04"""
    with tempfile.TemporaryDirectory() as folder:
        kept = serve_once(folder, b"HTTP/1.1 400 Bad Request\r\n\r\n")
        expect(run("unix://%s/peer" % folder, words=FEW, timeout=20), 1, "the session has ended: frame version is not 0")
        assert kept


def main():
    """Run what is wanted."""
    chosen = [each for each in TESTS if not sys.argv[2:] or any(word in each.__name__ for word in sys.argv[2:])]
    failed = 0
    for number, each in enumerate(chosen, 1):
        try:
            each()
            print("ok %d - %s traffic_%s" % (number, each.__doc__, each.__name__), flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print("not ok %d - %s traffic_%s" % (number, each.__doc__, each.__name__), flush=True)
            print("".join("# " + line + "\n" for line in traceback.format_exc().splitlines()), end="", flush=True)
    print("1..%d" % len(chosen))
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
