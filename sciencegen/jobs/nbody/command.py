"""``sciencegen design nbody``: a thin mirror of :mod:`sciencegen.jobs.nbody.study` on the command line."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

__all__ = ["nbody"]


def nbody(*, bodies: int = 4, frames: int = 44, count: int = 50, seed: int = 0, out: Path = Path("runs/nbody"),
          rollouts: int = 40, law: float | None = None, model: Path | None = None) -> None:
    """Design starts from which discs in a box, all at one speed, end at its centre, by a prior of two of them.

    Parameters
    ----------
    bodies
        How many discs; the prior knows pairs.
    frames
        How long they fly, 15 frames a second: 24, 34, 44, ...; the prior knows 24.
    count
        How many designs.
    seed
        The same seed gives the same designs.
    out
        Run directory: result.nc, designs.png, config.json.
    rollouts
        Solver rollouts by which each design is mended; 0 leaves it as the network has it. From 16 on, half of them
        play the design's end backwards and judge what comes of it; the others have gradients.
    law
        Keep samples to the solver's map from each frame to the next, up to this standard deviation (try 0.05).
    model
        Directory of a trained prior, instead of the one that is shipped.
    """
    import torch

    from ...priors import Model, zoo
    from ..directory import writable
    from . import report
    from .study import Study

    console, start = Console(), time.perf_counter()
    if count < 1 or rollouts < 0 or not 0 <= seed < 2**40:
        raise ValueError(f"got --count {count}, --rollouts {rollouts}, --seed {seed}; expected at least 1, at least 0, "
                         "and 0 to 2^40")
    if law is not None and not law > 0:
        raise ValueError(f"got --law {law}; expected a standard deviation above 0")
    trained = zoo("nbody") if model is None else Model.load(model)
    study = Study(trained.layout, trained.energy.requires_grad_(False), bodies, frames, law=law)
    out = writable(out)
    result = study.run(count, torch.arange(count) + seed * 2**20, rollouts)
    console.print(report.table(result))
    made = report.write(out, result, study)
    console.print(f"{len(made)} files in {out}, the picture is {out / 'designs.png'}; {result.nfev} network calls, "
                  f"{result.config['rollouts_a_design']:.1f} rollouts a design, {time.perf_counter() - start:.0f} s",
                  markup=False, soft_wrap=True)
