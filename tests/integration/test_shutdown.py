# SPDX-License-Identifier: BSD-2-Clause
"""SIGTERM with something under way in every delivery: the daemon ends at once and well. Under sanitizers it also tells of
what it leaked, which fails the test."""
import socket

from support.control import UDP, Control
from support.process import until
from support.traffic import connect, host_server
from support.world import V4, V6

CONFIG = {"services": {"claimed": {}, "idle": {"hold": "60s"}, "by-name": {"relay": {"to": f"{V4}:9000"}},
                       "started": {"exec": {"command": ["/bin/sleep", "5"], "instances": 1, "cgroup": "none"}},
                       "waits": {"exec": {"command": ["/bin/sleep", "5"], "wait": True, "cgroup": "none"}}},
          "routes": [{"to": [V4, V6], "port": [80, 81], "service": "claimed"},
                     {"to": [V4, V6], "port": 53, "protocol": "udp", "service": "claimed"},
                     {"to": [V4, V6], "port": 90, "service": "idle"},
                     {"to": V6, "port": 82, "service": "handed"}, {"to": V6, "port": 83, "service": "opened"},
                     {"to": V6, "port": 84, "service": "started"}, {"to": V6, "port": 85, "service": "waits"},
                     {"to": V6, "port": 443, "sni": "a.example", "service": "by-name"},
                     {"to": V6, "port": 443, "service": "handed"}, {"to": V6, "port": 86, "service": "by-name"}]}


def test_it_ends_with_everything_under_way(world, daemon, tmp_path):
    path = tmp_path / "nobody.sock"
    backend = host_server(world, V4, 9000, "relayed")
    services = {**CONFIG["services"], "handed": {"handoff": {"path": str(path)}}, "opened": {"handoff": {}}}
    started = daemon({**CONFIG, "services": services})
    controls = [Control(started, name) for name in ("claimed", "claimed", "claimed", "opened", "idle")]
    controls[0].claim("::", 80)
    controls[1].claim("::", 81, flags=2)
    controls[2].claim("::", 53, protocol=UDP)
    opened = controls[3].receive_connections(socket.SOCK_SEQPACKET)
    controls[4].claim("::", 90)
    controls[4].close()
    controls[4].channel.close()
    under_way = [connect(world, V6, port, timeout=10) for port in (82, 82, 83, 84, 84, 85, 86, 443)]
    until(lambda: busy(started), timeout=30, what="all are under way")
    assert started.process.stop(timeout=30) == 0
    assert "stopping; claimed services go on serving" in started.process.log()
    for thing in [*under_way, *controls[:4], opened]:
        thing.close()
    backend.stop()


def busy(daemon):
    status = {service["name"]: service for service in daemon.status()["services"]}
    return (status["handed"]["handoff"]["destinations"][0]["waiting"] == 2 and
            status["opened"]["handoff"]["destinations"][0]["unacknowledged"] == 1 and
            status["started"]["exec"]["running"] == 1 and status["waits"]["exec"]["running"] == 1 and
            status["by-name"]["relay"]["established"] == 1 and
            status["idle"]["claims"][0]["state"] == "held")
