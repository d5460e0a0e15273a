"""Forces on airfoils in a stream: what `sciencegen design flow` prints of its designs, beside OpenFOAM.

Designs are those of runs, or airfoils drawn within the study's limits at angles of 0 to 25 degrees, all at a Reynolds
number of 250. The package's solver judges each on the training set's grid, in its box, as designs go down through it;
and as they are printed, on 48 cells a chord, corrected to free air. OpenFOAM solves each on a mesh of its own. Those
that the correction was fitted to (`--fitted`) are shown and not counted.

    sciencegen design flow --bodies 2 --count 6 --seed 5 --refined 0 --out runs/pairs
    python -m benchmarks flow_forces --runs runs/pairs/result.nc --out runs/flow_forces
    python -m benchmarks flow_forces --quick --out runs/flow_forces_quick

Every design is saved as it is done and is not made again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray
from rich.table import Table
from torch import Tensor

from sciencegen.airfoil.wings import Limits
from sciencegen.physics.mean_forces import FreeAir, MeanForces
from sciencegen.studies.flow.openfoam import ByOpenFOAM

from .common import DATA, arguments, facts, output, write_json
from .common.record import publish
from .flow_design.space import Space

JUDGES = {"box": "24 cells, in the box", "air": "printed: free air"}
ALPHA = (0.0, 25.0)


def designs(file: Path) -> Iterator[tuple[str, Tensor]]:
    """Name and outlines ``(K, n, 2)`` of each design of a run's ``result.nc``."""
    with xarray.open_dataset(file, engine="h5netcdf") as found:
        loops = torch.from_numpy(found["outline"].values).float()
    yield from ((f"{file.parent.name}/{file.stem} {i}", row) for i, row in enumerate(loops) if row.isfinite().all())


def drawn(bodies: int, count: int, seed: int) -> Iterator[tuple[str, Tensor]]:
    """The same of airfoils within the limits."""
    space = Space.of(DATA, Limits())
    wings = space.wings(space.draw(bodies, count, torch.Generator().manual_seed(seed), ALPHA))
    yield from ((f"drawn, {bodies} of seed {seed}, {i}", row) for i, row in enumerate(wings.outline(101).float()))


@torch.no_grad()
def judged(loops: Tensor, fitted: bool, coarse: bool) -> dict[str, Any]:
    """Drag and lift of each body by all judges."""
    box = MeanForces(24, 8.5, 0.35)
    told = ByOpenFOAM(fineness=0.4 if coarse else 0.6).told(loops.numpy())
    forces = {"box": box(loops[None])[0], "air": FreeAir()(loops[None])[0]}
    return {"bodies": len(loops), "fitted": fitted, "openfoam": {k: v for k, v in told.items() if k != "log"},
            **{k: {"drag": v[:, 0].tolist(), "lift": v[:, 1].tolist()} for k, v in forces.items()}}


def total(force: Mapping[str, Sequence[float | None]]) -> np.ndarray:
    """Drag and lift ``(2,)`` of all bodies together."""
    return np.array([np.sum(np.array(force[k], dtype=float)) for k in ("drag", "lift")])


def off(cell: Mapping[str, Any], judge: str) -> np.ndarray:
    """By what share drag and lift are above OpenFOAM's, ``(2,)``."""
    return total(cell[judge]) / total(cell["openfoam"]) - 1


def tables(cells: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """How far off each judge is, by number of airfoils and by design."""
    few, all_ = Table(title="Off OpenFOAM by, %: mean of the absolute values (worst)"), Table(title="By design")
    for head in ("airfoils", "n", *(f"{part}, {name}" for name in JUDGES.values() for part in ("drag", "lift"))):
        few.add_column(head)
    solved = {name: cell for name, cell in cells.items() if np.isfinite(total(cell["openfoam"])).all()}
    for bodies in sorted({cell["bodies"] for cell in solved.values()}):
        counted = [cell for cell in solved.values() if cell["bodies"] == bodies and not cell["fitted"]]
        if counted:
            errors = [100 * np.abs([off(cell, judge) for cell in counted]) for judge in JUDGES]
            shown = [f"{e[:, k].mean():.1f} ({e[:, k].max():.1f})" for e in errors for k in (0, 1)]
            few.add_row(str(bodies), str(len(counted)), *shown)
    for head in ("design", "OpenFOAM: drag", "lift", "cells", *(f"{p}, {n}" for n in JUDGES.values() for p in
                                                             ("drag", "lift"))):
        all_.add_column(head)
    for name, cell in cells.items():
        true, size = total(cell["openfoam"]), cell["openfoam"].get("cells")
        shown = [f"{100 * error:+.1f} %" for judge in JUDGES for error in off(cell, judge)]
        all_.add_row(name + (" (fitted)" if cell["fitted"] else ""), *(f"{v:.3f}" for v in true),
                     f"{size:.0f}" if size else "-", *shown)
    return [few, all_]


def main() -> None:
    """Judge what is not there yet, and report."""
    made = arguments(__doc__, "a JSON file a design, flow_forces.json and flow_forces.txt")
    made.add_argument("--runs", type=Path, nargs="+", default=[], help="result.nc of `sciencegen design flow`")
    made.add_argument("--fitted", type=Path, nargs="+", default=[], help="others, that the correction was fitted to")
    made.add_argument("--count", type=int, default=3, help="of drawn designs of one, of two and of three, without runs")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--quick", action="store_true", help="one of one and one of two, coarse meshes")
    args = made.parse_args()
    torch.set_num_threads(args.threads)
    out = output(args.out)
    asked = [(*design, file in args.fitted) for file in (*args.fitted, *args.runs) for design in designs(file)]
    if not asked:
        sizes, count = ((1, 2), 1) if args.quick else ((1, 2, 3), args.count)
        asked = [(*design, False) for bodies in sizes for design in drawn(bodies, count, args.seed)]
    cells = {}
    for name, loops, fitted in asked:
        file = out / f"{''.join(c if c.isalnum() else '_' for c in name)}.json"
        if not file.exists():
            write_json(file, judged(loops, fitted, args.quick))
            print(name, *(f"{off(json.loads(file.read_text()), judge)}" for judge in JUDGES), flush=True)
        cells[name] = json.loads(file.read_text())
    write_json(out / "flow_forces.json", {"facts": facts(), "designs": cells})
    publish(out, "flow_forces", __doc__, tables(cells))
