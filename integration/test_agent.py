"""orthrus-agent, with a server that says what the test tells it to."""

import json
import os
import socket
import ssl
import subprocess
import threading

from lib import fake, raw, ws, yamux
from lib.harness import Skip, test
from lib.engine import find
from lib.proc import Process, wait_for
from lib.rig import free_port
from lib.yamux import ACK, DATA, FIN, GOAWAY, PING, SYN, WINDOW

KEY = 'ch_orthrus_' + '5' * 64
ALL = ('--policy', 'allow-all')


class Scene:
    """The agent, connected to a scripted server, and a Docker socket."""

    def __init__(self, run, serve, options=ALL):
        self.path = run.path('s')
        self.docker = run.later(fake.UnixServer(self.path, serve))
        self.listener = run.later(yamux.Listener())
        self.agent = run.own_agent('ours', self.listener, KEY, self.path,
                                   options)
        self.server = self.listener.accept()


def echo(connection):
    while True:
        data = connection.recv(65536)
        if not data:
            return
        connection.sendall(data)


@test('U-02,AC-13')
def it_introduces_itself_as_agents_do(run):
    scene = Scene(run, echo)
    end = scene.server.ws
    assert end.line == 'GET /api/v1/ws/orthrus/connect HTTP/1.1', end.line
    assert end.fields['authorization'] == 'Bearer ' + KEY
    assert end.fields['x-orthrus-name'] == 'test'
    assert 'x-orthrus-version' in end.fields
    assert KEY not in scene.agent.process.text()
    with open('/proc/%d/cmdline' % scene.agent.process.pid, 'rb') as line:
        assert KEY.encode() not in line.read()


@test('Y-01,T8,T10')
def a_stream_is_a_connection_with_two_halves(run):
    scene = Scene(run, echo)
    server = scene.server
    stream = server.open()
    server.data(stream, b'hello')
    assert server.read(stream, 5) == (b'hello', '')
    server.data(stream, b'bye', FIN)
    assert server.read(stream) == (b'bye', 'fin')
    wait_for('the socket to be closed', lambda: not scene.docker.live())


@test('Y-01')
def an_open_is_acknowledged_and_windows_are_kept(run):
    """A peer that gives no more than the first window gets no more."""
    def flood(connection):
        connection.recv(1)
        fake.quietly(fake.send_pattern, connection, 1 << 22)
    scene = Scene(run, flood)
    server = scene.server
    stream = server.open()
    server.data(stream, b'x')
    got, acknowledged = 0, False
    while got < yamux.INITIAL_WINDOW:
        frame = server.next()
        acknowledged |= bool(frame.flags & ACK)
        got += len(frame.body)
    assert acknowledged and got == yamux.INITIAL_WINDOW, got
    # the answer to this ping comes after anything it would still send
    server.send(PING, SYN, 0, 99)
    frame = server.next(answer_pings=False)
    while frame.kind != PING or not frame.flags & ACK:
        assert frame.kind != DATA, 'data beyond the window'
        frame = server.next(answer_pings=False)
    server.send(WINDOW, 0, stream, 1000)
    assert len(server.wait_frame(DATA).body) == 1000


@test('T17')
def a_reset_stream_ends_its_connection_at_once(run):
    gone = threading.Semaphore(0)

    def hold(connection):
        try:
            while connection.recv(65536):
                pass
        finally:
            gone.release()
    scene = Scene(run, hold)
    stream = scene.server.open()
    scene.server.data(stream, b'x')
    wait_for('the connection', lambda: scene.docker.live() == 1)
    scene.server.reset(stream)
    assert gone.acquire(timeout=10)


@test('L-04,T14,T20')
def a_reset_of_the_engine_is_a_reset_of_the_stream(run):
    def rude(connection):
        connection.recv(3)
        connection.sendall(b'part')
    scene = Scene(run, rude)
    stream = scene.server.open()
    scene.server.data(stream, b'x' * 100000)
    body, end = scene.server.read(stream)
    assert (body, end) == (b'part', 'reset'), (body, end)


@test('T33,L-02')
def an_absent_engine_is_an_http_error(run):
    listener = run.later(yamux.Listener())
    for options in (ALL, ()):
        agent = run.own_agent('ours', listener, KEY, run.path('nothing'),
                              options)
        server = listener.accept()
        stream = server.open()
        server.data(stream, raw.head('GET', '/_ping'))
        server.send(DATA, FIN, stream, 0)
        body, _ = server.read(stream)
        assert body[9:12] in (b'502', b'503'), body
        assert b'json' in body and b'nothing' in body, body
        agent.close()


@test('PO-01,X25')
def an_unknown_kind_of_stream_is_refused(run):
    scene = Scene(run, echo)
    for preface in (b'\x00', b'\x03', b'\xff'):
        stream = scene.server.open(preface)
        scene.server.data(stream, b'GET / HTTP/1.1\r\n\r\n')
        assert scene.server.read(stream)[0] == b''
    assert scene.docker.accepted == 0


@test('X22,U-02')
def forwarding_needs_an_entry_in_the_list(run):
    with socket.socket() as listening:
        listening.bind(('127.0.0.1', 0))
        listening.listen(4)
        listening.settimeout(10)
        address = '127.0.0.1:%d' % listening.getsockname()[1]
        head = b'\x02' + len(address).to_bytes(2, 'big') + address.encode()
        for options, allowed in (
                ((), False), (('--forward-allow', '127.0.0.1:1'), False),
                (('--forward-allow', address), True)):
            scene = Scene(run, echo, options)
            stream = scene.server.open(head)
            if not allowed:
                assert scene.server.read(stream)[0] == b''
                continue
            scene.server.data(stream, b'hi')
            far, _ = listening.accept()
            with far:
                assert far.recv(2) == b'hi'
                far.sendall(b'there')
                assert scene.server.read(stream, 5)[0] == b'there'
                far.shutdown(socket.SHUT_WR)
                assert scene.server.read(stream)[1] == 'fin'


@test('L-07,AC-06')
def any_split_of_the_servers_bytes_gives_the_same(run):
    scene = Scene(run, echo)
    server = scene.server
    stream = server.open()
    data = os.urandom(5000)
    whole = yamux.header(DATA, 0, stream, len(data)) + data
    for at in range(0, len(whole), 1):
        server.ws.send(whole[at:at + 1])
    assert server.read(stream, len(data))[0] == data
    server.ws.send(whole[:5], fin=False, opcode=ws.TEXT)
    server.ws.send(b'ping', opcode=ws.PING)
    server.ws.send(whole[5:], opcode=ws.CONT)
    assert server.read(stream, len(data))[0] == data
    assert (ws.PONG, b'ping') in server.ws.controls


@test('L-04,AC-15')
def a_lost_session_ends_its_connections_and_comes_back(run):
    scene = Scene(run, echo)
    for end in (lambda s: s.ws.abort(), lambda s: s.close(),
                lambda s: s.ws.send(b'\x03\xe9', opcode=ws.CLOSE),
                lambda s: s.send(9, 0, 0, 0),
                lambda s: s.send(GOAWAY, 0, 0, 2)):
        stream = scene.server.open()
        scene.server.data(stream, b'up')
        assert scene.server.read(stream, 2)[0] == b'up'
        end(scene.server)
        wait_for('its connections to end', lambda: not scene.docker.live())
        scene.server = scene.listener.accept()


@test('U-02')
def a_refused_key_is_reported_as_such(run):
    listener = run.later(yamux.Listener())
    agent = run.own_agent('ours', listener, KEY, run.path('nothing'))
    listener.accept(b'HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n'
                    b'Connection: close\r\n\r\n')
    agent.process.wait_text('401')
    assert KEY not in agent.process.text()
    # it is not in a hurry to ask again
    listener.socket.settimeout(4)
    try:
        listener.accept(b'HTTP/1.1 401 Unauthorized\r\n\r\n')
        raise AssertionError('a refused key is tried again at once')
    except socket.timeout:
        pass


@test('U-02,X21')
def an_answer_that_is_no_upgrade_is_refused(run):
    for answer in (b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
                   b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket'
                   b'\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: '
                   b'AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n',
                   b'HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n'
                   b'Content-Length: 0\r\n\r\n', b'nonsense\r\n\r\n'):
        listener = run.later(yamux.Listener())
        agent = run.own_agent('ours', listener, KEY, run.path('nothing'))
        listener.accept(answer)
        # it dials again
        server = listener.accept()
        server.send(PING, SYN, 0, 5)
        assert server.wait_frame(PING, ACK).length == 5
        agent.close()


def usage(run, options=(), environment=None):
    program = run.programs.check(run.programs.agent)
    clean = {k: v for k, v in os.environ.items()
             if not k.startswith('ORTHRUS')}
    clean.update(environment or {})
    done = subprocess.run([program, *options], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=20, check=False, env=clean)
    return done.returncode, done.stderr.decode()


@test('U-02')
def an_unusable_configuration_of_the_agent_is_named(run):
    url = {'ORTHRUS_SERVER_URL': 'ws://127.0.0.1:1'}
    key = {'ORTHRUS_AUTH_KEY': KEY}
    for options, environment, word in (
            ((), url, 'ORTHRUS_AUTH_KEY'),
            ((), key, 'ORTHRUS_SERVER_URL'),
            (('--server-url', 'http://h'), key, 'expected WebSocket scheme'),
            (('--server-url', 'ftp://h'), key, 'unsupported scheme'),
            (('--policy', 'nonsense'), {**url, **key}, 'nonsense'),
            (('--nonsense',), {**url, **key}, 'nonsense'),
            (('--ca-file', '/nothing.pem', '--server-url', 'wss://h'), key,
             '/nothing.pem')):
        code, errors = usage(run, options, environment)
        assert code == 2 or (code == 1 and not options), (options, code)
        assert word in errors and KEY not in errors, (word, errors)


def certificates(run):
    """A CA of our own, and a certificate of it for 127.0.0.1."""
    if not find('openssl'):
        raise Skip('openssl is not installed')
    folder = run.path('tls')
    os.mkdir(folder)

    def call(*words):
        subprocess.run(['openssl', *words], cwd=folder, check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
    with open(folder + '/ext', 'w', encoding='ascii') as file:
        file.write('subjectAltName=IP:127.0.0.1,DNS:localhost\n')
    curve = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
             '-nodes')
    for name in ('ca', 'other'):
        call('req', '-x509', *curve, '-keyout', name + '.key', '-out',
             name + '.pem', '-subj', '/CN=' + name, '-days', '2')
    call('req', *curve, '-keyout', 'key.pem', '-out', 'csr', '-subj',
         '/CN=orthrus')
    call('x509', '-req', '-in', 'csr', '-CA', 'ca.pem', '-CAkey', 'ca.key',
         '-CAcreateserial', '-days', '2', '-extfile', 'ext', '-out',
         'cert.pem')
    os.chmod(folder + '/key.pem', 0o600)
    return folder


def tls_server(run):
    """orthrusd with TLS, an agent's uuid and key, and the certificates."""
    folder = certificates(run)
    port = free_port()
    data = run.path('data')
    process = Process('orthrusd', [
        run.programs.check(run.programs.server), '--listen',
        '127.0.0.1:%d' % port, '--data-dir', data, '--tls-cert',
        folder + '/cert.pem', '--tls-key', folder + '/key.pem'],
        run.path('log'))
    run.later(Ender(process))
    context = ssl.create_default_context(cafile=folder + '/ca.pem')

    def call(method, path, body=None):
        fields = {'Connection': 'close', 'Host': 'localhost'}
        if body is not None:
            with open(data + '/admin.token', encoding='ascii') as token:
                fields['Authorization'] = 'Bearer ' + token.read().strip()
        with context.wrap_socket(socket.create_connection(
                ('127.0.0.1', port), 15), server_hostname='localhost') as s:
            s.sendall(raw.head(method, path, fields,
                               json.dumps(body).encode() if body else b''))
            status, _, answer = raw.Reader(s).answer(method)
            return status, answer

    def ready():
        try:
            return call('GET', '/readyz')[0] == 200
        except OSError:
            assert process.alive(), process.tail()
            return False
    wait_for('orthrusd to be ready', ready, 20)
    status, body = call('POST', '/api/v1/orthrus/agents', {'name': 'tls'})
    assert status == 201, body
    made = json.loads(body)
    return port, folder, made['agent']['uuid'], made['auth_key'], process


class Ender:
    """Has a process stopped by run.later()."""

    def __init__(self, process):
        self.process = process

    def close(self):
        self.process.stop(40)


@test('U-02,X30,AC-13', slow=True)
def tls_needs_a_certificate_that_the_agent_trusts(run):
    port, folder, _, key, server = tls_server(run)
    path = run.path('s')
    run.later(fake.UnixServer(path, echo))

    class Address:
        """Where the agent dials."""

        @staticmethod
        def connect_url():
            return 'wss://localhost:%d' % port
    bad = run.own_agent('ours', Address, key, path,
                        ('--ca-file', folder + '/other.pem'))
    bad.process.wait_text('certificate')
    assert len(server.listeners()) == 1
    bad.close()
    good = run.own_agent('ours', Address, key, path,
                         ('--ca-file', folder + '/ca.pem'))
    wait_for('the proxy to listen', lambda: len(server.listeners()) == 2, 20)
    good.close()


@test('U-02', slow=True)
def it_dials_through_a_proxy(run):
    """HTTPS_PROXY and CONNECT, for a server that is not on this host."""
    port, folder, _, key, server = tls_server(run)
    seen = []
    proxy = socket.socket()
    proxy.bind(('127.0.0.1', 0))
    proxy.listen(4)

    def serve():
        while True:
            try:
                near, _ = proxy.accept()
            except OSError:
                return
            head, _ = fake.read_head(near)
            seen.append(head.split(b'\r\n')[0])
            far = socket.create_connection(('127.0.0.1', port), 15)
            near.sendall(b'HTTP/1.1 200 Connection established\r\n\r\n')
            for pair in ((near, far), (far, near)):
                threading.Thread(target=fake.quietly, daemon=True,
                                 args=(pump, *pair)).start()
    threading.Thread(target=serve, daemon=True).start()
    run.later(proxy)
    agent = Process('orthrus-agent', [
        run.programs.check(run.programs.agent), '--ca-file',
        folder + '/ca.pem'], run.path('log'), {
            'ORTHRUS_SERVER_URL': 'wss://localhost:%d' % port,
            'ORTHRUS_AUTH_KEY': key,
            'ORTHRUS_DOCKER_SOCKET': run.path('nothing'),
            'HTTPS_PROXY': 'http://127.0.0.1:%d' % proxy.getsockname()[1]})
    run.later(Ender(agent))
    wait_for('the proxy to listen', lambda: len(server.listeners()) == 2, 20)
    assert seen == [b'CONNECT localhost:%d HTTP/1.1' % port] or seen == [
        b'CONNECT localhost:%d HTTP/1.0' % port], seen


def pump(source, sink):
    while True:
        data = source.recv(65536)
        if not data:
            sink.shutdown(socket.SHUT_WR)
            return
        sink.sendall(data)
