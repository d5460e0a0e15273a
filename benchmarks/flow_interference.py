"""Several airfoils in one stream from flows around one: what superposition tells of their forces, beside the solver.

Wings are drawn within the limits of the flow study, at angles of 0 to 25 degrees. Each is solved alone; its flow, in
the window that a prior sees, gives the streams in which the others fly (sciencegen.studies.flow.compose.Superposed),
and so what the forces will be with each wing turned by the angle of its stream. The
solver says what they are. Beside that, for the wings as they were drawn: forces alone, as if there were no others; and
the control volumes of the window of the flows' sum, which is no flow past any of the bodies.

    python -m benchmarks flow_interference --out runs/flow_interference [--bodies 2 3] [--count 24]
    python -m benchmarks flow_interference --quick --out runs/flow_interference_quick
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import torch
import xarray
from rich.table import Table
from torch import Tensor
from tqdm.auto import tqdm

from sciencegen import metrics
from sciencegen.airfoil.wing_fit import CORNER, pixels
from sciencegen.airfoil.wings import Limits, Wings
from sciencegen.exact import Gaussian
from sciencegen.physics import Flow, Outline, pool
from sciencegen.physics.mean_forces import efficiency
from sciencegen.studies.flow.compose import stream, superposed
from sciencegen.studies.flow.constraints import forces
from sciencegen.studies.flow.prior import image, prior_layout

from .common import DATA, arguments, facts, output, whole, write_json
from .common.record import publish
from .flow_design.space import Space

REYNOLDS, ALPHA = 250.0, (0.0, 25.0)
SIDE, LATE, APART = 64, 12, (33, 31, 29)  # pixels of a window; frames that are averaged; frames of a window
ROWS = {"alone": ("no interference", "drawn"), "superposed": ("superposed", "turned"),
        "summed": ("control volumes of the sum", "drawn")}  # names, and which solved forces they tell


@torch.no_grad()
def solve(flow: Flow, outlines: Tensor) -> tuple[Tensor, Tensor]:
    """The window's frames ``(3, 3, 32, 32)`` and mean forces ``(K, 2)`` of bodies ``(K, n, 2)``."""
    low = [round((at + size * origin) * flow.cells) for at, size, origin in zip(CORNER, flow.size, flow.origin)]
    bodies = [Outline(points) for points in outlines.float()]
    frames, found = zip(*islice(flow.path(*bodies, start=flow.start(torch.float32)), max(APART) + 1))
    cut = [frames[k][:, low[0]:low[0] + SIDE, low[1]:low[1] + SIDE] for k in sorted(APART)]
    return pool(torch.stack(cut), 2), torch.stack(found[-LATE:]).mean(0)


def case(flow: Flow, wings: Wings) -> dict[str, Tensor]:
    """Forces ``(K, 2)`` of ``wings (K)`` by each row; solved, as they are ``drawn`` and ``turned`` to ``alpha``."""
    outlines = wings.outline()
    windows, alone = (torch.stack(part) for part in zip(*(solve(flow, one[None]) for one in outlines)))
    body, log = image(Outline(outlines.float())(pixels(torch.zeros(())))), torch.tensor(REYNOLDS).log10()
    layout = prior_layout()
    made = superposed(layout, Gaussian(torch.zeros(layout.size), torch.ones(layout.size)), len(outlines))
    inflow = made.inflow(windows, body)
    turned = wings._replace(alpha=wings.alpha - torch.rad2deg(torch.atan2(inflow[:, 1], inflow[:, 0])))
    told = made.forces(windows, body, log.expand(len(outlines)))
    return {"alone": alone[:, 0], "superposed": told, "summed": forces(stream(windows), body, log), "inflow": inflow,
            "alpha": turned.alpha, "chord": wings.chord, "centre": wings.centre, "shape": wings.shape,
            "drawn": solve(flow, outlines)[1], "turned": solve(flow, turned.outline())[1]}


def cases(bodies: int, count: int, seed: int, cells: int) -> xarray.Dataset:
    """All of ``count`` draws, ``(case, body, ...)``."""
    space = Space.of(DATA, Limits())
    wings = space.wings(space.draw(bodies, count, torch.Generator().manual_seed(seed), ALPHA))
    flow = Flow(cells, (8.0, 6.0), REYNOLDS, frame=0.25, frames=max(APART) + 1, compiled=True)
    found = [case(flow, wings.row(i)) for i in tqdm(range(count), desc=f"{bodies} airfoils", disable=None)]
    last = {"inflow": ("axis",), "centre": ("axis",), "shape": ("weight",), "alpha": (), "chord": ()}
    held = {k: (("case", "body", *last.get(k, ("coefficient",))), torch.stack([of[k] for of in found]).numpy())
            for k in found[0]}
    return xarray.Dataset(held, {"coefficient": ["drag", "lift"]}, {"seed": seed, "cells": cells})


def scores(found: xarray.Dataset) -> dict[str, dict[str, float]]:
    """By row, of the sum over bodies: relative error of the force (mean, half of its 95 % interval, median), that of
    lift over drag, and the correlation of lift over drag with the solved one."""
    told = {}
    for row, (_, judged) in ROWS.items():
        said, solved = (torch.from_numpy(found[k].values).double() for k in (row, judged))
        error = (said.sum(1) - solved.sum(1)).norm(dim=-1) / solved.sum(1).norm(dim=-1)
        ratio = torch.stack([efficiency(said), efficiency(solved)])
        mean, low, _ = metrics.interval(error)
        told[row] = {"force": float(mean), "half": float(mean - low), "median": float(error.median()),
                     "ratio": float((ratio[0] - ratio[1]).abs().median()),
                     "correlation": float(torch.corrcoef(ratio)[0, 1])}
    return told


def table(results: dict[int, dict[str, dict[str, float]]], count: int) -> Table:
    """One row an answer and number of airfoils."""
    shown = Table(title=f"Forces on several airfoils beside the solver's, {count} draws")
    for name in ("airfoils", "row", "force off by, %", "median, %", "lift/drag off by, median", "its correlation"):
        shown.add_column(name)
    for bodies, rows in results.items():
        for row, of in rows.items():
            shown.add_row(str(bodies), ROWS[row][0], f"{100 * of['force']:.0f} ± {100 * of['half']:.0f}",
                          f"{100 * of['median']:.0f}", f"{of['ratio']:.2f}", f"{of['correlation']:.2f}")
    return shown


def main() -> None:
    """Solve, compare and report."""
    made = arguments(__doc__, "the table and the forces")
    made.add_argument("--quick", action="store_true", help="4 pairs")
    made.add_argument("--bodies", type=int, nargs="+", choices=(2, 3), default=[2, 3])
    made.add_argument("--count", type=int, default=24)
    made.add_argument("--seed", type=int, default=3)
    args = made.parse_args()
    torch.set_num_threads(args.threads)
    try:
        out: Path = output(args.out)
    except ValueError as error:
        raise SystemExit(f"error: {error}") from error
    results, cells = {}, 24
    if args.quick:
        args.bodies, args.count = [2], 4
    for bodies in args.bodies:
        found = cases(bodies, args.count, args.seed, cells)
        whole(out / f"forces_{bodies}.nc", lambda new, found=found: found.to_netcdf(new, engine="h5netcdf"))
        results[bodies] = scores(found)
    write_json(out / "flow_interference.json", {"facts": facts(), "count": args.count, "seed": args.seed,
                                                "results": results})
    publish(out, "flow_interference", __doc__, [table(results, args.count)])
