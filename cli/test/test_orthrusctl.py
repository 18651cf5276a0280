#!/usr/bin/env python3
"""orthrusctl against a scripted server: prints TAP, each case with its requirement id."""
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading

PROGRAM = os.path.abspath(sys.argv[1])
PATTERN = sys.argv[2] if len(sys.argv) > 2 else ""
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UUID = "0f0e0d0c-0b0a-4908-8706-050403020100"
OTHER = "1f0e0d0c-0b0a-4908-8706-050403020100"
KEY = "ch_orthrus_" + "ab" * 32
TOKEN = "t0ken"
AGENTS = "/api/v1/orthrus/agents"
SERVERS = "/api/v1/remote-servers"


def agent(**changes):
    """An agent object as the server gives it."""
    value = {"uuid": UUID, "name": "web-01", "status": "online", "proxy_address": "127.0.0.1:40001",
             "last_seen": "2026-01-02T03:04:05Z"}
    value.update(changes)
    return value


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers from the script of the running test and records what was asked."""

    def answer(self):
        """One request, one scripted answer; 401 without the token."""
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        self.server.asked.append((self.command, self.path, json.loads(body) if body else None))
        status, value = self.server.script.get((self.command, self.path), (404, {"error": "no such thing"}))
        if self.headers.get("Authorization") != "Bearer " + TOKEN:
            status, value = 401, None
        data = b"" if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_DELETE = answer

    def log_message(self, *_):
        """Quiet."""


class World:
    """The scripted server and a directory; run() starts the program against it."""

    def __init__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.asked = []
        self.server.script = {("GET", AGENTS): (200, [agent()]), ("GET", SERVERS): (200, [])}
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.directory = tempfile.TemporaryDirectory()
        self.token = os.path.join(self.directory.name, "token")
        with open(self.token, "w", encoding="ascii") as file:
            file.write(TOKEN + "\n")
        self.url = "http://127.0.0.1:%d" % self.server.server_port

    def on(self, method, path, status, value):
        """Script one answer."""
        self.server.script[(method, path)] = (status, value)

    def run(self, *words, environment=None):
        """Run orthrusctl; gives (exit status, stdout, stderr)."""
        command = [PROGRAM, "--server", self.url, "--token-file", self.token, *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False,
                              env={**os.environ, **(environment or {})})
        return done.returncode, done.stdout, done.stderr

    def close(self):
        """Release everything."""
        self.server.shutdown()
        self.server.server_close()
        self.directory.cleanup()


def add_prints_uuid_key_and_command(world):
    world.on("POST", AGENTS, 201, {"agent": agent(), "auth_key": KEY})
    code, out, _ = world.run("agent", "add", "web-01")
    assert code == 0 and UUID in out and out.count(KEY) == 2
    assert "orthrus-agent --server-url ws://" + world.url[7:] in out and "--agent-id 'web-01'" in out
    assert world.server.asked == [("POST", AGENTS, {"name": "web-01"})]


def ls_prints_one_line_an_agent(world):
    world.on("GET", AGENTS, 200, [agent(), agent(uuid=OTHER, name="db", status="offline", proxy_address="")])
    code, out, _ = world.run("agent", "ls")
    lines = out.splitlines()
    assert code == 0 and len(lines) == 3
    assert lines[1].split() == ["web-01", "online", "127.0.0.1:40001", "2026-01-02T03:04:05Z", UUID]
    assert lines[2].split() == ["db", "offline", "-", "2026-01-02T03:04:05Z", OTHER]


def control_characters_do_not_reach_the_terminal(world):
    world.on("GET", AGENTS, 200, [agent(name="a\x1b[2J\nb")])
    code, out, _ = world.run("agent", "ls")
    assert code == 0 and "\x1b" not in out and "a?[2J?b" in out


def a_server_cannot_speak_to_the_terminal(world):
    world.on("GET", AGENTS, 200, [agent(name="a\x9b2J\x7fb")])
    assert "a?2J?b" in world.run("agent", "ls")[1]
    code, out, _ = world.run("agent", "ls", "--json")
    assert code == 0 and "\\u009b2J\\u007f" in out and json.loads(out) == [agent(name="a\x9b2J\x7fb")]
    world.on("GET", AGENTS, 500, {"error": "\x1b[2Jall is well\nweb-01 online"})
    code, _, error = world.run("agent", "ls")
    assert code == 1 and error == "orthrusctl: ?[2Jall is well?web-01 online (HTTP 500)\n"


def a_server_cannot_speak_to_a_shell(world):
    for address in ("x; reboot", "127.0.0.1:1\nreboot", "$(reboot):1", "127.0.0.1", "127.0.0.1:", ":1", "a" * 200 + ":1"):
        world.on("GET", AGENTS, 200, [agent(proxy_address=address)])
        for words in (("env", "web-01"), ("docker", "web-01", "--", "ps")):
            code, out, error = world.run(*words)
            assert code == 1 and out == "" and "no valid proxy_address" in error, (address, code, out, error)
    for address in ("[::1]:40001", "db-1.local:1"):
        world.on("GET", AGENTS, 200, [agent(proxy_address=address)])
        assert world.run("env", "web-01")[1] == "export DOCKER_HOST=tcp://%s\n" % address
    world.on("POST", AGENTS, 201, {"agent": agent(), "auth_key": "$(reboot)"})
    code, out, error = world.run("agent", "add", "web-01")
    assert code == 1 and out == "" and "valid uuid, name or auth_key" in error
    world.on("POST", AGENTS, 201, {"agent": agent(uuid="\x1b[2J"), "auth_key": KEY})
    assert world.run("agent", "add", "web-01")[0] == 1
    world.on("POST", AGENTS, 201, {"agent": agent(name="a'; reboot '\n"), "auth_key": KEY})
    code, out, _ = world.run("agent", "add", "web-01")
    assert code == 0 and r"--agent-id 'a'\''; reboot '\''?'" + "\n" in out


def json_gives_the_servers_answer(world):
    code, out, _ = world.run("agent", "ls", "--json")
    assert code == 0 and json.loads(out) == [agent()]


def show_rename_revoke_rotate_rm_find_by_name_or_uuid(world):
    base = AGENTS + "/" + UUID
    world.on("PATCH", base, 200, agent(name="new"))
    world.on("POST", base + "/revoke", 200, {"message": "revoked"})
    world.on("POST", base + "/rotate", 200, {"agent": agent(), "auth_key": KEY})
    world.on("DELETE", base, 204, None)
    for word in ("web-01", UUID):
        for words, asked in ((("show", word), None), (("rename", word, "new"), ("PATCH", base, {"name": "new"})),
                             (("revoke", word), ("POST", base + "/revoke", None)),
                             (("rotate", word), ("POST", base + "/rotate", None)),
                             (("rm", word), ("DELETE", base, None))):
            world.server.asked.clear()
            code, out, err = world.run("agent", *words)
            assert code == 0, err
            if asked is not None:
                assert world.server.asked[-1] == asked
            if words[0] == "rotate":
                assert KEY in out


def an_unknown_or_ambiguous_name_is_refused_with_the_remedy(world):
    code, _, err = world.run("agent", "show", "nobody")
    assert code == 1 and '"nobody"' in err and "orthrusctl agent ls" in err
    world.on("GET", AGENTS, 200, [agent(), agent(uuid=OTHER)])
    code, _, err = world.run("agent", "rm", "web-01")
    assert code == 1 and "uuid" in err
    for uuid in ("1" * 300, ""):
        world.on("GET", AGENTS, 200, [{"uuid": uuid, "name": "web-01"}])
        code, _, err = world.run("agent", "rotate", "web-01")
        assert code == 1 and "uuid" in err, err
    assert all(asked[0] == "GET" for asked in world.server.asked)


def server_add_ls_rm(world):
    world.on("POST", SERVERS, 201, {"uuid": OTHER})
    code, out, _ = world.run("server", "add", "edge", "--agent", "web-01")
    assert code == 0 and OTHER in out
    assert world.server.asked[-1][2] == {"name": "edge", "connection_type": "orthrus", "orthrus_agent_uuid": UUID}
    code, out, _ = world.run("server", "add", "lan", "--host", "db.lan", "--port", "2375")
    assert code == 0
    assert world.server.asked[-1][2] == {"name": "lan", "connection_type": "direct", "host": "db.lan", "port": 2375}
    world.on("GET", SERVERS, 200, [{"uuid": OTHER, "name": "edge", "connection_type": "orthrus",
                                    "orthrus_agent_uuid": UUID, "host": "", "port": 0}])
    code, out, _ = world.run("server", "ls")
    assert code == 0 and "agent " + UUID in out
    world.on("DELETE", SERVERS + "/" + OTHER, 204, None)
    code, out, _ = world.run("server", "rm", "edge")
    assert code == 0 and world.server.asked[-1][0] == "DELETE"


def server_add_wants_one_target(world):
    for words in ((), ("--host", "h"), ("--host", "h", "--port", "1", "--agent", "a")):
        code, _, err = world.run("server", "add", "x", *words)
        assert code == 2 and "--agent" in err and "--host" in err
    for port in ("0", "65536", "x", ""):
        code, _, err = world.run("server", "add", "x", "--host", "h", "--port", port)
        assert code == 2 and "1 to 65535" in err
    assert not world.server.asked


def ps_prints_containers(world):
    world.on("GET", AGENTS + "/" + UUID + "/containers", 200, [
        {"id": "abcdef012345", "names": ["app"], "image": "bb:1", "state": "running", "status": "Up 3 minutes",
         "network": "none", "ip": "", "ports": [{"private_port": 80, "public_port": 8080, "type": "tcp"},
                                                {"private_port": 53, "public_port": 0, "type": "udp"}]}])
    code, out, _ = world.run("ps", "web-01")
    assert code == 0 and out.splitlines()[1].split("  ") [0] == "abcdef012345"
    assert "8080->80/tcp, 53/udp" in out and out.rstrip().endswith("app")


def env_prints_docker_host(world):
    code, out, _ = world.run("env", "web-01")
    assert code == 0 and out == "export DOCKER_HOST=tcp://127.0.0.1:40001\n"


def env_and_docker_of_an_offline_agent_say_so(world):
    world.on("GET", AGENTS, 200, [agent(status="offline", proxy_address="")])
    for words in (("env", "web-01"), ("docker", "web-01", "--", "ps")):
        code, out, err = world.run(*words)
        assert code == 1 and out == "" and "web-01 is not connected" in err


def docker_passes_arguments_and_status_through(world):
    fake = os.path.join(world.directory.name, "docker")
    with open(fake, "w", encoding="ascii") as file:
        file.write('#!/bin/sh\nprintf "<%s>" "$@"\nexit 7\n')
    os.chmod(fake, 0o755)
    path = world.directory.name + ":" + os.environ["PATH"]
    code, out, _ = world.run("docker", "web-01", "--", "run", "-it", "a b", environment={"PATH": path})
    assert code == 7 and out == "<--host><tcp://127.0.0.1:40001><run><-it><a b>"


def status_counts_agents(world):
    world.on("GET", AGENTS, 200, [agent(), agent(uuid=OTHER, status="pending")])
    code, out, _ = world.run("status")
    assert code == 0 and "agents  2, 1 online" in out
    code, out, _ = world.run("--json", "status")
    assert json.loads(out) == {"server": world.url, "agents": 2, "online": 1}


def errors_name_the_thing_and_the_remedy(world):
    code, _, err = world.run("agent", "add", "x")
    assert code == 1 and "no such thing (HTTP 404)" in err
    code, _, err = world.run("--token-file", "/nonexistent/t", "status")
    assert code == 1 and "/nonexistent/t" in err and "--token-file" in err
    code, _, err = world.run("--token-file", "/dev/null", "status")
    assert code == 1 and "/dev/null is empty" in err
    code, _, err = world.run("--token-file", world.directory.name, "status")
    assert code == 1 and world.directory.name + ": Is a directory" in err, err
    with open(world.token, "w", encoding="ascii") as file:
        file.write("x" * 300 + "\n")
    code, _, err = world.run("status")
    assert code == 1 and "too long" in err, err
    with open(world.token, "w", encoding="ascii") as file:
        file.write("wrong\n")
    code, _, err = world.run("status")
    assert code == 1 and "401" in err
    code, _, err = world.run("--server", "http://127.0.0.1:1", "status")
    assert code == 1 and "http://127.0.0.1:1" in err
    for url in ("ftp://x", "127.0.0.1:80"):
        code, _, err = world.run("--server", url, "status")
        assert code == 1 and url in err and "unix:PATH" in err


def a_server_that_is_not_orthrusd_is_refused(world):
    world.on("GET", AGENTS, 200, b"<html>")
    code, _, err = world.run("agent", "ls")
    assert code == 1 and "not JSON" in err
    world.on("GET", AGENTS, 200, [{"uuid": "../x", "name": "web-01"}])
    code, _, err = world.run("agent", "rm", "web-01")
    assert code == 1 and "uuid" in err
    world.on("POST", AGENTS, 200, {})
    code, _, err = world.run("agent", "add", "x")
    assert code == 1 and "lacks" in err


def usage_errors_exit_2(world):
    for words in ((), ("nothing",), ("agent",), ("agent", "fly"), ("agent", "add"), ("agent", "add", "a", "b"),
                  ("status", "x"), ("--wrong",)):
        code, out, err = world.run(*words)
        assert code == 2 and out == "" and "orthrusctl" in err, words
    assert not world.server.asked


def help_names_every_command_and_the_manual_and_completion_follow(world):
    code, out, _ = world.run("--help")
    assert code == 0
    lines = out[out.index("commands:"):out.index("AGENT and SERVER")].splitlines()[1:]
    with open(os.path.join(ROOT, "cli/orthrusctl.1"), encoding="utf-8") as file:
        manual = file.read()
    with open(os.path.join(ROOT, "cli/orthrusctl.bash"), encoding="utf-8") as file:
        completion = file.read()
    words = [line.split("  ")[1].split() for line in lines if line.strip()]
    assert len(words) == 14
    for command in words:
        name = [word for word in command if word.islower() and word.isalpha()]
        assert ".It Cm " + " ".join(name) in manual, name
        assert all(word in completion for word in name), name
    assert world.run("--version")[1].startswith("orthrusctl ")


TESTS = [
    ("U-03", add_prints_uuid_key_and_command), ("U-03", ls_prints_one_line_an_agent),
    ("U-03,X32", control_characters_do_not_reach_the_terminal),
    ("U-03,X32", a_server_cannot_speak_to_the_terminal), ("U-03,X32", a_server_cannot_speak_to_a_shell),
    ("U-03", json_gives_the_servers_answer),
    ("U-03", show_rename_revoke_rotate_rm_find_by_name_or_uuid),
    ("U-03", an_unknown_or_ambiguous_name_is_refused_with_the_remedy), ("U-03", server_add_ls_rm),
    ("U-03", server_add_wants_one_target), ("U-03", ps_prints_containers), ("U-03", env_prints_docker_host),
    ("U-03", env_and_docker_of_an_offline_agent_say_so), ("U-03", docker_passes_arguments_and_status_through),
    ("U-03", status_counts_agents), ("U-03", errors_name_the_thing_and_the_remedy),
    ("U-03", a_server_that_is_not_orthrusd_is_refused), ("U-03", usage_errors_exit_2),
    ("U-03", help_names_every_command_and_the_manual_and_completion_follow),
]


def main():
    """Run all, print TAP."""
    chosen = [(ids, test) for ids, test in TESTS if PATTERN in ids + " " + test.__name__]
    print("1..%d" % len(chosen))
    failed = 0
    for number, (ids, test) in enumerate(chosen, 1):
        world = World()
        try:
            test(world)
            print("ok %d - %s %s" % (number, ids, test.__name__))
        except Exception as error:  # a test that breaks is a test that failed
            failed += 1
            print("not ok %d - %s %s\n# %r" % (number, ids, test.__name__, error))
        finally:
            world.close()
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
