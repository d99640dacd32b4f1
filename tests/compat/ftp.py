# SPDX-License-Identifier: BSD-2-Clause
"""What every FTP server of the table passes: all ways of making data connections, in both directions."""
import contextlib
import ftplib
import hashlib
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time

from compat.server import CONCURRENCY
from support import paths, require
from support.load import Load, lost
from support.process import until
from support.traffic import connect, in_namespace
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

PASSIVE = 50000, 50199
WRITER = 1  # user daemon: its home is there
ANY = 1024, 65535
CURL = [  # address, options, what the client has to say then
    (V4, [], "EPSV"),
    (V4, ["--disable-epsv"], "PASV"),
    (V4, ["--ftp-port", "-"], "EPRT |1|"),
    (V4, ["--ftp-port", "-", "--disable-eprt"], "PORT "),
    (V6, [], "EPSV"),
    (V6, ["--ftp-port", "-"], "EPRT |2|"),
]


def config(passive):
    return {"services": {"ftp": {"hold": "10s", "grants": {"passive": "{}-{}".format(*passive), "connect": [20]}}},
            "routes": [{"to": [V4, V6], "port": 21, "service": "ftp"},
                       {"to": [V4, V6], "port": "1-65535", "protocol": ["tcp", "udp"], "refuse": True}]}


class Site:
    """Files that a server serves: file, many small ones in the directory tree, and a directory uploads that WRITER may
    write to. It is where any user can reach it."""

    def __init__(self, user, password):
        self.user, self.password = user, password
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="socketbox-ftp-", dir="/var/tmp"))
        os.chmod(self.root, 0o755)
        self.data = os.urandom(300000)
        (self.root / "file").write_bytes(self.data)
        (self.root / "tree").mkdir()
        for number in range(20):
            (self.root / "tree" / f"{number}.txt").write_text(f"{number}\n" * 1000)
        (self.root / "uploads").mkdir()
        os.chown(self.root / "uploads", WRITER, WRITER)

    def uploaded(self, name):
        return (self.root / "uploads" / name).read_bytes()


@contextlib.contextmanager
def site(user, password):
    made = Site(user, password)
    try:
        yield made
    finally:
        shutil.rmtree(made.root)


def inside(world, function):
    """What function() returns or raises, run in the client's namespace."""
    outcome = []

    def run():
        try:
            outcome.append((function(), None))
        except Exception as error:  # pylint: disable=broad-except
            outcome.append((None, error))

    in_namespace(world.client, run)
    value, error = outcome[0]
    if error:
        raise error
    return value


def greets(world, address):
    try:
        with connect(world, address, 21, timeout=5) as connection:
            return connection.recv(100).startswith(b"220")
    except OSError:
        return False


def check_curl(world, files, tmp_path):
    """Download, upload and listing in each mode, with the words that the client says for it."""
    local = tmp_path / "local"
    local.write_bytes(files.data[::-1])
    for number, (address, options, said) in enumerate(CURL):
        base = f"ftp://[{address}]" if ":" in address else f"ftp://{address}"
        words = ["curl", "-sS", "-v", "-g", "-m", "30", "--user", f"{files.user}:{files.password}", *options]
        got = tmp_path / f"got-{number}"
        result = world.run([*words, "-o", got, f"{base}/file"])
        assert f"> {said}" in result.stderr
        assert got.read_bytes() == files.data
        world.run([*words, "-T", local, f"{base}/uploads/curl-{number}"])
        assert files.uploaded(f"curl-{number}") == local.read_bytes()
        listing = world.run([*words, "--list-only", f"{base}/tree/"]).stdout
        assert {f"{n}.txt" for n in range(20)} <= set(listing.split())


def check_lftp(world, files, tmp_path):
    """Whole directories, several connections at once."""
    for number, (address, passive) in enumerate([(V4, "on"), (V4, "off"), (V6, "on"), (V6, "off")]):
        host = f"[{address}]" if ":" in address else address
        target = tmp_path / f"mirror-{number}"
        world.run(["lftp", "-e", f"set ftp:passive-mode {passive}; set net:max-retries 1; set ftp:ssl-allow no; "
                   f"mirror --parallel=4 tree {target}; mirror -R --parallel=4 {target} uploads/mirror-{number}; bye",
                   "-u", f"{files.user},{files.password}", f"ftp://{host}"], timeout=60,
                  env=dict(os.environ, HOME=str(tmp_path)))
        for directory in (target, files.root / "uploads" / f"mirror-{number}"):
            names = {path.name for path in directory.iterdir()}
            assert names == {path.name for path in (files.root / "tree").iterdir()}
            for name in names:
                assert (directory / name).read_bytes() == (files.root / "tree" / name).read_bytes()


def listeners(world, namespace):
    """The (address, port) pairs that TCP sockets listen on in a namespace: its name's, or that of a pid."""
    options = [f"--net=/run/netns/{namespace}"] if isinstance(namespace, str) else ["-t", str(namespace), "-n"]
    lines = world.run(["nsenter", *options, "ss", "-Hltn"]).stdout.splitlines()
    pairs = [line.split()[3].rsplit(":", 1) for line in lines]
    return {(address.strip("[]").removeprefix("::ffff:"), int(port)) for address, port in pairs}


def check_data_sockets(world, service, files, passive, active):
    """Where the data sockets are, and what the client sees of them."""
    def to_server(address):
        with ftplib.FTP(timeout=30) as ftp:
            ftp.connect(address, 21)
            ftp.login(files.user, files.password)
            ftp.voidcmd("TYPE I")
            host, port = ftp.makepasv()
            assert host == address and passive[0] <= port <= passive[1]
            found = (address, port) in listeners(world, world.host), (address, port) in listeners(world, service.program)
            connection, _ = ftp.ntransfercmd("RETR file")
            with connection:
                data = b"".join(iter(lambda: connection.recv(65536), b""))
            ftp.voidresp()
            return found, data

    def from_server(address):
        with ftplib.FTP(timeout=30) as ftp:
            ftp.connect(address, 21)
            ftp.login(files.user, files.password)
            ftp.set_pasv(False)
            ftp.voidcmd("TYPE I")
            connection, _ = ftp.ntransfercmd("RETR file")
            with connection:
                peer = connection.getpeername()[:2]
                data = b"".join(iter(lambda: connection.recv(65536), b""))
            ftp.voidresp()
            return peer, data

    for address in (V4, V6):
        found, data = inside(world, lambda: to_server(address))  # pylint: disable=cell-var-from-loop
        assert found == (True, False)
        assert data == files.data
        peer, data = inside(world, lambda: from_server(address))  # pylint: disable=cell-var-from-loop
        assert peer[0] == address and peer[1] in active
        assert data == files.data


def check_parallel(world, files, count=60):
    for address in (V4, V6):
        result = json.loads(world.run(
            [sys.executable, paths.SOURCE / "tests" / "support" / "ftp_load.py", address, files.user, files.password,
             count, 12, "file", "uploads"], timeout=180).stdout)
        assert result == {"digests": [hashlib.sha256(files.data).hexdigest()], "errors": []}
        for number in range(count):
            assert files.uploaded(f"load-{number}") == files.data


def check_restart(world, service):
    """An orderly restart under load refuses nobody. Sessions that the server ends with itself are reset."""
    loads = [Load(world, address, 21, seconds=4, concurrency=CONCURRENCY, expect="220", request="QUIT\r\n")
             for address in (V4, V6)]
    time.sleep(0.5)
    service.restart()
    until(lambda: greets(world, V6), 30, "greeting")
    for result in [load.result() for load in loads]:
        assert result["ok"] > 20
        assert lost(result, cut_short=CONCURRENCY) == {}


def check_all(world, daemon, service, command, files, tmp_path, log, passive=PASSIVE, active=(20,)):
    """Starts the server as service "ftp", and makes the checks; log() is the server's own log, passive the range that it
    is granted, active the ports that it may connect from, and options those of check_restart."""
    require.command("lftp")
    made = daemon(config(passive))
    started = service(made, "ftp", command)
    until(lambda: greets(world, V4) and greets(world, V6), 30, f"greeting ({started.log()})")
    check_data_sockets(world, started, files, passive, active)
    check_curl(world, files, tmp_path)
    check_lftp(world, files, tmp_path)
    check_parallel(world, files)
    check_restart(world, started)
    for address in (CLIENT_V4, CLIENT_V6):
        assert address in log()
    status = next(s for s in made.status()["services"] if s["name"] == "ftp")
    given = status["grants"]["passive"], status["grants"]["connect"]
    assert sum(given) > 250 and (given[1] > 100) == (active == (20,))
    assert status["grants"]["refused"] == 0
    assert {claim["address"].rsplit(":", 1)[1] for claim in status["claims"]} == {"21"}
    assert "covers" not in started.log()
    return started
