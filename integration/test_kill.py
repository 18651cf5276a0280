"""Sudden ends: clients see an error, both sides recover, nothing is left."""

import json
import os
import signal
import subprocess
import threading

from lib import fake, raw
from lib.cli import Spawned, docker, each_client
from lib.engine import BUSYBOX, IMAGE
from lib.harness import test
from lib.proc import wait_for
from lib.rig import command

MIB = 1 << 20
SIZE = 256 * MIB


class Transfer:
    """A download with a length, stopped in the middle."""

    def __init__(self, run, rig):
        self.socket = run.later(rig.connect(30))
        self.socket.sendall(raw.head('GET', '/events?size=%d' % SIZE))
        self.reader = raw.Reader(self.socket)
        assert self.reader.answer_head()[0] == 200
        self.got = len(self.reader.exactly(MIB))

    def end(self):
        """How it ended, and how much came."""
        rest, error = raw.read_end(self.socket)
        return len(self.reader.rest) + len(rest) + self.got, error


def blob_rig(run, name):
    path = run.path('s')
    docker_socket = run.later(fake.blob_server(path))
    return run.own_rig(name, docker=path), docker_socket


def works(rig):
    status, _, body = raw.ask(rig.connect(), 'GET', '/events?size=100000')
    assert (status, len(body)) == (200, 100000)


@test('L-04,T14,AC-14', rigs=('ours', 'readonly', 'goagent'))
def killing_the_agent_resets_its_clients(run):
    rig, _ = blob_rig(run, run.rig.name)
    works(rig)
    count = rig.server.process.fds()
    for _ in range(3):
        transfers = [Transfer(run, rig) for _ in range(4)]
        rig.agent.process.kill()
        for transfer in transfers:
            got, error = transfer.end()
            assert isinstance(error, ConnectionResetError), (got, error)
            assert got < SIZE
        rig.server.wait_offline(rig.uuid)
        rig.agent.start()
        rig.reconnected()
        works(rig)
    if rig.server.name == 'orthrusd':
        wait_for('the descriptors of before',
                 lambda: rig.server.process.fds() <= count)


@test('L-04,P9', rigs=('ours', 'readonly', 'goagent'))
def killing_the_server_is_no_success_and_the_agent_comes_back(run):
    rig, engine = blob_rig(run, run.rig.name)
    works(rig)
    wait_for('the engine to be alone', lambda: not engine.live())
    count = rig.agent.process.fds()
    transfers = [Transfer(run, rig) for _ in range(4)]
    rig.server.process.kill()
    for transfer in transfers:
        got, _ = transfer.end()
        assert got < SIZE, 'a truncated body looks whole'
    wait_for('the agent to let its connections go',
             lambda: not engine.live(), 30)
    rig.server.start()
    # after a crash nothing is online that is not connected
    assert rig.server.agent(rig.uuid)['status'] in ('offline', 'online')
    rig.reconnected(90)
    works(rig)
    wait_for('the descriptors of before',
             lambda: rig.agent.process.fds() <= count)


@test('L-04,T14,AC-17', rigs='ours')
def clients_of_a_killed_agent_say_so(run):
    """Every command that can be under way, with both generations of the
    client: an error status, and a reason on standard error."""
    rig = run.own_rig('ours', docker=run.engine().path)
    long = ('sh', '-c', 'echo a; sleep 1000; exit 3')
    for client in each_client():
        name = 'slow-%d' % each_client().index(client)
        run.engine().container(name, *long)
        commands = {
            'exec': ('exec', 't1', BUSYBOX, *long),
            'run': ('run', '--rm', '--network', 'none', IMAGE, BUSYBOX,
                    *long),
            'logs': ('logs', '-f', name),
            'attach': ('attach', '--no-stdin', name),
            'wait': ('wait', name),
            'events': ('events',)}
        spawned = {}
        for verb, words in commands.items():
            spawned[verb] = run.later(Spawned(rig.host, *words,
                                              client=client))
        for verb in ('exec', 'run', 'logs'):
            spawned[verb].read_until(b'a\n')
        # the others print nothing by which one could see them: wait for
        # their connections, one more for wait's and attach's own request
        wait_for('all of them to be connected',
                 lambda: connections(rig) >= len(commands))
        rig.agent.process.kill()
        for verb, one in spawned.items():
            status, output, errors = one.end()
            assert status != 0, (client, verb, output)
            assert errors, (client, verb, status)
        run.engine().docker('rm', '-f', name)
        rig.agent.start()
        rig.reconnected()


def connections(rig):
    """Open connections from the agent to its Docker socket's owner: the
    server counts them as streams."""
    return rig.server.metrics()['orthrus_streams_open']


def big_image(run, engine):
    """Makes big:1 and t1:/big, larger than all buffers on the way; returns
    the file that is in them."""
    source = raw.random_file(run.path('big'), 64 * MIB)
    engine.docker('cp', source, 't1:/big')
    engine.docker('commit', 't1', 'big:1')
    return source


@test('L-04,T14', rigs='ours')
def transfers_of_a_killed_agent_fail(run):
    rig = run.own_rig('ours', docker=run.engine().path)
    source = big_image(run, run.engine())
    tar = run.path('tar')
    with open(tar, 'wb') as file:
        done = command([each_client()[0], '-H', run.engine().host, 'save',
                        'big:1'], stdout=file)
        assert done.returncode == 0
    for client in each_client():
        for words in (('cp', source, 't1:/tmp/x'), ('load', '-i', tar),
                      ('save', 'big:1'), ('cp', 't1:/big', '-')):
            sent = killed_in_transfer(run, rig, client, words)
            assert sent, (client, words)


def killed_in_transfer(run, rig, client, words):
    """Kills the agent while the command is stopped in the middle: behind a
    relay of ours that lets so much pass and no more."""
    gate = run.later(Gate(('127.0.0.1', rig.port), 300000))
    one = run.later(Spawned('tcp://127.0.0.1:%d' % gate.port, *words,
                            client=client, stdout=subprocess.DEVNULL))
    assert gate.reached.wait(20), words
    rig.agent.process.kill()
    rig.server.wait_offline(rig.uuid)
    gate.open.set()
    status = one.popen.wait(30)
    errors = one.popen.stderr.read()
    rig.agent.start()
    rig.reconnected()
    assert status != 0 and errors, (words, status, errors)
    return True


class Gate(fake.Segments):
    """A relay that stops each direction after so many bytes until it is
    opened."""

    def __init__(self, target, limit):
        self.limit = limit
        self.reached = threading.Event()
        self.open = threading.Event()
        self.passed = 0
        super().__init__(0, target, 1 << 16)

    def before(self, data):
        self.passed += len(data)
        if self.passed > self.limit:
            self.reached.set()
            self.open.wait(60)

    def close(self):
        self.open.set()
        super().close()


@test('L-04,AC-17', rigs='ours', slow=True)
def killing_the_engine_is_no_success_and_it_comes_back(run):
    engine = run.own_engine()
    engine.container('t1')
    big_image(run, engine)
    rig = run.own_rig('ours', docker=engine.path)
    clients = []
    for client in each_client():
        clients.append(run.later(Spawned(
            rig.host, 'exec', 't1', BUSYBOX, 'sh', '-c',
            'echo a; sleep 1000', client=client)))
        clients.append(run.later(Spawned(rig.host, 'logs', '-f', 't1',
                                         client=client)))
        clients[-2].read_until(b'a\n')
    gate = run.later(Gate(('127.0.0.1', rig.port), 300000))
    saving = run.later(Spawned('tcp://127.0.0.1:%d' % gate.port, 'save',
                               'big:1', stdout=subprocess.DEVNULL))
    assert gate.reached.wait(20)
    proxy = rig.proxy
    engine.kill()
    gate.open.set()
    assert saving.popen.wait(30) != 0, 'a truncated image looks whole'
    for one in clients[::2]:
        status, _, errors = one.end()
        run.note('exec of a killed engine: status %d, %r' % (
            status, errors[-120:]))
        assert status != 0, errors
    down = docker(rig.host, 'ps')
    assert down.returncode != 0 and down.stderr, down
    # the agent stays: it is the engine that has gone
    assert rig.server.proxy(rig.uuid) == proxy
    engine.start()
    again = docker(rig.host, 'ps', '-a', '--format', '{{.Names}}')
    assert (again.returncode, again.stdout) == (0, b't1\n'), again


@test('L-06,P5,OP-05', rigs='ours')
def a_drain_is_bounded_and_ends_in_errors(run):
    rig = run.own_rig('ours', docker=run.engine().path,
                      server_options=['--drain-timeout', '2s'])
    clients = [run.later(Spawned(rig.host, *words)) for words in (
        ('exec', 't1', BUSYBOX, 'sh', '-c', 'echo a; sleep 300'),
        ('events',))]
    clients[0].read_until(b'a\n')
    rig.server.process.send(signal.SIGTERM)
    assert rig.server.process.popen.wait(20) == 0
    for one in clients:
        status, _, _ = one.end()
        assert status != 0
    rig.server.start()
    rig.reconnected(90)


@test('L-06', rigs='ours')
def a_second_signal_ends_the_drain(run):
    rig = run.own_rig('ours', docker=run.engine().path,
                      server_options=['--drain-timeout', '1h'])
    one = run.later(Spawned(rig.host, 'exec', 't1', BUSYBOX, 'sh', '-c',
                            'echo a; sleep 300'))
    one.read_until(b'a\n')
    rig.server.process.send(signal.SIGTERM)
    wait_for('the drain', lambda: not_ready(rig.server))
    rig.server.process.send(signal.SIGTERM)
    assert rig.server.process.popen.wait(20) == 0
    assert one.end()[0] != 0
    rig.server.start()
    rig.reconnected(90)


def not_ready(server):
    try:
        return server.call('GET', '/readyz').status == 503
    except OSError:
        return True


@test('L-06', rigs='ours')
def a_stopped_agent_ends_well_and_resets_its_streams(run):
    rig, engine = blob_rig(run, 'ours')
    transfer = Transfer(run, rig)
    rig.agent.process.send(signal.SIGTERM)
    rig.agent.process.wait_text(' draining ')
    rig.agent.process.send(signal.SIGTERM)
    assert rig.agent.process.popen.wait(45) == 0
    got, error = transfer.end()
    assert got < SIZE and isinstance(error, ConnectionResetError), error
    wait_for('the engine to be alone', lambda: not engine.live())
    rig.agent.start()
    rig.reconnected()
    works(rig)


@test('L-01,AC-14,OP-10', rigs='goagent', slow=True)
def a_silent_agent_is_found(run):
    """Half-open: its TCP connection lives, but nobody is there."""
    path = run.path('s')
    run.later(fake.blob_server(path))
    rig = run.own_rig('rawagent', docker=path,
                      agent_options=['--half-open', 'usr1'])
    transfer = Transfer(run, rig)
    rig.agent.process.send(signal.SIGUSR1)
    # what was sent before it fell silent may still come
    got, error = transfer.end()
    assert isinstance(error, ConnectionResetError) and got < SIZE, error
    rig.server.wait_offline(rig.uuid, 30)


@test('L-01', rigs='ours', slow=True)
def a_silent_server_is_found_by_the_agent(run):
    rig, engine = blob_rig(run, 'ours')
    transfer = Transfer(run, rig)
    assert engine.live() == 1
    rig.server.process.send(signal.SIGSTOP)
    try:
        wait_for('the agent to give the session up',
                 lambda: not engine.live(), 40)
    finally:
        rig.server.process.send(signal.SIGCONT)
    got, error = transfer.end()
    assert got < SIZE and error, (got, error)
    rig.reconnected(90)
    wait_for('a session that works', lambda: retry(rig), 60)


def retry(rig):
    try:
        rig.proxy = rig.server.proxy(rig.uuid)
        if rig.proxy:
            works(rig)
            return True
    except (OSError, EOFError):
        pass
    return False


@test('L-04,T14', rigs='goagent')
def faults_of_an_agent_reach_the_client_as_errors(run):
    for options in (['--abort', 'bytes:3000000'],
                    ['--hang-up', 'bytes:3000000'],
                    ['--rst-stream', '2000000']):
        path = run.path('s')
        run.later(fake.blob_server(path))
        rig = run.own_rig('rawagent', docker=path, agent_options=options)
        with rig.connect() as s:
            s.sendall(raw.head('GET', '/events?size=%d' % SIZE))
            got, error = raw.read_end(s)
        assert isinstance(error, ConnectionResetError), (options, error)
        assert 1000000 < len(got) < SIZE, (options, len(got))
        wait_for('the agent to be back', lambda: retry_small(rig), 30)


def retry_small(rig):
    try:
        rig.proxy = rig.server.proxy(rig.uuid)
        if rig.proxy:
            return raw.ask(rig.connect(), 'GET',
                           '/events?size=10')[2] != b''
    except (OSError, EOFError):
        pass
    return False


@test('T34,Y-01', rigs='goagent')
def an_agent_that_never_accepts_gives_an_error(run):
    rig = run.own_rig('rawagent', docker=run.engine().path,
                      agent_options=['--no-ack'],
                      server_options=['--open-timeout', '2s'])
    with rig.connect(30) as s:
        s.sendall(raw.head('GET', '/_ping'))
        got, error = raw.read_end(s)
    assert isinstance(error, ConnectionResetError) or got[9:12] in (
        b'503', b'504'), (got, error)


@test('K-03,P9', rigs='readonly')
def a_crash_loses_no_acknowledged_agent(run):
    server = run.own_server()
    keys = []
    for number in range(5):
        uuid, _ = server.add_agent('n%d' % number)
        keys.append(uuid)
        server.process.kill()
        server.start()
        listed = server.call('GET', '/api/v1/orthrus/agents').json()
        assert {one['uuid'] for one in listed} == set(keys)
        assert all(one['status'] != 'online' for one in listed), listed
    assert os.stat(server.data).st_mode & 0o77 == 0
    for entry in os.listdir(server.data):
        assert os.stat(server.data + '/' + entry).st_mode & 0o77 == 0, entry


@test('X4', rigs='readonly')
def no_secret_is_in_any_log(run):
    for process in run.rig.processes():
        text = process.text()
        assert run.rig.key not in text and run.rig.key[11:] not in text
        assert run.rig.server.token not in text
    answer = run.rig.server.call('GET', '/metrics')
    assert run.rig.key[11:].encode() not in answer.body
    for line in ('orthrus_agents_connected', 'orthrus_build_info'):
        assert line.encode() in answer.body, line
    listed = run.rig.server.call('GET', '/api/v1/orthrus/agents')
    assert run.rig.key.encode() not in listed.body
    assert json.loads(listed.body)
