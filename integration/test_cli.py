"""The Docker CLI through the tunnel, unfiltered, as on the engine itself."""

import hashlib
import io
import os
import signal
import tarfile

from lib import raw
from lib.cli import Spawned, both, docker, each_client, on_terminal
from lib.engine import BUSYBOX, IMAGE, find
from lib.harness import Skip, test
from lib.proc import wait_for
from lib.rig import command

UNFILTERED = ('ours', 'rawagent', 'goserver')
RUN = ('run', '--rm', '--network', 'none')


@test('AC-17,AC-12,T7', rigs=UNFILTERED)
def ps_and_version_are_the_engines_own(run):
    for client in each_client():
        both(run, 'ps', '-a', '--no-trunc', '--format',
             '{{.ID}} {{.Image}} {{.Names}} {{.Command}}', client=client)
        both(run, 'images', '--no-trunc', '--format',
             '{{.ID}} {{.Repository}}', client=client, ordered=False)
        answer = both(run, 'version', '-f', '{{.Client.APIVersion}} '
                      '{{.Server.Version}} {{.Server.APIVersion}}',
                      client=client)
        # without the engine's Api-Version a client falls back to 1.24
        assert b'1.24' not in answer[1], answer


@test('AC-17', rigs=UNFILTERED)
def inspect_is_the_engines_own(run):
    for client in each_client():
        both(run, 'inspect', 'still', client=client)
        both(run, 'inspect', IMAGE, client=client)
        both(run, 'inspect', 'not-there', client=client)
        both(run, 'system', 'df', client=client)


@test('T8,L-03', rigs=UNFILTERED)
def run_with_stdin_goes_on_after_its_end(run):
    for client in each_client():
        done = docker(run.rig.host, *RUN, '-i', IMAGE, BUSYBOX, 'sh', '-c',
                      'cat; sleep 0.5; echo late; exit 4', stdin=b'hi\n',
                      client=client)
        assert done.stdout == b'hi\nlate\n', done
        assert done.returncode == 4, done


@test('T9,L-03', rigs=UNFILTERED)
def commands_without_stdin_keep_their_output_and_status(run):
    for client in each_client():
        done = docker(run.rig.host, 'exec', 't1', BUSYBOX, 'sh', '-c',
                      'sleep 0.5; echo out; echo err >&2; exit 3',
                      client=client)
        assert (done.returncode, done.stdout, done.stderr) == (
            3, b'out\n', b'err\n'), done
        done = docker(run.rig.host, *RUN, IMAGE, BUSYBOX, 'sh', '-c',
                      'sleep 0.3; echo out; exit 5', client=client)
        assert (done.returncode, done.stdout) == (5, b'out\n'), done


@test('T10,L-03', rigs=UNFILTERED)
def a_terminal_ends_with_its_process(run):
    for client in each_client():
        status, output = on_terminal(
            [client, '-H', run.rig.host, 'exec', '-it', 't1', BUSYBOX, 'sh',
             '-c', 'echo A; exit 7'])
        assert (status, output) == (7, b'A\r\n'), (status, output)
        status, output = on_terminal(
            [client, '-H', run.rig.host, *RUN, '-it', IMAGE, BUSYBOX, 'sh'],
            b'echo $((6*7))\nexit 9\n')
        assert status == 9 and b'42' in output, (status, output)


@test('T11,L-03', rigs='ours', nightly=True)
def a_half_closed_stream_has_no_age_limit(run):
    done = docker(run.rig.host, 'exec', 't1', BUSYBOX, 'sh', '-c',
                  'sleep 700; echo done; exit 3', timeout=800)
    assert (done.returncode, done.stdout) == (3, b'done\n'), done


@test('T29,L-08', rigs='ours', slow=True)
def a_silent_stream_is_not_timed_out(run):
    # longer than every limit on setting up a stream or a request
    done = docker(run.rig.host, 'exec', 't1', BUSYBOX, 'sh', '-c',
                  'sleep 16; echo done; exit 3')
    assert (done.returncode, done.stdout) == (3, b'done\n'), done


@test('T12', rigs=UNFILTERED)
def stdin_arrives_whole_before_its_end(run):
    data = os.urandom(1 << 20)
    for client in each_client():
        done = docker(run.rig.host, *RUN, '-i', IMAGE, BUSYBOX, 'md5sum',
                      stdin=data, client=client)
        assert done.stdout.split()[0].decode() == hashlib.md5(
            data).hexdigest(), done


@test('T2,AC-06', rigs=UNFILTERED)
def fifty_megabytes_both_ways_at_once(run):
    data = os.urandom(50 << 20)
    done = docker(run.rig.host, 'exec', '-i', 't1', BUSYBOX, 'cat',
                  stdin=data)
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(
        data).digest()


@test('T28', rigs=UNFILTERED)
def nothing_is_held_back(run):
    """Each line is sent only when the one before has come back."""
    with_input = run.later(Spawned(run.rig.host, 'exec', '-i', 't1', BUSYBOX,
                                   'cat'))
    for number in range(200):
        line = b'line %d\n' % number
        with_input.write(line)
        with_input.read_until(line)
    assert with_input.end()[0] == 0


@test('T12,T28', rigs=UNFILTERED)
def logs_follow_until_interrupted(run):
    engine = run.engine()
    name = 'logs-' + run.rig.name
    engine.container(name, 'sh', '-c',
                     'n=0; while :; do echo $n; n=$((n+1)); usleep 20000; '
                     'done')
    for client in each_client():
        follow = run.later(Spawned(run.rig.host, 'logs', '-f', name,
                                   client=client))
        lines = follow.read_until(b'\n60\n').split()
        assert lines[:61] == [b'%d' % n for n in range(61)], lines
        follow.popen.send_signal(signal.SIGINT)
        assert follow.end()[0] != 0
    engine.docker('kill', name)
    both(run, 'logs', name)
    both(run, 'logs', '-t', '--tail', '5', name)


@test('AC-17', rigs=UNFILTERED)
def attach_shows_what_the_container_says(run):
    engine = run.engine()
    for number, client in enumerate(each_client()):
        name = 'attach%d-%s' % (number, run.rig.name)
        docker(run.rig.host, 'create', '-i', '--network', 'none', '--name',
               name, IMAGE, BUSYBOX, 'sh', '-c', 'read x; echo got $x; exit 6')
        start = run.later(Spawned(run.rig.host, 'start', '-ai', name,
                                  client=client))
        start.write(b'word\n')
        assert start.end()[:2] == (6, b'got word\n')
        wait = docker(run.rig.host, 'wait', name, client=client)
        assert wait.stdout == b'6\n', wait
        engine.docker('rm', name)


@test('AC-17', rigs=UNFILTERED)
def copies_in_and_out_are_equal(run):
    source = raw.random_file(run.path('big'), 20 << 20)
    for client in each_client():
        copied = docker(run.rig.host, 'cp', source, 't1:/tmp/in',
                        client=client)
        assert copied.returncode == 0, copied
        direct = run.engine().docker('exec', 't1', BUSYBOX, 'md5sum',
                                     '/tmp/in')
        with open(source, 'rb') as file:
            data = file.read()
        assert direct.split()[0] == hashlib.md5(data).hexdigest()
        target = run.path('back')
        copied = docker(run.rig.host, 'cp', 't1:/tmp/in', target,
                        client=client)
        assert copied.returncode == 0, copied
        with open(target, 'rb') as file:
            assert file.read() == data
        both(run, 'cp', 't1:/tmp/nothing', '-', client=client)


@test('T31', rigs=UNFILTERED)
def an_early_answer_to_an_upload_survives(run):
    source = raw.random_file(run.path('big40'), 40 << 20)
    for _ in range(5):
        done = docker(run.rig.host, 'cp', source, 't1:/nonexist/dir/x')
        assert done.returncode == 1, done
        assert b'Could not find the file' in done.stderr, done


@test('AC-17', rigs=UNFILTERED)
def save_and_load_are_equal(run):
    client = each_client()[0]
    direct = command([client, '-H', run.engine().host, 'save', IMAGE])
    saved = command([client, '-H', run.rig.host, 'save', IMAGE])
    assert saved.returncode == 0 and len(saved.stdout) > 1 << 20, saved.stderr

    def entries(data):
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            return {one.name: hashlib.md5(
                tar.extractfile(one).read()).hexdigest()
                for one in tar if one.isfile()}
    assert entries(saved.stdout) == entries(direct.stdout)
    for each in each_client():
        loaded = docker(run.rig.host, 'load', '-q', stdin=saved.stdout,
                        client=each)
        assert loaded.stdout == b'Loaded image: bb:1\n', loaded


@test('AC-17', rigs=UNFILTERED)
def events_arrive_as_they_happen(run):
    for client in each_client():
        events = run.later(Spawned(
            run.rig.host, 'events', '--format', '{{.Type}} {{.Action}}',
            '--filter', 'event=tag', client=client))
        # an event is seen once the client is subscribed, so repeat the cause
        tag = 'bb:e%s' % run.rig.name
        wait_for('the subscription', lambda: (
            run.engine().docker('tag', IMAGE, tag) or
            events.poll()), 20)
        assert events.read_until(b'\n').startswith(b'image tag\n')
        events.popen.send_signal(signal.SIGINT)
        events.end()


@test('AC-17', rigs=UNFILTERED)
def stats_come_for_each_container(run):
    for client in each_client():
        done = docker(run.rig.host, 'stats', '--no-stream', '--format',
                      '{{.Name}}', 't1', client=client)
        assert done.stdout == b't1\n', done


@test('T17', rigs=UNFILTERED)
def a_killed_client_frees_the_engine(run):
    engine = run.engine()
    before = engine.sockets()

    def more():
        # those of earlier tests may still be going
        nonlocal before
        now = engine.sockets()
        before = min(before, now)
        return now > before
    events = run.later(Spawned(run.rig.host, 'events'))
    wait_for('dockerd to have the stream', more)
    events.popen.kill()
    wait_for('dockerd to lose it', lambda: engine.sockets() <= before, 15)


@test('T27', rigs=UNFILTERED)
def dial_stdio_answers_after_the_end_of_stdin(run):
    for client in each_client():
        done = docker(run.rig.host, 'system', 'dial-stdio', client=client,
                      stdin=b'GET /_ping HTTP/1.1\r\nHost: x\r\n'
                      b'Connection: close\r\n\r\n')
        assert done.stdout.startswith(b'HTTP/1.1 200 OK'), done
        assert done.stdout.endswith(b'OK'), done


def write_context(run, megabytes):
    context = run.path('context')
    os.mkdir(context)
    raw.random_file(context + '/blob', megabytes << 20)
    with open(context + '/Dockerfile', 'w', encoding='ascii') as file:
        file.write('FROM %s\nCOPY blob /blob\nRUN ["%s", "md5sum", "/blob"]\n'
                   % (IMAGE, BUSYBOX))
    with open(context + '/blob', 'rb') as file:
        return context, hashlib.md5(file.read()).hexdigest().encode()


def build(run, context, client, kit, rig=None):
    return docker((rig or run.rig).host, 'build', '--no-cache', '--network',
                  'none', *(['--progress', 'plain'] if kit else []), context,
                  client=client, env={'DOCKER_BUILDKIT': '1' if kit else '0'})


@test('AC-17,T24', rigs=UNFILTERED)
def builds_send_their_context_the_old_way(run):
    context, digest = write_context(run, 20)
    for client in each_client():
        done = build(run, context, client, kit=False)
        assert done.returncode == 0, done
        assert digest in done.stdout, done.stdout


def kit_client():
    """A CLI that can do BuildKit by itself: 23 and later need a plugin."""
    for client in reversed(each_client()):
        version = command([client, '--version']).stdout.decode()
        if int(version.split('version ')[1].split('.')[0]) < 23:
            return client
        plugin = command([client, 'buildx', 'version'])
        if plugin.returncode == 0:
            return client
    raise Skip('no Docker CLI here can use BuildKit')


@test('T24', rigs=UNFILTERED)
def builds_with_buildkit(run):
    context, digest = write_context(run, 20)
    done = build(run, context, kit_client(), kit=True)
    assert done.returncode == 0, done
    assert digest in done.stdout + done.stderr, done


@test('AC-17', rigs='ours')
def compose_brings_a_project_up_and_down(run):
    folder = run.path('compose')
    os.mkdir(folder)
    with open(folder + '/docker-compose.yml', 'w', encoding='ascii') as file:
        file.write('version: "2.4"\nservices:\n  one:\n    image: %s\n'
                   '    network_mode: none\n'
                   '    command: ["%s", "sh", "-c", "echo up; sleep 1000"]\n'
                   % (IMAGE, BUSYBOX))
    base = [*compose(), '--project-directory', folder, '-p', 'orthrusit']
    env = {'DOCKER_HOST': run.rig.host}
    done = command([*base, 'up', '-d'], env=env)
    assert done.returncode == 0, done
    listed = command([*base, 'ps', '-q'], env=env)
    assert len(listed.stdout.split()) == 1, listed
    logs = command([*base, 'logs', '--no-color'], env=env)
    assert b'up' in logs.stdout, logs
    done = command([*base, 'down', '-t', '0'], env=env)
    assert done.returncode == 0, done
    assert run.engine().docker('ps', '-aq', '--filter', 'label='
                               'com.docker.compose.project=orthrusit') == ''


def compose():
    """The compose that is here, version 2 first."""
    for words in ([each_client()[0], 'compose'], ['docker-compose']):
        if find(words[0]) and command([*words, 'version']).returncode == 0:
            return words
    raise Skip('no compose is installed')
