"""``sciencegen assimilate``: a thin mirror of :func:`sciencegen.assimilate`."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from .clock import watched
from .options import Device, Out, Overwrite, Whole, at_least, seed
from .own import said
from .run import Asked, say

__all__ = ["assimilate"]


def assimilate(model: Annotated[str, Parameter(help="Directory of a prior of windows (`sciencegen train DATA "
                                                    "--window 8`), or the name of a shipped one.")],
               /, *, data: Path, horizon: Whole, mode: Literal["smooth", "filter"] = "smooth", members: Whole = 64,
               ahead: Whole = 0, memory: Whole | None = None, out: Out | None = None,
               seed: Annotated[int, Parameter(converter=seed, help="The same seed gives the same members.")] = 0,
               device: Device = "cpu", overwrite: Overwrite = False) -> None:
    """Find what sensors, read at any time, leave possible of a trajectory: an ensemble of its frames.

    Parameters
    ----------
    data
        Readings: an HDF5 file with a group for each part observed, as /u, with coordinates (n, k), the time first, then
        the place; values (n,) and noise; optionally /truth/u, its frames. Or a table, .csv, with the columns time, x, y
        (as far as the part has them), variable, observation, noise. Times count from the first frame, as the model's
        windows do.
    horizon
        Frames, from the first on.
    mode
        smooth: each frame knows all readings; filter: those up to its own time.
    members
        Of the ensemble.
    ahead
        Frames of forecast behind the horizon.
    memory
        Frames that a window is told of the one before; what the model says, else half a window.
    """
    import torch

    from .. import assimilate as job
    from ..observations import Observations
    from ..priors import Model, zoo
    from ..studies.assimilation import report, write
    from ..studies.directory import claim

    start = time.perf_counter()
    at_least(1, horizon=horizon)
    at_least(2, members=members)
    at_least(0, ahead=ahead)
    own = Path(model, "config.json").is_file()
    trained = Model.load(model) if own else zoo(model)
    observations = Observations.load(data, isolated=True)
    out = claim(out or Path("runs") / f"assimilate_{Path(model).name.lower() or 'model'}", overwrite)
    said(trained)
    arguments = {"data": data, "horizon": horizon, "mode": mode, "members": members, "ahead": ahead, "memory": memory,
                 "seed": seed, "device": device}
    asked = Asked.of(f"assimilate {model}", None if own else model, **arguments)
    asked = replace(asked, files={"prior": Path(model)} if own else {})
    with watched(f"assimilate {model}"):
        made = job(trained, observations, horizon, members, mode, ahead, memory=memory,
                   seeds=torch.arange(members) + seed * 2**20, device=device)
    files = write(out, made, observations, asked.record(), overwrite)
    say(report(made, observations), files, out, start)
