"""Assimilation beside the exact answer, and beside filters and smoothers that know the equations.

A1: a linear stochastic equation, whose Kalman filter and smoother are known. A2: Lorenz' system of 1963 as score-based
data assimilation has it, beside backward simulation. A3: the Kuramoto-Sivashinsky equation with 8 sensors, beside an
ensemble transform Kalman filter with the true solver, tuned on other cases.

    python -m benchmarks assimilate --quick --out runs/assimilate
    python -m benchmarks assimilate --tasks A1,A2,A3 --out runs/assimilate

What is done is kept in --out, task by task, and not done again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from rich.table import Table

from sciencegen.priors import Model, zoo

from ..common import arguments, facts, kept, output, write_json
from ..common.record import Line, publish
from .chaos import chaotic
from .linear import linear
from .lorenz import lorenz

COLUMNS = ("rmse", "rmse/exact", "rmse/filter", "crps", "crps/exact", "ahead", "ahead/filter", "spread", "coverage",
           "cases")
LINES = [
    Line("Track a linear stochastic equation by 8 sensors, every 4th frame", "error of the smoother's mean",
         "every 4: smooth", "rmse", ("ours, Gaussian of 100 trajectories",), exact=("exact",)),
    Line("Track Lorenz' system of 1963, its x every 8th frame", "CRPS", "lo smooth", "crps", ("ours, particles",),
         exact=("backward simulation with the equations",)),
    Line("Track chaos (Kuramoto-Sivashinsky) by 8 sensors", "error of the filter's mean", "every 2 frames: filter",
         "rmse", ("ours",), ("interpolation by Fourier's series",),
         exact=("transform filter, true solver, inflation 1.0",)),
]


def tables(rows: Iterable[Mapping[str, Any]]) -> Iterator[Table]:
    """One a task and mode."""
    rows = list(rows)
    for task, mode in dict.fromkeys((row["task"], row["mode"]) for row in rows):
        here = [row for row in rows if (row["task"], row["mode"]) == (task, mode)]
        names = [name for name in COLUMNS if any(name in row for row in here)]
        made = Table(title=f"{task}: {mode}")
        for name in ("row", *names):
            made.add_column("n" if name == "cases" else name)
        for row in here:
            made.add_row(row["row"], *(f"{row[name]:.4g}" if name in row else "-" for name in names))
        yield made


def main() -> None:
    """Answer what was not answered yet, and print the tables."""
    made = arguments(__doc__, "scores of every row, assimilate.json and assimilate.txt")
    made.add_argument("--tasks", default="A1,A2,A3", help="comma-separated: A1, A2, A3")
    made.add_argument("--ks", default="", help="directory of the prior of A3; the shipped one unless given")
    made.add_argument("--quick", action="store_true", help="few cases, a training of seconds: that it runs")
    options = made.parse_args()
    torch.set_num_threads(options.threads)
    out = output(options.out)
    tasks = {"A1": lambda: linear(options.quick), "A2": lambda: lorenz(options.quick, out),
             "A3": lambda: chaotic(options.quick, Model.load(options.ks) if options.ks else zoo("ks"))}
    if unknown := [name for name in options.tasks.split(",") if name not in tasks]:
        raise SystemExit(f"error: got --tasks {unknown[0]}; expected some of {', '.join(tasks)}")
    rows = [row for name in options.tasks.split(",") for row in kept(out / f"{name}.json", tasks[name]())]
    write_json(out / "assimilate.json", {"facts": facts(), "quick": options.quick, "rows": rows})
    publish(out, "assimilate", __doc__, tables(rows), LINES)


if __name__ == "__main__":
    main()
