"""HTTP as no client library would say it: hijacks, halves, limits, pieces."""

import base64
import json
import os
import threading

from lib import fake, raw
from lib.cli import agree, docker, each_client, on_terminal
from lib.engine import BUSYBOX, IMAGE
from lib.harness import Skip, test
from lib.proc import wait_for
from lib.rig import command

UNFILTERED = ('ours', 'rawagent', 'goserver')
UPGRADE = {'Connection': 'Upgrade', 'Upgrade': 'tcp'}
CAT = [BUSYBOX, 'cat']


@test('T3', rigs=('ours', 'readonly', 'goagent', 'rawagent'))
def a_second_request_on_a_connection_is_never_left_unanswered(run):
    """Each client sends the next request when the answer before allows it."""
    done = command(
        ['curl', '-sS', '--http1.1', '-o', os.devnull, '-o', os.devnull,
         '--max-time', '10', '-w', '%{http_code}\n',
         'http://%s/_ping' % run.rig.proxy,
         'http://%s/version' % run.rig.proxy])
    assert done.stdout == b'200\n200\n', done


@test('T4,T7', rigs=('ours', 'readonly', 'rawagent'))
def an_answer_to_head_has_no_body_whatever_its_length_says(run):
    target = '/v1.41/_ping'
    if run.rig.name != 'readonly':
        # 404 with a Content-Length, and no body
        target = '/v1.41/containers/t1/archive?path=/nope'
    with run.rig.connect() as s:
        reader = raw.Reader(s)
        s.sendall(raw.head('HEAD', target))
        status, fields, _ = reader.answer('HEAD')
        assert 'content-length' in fields, fields
        assert status == (200 if run.rig.name == 'readonly' else 404)
        assert 'api-version' in fields, fields
        s.sendall(raw.head('GET', '/_ping', {'Connection': 'close'}))
        status, fields, body = reader.answer()
        assert (status, body) == (200, b'OK'), (status, body)
        assert reader.to_end() == b''


@test('T5', rigs=('ours', 'readonly', 'goagent', 'rawagent'))
def a_head_of_sixty_thousand_bytes_passes(run):
    status, _, body = raw.ask(run.rig.connect(), 'GET', '/_ping',
                              {'X-Long': 'a' * 60000})
    assert (status, body) == (200, b'OK'), (status, body[:200])


@test('T5,X14', rigs='readonly')
def a_head_over_the_limit_is_refused_and_not_cut(run):
    status, fields, body = raw.ask(run.rig.connect(), 'GET', '/_ping',
                                   {'X-Long': 'a' * 200000})
    assert status == 431, status
    assert 'json' in fields['content-type'] and json.loads(body)['message']


@test('T6', rigs=UNFILTERED)
def a_continue_is_relayed_at_once(run):
    with run.rig.connect() as s:
        reader = raw.Reader(s)
        s.sendall(raw.head('POST', '/v1.41/images/load', {
            'Expect': '100-continue', 'Content-Length': '10240',
            'Content-Type': 'application/x-tar', 'Connection': 'close'}))
        assert reader.answer_head()[0] == 100
        s.sendall(bytes(10240))
        status, fields, _ = reader.answer('POST')
        assert status in (200, 400, 500), (status, fields)


def start_exec(run, argv, fields, stdin=True):
    made = raw.make_exec(run.rig.connect(), 't1', argv, stdin=stdin)
    body = json.dumps({'Detach': False, 'Tty': False}).encode()
    return raw.head('POST', '/v1.41/exec/%s/start' % made, fields, body)


@test('T21,T8', rigs=UNFILTERED)
def both_kinds_of_hijack_are_two_way(run):
    for fields, expected in ((UPGRADE, 101), ({}, 200),
                             ({'Connection': 'Upgrade', 'Upgrade': 'h2c'},
                              101)):
        with run.rig.connect() as s:
            s.sendall(start_exec(run, CAT, fields))
            reader = raw.Reader(s)
            assert reader.answer_head()[0] == expected
            for word in (b'one\n', b'two\n'):
                s.sendall(word)
                assert reader.exactly(8 + len(word))[8:] == word
            s.shutdown(1)
            rest, error = raw.read_end(s)
            assert (reader.rest + rest, error) == (b'', None)


@test('T23', rigs=UNFILTERED)
def early_input_is_a_read_of_its_own(run):
    """An engine loses input that comes in the same read as the request. This
    one tells when it has read it, and answers only after the input."""
    read = threading.Semaphore(0)
    seen = []

    def serve(connection):
        _, rest = fake.read_head(connection)
        while len(rest) < 2:
            rest += connection.recv(10)
        read.release()
        seen.append((rest, connection.recv(10)))
        connection.sendall(b'HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\n'
                           b'Upgrade: tcp\r\n\r\n')
    path = run.path('s')
    run.later(fake.UnixServer(path, serve))
    rig = run.own_rig(run.rig.name, docker=path)
    for _ in range(20):
        with rig.connect() as s:
            s.sendall(raw.head('POST', '/v1.41/exec/0/start', dict(
                UPGRADE, **{'Content-Length': '2'}), b'{}'))
            assert read.acquire(timeout=10)
            s.sendall(b'X\n')
            assert raw.Reader(s).answer_head()[0] == 101
    assert seen == [(b'{}', b'X\n')] * 20, seen


@test('T24,T25', rigs=UNFILTERED)
def http2_upgrades_speak_both_ways(run):
    preface = (b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
               b'\x00\x00\x00\x04\x00\x00\x00\x00\x00')
    h2c = {'Connection': 'Upgrade', 'Upgrade': 'h2c'}
    for target in ('/grpc', '/v1.41/grpc'):
        with run.rig.connect() as s:
            s.sendall(raw.head('POST', target, dict(
                h2c, **{'Content-Length': '0'})))
            reader = raw.Reader(s)
            assert reader.answer_head()[0] == 101
            s.sendall(preface)
            frame = reader.exactly(9)
            assert frame[3] == 4, frame  # SETTINGS
    with run.rig.connect() as s:
        # here the engine is the HTTP/2 client and speaks first; no version,
        # and an empty Host as over a unix socket
        s.sendall(raw.head('POST', '/session', dict(
            h2c, **{'Host': '', 'Content-Length': '0',
                    'X-Docker-Expose-Session-Uuid': os.urandom(8).hex(),
                    'X-Docker-Expose-Session-Name': 'n',
                    'X-Docker-Expose-Session-Sharedkey': 'k'})))
        reader = raw.Reader(s)
        assert reader.answer_head()[0] == 101
        assert reader.exactly(len(b'PRI * HTTP/2.0')) == b'PRI * HTTP/2.0'


@test('T26', rigs=UNFILTERED)
def attach_over_websocket_works_unfiltered(run):
    name = 'ws-' + run.rig.name
    run.engine().docker('run', '-d', '-i', '--network', 'none', '--name',
                        name, IMAGE, *CAT)
    with run.rig.connect() as s:
        s.sendall(raw.head(
            'GET', '/v1.41/containers/%s/attach/ws?stream=1&stdin=1&stdout=1'
            % name, {'Connection': 'Upgrade', 'Upgrade': 'websocket',
                     'Origin': 'http://127.0.0.1',
                     'Sec-WebSocket-Version': '13',
                     'Sec-WebSocket-Key': base64.b64encode(
                         os.urandom(16)).decode()}))
        reader = raw.Reader(s)
        status, fields = reader.answer_head()
        assert status == 101 and 'sec-websocket-accept' in fields
        s.sendall(bytes([0x82, 0x83, 0, 0, 0, 0]) + b'ab\n')
        head = reader.exactly(2)
        assert reader.exactly(head[1] & 127) == b'ab\n'
    run.engine().docker('rm', '-f', name)


@test('T32,AC-06,L-02', rigs=('ours', 'rawagent', 'readonly', 'goserver'))
def three_hundred_connections_at_once(run):
    """An agent takes 256 by default;
    what is beyond that is refused at once, with an error."""
    sockets, bad = [], []
    for _ in range(300):
        try:
            sockets.append(run.rig.connect())
            sockets[-1].sendall(raw.head('GET', '/_ping',
                                         {'Connection': 'close'}))
        except OSError as error:
            bad.append((error, b''))
    for s in sockets:
        with s:
            try:
                status, _, body = raw.Reader(s).answer()
            except (OSError, EOFError) as error:
                status, body = error, b''
            if (status, body) != (200, b'OK'):
                bad.append((status, body))
    assert len(bad) <= 44, (len(bad), bad[:3])
    for status, _ in bad:
        assert status == 503 or isinstance(status, ConnectionResetError), bad


def left_behind(run, feed, timeout):
    """Feeds a container that ends without reading its input, and waits for
    its streams to be gone."""
    def count():
        return run.rig.server.metrics()['orthrus_streams_open']
    client = each_client()[0]
    before = count()
    done = command(
        ['sh', '-c', feed + ' | exec "$0" -H "$1" run --rm -i --network none '
         '%s %s sleep 1' % (IMAGE, BUSYBOX), client, run.rig.host])
    assert done.returncode == 0, done
    wait_for('its streams to be gone', lambda: count() <= before, timeout)


@test('T13,L-09', rigs='ours')
def a_command_that_is_gone_frees_its_stream(run):
    """With more input than the engine takes, and its end behind that."""
    run.only_with('server')
    left_behind(run, 'head -c 400000 /dev/zero', 30)


@test('T13,L-09', rigs='ours')
def a_command_that_is_gone_frees_its_stream_behind_any_input(run):
    """With so much input that its end never gets as far as the server."""
    run.only_with('server')
    left_behind(run, 'yes', 30)


@test('T20', rigs=('ours', 'rawagent'))
def an_engine_that_resets_harms_nobody_else(run):
    """It closes with unread input, which resets a unix socket."""
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK'

    def serve(connection):
        connection.recv(10)
        connection.sendall(answer)
    path = run.path('s')
    run.later(fake.UnixServer(path, serve))
    rig = run.own_rig(run.rig.name, docker=path)
    for _ in range(20):
        with rig.connect() as s:
            try:
                s.sendall(raw.head('POST', '/x', body=b'x' * 100000))
            except OSError:
                pass
            raw.read_end(s)
    status, _, body = raw.ask(rig.connect(), 'GET', '/_ping')
    assert (status, body) == (200, b'OK')


@test('T1', rigs='ours')
def any_segmentation_gives_the_same_result(run):
    """One and seven bytes at a time, before the server and behind the
    agent."""
    engine = run.engine()
    for size in (1, 7):
        path = run.path('s')
        run.later(fake.Segments(path, engine.path, size))
        rig = run.own_rig('ours', docker=path)
        front = run.later(fake.Segments(0, ('127.0.0.1', rig.port), size))
        host = 'tcp://127.0.0.1:%d' % front.port
        data = os.urandom(20000)
        for client in each_client():
            listed = docker(host, 'ps', '--format', '{{.Names}}',
                            client=client)
            direct = docker(engine.host, 'ps', '--format', '{{.Names}}',
                            client=client)
            assert (listed.stdout, listed.stderr) == (
                direct.stdout, direct.stderr), listed
            done = docker(host, 'exec', '-i', 't1', *CAT, stdin=data,
                          client=client)
            # The client ends its request's body with a line feed, which the
            # engine takes for input when it comes late; a plain relay in
            # pieces shows the same.
            assert (done.returncode, done.stdout[-len(data):]) == (
                0, data), (done.returncode, len(done.stdout), done.stderr)
            assert done.stdout[:-len(data)] in (b'', b'\n')
            done = docker(host, 'run', '--rm', '--network', 'none', IMAGE,
                          BUSYBOX, 'sh', '-c', 'echo out; exit 3',
                          client=client)
            assert (done.returncode, done.stdout) == (3, b'out\n'), done
            status, output = on_terminal(
                [client, '-H', host, 'exec', '-it', 't1', BUSYBOX, 'sh',
                 '-c', 'echo A; exit 7'])
            # (here that line feed is echoed)
            assert (status, output.strip()) == (7, b'A'), (status, output)


@test('AC-17', rigs=('ours', 'rawagent', 'goserver'))
def python_docker_works_through_the_tunnel(run):
    try:
        import docker as sdk  # pylint: disable=import-outside-toplevel
    except ImportError as error:
        raise Skip('python3-docker is not installed') from error
    client = sdk.DockerClient(base_url=run.rig.host, version='1.41',
                              timeout=30)
    try:
        assert client.ping()
        direct = run.engine().docker('ps', '-q', '--no-trunc').split()
        assert [one.id for one in client.containers.list()] == direct
        one = client.containers.get('t1')
        code, output = one.exec_run([BUSYBOX, 'sh', '-c',
                                     'echo out; echo err >&2; exit 3'],
                                    demux=True)
        assert (code, output) == (3, (b'out\n', b'err\n')), (code, output)
        _, stream = one.exec_run(CAT, stdin=True, socket=True)
        inner = getattr(stream, '_sock', stream)
        inner.sendall(b'ping\n')
        reader = raw.Reader(inner)
        assert reader.exactly(13)[8:] == b'ping\n'
        inner.close()
        made = client.containers.run(IMAGE, [BUSYBOX, 'seq', '5'],
                                     detach=True, network_mode='none')
        assert made.wait()['StatusCode'] == 0
        assert made.logs() == b'1\n2\n3\n4\n5\n'
        lines = list(made.logs(stream=True))
        assert b''.join(lines) == b'1\n2\n3\n4\n5\n'
        made.remove()
        stats = one.stats(stream=False)
        assert stats['name'] == '/t1'
        pieces, _ = one.get_archive('/bin/busybox')
        assert sum(len(piece) for piece in pieces) > 1 << 20
        assert IMAGE in client.images.get(IMAGE).tags
    finally:
        client.close()


@test('AC-17,AC-06', rigs=('ours', 'readonly', 'goagent', 'rawagent'))
def curl_gets_what_the_engine_says(run):
    engine = run.engine()
    for target in ('/version', '/containers/json?all=1',
                   '/v1.41/images/json', '/containers/still/json'):
        agree(target, lambda path=target: fetch(
            '--unix-socket', engine.path, 'http://d' + path),
              lambda path=target: fetch('http://%s%s' % (
                  run.rig.proxy, path)))


def fetch(*args):
    """What curl gets, as JSON; a list in an order of ours, for images of one
    second come in any."""
    done = command(['curl', '-sS', '--max-time', '20', *args])
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    if isinstance(value, list):
        value.sort(key=lambda each: each['Id'])
    return value


@test('T34,H-01', rigs='readonly', slow=True)
def a_silent_engine_gives_an_answer_in_bounded_time(run):
    path = run.path('s')
    run.later(fake.Silent(path))
    rig = run.own_rig('readonly', docker=path)
    results = []

    def ask_api():
        remote = rig.server.call('POST', '/api/v1/remote-servers', {
            'name': 'r', 'connection_type': 'orthrus',
            'orthrus_agent_uuid': rig.uuid}).json()['uuid']
        results.append(rig.server.call(
            'GET', '/api/v1/docker/containers?server_id=' + remote,
            timeout=30).status)
    api = threading.Thread(target=ask_api)
    api.start()
    status, fields, body = raw.ask(rig.connect(30), 'GET', '/_ping')
    assert status == 504, status
    assert 'json' in fields['content-type'] and json.loads(body)['message']
    api.join(30)
    assert results == [504], results


@test('T33', rigs=('readonly', 'ours'))
def a_missing_engine_is_an_error_that_clients_can_show(run):
    run.only_with('agent')
    rig = run.own_rig(run.rig.name, docker=run.path('nothing'))
    status, fields, body = raw.ask(rig.connect(), 'GET', '/_ping')
    assert status in (502, 503), (status, body)
    assert 'json' in fields['content-type'] and json.loads(body)['message']
    for client in each_client():
        done = docker(rig.host, 'ps', client=client)
        assert done.returncode == 1, done
        assert b'docker.sock' in done.stderr or b'nothing' in done.stderr, done
