"""Coupled physics from priors and solvers that never met, beside classical iterations and learned rivals.

G: two Gaussian fields of which every answer is known. D: conduction with feedback, on exact and on learned components.
R, N: a reaction-diffusion pair over time and three fields of a reactor, from networks of one physics each. C: 1 to 64
like elements from a prior of one. S: sensors of one field, and a design.

    python -m benchmarks coupling --quick --out runs/coupling
    python -m benchmarks coupling --tasks G,D,R,N,C,S --out runs/coupling

Nothing but the rows "trained on coupled data" has seen a coupled solution. Seconds are of busy cores. What is done is
kept in --out, task by task, and not done again; trained models are kept there too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from rich.table import Table

from ..common import arguments, facts, kept, output, write_json
from ..common.record import Line, publish
from .deterministic import deterministic
from .elements import elements
from .fields import SETTINGS, compared
from .gaussian import gaussian
from .sensors import sensors

TASKS = ("G", "D", "R", "N", "C", "S")
LEFT = ("task", "row", "energy", "message", "most sweeps", "refused")
LINES = [
    Line("Couple two Gaussian fields, canonical correlation .95", "error of the covariance", "G: rho 0.95",
         "covariance", ("ours",), ("clean Gibbs, 20 sweeps",),
         ("M2PDE's rule, 2 passes", "noised alike, decoupled data (GenCP's)"), ("exact joint score",)),
    Line("Conduction with strong feedback, learned components", "relative error",
         "eigenvalue -1.95; learned", "error", ("ours",), ("Picard", "Aitken", "IQN-ILS"),
         ("M2PDE's rule, 25 levels", "M2PDE's rule, 250 levels")),
    Line("Reaction-diffusion pair from networks of one field each", "relative error",
         "R: reaction-diffusion, fresh fields", "error",
         ("ours, settle", "ours, settle without gradients", "ours, couple"), ("IQN-ILS, surrogates",),
         ("M2PDE's rule, 2 passes", "noised alike (GenCP's)"), ("trained on coupled data, one call",)),
    Line("64 elements from a prior of one", "relative error", "C: 64 elements", "error", ("ours",),
         ("Schwarz, as many sweeps",), ("M2PDE's rule, 250 levels",), ("the component told the true walls",)),
]


def tables(rows: Iterable[Mapping[str, Any]]) -> Iterator[Table]:
    """One a task."""
    rows = list(rows)
    for task in dict.fromkeys(row["task"] for row in rows):
        here = [row for row in rows if row["task"] == task]
        names = list(dict.fromkeys(key for row in here for key in row if key not in LEFT))
        made = Table(title=task)
        for name in ("row", *names):
            made.add_column(name)
        for row in here:
            made.add_row(row["row"], *(_cell(row.get(name)) for name in names))
        yield made


def notes(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """What a row says in words."""
    for row in rows:
        yield from (f"{row['task']}, {row['row']}: {row[key]}" for key in ("message", "refused") if row.get(key))


def _cell(value: Any) -> str:
    return "-" if value is None else str(value) if isinstance(value, int) else f"{value:.4g}"


def main() -> None:
    """Answer what was not answered yet, and print the tables."""
    made = arguments(__doc__, "models, rows of every task, coupling.json and coupling.txt")
    made.add_argument("--tasks", default=",".join(TASKS), help="comma-separated: G, D, R, N, C, S")
    made.add_argument("--variants", action="store_true", help="R and N in a second setting each, besides")
    made.add_argument("--quick", action="store_true", help="few cases, seconds of training")
    options = made.parse_args()
    torch.set_num_threads(options.threads)
    out, quick = output(options.out), options.quick
    if unknown := [name for name in options.tasks.split(",") if name not in TASKS]:
        raise SystemExit(f"error: got --tasks {unknown[0]}; expected some of {', '.join(TASKS)}")
    made_by: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
        "G": lambda: gaussian(quick), "D": lambda: deterministic(quick, out), "C": lambda: elements(quick),
        "S": lambda: sensors(quick)}
    rows = []
    for task in options.tasks.split(","):
        if task in made_by:
            rows += kept(out / f"{task}.json", made_by[task]())
            continue
        for k, name in enumerate(name for name in SETTINGS if name.startswith(task)):
            if options.variants or not k:
                rows += kept(out / f"{task}{k + 1}.json", compared(name, quick, out))
    write_json(out / "coupling.json", {"facts": facts(), "quick": quick, "rows": rows})
    publish(out, "coupling", __doc__, [*tables(rows), *notes(rows)], LINES)


if __name__ == "__main__":
    main()
