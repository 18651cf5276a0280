#!/usr/bin/env python3
"""The life of orthrus-agent: dial, TLS, proxy, reconnect, signals, settings.

  test_life.py PROGRAM [WORD...]     only tests whose name or id contains a WORD

A scripted server stands in front of the agent, a scripted Docker socket behind it. What runs here is the shipped
program; nothing of it is replaced."""
import base64
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading
import warnings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# pylint: disable=wrong-import-position
from peer import (DATA, KEY, PING, SYN, TIMEOUT, WINDOW, echo, forward_preface, frame, http_engine, listen_tcp,
                  patterned, read_head, wait_until, ws_frame)
from tap import main, test

ALLOW_ALL = ("--policy", "allow-all")


# ---- the life of the link -------------------------------------------------------------------------------------------


@test("U-02,L-04")
def a_connection_that_breaks_is_dialled_again(world):
    server, agent, session = world.connected()
    docker_stream = session.docker(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
    docker_stream.response()
    session.reset()
    session = server.accept()
    assert session.get("/_ping")[0] == 200
    status = agent.wait_status(lambda status: status["state"] == "connected" and status["streams_total"] == 2, "two")
    assert status["reconnects"] == 1
    assert "Connection reset by peer" in status["last_error"]
    assert agent.wait_log("connection_lost")["error"] == status["last_error"]


@test("U-02")
def each_way_to_end_a_connection_is_named(world):
    server, agent, session = world.connected()
    session.send_raw(ws_frame(struct.pack(">H", 1008), 8))
    session.wait_end()
    server.accept().shut()
    session = server.accept()
    session.send_raw(b"\x82\x81\0\0\0\0x")  # a server must not mask
    session.wait(lambda: session.close_code == 1002, "close 1002")
    session = server.accept()
    errors = [agent.wait_log("connection_lost", i)["error"] for i in (1, 2, 3)]
    assert "1008" in errors[0] and errors[1] == "the peer closed the connection", errors
    assert len(set(errors)) == 3


@test("L-01,T14")
def a_silent_server_is_found_and_left(world):
    server = world.server()
    docker = world.docker(echo)
    agent = world.agent(server.url, *ALLOW_ALL, "--ping-interval", "100ms", "--ping-missed", "2")
    session = server.accept()
    stream = session.docker(b"x")
    stream.read(1)
    session.answer_pings = False
    session.wait_end()
    assert agent.wait_log("connection_lost")["error"] == "the peer is silent"
    wait_until(lambda: docker.live == 0, "the engine's connection to end")
    server.accept()


@test("L-01")
def a_server_that_answers_pings_is_never_left(world):
    _, agent, session = world.connected("--ping-interval", "100ms", "--ping-missed", "100")
    session.wait(lambda: session.pings_heard == 5, "five pings")
    assert session.get("/_ping")[0] == 200
    assert not agent.events("connection_lost")


@test("Y-01,U-02")
def malformed_yamux_ends_the_session_with_go_away_and_is_survived(world):
    server, agent, session = world.connected()
    bad = (b"\x07" + bytes(11), frame(9, 0, 0, 0), frame(WINDOW, SYN, 3, 0), frame(PING, SYN, 2, 0),
           frame(DATA, SYN, 2, 300000))
    for i, payload in enumerate(bad):
        session.send(payload)
        session.wait_end()
        assert session.go_away == 1, "no protocol error for %s" % payload.hex()
        assert agent.wait_log("connection_lost", i + 1)["error"]
        session = server.accept()
    assert session.get("/_ping")[0] == 200


@test("AC-16,U-02")
def a_refused_key_is_reported_as_such_and_retried_slowly(world):
    server = world.server()
    agent = world.agent(server.url, "--unauthorized-delay", "1h")
    server.refuse(b"HTTP/1.1 401 Unauthorized\r\n\r\n")
    line = agent.wait_log("dial_unauthorized")
    assert "refused the auth key (401)" in line["error"]
    assert 30 * 60000 <= line["retry_ms"] <= 90 * 60000
    status = agent.wait_status(lambda status: status["state"] == "waiting", "waiting")
    assert "401" in status["last_error"] and status["retry_at"]


@test("AC-16,U-02")
def after_a_401_the_key_is_tried_again(world):
    server = world.server()
    world.docker(http_engine)
    agent = world.agent(server.url, "--unauthorized-delay", "30ms")
    server.refuse(b"HTTP/1.1 401 Unauthorized\r\n\r\n")
    session = server.accept()
    assert session.get("/_ping")[0] == 200
    assert len(agent.events("dial_unauthorized")) == 1


@test("U-02")
def every_other_answer_is_named(world):
    server = world.server()
    agent = world.agent(server.url)
    answers = (
        (b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n", "503 Service Unavailable instead of 101"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "is the path in --server-url right?"),
        (b"HTTP/1.1 302 Found\r\nLocation: https://other/\r\n\r\n", "points to https://other/"),
        (b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
         "no WebSocket upgrade"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not speak HTTP"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "does not answer in HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20000, "more than 16384 bytes"),
        (b"", "closed the connection before it answered"))
    for i, (answer, words) in enumerate(answers):
        server.refuse(answer)
        line = agent.wait_log("dial_failed", i + 1)
        assert words in line["error"] or "Connection reset" in line["error"], line
        assert line["retry_ms"] <= 40


@test("U-02")
def a_server_that_is_not_there_is_named(world):
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    agent = world.agent("ws://127.0.0.1:%d" % port)
    assert agent.wait_log("dial_failed", 3)["error"] == (
        "connect to the server 127.0.0.1:%d: Connection refused" % port)
    agent.close()
    agent = world.agent("ws://name.invalid:80")
    assert agent.wait_log("dial_failed")["error"].startswith("look-up of the server name.invalid: ")


@test("U-02,L-08")
def a_server_that_accepts_and_says_nothing_is_given_up(world):
    server = world.server()
    agent = world.agent(server.url, "--dial-timeout", "1s")
    sock, _ = server.accept_request()
    assert agent.wait_log("dial_failed")["error"] == "no connection after 1000 ms, waiting for the server's answer"
    assert sock.recv(1) == b""
    sock.close()


@test("AC-16,X4")
def the_request_is_the_observed_one_and_the_key_is_nowhere_else(world):
    server, agent, session = world.connected(environment={"ORTHRUS_AGENT_ID": "web 01"})
    head = session.request
    assert head.startswith("GET /api/v1/ws/orthrus/connect HTTP/1.1\r\n")
    assert "\r\nAuthorization: Bearer %s\r\n" % KEY in head
    assert "\r\nX-Orthrus-Name: web 01\r\n" in head and "\r\nX-Orthrus-Version: " in head
    assert "Sec-WebSocket-Extensions" not in head and "Sec-WebSocket-Protocol" not in head
    assert session.get("/_ping")[0] == 200
    session.reset()
    server.refuse(b"HTTP/1.1 401 Unauthorized\r\n\r\n")
    agent.wait_log("dial_unauthorized")
    with open(agent.status_path, encoding="utf-8") as file:
        assert "5ec2e7" not in file.read()
    agent.end()
    assert "5ec2e7" not in "".join(agent.lines)


@test("AC-16,X4")
def a_key_on_the_command_line_is_hidden_and_one_in_a_file_is_read(world):
    server = world.server()
    agent = world.agent(server.url, "--auth-key", KEY, key=None)
    assert "Bearer " + KEY in server.accept().request
    agent.wait_log("key_on_command_line")
    with open("/proc/%d/cmdline" % agent.process.pid, "rb") as file:
        assert b"5ec2e7" not in file.read()
    agent.close()
    path = os.path.join(world.folder, "key")
    with open(path, "w", encoding="ascii") as file:
        file.write(KEY + "\n")
    agent = world.agent(server.url, "--auth-key-file", path, key=None)
    assert "Bearer " + KEY in server.accept().request
    assert not agent.events("key_on_command_line")


# ---- nothing is left behind -----------------------------------------------------------------------------------------


@test("U-02,O6")
def a_hundred_streams_leave_no_descriptor(world):
    docker = world.docker(http_engine)
    port = listen_tcp(world, echo)
    server = world.server()
    agent = world.agent(server.url, "--forward-allow", "localhost:%d" % port)
    session = server.accept()
    session.get("/_ping")
    wait_until(lambda: docker.live == 0, "the engine's connection to end")
    before = agent.descriptors()
    for i in range(100):
        stream = session.docker(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
        stream.response()
        if i % 2:
            stream.abort()
        else:
            stream.finish()
            stream.read_all()
        other = session.open(forward_preface("localhost:%d" % port) + b"x")
        other.read(1)
        other.abort()
    wait_until(lambda: agent.descriptors() == before, "%d descriptors" % before)


@test("U-02,O6")
def a_hundred_sessions_leave_no_descriptor_and_no_memory(world):
    server, agent, session = world.connected(*ALLOW_ALL, handler=echo)
    memory = 0
    for i in range(100):
        stream = session.docker(b"x")
        stream.read(1)
        if i == 20:
            before, memory = agent.descriptors(), agent.memory()
        (session.reset, session.shut)[i % 2]()
        session = server.accept()
    stream = session.docker(b"x")
    stream.read(1)
    wait_until(lambda: agent.descriptors() == before, "%d descriptors" % before)
    # a sanitizer keeps what was freed, and finds leaks by itself
    assert world.sanitized or agent.memory() - memory < 4 << 20


@test("P-05")
def no_mapping_costs_a_huge_page(world):
    _, agent, _ = world.connected()
    with open("/proc/%d/status" % agent.process.pid, encoding="ascii") as file:
        assert "THP_enabled:\t0\n" in file.read()


# ---- TLS and proxies ------------------------------------------------------------------------------------------------


@test("U-02,X30")
def tls_with_a_private_ca_carries_megabytes(world):
    paths = world.certificates()
    _, agent, session = world.connected(*ALLOW_ALL, "--ca-file", paths["ca"], handler=echo, context=world.tls(paths))
    data = patterned(2 << 20)
    stream = session.docker()
    sender = threading.Thread(target=lambda: (stream.send(data), stream.finish()), daemon=True)
    sender.start()
    assert stream.read_all() == data
    assert agent.wait_log("connected")["tls"] == "TLSv1.3"


def refuse_tls(server):
    """Accept connections whose handshake will fail, until the listener is closed."""
    def run():
        while True:
            try:
                server.accept_request()
            except (ssl.SSLError, ConnectionError, AssertionError):
                continue
            except OSError:
                return
    threading.Thread(target=run, daemon=True).start()


@test("U-02,X30")
def a_certificate_of_an_unknown_ca_is_refused_with_the_remedy(world):
    paths, other = world.certificates(), world.certificates("other")
    server = world.server(world.tls(paths))
    refuse_tls(server)
    for arguments in (("--ca-file", other["ca"]), ()):
        agent = world.agent(server.url, *arguments)
        error = agent.wait_log("dial_failed")["error"]
        assert error.startswith("the certificate of localhost is not trusted: "), error
        assert "--ca-file" in error
        agent.close()


@test("U-02,X30")
def a_certificate_for_another_name_is_refused(world):
    paths = world.certificates("other.example")
    server = world.server(world.tls(paths))
    refuse_tls(server)
    for host in ("localhost", "127.0.0.1"):
        agent = world.agent("wss://%s:%d" % (host, server.port), "--ca-file", paths["ca"])
        assert agent.wait_log("dial_failed")["error"] == (
            "the server's certificate is not for %s; dial it by a name that it carries" % host)
        agent.close()


@test("U-02,X30")
def a_client_certificate_is_shown(world):
    paths, mine = world.certificates(), world.certificates("agent", client=True)
    server = world.server(world.tls(paths, client_ca=mine["ca"]))
    agent = world.agent(server.url, "--ca-file", paths["ca"], "--client-cert", mine["cert"], "--client-key",
                        mine["key"])
    session = server.accept()
    assert session.sock.getpeercert()["subject"][0][0][1] == "agent"
    session.shut()
    agent.close()
    # before 1.3 the refusal is a part of the handshake, and cannot be overtaken by a reset
    server.context.maximum_version = ssl.TLSVersion.TLSv1_2
    agent = world.agent(server.url, "--ca-file", paths["ca"])
    refuse_tls(server)
    assert agent.wait_log("dial_failed")["error"] == "TLS with localhost failed: sslv3 alert handshake failure"


@test("U-02,X30")
def tls_1_1_is_refused(world):
    paths = world.certificates()
    context = world.tls(paths)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    server = world.server(context)
    agent = world.agent(server.url, "--ca-file", paths["ca"])
    refuse_tls(server)
    assert "TLS with localhost failed: " in agent.wait_log("dial_failed")["error"]


def run_proxy(world, answer=None):
    """A CONNECT proxy: its port, and the requests that it saw."""
    requests = []

    def handle(connection):
        head = read_head(connection)
        requests.append(head)
        if answer:
            connection.sendall(answer)
            connection.close()
            return
        host, port = head.split()[1].rsplit(":", 1)
        far = socket.create_connection((host, int(port)), TIMEOUT)
        connection.sendall(b"HTTP/1.0 200 Connection established\r\n\r\n")

        def copy(source, sink):
            try:
                while True:
                    data = source.recv(65536)
                    if not data:
                        break
                    sink.sendall(data)
                sink.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        threading.Thread(target=copy, args=(far, connection), daemon=True).start()
        copy(connection, far)
    return listen_tcp(world, handle), requests


@test("U-02")
def a_proxy_is_used_for_wss_and_ws(world):
    paths = world.certificates()
    port, requests = run_proxy(world)
    world.docker(http_engine)
    for context, variable in ((world.tls(paths), "HTTPS_PROXY"), (None, "http_proxy")):
        server = world.server(context)
        agent = world.agent(server.url, "--ca-file", paths["ca"],
                            environment={variable: "http://user:p%%40ss@127.0.0.1:%d" % port})
        session = server.accept()
        assert session.get("/_ping")[0] == 200
        head = requests.pop()
        assert head.startswith("CONNECT %s HTTP/1.1\r\n" % server.url.split("//")[1])
        assert base64.b64encode(b"user:p@ss").decode() in head
        assert KEY not in head
        agent.close()


@test("U-02")
def no_proxy_goes_past_the_proxy(world):
    port, requests = run_proxy(world)
    world.docker(http_engine)
    server = world.server()
    world.agent(server.url, environment={"HTTP_PROXY": "127.0.0.1:%d" % port, "NO_PROXY": "127.0.0.0/8"})
    assert server.accept().get("/_ping")[0] == 200
    assert not requests


@test("U-02")
def a_proxy_that_refuses_is_named(world):
    server = world.server()
    for answer, words in ((b"HTTP/1.1 407 X\r\n\r\n", "wants a user name"), (b"HTTP/1.1 403 No\r\n\r\n", "403 No"),
                          (b"hello\r\n\r\n", "proxy does not")):
        port, _ = run_proxy(world, answer)
        agent = world.agent(server.url, environment={"HTTP_PROXY": "http://127.0.0.1:%d" % port})
        assert words in agent.wait_log("dial_failed")["error"]
        agent.close()


# ---- the end --------------------------------------------------------------------------------------------------------


@test("L-06,U-02")
def sigterm_says_goodbye_and_exits_0(world):
    for number in (15, 2):
        server = world.server()
        agent = world.agent(server.url)
        session = server.accept()
        session.ping()
        assert agent.end(number) == 0
        session.wait_end()
        assert session.go_away == 0 and session.close_code == 1001
        assert agent.status()["state"] == "stopped"


@test("L-06")
def sigterm_lets_open_streams_finish_and_takes_no_new_ones(world):
    _, agent, session = world.connected(*ALLOW_ALL, handler=echo)
    stream = session.docker(b"before ")
    stream.read(7)
    agent.process.terminate()
    agent.wait_log("draining")
    session.wait(lambda: session.go_away == 0, "go-away")
    session.open(b"\x01x").wait_reset()
    stream.send(b"after")
    assert stream.read(5) == b"after"
    assert agent.status()["state"] == "draining"
    stream.finish()
    assert stream.read_all() == b""
    assert agent.wait() == 0


@test("L-06,T3")
def sigterm_ends_connections_that_wait_for_their_next_request(world):
    gate = threading.Event()

    def engine(connection):
        read_head(connection)
        gate.wait(TIMEOUT)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        connection.recv(1)
    _, agent, session = world.connected("--drain-timeout", "1h", handler=engine)
    busy = session.docker(b"GET /info HTTP/1.1\r\nHost: d\r\n\r\n")
    unasked = session.docker()
    session.ping()
    agent.process.terminate()
    agent.wait_log("draining")
    assert unasked.read_all() == b""
    unasked.send(b"GET /late HTTP/1.1\r\nHost: d\r\n\r\n")
    unasked.finish()
    gate.set()
    assert busy.response()[2] == b"ok"
    assert busy.read_all() == b""
    busy.finish()
    assert agent.wait() == 0


@test("L-06,L-04")
def a_drain_that_takes_too_long_ends_without_an_orderly_end(world):
    server = world.server()
    docker = world.docker(echo)
    agent = world.agent(server.url, *ALLOW_ALL, "--drain-timeout", "100ms")
    session = server.accept()
    stream = session.docker(b"x")
    stream.read(1)
    assert agent.end() == 0
    session.wait_end()
    assert not stream.fin and session.close_code == 1001
    agent.wait_log("drain_timeout")
    wait_until(lambda: docker.live == 0, "the engine's connection to end")


@test("L-06")
def a_second_signal_ends_at_once(world):
    _, agent, session = world.connected(*ALLOW_ALL, "--drain-timeout", "1h", handler=echo)
    session.docker(b"x").read(1)
    agent.process.terminate()
    agent.wait_log("draining")
    assert agent.end() == 0
    assert agent.status()["state"] == "stopped"


@test("L-06,U-02")
def sigterm_ends_a_dial_and_a_wait(world):
    server = world.server()
    agent = world.agent(server.url)
    sock, _ = server.accept_request()
    assert agent.end() == 0
    assert sock.recv(1) == b""
    sock.close()
    agent = world.agent(server.url, "--reconnect-min", "1h", "--reconnect-max", "1h")
    server.refuse(b"HTTP/1.1 503 No\r\n\r\n")
    agent.wait_log("dial_failed")
    assert agent.end() == 0


@test("U-02")
def systemd_is_told(world):
    path = os.path.join(world.folder, "notify")
    notify = world.add(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    notify.bind(path)
    notify.settimeout(TIMEOUT)
    told = []

    def hear(words):
        while not any(words in text for text in told):
            told.append(notify.recv(4096).decode())
    server = world.server()
    agent = world.agent(server.url, environment={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"})
    hear("READY=1")
    server.accept().ping()
    hear("STATUS=connected")
    hear("WATCHDOG=1")
    told.clear()
    hear("WATCHDOG=1")
    agent.process.terminate()
    hear("STOPPING=1")
    assert agent.wait() == 0


# ---- bad input ------------------------------------------------------------------------------------------------------


@test("U-02")
def every_wrong_setting_is_one_line_and_exit_2(world):
    url = ["--server-url", "wss://localhost:1"]
    key = ["--auth-key", "k"]
    folder = world.folder
    garbage = os.path.join(folder, "garbage")
    with open(garbage, "w", encoding="ascii") as file:
        file.write("not PEM\n")
    paths, other = world.certificates(), world.certificates("other")
    cases = (
        (url, r"auth key required — set ORTHRUS_AUTH_KEY env var or --auth-key flag"),
        (key, r"server URL required — set ORTHRUS_SERVER_URL env var or --server-url flag"),
        (key + ["--server-url", "https://h"], r'invalid server URL: expected WebSocket scheme wss:// \(got '
                                              r'"https://h"\); use wss:// instead of https://'),
        (key + ["--server-url", "gopher://h"], r'invalid server URL: unsupported scheme "gopher": expected wss://'),
        (url + ["--auth-key-file", "/nonexistent"], r'--auth-key-file "/nonexistent": No such file or directory; .*'),
        (url + key + ["--ca-file", "/nonexistent"], r'--ca-file "/nonexistent": No such file or directory; .*PEM.*'),
        (url + key + ["--ca-file", garbage], r'--ca-file ".*garbage": .*; it must hold PEM certificates'),
        (url + key + ["--client-cert", garbage, "--client-key", garbage], r'--client-cert ".*garbage": .*PEM.*'),
        (url + key + ["--client-cert", paths["cert"], "--client-key", other["key"]],
         r'--client-key ".*other-key": key values mismatch; .*'),
        (url + key + ["--client-cert", paths["cert"]], r"--client-cert and --client-key go together.*"),
        (url + key + ["--status-file", "/nonexistent/status"], r'--status-file "/nonexistent/status": No such file .*'),
        (url + key + ["--policy", "open"], r'--policy "open": use read-only or allow-all'),
        (url + key + ["--streams-max", "many"], r'--streams-max "many": give a number from 1 to 32768'),
        (url + key + ["--forward-allow", "db"], r'--forward-allow "db": write each target as HOST:PORT or .*'),
        (url + key + ["--bogus"], r"--bogus is not an option; see --help"),
    )
    environment = {"PATH": os.environ["PATH"]}
    for arguments, words in cases:
        done = subprocess.run([world.program, *arguments], env=environment, capture_output=True, text=True,
                              timeout=TIMEOUT, check=False)
        assert done.returncode == 2, arguments
        assert re.fullmatch("orthrus: " + words + "\n", done.stderr), done.stderr
        assert not done.stdout
    done = subprocess.run([world.program, *url, *key], env=environment | {"HTTPS_PROXY": "socks5://u:secret@p"},
                          capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert (done.returncode, done.stderr) == (
        2, 'orthrus: HTTPS_PROXY: unsupported scheme "socks5": expected http://\n')


@test("U-02")
def help_and_version_are_printed(world):
    for flag, words in (("--help", "usage: orthrus-agent"), ("-help", "--forward-allow"), ("--version", "orthrus-agent ")):
        done = subprocess.run([world.program, flag], capture_output=True, text=True, timeout=TIMEOUT, check=False)
        assert done.returncode == 0 and words in done.stdout and not done.stderr


@test("U-02")
def a_connection_without_tls_is_warned_about_unless_it_is_local(world):
    agent = world.agent("ws://name.invalid:80")
    assert "wss://" in agent.wait_log("connection_not_encrypted")["remedy"]
    agent.close()
    agent = world.agent("ws://127.0.0.1:1")
    agent.wait_log("connecting")
    assert not agent.events("connection_not_encrypted")


@test("U-02,X32")
def a_text_log_has_one_line_an_event(world):
    server = world.server()
    agent = world.agent(server.url, "--log-format", "text")
    server.refuse(b"HTTP/1.1 500 A\tB \xff\x1b[2J\r\n\r\n")
    def lines():
        return [line for line in agent.lines if " dial_failed " in line]
    line = wait_until(lines, "a line")[0]
    assert line.count("\n") == 1 and "\x1b" not in line


if __name__ == "__main__":
    sys.exit(main())
