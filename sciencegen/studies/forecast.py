"""Forecasts of a file's trajectories by a trained prior: what is read of the file, what is said, and the directory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray

from .. import io
from ..forecasts import Forecast
from ..io.usual import usual
from ..layout import Layout
from ..priors import Model
from ..states.parts import StatePart, resolve, tidy
from ..tasks import forecast
from ..tasks.rollout import Frames
from .runs import Report, write_run
from .study import keep
from .tables import Table

__all__ = ["Cases", "cases", "chosen", "report", "solve", "table", "told", "told_of", "write"]

PICTURE = "forecast.png"
APART = 2**20  # seeds from one sample's members to the next


@dataclass(frozen=True)
class Cases:
    """Trajectories of a file that are to be forecast.

    Arguments:
        history: known frames of each part in time, ``(sample, time, ...)``.
        given: what else is known: parts without time, and frames that are known ahead.
        truth: the horizon's frames that the file has; as many as there are.
        samples: which of the file's.
        horizon: frames to come.
    """

    history: xarray.Dataset
    given: xarray.Dataset
    truth: xarray.Dataset
    samples: tuple[int, ...]
    horizon: int


def told_of(model: Model, memory: int | None) -> int:
    """How many frames a window of the prior is told: so many are worth knowing of a history."""
    frames = Frames(model.layout).length
    return memory or model.training.get("forecast", {}).get("memory") or max(frames // 2, 1)


def cases(model: Model, data: Path, samples: str, start: int, history: int, horizon: int | None,
          ahead: Sequence[str] = (), unknown: Sequence[str] = (), missing: float | None = None,
          group: str | None = None) -> Cases:
    """Read what the options say of a file; ValueError or KeyError where it is not there.

    Arguments:
        samples: which, as :func:`chosen` reads it.
        start: the first frame of the history.
        horizon: frames to come; as many as the file has unless given.
        ahead: parts in time whose frames are known to the end of the horizon.
        unknown: parts without time that are in the file and not to be known.
        missing: what stands for NaN.
    """
    layout, whole = model.layout, usual(io.open(data, group=group))
    moving = [k for k, v in layout.variables.items() if v.dims[:1] == ("time",)]
    fixed = [k for k in layout.variables if k not in moving and k not in unknown and _there(whole, k)]
    for flag, names, there in (("ahead", ahead, moving), ("unknown", unknown, [*layout.variables])):
        if lost := [name for name in names if name not in there]:
            raise ValueError(f"got --{flag} {lost[0]}; expected some of {there}")
    found, wanted = tidy(whole, [*moving, *fixed])
    frames = found.sizes.get("time", 1)
    horizon = horizon or max(frames - start - history, 1)
    if start < 0 or start + history > frames or ahead and start + history + horizon > frames:
        raise ValueError(f"got --start {start} and --history {history} of {frames} frames in {data}" + (
            f", with --horizon {horizon} known ahead" if ahead else "") + "; expected frames that are there")
    found = found if "sample" in found.dims else found.expand_dims("sample")
    which = chosen(samples, found.sizes["sample"])
    parts = {part.name: part for part in resolve(found, wanted, frames)}
    read = lambda name, first, last: _read(found, parts[name], layout, which, slice(first, last), missing)
    now, end = start + history, min(start + history + horizon, frames)
    told = {k: read(k, start if k in moving else 0, end) for k in (*fixed, *ahead)}
    return Cases(xarray.Dataset({k: read(k, start, now) for k in moving if k not in ahead}), xarray.Dataset(told),
                 xarray.Dataset({k: read(k, now, end) for k in moving if k not in ahead}), which, horizon)


def chosen(text: str, count: int) -> tuple[int, ...]:
    """The samples that ``0:64``, ``3`` or ``0,5,9`` names; ValueError unless they are some of ``count``."""
    try:
        if ":" in text:
            first, last, *step = (int(end) if end else None for end in text.split(":"))
            found = tuple(range(*slice(first, last, *step).indices(count)))
            fits = (last is None or 0 <= last <= count) and (first or 0) >= 0
        else:
            found = tuple(int(word) for word in text.split(","))
            fits = all(0 <= k < count for k in found) and len(set(found)) == len(found)
    except (TypeError, ValueError):
        found, fits = (), False
    if not found or not fits:
        raise ValueError(f"got --samples {text}; expected some of 0 to {count - 1}, as 0:{count}, 3 or 0,2")
    return found


def solve(model: Model, asked: Cases, members: int, seed: int, memory: int | None, device: str) -> Forecast:
    """The forecast; a sample's members are the same in any company."""
    seeds = torch.tensor(asked.samples)[:, None] * APART + torch.arange(members) + seed * 2**40
    return forecast(model, asked.history, asked.horizon, members, asked.given, memory=memory, seeds=seeds,
                    device=device)


def table(found: Forecast, scores: xarray.Dataset) -> list[Table]:
    """Scores of each part at some leads, powers of two among them."""
    made = []
    for name, value in scores.data_vars.items():
        places = sorted({2**k - 1 for k in range(30) if 2**k <= value.sizes["time"]} | {value.sizes["time"] - 1})
        rows = [{"frame": f"+{k + 1}", "lead": f"{float(value.lead[k]):.4g}", **_cells(value.isel(time=k))}
                for k in places]
        unit = value.attrs.get("units", "")
        made.append(Table(f"{name} by {len(found)} members" + (f", in {unit}" if unit else ""), rows))
    return made


def _cells(scores: xarray.DataArray) -> dict[str, str]:
    value = {str(name): float(scores.sel(score=name)) for name in scores["score"].values}
    return {"CRPS": f"{value['crps']:.4g}", "error": f"{value['error']:.4g}", "spread": f"{value['spread']:.4g}",
            "spread / error": f"{value['spread_skill']:.3f}",
            "90 % intervals hold": f"{100 * value['coverage']:.1f} %"}


def report(model: Model, found: Forecast, scores: xarray.Dataset | None) -> Report:
    """All that is said of a forecast."""
    sizes, verdict = found.frames.sizes, str(model.training.get("verdict", ""))
    told = "" if scores is None else " beside what came"
    return Report(
        f"Forecast: {sizes['time']} frames of {sizes['sample']} samples by {sizes['member']} members",
        [] if scores is None else table(found, scores),
        [found.message, f"{found.nfev:,} network calls; windows are told {found.config['memory']} frames",
         *_alike(found)],
        [] if scores is None else ["Scores: against the file's own later frames, which the forecast did not see."],
        [] if model.training.get("better", True) else [verdict],
        {PICTURE: f"The first sample{told}: the line stands between what was known and the forecast. Below: scores by "
                  "the lead, and the power of single members by wave number."})


def _alike(found: Forecast) -> list[str]:
    """Whether the members are one, as those of a deterministic prior from one start are."""
    frames = [found.frames[name] for name in found.parts]
    same = len(found) > 1 and all(float(f.std("member").max()) <= 1e-5 * float(f.std() + abs(f).max()) for f in frames)
    return ["All members of a sample are one: this prior says no spread, and they began alike. A history of its own "
            "for each member (sg.forecast) gives an ensemble."] if same else []


def write(directory: Path, model: Model, found: Forecast, truth: xarray.Dataset, asked: Mapping[str, Any],
          overwrite: bool = False) -> tuple[list[str], Report]:
    """Write forecast.nc, scores.json where the truth is known, forecast.png and config.json, as a whole."""
    some = truth.sizes.get("time", 0)
    scored = found if not some else found.first(some)
    scores = scored.scores(truth) if some else None
    said = report(model, found, scores)

    def files(folder: Path) -> None:
        found.save(folder / "forecast.nc")
        keep(scored.plot(truth if some else None)[0], folder / PICTURE)
        if scores is not None:
            (folder / "scores.json").write_text(json.dumps(told(scores), indent=2))

    return write_run(directory, said, asked, files, found.config, found.message, False, overwrite), said


def told(scores: xarray.Dataset) -> dict[str, Any]:
    """Scores as JSON: each part's by name, a number a lead, and the leads; none where a number is none."""
    plain = lambda values: [float(v) if np.isfinite(v) else None for v in values]
    return {"lead": plain(scores["lead"].values),
            **{str(name): {str(k): plain(value.sel(score=k).values) for k in value["score"].values}
               for name, value in scores.data_vars.items()}}


def _there(data: xarray.Dataset, part: str) -> bool:
    return part in data.data_vars or any(v.attrs.get("component_of") == part for v in data.data_vars.values())


def _read(data: xarray.Dataset, part: StatePart, layout: Layout, samples: Sequence[int], frames: slice,
          missing: float | None) -> xarray.DataArray:
    """A part of some samples and frames, as the layout has it; ValueError for another grid, and for NaN."""
    found = [data[name].isel(sample=list(samples)) for name in part.variables]
    found = [value.isel(time=frames) if "time" in value.dims else value for value in found]
    axis = None if part.stacked is None else part.stacked + 1
    values = np.asarray(found[0]) if axis is None else np.stack([np.asarray(v) for v in found], axis)
    variable = layout.variables[part.name]
    rest = variable.shape[1:] if part.moves else variable.shape
    if values.shape[1 + part.moves:] != rest:
        raise ValueError(f"got '{part.name}' of shape {values.shape[1 + part.moves:]}; expected {rest}, the prior's")
    if (bad := int(np.isnan(values).sum())) and missing is None:
        raise ValueError(f"got {bad} NaN in '{part.name}'; expected numbers: say --missing 0, or another value that "
                         "stands for them, as in training")
    values = values if missing is None else np.where(np.isnan(values), missing, values)
    coords = {"sample": list(samples)}
    if part.moves and "time" in data.coords:
        coords["time"] = data["time"].values[frames]
    return xarray.DataArray(values, coords, ("sample", *variable.dims), part.name)
