# SPDX-License-Identifier: BSD-2-Clause
"""Servers that inherit sockets from `socketbox open`, or by recipes for `ctrtool ns_open_file`, in an empty network
namespace; the sockets are the host's."""
import os

import pytest

from compat.server import check_page, check_parallel
from support import paths
from support.process import until
from support.world import V4, V6

WAYS = pytest.mark.parametrize("way", ["open", "ctrtool"])
EMPTY = ("unshare", "--net")


def started(world, words, command, name="server", prefix=EMPTY, env=None):
    """A server under `socketbox open WORDS`, or `ctrtool ns_open_file WORDS`, by what the first word is."""
    if words[0] == "ctrtool":
        link = world.directory / "ctrtool"
        if not link.exists():
            link.symlink_to(paths.CLI)
        words = [link, *words[1:]]
    else:
        words = [paths.CLI, *words, "--"]
    return world.start([*prefix, *words, *command], name, env=dict(os.environ, **(env or {})))


def web(world, way):
    """The words for a dual-stack web server's socket."""
    if way == "open":
        return ["open", "--netns", world.host, "tcp://[::]:80"]
    return ["ctrtool", "ns_open_file", "-n", "-N", f"/run/netns/{world.host}", "-6", "::,80,a", "-l4096"]


def wait_for(world, process, what="", addresses=(V4, V6)):
    """Waits until the client gets a page that has the text."""
    def answers(address):
        if not process.running():
            raise AssertionError(f"the server ended with {process.popen.returncode}: {process.log()}")
        page = world.curl(f"http://[{address}]/" if ":" in address else f"http://{address}/", check=False)
        return what in page and page
    for address in addresses:
        until(lambda: answers(address), 60, f"an answer from {address} ({process.log()})")


def check_web(world, process):
    """The page says "client=ADDRESS server=ADDRESS"."""
    wait_for(world, process, "client=")
    check_page(world, process)
    check_parallel(world)
