"""The life of sessions and streams; what ends them from outside."""

import os
import signal
import socket
import threading
import time

from helpers import (
    certificate,
    echo,
    exchange,
    receive,
    refused,
    shared,
    wait_for,
)
from peer import (
    BINARY,
    PATIENCE,
    PING,
    SYN,
    TEXT,
    WS_PING,
    Refused,
    Server,
    frame,
    is_reset,
    read_answer,
    upgrade_head,
    yamux,
)
from tap import test


# ---- life -----------------------------------------------------------------


@test("L-03,T8,T10,T11")
def half_close_crosses_the_tunnel_both_ways(program):
    server = shared(program)
    uuid, key = server.add_agent("l-03")
    peer, port = server.connect_agent(uuid, key)
    with server.dial(port) as client:  # the client ends first
        stream = peer.next_stream(1)
        client.sendall(b"request")
        client.shutdown(socket.SHUT_WR)
        assert stream.read_all() == b"\x01request"
        stream.write(b"late answer")
        stream.finish()
        assert client.recv(100) == b"late answer" and client.recv(1) == b""
    with server.dial(port) as client:  # the far end ends first
        stream = peer.next_stream(2)
        stream.write(b"bye")
        stream.finish()
        assert client.recv(100) == b"bye" and client.recv(1) == b""
        client.sendall(b"late request")
        client.shutdown(socket.SHUT_WR)
        assert stream.read_all() == b"\x01late request"
    peer.close()


@test("L-04,T14,T15")
def a_reset_is_flushed_and_then_an_error_never_an_end(program):
    server = shared(program)
    uuid, key = server.add_agent("l-04")
    peer, port = server.connect_agent(uuid, key)
    with server.dial(port) as client:
        stream = peer.next_stream(1)
        stream.write(b"x" * 100000)
        stream.reset()
        got = 0
        try:
            while part := client.recv(65536):
                got += len(part)
            raise AssertionError(f"an end of file after {got} bytes")
        except ConnectionResetError:
            pass
        assert got == 100000, got
    with server.dial(port) as client:  # the whole session dies
        stream = peer.next_stream(2)
        stream.write(b"half of the ans")
        assert client.recv(100) == b"half of the ans"
        peer.close()
        assert is_reset(client)


@test("L-04,T17")
def a_client_that_resets_has_its_stream_reset(program):
    server = shared(program)
    uuid, key = server.add_agent("l-04-b")
    peer, port = server.connect_agent(uuid, key)
    client = server.dial(port)
    client.sendall(b"x")
    stream = peer.next_stream()
    assert stream.read(2) == b"\x01x"
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    assert stream.wait_reset()
    peer.close()


@test("L-05,T19")
def a_client_that_does_not_read_stalls_only_itself(program):
    server = shared(program)
    uuid, key = server.add_agent("l-05")
    peer, port = server.connect_agent(uuid, key)
    stalled = server.dial(port)
    stream = peer.next_stream(1)
    sender = threading.Thread(
        target=lambda: stream.write(b"s" * (64 << 20)), daemon=True
    )
    sender.start()
    with server.dial(port) as client:
        other = peer.next_stream(2)
        for _ in range(100):
            other.write(b"quick")
            assert receive(client, 5) == b"quick"
    assert sender.is_alive()  # its window is used up
    got = 0
    while got < 64 << 20:
        part = stalled.recv(1 << 20)
        assert part
        got += len(part)
    sender.join(PATIENCE)
    assert got == 64 << 20
    stalled.close()
    peer.close()


@test("L-06,P5")
def sigterm_lets_live_connections_finish(program):
    server = Server(program)
    uuid, key = server.add_agent("l-06")
    idle_uuid, idle_key = server.add_agent("l-06-idle")
    peer, port = server.connect_agent(uuid, key, echo)
    idle, _ = server.connect_agent(idle_uuid, idle_key)
    client = server.dial(port)
    assert exchange(client, b"hello") == b"hello"
    server.signal()
    server.wait_log("draining")
    assert idle.wait_gone() and idle.close_code == 1001, idle.close_code
    status, body = server.call("GET", "/readyz")
    assert status == 503, (status, body)
    try:
        server.upgrade(key)
        raise AssertionError("a new agent was let in")
    except Refused as refusal:
        assert refusal.status == 503, refusal.status
        assert b"draining" in refusal.body
    with server.dial(port) as new:
        status, _, body = read_answer(new)
        assert status == 503 and b"draining" in body, (status, body)
    assert exchange(client, b"still") == b"still"
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""
    assert peer.wait_gone() and peer.close_code == 1001, peer.close_code
    assert server.wait() == 0
    client.close()
    server.stop()


@test("L-06,L-04,T14")
def the_drain_is_bounded_and_ends_in_rst(program):
    server = Server(program, "--drain-timeout", "500ms")
    uuid, key = server.add_agent("l-06-b")
    peer, port = server.connect_agent(uuid, key, echo)
    client = server.dial(port)
    assert exchange(client, b"hello") == b"hello"
    server.signal()
    assert is_reset(client)
    assert peer.wait_gone() and peer.close_code == 1001, peer.close_code
    assert server.wait() == 0
    server.stop()


@test("L-01,L-06")
def a_drain_that_did_not_run_reads_before_it_judges(program):
    """What came meanwhile counts, also when its time is over by then."""
    server = Server(program, "--ping-interval", "1s", "--ping-missed", "1")
    uuid, key = server.add_agent("l-01-drain")
    peer, port = server.connect_agent(uuid, key, echo)
    with server.dial(port) as client:
        assert exchange(client, b"hello") == b"hello"
        server.signal()
        server.wait_log("draining")
        server.signal(signal.SIGSTOP)
        for _ in range(6):
            peer.ping()
            time.sleep(0.25)
        server.signal(signal.SIGCONT)
        assert exchange(client, b"still") == b"still"
        peer.ping()
    assert peer.wait_gone() and peer.close_code == 1001, peer.close_code
    assert server.wait() == 0
    server.stop()


@test("L-06")
def a_second_sigterm_ends_at_once(program):
    server = Server(program, "--drain-timeout", "1h")
    uuid, key = server.add_agent("l-06-c")
    peer, port = server.connect_agent(uuid, key, echo)
    client = server.dial(port)
    assert exchange(client, b"hello") == b"hello"
    server.signal()
    server.wait_log("draining")
    server.signal()
    assert is_reset(client)
    assert server.wait() == 0
    assert peer.wait_gone() and peer.close_code == 1001, peer.close_code
    server.stop()


@test("L-06,U-01")
def an_idle_server_ends_at_the_first_signal_with_0(program):
    for number in (signal.SIGTERM, signal.SIGINT):
        server = Server(program)
        server.signal(number)
        assert server.wait() == 0
        server.stop()


@test("L-07")
def a_websocket_is_only_a_pipe(program):
    server = shared(program)
    uuid, key = server.add_agent("l-07")
    data = os.urandom(40000)
    ways = {
        "text": {"opcode": TEXT},
        "fragments of 4096, a ping between": {"fragment": 4096},
        "fragments of 1": {"fragment": 1},
        "whole": {},
    }
    for name, way in ways.items():
        peer, port = server.connect_agent(uuid, key, echo)
        for field, value in way.items():
            setattr(peer, field, value)
        size = 600 if name == "fragments of 1" else len(data)
        with server.dial(port) as client:
            assert exchange(client, data[:size]) == data[:size], name
        if peer.fragment == 4096:
            wait_for(lambda: b"between" in peer.pongs)
        peer.close()


@test("L-07")
def bytes_may_be_cut_anywhere(program):
    server = shared(program)
    uuid, key = server.add_agent("l-07-b")
    peer, port = server.connect_agent(uuid, key)
    with server.dial(port) as client:
        stream = peer.next_stream()
        one = frame(
            BINARY, yamux(0, 0, stream.number, 5, b"hello") + yamux(PING, SYN, 0, 9)
        )
        with peer.sending:  # nothing else in between
            for i in range(len(one)):
                peer.sock.sendall(one[i : i + 1])
        assert receive(client, 5) == b"hello"
    peer.close()


def early_bytes(server):
    uuid, key = server.add_agent("early")
    early = (
        frame(BINARY, yamux(PING, SYN, 0, 1))
        + frame(TEXT, yamux(PING, SYN, 0, 2)[:5], fin=False)
        + frame(WS_PING, b"early")
        + frame(0, yamux(PING, SYN, 0, 2)[5:])
    )
    for cut in range(0, len(early) + 1, 3):
        peer = server.connect(key, echo, early=early[:cut])
        if cut < len(early):
            peer.send_raw(early[cut:])
        peer.ping(3)
        wait_for(lambda: len(peer.pongs) == 4)
        assert sorted(map(str, peer.pongs)) == sorted(
            map(str, [1, 2, 3, b"early"])
        ), (cut, peer.pongs)
        with server.dial(server.proxy_port(uuid)) as client:
            assert exchange(client, b"hello") == b"hello"
        peer.close()


@test("L-07")
def frames_in_the_same_segment_as_the_request_are_not_lost(program):
    early_bytes(shared(program))


@test("L-07,X30")
def frames_in_the_same_tls_record_as_the_request_are_not_lost(program):
    server = Server(program, tls=certificate())
    early_bytes(server)
    assert server.stop() == 0


@test("L-10")
def a_port_stays_its_agents_over_restarts(program):
    server = Server(program)
    first, second = server.add_agent("l-10-a"), server.add_agent("l-10-b")
    peer, port = server.connect_agent(*first)
    peer.close()
    server.process.terminate()
    assert server.wait() == 0
    again = Server(program, directory=server.directory)
    other, other_port = again.connect_agent(*second)
    assert other_port != port
    peer, same = again.connect_agent(*first)
    assert same == port
    peer.close()
    other.close()
    assert again.stop() == 0
    server.own.cleanup()

# ---- keys and management --------------------------------------------------


@test("H-02,X5")
def delete_ends_the_live_session(program):
    server = shared(program)
    uuid, key = server.add_agent("h-02")
    peer, port = server.connect_agent(uuid, key)
    status, _ = server.call("DELETE", f"/api/v1/orthrus/agents/{uuid}")
    assert status == 204
    assert peer.wait_gone() and peer.close_code == 1008, peer.close_code
    assert refused(port)
    try:
        server.upgrade(key)
        raise AssertionError("a deleted agent was let in")
    except Refused as refusal:
        assert refusal.status == 401
    peer.close()


@test("H-02,X5")
def a_revocation_wins_also_against_an_upgrade_under_way(program):
    server = shared(program)
    token = server.token
    for _ in range(30):
        uuid, key = server.add_agent("x-05-b")
        with server.open() as upgrade, server.open() as revoke:
            upgrade.sendall(upgrade_head("localhost", key))
            revoke.sendall(
                f"POST /api/v1/orthrus/agents/{uuid}/revoke HTTP/1.1\r\n"
                f"Host: localhost\r\nAuthorization: Bearer {token}\r\n"
                "Content-Length: 0\r\n\r\n".encode()
            )
            assert read_answer(revoke)[0] == 200
            try:
                while upgrade.recv(65536):
                    pass  # 101 and a close, a 401, or nothing
            except ConnectionResetError:
                pass
        assert server.agent(uuid)["status"] != "online"


@test("X5,O9")
def a_failed_login_displaces_nobody(program):
    server = shared(program)
    uuid, key = server.add_agent("x-05")
    peer, port = server.connect_agent(uuid, key, echo)
    for value in (f"Bearer {key[:-1]}", "Bearer x", f"bearer {key}"):
        try:
            server.upgrade(key, headers={"Authorization": value})
        except Refused:
            pass
    try:
        server.upgrade(key, headers={"Upgrade": None})
    except Refused:
        pass
    with server.dial(port) as client:
        assert exchange(client, b"hello") == b"hello"
    assert not peer.gone.is_set()
    peer.close()


@test("H-06")
def the_admin_socket_needs_no_token(program):
    server = shared(program)
    assert os.stat(server.socket).st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(server.socket)
        sock.sendall(
            b"GET /api/v1/orthrus/agents HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        status, headers, _ = read_answer(sock)
        assert status == 200, (status, headers)
    status, _ = server.call("GET", "/api/v1/orthrus/agents", token=False)
    assert status == 401
