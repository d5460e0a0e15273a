"""What the embedded flow solver gives beside OpenFOAM and published values, and what it costs.

A cylinder at Re 100 beside the range that the literature spans, in boxes of several sizes; a NACA 0012 (sharp trailing
edge) at 5 degrees beside OpenFOAM's values on meshes that are converged to 0.3 % (one foil; for two there is no grid
study, and this project's OpenFOAM, on a mesh of its own, has 5 % more lift on the tandem's second foil, .1763), at
several resolutions; and cell updates per second beside what the memory's bandwidth allows at most, measured in the
same run. Forces are means over the last two fifths of a run.

    python -m benchmarks flow --out runs/flow [--quick] [--cases naca-48 tandem] [--compile] [--device cuda]

Every case is saved as it is done and is not made again. CPU seconds are those of this process, kernel included.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from rich.table import Table
from torch import Tensor

from sciencegen.physics import Circle, Flow, Outline, placed

from .common import arguments, facts, output, write_json
from .common.record import publish
from .openfoam import naca_0012

Span = tuple[float, float]
FRAME = 0.25
STATE = 3 * 4 * 2 * 2  # bytes a cell and step must move at least: the state in and out, float32, in two stages
GRIDS = {"64 x 64": (64, (1, 4, 16, 64, 256)), "256 x 256": (256, (1, 4, 16))}  # cells a side, batches


@dataclass(frozen=True)
class Case:
    """One flow: cells a chord (or diameter), its box, its bodies and what each body's forces should be."""

    cells: int
    size: tuple[float, float]
    reynolds: float
    time: float
    places: tuple[tuple[float, float], ...] | None  # of the foils' noses, along and across chords; None: a cylinder
    bars: tuple[dict[str, Span], ...] = ()


def about(drag: float, lift: float, drags: float = 0.05, lifts: float = 0.12) -> dict[str, Span]:
    """Ranges of a share about OpenFOAM's values."""
    return {"drag": (drag * (1 - drags), drag * (1 + drags)), "lift": (lift * (1 - lifts), lift * (1 + lifts))}


def cases() -> dict[str, Case]:
    """The table's rows by name, the most informative first."""
    one, box, foil = ((0.0, 0.0),), (8.0, 6.0), (0.1275, 0.2445)
    circle = ({"drag": (1.33, 1.38), "strouhal": (0.163, 0.170)},)
    tandem = (about(0.1204, 0.2313), about(0.1004, 0.1673))
    stacked, echelon = (about(0.1543, 0.0955), about(0.1252, 0.2232)), (about(0.1203, 0.2052), about(0.1160, 0.1231))
    return {
        "naca-24 Re 200": Case(24, box, 200.0, 12.0, one, (about(0.2936, 0.2702, 0.1, 0.1),)),
        "naca-24": Case(24, box, 1000.0, 12.0, one, (about(*foil),)),
        "naca-48": Case(48, box, 1000.0, 12.0, one, (about(*foil),)),
        "cylinder-8 in 8 x 8": Case(8, (8.0, 8.0), 100.0, 75.0, None, circle),
        "cylinder-8": Case(8, (40.0, 32.0), 100.0, 75.0, None, circle),
        "tandem": Case(48, box, 1000.0, 12.0, ((0.0, 0.0), (1.5, 0.0)), tandem),
        "stacked": Case(48, box, 1000.0, 12.0, ((0.0, 0.0), (0.0, 0.5)), stacked),
        "echelon": Case(48, box, 1000.0, 12.0, ((0.0, 0.0), (1.0, 0.4)), echelon),
        "cylinder-16": Case(16, (40.0, 32.0), 100.0, 75.0, None, circle),
        "naca-96": Case(96, box, 1000.0, 12.0, one, (about(*foil, 0.02, 0.02),)),
        "cylinder-16 in 24 x 16": Case(16, (24.0, 16.0), 100.0, 75.0, None, circle),
        "cylinder-16 in 8 x 8": Case(16, (8.0, 8.0), 100.0, 75.0, None, circle),
        "naca-48 in 5 x 4": Case(48, (5.0, 4.0), 1000.0, 12.0, one, (about(*foil),)),
        "naca-48 in 16 x 12": Case(48, (16.0, 12.0), 1000.0, 12.0, one, (about(*foil),)),
        "naca-48 to T = 30": Case(48, box, 1000.0, 30.0, one, (about(*foil),)),
        "tandem to T = 30": Case(48, box, 1000.0, 30.0, ((0.0, 0.0), (1.5, 0.0)), tandem),
    }


QUICK = ("naca-24 Re 200", "naca-24", "cylinder-8 in 8 x 8")


def bodies(case: Case) -> list[Circle | Outline]:
    """The bodies of a case; formations are turned as a whole, as by an inclined stream."""
    if case.places is None:
        return [Circle(torch.zeros(2), torch.tensor(0.5))]
    foil = torch.from_numpy(naca_0012(101)).float()[:-1]
    return [Outline(placed(foil - torch.tensor([0.25, 0.0]) + torch.tensor(place), 5.0)) for place in case.places]


@torch.no_grad()
def measured(case: Case, device: str, compiled: bool) -> dict[str, object]:
    """One run: mean forces of each body, shedding, and what it cost."""
    flow = Flow(case.cells, case.size, case.reynolds, frame=FRAME, compiled=compiled)
    state, before = flow.start(device=device).clone(), time.process_time()
    if case.places is None:  # a gust behind the cylinder, so that it sheds soon
        state[1] = 0.5 * torch.exp(-(flow.points(state) - torch.tensor([1.5, 0.0], device=device)).square().sum(-1))
    forces, shapes = [], [_on(body, device) for body in bodies(case)]
    for state, force in islice(flow.path(*shapes, start=state), round(case.time / FRAME)):
        forces.append(force.cpu())
    every = torch.stack(forces).double()
    late = every[-round(0.4 * len(every)) :]
    divergence = state[0].roll(-1, 0) - state[0] + state[1].roll(-1, 1) - state[1]
    return {
        "drag": late[..., 0].mean(0).tolist(), "lift": late[..., 1].mean(0).tolist(),
        "lift_amplitude": ((late[..., 1].amax(0) - late[..., 1].amin(0)) / 2).tolist(),
        "strouhal": [strouhal(late[:, k, 1]) for k in range(len(shapes))], "cells": math.prod(flow.shape),
        "steps": flow.steps * len(every), "divergence": float(divergence.abs().max()),
        "cpu_s": time.process_time() - before,
    }  # fmt: skip


def _on(body: Circle | Outline, device: str) -> Circle | Outline:
    if isinstance(body, Circle):
        return Circle(body.centre.to(device), body.radius.to(device))
    return Outline(body.points.to(device))


def strouhal(lift: Tensor) -> float:
    """Periods a unit time, from the upward crossings of the mean; NaN where there are fewer than three."""
    x = lift - lift.mean()
    at = ((x[:-1] < 0) & (x[1:] >= 0)).nonzero().flatten()
    if len(at) < 3 or float(x.abs().max()) < 0.02:
        return math.nan
    times = at + x[at] / (x[at] - x[at + 1])
    return float((len(at) - 1) / (times[-1] - times[0]) / FRAME)


def verdicts(name: str, row: dict, case: Case) -> list[list[str]]:
    """The rows of the table for a case: one a body, values with OpenFOAM's range and whether it was met."""
    shown = []
    for k, bars in enumerate(case.bars):
        cells = [_cell(row[key][k], bars.get(key)) for key in ("drag", "lift", "strouhal")]
        label = name if len(case.bars) == 1 else f"{name}, foil {k}"
        shown.append([label, f"{case.size[0]:g} x {case.size[1]:g}", str(case.cells), *cells,
                      f"{row['lift_amplitude'][k]:.3f}", str(row["steps"]), f"{row['cpu_s']:.0f}"])
    return shown


def _cell(value: float | None, bar: Span | None) -> str:
    if value is None or not math.isfinite(value):
        return "-"
    if bar is None:
        return f"{value:.4f}"
    middle = (bar[0] + bar[1]) / 2
    return f"{value:.4f} ({(value / middle - 1) * 100:+.1f} %{'' if bar[0] <= value <= bar[1] else ', missed'})"


def order(done: dict[str, dict], chosen: dict[str, Case]) -> list[str]:
    """Whether the foil with more drag and with more lift of each pair is the one that it is in OpenFOAM."""
    lines = []
    for name in ("tandem", "stacked", "echelon"):
        if name in done:
            row, bars = done[name], chosen[name].bars
            right = [(row[key][0] > row[key][1]) == (bars[0][key] > bars[1][key]) for key in ("drag", "lift")]
            lines.append(f"{name}: order of drags {'right' if right[0] else 'WRONG'}, of lifts "
                         f"{'right' if right[1] else 'WRONG'}")
    return lines


def seconds(call, device: str, least: float = 0.2) -> float:
    """Seconds a call: CPU time of this process on a CPU, which others cannot lengthen much, else wall time."""
    def now() -> float:
        if device == "cpu":
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    call()
    count, begin = 0, now()
    while count < 2 or now() - begin < least:
        call()
        count += 1
    return (now() - begin) / count


def bandwidth(device: str) -> float:
    """Bytes a second of a copy between tensors far larger than any cache: read plus written."""
    source = torch.ones(2**26, device=device)
    target = torch.empty_like(source)
    return 2 * 4 * len(source) / seconds(lambda: target.copy_(source), device)


@torch.no_grad()
def throughput(device: str, quick: bool) -> dict[str, object]:
    """Cell updates a second, eager and compiled, over grids and batches; the bandwidth and its bound on them."""
    bytes_a_second, rows = bandwidth(device), []
    for grid, (n, batches) in GRIDS.items():
        for batch in batches[:2] if quick else batches:
            row = {"grid": grid, "batch": batch}
            for key, compiled in (("eager", False), ("compiled", True)):
                flow = Flow(16, (n / 16, n / 16), 200.0, frame=0.125, compiled=compiled)  # four steps
                body = Circle(torch.zeros(batch, 2, device=device), torch.full((batch,), 0.4, device=device))
                state = flow.start(device=device).expand(batch, -1, -1, -1)
                row[key] = batch * n * n * flow.steps / seconds(partial(next, flow.path(body, start=state)), device)
            rows.append(row)
    return {"bandwidth": bytes_a_second, "bound": bytes_a_second / STATE, "rows": rows}


def tables(done: dict[str, dict], chosen: dict[str, Case], speed: dict | None) -> list[object]:
    """All that is there, for people."""
    forces = Table(title="Forces, and how far from the reference (cylinder: from the middle of its range)")
    for head in ("case", "box", "cells a chord", "drag", "lift", "Strouhal", "lift, half range", "steps", "CPU s"):
        forces.add_column(head)
    for name, row in done.items():
        for line in verdicts(name, row, chosen[name]):
            forces.add_row(*line)
    parts: list[object] = [forces, *order(done, chosen)]
    if speed is not None:
        rates = Table(title=f"Million cell updates (of two stages) a second; copy {speed['bandwidth'] / 1e9:.1f} GB/s, "
                            f"which bounds them by {speed['bound'] / 1e6:.0f}")
        for head in ("grid", "batch", "eager", "compiled", "compiled, share of the bound"):
            rates.add_column(head)
        for row in speed["rows"]:
            rates.add_row(row["grid"], str(row["batch"]), f"{row['eager'] / 1e6:.2f}", f"{row['compiled'] / 1e6:.2f}",
                          f"{row['compiled'] / speed['bound']:.1%}")
        parts.append(rates)
    return parts


def kept(path: Path, make) -> dict:
    """The JSON at ``path``, made first if it is not there."""
    if not path.exists():
        write_json(path, make())
    return json.loads(path.read_text())


def main() -> None:
    """Run the cases that are not there yet, one after the other, and print the tables of all that are."""
    chosen = cases()
    parser = arguments(__doc__, "a JSON file a case, flow.json and flow.txt")
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}, and small batches")
    parser.add_argument("--cases", nargs="*", choices=[*chosen, "throughput"], help="all by default")
    parser.add_argument("--compile", action="store_true", help="let torch.compile make the cases faster")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    out = output(options.out)
    names = options.cases or [*(QUICK if options.quick else chosen), "throughput"]
    for name in names:
        if name == "throughput":
            kept(out / "throughput.json", partial(throughput, options.device, options.quick))
        else:
            kept(out / f"{name}.json", partial(measured, chosen[name], options.device, options.compile))
    done = {name: json.loads(file.read_text()) for name in chosen if (file := out / f"{name}.json").exists()}
    speed = json.loads((out / "throughput.json").read_text()) if (out / "throughput.json").exists() else None
    write_json(out / "flow.json", {"facts": facts(), "device": options.device, "cases": done, "throughput": speed})
    publish(out, "flow", __doc__, tables(done, chosen, speed))
