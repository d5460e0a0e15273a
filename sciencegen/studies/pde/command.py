"""``sciencegen invert`` and ``sciencegen train`` of a system: thin mirrors of this folder on the command line."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from ...physics import SYSTEMS

__all__ = ["invert", "train"]

Switch = Annotated[bool, Parameter(negative="")]
OWN = "or your own as module:Class, a module of the current folder or an installed one"


def invert(name: Annotated[str, Parameter(help=f"The system: {', '.join(SYSTEMS)}, {OWN}; or the directory of a "
                                               "trained prior. Four priors are shipped, others come with --model.")],
           /, *, data: Path | None = None, example: Switch = False, out: Path | None = None, count: int = 64,
           seed: int = 0, steps: int = 20, law: Switch = False, model: Path | None = None, device: str = "cpu") -> None:
    """Find what an equation's sensors leave possible: source or rock, and solution, from readings of either.

    Parameters
    ----------
    data
        HDF5 file of observations: for each part observed a group, as /u, with coordinates (n, 2), x and y of each
        sensor in the unit square (x along the first axis of a field, y along the second; of a part in time its time
        first), values (n,) and noise, in physical units; optionally /truth/a and /truth/u.
    example
        Instead of --data, 60 sensors of u with 1 % noise, of case SEED of the test split; written to
        OUT/observations.h5.
    out
        Run directory: result.nc, posterior.nc, posterior.png, config.json; runs/invert_NAME unless given.
    count
        How many samples of the posterior.
    seed
        The same seed gives the same samples.
    steps
        Noise levels of the sampler.
    law
        Solve the equation for the solution of each sample at the end; the misfit says what that costs.
    model
        Directory of a trained prior (`sciencegen train NAME`), instead of the one that is shipped.
    device
        Where to sample, as cpu or cuda.
    """
    from dataclasses import replace

    from ...observations import Observations
    from ..directory import writable
    from . import invert as job
    from . import report

    start = time.perf_counter()
    if (data is None) != example:
        raise ValueError(f"got --data {data} and {'' if example else 'no '}--example; expected one of the two")
    _numbers(count=(count, 1), steps=(steps, 2), seed=(seed, 0))
    _usable(device)
    observations = None if data is None else Observations.load(data)
    trained, system = _known(name, model, law or example)
    observations = observations or job.example(system, trained.layout, seed)
    job.check(trained, observations, system, count, seed, steps, law)
    out = out or Path("runs") / f"invert_{_short(name)}"
    writable(out)
    result = job.solve(trained, observations, system, count, seed, steps, law, device)
    asked = {"equation": name, "data": data and str(data), "example": example, "model": model and str(model)}
    result = replace(result, config=result.config | asked | {"count": count})
    out.mkdir(parents=True, exist_ok=True)
    made = [observations.save(out / "observations.h5")] if example else []
    made += report.write(out, result)
    console = Console()
    console.print(*report.tables(result), sep="\n", highlight=False)
    console.print(result.message, style="green" if result.success.any() else "red", markup=False, highlight=False,
                  emoji=False, soft_wrap=True)
    console.print(f"{len(made)} files in {out}, the picture is {out / 'posterior.png'}; {len(observations)} readings, "
                  f"{result.nfev} network calls, {time.perf_counter() - start:.0f} s", markup=False, emoji=False,
                  soft_wrap=True)


def train(name: Annotated[str, Parameter(help=f"The system: {', '.join(SYSTEMS)}, {OWN}.")], /, *, grid: int = 32,
          out: Path | None = None, steps: int | None = None, pairs: int | None = None, device: str = "cpu") -> None:
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
    device
        Where to train, as cpu or cuda.
    """
    from dataclasses import replace

    from ..directory import writable
    from . import prior

    _numbers(grid=(grid, 4), steps=(1 if steps is None else steps, 1), pairs=(2 if pairs is None else pairs, 2))
    _usable(device)
    recipe = prior.setup(name, grid)
    recipe = replace(recipe, steps=recipe.steps if steps is None else steps, count=pairs or recipe.count)
    out = out or Path("runs") / f"{_short(name)}_{grid}"
    writable(out)
    model = prior.train(recipe, out, device=device)
    model.save(out / "model", half=True)
    Console().print(f"the model is {out / 'model'}; use it with: sciencegen invert {name} --model {out / 'model'} "
                    "--example", markup=False, emoji=False, soft_wrap=True)


def _known(name: str, model: Path | None, needed: bool) -> tuple:
    """The trained prior and its system; None for the system of a prior that is of none of the shipped ones."""
    from . import invert as job

    if name not in SYSTEMS and model is None and Path(name, "config.json").is_file():
        trained = job.model_of(name, Path(name))
        told = trained.training.get("system")  # of a stranger's prior: never a module to import
        if needed and told not in SYSTEMS:
            raise ValueError(f"got a prior of '{told}'; expected its system for --law or --example: sciencegen invert "
                             f"module:Class --model {name}")
        return trained, job.system_of(told, trained.layout) if told in SYSTEMS else None
    trained = job.model_of(name, model)
    return trained, job.system_of(name, trained.layout)


def _short(name: str) -> str:
    """A name for a directory: without the path of a module or of a model."""
    return Path(name.rpartition(":")[2]).name.lower() or "model"


def _numbers(**asked: tuple[int, int]) -> None:
    for option, (value, least) in asked.items():
        if not least <= value < 2**40:
            raise ValueError(f"got --{option} {value}; expected {least} to 2^40")


def _usable(device: str) -> None:
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        why = str(error).splitlines()[0]
        raise ValueError(f"got --device {device}, which cannot be used ({why}); expected cpu, or cuda where there is "
                         "such a device") from error
