"""``sciencegen verify``: the best designs of a run solved by another program."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rich.console import Console

from .clock import watched
from .options import Whole, at_least

__all__ = ["verify"]


def verify(run: Path, /, *, solver: Literal["xfoil", "openfoam"] = "xfoil", count: Whole = 8, workers: Whole = 2
           ) -> None:
    """Have the best designs of a run solved by another program; goes on where it was stopped.

    Parameters
    ----------
    run
        Directory that `sciencegen design airfoil` wrote; verify_SOLVER.nc is added to it.
    solver
        XFOIL, seconds a design; OpenFOAM, minutes an angle.
    count
        How many designs, the best first.
    workers
        How many programs at a time.
    """
    from ..solvers import XFOIL
    from ..solvers.at_lift import ByAngle
    from ..studies.airfoil import verify as job
    from ..studies.runs import added

    at_least(1, count=count, workers=workers)
    with watched(f"verify {run}"):
        found = job.verify_run(run, ByAngle(XFOIL()) if solver == "xfoil" else job.openfoam(), solver, count, workers)
    table, console = job.table(job.read(run), job.words(run), count), Console()
    added(run, f"sciencegen verify, {job.TITLES[solver]}", table, found.attrs["message"])
    console.print(table)
    console.print(f"{found.attrs['message']}; see {run / f'verify_{solver}.nc'}", markup=False, soft_wrap=True)
