"""Bad input at the running server: one clear answer, and nobody else
notices."""

import json
import os
import socket
import struct
import subprocess

from lib import raw, ws, yamux
from lib.harness import test
from lib.proc import wait_for
from lib.rig import free_port


def send_raw(address, data, finish=True):
    """Sends bytes and returns all that comes back."""
    host, _, port = address.rpartition(':')
    with socket.create_connection((host, int(port)), 15) as s:
        try:
            s.sendall(data)
            if finish:
                s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return raw.read_end(s)[0]


def status_of(answer):
    return int(answer.split()[1]) if answer.startswith(b'HTTP/1.1 ') else None


class Bystander:
    """An agent that must not notice anything."""

    def __init__(self, run):
        self.server = run.own_server()
        self.uuid, key = self.server.add_agent('bystander')
        self.agent = run.later(yamux.Agent(self.server.address, key))
        self.proxy = self.server.wait_proxy(self.uuid)

    def check(self):
        host, _, port = self.proxy.rpartition(':')
        with socket.create_connection((host, int(port)), 15) as client:
            stream, _ = self.agent.accept()
            self.agent.data(stream, b'fine', yamux.FIN)
            assert raw.Reader(client).to_end() == b'fine'
        assert self.server.proxy(self.uuid) == self.proxy


@test('H-07,X14,X21')
def malformed_http_gets_a_refusal_and_harms_nobody(run):
    scene = Bystander(run)
    address = scene.server.address
    for data in (b'\r\n\r\n', b'\x16\x03\x01\x02\x00\x01\x00', b'GET\r\n\r\n',
                 b'GET / HTTP/9.9\r\nHost: x\r\n\r\n', os.urandom(512),
                 b'GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
                 b'POST /api/v1/orthrus/agents HTTP/1.1\r\nHost: 127.0.0.1'
                 b'\r\nContent-Length: x\r\n\r\n',
                 b'POST /api/v1/orthrus/agents HTTP/1.1\r\nHost: 127.0.0.1'
                 b'\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n'
                 b'\r\nabc',
                 b'G' * 100000, b'GET /' + b'a' * 100000):
        answer = send_raw(address, data)
        status = status_of(answer)
        assert status is None or 400 <= status < 600, (data[:60], answer[:80])
        # never the word of a server that goes on after it
        assert b'HTTP/1.1 200' not in answer and b' 101 ' not in answer
    scene.check()


@test('X14,H-07')
def heads_and_bodies_over_their_limits_are_refused(run):
    scene = Bystander(run)
    server = scene.server
    answer = send_raw(server.address, raw.head(
        'GET', '/healthz', {'X-Long': 'a' * 60000}))
    assert status_of(answer) in (400, 413, 431), answer[:100]
    many = b''.join(b'X-%d: y\r\n' % n for n in range(2000))
    answer = send_raw(server.address, b'GET /healthz HTTP/1.1\r\n'
                      b'Host: 127.0.0.1\r\n' + many + b'\r\n')
    assert status_of(answer) in (400, 413, 431), answer[:100]
    big = json.dumps({'name': 'x' * 100000}).encode()
    answer = send_raw(server.address, raw.head(
        'POST', '/api/v1/orthrus/agents',
        {'Authorization': 'Bearer ' + server.token, 'Host': '127.0.0.1'},
        big))
    assert status_of(answer) == 413, answer[:100]
    scene.check()


@test('H-07')
def wrong_fields_types_routes_and_methods_are_named(run):
    server = run.own_server()
    agents = '/api/v1/orthrus/agents'
    for body, word in (({}, 'name'), ({'name': 5}, 'name'),
                       ({'name': ''}, 'name'), ({'name': 'a\nb'}, 'name'),
                       ({'name': 'x' * 65}, 'name'),
                       ({'name': 'a', 'colour': 'red'}, 'colour')):
        answer = server.call('POST', agents, body)
        assert answer.status == 400, (body, answer.status, answer.body)
        assert word in answer.json()['error'], answer.body
    for text in (b'', b'{', b'[]', b'"x"', b'{"name":"a"}x', b'\xff\xfe'):
        answer = server.call('POST', agents, text)
        assert answer.status == 400, (text, answer.status)
        assert answer.json()['error']
    assert server.call('GET', agents).json() == []
    assert server.call('GET', '/api/v1/nothing').status == 404
    answer = server.call('PUT', agents, {})
    assert answer.status == 405 and 'GET' in answer.fields['Allow']
    unknown = agents + '/00000000-0000-4000-8000-000000000000'
    assert server.call('GET', unknown).status == 404
    assert server.call('DELETE', unknown).status == 404
    for token in ('', 'Bearer x', 'Bearer ' + server.token + 'x'):
        answer = server.call('GET', agents, fields={'Authorization': token})
        assert answer.status == 401, answer.status
        assert answer.json()['error']


@test('H-06,X10,X11')
def browsers_and_foreign_names_are_refused(run):
    server = run.own_server()
    agents = '/api/v1/orthrus/agents'
    for fields, statuses in (
            ({'Host': 'evil.example'}, (403, 421)),
            ({'Origin': 'http://evil.example'}, (403,)),
            ({'Sec-Fetch-Site': 'cross-site'}, (403,))):
        answer = server.call('GET', agents, fields=dict(
            fields, Authorization='Bearer ' + server.token))
        assert answer.status in statuses, (fields, answer.status)


@test('L-07,X14')
def websocket_frames_that_break_the_rules_end_their_own_session(run):
    scene = Bystander(run)
    faults = {
        'unmasked': lambda c: c.send(b'abc', mask=None),
        'reserved bit': lambda c: c.send(b'abc', reserved=0x40),
        'unknown opcode': lambda c: c.send(b'abc', opcode=3),
        'unknown control': lambda c: c.send(b'abc', opcode=11),
        'long ping': lambda c: c.send(b'x' * 126, opcode=ws.PING),
        'fragmented ping': lambda c: c.send(b'x', opcode=ws.PING, fin=False),
        'continuation of nothing': lambda c: c.send(b'x', opcode=ws.CONT),
        'message inside a message': lambda c: (
            c.send(b'x', fin=False), c.send(b'x')),
        'length with its highest bit': lambda c: c.socket.sendall(
            b'\x82\xff' + b'\xff' * 8 + bytes(4)),
        'length in too many bytes': lambda c: c.socket.sendall(
            b'\x82\xfe\x00\x05' + bytes(4) + b'hello'),
    }
    for number, (name, act) in enumerate(faults.items()):
        uuid, key = scene.server.add_agent('bad %d' % number)
        client = run.later(ws.Client(scene.server.address, key))
        scene.server.wait_proxy(uuid)
        act(client)
        code, _ = client.end()
        assert code in (1002, 1009), (name, code)
        scene.server.wait_offline(uuid, 5)
    scene.check()


@test('X14,X17', slow=True)
def connections_that_say_nothing_keep_nobody_out(run):
    """More than may be open before authentication, from one address."""
    scene = Bystander(run)
    host, _, port = scene.server.address.rpartition(':')
    drips = []
    for _ in range(600):
        try:
            s = run.later(socket.create_connection((host, int(port)), 15))
            drips.append(s)
            s.sendall(b'GET /api')
        except OSError:
            pass  # it is one too many, and told so

    def another():
        # one that has just come keeps its place for a moment
        try:
            uuid, key = scene.server.add_agent('another')
            run.later(yamux.Agent(scene.server.address, key))
            return scene.server.wait_proxy(uuid)
        except OSError:
            return ''
    wait_for('another agent to be let in', another, 10)
    scene.check()
    before = scene.server.process.fds()
    for s in drips:
        s.close()
    wait_for('their descriptors to be free',
             lambda: scene.server.process.fds() < before or before < 60)


@test('X3,AC-16', slow=True)
def a_storm_of_wrong_keys_harms_no_session(run):
    scene = Bystander(run)
    for number in range(500):
        try:
            ws.Client(scene.server.address,
                      'ch_orthrus_%064x' % number).close()
        except ws.Refused as refusal:
            assert refusal.status in (401, 429), refusal.status
    scene.check()


def start_and_end(run, *options, environment=None):
    """Runs orthrusd that is expected to refuse; (status, errors)."""
    program = run.programs.check(run.programs.server)
    done = subprocess.run([program, *options], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=20, check=False, env=environment)
    return done.returncode, done.stderr.decode()


@test('U-01,X31,X13')
def an_unusable_configuration_is_named_with_its_remedy(run):
    data = run.path('data')
    config = run.path('ini')
    with open(config, 'w', encoding='ascii') as file:
        file.write('[server]\nlisen = 127.0.0.1:1\n')
    cases = [
        (2, 'lisen', ['--config', config]),
        (2, '/nothing.ini', ['--config', '/nothing.ini']),
        (2, '--nonsense', ['--nonsense']),
        (2, 'listen', ['--listen', 'nonsense', '--data-dir', data]),
        (2, '0.0.0.0', ['--listen', '0.0.0.0:0', '--data-dir', data]),
        (2, 'tls', ['--tls-cert', '/x', '--data-dir', data]),
        (2, 'log', ['--log-level', 'loud', '--data-dir', data]),
    ]
    for status, word, options in cases:
        code, errors = start_and_end(run, *options)
        assert code == status, (options, code, errors)
        assert word in errors, (word, errors)
        assert len(errors.strip().splitlines()) == 1, errors


@test('U-01,X29')
def what_the_server_cannot_use_is_one_line_and_status_1(run):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        address = '127.0.0.1:%d' % taken.getsockname()[1]
        code, errors = start_and_end(run, '--listen', address, '--data-dir',
                                     run.path('d'))
        assert code == 1 and address in errors, (code, errors)
    file = run.path('file')
    with open(file, 'w', encoding='ascii'):
        pass
    free = '127.0.0.1:%d' % free_port()
    code, errors = start_and_end(run, '--listen', free, '--data-dir', file)
    assert code in (1, 2) and file in errors, (code, errors)
    opened = run.path('open')
    os.mkdir(opened, 0o755)
    os.chmod(opened, 0o777)
    code, errors = start_and_end(run, '--listen', free, '--data-dir', opened)
    assert code in (1, 2) and opened in errors, (code, errors)
    broken = run.path('broken')
    os.mkdir(broken, 0o700)
    with open(broken + '/orthrus.db', 'wb') as database:
        database.write(struct.pack('>I', 7) * 4096)
    os.chmod(broken + '/orthrus.db', 0o600)
    code, errors = start_and_end(run, '--listen', free, '--data-dir', broken)
    assert code == 1 and 'orthrus.db' in errors, (code, errors)
