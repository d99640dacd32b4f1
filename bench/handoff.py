# SPDX-License-Identifier: BSD-2-Clause
"""The same nginx served natively, by handoff and behind HAProxy in TCP mode: short connections, plain ones and TLS
ones that are told apart by name."""
import os
import pathlib
import re
import statistics
import time

import claim
from compat.server import family_of_processes
from support import paths
from support.preload import Directory
from support.process import until
from support.tls import certificate
from support.world import V4, V6, Daemon, Service, World

NATIVE, OURS, HAPROXY = PEERS = ("native", "socketbox handoff", "HAProxy, TCP mode")
NAMES = ("one.example", "two.example")
TLS = "TLS, 32 clients"
WORKLOADS = {"32 clients": (32, f"http://[{V6}]/"), "1,000 clients": (1000, f"http://[{V6}]/"),
             TLS: (32, f"https://{NAMES[0]}/")}
BACKEND = 8000  # HAProxy's servers: this port and, for TLS by name, those after it
EVERY_CPU = ("taskset", "-c", f"0-{os.cpu_count() - 1}")
TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")


class Machine:
    """A host with one way to its servers, and its client."""

    def __init__(self, directory, peer):
        self.peer, self.directory = peer, directory / str(PEERS.index(peer))
        self.directory.mkdir()
        self.world = World(self.directory)
        self.certificates = {name: certificate(self.directory, name) for name in NAMES}
        self.started = []
        (self.directory / "hosts").write_text(f"{V6} {' '.join(NAMES)}\n")

    def nginx(self, name, *servers):
        """One worker on the servers' CPU, whose configuration has these servers; the command."""
        path = self.directory / f"{name}.conf"
        path.write_text(f"""
pid {self.directory}/{name}.pid; error_log stderr; worker_processes 1; daemon off;
events {{ worker_connections 8192; }}
http {{
  access_log off; ssl_protocols TLSv1.3; ssl_session_tickets off; ssl_session_cache off;
  {" ".join(servers)}
}}
""")
        return ["taskset", "-c", claim.SERVER_CPU, "nginx", "-c", path]

    def page(self, listen, name=None):
        """A server of nginx's configuration; with a name, by TLS."""
        if name:
            listen = listen.replace(";", " ssl;")
            chain, key = self.certificates[name]
            listen += f" server_name {name}; ssl_certificate {chain}; ssl_certificate_key {key};"
        return f"server {{ {listen} location / {{ return 200 \"served\\n\"; }} }}"

    def start_native(self):
        command = self.nginx("native", self.page("listen 80 backlog=4096; listen [::]:80 backlog=4096;"),
                             *(self.page("listen 443; listen [::]:443;", name) for name in NAMES))
        self.started = [self.world.start(command, "nginx", netns=self.world.host)]

    def start_handoff(self, sockets):
        services = [name.split(".", maxsplit=1)[0] for name in NAMES]
        daemon = Daemon(self.world, {
            "services": {one: {"handoff": {"path": f"{sockets}/{one}_@SB_.sock"}} for one in services},
            "routes": [{"to": [V4, V6], "port": 80, "service": services[0]}] +
                      [{"to": [V4, V6], "port": 443, "sni": name, "service": one}
                       for one, name in zip(services, NAMES)]}, prefix=EVERY_CPU)
        self.started = [daemon.process]
        for one, name in zip(services, NAMES):
            command = self.nginx(one, self.page("listen 80; listen [::]:80;"),
                                 self.page("listen 443; listen [::]:443;", name))
            started = Service(self.world, daemon, one, command, "--preload",
                              env={"SOCKETBOX_PRELOAD_LIBRARY": str(paths.PRELOAD)})
            self.started.append(started.process)

    def start_haproxy(self):
        server = "listen 127.0.0.1:{} backlog=4096;"
        ports = {name: BACKEND + 1 + number for number, name in enumerate(NAMES)}
        command = self.nginx("behind", self.page(server.format(BACKEND)),
                             *(self.page(server.format(port), name) for name, port in ports.items()))
        routes = [f"  use_backend {name} if {{ req.ssl_sni -i {name} }}" for name in NAMES]
        backends = [f"backend {name}\n  server page 127.0.0.1:{port}" for name, port in ports.items()]
        config = self.directory / "haproxy.cfg"
        config.write_text("\n".join([f"""
global
  nbthread 1
  maxconn 8000
defaults
  mode tcp
  timeout client 60s
  timeout server 60s
  timeout connect 15s
listen page
  bind :::80 v4v6 backlog 4096
  server page 127.0.0.1:{BACKEND}
frontend tls
  bind :::443 v4v6 backlog 4096
  tcp-request inspect-delay 5s
  tcp-request content accept if {{ req_ssl_hello_type 1 }}""", *routes, *backends, ""]))
        self.started = [self.world.start(command, "nginx", netns=self.world.host),
                        self.world.start([*EVERY_CPU, "haproxy", "-db", "-f", config], "haproxy",
                                         netns=self.world.host)]

    def ready(self):
        until(lambda: self.world.curl(f"http://[{V6}]/", check=False), 30, f"{self.peer} answers")
        until(lambda: self.world.curl(f"https://{NAMES[0]}/", "-k", "--resolve", f"{NAMES[0]}:443:[{V6}]", check=False),
              30, f"{self.peer} answers by TLS")

    def cpu_us(self):
        """What the servers and whoever hands or copies to them have used."""
        return TICK_US * sum(used_ticks(pid) for process in self.started for pid in family_of_processes(process.pid))

    def sample(self, workload, seconds):
        """Connections per second, CPU time for each in microseconds, median latency in microseconds, and failures."""
        clients, url = WORKLOADS[workload]
        before = self.cpu_us()
        text = self.world.run(["unshare", "--mount", "sh", "-c", 'mount --bind "$1" /etc/hosts; shift; exec "$@"', "sh",
                               self.directory / "hosts", "taskset", "-c", claim.CLIENT_CPU, "wrk", "-t1", f"-c{clients}",
                               f"-d{seconds}s", "--timeout", "15s", "--latency", "-H", "Connection: close", url],
                              timeout=seconds + 60).stdout
        rate, latency, failures = claim.results(text)
        return rate, (self.cpu_us() - before) / int(re.search(r"(\d+) requests in", text).group(1)), latency, failures




def used_ticks(pid):
    """User and system time (proc(5))."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0  # it has ended
    return int(fields[11]) + int(fields[12])


def measure(directory, rounds, seconds):
    """The peers take turns, and turns in who begins: a busy spell of the machine hits all."""
    os.sched_setaffinity(0, {claim.CLIENT_CPU})
    samples = {workload: {peer: [] for peer in PEERS} for workload in WORKLOADS}
    machines = []
    with Directory() as sockets:
        try:
            for peer in PEERS:
                machines.append(Machine(directory, peer))
            machines[0].start_native()
            machines[1].start_handoff(sockets)
            machines[2].start_haproxy()
            for machine in machines:
                machine.ready()
            for number in range(rounds + 1):
                first = number % len(machines)
                for workload in WORKLOADS:
                    for machine in machines[first:] + machines[:first]:
                        sample = machine.sample(workload, seconds)
                        if number:  # the first round only warms up
                            samples[workload][machine.peer].append(sample)
                        time.sleep(0.2)
        finally:
            for machine in machines:
                machine.world.close()
    return {workload: {peer: summary(samples[workload], peer) for peer in PEERS} for workload in WORKLOADS}


def summary(samples, peer):
    """Ratio: the peer's rate to the native one, by the median of the rounds."""
    taken = samples[peer]
    return {
        "ratio": statistics.median(one[0] / native[0] for one, native in zip(taken, samples[NATIVE])),
        "rate": statistics.median(one[0] for one in taken),
        "cpu_us": statistics.median(one[1] for one in taken),
        "latency_us": statistics.median(one[2] for one in taken),
        "failures": sum(one[3] for one in taken),
    }
