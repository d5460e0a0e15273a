"""Forecasts beside what else there is: classical rows, plain and CRPS-trained networks, diffusion, the exact answer.

A table a task. F1: a linear stochastic equation, of which the exact forecast is known; F5: 1,000 frames of it. F2: a
chaotic equation, ensembles and roll-outs. F3: APEBench's equations, data and network, where its package is installed
(--peer). F4: stochastic Kolmogorov flow in two dimensions.

    python -m benchmarks forecast --quick --out runs/forecast
    python -m benchmarks forecast --tasks F1 F2 --seeds 0 1 2 --out runs/forecast

Every trained row has one network, one budget of CPU seconds, and as many steps as fit. What is done is kept in --out,
row by row, and not done again: delete a row's files to repeat it. The frames that were scored are netCDF.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import xarray

from ..common import arguments, facts, output, whole, write_json
from ..common.record import publish
from . import apebench, chaos, report, spde, turbulent
from .at_once import AllAtOnce, Blanket
from .classical import Climatology, Linear, Persistence, Solved
from .networks import Autoregressive, Trained, slug
from .ours import Ancestral
from .scoring import scored
from .task import Drawn, Question, Row, Task

QUICK = 4.0  # CPU seconds of training
TASKS = {"F1": spde.linear, "F1 from 10": partial(spde.linear, trajectories=10),
         "F1 from 2": partial(spde.linear, trajectories=2), "F2": chaos.chaotic, "F4": turbulent.stochastic}


def rows(task: Task) -> Iterator[Row]:
    """All rows of a task."""
    yield from (Climatology(), Persistence(), Linear())
    yield from task.published
    yield from (Solved(name, solver) for name, solver in task.solvers.items())
    yield Trained("network, squared error")
    yield Trained("the same, noise on its input", blur=0.005)
    yield Trained("the same, dropout", dropout=0.15)
    yield Trained("CRPS, noise as channels", members=2)
    yield Trained("CRPS, one noise vector", members=2, vector=16)
    yield Autoregressive()
    if not task.known:
        yield from (Blanket(), AllAtOnce())
    yield Ancestral()


def answered(row: Row, task: Task, seed: int, out: Path) -> dict[str, Any]:
    """Scores of a row on all questions; from its file where it was answered before."""
    file = out / f"{slug(row.name)}.{seed}.json"
    found = json.loads(file.read_text()) if file.is_file() else {"row": row.name, "seed": seed, "questions": {}}
    missing = [q for q in task.questions if q.name not in found["questions"] and row.answers(q)]
    if missing:
        found["ready"] = dict(row.ready(task, seed, out))
    for question in missing:
        drawn = row.draw(task, question, seed)
        keep(out / f"{slug(row.name)}.{seed}.{slug(question.name)}.nc", question, drawn)
        found["questions"][question.name] = scored(question, drawn, task.frame)
        write_json(file, found)
    return found


def keep(path: Path, question: Question, drawn: Drawn) -> None:
    """The scored frames, with the truth."""
    leads = [m for m in question.leads or (question.horizon,) if m <= drawn.frames.shape[2]]
    pick = torch.tensor(leads) - 1
    space = ("x", "y")[: drawn.frames.ndim - 3]
    truth = question.truth[: drawn.frames.shape[1], pick].float().numpy()
    made = xarray.Dataset({"u": (("member", "sample", "lead", *space), drawn.frames[:, :, pick].float().numpy()),
                           "truth": (("sample", "lead", *space), truth)}, {"lead": leads})
    whole(path, lambda new: made.to_netcdf(new))


def made(name: str, quick: bool, peer: apebench.Peer) -> Task:
    """A task by its name."""
    return peer.task(name, quick) if name in apebench.EQUATIONS else TASKS[name](quick)


def seeds_of(row: Row, seeds: list[int]) -> list[int]:
    """Those that change anything: what is not drawn by chance has one."""
    return seeds[:1] if isinstance(row, Persistence | apebench.Published) else seeds


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = arguments(__doc__, "models, scores and frames of every row, forecast.json and the tables")
    made.add_argument("--tasks", nargs="+", choices=[*TASKS, *apebench.EQUATIONS], default=["F1", "F2"],
                      metavar="TASK", help=f"of {', '.join([*TASKS, *apebench.EQUATIONS])}")
    made.add_argument("--rows", nargs="+", default=[""], help="only rows whose name begins with one of these")
    made.add_argument("--seeds", nargs="+", type=int, default=[0])
    made.add_argument("--seconds", type=float, help="of CPU, in which a network is trained; the task's unless given")
    made.add_argument("--peer", default=sys.executable,
                      help="the Python in which APEBench is installed; this one unless given")
    made.add_argument("--quick", action="store_true", help="few starts, seconds of training: that it runs")
    return made


def main() -> None:
    """Answer what was not answered yet, and print the tables of all that was."""
    options = parser().parse_args()
    torch.set_num_threads(options.threads)
    out, seeds = output(options.out), options.seeds
    record: dict[str, Any] = {"facts": facts(), "quick": options.quick, "tasks": {}}
    parts = []
    for name in options.tasks:
        if name in apebench.EQUATIONS and (why := apebench.missing(options.peer)):
            parts.append(f"{name} is left out: {why}; expected pip install apebench, or --peer PYTHON")
            continue
        task = made(name, options.quick, apebench.Peer(options.peer, out / slug(name)))
        task = replace(task, seconds=options.seconds or (QUICK if options.quick else task.seconds))
        folder = output(str(out / slug(task.name)))
        chosen = [row for row in rows(task) if row.name.startswith(tuple(options.rows))]
        if not chosen:
            names = ", ".join(f"'{row.name}'" for row in rows(task))
            raise SystemExit(f"got --rows {options.rows}; expected the beginning of one of {names}")
        for row in chosen:
            for seed in seeds_of(row, seeds):
                answered(row, task, seed, folder)
        files = [folder / f"{slug(row.name)}.{seed}.json" for row in rows(task) for seed in seeds_of(row, seeds)]
        record["tasks"][task.name] = [json.loads(file.read_text()) for file in files if file.is_file()]
        parts += report.tables(task, record["tasks"][task.name])
        write_json(out / "forecast.json", record)
    publish(out, "forecast", __doc__, [*parts, report.NOTE], report.LINES)


if __name__ == "__main__":
    main()
