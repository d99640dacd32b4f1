# SPDX-License-Identifier: BSD-2-Clause
"""socketbox run: what becomes of sockets that are less usual than one TCP listener."""
import os

import pytest

from support import paths
from support.launch import NOBODY, Copies, open_to_all, program, run_once
from support.load import Load, lost
from support.process import until
from support.world import CLIENT_V4, V4, V6

pytestmark = pytest.mark.both_engines

CONFIG = {"services": {"a": {"hold": "3s", "allow": {"user": ["nobody"]}}},
          "routes": [{"to": [V4, V6], "port": 8080, "protocol": ["tcp", "udp"], "service": "a"}]}
URL4, URL6 = f"http://{V4}:8080/", f"http://[{V6}]:8080/"


@pytest.mark.parametrize("protocol,count", [("tcp", 41), ("udp", 34)])
def test_every_option_set_before_bind_survives(world, daemon, protocol, count):
    result = run_once(world, daemon(CONFIG), program("all_options"), protocol)
    assert result.stdout == f"compared {count}, flags kept, port 8080\n", result.stderr


def test_udp_server_answers_from_the_address_asked(world, daemon, service):
    d = daemon(CONFIG)
    script = ("import socket;"
              f"s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('{V4}', 8080));"
              "print('up', flush=True);"
              "[s.sendto(str(s.recvfrom(99)[1][0]).encode(), ('" + CLIENT_V4 + "', 9000)) for _ in range(9)]")
    s = service(d, "a", ["/usr/bin/python3", "-c", script])
    until(lambda: "up" in s.log())
    client = ("import socket;"
              f"s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('{CLIENT_V4}', 9000)); s.settimeout(5);"
              f"s.sendto(b'x', ('{V4}', 8080)); print(s.recvfrom(99))")
    assert world.run(["/usr/bin/python3", "-c", client]).stdout == f"(b'{CLIENT_V4}', ('{V4}', 8080))\n"


REUSEPORT = """
import os, socket
sockets = []
for _ in range(2):
    s = socket.socket(socket.AF_INET6)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(('::', 8080))
    s.listen()
    sockets.append(s)
parent = os.fork()
s = sockets.pop(0 if parent else 1)
sockets[0].close()
while True:
    c = s.accept()[0]
    c.recv(4096)
    c.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\nmember %d\\n' % bool(parent))
    c.close()
"""


def test_reuseport_group_survives_a_restarted_daemon(world, daemon, service):
    d = daemon(CONFIG)
    service(d, "a", ["/usr/bin/python3", "-c", REUSEPORT]).ready(URL6)
    assert {world.curl(URL6) for _ in range(40)} == {"member 0\n", "member 1\n"}
    load = Load(world, V6, 8080, seconds=3, expect="member")
    d.kill()
    d.start()
    claim, = until(lambda: d.claims("a"))
    assert (claim["state"], claim["reuseport"], len(claim["claimants"])) == ("claimed", True, 1)
    assert lost(load.result()) == {}
    assert {world.curl(URL6) for _ in range(40)} == {"member 0\n", "member 1\n"}


@pytest.mark.skipif(tuple(map(int, os.uname().release.split(".")[:2])) < (6, 9), reason="PIDFD_THREAD is of Linux 6.9")
def test_thread_with_descriptors_of_its_own(world, daemon, service):
    service(daemon(CONFIG), "a", [program("thread_own_fds")]).ready(URL6)
    assert world.curl(URL4) == "apart\n"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="socketcall(2) beside bind(2) is of x86")
def test_32_bit_program_binds_by_socketcall(world, daemon, service):
    service(daemon(CONFIG), "a", [program("socketcall")]).ready(URL6)
    assert world.curl(URL4) == "socketcall\n"


def test_program_at_the_end_of_a_chain_of_processes(world, daemon, service):
    chain = f"(exec sh -c 'exec env -i {program('v6only')} 0') & wait"
    service(daemon(CONFIG), "a", ["sh", "-c", chain]).ready(URL6)
    assert world.curl(URL4) == "both\n"


def test_program_that_forbids_to_look_into_it(world, daemon):
    """Root's launcher may all the same; another user's says why nothing arrives."""
    d = daemon(CONFIG)
    open_to_all(d)
    with Copies(paths.CLI, program("undumpable")) as (cli, undumpable):
        result = run_once(world, d, undumpable, prefix=NOBODY, cli=cli)
        assert "not claimed" not in run_once(world, d, undumpable).stderr
    assert result.stdout == "bind: ok\n"
    assert "a bind of socketbox-test- was not claimed: Operation not permitted: this user may not look into the process" in result.stderr


def test_daemon_that_comes_back_without_the_service(world, daemon, service):
    d = daemon(CONFIG)
    s = service(d, "a", [program("v6only"), "0"])
    s.ready(URL6)
    d.kill()
    d.write({"services": {"b": {}}, "routes": [{"to": V6, "port": 1, "service": "b"}]})
    d.start()
    until(lambda: "there is no service 'a'" in s.log())
    d.kill()
    d.write(CONFIG)
    d.start()
    assert until(lambda: d.claims("a"))[0]["state"] == "claimed"
    assert s.log().count("there is no service 'a'") == 1
    assert world.curl(URL4) == "both\n"


def test_many_claims_with_a_low_descriptor_limit(world, daemon):
    """The launcher keeps a copy of each claim; the program's own limit stays as it was."""
    d = daemon({"services": {"a": {}}, "routes": [{"to": V6, "port": "10000-10199", "service": "a"}]})
    script = ("import resource, socket\n"
              "for port in range(10000, 10200):\n"
              "    s = socket.socket(socket.AF_INET6); s.bind(('::', port)); s.close()\n"
              "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])")
    result = run_once(world, d, "/usr/bin/python3", "-c", script, prefix=["prlimit", "--nofile=64:4096"])
    assert (result.stdout, result.stderr) == ("64\n", "")
