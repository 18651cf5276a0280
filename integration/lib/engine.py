"""A Docker Engine of our own: started, filled and ended by the tests."""

import io
import os
import shutil
import signal
import socket
import subprocess
import tarfile

from lib.proc import Process, pids_with, wait_for

IMAGE = 'bb:1'
BUSYBOX = '/bin/busybox'


def missing():
    """The reason for which no engine can run here, or an empty string."""
    for program in ('dockerd', 'containerd', 'runc', 'docker', 'busybox'):
        if not find(program):
            return program + ' is not installed'
    if os.geteuid() != 0:
        return 'an engine needs root'
    return ''


def find(program):
    """A program's path; daemons are not on every user's PATH."""
    return shutil.which(program, path=os.environ.get('PATH', '')
                        + ':/usr/sbin:/sbin:/usr/local/sbin')


class Engine:
    """dockerd with a private root, and one image that holds busybox."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder)
        self.path = folder + '/docker.sock'
        self.host = 'unix://' + self.path
        self.log = folder + '/dockerd.log'
        self.config = folder + '/daemon.json'
        with open(self.config, 'w', encoding='ascii') as config:
            config.write('{}')
        self.process = None
        self.start()
        self.import_image()

    def start(self):
        # A unix socket's path has a limit of 107 bytes, and dockerd puts
        # containerd's under the exec root.
        self.process = Process('dockerd', [
            find('dockerd'), '--config-file', self.config,
            '--data-root', self.folder + '/data',
            '--exec-root', self.folder + '/exec', '--host', self.host,
            '--pidfile', self.folder + '/pid', '--iptables=false',
            '--ip6tables=false', '--bridge=none', '--storage-driver=vfs',
            '--shutdown-timeout=2'],
            self.log, env={'PATH': os.environ.get('PATH', '')
                           + ':/usr/sbin:/sbin'})
        wait_for('dockerd to answer', self.answers, 60)

    def answers(self):
        if not self.process.alive():
            raise AssertionError('dockerd ended:\n' + self.process.tail())
        try:
            return self.request('GET', '/_ping').endswith(b'OK')
        except OSError:
            return False

    def request(self, method, path):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(self.path)
            s.sendall(('%s %s HTTP/1.1\r\nHost: d\r\nConnection: close\r\n'
                       '\r\n' % (method, path)).encode())
            answer = b''
            while True:
                piece = s.recv(65536)
                if not piece:
                    return answer
                answer += piece

    def import_image(self):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode='w') as tar:
            for name in ('bin', 'tmp', 'etc', 'proc', 'dev', 'sys'):
                folder = tarfile.TarInfo(name)
                folder.type, folder.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(folder)
            tar.add(find('busybox'), 'bin/busybox')
            for name in ('sh', 'cat', 'echo', 'sleep'):
                link = tarfile.TarInfo('bin/' + name)
                link.type, link.linkname = tarfile.SYMTYPE, 'busybox'
                tar.addfile(link)
        self.docker('import', '-', IMAGE, stdin=buffer.getvalue())

    def docker(self, *args, stdin=b'', client=None):
        """Runs the Docker CLI on the engine itself and returns its output."""
        done = subprocess.run(
            [client or find('docker'), '-H', self.host, *args], input=stdin,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
            check=False)
        if done.returncode != 0:
            raise AssertionError('docker %s: %s' % (args[0], done.stderr))
        return done.stdout.decode().strip()

    def container(self, name, *command):
        """Starts a container that lives until the engine ends."""
        return self.docker('run', '-d', '--network', 'none', '--name', name,
                           IMAGE, BUSYBOX, *(command or ('sleep', '100000')))

    def sockets(self):
        """How many sockets dockerd holds."""
        count = 0
        folder = '/proc/%d/fd' % self.process.pid
        for entry in os.listdir(folder):
            try:
                count += os.readlink(folder + '/' + entry).startswith('socket')
            except OSError:
                pass
        return count

    def kill(self):
        """kill -9, as a crash: containerd goes with it, containers live on."""
        self.process.kill()
        # Where nobody reaps orphans, dockerd would take the dead containerd
        # for a live one.
        try:
            os.unlink(self.folder + '/exec/containerd/containerd.pid')
        except FileNotFoundError:
            pass

    def close(self):
        if self.process.alive():
            for name in self.docker('ps', '-q').split():
                self.request('POST', '/containers/%s/kill' % name)
            self.process.stop(20)
        # What a killed dockerd left behind names our folder.
        for _ in range(20):
            left = pids_with(self.folder + '/exec')
            if not left:
                break
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        with open('/proc/mounts', encoding='utf-8') as mounts:
            points = [line.split()[1] for line in mounts]
        for point in sorted(points, reverse=True):
            if point.startswith(self.folder + '/'):
                subprocess.run(['umount', '-l', point], check=False,
                               stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder, ignore_errors=True)
