"""HAProxy leads to the primary that the Sentinels name, also after a failover."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import manifests

LIMIT = 60


@contextlib.contextmanager
def running(command, stderr=subprocess.DEVNULL, **options):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def ask(port, command, password=None):
    """The reply to a command whose reply is one text. Empty where nobody answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            login = f"AUTH {password}\r\n" if password else ""
            connection.sendall(f"{login}{command}\r\n".encode())
            with connection.makefile("rb") as replies:
                if password and replies.readline() != b"+OK\r\n":
                    return ""
                length = replies.readline()
                return replies.read(int(length[1:])).decode() if length.startswith(b"$") else ""
    except OSError:
        return ""


def until(what, condition):
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < LIMIT, f"waited in vain until {what}"
        time.sleep(0.05)


def configuration(password, folder):
    """haproxy.cfg, with the lines that are for a password, and its socket in this folder."""
    text = manifests.read("deploy/sentinel/haproxy.cfg")
    text, count = re.subn("stats socket /run/haproxy/", f"stats socket {folder}/", text)
    assert count == 1
    if os.geteuid() != 0:
        # Only root can give up being root.
        text = re.sub(r"(?m)^    (user|group|chroot) .*$", "", text)
    if not password:
        return text
    text, count = re.subn(r"(?m)^    # (tcp-check .*)$", r"    \1", text)
    assert count == 6
    return text


def runs_without_privileges(process):
    """Whether none of a process's users, effective and saved ones included, is root."""
    status = Path(f"/proc/{process}/status").read_text()
    users = re.search(r"(?m)^Uid:(.*)$", status)[1].split()
    return "0" not in users


@pytest.mark.skipif(sys.platform != "linux", reason="HAProxy is installed on Linux")
@pytest.mark.parametrize("password", [None, "s3cret"], ids=["open", "password"])
def test_haproxy_leads_to_the_new_primary_after_a_failover(tmp_path, password):
    redis = shutil.which("redis-server") or shutil.which("valkey-server")
    haproxy = shutil.which("haproxy")
    assert redis and haproxy, "no Redis or no haproxy on PATH: `cargo xtask test` installs both"
    listen, *ports = free_ports(7)
    nodes, sentinels = ports[:3], ports[3:]

    def start_node(port, *more):
        folder = tmp_path / f"node-{port}"
        folder.mkdir(exist_ok=True)
        fixed = ["--bind", "127.0.0.1", "--save", "", "--repl-diskless-sync-delay", "0"]
        if password:
            fixed += ["--requirepass", password, "--masterauth", password]
        return running([redis, "--port", str(port), *fixed, *more], cwd=folder)

    def start_sentinel(port):
        folder = tmp_path / f"sentinel-{port}"
        folder.mkdir()
        config = folder / "sentinel.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\nsentinel monitor edgelatch 127.0.0.1 {nodes[0]} 2\n"
            "sentinel down-after-milliseconds edgelatch 1000\n"
            "sentinel failover-timeout edgelatch 3000\n"
            + (f"sentinel auth-pass edgelatch {password}\n" if password else "")
        )
        return running([redis, str(config), "--sentinel"], cwd=folder)

    def info(port, section):
        return ask(port, f"INFO {section}", password)

    def is_primary(port):
        return "role:master" in info(port, "replication")

    def led_to():
        """The port of the node behind HAProxy."""
        lines = info(listen, "server").splitlines()
        return next((int(line[9:]) for line in lines if line.startswith("tcp_port:")), None)

    with contextlib.ExitStack() as stack:
        first = stack.enter_context(start_node(nodes[0]))
        for port in nodes[1:]:
            stack.enter_context(start_node(port, "--replicaof", f"127.0.0.1 {nodes[0]}"))
        until("the replicas are there", lambda: info(nodes[0], "replication").count("state=online") == 2)
        for port in sentinels:
            stack.enter_context(start_sentinel(port))
        for port in sentinels:
            until("the Sentinels know all", lambda: "slaves=2,sentinels=3" in ask(port, "INFO sentinel"))
        (tmp_path / "haproxy.cfg").write_text(configuration(password, tmp_path))
        variables = {"LISTEN": f"127.0.0.1:{listen}", "PRIMARY_NAME": "edgelatch"}
        if password:
            variables["REDIS_PASSWORD"] = password
        for index, (node, sentinel) in enumerate(zip(nodes, sentinels, strict=True), start=1):
            variables[f"NODE_{index}"] = "127.0.0.1"
            variables[f"REDIS_PORT_{index}"] = str(node)
            variables[f"SENTINEL_{index}"] = f"127.0.0.1:{sentinel}"
        log = stack.enter_context((tmp_path / "haproxy.log").open("w"))
        command = [haproxy, "-f", tmp_path / "haproxy.cfg"]
        proxy = stack.enter_context(running(command, stderr=log, env=variables))
        until("HAProxy leads to the primary", lambda: led_to() == nodes[0])
        assert runs_without_privileges(proxy.pid)

        first.kill()
        first.wait()
        until("HAProxy leads to the new one", lambda: led_to() in nodes[1:])
        assert is_primary(listen)
        written = (tmp_path / "haproxy.log").read_text()
        assert re.search("(?m)^Server node-1/node-1 is DOWN", written)
        assert re.search("(?m)^Server node-[23]/node-[23] is UP", written)

        # It comes back as the primary that it was, until a Sentinel tells it otherwise.
        stack.enter_context(start_node(nodes[0]))
        until("the old primary is back", lambda: is_primary(nodes[0]))

        def has_become_a_replica():
            assert led_to() != nodes[0]
            return "role:slave" in info(nodes[0], "replication")

        until("the old primary is a replica", has_become_a_replica)
        assert led_to() in nodes[1:]
