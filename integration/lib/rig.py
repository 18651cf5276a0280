"""A rig: one server, one agent, one Docker socket, in every pairing."""

import json
import os
import secrets
import socket
import subprocess
import urllib.error
import urllib.request

from lib.proc import Process, wait_for

# rig: (server, agent, arguments of the agent)
PAIRS = {
    'ours': ('ours', 'ours', ['--policy', 'allow-all']),
    'readonly': ('ours', 'ours', []),
    'goagent': ('ours', 'agent', []),
    'rawagent': ('ours', 'raw-agent', []),
    'goserver': ('go', 'ours', ['--policy', 'allow-all']),
    'goserver_readonly': ('go', 'ours', []),
    'go': ('go', 'agent', []),
    'goraw': ('go', 'raw-agent', []),
}


class Programs:
    """Where the programs under test are."""

    def __init__(self, build_dir, peer):
        self.server = build_dir + '/server/orthrusd'
        self.agent = build_dir + '/agent/orthrus-agent'
        self.ctl = build_dir + '/cli/orthrusctl'
        self.peer = peer

    def check(self, path):
        if not os.access(path, os.X_OK):
            raise AssertionError('%s is not there: build it, or name its '
                                 'folder with --build-dir' % path)
        return path


def free_port():
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Answer:
    """Status, fields and body of an HTTP answer."""

    def __init__(self, status, fields, body):
        self.status = status
        self.fields = fields
        self.body = body

    def json(self):
        return json.loads(self.body)


class Server:
    """What both servers have: an API, agents, a way to end."""

    process = None
    host = '127.0.0.1'
    address = ''
    tls = None  # a context for clients, if it speaks TLS
    token = ''
    name = ''

    def call(self, method, path, body=None, fields=None, timeout=15):
        """One request to the API, with the admin token unless fields say
        otherwise."""
        fields = dict(fields or {})
        if self.token and 'Authorization' not in fields:
            fields['Authorization'] = 'Bearer ' + self.token
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(
                body).encode()
            fields.setdefault('Content-Type', 'application/json')
        request = urllib.request.Request(
            '%s://%s%s' % ('https' if self.tls else 'http', self.address,
                           path), data, fields, method=method)
        try:
            with urllib.request.urlopen(
                    request, timeout=timeout, context=self.tls) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def add_agent(self, name):
        """Provisions an agent; returns its uuid and key."""
        answer = self.call('POST', '/api/v1/orthrus/agents', {'name': name})
        assert answer.status == 201, (answer.status, answer.body)
        fields = answer.json()
        return fields['agent']['uuid'], fields['auth_key']

    def agent(self, uuid):
        answer = self.call('GET', '/api/v1/orthrus/agents/' + uuid)
        return answer.json() if answer.status == 200 else {}

    def proxy(self, uuid):
        """The agent's proxy address, '' while it has none."""
        view = self.agent(uuid)
        return (view.get('proxy_address') or ''
                if view.get('status') == 'online' else '')

    def session(self, uuid):
        """What tells one session of an agent from the next; '' while it has
        none. An agent may keep its port."""
        proxy = self.proxy(uuid)
        return proxy and proxy + ' ' + self.began(uuid)

    def began(self, _):
        """When the agent's session began, if that can be asked."""
        return ''

    def wait_session(self, uuid, but='', timeout=15):
        """Waits for a session other than a known one."""
        def probe():
            self.must_live()
            found = self.session(uuid)
            return found if found != but else ''
        return wait_for('a session of agent ' + uuid, probe, timeout)

    def wait_proxy(self, uuid, timeout=15):
        """Its proxy address as soon as it has one."""
        return self.wait_session(uuid, '', timeout).split()[0]

    def wait_offline(self, uuid, timeout=20):
        wait_for('agent %s to be offline' % uuid,
                 lambda: not self.proxy(uuid), timeout)

    def must_live(self):
        if not self.process.alive():
            raise AssertionError('%s ended with %s:\n%s' % (
                self.name, self.process.popen.returncode,
                self.process.tail()))

    def connect_url(self):
        return '%s://%s/api/v1/ws/orthrus/connect' % (
            'wss' if self.tls else 'ws', self.address)


class OurServer(Server):
    """orthrusd with a private data directory."""

    log_level = 'debug'

    def __init__(self, run, options=()):
        self.name = 'orthrusd'
        self.run = run
        self.data = run.path('data')
        self.log = run.path('orthrusd.log')
        self.address = '%s:%d' % (self.host, free_port())
        self.options = list(options)
        self.start()

    def start(self):
        program = self.run.programs.check(self.run.programs.server)
        self.process = Process(self.name, [
            program, '--listen', self.address, '--data-dir', self.data,
            '--log-level', self.log_level, *self.options], self.log)

        def ready():
            self.must_live()
            try:
                return self.call('GET', '/readyz').status == 200
            except OSError:
                return False
        wait_for('orthrusd to be ready', ready, 20)
        with open(self.data + '/admin.token', encoding='ascii') as token:
            self.token = token.read().strip()

    def metrics(self):
        """Every sample of /metrics: 'name{labels}' to its value."""
        answer = self.call('GET', '/metrics')
        assert answer.status == 200, answer.status
        found = {}
        for line in answer.body.decode().splitlines():
            if line and not line.startswith('#'):
                name, _, value = line.rpartition(' ')
                found[name] = float(value)
        return found

    def began(self, uuid):
        return str(self.metrics().get(
            'orthrus_agent_connected_timestamp_seconds{agent="%s"}' % uuid))

    def close(self):
        alive = self.process.alive()
        status = self.process.stop(15, twice=True)
        problems = self.process.faults()
        if alive and status != 0:
            problems.append('exit status %d after SIGTERM\n%s'
                            % (status, self.process.tail()))
        if problems:
            self.run.problems.append('orthrusd (%s): %s' % (
                self.process.log, '\n'.join(problems)))


class GoServer(Server):
    """The reference server."""

    def __init__(self, run, options=('--half-close',)):
        self.name = 'go server'
        self.run = run
        self.log = run.path('goserver.log')
        self.options = list(options)
        self.start()

    def start(self):
        self.process = Process(self.name, [
            self.run.programs.check(self.run.programs.peer), 'server',
            *self.options], self.log)
        self.process.wait_text('"listening"')
        for line in self.process.text().splitlines():
            if '"listening"' in line:
                self.address = json.loads(line)['address']

    def close(self):
        self.process.kill()


class Agent:
    """An agent of either kind, for one key."""

    log_level = 'debug'

    def __init__(self, run, kind, url, key, docker, options=()):
        self.run = run
        self.kind = kind
        self.name = 'orthrus-agent' if kind == 'ours' else 'go ' + kind
        self.log = run.path('agent.log')
        self.docker = docker
        programs = run.programs
        if kind == 'ours':
            self.argv = [programs.check(programs.agent),
                         '--log-level', self.log_level,
                         '--reconnect-min', '200ms', '--reconnect-max', '1s']
        else:
            self.argv = [programs.check(programs.peer), kind,
                         '--reconnect-delay', '200ms']
        self.argv += list(options)
        self.environment = {'ORTHRUS_SERVER_URL': url,
                            'ORTHRUS_AUTH_KEY': key,
                            'ORTHRUS_AGENT_ID': 'test',
                            'ORTHRUS_DOCKER_SOCKET': docker}
        self.start()

    def start(self):
        self.process = Process(self.name, self.argv, self.log,
                               self.environment)

    def close(self):
        alive = self.process.alive()
        status = self.process.stop(15, twice=True)
        problems = self.process.faults()
        if self.kind == 'ours':
            if alive and status != 0:
                problems.append('exit status %d after SIGTERM\n%s'
                                % (status, self.process.tail()))
            if problems:
                self.run.problems.append('orthrus-agent (%s): %s' % (
                    self.log, '\n'.join(problems)))


class Rig:
    """A server, an agent that is connected to it, and a Docker socket."""

    def __init__(self, run, name, docker, agent_options=(),
                 server_options=None, url=None, wait=True):
        server, self.agent_kind, options = PAIRS[name]
        self.run = run
        self.name = name
        self.docker = docker
        self.agent = None
        make_server = OurServer if server == 'ours' else GoServer
        self.server = (make_server(run) if server_options is None
                       else make_server(run, server_options))
        try:
            self.uuid, self.key = self.server.add_agent(
                'a-' + secrets.token_hex(4))
            self.agent = Agent(run, self.agent_kind,
                               url or self.server.connect_url(), self.key,
                               docker, [*options, *agent_options])
            self.session = self.proxy = ''
            if wait:
                self.reconnected()
        except BaseException:
            self.close()
            raise

    @property
    def host(self):
        """What a Docker client is pointed at."""
        return 'tcp://' + self.proxy

    @property
    def port(self):
        return int(self.proxy.rpartition(':')[2])

    def connect(self, timeout=15):
        """A TCP connection to the loopback proxy."""
        return socket.create_connection(('127.0.0.1', self.port), timeout)

    def reconnected(self, timeout=20):
        """Waits for a session after the present one."""
        self.session = self.server.wait_session(self.uuid, self.session,
                                                timeout)
        self.proxy = self.session.split()[0]

    def processes(self):
        return [part.process for part in (self.server, self.agent) if part]

    def healthy(self):
        if not all(process.alive() for process in self.processes()):
            return False
        return self.server.session(self.uuid) == self.session

    def close(self):
        if self.agent:
            self.agent.close()
        self.server.close()


def make(run, name, docker='', **options):
    return Rig(run, name, docker, **options)


def command(argv, stdin=b'', timeout=60, env=None, stdout=None):
    """Runs a client to its end; a hung one is killed and fails the test."""
    environment = {k: v for k, v in os.environ.items()
                   if not k.startswith('DOCKER_')}
    environment.update(env or {})
    return subprocess.run(
        argv, input=stdin, stdout=stdout or subprocess.PIPE,
        stderr=subprocess.PIPE, timeout=timeout, env=environment,
        check=False)
