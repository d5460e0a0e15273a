"""``sciencegen invert``: a thin mirror of :mod:`sciencegen.studies.pde.invert`."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..physics import SYSTEMS
from .clock import watched
from .options import Device, Out, Overwrite, Switch, Whole, at_least, seed
from .own import said
from .run import Asked, say

if TYPE_CHECKING:
    from ..physics import System
    from ..priors import Model

__all__ = ["OWN", "invert", "short"]

OWN = f"{', '.join(SYSTEMS)}, or your own as module:Class, a module of the current folder or an installed one"


def invert(name: Annotated[str, Parameter(help=f"The system: {OWN}; or the directory of a trained prior. Five priors "
                                               "are shipped, others come with --model.")],
           /, *, data: Path | None = None, example: Switch = False, out: Out | None = None,
           count: Annotated[Whole, Parameter(help="How many samples of the posterior.")] = 64,
           seed: Annotated[int, Parameter(converter=seed, help="The same seed gives the same samples.")] = 0,
           steps: Whole = 20, law: Switch = False, model: Path | None = None, device: Device = "cpu",
           overwrite: Overwrite = False) -> None:
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
    steps
        Noise levels of the sampler; of darcy, whose levels follow from the data, a quarter as many at their end.
    law
        Solve the equation for the solution of each sample at the end; the misfit says what that costs. Of darcy that
        is always done.
    model
        Directory of a trained prior (`sciencegen train NAME`), instead of the one that is shipped.
    """
    from ..observations import Observations
    from ..studies.directory import claim
    from ..studies.pde import invert as job
    from ..studies.pde import report

    start = time.perf_counter()
    if (data is None) != example:
        raise ValueError(f"got --data {data} and {'' if example else 'no '}--example; expected one of the two")
    at_least(1, count=count)
    at_least(2, steps=steps)
    observations = None if data is None else Observations.load(data, isolated=True)
    trained, system = _known(name, model, law or example)
    observations = observations or job.example(system, trained.layout, seed)
    job.check(trained, observations, system, count, seed, steps, law)
    out = claim(out or Path("runs") / f"invert_{short(name)}", overwrite)
    said(trained)
    arguments = {"data": data, "example": example, "count": count, "seed": seed, "steps": steps, "law": law,
                 "model": model, "device": device}
    asked = _asked(name, arguments, system)
    with watched(f"invert {name}"):
        result = job.solve(trained, observations, system, count, seed, steps, law, device)
    if result.status:
        raise KeyboardInterrupt(f"{result.message}; nothing was written")
    made = report.write(out, trained, result, asked.record(), observations if example else None, overwrite)
    say(report.report(trained, result), made, out, start)


def short(name: str) -> str:
    """A name for a directory: without the path of a module or of a model."""
    return Path(name.rpartition(":")[2]).name.lower() or "model"


def _known(name: str, model: Path | None, needed: bool) -> tuple[Model, System | None]:
    """The trained prior and its system; None for the system of a prior that is of none of the shipped ones."""
    from ..studies.pde import invert as job

    if not _is_model(name) or model is not None:
        trained = job.model_of(name, model)
        return trained, job.system_of(name, trained.layout)
    trained = job.model_of(name, Path(name))
    told = trained.training.get("system")  # of a stranger's prior: never a module to import
    if needed and told not in SYSTEMS:
        raise ValueError(f"got a prior of '{told}'; expected its system for --law or --example: sciencegen invert "
                         f"module:Class --model {name}")
    return trained, job.system_of(told, trained.layout) if told in SYSTEMS else None


def _asked(name: str, arguments: dict[str, object], system: System | None) -> Asked:
    """The record: with the prior that is shipped or named, and the file of a system that is not ours."""
    shipped = name if name in SYSTEMS and arguments["model"] is None else None
    file = None if ":" not in name or system is None else sys.modules[type(system).__module__].__file__
    files = {"prior": Path(name)} if _is_model(name) else {"system": Path(file)} if file else {}
    return replace(Asked.of(f"invert {name}", shipped, **arguments), files=files)


def _is_model(name: str) -> bool:
    return name not in SYSTEMS and Path(name, "config.json").is_file()
