"""What the original change asked for (AC-01 to AC-16)."""

import os
import socket
import sqlite3
import threading
import time

from helpers import (
    agent_ports,
    ask,
    docker,
    echo,
    exchange,
    listeners,
    refused,
    shared,
    wait_for,
)
from peer import (
    GO_AWAY,
    RST,
    Refused,
    Server,
    frame,
    is_reset,
    read_answer,
    yamux,
)
from tap import test


@test("AC-01")
def the_proxy_is_bound_to_127_0_0_1_and_nothing_else(program):
    server = shared(program)
    uuid, key = server.add_agent("ac-01")
    peer, port = server.connect_agent(uuid, key, echo)
    mine = [entry for entry in listeners(server) if entry[1] == port]
    assert [host for host, _, _ in mine] == ["127.0.0.1"], mine
    assert refused(port, "127.0.0.2")
    with server.dial(port) as client:
        assert exchange(client, b"hello") == b"hello"
    peer.close()


@test("AC-01")
def two_agents_have_ports_of_the_kernels_choice(program):
    server = shared(program)
    first, second = server.add_agent("ac-01-a"), server.add_agent("ac-01-b")
    a, port_a = server.connect_agent(*first, echo)
    b, port_b = server.connect_agent(*second, echo)
    assert port_a != port_b and min(port_a, port_b) >= 1024
    a.close()
    b.close()


@test("AC-02,H-03")
def the_address_is_empty_before_and_after_and_live_between(program):
    server = shared(program)
    uuid, key = server.add_agent("ac-02")
    before = server.agent(uuid)
    assert before["proxy_address"] == "" and before["status"] != "online"
    peer, port = server.connect_agent(uuid, key)
    live = server.agent(uuid)
    assert live["proxy_address"] == f"127.0.0.1:{port}", live
    assert live["status"] == "online", live
    peer.close()
    server.wait_agent(uuid, lambda a: a["proxy_address"] == "")
    assert server.agent(uuid)["status"] == "offline"


@test("AC-03")
def a_live_proxy_is_not_started_again(program):
    server = shared(program)
    uuid, key = server.add_agent("ac-03")
    peer, port = server.connect_agent(uuid, key, echo)
    before = [entry for entry in listeners(server) if entry[1] == port]
    for value in range(50):  # each is a burst, after which wants are asked for
        peer.ping(value)
    with server.dial(port) as client:
        assert exchange(client, b"hello") == b"hello"
    after = [entry for entry in listeners(server) if entry[1] == port]
    assert before == after and len(after) == 1, (before, after)
    assert server.agent(uuid)["proxy_address"] == f"127.0.0.1:{port}"
    peer.close()


@test("AC-04")
def a_session_that_is_gone_at_once_leaves_no_listener(program):
    server = shared(program)
    uuid, key = server.add_agent("ac-04")
    before = agent_ports(server)
    for _ in range(30):
        sock, _, _ = server.upgrade(key)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()  # RST, as early as can be
    server.wait_agent(uuid, lambda a: a["status"] != "online")
    assert server.agent(uuid)["proxy_address"] == ""
    assert agent_ports(server) == before


@test("AC-05,AC-14,L-04,X5")
def closing_refuses_new_dials_resets_live_ones_and_closes_the_websocket(program):
    server = shared(program)
    uuid, key = server.add_agent("ac-05")
    peer, port = server.connect_agent(uuid, key, echo)
    baseline = server.descriptors()
    with server.dial(port) as client:
        assert exchange(client, b"hello") == b"hello"
        status, _ = server.call("POST", f"/api/v1/orthrus/agents/{uuid}/revoke")
        assert status == 200
        assert refused(port)
        assert is_reset(client)
    assert peer.wait_gone()
    assert peer.close_code == 1008, peer.close_code
    status, _ = server.call("POST", f"/api/v1/orthrus/agents/{uuid}/revoke")
    assert status == 200  # closing twice is harmless
    server.wait_agent(uuid, lambda a: a["status"] == "offline")
    peer.close()
    wait_for(lambda: server.descriptors() < baseline)


@test("AC-06,T8")
def each_connection_is_a_stream_that_begins_with_01(program):
    server = shared(program)
    uuid, key = server.add_agent("ac-06")
    peer, port = server.connect_agent(uuid, key)
    with server.dial(port) as one, server.dial(port) as two:
        one.sendall(b"GET /one")
        first = peer.next_stream(1)
        two.sendall(b"GET /two")
        second = peer.next_stream(2)
        got = sorted([first.read(9), second.read(9)])
        assert got == [b"\x01GET /one", b"\x01GET /two"], got
        assert {first.number, second.number} == {2, 4}
    peer.close()


@test("AC-06")
def the_agents_side_may_speak_first(program):
    server = shared(program)
    uuid, key = server.add_agent("ac-06-b")
    peer, port = server.connect_agent(uuid, key)
    with server.dial(port) as client:
        stream = peer.next_stream()
        stream.write(b"welcome")
        assert client.recv(100) == b"welcome"
        client.sendall(b"thanks")
        assert stream.read(7) == b"\x01thanks"
    peer.close()


@test("AC-06,L-03")
def every_byte_value_goes_both_ways_unchanged(program):
    server = shared(program)
    uuid, key = server.add_agent("ac-06-c")
    peer, port = server.connect_agent(uuid, key, echo)
    data = bytes(range(256)) * 4096
    with server.dial(port) as client:
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        got = b""
        while len(got) < len(data):
            part = client.recv(65536)
            assert part
            got += part
        sender.join()
    assert got == data
    peer.close()


@test("AC-07,T33,L-02")
def above_the_stream_limit_the_client_gets_503_in_json(program):
    server = Server(program, "--streams-max", "2")
    uuid, key = server.add_agent("ac-07")
    peer, port = server.connect_agent(uuid, key, echo)
    one, two = server.dial(port), server.dial(port)
    assert exchange(one, b"1") == b"1" and exchange(two, b"2") == b"2"
    with server.dial(port) as client:
        client.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
        status, headers, body = read_answer(client)
        assert status == 503 and headers["connection"] == "close", headers
        assert headers["content-type"] == "application/json"
        assert b'"message"' in body and b"too many open streams" in body, body
        assert client.recv(1) == b""  # ended, and by an end of file
    one.close()
    two.close()
    server.wait_agent(uuid, lambda a: True)
    peer.close()
    assert server.stop() == 0


@test("AC-07")
def after_the_agents_go_away_new_connections_end_with_an_error(program):
    server = shared(program)
    uuid, key = server.add_agent("ac-07-b")
    peer, port = server.connect_agent(uuid, key, echo)
    with server.dial(port) as old:
        assert exchange(old, b"hello") == b"hello"
        peer.send(yamux(GO_AWAY, 0, 0, 0))
        peer.ping(1)
        wait_for(lambda: peer.pongs)  # it was read
        with server.dial(port) as new:
            status, _, body = read_answer(new)
            assert status == 503 and b"message" in body, (status, body)
        assert exchange(old, b"still") == b"still"
    peer.close()


@test("AC-08,T34")
def a_stream_that_the_agent_never_takes_ends_with_an_error(program):
    server = Server(program, "--open-timeout", "1s")
    uuid, key = server.add_agent("ac-08")
    peer, port = server.connect_agent(uuid, key, accept=False)
    with server.dial(port) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert is_reset(client)
    assert peer.next_stream().wait_reset()
    assert not peer.gone.is_set()  # the session lives on
    peer.close()
    assert server.stop() == 0


def container_list(server, **query):
    text = "&".join(f"{k}={v}" for k, v in query.items())
    return server.call("GET", f"/api/v1/docker/containers?{text}")


def remote_server(server, uuid, name="remote"):
    status, body = server.call(
        "POST",
        "/api/v1/remote-servers",
        {
            "name": name,
            "connection_type": "orthrus",
            "orthrus_agent_uuid": uuid,
        },
    )
    assert status == 201, (status, body)
    return body["uuid"]


@test("AC-11,AC-12,H-01")
def the_container_list_is_the_agents_own(program):
    server = shared(program)
    uuid, key = server.add_agent("ac-12")
    remote = remote_server(server, uuid)
    status, body = container_list(server, server_id=remote)
    assert status == 502, (status, body)
    assert body == {"error": "Orthrus agent is not currently connected"}, body

    containers = (
        '[{"Id":"0123456789abcdef","Names":["/web"],"Image":"busybox",'
        '"State":"running","Status":"Up 2 hours","Ports":[],'
        '"NetworkSettings":{"Networks":{"bridge":{"IPAddress":"172.17.0.2"}}}}]'
    )
    peer, port = server.connect_agent(uuid, key, docker(containers))
    status, body = container_list(server, server_id=remote)
    assert status == 200, (status, body)
    assert [c["names"] for c in body] == [["web"]], body
    assert body[0]["id"] == "0123456789ab" and body[0]["ports"] == []
    opened = [stream.number for stream in peer.opened]
    assert opened, "it did not go through the agent"
    peer.close()
    server.wait_agent(uuid, lambda a: a["status"] == "offline")
    assert container_list(server, server_id=remote)[0] == 502


@test("AC-09")
def a_server_without_an_agent_uuid_is_400(program):
    server = shared(program)
    for uuid in ({}, {"orthrus_agent_uuid": ""}):
        status, body = server.call(
            "POST",
            "/api/v1/remote-servers",
            {"name": "ac-09", "connection_type": "orthrus", **uuid},
        )
        assert status == 201, (status, body)
        status, body = container_list(server, server_id=body["uuid"])
        assert status == 400, (status, body)
        error = "Remote server has no Orthrus agent UUID configured"
        assert body == {"error": error}, body


@test("AC-10")
def without_a_tunnel_503_comes_before_400_and_502(program):
    server = Server(program, "--no-tunnel")
    uuid, key = server.add_agent("ac-10")
    for agent in ({}, {"orthrus_agent_uuid": uuid}):
        status, body = server.call(
            "POST",
            "/api/v1/remote-servers",
            {"name": "ac-10", "connection_type": "orthrus", **agent},
        )
        assert status == 201, (status, body)
        status, body = container_list(server, server_id=body["uuid"])
        assert status == 503, (status, body)
        assert body == {"error": "Orthrus subsystem unavailable"}, body
    try:
        server.connect(key)
        raise AssertionError("an agent was taken")
    except Refused as refused:
        assert refused.status == 503, refused
        assert b"takes no agents" in refused.body, refused.body
    server.stop()


@test("AC-13,H-03")
def a_valid_key_registers_a_session_with_its_address(program):
    server = shared(program)
    uuid, key = server.add_agent("ac-13")
    start = os.fstat(server.log.fileno()).st_size
    peer = server.connect(key)
    assert peer.headers["x-orthrus-write-enabled"] == "false"
    line = server.wait_log("agent_connected", start, name="ac-13")
    assert line["remote"].startswith("127.0.0.1:")
    port = server.proxy_port(uuid)
    server.wait_log("proxy_started", start, name="ac-13", port=port)
    peer.close()
    server.wait_log("agent_disconnected", start, name="ac-13")


@test("AC-13")
def a_listener_that_cannot_start_does_not_end_the_session(program):

    server = Server(program)
    uuid, key = server.add_agent("ac-13-b")
    directory = server.directory
    server.process.terminate()
    assert server.wait() == 0
    # Every port belonged to somebody else a moment ago (L-10).
    with sqlite3.connect(os.path.join(server.data, "orthrus.db")) as base:
        other = "00000000-0000-4000-8000-000000000000"
        base.executemany(
            "INSERT INTO ports VALUES (?, ?, ?)",
            ((port, other, time.time_ns()) for port in range(1, 65536)),
        )
    base.close()
    again = Server(program, directory=directory)
    peer = again.connect(key)
    again.wait_log("proxy_failed", name="ac-13-b")
    peer.ping(5)
    agent = again.wait_agent(uuid, lambda a: a["status"] == "online")
    assert agent["proxy_address"] == ""
    assert not peer.gone.is_set()
    peer.close()
    assert again.stop() == 0
    server.own.cleanup()


@test("AC-14")
def a_session_that_dies_takes_its_listener_with_it(program):
    server = shared(program)
    for name in ("fin", "rst", "close", "garbage"):
        uuid, key = server.add_agent(f"ac-14-{name}")
        peer, port = server.connect_agent(uuid, key)
        if name == "fin":
            peer.sock.shutdown(socket.SHUT_WR)
        elif name == "rst":
            linger = b"\1\0\0\0\0\0\0\0"
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            peer.sock.shutdown(socket.SHUT_RD)
            peer.thread.join()
            peer.sock.close()
        elif name == "close":
            peer.send_raw(frame(8, b"\x03\xe8"))
        else:
            peer.send(b"\xff" * 12)
        agent = server.wait_agent(uuid, lambda a: a["status"] == "offline")
        assert agent["proxy_address"] == "" and refused(port), name
        peer.close()


@test("AC-14,L-01")
def a_silent_session_is_found_by_our_own_ping(program):
    server = Server(program, "--ping-interval", "200ms", "--ping-missed", "2")
    uuid, key = server.add_agent("l-01")
    peer, port = server.connect_agent(uuid, key, answer=False)
    assert peer.wait_gone()
    server.wait_log("agent_disconnected", reason="the peer is silent")
    agent = server.wait_agent(uuid, lambda a: a["status"] == "offline")
    assert agent["proxy_address"] == "" and refused(port)
    peer.close()
    assert server.stop() == 0


@test("L-01")
def an_agent_that_answers_pings_stays(program):
    server = Server(program, "--ping-interval", "300ms", "--ping-missed", "5")
    uuid, key = server.add_agent("l-01-b")
    peer, port = server.connect_agent(uuid, key, echo)
    assert not peer.wait_gone(1.5)
    with server.dial(port) as client:
        assert exchange(client, b"hello") == b"hello"
    peer.close()
    assert server.stop() == 0


@test("AC-15")
def a_second_connect_displaces_the_first(program):
    server = shared(program)
    uuid, key = server.add_agent("ac-15")
    first, port = server.connect_agent(uuid, key, echo)
    with server.dial(port) as client:
        assert exchange(client, b"hello") == b"hello"
        second = server.connect(key, echo)
        assert first.wait_gone()
        assert first.close_code == 1008, first.close_code
        assert is_reset(client)
    assert server.proxy_port(uuid) == port  # its own port came back (L-10)
    with server.dial(port) as client:
        assert exchange(client, b"again") == b"again"
    assert len(second.opened) == 1 and len(first.opened) == 1
    first.close()  # a late death of the old one
    second.ping(3)
    agent = server.agent(uuid)
    assert agent["status"] == "online"
    assert agent["proxy_address"] == f"127.0.0.1:{port}"
    second.close()


@test("AC-15")
def connects_at_one_instant_leave_exactly_one_session(program):
    server = shared(program)
    uuid, key = server.add_agent("ac-15-b")
    peers = []
    gate = threading.Barrier(8)

    def connect():
        gate.wait()
        peers.append(server.connect(key, echo))

    threads = [threading.Thread(target=connect) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(peers) == 8
    port = server.proxy_port(uuid)
    with server.dial(port) as client:
        assert exchange(client, b"hello") == b"hello"
    used = [peer for peer in peers if peer.opened]
    assert len(used) == 1
    for peer in peers:
        if peer is not used[0]:
            assert peer.wait_gone()
    assert not used[0].gone.is_set()
    assert len([e for e in listeners(server) if e[1] == port]) == 1
    for peer in peers:
        peer.close()


@test("AC-16,X3")
def a_bad_key_gets_401_and_nothing_more(program):
    server = shared(program)
    _, key = server.add_agent("ac-16")
    bad = {
        "none": None,
        "lower case scheme": f"bearer {key}",
        "empty": "Bearer ",
        "two spaces": f"Bearer  {key}",
        "trailing space": f"Bearer {key} ",
        "basic": f"Basic {key}",
        "short": f"Bearer {key[:-1]}",
        "long": f"Bearer {key}0",
        "upper case": f"Bearer {key.upper()}",
        "unknown": "Bearer ch_orthrus_" + "0" * 64,
        "last digit": f"Bearer {key[:-1]}{'0' if key[-1] != '0' else '1'}",
        "admin token": f"Bearer {server.token}",
        "twice": f"Bearer {key}\r\nAuthorization: Bearer {key}",
    }
    for name, value in bad.items():
        for upgrade in ("websocket", None):  # the key is looked at first
            try:
                server.upgrade(
                    key, headers={"Authorization": value, "Upgrade": upgrade}
                )
                raise AssertionError(f"{name}: let in")
            except Refused as refusal:
                assert refusal.status == 401, (name, refusal.status)
                assert refusal.body == b"", (name, refusal.body)
                assert "www-authenticate" not in refusal.headers, name
    with server.open() as sock:
        nul = b"Bearer " + key.encode() + b"\x00x"
        sock.sendall(
            b"GET /api/v1/ws/orthrus/connect HTTP/1.1\r\nHost: x\r\n"
            b"Authorization: " + nul + b"\r\n\r\n"
        )
        assert read_answer(sock)[0] == 401


@test("AC-16")
def a_good_key_without_an_upgrade_gets_what_it_always_got(program):
    server = shared(program)
    _, key = server.add_agent("ac-16-b")
    wrong = [
        {"Upgrade": None},
        {"Upgrade": "h2c"},
        {"Connection": "keep-alive"},
        {"Connection": None},
        {"Sec-WebSocket-Version": "12"},
        {"Sec-WebSocket-Version": None},
        {"Sec-WebSocket-Key": None},
        {"Sec-WebSocket-Key": "short"},
        {"Sec-WebSocket-Key": "!" * 24},
        {"Content-Length": "5"},
        {"Transfer-Encoding": "chunked"},
    ]
    for headers in wrong:
        try:
            server.upgrade(key, headers=headers)
            raise AssertionError(f"{headers}: upgraded")
        except Refused as refusal:
            assert refusal.status == 400, (headers, refusal.status)
            assert refusal.body == b"Bad Request\n", (headers, refusal.body)
            assert refusal.headers["sec-websocket-version"] == "13", headers


@test("AC-16,X10")
def any_origin_may_open_a_tunnel(program):
    server = shared(program)
    _, key = server.add_agent("ac-16-c")
    sock, _, _ = server.upgrade(
        key, headers={"Origin": "http://evil.example", "Host": "anything"}
    )
    sock.close()


@test("AC-16,X4")
def no_key_and_no_token_is_ever_logged_or_stored(program):
    server = Server(program)
    uuid, key = server.add_agent("x-04")
    peer, port = server.connect_agent(uuid, key, echo)
    for value in (f"Bearer {key}x", f"bearer {key}", key):
        try:
            server.upgrade(key, headers={"Authorization": value})
        except Refused:
            pass
    ask(server, f"GET /{key} HTTP/1.1\r\nX: {key}\r\n{key}\r\n\r\n".encode())
    _, metrics = server.call("GET", "/metrics")
    token = server.token
    secret = key[len("ch_orthrus_") :]
    peer.close()
    server.signal()
    assert server.wait() == 0
    texts = [server.log_text(), str(metrics)]
    for folder, _, names in os.walk(server.data):
        for name in names:
            if name != "admin.token":
                with open(os.path.join(folder, name), "rb") as file:
                    texts.append(file.read().decode("latin-1"))
    for text in texts:
        assert secret not in text and token not in text
    server.stop()
