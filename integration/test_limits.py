"""Each limit refuses the newcomer, says why, and harms nobody else."""

import shutil
import socket
import subprocess

from lib import raw, ws, yamux
from lib.cli import Spawned
from lib.engine import BUSYBOX
from lib.harness import Skip, test
from lib.proc import wait_for
from test_sessions import Scene, connect, refused


def ending(client):
    """How a refused connection ended; asks for something first."""
    client.settimeout(15)
    try:
        client.sendall(raw.head('GET', '/_ping'))
    except OSError:
        pass
    return raw.read_end(client)


def is_refusal(got, error):
    """An answer that a client can show, or a reset; never a clean end of
    nothing."""
    return got[:10] == b'HTTP/1.1 5' or isinstance(error,
                                                   ConnectionResetError)


@test('L-02,AC-07,T32')
def more_connections_than_streams_are_refused(run):
    scene = Scene(run, ['--streams-max', '4'])
    clients = [scene.client() for _ in range(4)]
    for _ in range(3):
        with connect(scene.proxy) as newcomer:
            assert is_refusal(*ending(newcomer))
    for client, stream in clients:
        scene.agent.data(stream, b'ok', yamux.FIN)
        assert raw.read_end(client) == (b'ok', None)
        client.close()
    # with both directions ended there is room again
    for _, stream in clients:
        frame = scene.agent.wait_frame(yamux.WINDOW, yamux.FIN)
        assert frame.stream in [one[1] for one in clients], frame

    def again():
        client = connect(scene.proxy)
        client.settimeout(0.05)
        try:
            return not client.recv(1) and False
        except socket.timeout:
            return True
        except OSError:
            return False
        finally:
            client.close()
    wait_for('room for another', again)


@test('L-02,X15')
def more_agents_than_allowed_are_refused(run):
    scene = Scene(run, ['--agents-max', '1'])
    _, key = scene.server.add_agent('second')
    try:
        agent = yamux.Agent(scene.server.address, key)
        agent.ws.end()
        agent.close()
    except ws.Refused as refusal:
        assert refusal.status == 503, refusal.status
    client, stream = scene.client()
    scene.agent.data(stream, b'ok', yamux.FIN)
    assert raw.read_end(client) == (b'ok', None)


@test('X14,L-08')
def a_head_that_does_not_end_is_given_up(run):
    """The limit is absolute: bytes that drip do not extend it."""
    server = run.own_server(['--preauth-timeout', '1s'])
    with connect(server.address) as s:
        s.sendall(b'GET / HTTP/1.1\r\n')

        def drip():
            try:
                s.sendall(b'x')
                return False
            except OSError:
                return True
        wait_for('the server to give up', drip, 10)


@test('X14')
def places_before_authentication_are_few_and_come_free(run):
    """Whoever has held one for long gives way; nobody waits for a limit on
    time, which is far off here."""
    server = run.own_server(['--preauth-max', '4', '--preauth-per-address',
                             '4', '--preauth-timeout', '10m'])
    drips = []
    for _ in range(12):
        try:
            drips.append(run.later(connect(server.address)))
            drips[-1].sendall(b'GET ')
        except OSError:
            pass  # refused at once

    def served():
        try:
            return server.call('GET', '/healthz').status == 200
        except OSError:
            return False
    wait_for('a place', served, 10)
    alive = 0
    for s in drips:
        s.settimeout(0.05)
        try:
            alive += bool(s.recv(10)) and 0
        except socket.timeout:
            alive += 1
        except OSError:
            pass
    assert alive <= 4, alive


@test('L-01')
def silence_is_found_after_the_stated_time_and_answers_keep_alive(run):
    scene = Scene(run, ['--ping-interval', '200ms', '--ping-missed', '3'])
    # an agent that answers lives, however long it says nothing else
    for _ in range(8):
        frame = scene.agent.wait_frame(yamux.PING, yamux.SYN)
        scene.agent.send(yamux.PING, yamux.ACK, 0, frame.length)
    assert scene.server.proxy(scene.uuid) == scene.proxy
    client, _ = scene.client()
    got, error = raw.read_end(client)
    assert got == b'' and isinstance(error, ConnectionResetError)
    assert refused(scene.proxy)


@test('T34,L-08')
def a_stream_that_is_not_answered_is_given_up(run):
    scene = Scene(run, ['--open-timeout', '1s'])
    live, stream = scene.client()
    with connect(scene.proxy) as client:
        assert is_refusal(*ending(client))
    scene.agent.data(stream, b'ok', yamux.FIN)
    assert raw.read_end(live) == (b'ok', None)


@test('H-04')
def a_rotated_key_has_an_overlap_that_is_stated(run):
    scene = Scene(run, ['--key-overlap', '1h'])
    path = '/api/v1/orthrus/agents/%s/rotate' % scene.uuid
    answer = scene.server.call('POST', path)
    assert answer.status == 200, (answer.status, answer.body)
    new = answer.json()['auth_key']
    assert new != scene.key
    for key in (new, scene.key):
        run.later(yamux.Agent(scene.server.address, key))
    revoked = scene.server.call(
        'POST', '/api/v1/orthrus/agents/%s/revoke' % scene.uuid)
    assert revoked.status == 200
    for key in (new, scene.key):
        try:
            ws.Client(scene.server.address, key).close()
            raise AssertionError('a revoked key was let in')
        except ws.Refused as refusal:
            assert refusal.status == 401


@test('H-02,X5')
def renaming_keeps_the_session(run):
    scene = Scene(run)
    client, stream = scene.client()
    answer = scene.server.call(
        'PATCH', '/api/v1/orthrus/agents/' + scene.uuid, {'name': 'other'})
    assert answer.status == 200 and answer.json()['name'] == 'other'
    scene.agent.data(stream, b'ok', yamux.FIN)
    assert raw.read_end(client) == (b'ok', None)
    assert scene.server.proxy(scene.uuid) == scene.proxy


@test('H-08', rigs='ours')
def metrics_are_what_promtool_expects(run):
    promtool = shutil.which('promtool')
    if not promtool:
        raise Skip('promtool is not installed (package prometheus)')
    answer = run.rig.server.call('GET', '/metrics')
    done = subprocess.run([promtool, 'check', 'metrics'], input=answer.body,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)
    assert done.returncode == 0 and not done.stdout, done.stdout


@test('T18,L-09', rigs='ours', nightly=True)
def a_client_that_died_half_closed_is_reaped(run):
    def streams():
        return run.rig.server.metrics()['orthrus_streams_open']
    before = streams()
    one = run.later(Spawned(run.rig.host, 'exec', 't1', BUSYBOX, 'sh', '-c',
                            'echo a; sleep 900'))
    one.read_until(b'a\n')
    one.popen.kill()
    wait_for('it to be reaped', lambda: streams() <= before, 150)
