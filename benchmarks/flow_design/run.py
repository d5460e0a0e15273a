"""Airfoils in a stream, one, two and three: whose designs have the most lift for their drag, by one judge for all.

All rows answer in the same space of wings, within the same limits, at a Reynolds number of 250, and are judged by the
embedded solver at 48 cells a chord, corrected to free air; `--openfoam N` has OpenFOAM solve the best of every row too.
Rows that call a solver call the one that made the training data, 24 cells a chord. Best of the training set, random,
the cross-entropy method, CMA-ES, gradients through the solver, gradients through a learned surrogate.

    python -m benchmarks flow_design --out runs/flow_design --data flows.h5 [--bodies 2] [--rows gradients CMA]
    python -m benchmarks flow_design --quick --out runs/flow_design_quick

Every (row, bodies, seed) is saved as it is done, designs and all, and not made again while its settings stay; the table
is put together from all cells in `--out`, so that rows can be run apart and later. After a change of code delete the
files in question. `--data` is a file of datasets/make_flows.py; the held-out flows serve where none is given.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import xarray
from tqdm.auto import tqdm

from sciencegen.airfoil import write_dat
from sciencegen.physics.mean_forces import FreeAir, MeanForces
from sciencegen.studies.flow.openfoam import ByOpenFOAM

from ..common import DATA, arguments, facts, output, whole, write_json
from ..common.record import Line, publish
from . import published, report
from .gradients import Descent
from .ours import ours
from .question import Question, Row
from .scoring import apart, dataset, judged, scores
from .searches import BestOf, CrossEntropy, Evolution, Random
from .space import Space
from .surrogate import Surrogate, trained
from .training_set import Members, read

HELD_OUT = DATA.with_name("flows_test.h5")
COARSE = MeanForces(24, time=8.5, mean=0.35, compiled=True)
SHORT = MeanForces(24, time=5.0, mean=0.4, compiled=True)
BEST = 10
COEFFICIENT = 0.3  # of the original's guidance, the best of .03, .3, 3, 30


@dataclass(frozen=True)
class Budget:
    """What rows may spend: solver ``calls`` of a search, ``evaluations`` a start of a descent, ``steps`` of training,
    ``starts`` and ``descents`` (evaluations a start) of the surrogate; evaluations ``imagined``, ``spare`` samples a
    design and ``levels`` of the composed prior, and steps of the ``original``; and who judges ``count`` designs."""

    count: int = 8
    calls: int = 200
    evaluations: int = 12
    steps: int = 1000
    starts: int = 32
    descents: int = 60
    imagined: int = 20
    spare: int = 3
    levels: int = 48
    original: int = 1000
    judge: FreeAir | MeanForces = FreeAir(solver=MeanForces(48, 8.5, 0.35, compiled=True))


QUICK = Budget(2, 6, 3, 30, 4, 5, 2, 1, 6, 10, COARSE)


Maker = tuple[dict[str, Any], Callable[[], Row]]  # what the row spends, and what makes it


def rows(budget: Budget, data: Path, out: Path) -> dict[str, Maker]:
    """By name. Rows are made only when they are needed, as one trains a network.

    Another row is one more entry: anything that takes a :class:`Question` and returns a ``Designed``.
    """
    space, calls = Space.of(DATA, Question(1).limits), {"calls": budget.calls}
    found: dict[str, Maker] = {"random within limits": ({}, lambda: Random(space))}
    found["random, the best"] = calls, lambda: BestOf(space, COARSE, budget.calls)
    found["cross-entropy, true solver"] = calls, lambda: CrossEntropy(space, COARSE, budget.calls)
    found["CMA-ES, true solver"] = calls, lambda: Evolution(space, COARSE, budget.calls)
    found["gradients, true solver"] = ({"evaluations": budget.evaluations},
                                       lambda: Descent(space, SHORT, budget.evaluations))
    found["best of the training set"] = (calls | {"data": data.name},
                                         lambda: Members(space, COARSE, read(data, DATA), budget.calls))

    def surrogate() -> Row:
        network, told = trained(read(data, DATA), out / "surrogate.pt", budget.steps)
        write_json(out / "surrogate.json", told)
        return Surrogate(space, network, budget.starts, budget.descents)

    found["gradients, surrogate"] = ({"data": data.name, "steps": budget.steps, "starts": budget.starts,
                                      "descents": budget.descents}, surrogate)
    return found | ours(COARSE, budget.evaluations, budget.imagined, budget.spare, budget.levels, COEFFICIENT,
                        budget.original)


def lines(told: dict[int, dict[str, Any]]) -> list[Line]:
    """The summary's: one a number of airfoils."""
    learned = ("gradients, surrogate", "the original's recipe")
    ours = [name for rows in told.values() for name in rows if name.startswith("ours")]
    classical = [name for rows in told.values() for name in rows if name not in (*ours, *learned)]
    return [Line(f"airfoils in a stream: {n}", "lift over drag, mean of the designs", f"{n} airfoil", "lift/drag",
                 tuple(ours), tuple(classical), learned, high=True) for n in told]


def asked(args: argparse.Namespace, names: Iterable[str]) -> Iterator[tuple[Question, str]]:
    """Every question and the name of a row that answers it, in the order of ``--rows``."""
    if args.rows:
        names = list(names)
        names = [name for part in args.rows for name in names if part == name or part not in names and part in name]
    for bodies in args.bodies:
        for name in dict.fromkeys(names):
            for seed in args.seeds:
                yield Question(bodies, args.budget.count, seed), name


def designed(file: Path, question: Question, name: str, row: Callable[[], Row], settings: str) -> xarray.Dataset:
    """A cell's designs as handed over, from their file if they are there."""
    found = _found(file, settings)
    if found is not None:
        return found
    made = row()
    wall, cpu = time.perf_counter(), time.process_time()
    answer = made(question)
    spent = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
    designs = dataset(answer, {"settings": settings, "row": name, "bodies": question.bodies, "seed": question.seed,
                               "reynolds": question.reynolds, **spent})
    return kept(file, designs)


def measure(args: argparse.Namespace, out: Path) -> None:
    """Make, judge and save what is missing."""
    makers = rows(args.budget, args.data or HELD_OUT, out)
    for question, name in (bar := tqdm(list(asked(args, makers)), desc="flow design", disable=None)):
        bar.set_description(f"{question.bodies} airfoils, {name}")
        stem = f"{question.bodies}_{''.join(c if c.isalnum() else '-' for c in name)}_s{question.seed}"
        spends, maker = makers[name]
        settings = json.dumps({"question": repr(question), "row": name, **spends})
        designs = designed(out / "designs" / f"{stem}.nc", question, name, maker, settings)
        file, settings = out / "cells" / f"{stem}.nc", f"{settings} {args.budget.judge}"
        found = _found(file, settings)
        if found is None:
            found = kept(file, judged(designs, question, args.budget.judge).assign_attrs(settings=settings))
        if args.formation and question.bodies > 1 and "alone" not in found:
            found = kept(file, apart(found, args.budget.judge, args.formation))
        save(file.with_suffix(".json"), found, args)
        drawn(out / "dat", found, stem)


def save(file: Path, found: xarray.Dataset, args: argparse.Namespace) -> None:
    """A cell's numbers, and OpenFOAM's of its best where they are asked for or known."""
    last = json.loads(file.read_text()) if file.is_file() else {}
    known = last["openfoam"] if last.get("settings") == found.attrs["settings"] else []
    told = {k: float(found.attrs[k]) for k in ("calls", "solver_seconds", "cpu_seconds", "wall_seconds")}
    cell = {"row": found.attrs["row"], "bodies": int(found.attrs["bodies"]), "seed": int(found.attrs["seed"]),
            "settings": found.attrs["settings"], "facts": told, "scores": scores(found), "openfoam": known}
    buildable = found["outline"].values[found["buildable"].values.astype(bool)]
    write_json(file, cell)
    for outlines in buildable[len(known) : args.openfoam]:
        checked = ByOpenFOAM(float(found.attrs["reynolds"])).told(outlines)
        cell["openfoam"].append({k: v for k, v in checked.items() if k != "log"})
        write_json(file, cell)


def drawn(folder: Path, found: xarray.Dataset, stem: str) -> None:
    """The ten best as outlines in the stream's coordinates, a file each wing."""
    buildable = found["outline"].values[found["buildable"].values.astype(bool)][:BEST]
    for place, outlines in enumerate(buildable, 1):
        for body, points in enumerate(outlines):
            name = f"{stem}_{place:02d}_{'abc'[body]}"
            try:
                write_dat(folder / f"{name}.dat", name, points)
            except ValueError as error:  # within the limits, but it crosses itself at an end
                tqdm.write(str(error))


def kept(file: Path, found: xarray.Dataset) -> xarray.Dataset:
    """``found``, which is now in ``file``."""
    whole(file, lambda new: found.to_netcdf(new, engine="h5netcdf"))
    return found


def _found(file: Path, settings: str) -> xarray.Dataset | None:
    found = xarray.load_dataset(file, engine="h5netcdf") if file.is_file() else None
    return found if found is not None and found.attrs["settings"] == settings else None


def assemble(out: Path, judge: FreeAir | MeanForces) -> None:
    """The table of all cells there are, printed and saved."""
    cells = [json.loads(file.read_text()) for file in sorted((out / "cells").glob("*.json"))]
    told = report.table(_numbers(cell) for cell in cells)
    plain = {bodies: {name: row | {"scores": {k: v._asdict() for k, v in row["scores"].items()}}
                      for name, row in of.items()} for bodies, of in told.items()}
    write_json(out / "flow_design.json", {"facts": facts(), "judge": repr(judge), "results": plain, "references": {
        "note": published.NOTE, "published": published.PUBLISHED, "formation": published.FORMATION}})
    publish(out, "flow_design", __doc__, report.parts(told, repr(judge)), lines(told))


def _numbers(value: Any) -> Any:
    """JSON's nulls as the NaN that they were."""
    if isinstance(value, dict):
        return {k: _numbers(v) for k, v in value.items()}
    return [_numbers(v) for v in value] if isinstance(value, list) else float("nan") if value is None else value


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = arguments(__doc__, "the table and the designs")
    made.add_argument("--quick", action="store_true", help="the first of --bodies, tiny budgets, a coarse judge")
    made.add_argument("--table", action="store_true", help="only put the table together")
    made.add_argument("--bodies", type=int, nargs="+", choices=(1, 2, 3), default=[2, 1, 3])
    made.add_argument("--rows", nargs="+", default=[], help="rows of these names, or with these in them, in order")
    made.add_argument("--seeds", type=int, nargs="+", default=[1])
    made.add_argument("--data", type=Path, help="the training set; the held-out flows by default")
    made.add_argument("--count", type=int, help="designs a row and seed")
    made.add_argument("--calls", type=int, help="of the solver, a search")
    made.add_argument("--evaluations", type=int, help="of the solver with a gradient, a start of a descent")
    made.add_argument("--formation", type=int, default=1, metavar="N", help="of the best to judge apart too")
    made.add_argument("--openfoam", type=int, default=0, metavar="N", help="how many of the best OpenFOAM solves too")
    return made


def main() -> None:
    """Run what is missing and report."""
    args = parser().parse_args()
    torch.set_num_threads(args.threads)
    given = {k: getattr(args, k) for k in ("count", "calls", "evaluations") if getattr(args, k) is not None}
    args.budget = replace(QUICK if args.quick else Budget(), **given)
    if args.quick:
        args.bodies = args.bodies[:1]
    try:
        out = output(args.out)
    except ValueError as error:
        raise SystemExit(f"error: {error}") from error
    for folder in ("designs", "cells", "dat"):
        (out / folder).mkdir(exist_ok=True)
    if not args.table:
        measure(args, out)
    assemble(out, args.budget.judge)
