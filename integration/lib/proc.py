"""Processes that a test starts: their logs, their counts, their end."""

import os
import signal
import subprocess
import time


def wait_for(what, probe, timeout=10.0):
    """Returns the first true value of probe(), or fails after the timeout.

    For conditions that nothing announces. The pause between two looks is
    short and grows, so that a waiting test costs no processor time.
    """
    end = time.monotonic() + timeout
    pause = 0.005
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError('waited %g s for %s' % (timeout, what))
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


class Process:
    """One program, ended by its pid and never by its name."""

    # The scheduler shares the processor between sessions first. bench/ wants
    # its programs in one.
    own_session = True

    def __init__(self, name, argv, log, env=None, cwd=None):
        self.name = name
        self.argv = argv
        self.log = log
        environment = {k: v for k, v in os.environ.items()
                       if not k.startswith(('ORTHRUS', 'DOCKER_'))
                       and k.upper() not in ('HTTPS_PROXY', 'HTTP_PROXY',
                                             'ALL_PROXY', 'NO_PROXY')}
        environment.update(env or {})
        with open(log, 'ab') as out:
            self.popen = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env=environment, cwd=cwd, start_new_session=self.own_session)
        self.pid = self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def send(self, number):
        if self.alive():
            self.popen.send_signal(number)

    def kill(self):
        self.send(signal.SIGKILL)
        return self.popen.wait(10)

    def stop(self, timeout=10.0, twice=False):
        """Asks it to end; one that does not within the timeout is killed.

        twice: asks again soon, which ends a drain (L-06). Returns the exit
        status, negative for a signal.
        """
        self.send(signal.SIGTERM)
        self.send(signal.SIGCONT)
        if twice:
            try:
                return self.popen.wait(0.3)
            except subprocess.TimeoutExpired:
                self.send(signal.SIGTERM)
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL

    def text(self):
        with open(self.log, encoding='utf-8', errors='replace') as log:
            return log.read()

    def wait_text(self, text, timeout=10.0):
        def probe():
            if text in self.text():
                return True
            if not self.alive():
                raise AssertionError('%s ended with %d before it said %r:\n%s'
                                     % (self.name, self.popen.returncode,
                                        text, self.tail()))
            return False
        wait_for('%r in the log of %s' % (text, self.name), probe, timeout)

    def tail(self, lines=15):
        return '\n'.join(self.text().splitlines()[-lines:])

    def fds(self):
        return len(os.listdir('/proc/%d/fd' % self.pid))

    def listeners(self):
        """The TCP addresses it listens on, as (hexadecimal address, port)."""
        sockets = set()
        folder = '/proc/%d/fd' % self.pid
        for entry in os.listdir(folder):
            try:
                sockets.add(os.readlink(folder + '/' + entry))
            except OSError:
                pass
        found = set()
        for table in ('tcp', 'tcp6'):
            with open('/proc/%d/net/%s' % (self.pid, table),
                      encoding='ascii') as lines:
                for line in list(lines)[1:]:
                    words = line.split()
                    if words[3] == '0A' and 'socket:[%s]' % words[
                            9] in sockets:
                        address, _, port = words[1].partition(':')
                        found.add((address, int(port, 16)))
        return found

    def _status(self, field):
        with open('/proc/%d/status' % self.pid, encoding='ascii') as status:
            for line in status:
                if line.startswith(field + ':'):
                    return int(line.split()[1])
        return 0

    def rss_kib(self):
        return self._status('VmRSS')

    def peak_kib(self):
        """Largest resident size since the last reset_peak()."""
        return self._status('VmHWM')

    def sanitized(self):
        """A sanitizer keeps freed memory, so sizes say nothing."""
        with open('/proc/%d/maps' % self.pid, encoding='utf-8') as maps:
            return 'libasan' in maps.read()

    def reset_peak(self):
        with open('/proc/%d/clear_refs' % self.pid, 'w',
                  encoding='ascii') as clear:
            clear.write('5')

    def faults(self):
        """What a sanitizer or a contract complained of, as lines."""
        marks = ('AddressSanitizer', 'LeakSanitizer', 'runtime error:',
                 'contract failed', 'ThreadSanitizer', 'DATA RACE')
        return [line for line in self.text().splitlines()
                if any(mark in line for mark in marks)]


def pids_with(text):
    """Processes whose command line holds the text, a private path."""
    found = []
    for entry in os.listdir('/proc'):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open('/proc/%s/cmdline' % entry, 'rb') as line:
                if text.encode() in line.read():
                    found.append(int(entry))
        except OSError:
            pass
    return found
