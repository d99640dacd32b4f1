# SPDX-License-Identifier: BSD-2-Clause
"""The four checks that every web server of the table passes."""
import ctypes
import glob
import ipaddress
import os
import pathlib
import re
import socket
import subprocess
import time

from support.load import Load, lost
from support.process import until
from support.traffic import connect
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

libc = ctypes.CDLL(None, use_errno=True)
CONCURRENCY = 8
CLIENTS = {V4: CLIENT_V4, V6: CLIENT_V6}
CONFIG = {"services": {"web": {"hold": "10s"}}, "routes": [{"to": [V4, V6], "port": 80, "service": "web"}]}


def version(*command, pattern=r"(\d+(?:\.\d+)+)"):
    """The version in what a command prints."""
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    return re.search(pattern, result.stdout + result.stderr).group(1)


def url_of(address):
    return f"http://[{address}]/" if ":" in address else f"http://{address}/"


def plain(text):
    """An address in one spelling: shortest, without brackets, or the prefix of a dual-stack socket's IPv4."""
    address = ipaddress.ip_address(text.strip("[]"))
    return str(getattr(address, "ipv4_mapped", None) or address)


def check_page(world, _service, served=(V4, V6)):
    """The page, or its head, says "client=ADDRESS server=ADDRESS"; both must be the true ones."""
    for server in served:
        page = world.curl(url_of(server), "-i")
        found = re.search(r"client=(\S+) server=(\S+)", page)
        assert found, page
        assert (plain(found.group(1)), plain(found.group(2))) == (CLIENTS[server], server)


def check_descriptors(world, service, served=(V4, V6)):
    """For a server whose pages cannot tell the server's address: asks the kernel about its accepted socket, while the
    server waits for the end of the request."""
    for address in served:
        with connect(world, address, timeout=5) as connection:
            connection.send(b"GET / HTTP/1.1\r\nHost: test\r\n")
            found = until(lambda: local_address(service.program, connection.getsockname()), what="an accepted socket")
            assert found == (address, 80)
            connection.send(b"\r\n")
            page = b""
            while b"client=" not in page:
                part = connection.recv(4096)
                assert part, page
                page += part
            assert connection.getsockname()[0] == plain(re.search(r"client=(\S+)", page.decode()).group(1))


def family_of_processes(pid):
    """A process and all that descend from it."""
    found = [pid]
    for one in found:
        for task in glob.glob(f"/proc/{one}/task/*/children"):
            try:
                found += map(int, pathlib.Path(task).read_text().split())
            except OSError:
                pass  # it has ended
    return found


def local_address(pid, peer):
    """What getsockname says in the process, or its descendants, about a connection with the peer (pidfd_getfd,
    Linux 5.6)."""
    for one in family_of_processes(pid):
        try:
            pidfd = os.pidfd_open(one)
        except OSError:
            continue  # it has ended
        try:
            for number in os.listdir(f"/proc/{one}/fd"):
                found = os.readlink(f"/proc/{one}/fd/{number}").startswith("socket:") and \
                    socket_addresses(libc.syscall(438, pidfd, int(number), 0))
                if found and found[1] == peer[:2]:
                    return found[0]
        except OSError:
            pass  # it has ended
        finally:
            os.close(pidfd)
    return None


def socket_addresses(fd):
    """The addresses of a connection's two ends. Closes the socket."""
    if fd < 0:
        return None  # closed meanwhile
    try:
        with socket.socket(fileno=fd) as copy:
            if copy.family != socket.AF_UNIX:
                return tuple((plain(name[0]), name[1]) for name in (copy.getsockname(), copy.getpeername()))
    except OSError:
        pass  # a listener
    return None


def check_parallel(world, served=(V4, V6), count=1000):
    for address in served:
        result = Load(world, address, count=count, concurrency=100, expect="client=").result()
        assert (result["ok"], lost(result)) == (count, {})


def check_restart(world, service, number=None, graceful=True, served=(V4, V6)):
    """Stops the server in an orderly way and starts it again, under load: nobody may be refused. A server that ends
    without finishing what it has accepted resets just that; if it shuts its listener down after that (Twisted), those
    too that came instead of them."""
    loads = [Load(world, address, seconds=60, concurrency=CONCURRENCY, expect="client=") for address in served]
    try:
        time.sleep(0.5)
        service.restart(*([number] if number else []))
        service.ready(url_of(served[-1]), timeout=30)
        time.sleep(0.5)
    finally:
        for load in loads:
            load.stop()
    for result in [load.result() for load in loads]:
        assert result["ok"] > 3 * CONCURRENCY
        assert lost(result, cut_short=0 if graceful else 2 * CONCURRENCY) == {}


def check_reload(world, reload):
    """Calls reload() a few times under load, with time for each to be carried out."""
    load = Load(world, V6, seconds=60, concurrency=CONCURRENCY, expect="client=")
    try:
        for _ in range(3):
            reload()
            time.sleep(1)
            assert world.curl(url_of(V4))
    finally:
        load.stop()
    result = load.result()
    assert result["ok"] > 3 * CONCURRENCY
    assert lost(result) == {}


def check_all(world, daemon, service, command, restart=None, graceful=True, addresses=check_page, config=None, run=(),
              served=(V4, V6), count=1000, **options):
    """Starts the server as service "web", and makes the four checks; returns the service. restart is the signal that
    stops it (SIGTERM), run has options of `socketbox run`, served the addresses on which the server can be reached,
    count is how many connections each address gets."""
    started = service(daemon(config or CONFIG), "web", command, *run, **options)
    for address in served:
        started.ready(url_of(address), timeout=30)
    addresses(world, started, served)
    check_parallel(world, served, count)
    check_restart(world, started, restart, graceful, served)
    return started
