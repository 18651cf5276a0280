#!/usr/bin/env python3
"""yamuxspec itself: what it makes of bad peers and bad words, and what it prints.

  test_yamuxspec.py YAMUXSPEC [WORD...]     only tests whose name contains a WORD

The peers here are scripts that misbehave on purpose; one is right enough to pass a few cases. Every run must end within
its time with a verdict for each case."""
import base64
import concurrent.futures
import hashlib
import json
import os
import random
import re
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import traceback
import xml.etree.ElementTree

TESTS = []
PROGRAM = os.path.abspath(sys.argv[1])
AT_ONCE = 4
LIMIT = 60  # seconds that a run may take; a wedged one is a failure, not a wait


def test(function):
    """Register one test."""
    TESTS.append(function)
    return function


class Peer:
    """Listens on a free port; each connection runs a script in a thread of its own."""

    def __init__(self, script):
        self.script = script
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "tcp://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        """Serve until the listener is closed."""
        while True:
            try:
                conn = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        """One connection; the tester may end it at any moment."""
        try:
            self.script(conn)
        except OSError:
            pass
        finally:
            conn.close()


def run(*arguments, stdin=None):
    """yamuxspec, to its end."""
    return subprocess.run([PROGRAM, *arguments], stdin=stdin, capture_output=True, text=True, timeout=LIMIT, check=False)


def verdicts(*arguments):
    """id -> what JSON says of the case."""
    done = run("--format", "json", "--timeout", "300", *arguments)
    assert done.stdout, done.stderr
    return {case["id"]: case for case in json.loads(done.stdout)["cases"]}, done


def receive(conn, count):
    """Exactly count bytes."""
    data = b""
    while len(data) < count:
        more = conn.recv(count - len(data))
        if not more:
            raise OSError("end")
        data += more
    return data


def frames(conn):
    """The tester's frames, one by one."""
    while True:
        version, kind, flags, stream, length = struct.unpack(">BBHII", receive(conn, 12))
        yield version, kind, flags, stream, length, receive(conn, length) if kind == 0 else b""


def header(kind, flags, stream, length):
    """Twelve bytes."""
    return struct.pack(">BBHII", 0, kind, flags, stream, length)


def good(conn):
    """Answers pings, echoes; enough for a few cases."""
    for version, kind, flags, stream, length, body in frames(conn):
        if version or kind > 3:
            conn.sendall(header(3, 0, 0, 1))
            return
        if kind == 2 and flags & 1:
            conn.sendall(header(2, 2, 0, length))
        elif kind == 3 and length:
            return
        elif kind < 2:
            if flags & 1:
                conn.sendall(header(1, 2, stream, 0))
            if body:
                conn.sendall(header(0, 0, stream, len(body)) + body)
            if flags & 4:
                conn.sendall(header(1, 4, stream, 0))


def good_until_closed(conn):
    """The same, and the tester's end of the connection is no error."""
    try:
        good(conn)
    except OSError:
        pass


class WebSocket:
    """Binary messages as a byte stream, over a connection; either role."""

    def __init__(self, conn, client):
        self.conn, self.client, self.rest = conn, client, b""
        head = b""
        if client:
            conn.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
        while not head.endswith(b"\r\n\r\n"):
            head += receive(conn, 1)
        if not client:
            key = re.search(rb"Sec-WebSocket-Key: (\S+)", head).group(1)
            digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
            conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n")

    def sendall(self, data):
        """One message."""
        bit = 0x80 if self.client else 0
        length = struct.pack(">B", bit | len(data)) if len(data) < 126 else struct.pack(">BH", bit | 126, len(data))
        self.conn.sendall(b"\x82" + length + (bytes(4) if self.client else b"") + data)

    def recv(self, count):
        """What has come, across message boundaries."""
        while not self.rest:
            first, second = receive(self.conn, 2)
            length = second & 127
            if length > 125:
                length = int.from_bytes(receive(self.conn, 2 if length == 126 else 8), "big")
            mask = receive(self.conn, 4) if second & 128 else bytes(4)
            body = bytes(byte ^ mask[i % 4] for i, byte in enumerate(receive(self.conn, length)))
            if first & 15 == 8:
                return b""
            self.rest = body if first & 15 < 3 else b""
        data, self.rest = self.rest[:count], self.rest[count:]
        return data


def certificate():
    """A file with a chain and its key, for 127.0.0.1."""
    path = os.path.join(tempfile.mkdtemp(), "cert.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "2", "-subj", "/CN=peer", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path + ".key", "-out",
                    path], check=True, capture_output=True)
    with open(path, "a", encoding="ascii") as whole, open(path + ".key", encoding="ascii") as key:
        whole.write(key.read())
    return path


def silent(conn):
    """Reads, and never says a word."""
    while conn.recv(65536):
        pass


def deaf(conn):
    """Does not even read."""
    threading.Event().wait(LIMIT)
    conn.close()


# ---- peers ----------------------------------------------------------------------------------------------------------


@test
def a_right_peer_passes():
    cases, done = verdicts("--connect", Peer(good).url, "--mode", "echo", "--case", "P-01,P-02,F-0[2358],F-10,G-04")
    assert {case["verdict"] for case in cases.values()} == {"pass"}, done.stdout
    assert len(cases) == 8 and done.returncode == 0, done


@test
def an_unreachable_peer_is_status_3():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = run("--connect", "tcp://127.0.0.1:%d" % port)
    assert done.returncode == 3 and "cannot be reached" in done.stderr and "Connection refused" in done.stderr, done
    done = run("--connect", "unix:///nonexistent/socket")
    assert done.returncode == 3 and "No such file" in done.stderr, done


@test
def a_peer_command_that_fails_is_status_3():
    done = run("--peer-command", "exit 7")
    assert done.returncode == 3 and "status 7" in done.stderr, done


@test
def a_silent_peer_is_hung():
    cases, done = verdicts("--connect", Peer(silent).url, "--case", "P-*,G-0[45]")
    assert done.returncode == 1
    assert cases["P-01"]["verdict"] == "hung" and cases["G-04"]["verdict"] == "hung", cases
    assert all(case["verdict"] in ("hung", "fail", "skip") for case in cases.values()), done.stdout


@test
def a_peer_that_does_not_read_is_hung():
    cases, done = verdicts("--connect", Peer(deaf).url, "--case", "P-01,L-01,P-08")
    assert done.returncode == 1 and {case["verdict"] for case in cases.values()} == {"hung"}, done.stdout


@test
def a_peer_that_closes_at_once_has_a_verdict_a_case():
    cases, done = verdicts("--connect", Peer(lambda conn: None).url, "--mode", "echo", "--case", "[FPG]-*")
    assert done.returncode == 1 and len(cases) == 45
    assert cases["P-01"]["verdict"] == "fail" and "the connection is" in cases["P-01"]["reason"], cases["P-01"]


@test
def a_peer_that_half_closes_has_a_verdict_a_case():
    def half(conn):
        conn.shutdown(socket.SHUT_WR)
        silent(conn)
    cases, done = verdicts("--connect", Peer(half).url, "--mode", "echo", "--case", "[FP]-*")
    assert done.returncode == 1 and cases["P-01"]["verdict"] == "fail", done.stdout


@test
def a_peer_that_is_gone_with_credit_left_is_seen():
    def vanish(conn):
        for _, kind, flags, stream, _, _ in frames(conn):
            if kind < 2 and flags & 1:
                conn.sendall(header(1, 2, stream, 1 << 28))
                break
        threading.Event().wait(0.2)  # nothing is read: the tester writes when the end comes
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer = Peer(vanish)
    peer.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    cases, done = verdicts("--connect", peer.url, "--mode", "echo,hold,sink,noaccept,source,opener,app",
                           "--case", "[OUWC]-*")
    assert done.returncode == 1 and len(cases) > 60, done.stdout
    endless = [case["id"] for case in cases.values() if "no verdict" in case.get("reason", "")]
    assert not endless, endless


@test
def a_flood_of_pings_ends_in_time():
    def flood(conn):
        while True:
            conn.sendall(header(2, 1, 0, 1) * 1000)
    cases, done = verdicts("--connect", Peer(flood).url, "--case", "P-01,F-08")
    assert done.returncode == 1 and {case["verdict"] for case in cases.values()} <= {"hung", "fail"}, done.stdout


@test
def a_flood_of_data_ends_in_time():
    def flood(conn):
        stream = 0
        while True:
            stream += 2
            conn.sendall(header(0, 1, stream, 16384) + bytes(16384))
    cases, done = verdicts("--connect", Peer(flood).url, "--case", "P-01,G-04")
    assert done.returncode == 1 and {case["verdict"] for case in cases.values()} <= {"hung", "fail"}, done.stdout


@test
def a_flood_of_stream_ids_is_bounded():
    def flood(conn):
        for first in range(0, 1 << 30, 1000):
            conn.sendall(b"".join(header(1, 0, first + i, 0) for i in range(1000)))
    cases, done = verdicts("--timeout", "20000", "--connect", Peer(flood).url, "--case", "P-01")
    assert done.returncode == 1 and "stream ids" in cases["P-01"]["reason"], done.stdout


@test
def a_body_that_never_comes_ends_in_time():
    def lie(conn):
        conn.sendall(header(0, 1, 2, 0xffffffff))
        silent(conn)
    cases, _ = verdicts("--connect", Peer(lie).url, "--case", "P-01")
    assert cases["P-01"]["verdict"] == "hung", cases


@test
def random_bytes_end_in_a_verdict():
    def noise(conn):
        source = random.Random(noise.seed)
        noise.seed += 1
        for _ in range(200):
            conn.sendall(source.randbytes(source.randrange(1, 3000)))
        silent(conn)
    noise.seed = 1
    for seed in "123":
        cases, done = verdicts("--connect", Peer(noise).url, "--mode", "echo", "--seed", seed, "--case",
                               "P-*,F-0*,L-04,G-*")
        assert done.returncode == 1, done.stdout
        wrong = [case["id"] for case in cases.values() if case["verdict"] == "pass" and case["class"] == "MUST"
                 and not re.match("[FG]-", case["id"])]
        assert not wrong and "own process" not in done.stdout, done.stdout


@test
def random_frames_end_in_a_verdict():
    def noise(conn):
        source = random.Random(noise.seed)
        noise.seed += 1
        for _ in range(2000):
            length = source.randrange(64)
            kind = source.randrange(4)
            conn.sendall(header(kind, source.randrange(16), source.randrange(8), length)
                         + (source.randbytes(length) if kind == 0 else b""))
        silent(conn)
    noise.seed = 1
    _, done = verdicts("--connect", Peer(noise).url, "--mode", "echo,app,source", "--jobs", "4")
    assert done.returncode == 1 and "own process" not in done.stdout, done.stdout


@test
def random_bytes_below_websocket_end_in_a_verdict():
    def noise(conn):
        source = random.Random(noise.seed)
        noise.seed += 1
        receive(conn, 64)
        conn.recv(4096)
        if source.randrange(3):
            conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n\r\n")
        for _ in range(50):
            conn.sendall(source.randbytes(source.randrange(1, 500)))
        silent(conn)
    noise.seed = 1
    done = run("--connect", Peer(noise).url.replace("tcp", "ws") + "/", "--case", "P-*,X-*", "--timeout", "300")
    assert done.returncode == 3 and "upgrade" in done.stderr, done


@test
def a_refused_upgrade_is_said():
    def refuse(conn):
        receive(conn, 64)
        conn.sendall(b"HTTP/1.1 401 Unauthorized\r\n\r\n")
    done = run("--connect", Peer(refuse).url.replace("tcp", "ws") + "/x")
    assert done.returncode == 3 and "401 Unauthorized" in done.stderr, done


@test
def an_upgrade_that_never_comes_ends_in_time():
    done = run("--connect", Peer(silent).url.replace("tcp", "ws") + "/x")
    assert done.returncode == 3 and "no whole head in time" in done.stderr, done


@test
def headers_are_sent_with_the_upgrade():
    seen = []

    def refuse(conn):
        seen.append(conn.recv(4096).decode())
        conn.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")
    run("--connect", Peer(refuse).url.replace("tcp", "ws") + "/a?b=c", "--header", "Authorization: Bearer k")
    assert seen[0].startswith("GET /a?b=c HTTP/1.1\r\n") and "\r\nAuthorization: Bearer k\r\n" in seen[0], seen


@test
def a_peer_may_dial_us():
    process = subprocess.Popen([PROGRAM, "--listen", "tcp://127.0.0.1:0", "--case", "P-0[123],F-08"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        port = int(re.search(r":(\d+)$", process.stderr.readline().strip()).group(1))
        while process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", port)) as conn:
                    good(conn)
            except OSError:
                pass
        output = process.stdout.read()
    assert process.returncode == 0 and "4 cases: 4 passed" in output, output


@test
def what_a_dialing_peer_gave_up_while_it_waited_is_passed_over():
    with subprocess.Popen([PROGRAM, "--listen", "tcp://127.0.0.1:0", "--case", "P-0[12]"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        address = "127.0.0.1", int(process.stderr.readline().rsplit(":", 1)[1].strip(" /\n"))
        with socket.create_connection(address) as first:
            receive(first, 12)  # the first case has begun; the next one will find all these
            for _ in range(5):
                socket.create_connection(address).close()
            with socket.create_connection(address) as second:
                first.sendall(header(2, 2, 0, 0xdeadbeef))
                good_until_closed(second)
        output = process.stdout.read()
    assert "2 cases: 2 passed" in output, output


@test
def a_dead_peer_process_fails_the_case():
    script = os.path.join(tempfile.mkdtemp(), "peer.py")
    with open(script, "w", encoding="utf-8") as file:
        file.write("import os, socket, sys\n"
                   "s = socket.create_server(('127.0.0.1', int(sys.argv[1].rsplit(':', 1)[1])))\n"
                   "s.accept()\n"  # the look whether it is there
                   "s.accept()[0].recv(1)\n"
                   "os.kill(os.getpid(), 11)\n")
    cases, done = verdicts("--peer-command", "exec python3 %s {address}" % script, "--case", "P-01", "--jobs", "1")
    assert done.returncode == 1 and "signal 11" in cases["P-01"]["reason"], done.stdout


def secure(path):
    """A right peer over TLS and WebSocket."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)

    def serve(conn):
        with context.wrap_socket(conn, server_side=True) as tls:
            good(WebSocket(tls, client=False))
    return Peer(serve).url.replace("tcp", "wss") + "/"


@test
def a_right_peer_passes_over_wss():
    path = certificate()
    cases, done = verdicts("--timeout", "2000", "--connect", secure(path), "--ca-file", path, "--mode", "echo", "--case",
                           "P-01,P-02,F-0[235],X-01,X-04")
    assert {case["verdict"] for case in cases.values()} == {"pass"} and len(cases) == 7, done.stdout


@test
def a_certificate_that_is_not_trusted_is_status_3():
    done = run("--connect", secure(certificate()), "--case", "P-01")
    assert done.returncode == 3 and "certificate verify failed" in done.stderr, done
    done = run("--connect", secure(certificate()), "--case", "P-01", "--ca-file", certificate())
    assert done.returncode == 3 and "certificate verify failed" in done.stderr, done


@test
def a_peer_may_dial_us_over_wss():
    path = certificate()
    context = ssl.create_default_context(cafile=path)
    words = [PROGRAM, "--listen", "wss://127.0.0.1:0/", "--cert-file", path, "--role", "server", "--mode", "echo",
             "--case", "P-0[123],F-03,F-08,X-01"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        port = int(re.search(r":(\d+)/$", process.stderr.readline().strip()).group(1))
        while process.poll() is None:
            try:
                with context.wrap_socket(socket.create_connection(("127.0.0.1", port)),
                                         server_hostname="127.0.0.1") as tls:
                    good(WebSocket(tls, client=True))
            except OSError:
                pass
        output = process.stdout.read()
    assert process.returncode == 0 and "6 cases: 6 passed" in output, output


# ---- words ----------------------------------------------------------------------------------------------------------


@test
def bad_words_are_status_2_with_the_remedy():
    for words, said in (((), "--connect URL"), (("--connect", "http://x"), "tcp://"), (("--nonsense",), "--help"),
                        (("--connect", "tcp://h:1", "--listen", "tcp://h:1"), "not both"),
                        (("--connect", "tcp://127.0.0.1:99999"), "port"), (("--connect", "tcp://h"), "port"),
                        (("--connect", "tcp://127.0.0.1:0"), "--peer-command"),
                        (("--connect", "unix://" + "x" * 200), "107"),
                        (("--connect", "tcp://h:1", "--mode", "echo,dance"), "noaccept"),
                        (("--connect", "tcp://h:1", "--role", "both"), "client or server"),
                        (("--connect", "tcp://h:1", "--jobs", "99"), "1 to 16"),
                        (("--connect", "tcp://h:1", "--timeout", "-5"), "100 to"),
                        (("--connect", "tcp://h:1", "--seed", "x"), "a number"),
                        (("--connect", "tcp://h:1", "--profile", "x"), "hashicorp"),
                        (("--connect", "tcp://h:1", "--format", "x"), "junit"),
                        (("--connect", "tcp://h:1", "--header", "x"), "Name: value"),
                        (("--connect", "tcp://h:1", "--case", "Z-*"), "--list"),
                        (("--listen", "wss://127.0.0.1:0"), "--cert-file"),
                        (("--connect", "tcp://h:1", "extra"), "none is wanted")):
        done = run(*words)
        assert done.returncode == 2 and said in done.stderr, (words, done)


@test
def help_version_and_list_are_status_0():
    assert "exit: 0" in run("--help").stdout
    assert re.fullmatch(r"yamuxspec \d+\.\d+\.\d+\n", run("--version").stdout)
    listed = run("--list", "--case", "f-*,P-01").stdout.splitlines()
    assert len(listed) == 18 and listed[0].startswith("F-01  any      MUST"), listed


@test
def every_case_has_an_id_of_its_own():
    ids = [line.split()[0] for line in run("--list").stdout.splitlines()]
    assert len(ids) == len(set(ids)) and all(re.fullmatch(r"[FPGOUWCRLX]-\d\d", each) for each in ids), ids


@test
def an_output_that_cannot_be_written_is_status_2():
    done = run("--connect", Peer(good).url, "--case", "P-01", "--output", "/nonexistent/file")
    assert done.returncode == 2 and "/nonexistent/file" in done.stderr, done


# ---- reports --------------------------------------------------------------------------------------------------------


def report(form, *more):
    """A run with a pass, a fail, a warning and a skip."""
    def wrong(conn):
        for version, kind, flags, _, length, _ in frames(conn):
            if version:
                return
            if kind == 2 and flags & 1 and length != 0xdeadbeef:
                conn.sendall(header(2, 2, 0, length))
    return run("--connect", Peer(wrong).url, "--timeout", "300", "--format", form, "--case", "P-01,P-02,F-08,F-02", *more)


@test
def tap_has_a_line_a_case():
    done = report("tap")
    assert done.returncode == 1 and "\n1..4\n" in done.stdout, done
    lines = [line for line in done.stdout.splitlines() if re.match("(not )?ok ", line)]
    assert len(lines) == 4 and sum(line.startswith("not ok") for line in lines) == 1, lines
    assert any("F-02" in line and "# SKIP the peer has no mode echo" in line for line in lines), lines


@test
def junit_is_xml():
    suite = xml.etree.ElementTree.fromstring(report("junit").stdout)
    assert suite.get("tests") == "4" and suite.get("failures") == "1" and suite.get("skipped") == "1"
    assert len(suite.findall("testcase/failure")) == 1 and len(suite.findall("testcase/skipped")) == 1


@test
def json_has_everything():
    done = report("json")
    whole = json.loads(done.stdout)
    cases = {case["id"]: case for case in whole["cases"]}
    assert whole["failures"] == 1 and whole["role"] == "client" and whole["seed"] == 1, whole
    assert cases["P-01"]["verdict"] == "hung" and cases["P-02"]["verdict"] == "pass", cases
    assert cases["P-01"]["frames"][0] == "-> Ping SYN id 0 len 3735928559", cases["P-01"]
    assert cases["F-08"]["verdict"] == "warn" and "GoAway" in cases["F-08"]["warnings"][0], cases["F-08"]
    assert cases["P-01"]["citation"] and cases["P-01"]["stimulus"] and cases["P-01"]["class"] == "MUST"


@test
def markdown_has_a_row_a_case():
    rows = [line for line in report("markdown").stdout.splitlines() if re.match(r"\| [A-Z]-\d", line)]
    assert len(rows) == 4 and all(line.count("|") == 6 for line in rows), rows


@test
def the_table_shows_the_frames_of_a_failure():
    done = report("table")
    assert "HUNG  P-01" in done.stdout and "-> Ping SYN id 0 len 3735928559" in done.stdout, done.stdout
    assert "4 cases: 1 passed, 1 with warnings, 0 failed, 1 hung, 1 skipped" in done.stdout, done.stdout


@test
def the_profile_strict_fails_on_a_warning():
    assert report("tap", "--case", "F-08").returncode == 1
    strict = run("--connect", Peer(lambda conn: conn.recv(12)).url, "--case", "F-08", "--profile", "strict")
    spec = run("--connect", Peer(lambda conn: conn.recv(12)).url, "--case", "F-08")
    assert strict.returncode == 1 and spec.returncode == 0, (strict, spec)


@test
def the_profile_libp2p_warns_where_the_answers_differ():
    cases, _ = verdicts("--connect", Peer(good).url, "--case", "F-01", "--profile", "libp2p")
    assert cases["F-01"]["verdict"] == "warn" and "early-ping" in cases["F-01"]["warnings"][0], cases


@test
def output_goes_to_a_file():
    path = os.path.join(tempfile.mkdtemp(), "report.md")
    done = report("markdown", "--output", path)
    with open(path, encoding="utf-8") as file:
        assert file.read().startswith("# yamuxspec: ") and done.stdout == "", done


@test
def a_seed_repeats_a_run():
    lines = []

    def keep(conn):
        for _, kind, flags, _, length, _ in frames(conn):
            if kind == 2 and flags & 1:
                lines.append(length)
                conn.sendall(header(2, 2, 0, length))
    for seed in "7", "7", "8":
        run("--connect", Peer(keep).url, "--case", "P-03", "--seed", seed)
    assert lines[1] == lines[3] and lines[1] != lines[5], lines


def attempt(function):
    """None, or what went wrong."""
    try:
        function()
    except Exception:  # pylint: disable=broad-except
        return traceback.format_exc()
    return None


def main():
    """Run what was asked for, a few at a time, since most of it is waiting; TAP."""
    words = sys.argv[2:]
    chosen = [each for each in TESTS if not words or any(word in each.__name__ for word in words)]
    pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE)
    print("1..%d" % len(chosen), flush=True)
    failed = 0
    for number, (function, problem) in enumerate(zip(chosen, pool.map(attempt, chosen)), 1):
        if problem:
            failed += 1
            print("# " + problem.rstrip().replace("\n", "\n# "))
        print("%s %d - Y-02 %s" % ("not ok" if problem else "ok", number, function.__name__), flush=True)
    return 1 if failed else 0


sys.exit(main())
