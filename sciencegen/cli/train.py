"""``sciencegen train``: the priors that are shipped, trained anew; each goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from rich.console import Console

from .clock import watched
from .invert import OWN, short
from .options import Device, Dims, Full, Group, Repeated, Seed, Steps, Switch, TrainingOut, Whole, at_least
from .own import said, states_of, train_data

if TYPE_CHECKING:
    from ..priors import Model
    from ..train import Packed, Training

__all__ = ["train"]

train = App(name="train", help="Train a prior; resumes where it was stopped.")

Histories = Annotated[tuple[Whole, ...], Parameter(negative="")]


@train.default
def train_own(data: Annotated[str, Parameter(help=f"A file or folder that `data describe` reads; or a system: {OWN}.")],
              /, *, parts: str | None = None, window: Whole | None = None, stride: Whole = 1, periodic: str = "",
              given: Repeated = (), history: Histories = (), dims: Dims = (),
              group: Group = None, stepper: Switch = False, out: Path | None = None,
              steps: Whole | None = None, minutes: float | None = None, seed: Seed = 0, device: Device = "cpu",
              grid: Whole = 32, pairs: Whole | None = None) -> None:
    """Train a prior of your data, or of a system's pairs; goes on where it was stopped, or to more steps or minutes.

    Parameters
    ----------
    parts
        Variables of the data, comma-separated: u,v,nu; all that vary with sample or time unless given.
    window
        Frames of a window of time; whole trajectories unless given.
    stride
        Frames from one window's start to the next.
    periodic
        Axes whose ends meet and along which the data may be shifted: x,y.
    given
        Parts that are to be known exactly where the others are asked for: nu; with :N the first N frames: u:2,nu.
        Repeat it for several such questions.
    history
        How many first frames of a window are to be known exactly, with all that has no time, where the rest is asked
        for: 2. Repeat it for several; all numbers, as a forecast wants them, unless --history or --given is said.
    stepper
        A plain network that says the next frames, one call a window, trained by the CRPS of two members with noise; it
        knows no density, so that nothing but forecasts can be asked of it. With --window 2 a frame at a time.
    out
        Directory of the checkpoint and, at the end, of the model (OUT/model); runs/NAME unless given.
    steps
        Optimiser steps, those before included; 10 minutes unless given, for a system its own.
    minutes
        How long to train, earlier trainings in OUT included.
    seed
        Of the split, the network and the training.
    grid
        Of a system: cells along a side.
    pairs
        Of a system: how many pairs to draw and solve, to train on; its own unless given.
    """
    if Path(data).exists():
        if not (parts is None or parts):
            raise ValueError("got no --parts; expected names of variables, as u,nu")
        states = states_of(Path(data), parts, window, stride, periodic, dims, group, seed)
        train_data(states, given, history, stepper, out or Path("runs") / Path(data).stem, steps, minutes, seed, device)
        return
    for name, value in (("parts", parts), ("window", window), ("dims", dims), ("group", group), ("given", given),
                        ("history", history), ("stepper", stepper)):
        if value:
            raise ValueError(f"got --{name} for {data}, which is no file; expected a file that is there, or a system "
                             f"without it: {OWN}")
    train_system(data, grid, out, steps, pairs, device)


def train_system(name: str, grid: int, out: Path | None, steps: int | None, pairs: int | None, device: str) -> None:
    """Train the prior of a system's pairs."""
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
def train_airfoil(*, data: Path = Path("datasets/airfoils.nc"), out: TrainingOut = Path("runs/airfoil_prior"),
                  steps: Steps = 22_000, device: Device = "cpu") -> None:
    """Train the airfoil prior on the stored polars: about 40 minutes on 2 cores.

    Parameters
    ----------
    data
        The file that datasets/make_airfoils.py makes.
    """
    from ..studies.airfoil.prior import recipe

    shipped("airfoil", data, out, steps, device, lambda: recipe(data, steps))


@train.command(name="nbody")
def train_nbody(*, data: Path, out: TrainingOut = Path("runs/nbody_prior"), steps: Steps = None, full: Full = False,
                device: Device = "cpu") -> None:
    """Train the prior of two discs in a box: about an hour on one core.

    Parameters
    ----------
    data
        The file that datasets/make_nbody.py makes.
    """
    from ..studies.nbody.prior import recipe

    shipped("nbody", data, out, steps, device, lambda: recipe(data, full, steps))


@train.command(name="flow")
def train_flow(*, data: Path, out: TrainingOut = Path("runs/flow_prior"), steps: Steps = None, full: Full = False,
               device: Device = "cpu") -> None:
    """Train the prior of flows around one body: about two hours on one core.

    Parameters
    ----------
    data
        The file that datasets/make_flows.py makes, with Reynolds numbers of 200 to 300.
    """
    from ..studies.flow.prior import recipe

    shipped("flow", data, out, steps, device, lambda: recipe(data, full, steps))


@train.command(name="microstructure")
def train_microstructure(*, data: Path, out: TrainingOut = Path("runs/microstructure_prior"), steps: Steps = None,
                         device: Device = "cpu") -> None:
    """Train the prior of patches of two-phase microstructures: about half an hour on one core.

    Parameters
    ----------
    data
        The file that datasets/make_microstructures.py makes, of 24,000 images or so.
    """
    from ..studies.microstructure.prior import recipe

    shipped("microstructure", data, out, steps, device, lambda: recipe(data, steps))


def shipped(name: str, data: Path, out: Path, steps: int | None, device: str,
            recipe: Callable[[], tuple[Packed, Training]]) -> None:
    """Train a prior that is shipped by its recipe."""
    from ..train import train as train_prior

    finish(name, data, out, 1 if steps is None else steps, lambda: train_prior(*recipe(), out, device))


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
    said(model, always=True)
    Console().print(f"the model is {out / 'model'}", markup=False, soft_wrap=True)
