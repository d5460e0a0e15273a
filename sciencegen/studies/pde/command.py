"""``sciencegen invert``: a thin mirror of :mod:`sciencegen.studies.pde.invert` on the command line."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

__all__ = ["invert"]

Switch = Annotated[bool, Parameter(negative="")]


def invert(name: str, /, *, data: Path | None = None, example: Switch = False, out: Path | None = None,
           count: int = 64, seed: int = 0, steps: int = 20, law: Switch = False, model: Path | None = None) -> None:
    """Find what an equation's sensors leave possible: source or rock, and solution, from readings of either.

    Parameters
    ----------
    name
        poisson, helmholtz, heat or darcy, whose priors are shipped; channels, burgers, navier-stokes or your own with
        --model.
    data
        HDF5 file of observations: for each part observed a group, as /u, with coordinates (n, 2) in the unit square,
        values (n,) and noise, in physical units; optionally /truth/a and /truth/u.
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
        Solve the equation for u of each sample at the end; the misfit says what that costs.
    model
        Directory of a trained prior (`sciencegen train pde`), instead of the one that is shipped.
    """
    from ...jobs.directory import writable
    from ...observations import Observations
    from . import invert as job

    start = time.perf_counter()
    if (data is None) != example:
        raise ValueError(f"got --data {data} and {'' if example else 'no '}--example; expected one of the two")
    observations = None if data is None else Observations.load(data)
    trained = job.model_of(name, model)
    observations = observations or job.example(name, trained.layout, seed)
    job.check(name, trained, observations, count, seed, steps, law)
    out = writable(out or Path("runs") / f"invert_{name}")
    result = job.solve(name, trained, observations, count, seed, steps, law)
    made = [observations.save(out / "observations.h5")] if example else []
    made += job.write(out, result)
    console = Console()
    console.print(*job.tables(result), sep="\n", highlight=False)
    console.print(f"{len(made)} files in {out}, the picture is {out / 'posterior.png'}; {len(observations)} readings, "
                  f"{result.nfev} network calls, {time.perf_counter() - start:.0f} s", markup=False, soft_wrap=True)
