"""What the filter allows, and what an engine makes of it.

The filter's decision is compared with net/http's parser and the router of a Docker Engine (peer/routes.go), over the
corpora of the fuzzers and over drawn requests: what is allowed by a rule must be taken by the engine, whole, as the route
that the rule names.
"""

import json
import os
import random
import re
import struct
import subprocess
import tempfile

from lib.harness import test

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DRAWN = 60000
SEED = 1

NAMES = ('x',) * 8 + ('web-1', 'a.b', 'a%20b', 'a%2fb', '%2e%2e', '..', '.', '', 'json', 'a:b@c', '%C3%A9', 'archive', 'get',
         'v1.41', '%6a%73on', 'a;b', 'a+b', '%00', '%', 'a%2', '~', '%7e', 'A')
PLACES = ('_ping', 'containers', 'images', 'info', 'version', 'events', 'volumes', 'networks', 'system', 'df', 'json', 'logs',
          'stats', 'top', 'distribution', 'archive', 'exec', 'start', 'secrets', 'swarm', 'unlockkey', 'export', 'history')
LISTED = ('/_ping', '/containers/json', '/images/json', '/info', '/version', '/events', '/volumes', '/networks', '/system/df',
          '/containers/@/json', '/containers/@/logs', '/containers/@/stats', '/containers/@/top', '/volumes/@', '/networks/@',
          '/images/@/json', '/images/@/@/json', '/distribution/@/@/json')
VERSIONS = ('',) * 6 + ('/v1.41',) * 6 + ('/v1.24', '/v9.9', '/v01.4', '/v1.411', '/v1', '/v1.41.1', '/v1.', '/V1.41',
                                                 '/v%31.41', '/v.', '/v1..1')
METHODS = ('GET',) * 12 + ('HEAD', 'HEAD', 'POST', 'get', 'PUT', 'DELETE', 'OPTIONS', 'GE')
FIELDS = (b'Host: x', b'Host: y', b'Content-Length: 0', b'Content-Length: 5', b'Content-Length: +0', b'Transfer-Encoding: chunked',
          b'Transfer-Encoding : chunked', b'Transfer-Encoding:\tchunked', b'Connection: close', b'Connection: upgrade, x-a',
          b'X-A: 1', b'Upgrade: tcp', b'Expect: 100-continue', b' folded', b'X\x00: 1', b'X: a\xff', b'TE: trailers', b'X-B:  2 ',
          b':', b'X', b'Trailer: X', b'Content-length:0', b'X-HTTP-Method-Override: DELETE')
TAILS = (b'', b'', b'', b'DELETE /containers/x HTTP/1.1\r\nHost: x\r\n\r\n', b'0\r\n\r\n', b'hello')


def draw_target(chance):
    """A path as clients, scanners and attackers write them, and a query."""
    if chance.random() < 0.6:
        path = re.sub('@', lambda _: chance.choice(NAMES), chance.choice(LISTED))
    else:
        path = ''.join('/' + chance.choice(chance.choice((NAMES, PLACES))) for _ in range(chance.randint(0, 5)))
    path = chance.choice(VERSIONS) + path
    if chance.random() < 0.1:
        at = chance.randint(0, len(path))
        path = path[:at] + chance.choice(('/', '//', '/./', '/../', '%2f', '?', '#', ' ', '\\', '%5c', ';', '*', '\t')) + path[at:]
    return path + chance.choice(('', '', '', '?all=1', '?a=%2f..%2f', '?x=/../', '?', '?%', '#x'))


def draw(chance):
    """One request."""
    fields = [b'Host: x'] if chance.random() < 0.95 else []
    fields += [chance.choice(FIELDS) for _ in range(chance.choice((0, 0, 0, 1, 2)))]
    first = '%s %s %s' % (chance.choice(METHODS), draw_target(chance), chance.choice(('HTTP/1.1',) * 8 + ('HTTP/1.0', 'HTTP/2')))
    end = b'\n' if chance.random() < 0.02 else b'\r\n'
    return end.join([first.encode('latin-1', 'replace')] + fields) + end + end + chance.choice(TAILS)


def corpora(run):
    """Requests that the fuzzers' corpora hold, in the programs' bytes."""
    found = []
    for name in ('policy', 'http', 'filter'):
        with tempfile.TemporaryDirectory(dir=run.folder) as folder:
            command = [run.options.build_dir + '/fuzz/fuzz_text', '--bytes', ROOT + '/fuzz/corpus/' + name, folder]
            subprocess.run(command, check=True)
            for each in sorted(os.listdir(folder)):
                with open(os.path.join(folder, each), 'rb') as file:
                    data = file.read()
                found.append(data + b' HTTP/1.1\r\nHost: x\r\n\r\n' if name == 'policy' else data[3:])
    return found


def ask(command, requests):
    """The answer to each, a line each."""
    data = b''.join(struct.pack('>I', len(each)) + each for each in requests)
    done = subprocess.run(command, input=data, capture_output=True, check=True, timeout=120)
    lines = done.stdout.decode().splitlines()
    assert len(lines) == len(requests), (len(lines), len(requests))
    return lines


def engine_says(run, requests):
    """What net/http and the engine's router make of each."""
    return [json.loads(line) for line in ask([run.options.peer, 'routes'], requests)]


def shape(route):
    """The same for a rule and for the route that it stands for."""
    return re.sub(r'\{[^}]*\}|\*+', '*', route)


def judge(run, requests):
    """Compares, and gives how many were allowed, by rule."""
    allowed = {}
    forwarded = []
    for request, line in zip(requests, ask([run.options.build_dir + '/fuzz/fuzz_decide'], requests)):
        if line.startswith('allowed '):
            _, text, rule = line.split(' ', 2)
            forwarded.append((request, bytes.fromhex(text), rule))
    for (request, head, rule), said in zip(forwarded, engine_says(run, [each[1] for each in forwarded])):
        # GET /images/a/b/json is one image to the rule and to the route; a rule's * never spans segments
        good = said.get('status') == 200 and shape(said['route']) == shape(rule) and not said['body'] and said['rest'] == 0
        assert good, (request, head, rule, said)
        allowed[rule] = allowed.get(rule, 0) + 1
    return allowed


@test('PO-07,X19')
def the_routes_of_an_engine_are_told_apart(run):
    """The other side of the comparison works: these are no routes that only look, or none."""
    def said(first):
        return engine_says(run, [first + b' HTTP/1.1\r\nHost: x\r\n\r\n'])[0]
    assert said(b'GET /v1.41/containers/x/archive?path=/')['route'] == 'GET /containers/{name:.*}/archive'
    assert said(b'GET /containers/a%2fjson/export')['route'] == 'GET /containers/{name:.*}/export'
    assert said(b'GET /images/../containers/x/export')['status'] == 301
    assert said(b'POST /_ping')['status'] in (404, 405)
    assert said(b'GET /nothing')['status'] in (404, 405)
    assert 'error' in said(b'GET')
    smuggled = engine_says(run, [b'POST /session HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nxGET / HTTP/1.1\r\n\r\n'])[0]
    assert smuggled['body'] and smuggled['rest'] == 18, smuggled


@test('PO-07,X19,X21')
def what_is_allowed_is_that_route_to_an_engine(run):
    chance = random.Random(SEED)
    requests = corpora(run) + [draw(chance) for _ in range(DRAWN)]
    allowed = judge(run, requests)
    assert len(allowed) >= 18, sorted(allowed)
    assert sum(allowed.values()) > DRAWN / 20, allowed
    print('# %d requests, %d allowed by %d rules, each the same route to net/http and the engine\'s router' % (
        len(requests), sum(allowed.values()), len(allowed)))
