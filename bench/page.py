# SPDX-License-Identifier: BSD-2-Clause
"""Writes docs/benchmarks.md and its plot."""
import os
import platform

import claim
import exec as execs
import relay
import scale_page
from scale_page import table

TARGET = 0.98
HANDOFF_TARGET = 0.92


def write(docs, served, routes, handed, relayed, executed, scaled, options):
    (docs / "benchmarks.svg").write_text(plot(served))
    (docs / "scale.svg").write_text(scale_page.plot(scaled))
    (docs / "benchmarks.md").write_text(f"""# Benchmarks

Written by `make bench`, on Linux {platform.release().split("-")[0]}, {os.cpu_count()} CPUs. Ratios are what carries over to
other machines; the numbers beside them are this machine's.

## A claim against the native server
The same nginx {claim.version()} with one worker, in one run: bound by itself on a machine (a network namespace) without
socketbox, and by `socketbox run --isolate` on one with it. wrk asks over IPv6 with {claim.CONNECTIONS} connections,
{options.rounds} rounds of {options.seconds} s each, native and claim in turns. The ratio is the median of the rounds' ratios.

![Requests per second of a claim relative to the native server, each round a dot](benchmarks.svg)

{table(["", "claim / native", "native, requests/s", "claim, requests/s", "native, median latency", "claim, median latency",
        "failures native", "failures claim"],
       [[kind, f"**{r['ratio']:.3f}**", f"{r['native_rate']:,.0f}", f"{r['claim_rate']:,.0f}",
         f"{r['native_latency_us']:.0f} µs", f"{r['claim_latency_us']:.0f} µs", r["native_failures"], r["failures"]]
        for kind, r in served.items()])}
The target is {TARGET}. A connection costs one table lookup more when it begins, and nothing afterwards.

## Lookups in large tables
Routes of five shapes (address and port, prefix and port, source, address, IPv4 with source). Every packet hits, and probes
all shapes. "Few" asks for 32 packets again and again; "many" for 65,536 over the whole table, so that it pays for
memory that is not in the cache (the kernel's value is then a single run with the clock's own cost). `bench/routes`.

{table(["routes", "C matcher, few", "C matcher, many", "kernel, few", "kernel, many", "read and check YAML", "build table",
        "put in force", "table"],
       [[f"{int(size):,}", *(f"{r[key]:.0f} ns" for key in ("c_few_ns", "c_many_ns", "kernel_few_ns", "kernel_many_ns")),
         *(f"{r[key]:.1f} ms" for key in ("load_ms", "build_ms", "install_ms")), f"{r['table_kib']:,.0f} KiB"]
        for size, r in routes.items()])}
{handoffs(handed)}
{relays(relayed)}{programs(executed)}{scale_page.section(scaled)}""")


def handoffs(handed):
    return f"""
## Handoff
The same nginx with one worker on a CPU of its own, in one run and in turns: bound by itself, handed its connections by socketboxd
(under libsocketbox-preload.so), and behind HAProxy {relay.versions()["HAProxy"]} in TCP mode (one thread). wrk asks over IPv6 from
the other CPU, with a new connection for each request; socketboxd and HAProxy run where there is room. TLS: full TLS 1.3 handshakes
with two servers on one port, between which socketboxd and HAProxy choose by the name in the ClientHello, and the native nginx by
itself. The ratio is the median of the rounds' ratios; CPU is that of nginx and of socketboxd or HAProxy.

{table(["", "by", "of native", "connections/s", "CPU per connection", "median latency", "failures"],
       [[workload, peer, f"**{r['ratio']:.3f}**", f"{r['rate']:,.0f}", f"{r['cpu_us']:.0f} µs",
         f"{r['latency_us'] / 1000:.1f} ms", r["failures"]]
        for workload, peers in handed.items() for peer, r in peers.items()])}
The target is {HANDOFF_TARGET} of native, and no failure."""


def relays(relayed):
    versions = relay.versions()
    unit = {"connections": lambda rate: f"{rate:,.0f}/s", "one stream": gigabits, "32 streams": gigabits}
    return f"""
## Relays
`socketbox relay`, HAProxy {versions["HAProxy"]} in TCP mode (one thread) and systemd-socket-proxyd {versions["systemd"]} before the
same backends, in one run and in turns. Each relay has one CPU, the clients and backends have another. Connections: short ones to
nginx, wrk with {claim.CONNECTIONS} at once. Streams: from a server that sends without copies to a client that discards. The
ratio is that of ours to the peer's, the median of the rounds' ratios.

{table(["", "relay", "ours / this", "rate", "failures"],
       [[workload, peer, f"**{r['ratio']:.2f}**", unit[workload](r["rate"]), r["failures"]]
        for workload, peers in relayed.items() for peer, r in peers.items()])}"""


def programs(executed):
    versions = execs.versions()
    return f"""
## Programs for connections
A program without libc, which answers and ends, is started for each connection: by `exec:` of socketboxd, `socketbox inetd` on a
listening socket, xinetd {versions["xinetd"]}, tcpserver (ucspi-tcp {versions["ucspi-tcp"]}) and systemd-socket-activate
{versions["systemd"]}, in one run and in turns. None logs starts and ends, or what goes to stderr. {execs.CONCURRENCY} clients at once are on one CPU.
"One CPU": the server and its programs have another; "all CPUs": they have both. The ratio is that of `exec:` to the
peer, the median of the rounds' ratios; CPU is what server and program use together, and what carries over.

{table(["", "server", "ours / this", "connections", "CPU for each", "failures"],
       [[workload, peer, f"**{r['ratio']:.2f}**", f"{r['rate']:,.0f}/s", f"{r['cpu_us']:.0f} µs", r["failures"]]
        for workload, peers in executed.items() for peer, r in peers.items()])}"""


def gigabits(rate):
    return f"{rate * 8 / 1e9:,.1f} Gbit/s"


def plot(served):
    """Each round's ratio as a dot, the median as a line."""
    low = min(0.9, *(min(result["ratios"]) for result in served.values()))
    high = max(1.1, *(max(result["ratios"]) for result in served.values()))
    left, width, row = 150, 520, 46

    def x(ratio):
        return left + (ratio - low) / (high - low) * width

    height = 40 + row * len(served) + 30
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 40}" height="{height}" '
             'font-family="sans-serif" font-size="13">',
             '<rect width="100%" height="100%" fill="white"/>',
             f'<text x="{left}" y="22">requests/s through a claim, native = 1.00</text>']
    for tick in (0.9, 0.95, TARGET, 1.0, 1.05, 1.1):
        colour = "#c33" if tick == TARGET else "#999" if tick == 1 else "#ddd"
        parts.append(f'<line x1="{x(tick):.1f}" y1="34" x2="{x(tick):.1f}" y2="{height - 28}" stroke="{colour}"/>')
        if tick != TARGET:
            parts.append(f'<text x="{x(tick):.1f}" y="{height - 10}" text-placeholder="middle" fill="#555">{tick:.2f}</text>')
    parts.append(f'<text x="{x(TARGET) - 4:.1f}" y="46" text-placeholder="end" fill="#c33">target</text>')
    for number, (kind, result) in enumerate(served.items()):
        y = 40 + row * number + row / 2
        parts.append(f'<text x="{left - 12}" y="{y + 4}" text-placeholder="end">{kind}</text>')
        parts += [f'<circle cx="{x(ratio):.1f}" cy="{y}" r="4" fill="#36c" fill-opacity="0.45"/>'
                  for ratio in result["ratios"]]
        parts.append(f'<line x1="{x(result["ratio"]):.1f}" y1="{y - 12}" x2="{x(result["ratio"]):.1f}" y2="{y + 12}" '
                     'stroke="#036" stroke-width="3"/>')
    return "\n".join([*parts, "</svg>\n"])
