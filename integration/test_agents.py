"""The agents and the server of the field, and the read-only policy."""

import json
import secrets
import signal
import threading

from lib import raw
from lib.cli import Spawned, both, docker, each_client
from lib.engine import BUSYBOX, IMAGE
from lib.harness import test
from lib.proc import wait_for
from lib.rig import command

READ_ONLY = ('readonly', 'goagent', 'goserver_readonly')


@test('AC-17,PO-01,PO-02', rigs=READ_ONLY)
def looking_works(run):
    for client in each_client():
        both(run, 'ps', '-a', '--no-trunc', '--format',
             '{{.ID}} {{.Image}} {{.Names}}', client=client)
        both(run, 'images', '--no-trunc', '--format', '{{.ID}} {{.Tag}}',
             client=client, ordered=False)
        both(run, 'inspect', 'still', client=client)
        both(run, 'image', 'inspect', IMAGE, client=client)
        both(run, 'network', 'ls', client=client)
        both(run, 'network', 'inspect', 'none', client=client)
        both(run, 'volume', 'ls', client=client)
        both(run, 'top', 'still', '-o', 'pid,args', client=client)
        version = both(run, 'version', '-f', '{{.Server.Version}}',
                       client=client)
        assert version[1].strip(), version
        both(run, 'info', '-f', '{{.ID}} {{.Driver}}', client=client)
        done = docker(run.rig.host, 'stats', '--no-stream', '--format',
                      '{{.Name}}', 't1', client=client)
        assert done.stdout == b't1\n', done


@test('AC-17,PO-03,T12', rigs=READ_ONLY)
def looking_for_long_works(run):
    engine = run.engine()
    name = 'follow-' + run.rig.name.replace('_', '-')
    engine.container(name, 'sh', '-c', 'n=0; while :; do echo $n; '
                     'n=$((n+1)); usleep 20000; done')
    for client in each_client():
        follow = run.later(Spawned(run.rig.host, 'logs', '-f', name,
                                   client=client))
        follow.read_until(b'\n40\n')
        follow.popen.send_signal(signal.SIGINT)
        follow.end()
        events = run.later(Spawned(run.rig.host, 'events', '--format',
                                   '{{.Action}}', '--filter', 'event=tag',
                                   client=client))

        def heard():
            engine.docker('tag', IMAGE, 'bb:' + secrets.token_hex(4))
            return events.poll()
        wait_for('an event', heard, 20)
        assert events.read_until(b'\n').startswith(b'tag\n'), events.output
        events.popen.send_signal(signal.SIGINT)
        events.end()
    engine.docker('kill', name)
    both(run, 'logs', name)


@test('PO-05,PO-01', rigs=('readonly', 'goserver_readonly'))
def changing_is_refused_with_a_reason_and_changes_nothing(run):
    engine = run.engine()

    def everything():
        return (engine.docker('ps', '-a', '--format', '{{.ID}} {{.Names}}'),
                sorted(engine.docker('images', '--format',
                                     '{{.ID}} {{.Tag}}').splitlines()))
    before = everything()
    for client in each_client():
        for args in (('run', '--network', 'none', IMAGE, BUSYBOX, 'true'),
                     ('exec', 't1', BUSYBOX, 'true'), ('kill', 't1'),
                     ('rm', '-f', 't1'), ('pause', 't1'), ('rmi', IMAGE),
                     ('tag', IMAGE, 'x:1'), ('load',), ('save', IMAGE),
                     ('export', 't1'), ('cp', 't1:/bin/busybox', '-'),
                     ('volume', 'create', 'v'), ('rename', 't1', 't2'),
                     ('diff', 't1'), ('history', IMAGE)):
            done = docker(run.rig.host, *args, client=client)
            assert done.returncode != 0, (args, done)
            assert b'read-only' in done.stderr or b'polic' in done.stderr, (
                args, done.stderr)
    assert everything() == before
    assert engine.docker('inspect', '-f', '{{.State.Status}} {{.Name}}',
                         't1') == 'running /t1'


@test('PO-05,H-07', rigs='readonly')
def a_refusal_is_403_in_json_and_keeps_the_connection(run):
    with run.rig.connect() as s:
        reader = raw.Reader(s)
        for method, target in (('DELETE', '/containers/t1'),
                               ('HEAD', '/info'), ('GET', '/secrets'),
                               ('GET', '/containers/t1/archive?path=/'),
                               ('GET', '/v1.41/images/bb:1/history')):
            s.sendall(raw.head(method, target))
            status, fields, body = reader.answer(method)
            assert status == 403, (method, target, status)
            assert 'json' in fields['content-type'], fields
            assert method == 'HEAD' or json.loads(body)['message']
        s.sendall(raw.head('GET', '/_ping'))
        assert reader.answer()[0] == 200


@test('PO-06,X20,X21,T22', rigs='readonly')
def nothing_is_smuggled_past_the_policy(run):
    """Whatever comes with an allowed request, no pause reaches the engine."""
    pause = raw.head('POST', '/v1.41/containers/t1/pause',
                     {'Content-Length': '0'})
    host = b'Host: docker\r\n'
    ping = b'GET /_ping HTTP/1.1\r\n'
    carriers = (
        ping + host + b'Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n',
        ping + host + b'Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n',
        ping + host + b'Content-Length: 0\r\nTransfer-Encoding: chunked\r\n'
        b'\r\n',
        ping + host + b'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
        ping + host + b'Transfer-Encoding: xchunked\r\n\r\n',
        ping + host + b'Content-Length: %d\r\n\r\n' % len(pause),
        ping + host + b'X: y\n\r\n', ping + host + b'X: y\r\n z\r\n\r\n',
        ping + host + b'X : y\r\n\r\n', ping + host + host + b'\r\n',
        b'GET /_ping HTTP/1.0\r\n\r\n', b'GET /_ping\r\n\r\n',
        b'GET http://docker/_ping HTTP/1.1\r\n' + host + b'\r\n',
        b'GET /v1.41/../_ping HTTP/1.1\r\n' + host + b'\r\n',
        b'GET /containers%2fjson HTTP/1.1\r\n' + host + b'\r\n',
        ping + host + b'\r\n', b'\r\n' + ping + host + b'\r\n')
    for carrier in carriers:
        with run.rig.connect() as s:
            try:
                s.sendall(carrier + pause)
                s.shutdown(1)
            except OSError:
                pass
            raw.read_end(s)
        state = run.engine().docker('inspect', '-f', '{{.State.Status}}',
                                    't1')
        assert state == 'running', carrier


@test('AC-17,L-02', rigs=('goagent', 'ours', 'readonly'))
def a_hundred_requests_one_after_another(run):
    for number in range(100):
        status, _, body = raw.ask(run.rig.connect(), 'GET',
                                  '/containers/json')
        assert status == 200, (number, status)
        assert any('/t1' in one['Names'] for one in json.loads(body))


@test('AC-17,AC-06,L-02', rigs=('goagent', 'ours', 'readonly'))
def fifty_requests_at_once(run):
    bad = []
    barrier = threading.Barrier(50)

    def one():
        barrier.wait()
        try:
            for target in ('/containers/json', '/info', '/version'):
                status, _, body = raw.ask(run.rig.connect(), 'GET', target)
                if status != 200 or not json.loads(body):
                    bad.append((status, body))
        except (OSError, EOFError, ValueError) as error:
            bad.append(error)
    threads = [threading.Thread(target=one) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), 'some hang'
    assert not bad, bad[:3]


@test('AC-17', rigs='goagent')
def a_refusal_of_the_field_agent_arrives(run):
    status, _, _ = raw.ask(run.rig.connect(), 'POST', '/containers/t1/pause')
    assert status == 403
    for client in each_client():
        done = docker(run.rig.host, 'kill', 't1', client=client)
        assert done.returncode != 0


def remote_server(rig):
    answer = rig.server.call('POST', '/api/v1/remote-servers', {
        'name': 'r-' + secrets.token_hex(4), 'connection_type': 'orthrus',
        'orthrus_agent_uuid': rig.uuid})
    assert answer.status == 201, answer.body
    return answer.json()['uuid']


@test('AC-12,H-01', rigs=('ours', 'readonly', 'goagent', 'rawagent', 'go'))
def the_container_list_is_the_engines(run):
    uuid = remote_server(run.rig)
    answer = run.rig.server.call(
        'GET', '/api/v1/docker/containers?server_id=' + uuid)
    assert answer.status == 200, (answer.status, answer.body)
    listed = {one['id']: one for one in answer.json()}
    direct = run.engine().docker('ps', '--format', '{{.ID}} {{.Names}}')
    assert len(listed) == len(direct.splitlines()), (listed, direct)
    for line in direct.splitlines():
        ident, name = line.split()
        assert listed[ident]['names'] == [name], listed[ident]
        assert listed[ident]['state'] == 'running'
        assert listed[ident].get('ports', []) == []


@test('AC-09,AC-11,H-01', rigs='readonly')
def the_container_list_refuses_in_the_stated_order(run):
    server = run.rig.server
    path = '/api/v1/docker/containers'

    def ask(query):
        answer = server.call('GET', path + query)
        return answer.status, answer.json().get('error')
    assert ask('?host=elsewhere') == (400, 'Invalid docker host selector')
    unknown = '00000000-0000-4000-8000-000000000000'
    assert ask('?server_id=' + unknown) == (404, 'Remote server not found')
    assert ask('?host=x&server_id=' + unknown)[0] == 400
    for fields in ({}, {'orthrus_agent_uuid': ''}):
        made = server.call('POST', '/api/v1/remote-servers', dict(
            fields, name='n-' + secrets.token_hex(4),
            connection_type='orthrus'))
        assert made.status == 201, made.body
        assert ask('?server_id=' + made.json()['uuid']) == (
            400, 'Remote server has no Orthrus agent UUID configured')
    away, _ = server.add_agent('away-' + secrets.token_hex(4))
    made = server.call('POST', '/api/v1/remote-servers', {
        'name': 'away-' + secrets.token_hex(4), 'connection_type': 'orthrus',
        'orthrus_agent_uuid': away})
    assert ask('?server_id=' + made.json()['uuid']) == (
        502, 'Orthrus agent is not currently connected')


@test('H-01,AC-12', rigs='ours')
def a_stopped_engine_is_503_in_the_container_list(run):
    rig = run.own_rig('ours', docker=run.path('nothing'))
    answer = rig.server.call('GET', '/api/v1/docker/containers?server_id='
                             + remote_server(rig))
    assert answer.status == 503, (answer.status, answer.body)
    assert answer.json()['error'] == 'Docker daemon unavailable'


@test('L-07', rigs='goagent')
def shapes_of_messages_do_not_matter_to_the_server(run):
    """The whole command line client over an agent that writes oddly."""
    engine = run.engine()
    for options in (['--tiny', '1'], ['--fragment', '5', '--fragment-ping'],
                    ['--text'], ['--late-ack', '300ms']):
        rig = run.own_rig('rawagent', docker=engine.path,
                          agent_options=options)
        done = docker(rig.host, 'exec', 't1', BUSYBOX, 'sh', '-c',
                      'seq 2000; exit 3')
        assert done.returncode == 3, (options, done)
        assert done.stdout == b''.join(b'%d\n' % n for n in range(
            1, 2001)), options


@test('U-03,AC-17', rigs='readonly')
def orthrusctl_reaches_docker(run):
    rig = run.rig
    token = rig.server.data + '/admin.token'
    base = [run.programs.check(run.programs.ctl), '--server',
            'http://' + rig.server.address, '--token-file', token]
    name = rig.server.agent(rig.uuid)['name']
    listed = command([*base, 'agent', 'ls'])
    assert listed.returncode == 0 and name.encode() in listed.stdout, listed
    done = command([*base, 'ps', name])
    assert done.returncode == 0 and b't1' in done.stdout, done
    done = command([*base, 'env', name])
    assert rig.host.encode() in done.stdout, done
    done = command([*base, 'docker', name, '--', 'ps', '-q', '--no-trunc'])
    assert done.stdout.decode().split() == run.engine().docker(
        'ps', '-q', '--no-trunc').split(), done
