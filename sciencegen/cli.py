"""The command line: a thin mirror of the Python calls."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter
from rich.console import Console
from rich.markup import escape

from . import __version__
from .jobs.data.command import data
from .jobs.flow.command import flow
from .jobs.nbody.command import nbody
from .studies.pde.command import invert
from .studies.pde.command import train as train_system

# Threads that spin while they wait slow a shared machine down thirtyfold; to be said before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

app = App(name="sciencegen", version=__version__, help="Inverse design by composing learned energies.")
design = App(name="design", help="Sample designs, refine them and have them judged.")
train = App(name="train", help="Train a prior; resumes where it was stopped.")
app.command(design)
app.command(train)
app.command(data)
app.command(invert)
train.default(train_system)
design.command(nbody)
design.command(flow)

POINTS = ("0.4@3e6", "0.8@1.5e6", "1.2@1e6")


@design.command
def airfoil(*, point: Annotated[tuple[str, ...], Parameter(negative="")] = POINTS, min_thickness: float = 0.12,
            min_cm: float = -0.133, count: int = 64, seed: int = 0, out: Path = Path("runs/airfoil"),
            verify: Literal["xfoil", "none"] = "xfoil", objective: Path | None = None, reference: Path | None = None,
            model: Path | None = None) -> None:
    """Design airfoils of least mean drag over several operating points.

    Parameters
    ----------
    point
        Operating point CL@RE: lift coefficient and chord Reynolds number; repeat it for several.
    min_thickness
        Least maximum thickness, chords.
    min_cm
        Lowest pitching moment about the quarter chord (nose up is positive).
    count
        How many designs.
    seed
        The same seed gives the same designs.
    out
        Run directory: result.nc, the ten best as .dat, designs.png, config.json.
    verify
        Have the ten best confirmed by XFOIL, or not.
    objective
        Python file with your own objective(shape, cd, cm, confidence): torch, positive, low is good.
    reference
        A .dat file to compare with.
    model
        Directory of a trained prior, instead of the one that is shipped.
    """
    import torch

    from .jobs.airfoil import report
    from .jobs.airfoil.question import Point, Requirements
    from .jobs.airfoil.study import Study, mean_drag
    from .priors import Model, zoo

    console, start = Console(), time.perf_counter()
    wanted = tuple(Point.parse(text) for text in point)
    goal = mean_drag if objective is None else report.load_objective(objective, len(wanted))
    trained = zoo("airfoil") if model is None else Model.load(model)
    study = Study(trained.layout, trained.energy, wanted, Requirements(thickness=min_thickness, cm=min_cm), goal)
    if count < 1:
        raise ValueError(f"got --count {count}; expected at least 1")
    if not 0 <= seed < 2**40:
        raise ValueError(f"got --seed {seed}; expected 0 to 2^40")
    compared = report.baselines(study, reference=reference, seed=seed)
    out = report.writable(out)
    result = study.run(count, torch.arange(count) + seed * 2**20)
    verified = report.confirm(study, result) if verify == "xfoil" else None
    console.print(report.table(result, verified))
    console.print("XFOIL: " + ("not asked, so nothing is verified by it" if verified is None
                               else verified.attrs["message"]), style="yellow", markup=False)
    made = report.write(out, study, result, compared, verified)
    console.print(f"{len(made)} files in {out}, the picture is {out / 'designs.png'}; "
                  f"{study.aero.rows:,} aerodynamic evaluations, {result.nfev} network calls, "
                  f"{time.perf_counter() - start:.0f} s", markup=False, soft_wrap=True)


@train.command(name="airfoil")
def train_airfoil(*, data: Path = Path("datasets/airfoils.nc"), out: Path = Path("runs/airfoil_prior"),
                  steps: int = 22_000) -> None:
    """Train the airfoil prior on the stored polars: about 40 minutes on 2 cores.

    Parameters
    ----------
    data
        The file that datasets/make_airfoils.py makes.
    out
        Directory of the checkpoint and, at the end, of the model (OUT/model).
    steps
        Optimiser steps.
    """
    from .jobs.airfoil.prior import train as fit_prior

    model = fit_prior(data, out, steps)
    model.save(out / "model", half=True)
    Console().print(f"the model is {out / 'model'}; use it with: sciencegen design airfoil --model {out / 'model'}",
                    markup=False, soft_wrap=True)


@train.command(name="nbody")
def train_nbody(*, data: Path, out: Path = Path("runs/nbody_prior"), steps: int | None = None,
                full: Annotated[bool, Parameter(negative="")] = False, device: str = "cpu") -> None:
    """Train the prior of two discs in a box: about an hour on one core.

    Parameters
    ----------
    data
        The file that datasets/make_nbody.py makes.
    out
        Directory of the checkpoint and, at the end, of the model (OUT/model).
    steps
        Optimiser steps; the recipe's own unless given.
    full
        The network of the original's size, for a GPU, instead of the small one.
    device
        Where to train, as cpu or cuda.
    """
    from dataclasses import replace

    from .jobs.nbody import prior

    setup = prior.FULL if full else prior.SMALL
    model = prior.train(data, out, setup if steps is None else replace(setup, steps=steps), device=device)
    model.save(out / "model", half=True)
    Console().print(f"the model is {out / 'model'}", markup=False, soft_wrap=True)


@train.command(name="flow")
def train_flow(*, data: Path, out: Path = Path("runs/flow_prior"), steps: int | None = None,
               full: Annotated[bool, Parameter(negative="")] = False, device: str = "cpu") -> None:
    """Train the prior of flows around one body: about two hours on one core.

    Parameters
    ----------
    data
        The file that datasets/make_flows.py makes, with Reynolds numbers of 200 to 300.
    out
        Directory of the checkpoint and, at the end, of the model (OUT/model).
    steps
        Optimiser steps; the recipe's own unless given.
    full
        The network of the data's full resolution, for a GPU, instead of the small one.
    device
        Where to train, as cpu or cuda.
    """
    from dataclasses import replace

    from .jobs.flow import prior

    setup = prior.FULL if full else prior.SMALL
    model = prior.train(data, out, setup if steps is None else replace(setup, steps=steps), device=device)
    model.save(out / "model", half=True)
    Console().print(f"the model is {out / 'model'}", markup=False, soft_wrap=True)


@app.command
def verify(run: Path, /, *, solver: Literal["xfoil", "openfoam"] = "xfoil", count: int = 8, workers: int = 2) -> None:
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
    from .jobs import verify as job
    from .jobs.airfoil.verify import ByAngle
    from .solvers import XFOIL

    found = job.verify_run(run, ByAngle(XFOIL()) if solver == "xfoil" else job.openfoam(), solver, count, workers)
    console = Console()
    console.print(job.table(job.read(run), job.words(run), count))
    console.print(f"{found.attrs['message']}; see {run / f'verify_{solver}.nc'}", markup=False, soft_wrap=True)


def main() -> None:
    """Run the command line; an error that a user can mend is one line, and exit status 2."""
    try:
        app()
    except (ValueError, TypeError, KeyError, OSError, ImportError) as error:
        text = error.args[0] if isinstance(error, KeyError) else error
        Console(stderr=True).print(f"[red]{type(error).__name__}:[/] {escape(str(text))}", highlight=False,
                                   soft_wrap=True)
        sys.exit(2)
