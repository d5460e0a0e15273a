"""``sciencegen forecast`` and ``sciencegen score``: thin mirrors of :mod:`sciencegen.studies.forecast`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console

from .clock import watched
from .options import Device, Out, Overwrite, Whole, at_least, seed
from .own import is_model, said
from .run import Asked, say

if TYPE_CHECKING:
    from ..priors import Model

__all__ = ["forecast", "score"]


def forecast(model: Annotated[str, Parameter(help="Directory of a trained prior of windows, as sciencegen train FILE "
                                                  "--window 8 writes it, or the name of one that is shipped.")],
             /, *, data: Path, samples: str = ":", start: Whole = 0, history: Whole | None = None,
             horizon: Whole | None = None, members: Whole = 32, memory: Whole | None = None, ahead: str = "",
             unknown: str = "", missing: float | None = None, group: str | None = None, out: Out | None = None,
             seed: Annotated[int, Parameter(converter=seed, help="The same seed gives the same members.")] = 0,
             device: Device = "cpu", overwrite: Overwrite = False) -> None:
    """Forecast how trajectories go on, by an ensemble; with scores where the file knows what came.

    Parameters
    ----------
    data
        A file or folder that `data describe` reads, with the prior's parts.
    samples
        Which of its trajectories: 0:64, 3 or 0,2; all unless given.
    start
        The first frame that is known.
    history
        How many frames are known from there; as many as the prior is told of a window unless given.
    horizon
        Frames to come; as many as the file has after the history unless given.
    members
        Of each trajectory's ensemble.
    memory
        Frames that a window is told of the one before; what suits the prior unless given.
    ahead
        Parts in time that are known to the end of the horizon, as forcings: f,g.
    unknown
        Parts without time that the file has and the forecast is not to know: nu; they are drawn once and held.
    missing
        What stands for NaN, as in training.
    group
        The part of the file to read where there are several.
    """
    from ..studies import forecast as job
    from ..studies.directory import claim

    begun = time.perf_counter()
    at_least(0, start=start)
    at_least(1, members=members, history=1 if history is None else history, horizon=1 if horizon is None else horizon)
    trained, shipped = _model(model)
    known = job.told_of(trained, memory) if history is None else history
    asked = job.cases(trained, data, samples, start, known, horizon, _names(ahead), _names(unknown), missing, group)
    out = claim(out or Path("runs") / f"forecast_{data.stem}", overwrite)
    said(trained)
    record = Asked(f"forecast {model}", shipped, {
        "data": data, "samples": samples, "start": start, "history": known, "horizon": asked.horizon,
        "members": members, "memory": memory, "ahead": ahead or None, "unknown": unknown or None, "missing": missing,
        "group": group, "seed": seed, "device": device}, {} if shipped else {"prior": Path(model)})
    with watched(f"forecast {model}"):
        found = job.solve(trained, asked, members, seed, memory, device)
    if found.status:
        raise KeyboardInterrupt(f"{found.message}; nothing was written")
    made, told = job.write(out, trained, found, asked.truth, record.record(), overwrite)
    say(told, made, out, begun)


def score(forecast: Annotated[Path, Parameter(help="netCDF file of a forecast, ours or another's: each part over "
                                                   "(sample, member, time, ...), the horizon's frames last.")],
          truth: Annotated[Path, Parameter(help="What came: a file that `data describe` reads.")],
          /, *, start: Whole | None = None, out: Path | None = None) -> None:
    """Score a forecast by what came, part by part and lead by lead.

    Parameters
    ----------
    start
        The frame of TRUTH with which the horizon begins; unless given, that of the same time, or else the forecast's
        last frame is the truth's last one.
    out
        A file to write the scores to, as JSON.
    """
    from ..studies import forecast as job
    from ..studies import foreign

    found, scores = foreign.score(forecast, truth, start)
    console = Console()
    console.print(*job.table(found, scores), sep="\n", highlight=False)
    if out is not None:
        out.write_text(json.dumps(job.told(scores), indent=2))
        console.print(f"the scores are in {out}", markup=False, highlight=False, soft_wrap=True)


def _model(name: str) -> tuple[Model, str | None]:
    """The trained prior of a directory, or one that is shipped and the name of that."""
    from ..priors import Model, zoo

    if is_model(name):
        return Model.load(name), None
    try:
        return zoo(name), name
    except KeyError as error:
        raise ValueError(f"got {name}, which is no trained prior: {error.args[0]}; expected one of them, or a "
                         "directory as sciencegen train FILE --window 8 writes it") from error


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)
