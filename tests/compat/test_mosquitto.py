# SPDX-License-Identifier: BSD-2-Clause
# Packages: mosquitto mosquitto-clients
"""Mosquitto: an MQTT broker, with a subscriber and a publisher."""
from compat.server import version
from compat.streams import Exchange, check_descriptors, check_parallel, check_restart, config, ready
from support import require
from support.process import Process, until
from support.world import CLIENT_V4, CLIENT_V6, V4, V6

HELLO = bytes.fromhex("100c00044d5154540402003c0000")  # CONNECT, version 3.1.1, a clean session of no name
CONNECT = Exchange(1883, HELLO + bytes.fromhex("e000"), "\x20\x02")  # and DISCONNECT; answered by CONNACK


def test_mosquitto(world, daemon, service, row, tmp_path):
    mosquitto = require.command("mosquitto")
    (tmp_path / "mosquitto.conf").write_text("listener 1883\nallow_anonymous true\nlog_dest stderr\nlog_type all\n")
    started = service(daemon(config("mqtt", 1883)), "mqtt", [mosquitto, "-c", tmp_path / "mosquitto.conf"])
    ready(world, started, CONNECT)
    for address, client in (V4, CLIENT_V4), (V6, CLIENT_V6):
        subscriber = Process(["mosquitto_sub", "-h", address, "-t", "news", "-C", "1", "-i", f"sub-{address}"],
                             tmp_path / f"sub-{address}.log", netns=world.client)
        world.processes.append(subscriber)
        until(lambda: f"Sending SUBACK to sub-{address}" in started.log(), what="subscribed")
        world.run(["mosquitto_pub", "-h", address, "-t", "news", "-m", f"hello {address}"])
        subscriber.wait()
        assert subscriber.log().strip() == f"hello {address}"
        assert f"New client connected from {client}:" in started.log()
    check_descriptors(world, started, 1883, HELLO)
    check_parallel(world, CONNECT)
    check_restart(world, started, CONNECT)
    row("Mosquitto", version(mosquitto, "-h"), "publish and subscribe")
