"""Airfoils of least mean drag over K operating points: this package beside what else one could do.

Every row answers the same question with the same number of aerodynamic evaluations. An evaluation is one row (shape,
angle of attack, Reynolds number) through NeuralFoil; a value with its gradients is one evaluation. The budget at a K
and a seed is what `ours` uses there. Not counted: shape requirements, the recorded polars of the data set (which hold
evaluations made once, before any question, as the trained prior does), and the judging of what a row returns, which is
the same for all: `Study.judge`, then XFOIL on ten feasible designs: the best ten, of `ours` those that its choice puts
first.

    python -m benchmarks airfoil --quick --out runs/airfoil
    python -m benchmarks airfoil --k 1 3 8 --seeds 5 --out runs/airfoil

Every (row, K, seed) is saved as it is done, designs and all, and is not made again while its settings stay; after a
change of code delete the files in question.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray
from tqdm.auto import tqdm

from sciencegen.airfoil.aero import Counted, NeuralFoil
from sciencegen.airfoil.conditions import DEFAULT_POINTS, Point
from sciencegen.solvers.at_lift import verify
from sciencegen.studies.airfoil.prior import condition_layout, recorded
from sciencegen.studies.airfoil.study import JUDGE, AirfoilStudy

from ..common import DATA, airfoil_arguments, airfoil_prior, arguments, facts, output, whole, write_json
from ..common.record import Line, publish
from .chosen import Retrieval, Samples
from .cmaes import Restarts
from .ours import Ours
from .row import ALLOWED, ANGLES, Collection, Row
from .scores import best_feasible, scores, summary, table, verdict
from .slsqp import MultiStart

# On the curve of the default points, Re CL = 1.2e6, from a dash to just above the slowest flight.
EIGHT = tuple(Point(cl, round(1.2e6 / cl, -4)) for cl in (0.3, 0.45, 0.6, 0.75, 0.9, 1.05, 1.2, 1.3))
QUESTIONS = {1: (Point(0.8, 1.5e6),), 3: DEFAULT_POINTS, 8: EIGHT}
OURS, GRADIENT = "ours", "SLSQP, multi-start"
CLASSICAL = ("best of the data set", GRADIENT, "SLSQP, without slack", "CMA-ES, restarts")
LINES = [Line(f"airfoil, {k} operating points", "mean drag by XFOIL, counts, ten best", f"K = {k}:", "XFOIL ten best",
              (OURS,), CLASSICAL, ("best of N prior samples",), n="10 a seed") for k in QUESTIONS]
XFOIL_PARTS = ("cl", "cd", "cm", "alpha", "status")


def rows(file: Path) -> dict[str, Row]:
    """The table's rows by name; `ours` first, because the others get as many evaluations as it has used."""
    data = Collection(file)
    made = [Ours(OURS), Ours("ours, without composition", together=False), Retrieval("best of the data set", data),
            Samples("best of N prior samples"), MultiStart(GRADIENT, data),
            MultiStart("SLSQP, without slack", data, slack=False, seeds=1), Restarts("CMA-ES, restarts", data)]
    return {row.name: row for row in made}


@dataclass(frozen=True)
class Cell:
    """One row at one question and one seed, and the file that keeps it."""

    row: Row
    study: AirfoilStudy
    count: int
    seed: int
    file: Path

    def settings(self, budget: int | None) -> dict[str, Any]:
        """What the designs depend on, but for the code; ``budget`` None where the row sets it."""
        more = {"prior": _digest(self.study.energy)} if self.row.learned else {"allowed": list(ALLOWED)}
        return {"row": self.row.name, "points": [str(p) for p in self.study.points], "count": self.count,
                "seed": self.seed, "budget": budget, "requirements": asdict(self.study.requirements),
                "objective": self.study.objective.__name__, **more}

    def load(self, budget: int | None) -> xarray.Dataset | None:
        """The designs, if they are there and of the same settings."""
        if not self.file.is_file():
            return None
        designs = xarray.load_dataset(self.file, engine="h5netcdf")
        return designs if json.loads(designs.attrs["settings"]) == self.settings(budget) else None

    def make(self, budget: int | None) -> xarray.Dataset:
        """Run the row, judge its designs, verify the ten best, save."""
        study = replace(self.study, aero=Counted(NeuralFoil()), referee=Counted(NeuralFoil(JUDGE)))
        wall, cpu = time.perf_counter(), time.process_time()
        shapes = self.row(study, budget or 0, self.count, self.seed)
        spent = {"evaluations": study.evaluations, "wall_seconds": time.perf_counter() - wall,
                 "cpu_seconds": time.process_time() - cpu}
        designs = _verified(self.study, shapes, self.row.ordered)
        designs.attrs |= spent | {"settings": json.dumps(self.settings(budget)), "facts": json.dumps(facts())}
        whole(self.file, lambda new: designs.to_netcdf(new, engine="h5netcdf"))
        return designs


def _verified(study: AirfoilStudy, shapes: torch.Tensor, ordered: bool) -> xarray.Dataset:
    designs = study.judge(study.requirements.opened(shapes))
    designs = designs.assign(place=("sample", np.arange(len(shapes)))) if ordered else designs
    ten = best_feasible(designs)
    alpha = torch.as_tensor(designs["alpha"].values[ten])
    found = verify(shapes[ten], alpha, study.points, progress=False)
    for name in XFOIL_PARTS:
        blank = "" if name == "status" else np.nan
        values = np.full(designs["alpha"].shape, blank, dtype=object if name == "status" else float)
        values[ten] = found[name].values
        designs[f"xfoil_{name}"] = ("sample", "point"), values
    cd, cm = (torch.as_tensor(designs[f"xfoil_{k}"].values).float() for k in ("cd", "cm"))
    fun = study.objective(shape=shapes, cd=cd, cm=cm, confidence=torch.as_tensor(designs["confidence"].values))
    designs["xfoil_fun"] = "sample", fun.numpy()
    return designs.assign_attrs(verification=found.attrs["message"])


def cells(args: argparse.Namespace, study: AirfoilStudy, out: Path) -> Iterator[list[Cell]]:
    """The cells of one question and one seed at a time, the one that sets the budget first."""
    chosen = rows(args.data)
    for points in questions(args):
        for seed in range(args.seeds):
            yield [Cell(row, replace(study, points=points), args.count, seed, out / "cells" /
                        f"k{len(points)}_{''.join(c if c.isalnum() else '-' for c in name)}_s{seed}.nc")
                   for name, row in chosen.items() if name in args.rows and seed < row.seeds]


def questions(args: argparse.Namespace) -> list[tuple[Point, ...]]:
    """The operating points of each question."""
    return [tuple(args.points)] if args.points else [QUESTIONS[k] for k in args.k]


def measure(args: argparse.Namespace, study: AirfoilStudy, out: Path) -> dict[int, dict[str, list[dict[str, float]]]]:
    """Every cell's scores, ``[K][row][seed]``; made where they are not there."""
    measured: dict[int, dict[str, list[dict[str, float]]]] = {}
    groups = list(cells(args, study, out))
    with tqdm(total=sum(map(len, groups)), desc="airfoil", disable=None) as bar:
        for group in groups:
            budget = args.evaluations
            for cell in group:
                bar.set_description(f"K={len(cell.study.points)} seed {cell.seed} {cell.row.name}")
                sets = budget is None  # only ours is asked without a budget
                designs = cell.load(budget)
                designs = cell.make(budget) if designs is None else designs
                budget = int(designs.attrs["evaluations"]) if sets else budget
                scored = measured.setdefault(len(cell.study.points), {}).setdefault(cell.row.name, [])
                scored.append(scores(designs) | {"seed": cell.seed})
                bar.update()
    return measured


def load_study(args: argparse.Namespace) -> tuple[AirfoilStudy, list[str]]:
    """The study with the trained prior, and which rows are left out where there is none."""
    try:
        model = airfoil_prior(args.model)
    except (KeyError, FileNotFoundError) as error:
        if args.model or args.evaluations is None:
            raise ValueError(f"{error}; without a trained prior give --evaluations, as {OURS} cannot set the budget, "
                             "and only the classical rows are made") from error
        learned = [name for name, row in rows(args.data).items() if row.learned]
        return AirfoilStudy(condition_layout(recorded(args.data, "train"), ANGLES), None), learned
    return AirfoilStudy(model.layout, model.energy), []


def report(args: argparse.Namespace, measured: dict[int, dict[str, list[dict[str, float]]]], out: Path,
           left: Sequence[str], seconds: float) -> None:
    """The table on the terminal and in airfoil.txt, all numbers in airfoil.json."""
    parts: list[Any] = []
    record: dict[str, Any] = {"settings": _plain(args), "facts": facts(), "seconds": seconds, "results": {}}
    for points in questions(args):
        k = len(points)
        rated = {name: summary(measured[k][name]) for name in rows(args.data) if name in measured[k]}
        title = f"K = {k}: {' '.join(map(str, points))}; drag in counts (1e-4), diversity in 1e-3 chords"
        parts += ["", table(title, rated), *verdict(rated, OURS, GRADIENT)]
        record["results"][k] = {"points": [str(p) for p in points], "seeds": measured[k],
                                "mean_and_half_width": rated}
    parts += ["", f"{args.seeds} seeds, mean and half width of the 95 % interval (Student's t); an evaluation is one "
              "(shape, angle, Re), with its gradients; judging is not counted."]
    parts += [f"Left out, for want of a trained prior: {', '.join(left)}."] if left else []
    write_json(out / "airfoil.json", record)
    parts.append(f"{seconds:.0f} s for this run (cells that were there are not made again)")
    publish(out, "airfoil", __doc__, parts, LINES)


def _plain(args: argparse.Namespace) -> dict[str, Any]:
    return {k: v if isinstance(v, (int, float, type(None))) else [str(i) for i in v] if isinstance(v, list) else str(v)
            for k, v in vars(args).items()}


def _digest(energy: torch.nn.Module) -> str:
    blobs = (v.detach().cpu().numpy().tobytes() for v in energy.state_dict().values())
    return hashlib.sha256(b"".join(blobs)).hexdigest()[:16]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = arguments(__doc__, "the table and the designs")
    airfoil_arguments(made)
    made.add_argument("--quick", action="store_true", help="K = 3, one seed, 16 designs: under five minutes")
    made.add_argument("--k", type=int, nargs="+", choices=QUESTIONS, default=list(QUESTIONS))
    made.add_argument("--points", type=Point.parse, nargs="+", help="CL@RE ...: a question of your own instead of --k")
    made.add_argument("--seeds", type=int, default=5)
    made.add_argument("--count", type=int, default=64, help="designs of a row that can choose their number")
    made.add_argument("--evaluations", type=int, help="the budget; as many as ours uses by default")
    made.add_argument("--rows", nargs="+", choices=list(rows(DATA)), help="some of the rows only")
    return made


def main() -> None:
    """Run what is missing and report."""
    start, args = time.perf_counter(), parser().parse_args()
    if args.quick:
        args.k, args.seeds, args.count = [3], 1, 16
    args.rows = args.rows or list(rows(args.data))
    torch.set_num_threads(args.threads)
    try:
        study, left = load_study(args)
        args.rows = [name for name in args.rows if name not in left]
        if args.evaluations is None and OURS not in args.rows:
            raise ValueError(f"got --rows without '{OURS}', which sets the budget; expected it too, or --evaluations")
        out = output(args.out)
        (out / "cells").mkdir(exist_ok=True)
    except ValueError as error:
        raise SystemExit(f"error: {error}") from error
    report(args, measure(args, study, out), out, left, time.perf_counter() - start)
