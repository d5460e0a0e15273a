"""Discs in a box: designs for more bodies and frames than a prior has seen, beside honest floors.

Every row answers the same question: from where do 2, 4, 8 discs, each at the data's root-mean-square speed, fly so
that they are at the centre after 24 ... 94 frames? The trained prior knows 2 over 24. Who made the trajectory is said
in each row, because its MAE means something only if it is the network's: one by the solver has none by construction.

    python -m benchmarks nbody --quick --out runs/nbody
    python -m benchmarks nbody --cells 2x24 2x44 4x24 --count 50 --data runs/nbody_2.h5 --out runs/nbody

Every (bodies, frames, row, seed) is saved as it is done, designs and all, and not made again while its settings stay;
after a change of code delete the files in question. `--data` (datasets/make_nbody.py) is for the row of the training
set's own windows.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray
from tqdm.auto import tqdm

from sciencegen.priors import Model, zoo
from sciencegen.studies.nbody.compose import few_steps
from sciencegen.studies.nbody.prior import read
from sciencegen.studies.nbody.study import NBodyStudy

from ..common import arguments, facts, output, whole, write_json
from ..common.record import Line, publish
from . import floors, report
from .backwards import Backwards
from .ours import Composed, Designed, Flown, Turned, countings
from .scoring import SPEED, scores, summary

CELLS = ("2x24", "2x34", "2x44", "2x54", "2x94", "4x24", "4x44", "8x24", "8x44")
ROLLOUTS = 80  # of the study, to turn ends round and to refine
SPENT = 127  # what the study spends a design, choice and judging too, for the rows with the true solver
LAW = 0.05
QUICK = ("random", "packed", "best of 100,", "Bethe, corrected", "one pair, corrected", "refined")
Row = Callable[[floors.Question], Flown]


def rows(bodies: int, frames: int, model: Model, data: Path | None, device: str) -> dict[str, tuple[str, Row]]:
    """By name, who makes the trajectory and the row: floors first, then the countings, then the study."""
    study = NBodyStudy(model.layout, model.energy, bodies, frames, sampler=few_steps(device=device))
    law = replace(study, law=LAW)
    found: dict[str, tuple[str, Row]] = {}
    classical = [floors.Random(), floors.Packing(), Backwards(), floors.BestOf(SPENT), floors.BestOf(100),
                 floors.BestOf(1000), floors.CrossEntropy(SPENT), floors.Descent(SPENT, restarts=1)]
    if data is not None and bodies == 2:
        classical.insert(3, floors.Windows(read(data)))
    for row in classical:
        found[row.name] = "solver", solved(row)
    found["packings, turned round and refined"] = "solver", Turned("", study, ROLLOUTS)
    for name, counting in countings(bodies, frames).items():
        for corrected in (False, True):
            title = f"ours: {name}{', corrected' if corrected else ''}"
            found[title] = "network", Composed(title, study, counting, corrected)
    if (bodies, frames) == (2, 24):  # nothing is composed: corrections may be long
        long = replace(study, sampler=few_steps(48, 4, 1.0, device=device))
        for title, one in (("ours: one pair, 48 levels of four", long),
                           ("ours: one pair, 48 levels of four, half as fast", replace(long, speed=SPEED / 2))):
            found[title] = "network", Composed(title, one, countings(2, 24)["one pair"], True)
    found["ours, whole study without refinement"] = "network", Designed("", study, 0)
    found["ours, whole study with law"] = "network + law", Designed("", law, 0)
    found["ours, whole study, refined"] = "solver", Designed("", study, ROLLOUTS)
    return found


def lines(found: Mapping[str, Mapping[str, Any]]) -> list[Line]:
    """The summary's: one a number of bodies and frames."""
    made = []
    for cell, told in found.items():
        bodies, frames = cell.split("x")
        solved = [name for name, row in told.items() if row["facts"]["by"] == "solver"]
        classical = tuple(name for name in solved if not name.startswith("ours"))
        designs = str(len(next(iter(told.values()))["scores"]["objective"]))
        made.append(Line(f"{bodies} discs, {frames} frames, to the centre", "mean distance in the last frame, sides",
                         f"{bodies} bodies, {frames} frames", "objective", ("ours, whole study, refined",), classical,
                         n=designs))
    return made


def solved(row: floors.Row) -> Row:
    """A row of starts as one of trajectories, the solver's."""
    def flown(question: floors.Question) -> Flown:
        start, rollouts = row(question)
        with torch.no_grad():
            return Flown(question.system.solve(start, question.frames), rollouts, 0)

    return flown


def cells(args: argparse.Namespace, model: Model) -> Iterator[tuple[floors.Question, str, str, Row]]:
    """Every question, and every row that answers it, with who makes its trajectory."""
    for cell in args.cells:
        bodies, frames = map(int, cell.split("x"))
        for name, (by, row) in rows(bodies, frames, model, args.data, args.device).items():
            if any(part in name for part in args.rows) or not args.rows:
                for seed in args.seeds:
                    yield floors.Question(bodies, frames, args.count, seed, tuple(args.target)), name, by, row


def made(out: Path, question: floors.Question, name: str, by: str, row: Row, prior: str) -> xarray.Dataset:
    """A cell's designs, from its file if they are there."""
    text = "".join(c if c.isalnum() else "-" for c in name)
    file = out / "cells" / f"{question.bodies}x{question.frames}_{text}_s{question.seed}.nc"
    settings = json.dumps({"question": repr(question), "row": name, "prior": prior if by != "solver" or "ours" in name
                           else ""})
    if file.is_file():
        found = xarray.load_dataset(file, engine="h5netcdf")
        if found.attrs["settings"] == settings:
            return found
    wall, cpu = time.perf_counter(), time.process_time()
    trajectory, rollouts, evaluations = row(question)
    spent = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
    designs = xarray.Dataset(
        {"trajectory": (("sample", "time", "body", "feature"), trajectory.double().numpy(), {"units": "box, box/s"}),
         "initial_state": (("sample", "body", "feature"), trajectory[:, 0].double().numpy())},
        {"feature": ["x", "y", "vx", "vy"]},
        {"settings": settings, "row": name, "by": by, "rollouts": float(rollouts), "evaluations": evaluations, **spent})
    whole(file, lambda new: designs.to_netcdf(new, engine="h5netcdf"))
    return designs


def measure(args: argparse.Namespace, model: Model, out: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """``[cell][row]``: scores (a list over the designs of all seeds), and facts."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    prior = f"{model.training.get('steps', '?')} steps{', bfloat16' * args.bfloat16}"
    asked = list(cells(args, model))
    for question, name, by, row in (bar := tqdm(asked, desc="nbody", disable=None)):
        bar.set_description(f"{question.bodies}x{question.frames} {name}")
        designs = made(out, question, name, by, row, prior)
        scored = scores(torch.tensor(designs["trajectory"].values), question.target)
        cell = found.setdefault(f"{question.bodies}x{question.frames}", {})
        keep = {k: np.asarray(designs.attrs[k]).item()  # NumPy's, from a file
                for k in ("by", "rollouts", "evaluations", "cpu_seconds", "wall_seconds")}
        entry = cell.setdefault(name, {"facts": keep | {"seeds": []}, "scores": {}})
        entry["facts"]["seeds"].append(question.seed)
        entry["scores"] = {k: entry["scores"].get(k, []) + v.tolist() for k, v in scored.items()}
        save(args, found, out)
    return found


def save(args: argparse.Namespace, found: Mapping[str, Any], out: Path) -> None:
    """All that is known so far, as JSON."""
    plain = {k: v if isinstance(v, (int, float, list, type(None))) else str(v) for k, v in vars(args).items()}
    write_json(out / "nbody.json", {"settings": plain, "facts": facts(), "results": {
        cell: {name: entry | {"mean_and_half_width": summary({k: torch.tensor(v) for k, v in entry["scores"].items()})}
               for name, entry in rows.items()} for cell, rows in found.items()}})


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = arguments(__doc__, "the table and the designs")
    made.add_argument("--model", type=Path, help="a model directory instead of the zoo's prior")
    made.add_argument("--data", type=Path, help="the training set, for the row of its own windows")
    made.add_argument("--quick", action="store_true", help="2 and 4 bodies over 24 frames, 8 designs: minutes")
    made.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS), metavar="BODIESxFRAMES")
    made.add_argument("--rows", nargs="+", default=[], help="only rows whose name has one of these in it")
    made.add_argument("--count", type=int, default=50, help="designs a row and seed")
    made.add_argument("--seeds", type=int, nargs="+", default=[1])
    made.add_argument("--device", default="cpu", help="of the network, as cuda")
    made.add_argument("--bfloat16", action="store_true", help="the network, not the solver, in 16 bits, as in training")
    made.add_argument("--target", type=float, nargs=2, default=(0.5, 0.5))
    return made


def main() -> None:
    """Run what is missing and report."""
    start, args = time.perf_counter(), parser().parse_args()
    torch.set_num_threads(args.threads)
    if args.quick:
        args.cells, args.count = ["2x24", "4x24"], 8
        args.rows = args.rows or list(QUICK)
    model = zoo("nbody") if args.model is None else Model.load(args.model)
    model.energy.requires_grad_(False).to(args.device)
    try:
        out = output(args.out)
    except ValueError as error:
        raise SystemExit(f"error: {error}") from error
    (out / "cells").mkdir(exist_ok=True)
    with torch.autocast(torch.device(args.device).type, torch.bfloat16, enabled=args.bfloat16):
        found = measure(args, model, out)
    publish(out, "nbody", __doc__, report.parts(found, args.count, time.perf_counter() - start),
            lines(found))
