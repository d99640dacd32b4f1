# SPDX-License-Identifier: BSD-2-Clause
"""The four checks that every web server of the table passes."""
import ctypes
import os
import re
import socket
import subprocess
import time

from support.load import Load, lost
from support.traffic import connect
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

libc = ctypes.CDLL(None, use_errno=True)
CONCURRENCY = 8
CONFIG = {"services": {"web": {"hold": "10s"}}, "routes": [{"to": [V4, V6], "port": 80, "service": "web"}]}


def version(*command, pattern=r"(\d+(?:\.\d+)+)"):
    """The version in what a command prints."""
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    return re.search(pattern, result.stdout + result.stderr).group(1)


def plain(address):
    """An address as people write it: without brackets, or the prefix of a dual-stack socket's IPv4."""
    return address.strip("[]").removeprefix("::ffff:")


def check_page(world, _service):
    """The page says "client=ADDRESS server=ADDRESS"; both must be the true ones."""
    for url, client, server in ((f"http://{V4}/", CLIENT_V4, V4), (f"http://[{V6}]/", CLIENT_V6, V6)):
        page = world.curl(url)
        found = re.search(r"client=(\S+) server=(\S+)", page)
        assert found, page
        assert (plain(found.group(1)), plain(found.group(2))) == (client, server)


def check_descriptors(world, service):
    """For a server whose pages cannot tell the server's address: asks the kernel about its accepted socket."""
    for address in (V4, V6):
        with connect(world, address, timeout=5) as connection:
            connection.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            page = connection.recv(4096).decode()
            assert connection.getsockname()[0] == plain(re.search(r"client=(\S+)", page).group(1))
            assert local_address(service.program, connection.getsockname()) == (address, 80)


def local_address(pid, peer):
    """What getsockname says in the process about its connection with the peer (pidfd_getfd, Linux 5.6)."""
    pidfd = os.pidfd_open(pid)
    try:
        for number in os.listdir(f"/proc/{pid}/fd"):
            fd = libc.syscall(438, pidfd, int(number), 0)
            try:
                with socket.socket(fileno=fd) as copy:
                    if (plain(copy.getpeername()[0]), copy.getpeername()[1]) == peer[:2]:
                        return plain(copy.getsockname()[0]), copy.getsockname()[1]
            except OSError:
                pass  # no socket, or a listener
    finally:
        os.close(pidfd)
    return None


def check_parallel(world):
    for address in (V4, V6):
        result = Load(world, address, count=1000, concurrency=100, expect="client=").result()
        assert (result["ok"], lost(result)) == (1000, {})


def check_restart(world, service, number=None, graceful=True):
    """Stops the server in an orderly way and starts it again, under load: nobody may be refused. A server that ends
    without finishing what it has accepted resets just that."""
    loads = [Load(world, address, seconds=4, concurrency=CONCURRENCY, expect="client=") for address in (V4, V6)]
    time.sleep(0.5)
    service.restart(*([number] if number else []))
    service.ready(f"http://[{V6}]/", timeout=30)
    for result in [load.result() for load in loads]:
        assert result["ok"] > 50
        assert lost(result, cut_short=0 if graceful else CONCURRENCY) == {}


def check_reload(world, reload):
    """Calls reload() a few times under load, with time for each to be carried out."""
    load = Load(world, V6, seconds=5, concurrency=CONCURRENCY, expect="client=")
    for _ in range(4):
        reload()
        time.sleep(1)
        assert world.curl(f"http://{V4}/")
    result = load.result()
    assert result["ok"] > 50
    assert lost(result) == {}


def check_all(world, daemon, service, command, restart=None, graceful=True, addresses=check_page, **options):
    """Starts the server as service "web", and makes the four checks; returns the service. restart is the signal that
    stops it (SIGTERM)."""
    started = service(daemon(CONFIG), "web", command, **options)
    started.ready(f"http://{V4}/", timeout=30)
    started.ready(f"http://[{V6}]/")
    addresses(world, started)
    check_parallel(world)
    check_restart(world, started, restart, graceful)
    return started
