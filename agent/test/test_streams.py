#!/usr/bin/env python3
"""What orthrus-agent does with a stream: Docker, policy, forward, framing.

  test_streams.py PROGRAM [WORD...]     only tests whose name or id contains a WORD

A scripted server stands in front of the agent, a scripted Docker socket behind it. What runs here is the shipped
program; nothing of it is replaced."""
import hashlib
import json
import os
import socket
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# pylint: disable=wrong-import-position
from peer import (DATA, SYN, TIMEOUT, WINDOW, Session, echo, forward_preface, frame, http_engine, listen_tcp,
                  patterned, read_head, wait_until, ws_frame)
from tap import main, test

ALLOW_ALL = ("--policy", "allow-all")


# ---- bytes through --------------------------------------------------------------------------------------------------


@test("U-02,AC-06")
def a_stream_is_bridged_to_the_docker_socket(world):
    _, _, session = world.connected(*ALLOW_ALL, handler=echo)
    stream = session.docker(b"hello engine")
    assert stream.read(12) == b"hello engine"
    assert stream.acked
    stream.send(b"more")
    assert stream.read(4) == b"more"


@test("U-02,T2,L-05")
def megabytes_go_both_ways_at_once_unchanged(world):
    _, _, session = world.connected(*ALLOW_ALL, handler=echo)
    data = patterned(8 << 20)
    stream = session.docker()
    sender = threading.Thread(target=lambda: (stream.send(data), stream.finish()), daemon=True)
    sender.start()
    back = stream.read_all()
    sender.join(TIMEOUT)
    assert hashlib.sha256(back).digest() == hashlib.sha256(data).digest()


@test("L-03,T8,T9")
def a_half_close_of_the_client_travels_and_the_answer_goes_on(world):
    seen = []

    def engine(connection):
        while True:
            data = connection.recv(65536)
            if not data:
                break
            seen.append(data)
        connection.sendall(b"late ")
        connection.sendall(b"words")
    _, _, session = world.connected(*ALLOW_ALL, handler=engine)
    stream = session.docker(b"question")
    stream.finish()
    assert stream.read_all() == b"late words"
    assert b"".join(seen) == b"question"


@test("L-03,T10")
def a_half_close_of_the_engine_leaves_the_other_direction_open(world):
    seen = []

    def engine(connection):
        connection.recv(1)
        connection.sendall(b"A")
        connection.shutdown(socket.SHUT_WR)
        while True:
            data = connection.recv(65536)
            if not data:
                break
            seen.append(data)
    docker = world.docker(engine)
    server = world.server()
    world.agent(server.url, *ALLOW_ALL)
    session = server.accept()
    stream = session.docker(b"x")
    assert stream.read_all() == b"A"
    stream.send(b"still here")
    stream.finish()
    wait_until(lambda: docker.live == 0, "the engine's connection to end")
    assert b"".join(seen) == b"still here"


@test("L-03")
def a_client_that_asks_nothing_gets_a_clean_end(world):
    for policy in ("read-only", "allow-all"):
        docker = world.docker(echo, name=policy)
        server = world.server()
        world.agent(server.url, "--policy", policy, "--docker-socket", docker.path)
        stream = server.accept().docker()
        stream.finish()
        assert stream.read_all() == b""
        assert docker.accepted == 0


@test("PO-09,T21")
def under_allow_all_a_hijacked_connection_is_full_duplex(world):
    def engine(connection):
        head = read_head(connection)
        assert "Upgrade: tcp" in head
        connection.sendall(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        echo(connection)
    _, _, session = world.connected(*ALLOW_ALL, handler=engine)
    stream = session.docker(b"POST /exec/1/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
    assert stream.read_to(b"\r\n\r\n").startswith(b"HTTP/1.1 101")
    for i in range(50):
        line = b"line %d\n" % i
        stream.send(line)
        assert stream.read(len(line)) == line
    stream.finish()
    assert stream.read_all() == b""


@test("L-04,T14")
def a_reset_of_the_server_ends_the_engines_connection(world):
    server = world.server()
    docker = world.docker(echo)
    world.agent(server.url, *ALLOW_ALL)
    session = server.accept()
    stream = session.docker(b"x")
    stream.read(1)
    assert docker.live == 1
    stream.abort()
    wait_until(lambda: docker.live == 0, "the engine's connection to end")


@test("L-04,T20")
def an_engine_that_breaks_off_is_a_reset_and_its_last_words_arrive(world):
    def engine(connection):
        connection.recv(1)
        connection.sendall(b"last words")
        # closing with bytes unread makes ECONNRESET at the other end
        wait_until(lambda: connection.recv(1, socket.MSG_PEEK), "unread bytes")
    _, _, session = world.connected(*ALLOW_ALL, handler=engine)
    stream = session.docker(b"x" + b"unread" * 100)
    stream.wait_reset()
    assert stream.data == b"last words"


@test("L-05,T19")
def a_stream_that_nobody_reads_stops_its_engine_and_no_other_stream(world):
    sent = [0]

    def engine(connection):
        head = read_head(connection)
        if "/flood" not in head:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            return
        connection.settimeout(0.5)
        try:
            while True:
                sent[0] += connection.send(b"f" * 65536)
        except TimeoutError:
            connection.settimeout(TIMEOUT)
        connection.recv(1)
    _, agent, session = world.connected(*ALLOW_ALL, handler=engine)
    flood = session.docker()
    flood.credit = False
    flood.send(b"GET /flood HTTP/1.1\r\n\r\n")
    flood.wait(lambda: len(flood.data) == 262144, "a full window")
    for _ in range(20):
        assert session.get("/other")[0] == 200
    session.ping()
    assert len(flood.data) == 262144
    assert agent.memory() < 64 << 20


@test("L-05,T19,X15")
def an_engine_that_does_not_read_costs_one_window_and_no_other_stream(world):
    stuck = threading.Event()

    def engine(connection):
        if connection.recv(4) == b"GET ":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            return
        stuck.wait(TIMEOUT)
    _, agent, session = world.connected(*ALLOW_ALL, handler=engine)
    before = agent.memory()
    stream = session.docker(b"stop")
    while stream.window > 0:
        stream.send(b"x" * min(stream.window, 65536))
        session.ping()  # credit for what the socket took is here behind the pong
    assert session.get("/other")[0] == 200
    assert agent.memory() - before < 8 << 20
    stuck.set()


@test("L-02,X15,T19")
def when_the_spill_budget_is_gone_the_greediest_stream_is_reset(world):
    def engine(connection):
        if "/hang" not in read_head(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        connection.recv(1)
    _, agent, session = world.connected("--spill-budget", "1M", handler=engine)
    request = b"GET /networks/hang HTTP/1.1\r\nHost: d\r\n\r\n"
    streams = [session.docker(request) for _ in range(6)]
    for stream in streams:
        stream.send(b"\r" * stream.window)  # waits behind the request that is not answered
    agent.wait_log("stream_evicted")
    wait_until(lambda: any(stream.reset for stream in streams), "a reset")
    assert session.get("/_ping")[0] == 200
    assert not all(stream.reset for stream in streams)


@test("T32")
def three_hundred_streams_at_once_are_all_served(world):
    world.docker(http_engine, backlog=300)  # however late it accepts
    _, _, session = world.connected(handler=None)
    streams = [session.docker() for _ in range(300)]
    for stream in streams:
        stream.send(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
    for stream in streams:
        assert stream.response()[0] == 200


@test("L-02,Y-01")
def one_stream_more_than_streams_max_is_refused_and_harms_nobody(world):
    _, _, session = world.connected(*ALLOW_ALL, "--streams-max", "3", handler=echo)
    streams = [session.docker(b"%d" % i) for i in range(3)]
    for i, stream in enumerate(streams):
        assert stream.read(1) == b"%d" % i
    one_more = session.open(b"\x01x")
    one_more.wait_reset()
    streams[0].finish()
    streams[0].read_all()
    wait_until(lambda: session.ping() is None, "pong")
    again = session.docker(b"y")
    assert again.read(1) == b"y"


# ---- policy ---------------------------------------------------------------------------------------------------------


@test("T3,PO-01,U-02")
def read_only_is_the_default_and_keeps_connections_alive(world):
    docker = world.docker(http_engine)
    server = world.server()
    agent = world.agent(server.url)
    session = server.accept()
    assert agent.wait_log("agent_starting")["policy"] == "read-only"
    stream = session.docker()
    for path in ("/_ping", "/v1.41/containers/json", "/version"):
        stream.send(("GET %s HTTP/1.1\r\nHost: docker\r\n\r\n" % path).encode())
        status, _, body = stream.response()
        assert (status, body) == (200, b"GET %s HTTP/1.1\n" % path.encode())
    assert docker.accepted == 1
    stream.finish()
    assert stream.read_all() == b""
    wait_until(lambda: docker.live == 0, "the engine's connection to end")


@test("T3,X19")
def pipelined_requests_are_answered_in_order(world):
    _, _, session = world.connected()
    stream = session.docker(b"".join(b"GET /containers/%d/json HTTP/1.1\r\nHost: d\r\n\r\n" % i for i in range(50)))
    for i in range(50):
        assert stream.response()[2] == b"GET /containers/%d/json HTTP/1.1\n" % i


@test("PO-05,T33")
def what_the_policy_refuses_is_a_403_that_never_reaches_the_engine(world):
    docker = world.docker(http_engine)
    server = world.server()
    agent = world.agent(server.url)
    session = server.accept()
    for request in (b"POST /containers/x/pause HTTP/1.1\r\nHost: d\r\n\r\n",
                    b"GET /containers/x/archive?path=/ HTTP/1.1\r\nHost: d\r\n\r\n",
                    b"DELETE /containers/x HTTP/1.1\r\nHost: d\r\n\r\n"):
        stream = session.docker(request)
        status, head, body = stream.response()
        assert status == 403 and "application/json" in head
        assert "read-only" in json.loads(body)["message"]
    assert docker.accepted == 0
    line = agent.wait_log("request_refused", 3)
    assert (line["method"], line["path"]) == ("DELETE", "/containers/x")


@test("X19,X21")
def a_request_that_can_be_read_in_two_ways_is_refused(world):
    docker = world.docker(http_engine)
    server = world.server()
    world.agent(server.url)
    session = server.accept()
    stream = session.docker(b"GET /_ping HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
                            b"GET /secret HTTP/1.1\r\nHost: d\r\n\r\n")
    assert stream.response()[0] == 400
    assert stream.read_all() == b""
    assert docker.accepted == 0


@test("L-04,O1")
def an_engine_that_ends_inside_a_response_is_a_reset(world):
    def engine(connection):
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
    _, _, session = world.connected(handler=engine)
    stream = session.docker(b"GET /info HTTP/1.1\r\nHost: d\r\n\r\n")
    stream.wait_reset()
    assert stream.data.endswith(b"only this")


@test("T12,T17,T29")
def a_client_that_leaves_an_idle_event_stream_frees_the_engine(world):
    def engine(connection):
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        if not connection.recv(1):  # as the engine's HTTP server does: the end of the request's connection cancels it
            connection.sendall(b"0\r\n\r\n")
    docker = world.docker(engine)
    server = world.server()
    world.agent(server.url)
    session = server.accept()
    for end in ("finish", "abort"):
        stream = session.docker(b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n")
        stream.read_to(b"first\r\n")
        getattr(stream, end)()
        wait_until(lambda: docker.live == 0, "the engine's connection to end")


@test("T4")
def head_has_no_body_whatever_its_length_says(world):
    _, _, session = world.connected()
    stream = session.docker(b"HEAD /_ping HTTP/1.1\r\nHost: d\r\n\r\nGET /version HTTP/1.1\r\nHost: d\r\n\r\n")
    assert "Api-Version: 1.41" in stream.response("HEAD")[1]
    assert stream.response()[2] == b"GET /version HTTP/1.1\n"


@test("T5")
def a_head_of_60000_bytes_passes_and_one_of_70000_is_431(world):
    _, _, session = world.connected()
    for size, status in ((60000, 200), (70000, 431)):
        stream = session.docker(b"GET /_ping HTTP/1.1\r\nHost: d\r\nX-R: " + b"a" * size + b"\r\n\r\n")
        assert stream.response()[0] == status


@test("T34")
def an_engine_that_does_not_answer_is_a_504(world):
    _, agent, session = world.connected("--response-timeout", "200ms", handler=read_head_and_hang)
    stream = session.docker(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
    status, _, body = stream.response()
    assert status == 504 and "did not answer in time" in json.loads(body)["message"]
    assert stream.read_all() == b""
    assert agent.wait_log("engine_failed")["socket"].endswith("docker.sock")


def read_head_and_hang(connection):
    """Takes a request and says nothing."""
    read_head(connection)
    connection.recv(1)


# ---- no engine ------------------------------------------------------------------------------------------------------


@test("T33,U-02")
def a_missing_socket_is_a_502_that_names_it_and_the_remedy(world):
    for policy in ("read-only", "allow-all"):
        server = world.server()
        agent = world.agent(server.url, "--policy", policy)
        session = server.accept()
        assert agent.wait_log("docker_socket_missing")["socket"].endswith("docker.sock")
        stream = session.docker(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
        status, head, body = stream.response()
        message = json.loads(body)["message"]
        assert status == 502 and "Connection: close" in head
        assert world.folder + "/docker.sock: No such file or directory" in message
        assert "--docker-socket" in message
        assert stream.read_all() == b""
        stream.finish()
        agent.wait_log("engine_unreachable")


@test("T33,U-02")
def an_engine_that_comes_back_is_used_again(world):
    server = world.server()
    world.agent(server.url)
    session = server.accept()
    assert session.get("/_ping")[0] == 502
    world.docker(http_engine)
    assert session.get("/_ping")[0] == 200


@test("T33,U-02")
def a_socket_that_nobody_listens_on_is_a_502(world):
    gone = socket.socket(socket.AF_UNIX)
    gone.bind(os.path.join(world.folder, "docker.sock"))
    gone.close()
    _, _, session = world.connected(*ALLOW_ALL, handler=None)
    stream = session.docker(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
    status, _, body = stream.response()
    assert status == 502 and "Connection refused; is the Docker Engine running?" in json.loads(body)["message"]


@test("U-02,L-08")
def an_engine_that_accepts_slowly_is_waited_for(world):
    docker = world.docker(None, backlog=0)
    server = world.server()
    agent = world.agent(server.url)
    session = server.accept()
    streams = [session.docker(b"GET /containers/%d/json HTTP/1.1\r\nHost: d\r\n\r\n" % i) for i in range(20)]
    session.ping()
    assert not agent.events("engine_unreachable")
    docker.start(http_engine)
    for i, stream in enumerate(streams):
        assert stream.response()[2] == b"GET /containers/%d/json HTTP/1.1\n" % i


@test("L-08,T33")
def an_engine_that_never_accepts_is_given_up(world):
    world.docker(None, backlog=0)
    server = world.server()
    world.agent(server.url, "--connect-timeout", "200ms")
    session = server.accept()
    streams = [session.docker(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n") for _ in range(3)]
    status, _, body = streams[2].response()
    assert status == 502 and "timed out" in json.loads(body)["message"]


# ---- what a stream is for -------------------------------------------------------------------------------------------


@test("U-02,X25")
def a_forward_goes_where_the_list_allows_by_address_and_by_name(world):
    port = listen_tcp(world, echo)
    targets = ["127.0.0.1:%d" % port, "localhost:%d" % port]
    _, _, session = world.connected("--forward-allow", targets[0], "--forward-allow", targets[1])
    for target in targets:
        stream = session.open(forward_preface(target) + b"early ")
        stream.send(b"bytes")
        stream.finish()
        assert stream.read_all() == b"early bytes"


@test("U-02,X25")
def a_forward_is_refused_unless_it_is_allowed(world):
    reached = []
    port = listen_tcp(world, reached.append)
    server, agent, session = world.connected()
    session.open(forward_preface("127.0.0.1:%d" % port)).wait_reset()
    assert agent.wait_log("forward_refused")["target"] == "127.0.0.1:%d" % port
    agent.end()
    world.agent(server.url, "--forward-allow", "127.0.0.1:1")
    session = server.accept()
    session.open(forward_preface("127.0.0.1:%d" % port)).wait_reset()
    assert not reached


@test("U-02,L-04")
def a_forward_that_cannot_connect_is_a_reset(world):
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    targets = "127.0.0.1:%d,name.invalid:1" % port
    _, agent, session = world.connected(environment={"ORTHRUS_FORWARD_ALLOW": targets})
    session.open(forward_preface("127.0.0.1:%d" % port)).wait_reset()
    assert "refused" in agent.wait_log("forward_failed")["error"]
    session.open(forward_preface("name.invalid:1") + b"data").wait_reset()
    assert agent.wait_log("forward_failed", 2)["target"] == "name.invalid:1"


@test("L-03,U-02")
def a_forward_without_a_byte_is_half_closed_all_the_same(world):
    def engine(connection):
        connection.settimeout(TIMEOUT)
        assert connection.recv(1) == b""
        connection.sendall(b"bye")
        connection.close()
    port = listen_tcp(world, engine)
    _, _, session = world.connected("--forward-allow", "localhost:%d" % port)
    stream = session.open(forward_preface("localhost:%d" % port))
    stream.finish()
    assert stream.read_all() == b"bye"


@test("U-02")
def an_unknown_stream_type_is_reset_and_logged(world):
    _, agent, session = world.connected()
    session.open(b"\x07 something").wait_reset()
    assert agent.wait_log("stream_type_unknown")["type"] == "0x07"
    session.open(b"\x02\x00\x00").wait_reset()
    session.open(b"\x02\x00\x03a:b").wait_reset()
    assert agent.wait_log("forward_refused", 2)["error"] == "not a host:port"
    assert session.get("/_ping")[0] == 200


@test("L-08,T34")
def a_stream_that_never_says_what_for_is_given_up(world):
    _, agent, session = world.connected("--connect-timeout", "100ms")
    session.open(b"").wait_reset()
    session.open(b"\x02\x00").wait_reset()
    assert agent.wait_log("stream_setup_timeout")["waiting_for"] == "the first bytes"
    finished = session.open(b"")
    finished.finish()
    finished.wait_reset()


# ---- framing --------------------------------------------------------------------------------------------------------


@test("L-07,U-02")
def text_frames_and_fragments_mean_nothing(world):
    _, _, session = world.connected()
    for opcode, fragment in ((1, 0), (2, 1), (1, 7), (2, 4096)):
        session.opcode, session.fragment = opcode, fragment
        status, _, body = session.get("/containers/json?x=" + "y" * 300)
        assert status == 200 and len(body) > 300
    session.wait(lambda: b"between" in session.pongs, "a pong for the ping between two fragments")


@test("L-07,U-02")
def any_cut_of_the_bytes_gives_the_same_result(world):
    _, _, session = world.connected()
    stream = session.open(b"")
    request = b"\x01GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n"
    message = ws_frame(frame(DATA, 0, stream.number, len(request), request))
    for i in range(len(message)):
        session.send_raw(message[i:i + 1])
    assert stream.response()[0] == 200


@test("L-01,Y-05")
def pings_of_both_kinds_are_answered(world):
    _, _, session = world.connected()
    for _ in range(10):
        session.ping()
    session.send_raw(ws_frame(b"are you there", 9))
    session.wait(lambda: session.pongs == [b"are you there"], "pong")


@test("U-02")
def bytes_in_the_segment_of_the_101_are_not_lost(world):
    request = b"\x01GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n"
    early = ws_frame(frame(WINDOW, SYN, 2, 0)) + ws_frame(frame(DATA, 0, 2, len(request), request))
    paths = world.certificates()
    world.docker(http_engine)
    for context in (None, world.tls(paths)):
        for cut in (1, 13, 20, len(early)):
            server = world.server(context)
            agent = world.agent(server.url, *(("--ca-file", paths["ca"]) if context else ()))
            sock, head = server.accept_request()
            sock.sendall(server.upgrade(head) + early[:cut])
            session = Session(sock, head, opened=1)
            session.send_raw(early[cut:])
            stream = session.streams[2]
            assert stream.response()[0] == 200
            session.shut()
            agent.close()
            server.close()


if __name__ == "__main__":
    sys.exit(main())
