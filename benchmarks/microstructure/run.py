"""Designs of microstructures: level sets, other families and lattices, beside floors, at 60 solves each.

    python -m benchmarks microstructure --quick --out runs/microstructure
    python -m benchmarks microstructure --count 256 --out runs/microstructure [--model DIR] [--tasks grains,discs]

A task that is done is kept in --out and not done again. All rows may take 60 solves of the homogeniser a design, and
are judged by the image of 0 and 1 that they end with.

- Level sets of one style, all of kx = 4 and ky = 2.2 at a contrast of 10: samples that nothing guides, the best of 60,
  Adam on the white noise (soft images, the width annealed), ours (Newton's method in the goals, sharp images).
- Grains, discs and spinodal structures: each design is asked for the conductivities of a held-out image, so that the
  designs of a row that stays in the family are distributed as the family is. The largest distance of Kolmogorov and
  Smirnov over eleven descriptors says whether they are; held-out images are its floor at this count.
- Lattices with voids of 1e-4: C11 = 0.35, C12 = 0.09, C66 = 0.08 of the solid's Young's modulus, in one piece.
- With a trained prior of patches: how it follows a style, its two-point functions, seams and painting
  (:mod:`.controls`), and designs by it.
- How the study was to write: its lines, by file.

Images that were scored are netCDF.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table

from sciencegen.physics.microstructure import Style
from sciencegen.priors import Model
from sciencegen.studies import microstructure

from ..common import arguments, facts, output, write_json
from ..common.record import Line, publish
from . import controls, designs

TASKS = ("level-sets", *designs.FRACTIONS, "lattices")
QUICK, CELLS = 48, 4  # designs of a row; lattices take a hundred times as long
LINES = [
    Line("Level sets of wanted conductivities", "median error, %", "Level sets", "median error, %", ("ours",),
         ("level set + Adam", "best of 60"), seeds="1"),
    *(Line(f"{name.capitalize()} of wanted conductivities", "largest distance of a descriptor from the family",
           name.capitalize(), "largest KS", ("ours, generator",), ("best of 60", "Adam on pixels"),
           exact=("held-out images",), seeds="1") for name in designs.FRACTIONS),
    Line("Lattices of wanted stiffness", "median of the worst error, %", "Lattices", "median error, %", ("ours",),
         ("level set + Adam",), seeds="1")]


def main() -> None:
    """Design by every row, print the tables and save them."""
    made = arguments(__doc__, "microstructure.json, microstructure.txt, a JSON for each task and the images")
    made.add_argument("--count", type=int, default=256, help="designs of a row")
    made.add_argument("--cells", type=int, default=24, help="lattices of a row")
    made.add_argument("--model", type=Path, help="directory of a trained prior of patches, for its controls")
    made.add_argument("--quick", action="store_true", help=f"{QUICK} designs and {CELLS} lattices")
    made.add_argument("--tasks", default=",".join(TASKS), help="some of these")
    asked = made.parse_args()
    torch.set_num_threads(asked.threads)
    out, (count, cells) = output(asked.out), (QUICK, CELLS) if asked.quick else (asked.count, asked.cells)
    for task in asked.tasks.split(","):
        if not kept(out, task, count).exists():
            write_json(kept(out, task, count), done(task, count, cells, out))
    found = {t: json.loads(kept(out, t, count).read_text()) for t in TASKS if kept(out, t, count).exists()}
    tables = [tabled(told["title"], told["rows"]) for told in found.values()]
    if asked.model is not None:
        tables += [tabled(title, rows) for title, rows in patches(Model.load(asked.model), asked.quick).items()]
    publish(out, "microstructure", __doc__, [*tables, written()], LINES)
    write_json(out / "microstructure.json", {"tasks": found, "count": count, "cells": cells, **facts()})


def kept(out: Path, task: str, count: int) -> Path:
    """Where a task that is done is kept; it is not done again."""
    return out / f"{task}_{count}.json"


def done(task: str, count: int, cells: int, out: Path) -> dict[str, Any]:
    """Title and rows of a task."""
    if task == "level-sets":
        return {"title": f"Level sets, kx = 4, ky = 2.2, {count} designs", "rows": designs.level_sets(count)}
    if task == "lattices":
        return {"title": f"Lattices, C11 = 0.35, C12 = 0.09, C66 = 0.08, {cells} designs",
                "rows": designs.lattices(cells)}
    return {"title": f"{task.capitalize()}, conductivities of held-out images, {count} designs",
            "rows": designs.families(task, count, out / f"{task}.nc")}


def patches(model: Model, quick: bool) -> dict[str, dict[str, dict[str, float]]]:
    """Controls of a trained prior of patches, over all families, beside images of the laws themselves."""
    one, rows = Style([3.5], [30.0], [2.0], [0.4]), {}
    for name, draw in (("held out", controls.held_out), ("ours, patches", controls.ours(model))):
        follows = controls.followed(draw, *((12, 2) if quick else (48, 4)))
        errors = [controls.two_point_error(draw, one, k, 16 if quick else 64) for k in range(len(controls.LAWS))]
        rows[name] = {**{f"R2 of {part}": value for part, value in follows.items()},
                      "worst two-point error": max(errors),
                      "seams": controls.seam(draw(one, torch.zeros(1, dtype=torch.long), 256, 0))}
    return {"Controls of patches": rows}


def written() -> str:
    """How the study was to write."""
    folder = Path(microstructure.__file__).parent
    lines = {file.stem: len(file.read_text().splitlines()) for file in sorted(folder.glob("*.py"))}
    each = ", ".join(f"{name} {n}" for name, n in lines.items() if n > 2)
    return f"The study has {sum(lines.values())} lines: {each}."


def tabled(title: str, rows: Mapping[str, Mapping[str, float | str | None]]) -> Table:
    """A row each."""
    table = Table("row", *next(iter(rows.values())), title=title)
    for name, row in rows.items():
        table.add_row(name, *(cell(value) for value in row.values()))
    return table


def cell(value: float | str | None) -> str:
    """A number as it is printed; JSON has none where there is none."""
    if value is None or isinstance(value, str):
        return value or "-"
    return "-" if not np.isfinite(value) else f"{value:.3g}"


if __name__ == "__main__":
    main()
