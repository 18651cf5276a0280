"""Much, through one stream and through many, with readers that stall."""

import functools
import threading
import time

from lib import fake, raw
from lib.harness import test
from lib.proc import wait_for

MIB = 1 << 20
GIB = 1 << 30
# What both sides may grow by, whatever goes through: windows, the socket
# buffers of the kernel are not theirs.
BOUND_KIB = 64 * 1024


@functools.lru_cache(maxsize=None)
def expected(size):
    return fake.pattern_hash(size)


class Memory:
    """Resident sizes of a rig before and during a transfer."""

    def __init__(self, run, rig):
        self.run, self.rig = run, rig
        self.before = {}
        for process in rig.processes():
            self.before[process.name] = process.rss_kib()
            process.reset_peak()

    def check(self, what, bound=BOUND_KIB):
        for process in self.rig.processes():
            before, peak = self.before[process.name], process.peak_kib()
            self.run.note('%s: %s %d KiB before, %d KiB at most' % (
                what, process.name, before, peak))
            if (process.name.startswith('orthrus')
                    and not process.sanitized()):
                assert peak - before <= bound, (process.name, before, peak)


def duplex(rig, size, pause=None):
    """size bytes each way at once, hijacked; hashes must be equal."""
    with rig.connect(60) as s:
        s.sendall(raw.head('POST', '/v1.41/exec/0/start', {
            'Connection': 'Upgrade', 'Upgrade': 'tcp', 'X-Size': str(size)}))
        # byte by byte, so that nothing of the payload is read ahead
        head = b''
        while not head.endswith(b'\r\n\r\n'):
            head += s.recv(1)
        assert b' 101 ' in head, head

        def send():
            fake.send_pattern(s, size)
            s.shutdown(1)
        sender = threading.Thread(target=fake.quietly, args=(send,))
        sender.start()
        got = fake.receive_hash(s, size, pause)
        sender.join(120)
        rest, error = raw.read_end(s)
        assert error is None, error
        assert got == expected(size), 'what the agent sent was altered'
        assert rest.decode() == expected(size), 'what it got was altered'


def stall_at(point, seconds):
    """Stops reading once, when so much has come."""
    done = []

    def pause(count):
        if count >= point and not done:
            done.append(count)
            time.sleep(seconds)  # the stimulus of this test, not a wait
    return pause


@test('Y-01,L-05,T2', rigs=('ours', 'rawagent', 'goserver'), slow=True)
def a_gibibyte_each_way_through_one_stream(run):
    """With a reader that stalls for 5 s in the middle, while others are
    served."""
    path = run.path('s')
    run.later(fake.duplex_server(path))
    rig = run.own_rig(run.rig.name, docker=path)
    size = GIB if run.rig.name == 'ours' else GIB // 4
    memory = Memory(run, rig)
    stalled = threading.Event()

    def pause(count):
        if count >= size // 2 and not stalled.is_set():
            stalled.set()
            time.sleep(5)  # the stimulus of this test, not a wait
    failure = []

    def transfer():
        try:
            duplex(rig, size, pause)
        except Exception as error:  # pylint: disable=broad-except
            failure.append(error)
    start = time.monotonic()
    thread = threading.Thread(target=transfer)
    thread.start()
    wait_for('the stall', lambda: stalled.is_set() or failure, 120)
    duplex(rig, MIB)
    thread.join(240)
    assert not thread.is_alive(), 'the transfer hangs'
    assert not failure, failure
    run.note('%d MiB each way in %.1f s, 5 s of them stalled'
             % (size // MIB, time.monotonic() - start))
    memory.check('one stream')


@test('Y-01,L-05,L-02', rigs=('ours', 'rawagent'), slow=True)
def sixty_four_mebibytes_through_each_of_32_streams(run):
    path = run.path('s')
    run.later(fake.blob_server(path))
    rig = run.own_rig(run.rig.name, docker=path)
    size = 64 * MIB if run.rig.name == 'ours' else 16 * MIB
    memory = Memory(run, rig)
    failures = []

    def one(number):
        try:
            if number % 2:
                down(rig, size, stall_at(size // 2, 5) if number == 1
                     else None)
            else:
                up(rig, size)
        except Exception as error:  # pylint: disable=broad-except
            failures.append((number, error))
    start = time.monotonic()
    threads = [threading.Thread(target=one, args=(n,)) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    assert not any(thread.is_alive() for thread in threads), 'some hang'
    assert not failures, failures[:3]
    run.note('32 streams of %d MiB in %.1f s' % (
        size // MIB, time.monotonic() - start))
    memory.check('32 streams', 4 * BOUND_KIB)


def down(rig, size, pause=None):
    with rig.connect(120) as s:
        s.sendall(raw.head('GET', '/events?size=%d' % size))
        head = b''
        while not head.endswith(b'\r\n\r\n'):
            head += s.recv(1)
        assert fake.receive_hash(s, size, pause) == expected(size)
        assert raw.read_end(s) == (b'', None)


def up(rig, size):
    with rig.connect(120) as s:
        s.sendall(raw.head('POST', '/x', {'Content-Length': str(size)}))
        fake.send_pattern(s, size)
        status, _, body = raw.Reader(s).answer('POST')
        assert (status, body.decode()) == (200, expected(size))


@test('L-05,PO-03', rigs='readonly', slow=True)
def a_gibibyte_through_the_filter(run):
    path = run.path('s')
    run.later(fake.blob_server(path))
    rig = run.own_rig('readonly', docker=path)
    memory = Memory(run, rig)
    down(rig, GIB, stall_at(GIB // 2, 2))
    memory.check('filter')


@test('T19,L-05', rigs=('ours', 'readonly'))
def readers_that_never_read_cost_their_window_and_nobody_else(run):
    path = run.path('s')
    run.later(fake.blob_server(path))
    rig = run.own_rig(run.rig.name, docker=path)
    memory = Memory(run, rig)
    for _ in range(20):
        s = run.later(rig.connect())
        s.sendall(raw.head('GET', '/events?size=%d' % (64 * MIB)))
        assert s.recv(4) == b'HTTP'
    for _ in range(10):
        down(rig, 4 * MIB)
    # 20 windows, and room for one more growth
    memory.check('20 stalled readers')


@test('L-02,L-09', rigs=('ours', 'readonly'))
def nothing_is_left_of_connections_that_came_and_went(run):
    path = run.path('s')
    docker = run.later(fake.blob_server(path))
    rig = run.own_rig(run.rig.name, docker=path)

    def churn():
        for number in range(200):
            s = rig.connect()
            s.sendall(raw.head('GET', '/events?size=%d' % MIB))
            if number % 4 == 1:
                s.recv(1000)
            if number % 4 == 2:
                s.shutdown(1)
            if number % 4 == 3:
                assert len(raw.Reader(s).answer()[2]) == MIB
            s.close()

    def counts():
        return [process.fds() for process in rig.processes()]
    raw.ask(rig.connect(), 'GET', '/events?size=1')
    wait_for('the first to be gone', lambda: not docker.live())
    before = counts()
    churn()
    wait_for('the descriptors of before', lambda: counts() <= before
             or counts() == before, 20)
    sizes = [process.rss_kib() for process in rig.processes()]
    for _ in range(3):
        churn()
    wait_for('the descriptors of before', lambda: all(
        now <= then for now, then in zip(counts(), before)), 20)
    wait_for('the engine to be alone', lambda: not docker.live())
    for process, size in zip(rig.processes(), sizes):
        run.note('%s: %d KiB after 200, %d KiB after 800 connections' % (
            process.name, size, process.rss_kib()))
        assert process.sanitized() or process.rss_kib() - size < 4096
