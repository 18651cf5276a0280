"""HTTP, WebSocket and yamux from clients and agents that err or mean ill."""

import os
import resource
import socket
import threading

from helpers import (
    ask,
    echo,
    exchange,
    receive,
    shared,
    wait_for,
)
from peer import (
    BINARY,
    PATIENCE,
    SYN,
    WINDOW_UPDATE,
    WS_PING,
    Refused,
    Server,
    Stream,
    frame,
    is_reset,
    read_answer,
    read_head,
    upgrade_head,
    yamux,
)
from tap import test


# ---- HTTP -----------------------------------------------------------------


@test("H-07")
def malformed_requests_get_400_and_harm_nobody(program):
    server = shared(program)
    uuid, key = server.add_agent("h-07")
    peer, port = server.connect_agent(uuid, key, echo)
    host = b"Host: localhost\r\n"
    cases = {
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": None,
        b"BREW /pot HTTP/1.1\r\n" + host + b"\r\n": 400,
        b"CONNECT x:1 HTTP/1.1\r\n" + host + b"\r\n": 400,
        b"GET /healthz HTTP/1.1\r\n\r\n": 400,
        b"GET /healthz HTTP/3.0\r\n" + host + b"\r\n": 400,
        b"GET /healthz HTTP/1.1\r\n" + host + host + b"\r\n": 400,
        b"POST /x HTTP/1.1\r\n" + host + b"Content-Length: 1x\r\n\r\n": 400,
        b"POST /x HTTP/1.1\r\n" + host + b"Content-Length: -1\r\n\r\n": 400,
        b"POST /x HTTP/1.1\r\n" + host + b"Content-Length: 1\r\n"
        b"Content-Length: 2\r\n\r\n": 400,
        b"POST /x HTTP/1.1\r\n" + host + b"Content-Length: 3\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n": 400,
        b"POST /x HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\n": 411,
        b"GET /%zz HTTP/1.1\r\n" + host + b"\r\n": None,
        b"GET / HTTP/1.1\r\n" + host + b"X: " + b"y" * 20000 + b"\r\n\r\n": None,
        b"GET /" + b"y" * 20000 + b" HTTP/1.1\r\n" + host + b"\r\n": None,
        b"\r\n" * 50: None,
        b"\x00" * 100: None,
    }
    for request, wanted in cases.items():
        answer = ask(server, request)
        if wanted is not None:
            begin = b"HTTP/1.1 %d " % wanted
            assert answer.startswith(begin), (request[:40], answer[:200])
        else:
            assert not answer.startswith(b"HTTP/1.1 200"), (request[:40], answer)
    with server.dial(port) as client:
        assert exchange(client, b"hello") == b"hello"
    assert not peer.gone.is_set()
    peer.close()


@test("H-07")
def an_upgrade_to_something_else_does_no_harm(program):
    server = shared(program)
    first = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for value in (b"foo", b"h2c", b"websocket", b"", b"websocket, foo"):
        upgrade = (
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
            b"Connection: Upgrade, HTTP2-Settings\r\n"
            b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
            b"Upgrade: " + value + b"\r\n\r\n"
        )
        ask(server, upgrade)
        ask(server, first, upgrade, first)
        with server.open() as sock:
            sock.sendall(first)
            assert read_answer(sock)[0] == 200
            try:  # it may end at any of these
                sock.sendall(upgrade)
                sock.sendall(first)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass
            except OSError:
                pass
    assert server.call("GET", "/healthz")[0] == 200


@test("H-07")
def a_body_above_the_limit_gets_413(program):
    server = shared(program)
    big = {"name": "x" * 65536}
    status, body = server.call("POST", "/api/v1/orthrus/agents", big)
    assert status == 413 and "error" in body, (status, body)
    assert server.call("GET", "/healthz")[0] == 200


@test("H-07,X14,T5")
def a_head_above_the_limit_gets_431(program):
    server = shared(program)
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    many = b"".join(b"X-%d: y\r\n" % n for n in range(2000))
    for fields in (b"X-Long: " + b"a" * 17000 + b"\r\n", many):
        for _ in range(3):
            answer = ask(server, head + fields + b"\r\n")
            assert answer.startswith(b"HTTP/1.1 431 "), answer
            assert answer.endswith(b'send fewer headers"}'), answer
    assert b"200 OK" in ask(server, head + b"X-Long: " + b"a" * 9000 + b"\r\n\r\n")


@test("H-07,L-02")
def a_head_above_the_limit_is_nobody_elses_business(program):
    server = shared(program)
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    with server.open() as other, server.open() as idle:
        idle.sendall(head + b"\r\n")
        assert read_answer(idle)[0] == 200
        other.sendall(head + b"X-Slow: " + b"b" * 12000)
        big = head + b"X-Long: " + b"a" * 17000 + b"\r\n\r\n"
        assert b" 200 " not in ask(server, big)
        # behind an answer, where a head may have come early
        assert ask(server, head + b"\r\n" + big).count(b" 200 ") == 1
        other.sendall(b"\r\n\r\n")
        assert read_answer(other)[0] == 200
        idle.sendall(head + b"\r\n")
        assert read_answer(idle)[0] == 200


@test("H-07")
def requests_follow_each_other_on_one_connection(program):
    server = shared(program)
    token = server.token.encode()
    head = b"Host: localhost\r\nAuthorization: Bearer " + token + b"\r\n"
    body = b'{"name":"kept alive"}'
    post = (
        b"POST /api/v1/orthrus/agents HTTP/1.1\r\n"
        + head
        + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    get = b"GET /api/v1/orthrus/agents HTTP/1.1\r\n" + head + b"\r\n"
    with server.open() as sock:
        sock.sendall(get)
        status, headers, _ = read_answer(sock)
        assert status == 200 and headers["connection"] == "keep-alive"
        for byte in post + body:  # cut anywhere
            sock.send(bytes([byte]))
        assert read_answer(sock)[0] == 201
        sock.sendall(post.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        assert receive(sock, 25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert read_answer(sock)[0] == 201
        sock.sendall(get.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        status, headers, _ = read_answer(sock)
        assert status == 200 and headers["connection"] == "close"
        assert sock.recv(1) == b""
    old = ask(server, get.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert old.count(b"Connection: close") == 1, old


@test("H-07")
def a_request_that_does_not_wait_its_turn_is_not_misread(program):
    server = shared(program)
    head = b"Host: localhost\r\nAuthorization: Bearer "
    head += server.token.encode() + b"\r\n"
    body = b'{"name":"pipelined"}'
    get = b"GET /api/v1/orthrus/agents HTTP/1.1\r\n" + head + b"\r\n"
    post = b"POST /api/v1/orthrus/agents HTTP/1.1\r\n" + head
    post += b"Content-Length: %d\r\n\r\n" % len(body) + body
    nobody = post.replace(b"Bearer ", b"Basic ")
    answer = ask(server, get + get)
    assert answer.count(b"HTTP/1.1 200") == 2, answer
    # A body behind another request: whoever pipelines that is disconnected.
    for requests in (get + post, post + post, nobody + nobody, nobody + post,
                     get + post[:20], post + get + post):
        answer = ask(server, requests)
        assert 1 <= answer.count(b"HTTP/1.1 ") <= 2, (requests, answer)
        assert b"HTTP/1.1 400" not in answer, (requests, answer)
    assert server.call("GET", "/healthz")[0] == 200


@test("H-07")
def head_has_the_headers_of_get_and_no_body(program):
    server = shared(program)
    with server.open() as sock:
        sock.sendall(b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        status, head, rest = read_head(sock)
        assert status == 200 and rest == b""
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        status, get, body = read_answer(sock)
    assert status == 200 and len(body) == int(head["content-length"]) > 0
    head.pop("date")
    get.pop("date")
    assert head == get


@test("H-07")
def unknown_routes_are_404_and_wrong_methods_405(program):
    server = shared(program)
    status, body = server.call("GET", "/nobody/is/here")
    assert status == 404 and "error" in body, (status, body)
    with server.open() as sock:
        sock.sendall(
            b"DELETE /healthz HTTP/1.1\r\nHost: localhost\r\n"
            b"Authorization: Bearer " + server.token.encode() + b"\r\n\r\n"
        )
        status, headers, _ = read_answer(sock)
    assert status == 405 and "GET" in headers["allow"], (status, headers)

# ---- the WebSocket and yamux from a hostile agent -------------------------


@test("X16,L-02")
def what_breaks_the_protocol_ends_only_its_own_session(program):
    server = shared(program)
    witness_uuid, witness_key = server.add_agent("witness")
    witness, port = server.connect_agent(witness_uuid, witness_key, echo)
    _, key = server.add_agent("x-16")
    hostile = {
        "unmasked": (frame(BINARY, b"x" * 12, mask=False), 1002),
        "reserved bit": (b"\xc2\x80\x00\x00\x00\x00", 1002),
        "reserved opcode": (frame(3, b""), 1002),
        "long control": (b"\x89\xfe\x00\x7e" + b"\x00" * 130, 1002),
        "fragmented control": (frame(WS_PING, b"", fin=False), 1002),
        "stray continuation": (frame(0, b"x"), 1002),
        "yamux version": (frame(BINARY, b"\x01" + b"\x00" * 11), None),
        "yamux type": (frame(BINARY, b"\x00\x09" + b"\x00" * 10), None),
        "agent opens streams": (
            frame(BINARY, yamux(WINDOW_UPDATE, SYN, 1, 0))
            + b"".join(
                frame(BINARY, yamux(WINDOW_UPDATE, SYN, 2 * i + 3, 0))
                for i in range(50)
            ),
            None,
        ),
    }
    for name, (data, code) in hostile.items():
        peer = server.connect(key)
        peer.send_raw(data)
        assert peer.wait_gone(), name
        if code is not None:
            assert peer.close_code == code, (name, peer.close_code)
        elif name.startswith("yamux"):
            assert peer.went_away == 1, (name, peer.went_away)
        peer.close()
    with server.dial(port) as client:
        assert exchange(client, b"hello") == b"hello"
    assert not witness.gone.is_set()
    witness.close()


@test("X16,L-07")
def what_follows_an_upgrade_is_never_taken_for_a_request(program):
    server = shared(program)
    uuid, key = server.add_agent("x-16-c")
    token = server.token
    behind = [
        f"GET /api/v1/orthrus/agents HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {token}\r\n\r\n".encode(),
        f"POST /api/v1/orthrus/agents/{uuid}/revoke HTTP/1.1\r\n"
        f"Host: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode(),
        upgrade_head("localhost", key),
        upgrade_head("localhost", None),
        b"\n" * 100,
        b"GET",
    ]
    for early in behind:
        sock, _, rest = server.upgrade(key, early)
        with sock:
            sock.shutdown(socket.SHUT_WR)
            try:
                while part := sock.recv(65536):
                    rest += part
            except ConnectionResetError:
                pass
        assert b"HTTP/1.1" not in rest, (early, rest)
    peer, _ = server.connect_agent(uuid, key)  # it was not revoked
    peer.close()


@test("X16")
def a_stream_that_the_agent_opens_is_reset(program):
    server = shared(program)
    _, key = server.add_agent("x-16-b")
    peer = server.connect(key)
    peer.streams[1] = stream = Stream(peer, 1)
    peer.send(yamux(WINDOW_UPDATE, SYN, 1, 0))
    assert stream.wait_reset()
    peer.ping(4)
    assert not peer.gone.is_set()
    peer.close()

# ---- budgets --------------------------------------------------------------


@test("X14")
def a_head_that_is_not_complete_in_time_is_cut_off(program):
    server = Server(program, "--preauth-timeout", "1s")
    with server.open() as silent, server.open() as drip:
        drip.sendall(b"GET / HTTP/1.1\r\nX: ")
        stop = threading.Event()

        def feed():
            try:
                while not stop.wait(0.1):
                    drip.sendall(b"y")
            except OSError:
                pass

        feeder = threading.Thread(target=feed)
        feeder.start()
        for sock in (silent, drip):  # absolute, not from the last byte on
            try:
                assert sock.recv(1) == b""
            except ConnectionResetError:
                pass
        stop.set()
        feeder.join()
    assert server.stop() == 0


@test("X14")
def so_many_have_shown_a_token_and_the_next_waits_for_its_turn(program):
    server = Server(program, "--preauth-max", "8")
    head = (
        f"POST /api/v1/orthrus/agents HTTP/1.1\r\nHost: {server.host}\r\n"
        f"Authorization: Bearer {server.token}\r\n"
        "Content-Length: 12\r\nExpect: 100-continue\r\n\r\n"
    )
    held = []
    for _ in range(8 + 256):
        held.append(server.open())
        held[-1].sendall(head.encode())
        assert receive(held[-1], 25) == b"HTTP/1.1 100 Continue\r\n\r\n"
    with server.open() as late:
        late.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for sock in held:
            sock.sendall(b'{"name":"a"}')
            assert receive(sock, 12) == b"HTTP/1.1 201"
            sock.close()
        assert receive(late, 12) == b"HTTP/1.1 200"
    assert server.stop() == 0


@test("X14")
def connections_that_say_nothing_do_not_keep_agents_out(program):
    server = Server(program)
    uuid, key = server.add_agent("x-14")
    drips = []
    for _ in range(1000):
        try:
            drips.append(server.open())
        except ConnectionResetError:
            pass  # no place is left
    peers = []

    def come_in():
        try:
            peers.append(server.connect(key, echo))
        except OSError:
            pass  # like an agent that tries again
        return peers

    wait_for(come_in)
    with server.dial(server.proxy_port(uuid)) as client:
        assert exchange(client, b"hello") == b"hello"
    peers[0].close()
    for sock in drips:
        sock.close()
    assert server.stop() == 0


@test("X17")
def out_of_descriptors_is_an_error_at_once_and_passes(program):

    server = Server(program)
    uuid, key = server.add_agent("x-17")
    peer, port = server.connect_agent(uuid, key, echo)
    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(
        server.process.pid,
        resource.RLIMIT_NOFILE,
        (server.descriptors() + 3, hard),
    )
    fillers = []

    def one_more_works():
        fillers.append(server.dial(port))
        try:
            return exchange(fillers[-1], b"hello") == b"hello"
        except (AssertionError, ConnectionResetError):
            return False

    try:
        while one_more_works():
            assert len(fillers) < 20
    except ConnectionResetError:
        pass  # as early as that
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (hard, hard))
    for filler in fillers:
        filler.close()
    for _ in range(100):  # the listener rests for a moment
        try:
            with server.dial(port) as client:
                if exchange(client, b"hello") == b"hello":
                    break
        except (AssertionError, OSError):
            pass
    else:
        raise AssertionError("it did not recover")
    assert not peer.gone.is_set()
    peer.close()
    assert server.stop() == 0


@test("L-02")
def more_agents_than_allowed_are_told_so(program):
    server = Server(program, "--agents-max", "1")
    first, second = server.add_agent("one"), server.add_agent("two")
    peer = server.connect(first[1], echo)
    try:
        server.upgrade(second[1])
        raise AssertionError("one too many was let in")
    except Refused as refusal:
        assert refusal.status == 503, refusal.status
        assert b"too many connected agents" in refusal.body
        assert refusal.headers["retry-after"]
    assert not peer.gone.is_set()
    peer.close()
    assert server.stop() == 0


@test("AC-05,L-02")
def nothing_is_left_of_200_sessions(program):
    server = shared(program)
    uuid, key = server.add_agent("leak")
    peer, port = server.connect_agent(uuid, key, echo)
    peer.close()
    server.wait_agent(uuid, lambda a: a["status"] == "offline")
    baseline = server.descriptors()
    for i in range(200):
        peer = server.connect(key, echo)
        if i % 10 == 0:
            with server.dial(server.proxy_port(uuid)) as client:
                assert exchange(client, b"hello") == b"hello"
                peer.close()
                assert is_reset(client)
        peer.close()
    server.wait_agent(uuid, lambda a: a["status"] == "offline")
    wait_for(lambda: server.descriptors() <= baseline)
