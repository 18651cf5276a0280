"""What the tests of orthrusd share."""

import os
import re
import socket
import subprocess
import tempfile
import time

from peer import (
    PATIENCE,
    Server,
)


_shared = {}


def shared(program):
    """One server for all tests that need nothing special of it."""
    if "server" not in _shared:
        _shared["server"] = Server(program)
    return _shared["server"]


def end_shared():
    """What is wrong with it in the end; "" if nothing is."""
    server = _shared.pop("server", None)
    if server is None:
        return ""
    readme = os.path.join(os.path.dirname(__file__), "..", "README.md")
    with open(readme, encoding="utf-8") as file:
        documented = set(re.findall(r"`([a-z_]+)`", file.read()))
    unknown = {line["event"] for line in server.lines()} - documented
    code = server.stop()
    if code != 0:
        return f"the shared server ended with {code}"
    return f"not in server/README.md: {unknown}" if unknown else ""


def echo(stream):
    """What a far end does that sends everything back."""
    assert stream.read(1) == b"\x01"
    while data := stream.read(65536, 1):
        stream.write(data)
    stream.finish()


def docker(containers):
    """A far end that answers like an engine with these containers."""
    body = containers.encode()

    def answer(stream):
        assert stream.read(1) == b"\x01"
        head = stream.read_until(b"\r\n\r\n")
        line = head.split(b"\r\n")[0]
        text = body if b"/containers/json" in line else b"OK"
        reply = (
            b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n"
            b"Connection: close\r\n\r\n" % len(text)
        )
        stream.write(reply + (b"" if line.startswith(b"HEAD") else text))
        stream.finish()

    return answer


def listeners(server):
    """(address, port, inode) of every TCP socket the process listens on."""
    inodes = set()
    directory = f"/proc/{server.process.pid}/fd"
    for name in os.listdir(directory):
        try:
            target = os.readlink(os.path.join(directory, name))
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = set()
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in list(table)[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                address, port = fields[1].split(":")
                host = socket.inet_ntoa(bytes.fromhex(address)[::-1])
                found.add((host, int(port, 16), fields[9]))
    return found


def agent_ports(server):
    return {port for _, port, _ in listeners(server)} - {server.port}


def refused(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), PATIENCE).close()
        return False
    except ConnectionRefusedError:
        return True


def wait_for(condition):
    """Until condition() holds, which it must."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.005)


def receive(sock, size):
    """Exactly size bytes."""
    got = b""
    while len(got) < size:
        part = sock.recv(size - len(got))
        assert part, "the connection ended early"
        got += part
    return got


def exchange(sock, data):
    """Send, then read as many bytes back."""
    sock.sendall(data)
    return receive(sock, len(data))




def ask(server, *parts):
    """Send parts on one connection, return every answer until it closes."""
    with server.open() as sock:
        data = b""
        try:
            for part in parts:
                sock.sendall(part)
            sock.shutdown(socket.SHUT_WR)
            while part := sock.recv(65536):
                data += part
        except OSError:
            pass
        return data




def start_fails(program, *arguments):
    """(code, lines) of a start that must fail."""

    done = subprocess.run(
        [program, *arguments],
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    lines = [
        line
        for line in done.stderr.decode().splitlines()
        if line.startswith("orthrusd: ")
    ]
    assert len(lines) == 1, (arguments, done.stderr)
    return done.returncode, lines[0]




def certificate():
    """(cert, key) of a certificate for localhost, made once."""

    if "certificate" not in _shared:
        folder = tempfile.TemporaryDirectory()
        _shared["folder"] = folder
        cert, key = folder.name + "/cert.pem", folder.name + "/key.pem"
        subprocess.run(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256"
            f" -nodes -keyout {key} -out {cert} -days 2 -subj /CN=localhost"
            " -addext subjectAltName=DNS:localhost,IP:127.0.0.1",
            shell=True,
            check=True,
            capture_output=True,
        )
        _shared["certificate"] = (cert, key)
    return _shared["certificate"]
