"""Inverse problems with partial data: this package beside Bayes' answer, classical methods and the field's guidance.

Every row answers the same questions: the same cases, sensors and noise, which it is told. Reconstructions of every row
are saved, samples and all, with the questions beside them, so that anybody can score them again.

    python -m benchmarks inverse --quick --out runs/inverse
    python -m benchmarks inverse --out runs/inverse

Every (task, noise, row) is saved as it is done and not made again while its settings stay; after a change of code
delete the files in question. `--retime` measures the time of a posterior sample again, which `--quick` leaves out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import xarray
from tqdm.auto import tqdm

from sciencegen.mcmc import HMC
from sciencegen.priors import zoo

from ..common import arguments, facts, output, whole, write_json
from ..common.record import Line, publish
from . import flow, report, scoring, wells
from .classical import EnsembleKalman, Nearest, Spline
from .diffusion import (
    Law,
    Ours,
    Replaced,
    Scalar,
    exact,
    is_heat,
    is_linear,
    is_rock,
    is_static,
    linear,
    network,
    network_or_exact,
    trained,
    trained_linear,
)
from .exact import Bayes
from .hidden import Hidden, learned, told
from .masked import Masked
from .row import Row, joined
from .task import TEST, Question, Task, cases, questions, tasks
from .timing import speed

MANY = 1840  # members of ensemble Kalman that solve as often as ours


def rows(out: Path, quick: bool) -> list[Row]:
    """The table's rows, in its order; of the flow others, below."""
    corrector = HMC(lambda sigma: 0.4 * sigma, adjusted=False)
    return [
        Bayes(), Spline(), Nearest(), EnsembleKalman(),
        *([] if quick else [EnsembleKalman(MANY, name=report.MANY, where=is_rock)]),
        Masked(out / ("unet_quick.pt" if quick else "unet.pt"), seconds=20.0 if quick else 300.0),
        Ours("best linear: fitted Gaussian", linear, is_rock),
        Scalar(network_or_exact, is_static), Replaced(network_or_exact, is_static),
        Ours(report.NET, network, trained),
        *([] if quick else [Ours(report.LAW, network, trained_linear, law=Law()),
                            Ours(report.CORRECTED, network, trained_linear, corrector=corrector)]),
        Hidden(report.LEVEL, learned), *([] if quick else [Hidden(report.TOLD, told)]),
        Ours(report.EXACT, exact, is_linear),
    ]


def flows(quick: bool) -> list[Row]:
    """The rows of Navier and Stokes' task."""
    return [flow.Backward(), *([] if quick else [flow.Variational()]), flow.Linear(), flow.Solver()]


def cells(args: argparse.Namespace, out: Path) -> Iterator[tuple[Task, float, Row]]:
    """Every cell of the table."""
    for task in args.tasks:
        for level in task.levels:
            if level not in (args.levels or (task.levels[-1:] if args.quick else task.levels)):
                continue
            table = flows(args.quick) if flow.is_flow(task) else rows(out, args.quick)
            yield from ((task, level, row) for row in table
                        if row.suits(task) and (not args.rows or row.name in args.rows))


def count(args: argparse.Namespace, task: Task, row: Row) -> int:
    """How many cases a row is asked."""
    if args.count:
        return args.count
    total = task.quick if args.quick else task.count
    most = getattr(row, "most", 0)
    return min(total, most) if most else total


def settings(row: Row, number: int) -> str:
    """What a cell depends on, but for the code and the prior."""
    return json.dumps({"row": repr(row), "cases": number})


def made(args: argparse.Namespace, out: Path, task: Task, level: float, row: Row) -> xarray.Dataset:
    """A cell's reconstructions, from its file if they are there."""
    number = count(args, task, row)
    file = out / "cells" / f"{task.name}_{level:g}_{''.join(c if c.isalnum() else '-' for c in row.name)}.nc"
    if file.is_file():
        found = xarray.load_dataset(file, engine="h5netcdf")
        if found.attrs["settings"] == settings(row, number):
            return found
    asked = questions(task, level, number)
    wall, cpu = time.perf_counter(), time.process_time()
    answers = [row(question) for question in asked]
    spent = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    answer = joined(answers, [len(question.data) for question in asked])
    found = scoring.saved(_all(asked), answer)
    found.attrs |= spent | {"settings": settings(row, number), "row": row.name, "samples": found.sizes["sample"]}
    compressed(found, file)
    for question in asked:
        compressed(scoring.asked(question), out / "questions" / f"{task.name}_{level:g}_from{question.first}.nc")
    return found


def _all(asked: list[Question]) -> Question:
    first = asked[0]
    truth = {k: torch.cat([q.truth[k] for q in asked]) for k in first.truth}
    return Question(first.task, first.level, truth, first.where, first.data, first.noise, 0)


def compressed(content: xarray.Dataset, file: Path) -> None:
    """Write netCDF, whole or not at all."""
    code = {name: {"zlib": True, "complevel": 3} for name, v in content.data_vars.items() if v.dtype.kind == "f"}
    whole(file, lambda new: content.to_netcdf(new, engine="h5netcdf", encoding=code))


def measure(args: argparse.Namespace, out: Path) -> dict[tuple[str, float], dict[str, dict[str, Any]]]:
    """Scores and facts of every cell."""
    found: dict[tuple[str, float], dict[str, dict[str, Any]]] = {}
    todo = list(cells(args, out))
    with tqdm(todo, desc="inverse", disable=None) as bar:
        for task, level, row in bar:
            bar.set_description(f"{task.name} {level:g} {row.name}")
            cell = made(args, out, task, level, row)
            truths = cases(task, cell.sizes["case"], TEST)
            known = {k: float(v) for k, v in cell.attrs.items() if k not in ("settings", "row")}
            scored = {"scores": scoring.scores(task, truths, cell), "facts": known}
            if is_heat(task):
                scored["heat"] = scoring.heat_scores(task.system, truths, cell)
            found.setdefault((task.name, level), {})[row.name] = scored
            if args.show:
                print(task.name, level, row.name, {k: report.interval(v, 100) for k, v in scored["scores"].items()},
                      f"{cell.attrs['cpu_seconds']:.1f} CPU s", flush=True)
    return found


def residuals(task: Task, number: int) -> dict[str, float]:
    """Medians of residual(truth) and residual(u = 0)."""
    if is_heat(task):
        return {}
    truth = cases(task, number, TEST)
    values = {"truth": truth["u"], "zero": 0 * truth["u"]}
    return {k: float(scoring.residual(task, truth["a"], u).median()) for k, u in values.items()}


def line(task: Task) -> Line:
    """The summary's, at the highest noise level."""
    ours = (report.NET, report.LAW, report.CORRECTED, report.LEVEL, report.EXACT, report.FLOW)
    classical = (report.KALMAN, report.MANY, Spline.name, Nearest.name, "best linear: fitted Gaussian", report.KRIGED,
                 flow.Variational.name)
    learned, kind = (report.DPS, "replacement", "U-Net, masked inputs"), report.measure(task)
    return Line(task.words, f"{kind}, %", f"{task.name}, noise {100 * task.levels[-1]:g} %", f"{kind}, mean, %", ours,
                classical, learned, (report.BAYES, report.TOLD), seeds="1")


def reported(args: argparse.Namespace, out: Path, found: dict, timed: dict[str, float], seconds: float) -> None:
    """The table on the terminal and in inverse.txt, all numbers in inverse.json."""
    parts: list[Any] = []
    by_name = {task.name: task for task in args.tasks}
    for (name, level), results in found.items():
        task = by_name[name]
        parts += ["", report.table(task, level, results, residuals(task, 4)), *report.verdicts(task, results)]
        if is_heat(task):
            made, more = report.heat_table(results)
            parts += [made, *more]
    sampled = wells.judged(zoo("wells"), out / "wells.json") if args.pairs else {}
    parts += ["", *([wells.table(sampled)] if sampled else []), *(report.timing(timed) if timed else []), *report.NOTES]
    record = [{"task": name, "noise": level, "rows": results} for (name, level), results in found.items()]
    write_json(out / "inverse.json", {"facts": facts(), "seconds": seconds, "timing": timed, "results": record,
                                      "wells": sampled})
    parts.append(f"{seconds:.0f} s for this run (cells that were there are not made again)")
    publish(out, "inverse", __doc__, parts, [line(task) for task in args.tasks])


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = arguments(__doc__, "the table and the reconstructions")
    made.add_argument("--quick", action="store_true", help="fewer cases, one noise level: minutes")
    made.add_argument("--tasks", nargs="+", choices=list(tasks()), help="some of the tasks only")
    made.add_argument("--levels", type=float, nargs="+", help="some of the noise levels only, as 0 0.001 0.01")
    made.add_argument("--rows", nargs="+", help="some of the rows only, by name")
    made.add_argument("--count", type=int, help="cases of every task and row")
    made.add_argument("--show", action="store_true", help="print each cell as it is done")
    made.add_argument("--pairs", action="store_true", help="sample pairs of a rock and a pressure, judged by their law")
    made.add_argument("--retime", action="store_true", help="measure the time of a posterior sample again")
    return made


def main() -> None:
    """Make what is missing and report."""
    start, args = time.perf_counter(), parser().parse_args()
    torch.set_num_threads(args.threads)
    args.tasks = [task for name, task in tasks().items() if name in (args.tasks or tasks())
                  and (args.tasks or task.quick or not args.quick)]
    try:
        out = output(args.out)
    except ValueError as error:
        raise SystemExit(f"error: {error}") from error
    for name in ("cells", "questions"):
        (out / name).mkdir(exist_ok=True)
    found = measure(args, out)
    timed = {} if args.quick and not args.retime else speed(out / "timing.json", args.retime)
    reported(args, out, found, timed, time.perf_counter() - start)
