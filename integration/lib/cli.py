"""The Docker CLI on the tunnel and on the engine, side by side."""

import os
import pty
import select
import subprocess
import time

from lib.harness import Skip, clients
from lib.rig import command


def each_client():
    found = clients()
    if not found:
        raise Skip('no Docker CLI is installed')
    return found


def docker(host, *args, stdin=b'', client=None, timeout=60, env=None):
    """Runs the CLI; returns the finished process."""
    return command([client or each_client()[0], '-H', host, *args], stdin,
                   timeout, env)


def agree(what, direct, tunnel):
    """Calls both until they give the same, and returns it. They may differ
    only where the engine itself has changed its mind in between."""
    before = direct()
    for _ in range(5):
        through = tunnel()
        if through == before:
            return through
        after = direct()
        if through == after:
            return through
        assert before != after, (what, before, through)
        before = after
    raise AssertionError('the engine says something else every time: %r'
                         % (what,))


def both(run, *args, client=None, ordered=True):
    """Runs the CLI on the engine and through the tunnel; all of what they
    say must be equal: (status, output, errors). ordered False: lines may come
    in any order, as images of one second do from the engine."""
    def call(host):
        done = docker(host, *args, client=client)
        lines = done.stdout.splitlines(True)
        return (done.returncode,
                b''.join(lines if ordered else sorted(lines)), done.stderr)
    return agree(args, lambda: call(run.engine().host),
                 lambda: call(run.rig.host))


class Spawned:
    """A client that runs beside the test."""

    def __init__(self, host, *args, client=None, stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE):
        environment = {k: v for k, v in os.environ.items()
                       if not k.startswith('DOCKER_')}
        self.popen = subprocess.Popen(
            [client or each_client()[0], '-H', host, *args], stdin=stdin,
            stdout=stdout, stderr=subprocess.PIPE, env=environment)
        self.output = b''

    def read_until(self, mark, timeout=20):
        """Reads standard output until it holds the mark."""
        end = time.monotonic() + timeout
        out = self.popen.stdout
        while mark not in self.output:
            left = end - time.monotonic()
            ready = select.select([out], [], [], max(left, 0))[0]
            assert ready, 'no %r within %g s, only %r' % (
                mark, timeout, self.output[-200:])
            piece = os.read(out.fileno(), 65536)
            assert piece, 'end before %r: %r %r' % (
                mark, self.output[-200:], self.popen.stderr.read())
            self.output += piece
        return self.output

    def poll(self):
        """All output so far, after a short look for more."""
        out = self.popen.stdout
        if select.select([out], [], [], 0.1)[0]:
            self.output += os.read(out.fileno(), 65536)
        return self.output

    def write(self, data):
        self.popen.stdin.write(data)
        self.popen.stdin.flush()

    def end(self, timeout=30):
        """Waits for its end: (status, all output, all errors)."""
        try:
            out, err = self.popen.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            self.close()
            raise AssertionError('the client hangs') from error
        self.output += out or b''
        return self.popen.returncode, self.output, err

    def close(self):
        """For run.later(): nothing is left of it after its test."""
        if self.popen.poll() is None:
            self.popen.kill()
        for pipe in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            if pipe:
                try:
                    pipe.close()
                except OSError:
                    pass
        self.popen.wait()


def on_terminal(argv, typed=b'', timeout=30):
    """Runs a program on a pseudo-terminal; returns (status, output)."""
    pid, master = pty.fork()
    if pid == 0:
        try:
            os.execv(argv[0], argv)
        finally:
            os._exit(127)
    output, end = b'', time.monotonic() + timeout
    try:
        if typed:
            os.write(master, typed)
        while True:
            left = end - time.monotonic()
            if left <= 0 or not select.select([master], [], [], left)[0]:
                os.kill(pid, 9)
                raise AssertionError('hangs after %r' % output[-300:])
            try:
                piece = os.read(master, 65536)
            except OSError:
                break
            if not piece:
                break
            output += piece
    finally:
        os.close(master)
        status = os.waitpid(pid, 0)[1]
    return os.waitstatus_to_exitcode(status), output
