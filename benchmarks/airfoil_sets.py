"""Airfoils at twelve sets of operating points: verified by XFOIL, different, and ahead of SLSQP in equal seconds.

Two sets at which earlier designs were not verified, and ten drawn at random, of 1 to 5 points, before any was looked
at: lifts from 0.2 to 1.2, Reynolds numbers from 5e5 to 8e6, evenly and log-evenly. Nothing was tuned on them.

A row is what its method hands over: `ours` the ten that a run of the study puts first; SLSQP the ten of least drag by
the judge among its feasible ends, which is all that it can tell, or, with the study's margins and the study's choice
from what XFOIL confirms, what these are worth without a prior. SLSQP has the CPU seconds of ours, XFOIL's left out; its
gradients are automatic, its searches share batches, and one that the time cuts off hands over where it is.

    python -m benchmarks airfoil_sets --quick --out runs/airfoil_sets

Every (set, row) is saved as it is done, designs and all, and is not made again. What was searched is kept beside what
was chosen of it (`.search.nc`); delete the latter to choose anew.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray
from tqdm.auto import tqdm

from sciencegen.airfoil.aero import Counted, NeuralFoil
from sciencegen.airfoil.conditions import Point
from sciencegen.solvers.at_lift import verify
from sciencegen.studies.airfoil.choice import confirm
from sciencegen.studies.airfoil.study import MARGINS, AirfoilStudy

from .airfoil.at_sets import CHOSEN, OURS, OVER, PLAIN, SURE, TEN, overall, scores, table, verdict
from .airfoil.row import Collection
from .airfoil.scores import best_feasible
from .airfoil.slsqp import MultiStart
from .common import airfoil_arguments, airfoil_prior, arguments, facts, output, whole, write_json
from .common.record import Line, publish

SEED, RANDOM = 2026, 10
EARLIER = ("0.3@4e6 0.6@2e6 0.9@1e6", "0.5@6e6 1.1@2e6")
TASK = "airfoils at sets of points that were not tuned on"
LINES = [Line(TASK, SURE, "all sets", SURE, (OURS,), (PLAIN, CHOSEN), high=True),
         Line(TASK, OVER, "all sets", OVER, (OURS,), (PLAIN, CHOSEN))]


def sets() -> list[tuple[Point, ...]]:
    """The sets of points."""
    rng, found = np.random.default_rng(SEED), [tuple(map(Point.parse, text.split())) for text in EARLIER]
    for number in range(RANDOM):
        count = 1 + number % 5
        lifts, logs = np.sort(rng.uniform(0.2, 1.2, count)), rng.uniform(np.log(5e5), np.log(8e6), count)
        found.append(tuple(Point(round(float(cl), 2), float(f"{np.exp(log):.2g}")) for cl, log in zip(lifts, logs)))
    return found


@dataclass(frozen=True)
class Cell:
    """One row at one set of points, the file that keeps it, and one beside it that keeps what was searched."""

    row: str
    study: AirfoilStudy
    data: Collection
    file: Path

    def made(self, count: int, seconds: float | None) -> xarray.Dataset:
        """The designs, the ten that are handed over first; run where there is no file, for ``seconds`` unless ours."""
        return _kept(self.file, lambda: handed_over(self.study, self._searched(count, seconds), self.row != PLAIN))

    def _searched(self, count: int, seconds: float | None) -> xarray.Dataset:
        study = replace(self.study, aero=Counted(NeuralFoil()))
        margins = MARGINS if self.row == CHOSEN else MARGINS[:1]
        file = self.file.with_suffix(".search.nc")
        if self.row == OURS:
            return _kept(file, lambda: _ours(study, count))
        return _kept(file, lambda: _slsqp(study, self.data, margins, seconds))


def _kept(file: Path, make: Callable[[], xarray.Dataset]) -> xarray.Dataset:
    if not file.is_file():
        made = make()
        whole(file, lambda new: made.to_netcdf(new, engine="h5netcdf"))
    return xarray.load_dataset(file, engine="h5netcdf")


def _ours(study: AirfoilStudy, count: int) -> xarray.Dataset:
    start = time.process_time()
    result = study.run(count, torch.arange(count), progress=False)
    found = result.samples.assign(fun=("sample", result.fun), success=("sample", result.success))
    return found.assign_attrs(cpu=time.process_time() - start)


def _slsqp(study: AirfoilStudy, data: Collection, margins: tuple[float, ...], seconds: float) -> xarray.Dataset:
    start = time.process_time()
    search = MultiStart(PLAIN, data, margins=margins, clock=lambda _: time.process_time())
    shapes = search(study, start + seconds, 0, 0)
    spent = time.process_time() - start
    found = study.judge(study.requirements.opened(shapes)).rename(feasible="success")
    return found.assign(n_crit=("sample", np.resize(margins, len(shapes)))).assign_attrs(cpu=spent)


def handed_over(study: AirfoilStudy, searched: xarray.Dataset, chosen: bool) -> xarray.Dataset:
    """The feasible designs of a search with XFOIL's word on them, the ten that are handed over first.

    ``chosen`` by what XFOIL confirms; else those of least drag by the judge, and no others.
    """
    start = _xfoil_cpu()
    good = searched.isel(sample=np.flatnonzero(searched["success"].values))
    if chosen:
        told = confirm(study, good, TEN, progress=False)
        good = good.assign(told.data_vars).isel(sample=told["place"].values.argsort(kind="stable"))
    else:
        good = _told(study, good.isel(sample=best_feasible(good.rename(success="feasible"))))
    share = float(searched["success"].values.mean())
    paid = {"cpu": searched.attrs["cpu"], "xfoil_cpu": _xfoil_cpu() - start}
    return good.assign_attrs(feasible=share, designs=searched.sizes["sample"], **paid)


def _told(study: AirfoilStudy, designs: xarray.Dataset) -> xarray.Dataset:
    """With the objective by XFOIL."""
    shape, alpha, sure = (torch.tensor(designs[k].values) for k in ("shape", "alpha", "confidence"))
    found = verify(shape, alpha, study.points, progress=False)
    cd, cm = (torch.tensor(found[k].values).to(shape) for k in ("cd", "cm"))
    fun = study.objective(shape=shape, cd=cd, cm=cm, confidence=sure).numpy()
    return designs.assign(xfoil_cd=(("sample", "point"), cd.numpy()), xfoil_fun=("sample", fun))


def _xfoil_cpu() -> float:
    """CPU seconds of the programs that this process ran."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def cells(args: argparse.Namespace, out: Path) -> Iterator[tuple[str, list[Cell]]]:
    """The cells of one set after the other."""
    model, data = airfoil_prior(args.model), Collection(args.data)
    for number in args.sets:
        study = AirfoilStudy(model.layout, model.energy, sets()[number])
        files = [out / "cells" / f"set{number:02d}_{row.replace(' ', '-').replace(',', '')}.nc" for row in args.rows]
        yield " ".join(map(str, study.points)), [Cell(row, study, data, file) for row, file in zip(args.rows, files)]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = arguments(__doc__, "the table and the designs")
    airfoil_arguments(made)
    made.add_argument("--quick", action="store_true", help="one set, 16 designs")
    made.add_argument("--sets", type=int, nargs="+", choices=range(len(sets())), default=list(range(len(sets()))))
    made.add_argument("--count", type=int, default=64, help="designs of ours")
    made.add_argument("--rows", nargs="*", choices=[PLAIN, CHOSEN], default=[PLAIN, CHOSEN], help="beside ours")
    return made


def main() -> None:
    """Run what is missing and report."""
    args = parser().parse_args()
    if args.quick:
        args.sets, args.count = [0], 16
    args.rows = [OURS, *args.rows]
    torch.set_num_threads(args.threads)
    out = output(args.out)
    (out / "cells").mkdir(exist_ok=True)
    found: dict[str, dict[str, Any]] = {}
    for points, group in tqdm(cells(args, out), "sets", len(args.sets), disable=None):
        seconds = None
        for cell in group:
            designs = cell.made(args.count, seconds)
            seconds = seconds or float(designs.attrs["cpu"])
            found.setdefault(points, {})[cell.row] = scores(designs)
    write_json(out / "airfoil_sets.json", {"facts": facts(), "count": args.count, "sets": found})
    publish(out, "airfoil_sets", __doc__, ["", overall(found), table(found), *verdict(found)], LINES)
