"""What is said of an assimilation: how the readings stand to what was expected, scores where the truth is known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot

from ..forecasts import Forecast
from ..observations import Observations
from ..plot import COLORS, WIDTH, styled
from .runs import Report, write_run
from .study import keep
from .tables import Table

__all__ = ["report", "scores", "write"]

PICTURE = "assimilation.png"
JUDGED = ("Innovations: each reading against what was expected before it, in units of its expected deviation; no other "
          "program was asked.",)
ODD = (0.7, 1.4)  # of chi, outside of which readings and prior do not fit each other
FEW = 10.0  # effective members


def scores(forecast: Forecast, observations: Observations) -> dict[str, dict[str, float]]:
    """Of each part whose truth the observations have: means over frames of what :meth:`Forecast.scores` says."""
    frames = forecast.config["horizon"]
    truth = {k: v[None] for k, v in observations.truth.items() if k in forecast.parts}
    if not truth:
        return {}
    kept = forecast.frames.isel(time=slice(frames))
    found = Forecast(kept, forecast.history, forecast.weights, 0, "", 0, forecast.seeds, {}).scores(truth)
    return {str(k): {str(n): float(v.sel(score=n).mean()) for n in v.score.values} for k, v in found.data_vars.items()}


def report(forecast: Forecast, observations: Observations) -> Report:
    """All that is said of an assimilation."""
    told, config = forecast.config["readings"], forecast.config
    rows = [{"part": name, "readings": str(row["count"]), "chi": f"{row['chi']:.2f}", "bias": f"{row['bias']:+.2f}",
             "inside 90 %": f"{100 * row['inside']:.0f} %"} for name, row in told["parts"].items()]
    least, mean = (told["effective size"][k] for k in ("least", "mean"))
    below = f"effective members: {mean:.0f} in the mean, {least:.0f} at least" + (
        "" if told["share"] is None else f"; {100 * told['share']:.0f} % of the covariance in closed form, members' "
        f"inflated by {told['inflation']:.2f}")
    tables = [Table("readings against what was expected of them", rows, below)]
    found = scores(forecast, observations)
    if found:
        tables.append(Table("against the truth", [{"part": name, **{k: f"{v:.3g}" for k, v in row.items()}}
                                                  for name, row in found.items()]))
    kind = "Smoother" if config["mode"] == "smooth" else "Filter"
    title = f"{kind}: {len(forecast)} members of {config['horizon']} frames from {len(observations)} readings"
    return Report(title, tables, [f"{forecast.message}; {forecast.nfev:,} network calls"], JUDGED, _warnings(told),
                  {PICTURE: "Mean and standard deviation of the members over time, and where was read."})


def _warnings(told: Mapping[str, Any]) -> list[str]:
    found = [f"Readings of '{name}' are {row['chi']:.2f} times as far from what was expected as they should be: look "
             "at their times, units and noise, or at what the model was trained on."
             for name, row in told["parts"].items() if not ODD[0] <= row["chi"] <= ODD[1]]
    least = told["effective size"]["least"]
    return found + ([f"Only {least:.1f} particles were worth their weight at one frame."] if least < FEW else [])


def write(directory: Path, forecast: Forecast, observations: Observations, asked: Mapping[str, Any],
          overwrite: bool = False) -> list[str]:
    """Write a run directory as a whole; the names of its files."""

    def files(folder: Path) -> None:
        forecast.save(folder / "forecast.nc")
        keep(picture(forecast, observations), folder / PICTURE)
        if found := scores(forecast, observations):
            (folder / "scores.json").write_text(json.dumps(found, indent=2))

    return write_run(directory, report(forecast, observations), asked, files, forecast.config, forecast.message, False,
                     overwrite)


@styled
def picture(forecast: Forecast, observations: Observations) -> Any:
    """Of each part mean and spread over time, with the readings; the figure."""
    names = forecast.parts
    figure, axes = pyplot.subplots(len(names), 2, squeeze=False, figsize=(WIDTH, 2.8 * len(names)))
    for row, name in zip(axes, names):
        value, here = forecast.frames[name].isel(sample=0), observations.readings.get(name)
        while value.ndim > 3:  # of more axes of space the middle of the last ones
            value = value.isel({value.dims[-1]: value.shape[-1] // 2})
        draw = _curves if value.ndim < 3 or value.shape[-1] <= 8 else _maps
        draw(row, value, here if here is None or here.coordinates.shape[1] == value.ndim - 1 else None)
        row[0].set_title(f"{name}: mean")
        row[1].set_title(f"{name}: spread")
    return figure


def _maps(row: Any, value: Any, readings: Any) -> None:
    """Time across, space up; sensors as dots."""
    dim = value.dims[-1]
    up = value[dim].values if dim in value.coords else np.arange(value.sizes[dim])
    fields = value.mean("member"), value.std("member", ddof=1)
    for axis, field, look in zip(row, fields, ("viridis", "magma")):
        shown = axis.pcolormesh(value["time"].values, up, field.values.T, shading="nearest", cmap=look)
        axis.figure.colorbar(shown, ax=axis)
        axis.set(xlabel="time", ylabel=dim)
    if readings is not None:
        row[0].plot(*readings.coordinates.T, ".", color="white", markersize=2)


def _curves(row: Any, value: Any, readings: Any) -> None:
    """A line for each number."""
    time = value["time"].values
    mean, spread = (getattr(value, f)("member").values.reshape(len(time), -1) for f in ("mean", "std"))
    for k, (line, width) in enumerate(zip(mean.T, spread.T)):
        color = COLORS[k % len(COLORS)]
        row[0].plot(time, line, color=color)
        row[0].fill_between(time, line - 2 * width, line + 2 * width, color=color, alpha=0.2, linewidth=0)
        row[1].plot(time, width, color=color)
    if readings is not None:
        row[0].plot(readings.coordinates[:, 0], readings.values, "k.", markersize=4)
    for axis in row:
        axis.set(xlabel="time")
