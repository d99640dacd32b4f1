# SPDX-License-Identifier: BSD-2-Clause
"""Scale's part of docs/benchmarks.md, and its plot: growth curves of the daemon's time for each operation."""
import math

import scale

COST_RATIO, TURN_MS = 1.5, 20  # what is to hold: at 10,000 against at 10; no turn is longer
COLOURS = {"claim": "#36c", "accepted": "#2a2", "explain": "#c80", "release": "#0aa", "death": "#c33", "status": "#808",
           "reload": "#555"}
PANELS = (("services and claims, each with its route", lambda row: row["services"] == row["routes"], "services"),
          ("routes, with 10 services and claims", lambda row: row["services"] == scale.BATCH, "routes"))
ABSENT = "–"


def table(head, rows):
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(["| " + " | ".join(head) + " |", "|" + " --- |" * len(head), *lines]) + "\n"


def duration(us):
    """Three digits with their unit."""
    for unit, factor in (("µs", 1), ("ms", 1e3), ("s", 1e6)):
        if us < 999.5 * factor or unit == "s":
            value = us / factor
            return f"{value:.0f} {unit}" if value >= 99.5 else f"{value:.1f} {unit}"
    return None


def cost(row, operation):
    result = row.get(operation)
    if not result:
        return ABSENT
    if result["stalled"]:
        return f"no answer in {result['wall_us'] / 1e6:.0f} s"
    fewer = operation == "accepted" and row["listening"] < row["services"]
    return duration(result["cpu_us"]) + (f" ({row['listening']:,} services)" if fewer else "")


def turn(row, operation):
    """The longest by the processor's time, and by the clock."""
    result = row.get(operation)
    if result and result["stalled"]:
        return "**unknown**"
    if not result or "turn_ms" not in result:
        return ABSENT
    text = f"{result['turn_cpu_ms']:.1f} / {result['turn_ms']:.1f}"
    return f"**{text}**" if result["turn_cpu_ms"] > TURN_MS else text


def name(row):
    claims = row.get("claims", row["services"])
    held = f" ({claims:,} claims)" if claims != row["services"] else ""
    return [f"{row['services']:,}{held}", f"{row['routes']:,}"]


def ratio(rows, operation):
    """The cost at the most services as many times that at the fewest; each has its route."""
    costs = [row[operation]["cpu_us"] for row in sorted(rows, key=lambda row: row["services"])
             if row["services"] == row["routes"] and row.get(operation) and "cpu_us" in row[operation]]
    return costs[-1] / costs[0] if len(costs) > 1 else None


def worst_turn(rows):
    """Of all operations in all rows."""
    return max((row[operation]["turn_cpu_ms"] for row in rows for operation in scale.OPERATIONS
                if row.get(operation) and "turn_cpu_ms" in row[operation]), default=None)


def verdicts(rows):
    parts = [f"{operation} **{value:.2f}**" for operation in ("claim", "accepted")
             if (value := ratio(rows, operation)) is not None]
    native = next((row for row in rows if row.get("native") and row.get("claim")), None)
    longest = worst_turn(rows)
    text = f"Cost with the most services as many times that with the fewest (to hold: {COST_RATIO}): {', '.join(parts)}."
    if longest is not None:
        text += f" Longest turn by the processor's time (to hold: {TURN_MS} ms): **{longest:.1f} ms**."
    stalls = [f"{operation} at {row['services']:,} services and {row['routes']:,} routes" for row in rows
              for operation in scale.OPERATIONS if row.get(operation) and row[operation]["stalled"]]
    if stalls:
        text += f" That is of what was answered; not answered in time: {', '.join(stalls)}."
    if native:
        text += (f" A claim takes the client {native['claim']['wall_us'] / native['native']['wall_us']:.1f} times as long as"
                 f" bind and listen by itself ({native['claim']['wall_us']:.0f} µs against"
                 f" {native['native']['wall_us']:.0f} µs), once in the life of a listener.")
    return text


def section(rows):
    missing = [f"{row['services']:,} services and {row['routes']:,} routes: {why}" for row in rows
               for why in (row.get("why"), row.get("why_not_accepted")) if why]
    return f"""
## Scale
What an operation costs socketboxd, in processor time of its event loop, by the number of services (each with a claim and a
route, most of them held) and of routes (those beyond the services' refuse). `bench/scale.py`: medians of batches; a daemon of
its own for each row, with as many services as RLIMIT_NOFILE has room for: a claim has a descriptor in the daemon, a service that
listens two. Accepted connections are those of services with `handoff`, which listen in place of claiming. A death is
shutdown(2) of a claimed listener by its holder; it is measured with one short request, which tells that it is over, as ten releases
are. In each row connections are made to what was claimed, so that the kernel decides packets by that table. Memory is that of the daemon once it has started, and at its most.

![Processor time of each operation by the number of services and of routes](scale.svg)

{table(["services", "routes", "start", "memory, at most", *scale.OPERATIONS],
       [[*name(row), f"{row['load_s']:.1f} s" if "load_s" in row else ABSENT,
         f"{row['memory_mib']:.0f}, {row['peak_mib']:.0f} MiB" if "peak_mib" in row else ABSENT,
         *(cost(row, operation) for operation in scale.OPERATIONS)] for row in rows])}
The longest turn of the event loop during these, in milliseconds, by the processor's time / by the clock. The clock also counts calls
that block, such as those that wait for the kernel's RCU, and what else the machine does. In bold: more than {TURN_MS} ms.

{table(["services", "routes", *scale.OPERATIONS],
       [[*name(row), *(turn(row, operation) for operation in scale.OPERATIONS)] for row in rows])}
{verdicts(rows)}
{"".join(f"{chr(10)}Not run: {line}" for line in missing)}"""


class Panel:
    """Both axes are logarithmic."""
    LEFT, TOP, WIDTH, HEIGHT = 62, 40, 330, 260

    def __init__(self, number, costs, sizes):
        self.left = self.LEFT + number * (self.WIDTH + 90)
        self.low, self.high = (rounding(math.log10(value)) for rounding, value in
                               ((math.floor, min(costs)), (math.ceil, max(costs) * 1.01)))
        self.first, self.last = math.log10(min(sizes)), math.log10(max(sizes))

    def x(self, size):
        return self.left + (math.log10(size) - self.first) / (self.last - self.first or 1) * self.WIDTH

    def y(self, us):
        return self.TOP + self.HEIGHT * (1 - (math.log10(us) - self.low) / (self.high - self.low or 1))

    def frame(self, title, sizes):
        parts = [f'<text x="{self.left}" y="24">by {title}</text>']
        bottom = self.TOP + self.HEIGHT
        for power in range(self.low, self.high + 1):
            parts.append(f'<line x1="{self.left}" y1="{self.y(10 ** power):.1f}" x2="{self.left + self.WIDTH}" '
                         f'y2="{self.y(10 ** power):.1f}" stroke="#ddd"/>')
            parts.append(f'<text x="{self.left - 6}" y="{self.y(10 ** power) + 4:.1f}" text-anchor="end" fill="#555">'
                         f'{axis_duration(power)}</text>')
        for size in sizes:
            parts.append(f'<text x="{self.x(size):.1f}" y="{bottom + 20}" text-anchor="middle" fill="#555">{size:,}</text>')
        return parts

    def curve(self, operation, points):
        place = " ".join(f"{self.x(size):.1f},{self.y(us):.1f}" for size, us in points)
        colour = COLOURS[operation]
        return [f'<polyline points="{place}" fill="none" stroke="{colour}" stroke-width="2"/>',
                *(f'<circle cx="{self.x(size):.1f}" cy="{self.y(us):.1f}" r="3.5" fill="{colour}"/>' for size, us in points)]


def axis_duration(power):
    unit = "µs" if power < 3 else "ms" if power < 6 else "s"
    return f"{10 ** (power - {'µs': 0, 'ms': 3, 's': 6}[unit]):g} {unit}"


def plot(rows):
    costs = [row[operation]["cpu_us"] for row in rows for operation in scale.OPERATIONS
             if row.get(operation) and "cpu_us" in row[operation]]
    width, height = 2 * (Panel.WIDTH + 90) + 20, Panel.TOP + Panel.HEIGHT + 64
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="13">',
             '<rect width="100%" height="100%" fill="white"/>']
    for number, (title, belongs, key) in enumerate(PANELS):
        members = sorted(filter(belongs, rows), key=lambda row, key=key: row[key])
        sizes = [row[key] for row in members]
        if not costs or not sizes:
            continue
        panel = Panel(number, costs, sizes)
        parts += panel.frame(title, sizes)
        for operation in scale.OPERATIONS:
            parts += panel.curve(operation, [(row[key], row[operation]["cpu_us"]) for row in members
                                             if row.get(operation) and "cpu_us" in row[operation]])
    for number, operation in enumerate(scale.OPERATIONS):
        x = Panel.LEFT + number * 105
        parts.append(f'<circle cx="{x}" cy="{height - 16}" r="5" fill="{COLOURS[operation]}"/>'
                     f'<text x="{x + 10}" y="{height - 12}">{operation}</text>')
    return "\n".join([*parts, "</svg>\n"])
