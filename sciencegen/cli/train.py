"""``sciencegen train``: the priors that are shipped, trained anew; each goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from rich.console import Console

from .clock import watched
from .invert import OWN, short
from .options import Device, Switch, Whole, at_least

if TYPE_CHECKING:
    from ..priors import Model

__all__ = ["train"]

train = App(name="train", help="Train a prior; resumes where it was stopped.")


@train.default
def train_system(name: Annotated[str, Parameter(help=f"The system: {OWN}.")], /, *, grid: Whole = 32,
                 out: Path | None = None, steps: Whole | None = None, pairs: Whole | None = None,
                 device: Device = "cpu") -> None:
    """Train the prior of a system's pairs; poisson and darcy at 32 take 2 cores, most others a GPU.

    Parameters
    ----------
    grid
        Cells along a side.
    out
        Directory of the checkpoint and, at the end, of the model (OUT/model); runs/NAME_GRID unless given.
    steps
        Optimiser steps; the recipe's own unless given.
    pairs
        How many pairs to draw and solve, to train on; the recipe's own unless given.
    """
    from dataclasses import replace

    from ..studies.pde import prior

    at_least(4, grid=grid)
    at_least(2, pairs=2 if pairs is None else pairs)
    recipe = prior.setup(name, grid)
    recipe = replace(recipe, steps=recipe.steps if steps is None else steps, count=pairs or recipe.count)
    out = out or Path("runs") / f"{short(name)}_{grid}"
    finish(name, None, out, recipe.steps, lambda: prior.train(recipe, out, device=device))
    Console().print(f"use it with: sciencegen invert {name} --model {out / 'model'} --example", markup=False,
                    emoji=False, soft_wrap=True)


@train.command(name="airfoil")
def train_airfoil(*, data: Path = Path("datasets/airfoils.nc"), out: Path = Path("runs/airfoil_prior"),
                  steps: Whole = 22_000) -> None:
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
    from ..studies.airfoil.prior import train as fit_prior

    finish("airfoil", data, out, steps, lambda: fit_prior(data, out, steps))


@train.command(name="nbody")
def train_nbody(*, data: Path, out: Path = Path("runs/nbody_prior"), steps: Whole | None = None,
                full: Switch = False, device: Device = "cpu") -> None:
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
    """
    from dataclasses import replace

    from ..studies.nbody import prior

    setup = prior.FULL if full else prior.SMALL
    setup = setup if steps is None else replace(setup, steps=steps)
    finish("nbody", data, out, setup.steps, lambda: prior.train(data, out, setup, device=device))


@train.command(name="flow")
def train_flow(*, data: Path, out: Path = Path("runs/flow_prior"), steps: Whole | None = None,
               full: Switch = False, device: Device = "cpu") -> None:
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
    """
    from dataclasses import replace

    from ..studies.flow import prior

    setup = prior.FULL if full else prior.SMALL
    setup = setup if steps is None else replace(setup, steps=steps)
    finish("flow", data, out, setup.steps, lambda: prior.train(data, out, setup, device=device))


def finish(name: str, data: Path | None, out: Path, steps: int, make: Callable[[], Model]) -> None:
    """Train, save the model and say where it is; a directory that cannot be written to is refused before."""
    from ..studies.directory import writable

    at_least(1, steps=steps)
    writable(out)
    try:
        with watched(f"train {name}"):
            model = make()
    except OSError as error:
        if data is None or error.filename is not None:
            raise
        raise ValueError(f"got --data {data} ({error}); expected the file that datasets/ makes for it") from error
    model.save(out / "model", half=True)
    words = f"; {model.training['verdict']}" if "verdict" in model.training else ""
    Console().print(f"the model is {out / 'model'}{words}", markup=False, soft_wrap=True)
