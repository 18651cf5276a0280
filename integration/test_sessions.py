"""The life of a session, with an agent that says what the test tells it to."""

import os
import socket
import threading

from lib import raw, ws, yamux
from lib.harness import test
from lib.proc import wait_for
from lib.yamux import ACK, DATA, FIN, GOAWAY, PING, RST, SYN, WINDOW

LOOPBACK = '0100007F'  # as /proc/net/tcp writes it


def connect(address):
    host, _, port = address.rpartition(':')
    return socket.create_connection((host, int(port)), 15)


def port_of(address):
    return int(address.rpartition(':')[2])


def refused(address):
    try:
        connect(address).close()
    except ConnectionRefusedError:
        return True
    return False


class Scene:
    """A server, and one scripted agent connected to it."""

    def __init__(self, run, options=()):
        self.run = run
        self.server = run.own_server(options)
        self.uuid, self.key = self.server.add_agent('scripted')
        self.agent = self.new_agent()
        self.proxy = self.server.wait_proxy(self.uuid)

    def new_agent(self, key=None):
        return self.run.later(yamux.Agent(self.server.address,
                                          key or self.key))

    def client(self):
        """A client of the proxy and the stream that it became."""
        client = self.run.later(connect(self.proxy))
        stream, rest = self.agent.accept()
        assert not rest
        return client, stream


@test('AC-01,AC-02,AC-13')
def the_proxy_is_on_loopback_alone(run):
    scene = Scene(run)
    listed = scene.server.process.listeners()
    port = port_of(scene.proxy)
    assert scene.proxy == '127.0.0.1:%d' % port
    assert {one for one in listed if one[1] == port} == {(LOOPBACK, port)}
    assert refused('127.0.0.2:%d' % port)
    view = scene.server.agent(scene.uuid)
    assert view['status'] == 'online', view


@test('AC-02,AC-05,AC-14,H-03')
def a_lost_session_takes_its_proxy_with_it(run):
    scene = Scene(run)
    assert not refused(scene.proxy)
    scene.agent.ws.abort()
    scene.server.wait_offline(scene.uuid, 5)
    assert refused(scene.proxy)
    assert not scene.server.agent(scene.uuid).get('proxy_address')
    assert scene.server.agent(scene.uuid)['status'] == 'offline'


@test('AC-06,Y-01')
def each_connection_is_a_stream_of_its_own(run):
    scene = Scene(run)
    ids = []
    for number in range(5):
        client, stream = scene.client()
        ids.append(stream)
        # whichever side speaks first
        if number % 2:
            client.sendall(b'request')
            frame = scene.agent.wait_frame(DATA)
            assert (frame.stream, frame.body) == (stream, b'request')
        scene.agent.data(stream, b'answer')
        assert raw.Reader(client).exactly(6) == b'answer'
        client.sendall(bytes(range(256)))
        body = b''
        while len(body) < 256:
            frame = scene.agent.wait_frame(DATA)
            assert frame.stream == stream
            body += frame.body
        assert body == bytes(range(256))
    assert ids == [2, 4, 6, 8, 10], ids


@test('L-03,T8')
def the_end_of_one_direction_leaves_the_other(run):
    scene = Scene(run)
    client, stream = scene.client()
    client.sendall(b'all')
    client.shutdown(socket.SHUT_WR)
    body, flags = b'', 0
    while not flags & FIN:
        frame = scene.agent.next()
        body, flags = body + frame.body, flags | frame.flags
    assert body == b'all'
    scene.agent.data(stream, b'still')
    reader = raw.Reader(client)
    assert reader.exactly(5) == b'still'
    scene.agent.data(stream, b'', FIN)
    assert raw.read_end(client) == (b'', None)


@test('L-03,T10')
def the_agents_end_of_a_direction_leaves_the_clients(run):
    scene = Scene(run)
    client, stream = scene.client()
    scene.agent.data(stream, b'bye', FIN)
    assert raw.read_end(client) == (b'bye', None)
    client.sendall(b'more')
    assert scene.agent.wait_frame(DATA).body == b'more'
    client.shutdown(socket.SHUT_WR)
    while not scene.agent.next().flags & FIN:
        pass


@test('L-04,T14')
def a_reset_stream_resets_its_client(run):
    scene = Scene(run)
    client, stream = scene.client()
    other, second = scene.client()
    scene.agent.data(stream, b'part')
    scene.agent.reset(stream)
    got, error = raw.read_end(client)
    assert got == b'part' and isinstance(error, ConnectionResetError), (
        got, error)
    scene.agent.data(second, b'well', FIN)
    assert raw.read_end(other) == (b'well', None)


@test('L-04,T15,T16,AC-05')
def what_came_before_a_loss_is_delivered_before_the_reset(run):
    scene = Scene(run)
    data = os.urandom(250000)
    clients = [scene.client() for _ in range(3)]
    for _, stream in clients:
        for at in range(0, len(data), 50000):
            scene.agent.data(stream, data[at:at + 50000])
    # the last frame has arrived when the server answers what follows it
    scene.agent.send(PING, SYN, 0, 4711)
    assert scene.agent.wait_frame(PING, ACK).length == 4711
    scene.agent.ws.abort()
    for client, _ in clients:
        got, error = raw.read_end(client)
        assert got == data, len(got)
        assert isinstance(error, ConnectionResetError), error


@test('L-04,T14,L-07')
def a_close_frame_is_no_clean_end_of_a_stream(run):
    scene = Scene(run)
    client, stream = scene.client()
    scene.agent.data(stream, b'half')
    scene.agent.ws.send(b'\x03\xe8', opcode=ws.CLOSE)
    got, error = raw.read_end(client)
    assert got == b'half' and isinstance(error, ConnectionResetError), error


@test('AC-07,L-04')
def a_connection_that_gets_no_stream_sees_an_error(run):
    scene = Scene(run)
    client, stream = scene.client()
    scene.agent.send(GOAWAY, 0, 0, 0)
    scene.agent.send(PING, SYN, 0, 1)
    scene.agent.wait_frame(PING, ACK)
    with connect(scene.proxy) as late:
        try:
            late.sendall(raw.head('GET', '/_ping'))
        except OSError:
            pass
        got, error = raw.read_end(late)
    # never the clean end of an empty answer
    assert isinstance(error, ConnectionResetError) or got[
        :12] == b'HTTP/1.1 503', (got, error)
    scene.agent.data(stream, b'lives', FIN)
    assert raw.read_end(client) == (b'lives', None)


@test('AC-08,L-04')
def a_stream_that_the_agent_refuses_resets_its_client(run):
    scene = Scene(run)
    client = run.later(connect(scene.proxy))
    frame = scene.agent.next()
    while not frame.flags & SYN:
        frame = scene.agent.next()
    scene.agent.reset(frame.stream)
    client.settimeout(15)
    got, error = raw.read_end(client)
    assert isinstance(error, ConnectionResetError) or got[
        :12] == b'HTTP/1.1 503', (got, error)


@test('AC-15')
def a_second_session_displaces_the_first(run):
    scene = Scene(run)
    client, _ = scene.client()
    first, old = scene.agent, scene.server.session(scene.uuid)
    second = scene.new_agent()
    session = scene.server.wait_session(scene.uuid, old)
    assert isinstance(raw.read_end(client)[1], ConnectionResetError)
    first.ws.end()
    # the late end of the first one does not touch the second
    first.close()
    scene.agent, scene.proxy = second, session.split()[0]
    listeners = {one[1] for one in scene.server.process.listeners()}
    assert listeners == {port_of(scene.proxy), port_of(
        scene.server.address)}, listeners
    client, stream = scene.client()
    second.data(stream, b'new', FIN)
    assert raw.read_end(client) == (b'new', None)
    assert scene.server.session(scene.uuid) == session


@test('AC-15')
def of_many_sessions_at_one_instant_one_remains(run):
    server = run.own_server()
    uuid, key = server.add_agent('many')
    barrier = threading.Barrier(6)
    agents = []

    def dial():
        barrier.wait()
        try:
            agents.append(yamux.Agent(server.address, key))
        except (OSError, EOFError):
            pass
    threads = [threading.Thread(target=dial) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended = []

    def watch(agent):
        try:
            while True:
                agent.next()
        except (OSError, EOFError, AssertionError):
            ended.append(agent)
    for agent in agents:
        run.later(agent)
        agent.ws.socket.settimeout(60)
        threading.Thread(target=watch, args=(agent,), daemon=True).start()
    wait_for('all but one to be closed',
             lambda: len(ended) == len(agents) - 1)
    proxy = server.wait_proxy(uuid)
    port = port_of(proxy)
    own = port_of(server.address)
    wait_for('one proxy', lambda: {
        one[1] for one in server.process.listeners()} == {port, own})


@test('AC-16,K-02,X3')
def a_wrong_key_is_401_with_an_empty_body(run):
    server = run.own_server()
    _, key = server.add_agent('a')
    wrong = [None, '', 'x', key[:-1], key + '0', key.upper(),
             key[:-1] + ('0' if key[-1] != '0' else '1'), ' ' + key,
             'ch_orthrus_' + '0' * 64]
    for one in wrong:
        try:
            ws.Client(server.address, one).close()
            raise AssertionError('%r was let in' % one)
        except ws.Refused as refusal:
            assert (refusal.status, refusal.body) == (401, b''), one
            assert 'www-authenticate' not in refusal.fields
    for scheme in ('bearer ', 'Bearer', 'Basic ', 'Bearer  '):
        try:
            ws.Client(server.address, None,
                      {'Authorization': scheme + key}).close()
            raise AssertionError('%r was let in' % scheme)
        except ws.Refused as refusal:
            assert (refusal.status, refusal.body) == (401, b''), scheme
    # without upgrade fields a wrong key is still what counts
    with connect(server.address) as s:
        status, _, body = raw.ask(s, 'GET', ws.PATH,
                                  {'Authorization': 'Bearer x'})
        assert (status, body) == (401, b'')
    assert key not in server.process.text()
    for one in wrong:
        assert not one or len(one) < 5 or one not in server.process.text()


@test('H-06,AC-16')
def the_two_kinds_of_secret_open_only_their_own_door(run):
    server = run.own_server()
    uuid, key = server.add_agent('a')
    answer = server.call('GET', '/api/v1/orthrus/agents/' + uuid,
                         fields={'Authorization': 'Bearer ' + key})
    assert answer.status == 401, answer.status
    try:
        ws.Client(server.address, server.token).close()
        raise AssertionError('the admin token opened a tunnel')
    except ws.Refused as refusal:
        assert refusal.status == 401
    assert server.token not in server.process.text()


@test('H-02,X5')
def revoking_and_deleting_end_the_session(run):
    scene = Scene(run)
    for end in (('POST', '/revoke'), ('DELETE', '')):
        client, _ = scene.client()
        answer = scene.server.call(
            end[0], '/api/v1/orthrus/agents/' + scene.uuid + end[1])
        assert answer.status in (200, 204), answer.status
        assert isinstance(raw.read_end(client)[1], ConnectionResetError)
        assert scene.agent.ws.end()[0] in (1008, None)
        assert refused(scene.proxy)
        try:
            scene.new_agent()
            raise AssertionError('a revoked key was let in')
        except ws.Refused as refusal:
            assert refusal.status == 401
        scene.uuid, scene.key = scene.server.add_agent('next')
        scene.agent = scene.new_agent()
        scene.proxy = scene.server.wait_proxy(scene.uuid)


@test('L-07,Y-01')
def any_split_into_messages_gives_the_same(run):
    scene = Scene(run)
    client, stream = scene.client()
    data = os.urandom(3000)
    whole = yamux.header(DATA, 0, stream, len(data)) + data

    def single():
        for byte in whole:
            scene.agent.ws.send(bytes([byte]), mask=os.urandom(4))

    def fragments():
        scene.agent.ws.send(whole[:1], fin=False)
        for at in range(1, len(whole), 100):
            scene.agent.ws.send(b'ping', opcode=ws.PING)
            scene.agent.ws.send(whole[at:at + 100], opcode=ws.CONT, fin=False)
        scene.agent.ws.send(b'', opcode=ws.CONT)

    def text():
        scene.agent.ws.send(whole, opcode=ws.TEXT)

    def one_segment():
        scene.agent.ws.socket.sendall(ws.frame(whole) * 3)

    reader = raw.Reader(client)
    for send, times in ((single, 1), (fragments, 1), (text, 1),
                        (one_segment, 3)):
        send()
        assert reader.exactly(len(data) * times) == data * times, send


@test('L-05,P-04')
def a_client_that_does_not_read_stops_only_its_own_stream(run):
    scene = Scene(run)
    slow, stream = scene.client()
    granted = yamux.INITIAL_WINDOW
    piece = bytes(16384)
    sent = 0
    while sent + len(piece) <= granted:
        scene.agent.data(stream, piece)
        sent += len(piece)
    quick, second = scene.client()
    scene.agent.data(second, b'at once')
    assert raw.Reader(quick).exactly(7) == b'at once'
    # credit comes back with what the client takes
    reader = raw.Reader(slow)
    assert len(reader.exactly(sent)) == sent
    for _ in range(sent // 2 // len(piece)):
        scene.agent.data(stream, piece)
    assert len(reader.exactly(sent // 2)) == sent // 2


@test('X16,Y-01', slow=True)
def an_agent_that_breaks_the_protocol_loses_only_its_own_session(run):
    scene = Scene(run)
    client, stream = scene.client()
    bad = {
        'version': lambda a: a.send(DATA, 0, 0, 0, version=1),
        'type': lambda a: a.send(9, 0, 0, 0),
        'ping on a stream': lambda a: a.send(PING, SYN, 3, 1),
        'go-away on a stream': lambda a: a.send(GOAWAY, 0, 3, 0),
        'data beyond the window': lambda a: over(a, scene),
        'credit overflow': lambda a: credit(a, scene),
    }
    for name, act in bad.items():
        uuid, key = scene.server.add_agent(name)
        agent = run.later(yamux.Agent(scene.server.address, key))
        scene.second = scene.server.wait_proxy(uuid)
        try:
            act(agent)
        except OSError:
            pass
        away = None
        try:
            while True:
                frame = agent.next()
                if frame.kind == GOAWAY:
                    away = frame.length
        except (EOFError, OSError):
            pass
        assert away in (1, None), (name, away)
        scene.server.wait_offline(uuid, 5)
        assert refused(scene.second), name
    scene.agent.data(stream, b'untouched', FIN)
    assert raw.read_end(client) == (b'untouched', None)


def over(agent, scene):
    with connect(scene.second):
        stream, _ = agent.accept()
        for _ in range(20):
            agent.data(stream, bytes(1 << 20))


def credit(agent, scene):
    with connect(scene.second):
        stream, _ = agent.accept()
        agent.send(WINDOW, 0, stream, 0xffffffff)
        agent.send(WINDOW, 0, stream, 0xffffffff)


@test('X16')
def streams_that_an_agent_opens_are_reset_and_too_many_end_it(run):
    scene = Scene(run)
    scene.agent.send(WINDOW, SYN, 1, 0)
    frame = scene.agent.next()
    while frame.stream != 1:
        frame = scene.agent.next()
    assert frame.flags & RST, frame
    try:
        for number in range(3, 201, 2):
            scene.agent.send(WINDOW, SYN, number, 0)
        while True:
            scene.agent.next()
    except (EOFError, OSError):
        pass
    scene.server.wait_offline(scene.uuid, 5)


@test('Y-05,Y-01')
def pings_are_answered_with_their_own_value(run):
    scene = Scene(run)
    for value in (0, 1, 0xffffffff):
        scene.agent.send(PING, SYN, 0, value)
        frame = scene.agent.wait_frame(PING, ACK)
        assert frame.length == value, frame


@test('T33,AC-11,AC-14')
def a_proxy_of_an_absent_agent_refuses(run):
    scene = Scene(run)
    scene.agent.ws.abort()
    scene.server.wait_offline(scene.uuid, 5)
    assert refused(scene.proxy)
    remote = scene.server.call('POST', '/api/v1/remote-servers', {
        'name': 'r', 'connection_type': 'orthrus',
        'orthrus_agent_uuid': scene.uuid})
    assert remote.status == 201, remote.body
    answer = scene.server.call('GET', '/api/v1/docker/containers?server_id='
                               + remote.json()['uuid'])
    assert answer.status == 502, answer.status
    assert answer.json() == {
        'error': 'Orthrus agent is not currently connected'}
