"""``sciencegen design flow``: a thin mirror of :mod:`sciencegen.jobs.flow.study` on the command line."""

from __future__ import annotations

import math
import time
from pathlib import Path

from rich.console import Console

__all__ = ["flow"]


def flow(*, bodies: int = 1, count: int = 16, seed: int = 0, reynolds: float = 250.0, lift: float | None = None,
         area: float = 0.0, out: Path = Path("runs/flow"), spare: int = 3, refined: int = 1, model: Path | None = None
         ) -> None:
    """Design airfoils in a stream, of most lift over drag together, by a prior of flows around one.

    Parameters
    ----------
    bodies
        How many airfoils; the prior knows one, each of several flies in the stream that the others leave.
    count
        How many designs; each is solved once.
    seed
        The same seed gives the same designs.
    reynolds
        Of the unit chord, within what the prior was trained on.
    lift
        Least lift of all airfoils together, a coefficient of the unit chord.
    area
        Least area of each airfoil, square chords.
    out
        Run directory: result.nc, the bodies of the ten best as .dat, designs.png, flow.gif, config.json.
    spare
        So many times as many designs are sampled, and those solved of which the network expects most.
    refined
        How many of the best go down through the solver, eight calls of its gradient each.
    model
        Directory of a trained prior, instead of the one that is shipped.
    """
    import torch

    from ...priors import Model, zoo
    from ..directory import writable
    from . import report
    from .question import ANY
    from .study import Study
    from .wings import Limits

    console, start = Console(), time.perf_counter()
    if min(count, spare) < 1 or min(refined, area) < 0 or not 0 <= seed < 2**40:
        raise ValueError(f"got --count {count}, --spare {spare}, --refined {refined}, --area {area:g}, --seed {seed}; "
                         "expected at least 1, 1, 0 and 0, and 0 to 2^40")
    trained = zoo("flow") if model is None else Model.load(model)
    study = Study(trained.layout, trained.energy.requires_grad_(False), bodies, reynolds, spare=spare, refined=refined,
                  limits=Limits(area=area), lift=ANY if lift is None else (lift, math.inf))
    out = writable(out)
    result = study.run(count, torch.arange(count) + seed * 2**20)
    console.print(report.table(result))
    made = report.write(out, result, study)
    console.print(f"{len(made)} files in {out}, the picture is {out / 'designs.png'}; {result.nfev} network calls, "
                  f"{result.config['solves']} flows solved, {time.perf_counter() - start:.0f} s", markup=False,
                  soft_wrap=True)
