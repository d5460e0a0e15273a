"""Airfoils at twelve sets of operating points: verified by XFOIL, different, and ahead of SLSQP in equal seconds.

Two sets at which earlier designs were not verified, and ten drawn at random, of 1 to 5 points, before any was looked
at: lifts from 0.2 to 1.2, Reynolds numbers from 5e5 to 8e6, evenly and log-evenly. Nothing was tuned on them.

A row is what its method hands over: `ours` the ten that a run of the study puts first; SLSQP the ten of least drag by
the judge among its feasible ends, which is all that it can tell, or, with the study's margins and the study's choice
from what XFOIL confirms, what these are worth without a prior. SLSQP has the CPU seconds of ours, XFOIL's left out.

    python -m benchmarks airfoil_sets --quick --out runs/airfoil_sets

Every (set, row) is saved as it is done, designs and all, and is not made again.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray
from rich.table import Table
from tqdm.auto import tqdm

from sciencegen.airfoil.aero import Counted, NeuralFoil
from sciencegen.airfoil.conditions import Point
from sciencegen.solvers.at_lift import verify
from sciencegen.studies.airfoil.choice import EXCESS, confirm, distances
from sciencegen.studies.airfoil.study import MARGINS, AirfoilStudy

from .airfoil.row import Collection
from .airfoil.scores import best_feasible
from .airfoil.slsqp import MultiStart
from .common import airfoil_arguments, airfoil_prior, arguments, facts, output, whole, write_json
from .common.record import Line, publish

SEED, RANDOM = 2026, 10
EARLIER = ("0.3@4e6 0.6@2e6 0.9@1e6", "0.5@6e6 1.1@2e6")
TEN = 10
OURS, PLAIN, CHOSEN = "ours", "SLSQP", "SLSQP, margins and choice"
COLUMNS = ("points", "row", "feasible, %", "judge, ten", "XFOIL, ten", "verified of ten", "confirmed of ten", "gap, %",
           "apart, 1e-4", "CPU s", "XFOIL's CPU s")
SURE = "sets with 9 of 10 confirmed"
LINES = [Line("airfoils at sets of points that were not tuned on", SURE, "all sets", SURE, (OURS,), (PLAIN, CHOSEN),
              high=True)]


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
    """One row at one set of points, and the file that keeps it."""

    row: str
    study: AirfoilStudy
    data: Collection
    file: Path

    def made(self, count: int, seconds: float | None) -> xarray.Dataset:
        """The designs, the ten that are handed over first; run where there is no file, for ``seconds`` unless ours."""
        if not self.file.is_file():
            study = replace(self.study, aero=Counted(NeuralFoil()), verified=TEN)
            found = _ours(study, count) if self.row == OURS else _slsqp(study, self.data, self.row == CHOSEN, seconds)
            whole(self.file, lambda new: found.to_netcdf(new, engine="h5netcdf"))
        return xarray.load_dataset(self.file, engine="h5netcdf")


def _ours(study: AirfoilStudy, count: int) -> xarray.Dataset:
    start = _cpu()
    result = study.run(count, torch.arange(count), progress=False)
    told = {"fun": ("sample", result.fun), "success": ("sample", result.success)}
    return _paid(result.samples.assign(told), start)


def _slsqp(study: AirfoilStudy, data: Collection, chosen: bool, seconds: float) -> xarray.Dataset:
    start = _cpu()
    search = MultiStart(PLAIN, data, margins=MARGINS if chosen else MARGINS[:1], clock=lambda _: time.process_time())
    shapes = search(study, start[0] + seconds, 0, 0)
    spent = time.process_time()
    turns = ("sample", np.resize(MARGINS, len(shapes)))
    designs = study.judge(study.requirements.opened(shapes)).rename(feasible="success").assign(n_crit=turns)
    good = designs.isel(sample=np.flatnonzero(designs["success"].values))
    if chosen:
        told = confirm(study, good, TEN, progress=False)
        good = good.assign(told.data_vars).isel(sample=told["place"].values.argsort(kind="stable"))
    else:
        good = _told(study, good.isel(sample=best_feasible(good.rename(success="feasible"))))
    share = float(designs["success"].values.mean())
    return _paid(good, start, spent).assign_attrs(feasible=share, designs=len(shapes))


def _told(study: AirfoilStudy, designs: xarray.Dataset) -> xarray.Dataset:
    """With the objective by XFOIL."""
    shape, alpha, sure = (torch.tensor(designs[k].values) for k in ("shape", "alpha", "confidence"))
    found = verify(shape, alpha, study.points, progress=False)
    cd, cm = (torch.tensor(found[k].values).to(shape) for k in ("cd", "cm"))
    fun = study.objective(shape=shape, cd=cd, cm=cm, confidence=sure).numpy()
    return designs.assign(xfoil_cd=(("sample", "point"), cd.numpy()), xfoil_fun=("sample", fun))


def _cpu() -> tuple[float, float]:
    """CPU seconds of this process, and of the programs that it ran."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time(), usage.ru_utime + usage.ru_stime


def _paid(designs: xarray.Dataset, start: tuple[float, float], spent: float | None = None) -> xarray.Dataset:
    own, others = _cpu()
    return designs.assign_attrs(cpu=(spent or own) - start[0], xfoil_cpu=others - start[1])


def scores(designs: xarray.Dataset) -> dict[str, float]:
    """The numbers of one row at one set; drag in counts, gap in per cent, distances in 1e-4 chords."""
    ten = designs.isel(sample=slice(TEN))
    fun, xfoil = ten["fun"].values, ten["xfoil_fun"].values
    seen = np.isfinite(xfoil)
    apart = distances(ten["shape"].values)
    share = designs.attrs["feasible"] if "feasible" in designs.attrs else designs["success"].values.mean()
    pairs = len(fun) * (len(fun) - 1)
    found = {"feasible": 100 * share, "judge": 1e4 * _mean(fun), "xfoil": 1e4 * _mean(xfoil[seen]),
             "verified": seen.sum(), "confirmed": (xfoil <= (1 + EXCESS) * fun).sum(),
             "gap": 100 * _mean(np.abs(fun - xfoil)[seen] / xfoil[seen]),
             "apart": 1e4 * apart.sum() / pairs if pairs else np.nan, "cpu": designs.attrs["cpu"],
             "xfoil_cpu": designs.attrs["xfoil_cpu"]}
    return {name: float(value) for name, value in found.items()}


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan


def ahead(ours: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether ours is ahead: less drag by XFOIL, or XFOIL carries the lifts with less than half of the other's ten."""
    return ours["verified"] > 0 and (other["verified"] < TEN / 2 or ours["xfoil"] < other["xfoil"])


def table(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Table:
    """A line a set and row."""
    shown = Table(title="Mean drag in counts at sets of operating points", title_justify="left")
    for name in COLUMNS:
        shown.add_column(name, justify="left" if name in COLUMNS[:2] else "right")
    for points, by_row in found.items():
        for row, s in by_row.items():
            shown.add_row(points, row, f"{s['feasible']:.0f}", f"{s['judge']:.2f}", f"{s['xfoil']:.2f}",
                          f"{s['verified']:.0f}", f"{s['confirmed']:.0f}", f"{s['gap']:.1f}",
                          f"{s['apart']:.0f}", f"{s['cpu']:.0f}", f"{s['xfoil_cpu']:.0f}")
    return shown


def overall(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Table:
    """A line a row, over the sets at which it was run."""
    shown = Table(title="all sets", title_justify="left")
    for name in ("row", "n", "sets with 9 of 10 verified", SURE, "gap, %", "drag by XFOIL over ours, %", "apart, 1e-4"):
        shown.add_column(name, justify="left" if name == "row" else "right")
    for row in (OURS, PLAIN, CHOSEN):
        own = [by_row[row] for by_row in found.values() if row in by_row]
        over = [100 * (by_row[row]["xfoil"] / by_row[OURS]["xfoil"] - 1) for by_row in found.values() if row in by_row]
        if own:
            gap, apart = (np.nanmean([s[name] for s in own]) for name in ("gap", "apart"))
            sure = [str(sum(s[name] >= 9 for s in own)) for name in ("verified", "confirmed")]
            shown.add_row(row, str(len(own)), *sure, f"{gap:.1f}", f"{np.nanmean(over):.1f}", f"{apart:.0f}")
    return shown


def verdict(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """The bars, as measured."""
    ours = [by_row[OURS] for by_row in found.values()]
    n, verified = len(ours), sum(s["verified"] >= 9 for s in ours)
    single = [by_row[OURS]["feasible"] for points, by_row in found.items() if " " not in points]
    mean = _mean(np.array([s["gap"] for s in ours]))
    lines = [f"9 of 10 verified: {verified} of {n} sets; bar 10 of 12",
             f"gap at most 3 %: {sum(s['gap'] <= 3 for s in ours)} of {n} sets, mean {mean:.1f} %",
             f"25e-4 chords apart: {sum(s['apart'] >= 25 for s in ours)} of {n} sets",
             f"feasible at one point: {', '.join(f'{v:.0f} %' for v in single)}; bar 90 %"]
    for row in (PLAIN, CHOSEN):
        both = [(by_row[OURS], by_row[row]) for by_row in found.values() if row in by_row]
        first, late = sum(ahead(*pair) for pair in both), sum(np.isnan(other["judge"]) for _, other in both)
        lines += [f"ahead of '{row}' by XFOIL: {first} of {len(both)} sets, at {late} of which none of its searches "
                  "came to a feasible end in time"] if both else []
    return lines


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
