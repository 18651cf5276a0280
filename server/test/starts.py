"""Command line, data directory, systemd, TLS."""

import os
import socket
import ssl
import subprocess
import tempfile
import threading

from helpers import (
    certificate,
    echo,
    start_fails,
)
from peer import (
    PATIENCE,
    Refused,
    Server,
)
from tap import test


# ---- the command line -----------------------------------------------------


@test("U-01")
def a_port_in_use_is_one_clear_line_and_1(program):

    with socket.create_server(("127.0.0.1", 0)) as taken, \
            tempfile.TemporaryDirectory() as folder:
        port = taken.getsockname()[1]
        code, line = start_fails(
            program, "--listen", f"127.0.0.1:{port}", "--data-dir", folder + "/d"
        )
    assert code == 1 and str(port) in line and "--listen" in line, (code, line)


@test("U-01,X29")
def a_data_directory_that_cannot_be_used_is_named(program):

    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "file")
        with open(file, "w", encoding="ascii"):
            pass
        loose = os.path.join(folder, "loose")
        os.mkdir(loose, 0o755)
        for path in (file, loose, os.path.join(folder, "no", "parent")):
            code, line = start_fails(
                program, "--listen", "127.0.0.1:0", "--data-dir", path
            )
            assert code == 1 and folder in line, (code, line)


@test("U-01,X30")
def a_certificate_that_cannot_be_used_is_named(program):

    cert, key = certificate()
    with tempfile.TemporaryDirectory() as folder:
        empty = os.path.join(folder, "empty.pem")
        with open(empty, "w", encoding="ascii"):
            pass
        for wrong_cert, wrong_key, named in (
            (empty, key, empty),
            (cert, empty, empty),
            (folder + "/missing.pem", key, "missing.pem"),
            (cert, cert, cert),
        ):
            code, line = start_fails(
                program, "--listen", "127.0.0.1:0",
                "--data-dir", folder + "/d",
                "--tls-cert", wrong_cert, "--tls-key", wrong_key,
            )
            assert code == 2 and named in line, (code, line)


@test("U-01,X13")
def plain_http_beyond_loopback_is_refused(program):
    code, line = start_fails(program, "--listen", "0.0.0.0:0")
    assert code == 2 and "tls" in line.lower(), (code, line)


@test("U-01")
def usage_is_2_and_the_rest_is_printed(program):

    code, line = start_fails(program, "--no-such-flag")
    assert code == 2 and "no-such-flag" in line, (code, line)
    for flag, words in (
        ("--version", b"orthrusd "),
        ("--help", b"--listen"),
        ("--print-config", b"listen"),
    ):
        done = subprocess.run(
            [program, flag], capture_output=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0 and words in done.stdout, (flag, done)
    done = subprocess.run(
        [program, "--check-config", "--listen", "127.0.0.1:0"],
        capture_output=True, timeout=PATIENCE, check=False,
    )
    assert done.returncode == 0, done


@test("X29,K-03")
def the_first_start_makes_a_private_data_directory(program):
    server = Server(program)
    assert os.stat(server.data).st_mode & 0o777 == 0o700
    for name in ("orthrus.db", "admin.token"):
        mode = os.stat(os.path.join(server.data, name)).st_mode
        assert mode & 0o777 == 0o600, (name, oct(mode))
    assert server.stop() == 0


@test("P-05")
def no_agent_costs_a_huge_page(program):
    server = Server(program)
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as file:
        assert "THP_enabled:\t0\n" in file.read()
    assert server.stop() == 0


@test("P9,H-03")
def after_kill_9_nobody_is_online(program):
    server = Server(program)
    uuid, key = server.add_agent("p-09")
    peer, _ = server.connect_agent(uuid, key)
    server.process.kill()
    server.process.wait()
    peer.wait_gone()
    again = Server(program, directory=server.directory)
    assert again.agent(uuid)["status"] != "online"
    assert again.agent(uuid)["proxy_address"] == ""
    peer, _ = again.connect_agent(uuid, key)
    assert again.agent(uuid)["status"] == "online"
    peer.close()
    assert again.stop() == 0
    server.own.cleanup()


@test("P4")
def systemd_is_told(program):

    with tempfile.TemporaryDirectory() as folder, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        path = os.path.join(folder, "notify")
        notify.bind(path)
        notify.settimeout(PATIENCE)
        server = Server(
            program, env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "2000000"}
        )
        ready = notify.recv(4096).decode()
        assert "READY=1" in ready and str(server.port) in ready, ready
        watchdog = notify.recv(4096).decode()
        assert "WATCHDOG=1" in watchdog and "STATUS=0 agents" in watchdog, watchdog
        server.signal()
        while "STOPPING=1" not in (text := notify.recv(4096).decode()):
            pass
        assert "EXTEND_TIMEOUT_USEC" in text
        assert server.wait() == 0
        server.stop()

# ---- TLS ------------------------------------------------------------------


@test("X30,AC-06,AC-16")
def the_same_over_tls(program):

    cert, key_file = certificate()
    server = Server(program, tls=(cert, key_file))
    uuid, key = server.add_agent("tls")
    try:
        server.upgrade("ch_orthrus_" + "0" * 64)
        raise AssertionError("let in")
    except Refused as refusal:
        assert refusal.status == 401 and refusal.body == b""
    peer, port = server.connect_agent(uuid, key, echo)
    assert peer.sock.version() in ("TLSv1.2", "TLSv1.3")
    data = os.urandom(300000)
    with server.dial(port) as client:
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        got = b""
        while len(got) < len(data):
            got += client.recv(65536)
        sender.join()
        assert got == data
    peer.close()
    server.wait_agent(uuid, lambda a: a["status"] == "offline")
    old = ssl.create_default_context(cafile=cert)
    old.check_hostname = False
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection((server.host, server.port), PATIENCE) as sock:
        try:
            old.wrap_socket(sock)
            raise AssertionError("TLS 1.1 was spoken")
        except (ssl.SSLError, OSError):
            pass
    with socket.create_connection((server.host, server.port), PATIENCE) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try:
            data = sock.recv(1000)
        except ConnectionResetError:
            data = b""
        assert not data.startswith(b"HTTP/1.1 200"), data
    assert server.stop() == 0
