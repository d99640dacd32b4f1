# SPDX-License-Identifier: BSD-2-Clause
"""Paths in directories that a service can write: the daemon touches what it has looked at, and nothing else."""
import os
import socket
import stat

import pytest

from support.a_protocol import Receiver
from support.process import until
from support.traffic import connect
from support.world import V6


@pytest.fixture
def of_nobody(world):
    """A directory that belongs to a service's user."""
    directory = world.directory / "of-nobody"
    directory.mkdir()
    os.chown(directory, 65534, 65534)
    return directory


def config(path, mode="0600"):
    return {"services": {"a": {"handoff": {"path": str(path), "mode": mode, "hold": "2s"}}},
            "routes": [{"to": V6, "port": 80, "service": "a"}]}


@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symbolic", "hard"])
def test_a_link_to_another_socket(world, daemon, of_nobody, link):
    """It keeps its mode, and gets no connections."""
    victim = Receiver(world.directory / "victim.sock", timeout=1)
    os.chmod(world.directory / "victim.sock", 0o666)
    started = daemon(config(of_nobody / "receiver.sock"))
    link(world.directory / "victim.sock", of_nobody / "receiver.sock")
    with connect(world, V6, timeout=5) as client:
        until(lambda: str(of_nobody / "receiver.sock") in started.process.log(), what="the daemon says why")
        with pytest.raises(TimeoutError):
            victim.receive()
        client.send(b"x")
    assert stat.S_IMODE(os.stat(world.directory / "victim.sock").st_mode) == 0o666


def test_a_receivers_mode_is_narrowed(world, daemon, of_nobody):
    receiver = Receiver(of_nobody / "receiver.sock")
    os.chown(of_nobody / "receiver.sock", 65534, 65534)
    os.chmod(of_nobody / "receiver.sock", 0o777)
    daemon(config(of_nobody / "receiver.sock"))
    with connect(world, V6):
        receiver.receive().close()
    assert stat.S_IMODE(os.stat(of_nobody / "receiver.sock").st_mode) & 0o222 == 0o200


def test_a_receiver_of_root_in_a_services_directory(world, daemon, of_nobody):
    receiver = Receiver(of_nobody / "receiver.sock")
    daemon(config(of_nobody / "receiver.sock"))
    with connect(world, V6):
        receiver.receive().close()


@pytest.mark.parametrize("what", ["file", "live", "stale"])
@pytest.mark.parametrize("others", [False, True], ids=["own", "of-another-user"])
def test_what_is_at_the_path_of_getsocks(world, daemon, of_nobody, what, others):
    path = (of_nobody if others else world.directory) / "getsocks.sock"
    listener = socket.socket(socket.AF_UNIX)
    if what == "file":
        path.write_text("precious")
    else:
        listener.bind(str(path))
        listener.listen()
    if what == "stale":
        listener.close()
    started = daemon({"services": {"a": {"getsocks": str(path)}}, "routes": [{"to": V6, "port": 80, "service": "a"}]})
    if what == "file":
        assert path.read_text() == "precious" and str(path) in started.process.log()
    elif what == "live":
        socket.socket(socket.AF_UNIX).connect(str(path))
        listener.settimeout(10)
        listener.accept()[0].close()
        assert "another program listens" in started.process.log()
    else:
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
    started.process.stop()
    assert path.exists() == (what != "stale")
