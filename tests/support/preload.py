# SPDX-License-Identifier: BSD-2-Clause
"""Programs under libsocketbox-preload.so, fed by hand (a_protocol.py)."""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading

from . import a_protocol, paths


class Directory:
    """A directory with a short name, for sockets; a context."""

    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="sb", dir="/tmp"))
        self.path.chmod(0o755)
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


def environment(directory, before=(), after=(), **more):
    """LD_PRELOAD and the original's variables: fe8f::2:X:Y, port P is directory/X/Y_P (five digits each)."""
    libraries = ":".join(map(str, [*before, paths.PRELOAD, *after]))
    return dict(os.environ, LD_PRELOAD=libraries, SKBOX_DIRECTORY_ROOT2=str(directory), **more)


def virtual(directory, x=1, y=2, port=80):
    """The address and the path of a datagram listener."""
    (directory / f"{x:05}").mkdir(exist_ok=True)
    return f"fe8f::2:{x:x}:{y:x}", directory / f"{x:05}" / f"{y:05}_{port:05}"


class Program:
    """A program in the background with its standard output to read."""

    def __init__(self, command, env, **options):
        self.popen = subprocess.Popen([str(word) for word in command], env=env, stdout=subprocess.PIPE, text=True,
                                      start_new_session=True, **options)

    def ready(self):
        """Reads up to the line "ready"; returns what came before."""
        lines = []
        while True:
            line = self.popen.stdout.readline()
            assert line, f"the program ended: {lines}"
            if line == "ready\n":
                return "".join(lines)
            lines.append(line)

    def rest(self, timeout=20):
        """The rest of its output, once it has ended by itself."""
        watchdog = threading.Timer(timeout, self.kill)
        watchdog.start()
        output = self.popen.stdout.read()
        watchdog.cancel()
        assert self.popen.wait() == 0, output
        return output

    def __enter__(self):
        return self

    def kill(self):
        """Ends it with all that it has forked."""
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()

    def __exit__(self, *_):
        self.kill()
        self.popen.stdout.close()


def ask(path, pair=None):
    """Sends a connection to the receiver, and returns what the server answers and the client's own address."""
    client, server = pair or a_protocol.tcp_pair()
    with client:
        a_protocol.send(path, server)
        server.close()
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b""
        while chunk := client.recv(4096):
            answer += chunk
        host, port = client.getsockname()[:2]
        return answer.decode().split("\r\n\r\n")[1].strip(), f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
