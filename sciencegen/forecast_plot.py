"""Pictures of forecasts: what was known, what came, what the members say of it, and how good that is by the lead."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray
from matplotlib import animation, pyplot

from . import metrics
from .plot import COLORS, WIDTH, styled

__all__ = ["film", "plot"]

SHOWN = 5  # times of a field over two axes
BORDER = {"color": "tab:red", "linewidth": 1.5}


@styled
def plot(known: xarray.DataArray, ahead: xarray.DataArray, truth: xarray.DataArray | None,
         scores: xarray.DataArray | None) -> tuple[Any, Any]:
    """One part of one sample: truth, mean, spread and two members; below, scores over the lead and spectra.

    A series is drawn as lines, a field over one axis over space and time, one over two axes at some times; a line
    stands between history and forecast. Figure and axes by name.

    Arguments:
        known, ahead: frames over ``(member, time, ...)``; of more than two axes of space the first entries are drawn.
        truth: over ``(time, ...)``, history and horizon, or as much as is known.
        scores: of all samples, over ``(score, time)``.
    """
    while ahead.ndim > 4:
        at = {ahead.dims[2]: 0}
        known, ahead, truth = known.isel(at), ahead.isel(at), None if truth is None else truth.isel(at)
    rows = _rows(known, ahead, truth)
    draw = (_lines, _strips, _maps)[ahead.ndim - 2]
    figure = pyplot.figure(figsize=(WIDTH, 3.0 + (1.7 * len(rows) if ahead.ndim == 4 else 3.0)))
    top, below = figure.subfigures(2, 1, height_ratios=(2.0 * len(rows) if ahead.ndim == 4 else 3.0, 2.6))
    axes = {"fields": draw(top, rows, known, ahead)}
    axes["scores"], axes["spectrum"] = below.subplots(1, 2)
    _scored(axes["scores"], ahead, scores)
    _spectra(axes["spectrum"], ahead, truth)
    return figure, axes


@styled
def film(known: xarray.DataArray, ahead: xarray.DataArray, truth: xarray.DataArray | None, path: str | os.PathLike,
         rate: float = 8.0) -> Path:
    """History and forecast frame by frame, side by side, as an animated GIF; arguments as of :func:`plot`."""
    rows = _rows(known, ahead, truth)
    flat = ahead.ndim == 3
    figure, axes = pyplot.subplots(1, len(rows), figsize=(2.6 * len(rows), 2.8), squeeze=False)
    limits, drawn = _limits(rows), []
    for axis, (name, value) in zip(axes[0], rows.items()):
        low, high = (0.0, float(value.max()) or 1.0) if name == "spread" else limits
        if flat:
            drawn.append(axis.plot(np.asarray(value[0]))[0])
            axis.set(ylim=(low, high), title=name)
        else:
            drawn.append(axis.imshow(np.asarray(value[0]).T, origin="lower", vmin=low, vmax=high))
            axis.set(xticks=[], yticks=[], title=name)

    def frame(k: int) -> list[Any]:
        for artist, value in zip(drawn, rows.values()):
            now = np.asarray(value[min(k, len(value) - 1)])
            artist.set_ydata(now) if flat else artist.set_data(now.T)
        lead = k + 1 - known.sizes["time"]
        figure.suptitle(f"frame {lead:+d}" if lead > 0 else f"known, frame {lead}")
        return drawn

    made = animation.FuncAnimation(figure, frame, known.sizes["time"] + ahead.sizes["time"], blit=False)
    made.save(path, writer=animation.PillowWriter(fps=rate))
    pyplot.close(figure)
    return Path(path)


def _rows(known: xarray.DataArray, ahead: xarray.DataArray, truth: xarray.DataArray | None
          ) -> dict[str, xarray.DataArray]:
    """What is shown, over ``(time, ...)``, history first."""
    whole = xarray.concat([known, ahead], "time", coords="minimal", compat="override", join="override")
    spread = whole.std("member", ddof=1 if whole.sizes["member"] > 1 else 0)
    members = {f"member {k + 1}": whole.isel(member=k) for k in range(min(2, whole.sizes["member"]))}
    return ({} if truth is None else {"truth": truth}) | {"mean": whole.mean("member"), "spread": spread} | members


def _limits(rows: Mapping[str, xarray.DataArray]) -> tuple[float, float]:
    ends = [value for name, value in rows.items() if name != "spread"]
    return min(float(v.min()) for v in ends), max(float(v.max()) for v in ends)


def _coordinate(value: xarray.DataArray, dim: Any) -> np.ndarray:
    """Of an axis, or its index."""
    found = np.asarray(value[dim]) if dim in value.coords else np.arange(value.sizes[dim])
    return found if found.dtype.kind in "fiuM" else np.arange(value.sizes[dim])


def _lines(figure: Any, rows: Mapping[str, xarray.DataArray], known: xarray.DataArray, ahead: xarray.DataArray) -> Any:
    axis, time = figure.subplots(), _coordinate(rows["mean"], "time")
    mean, spread = np.asarray(rows["mean"]), np.asarray(rows["spread"])
    axis.fill_between(time, mean - 1.645 * spread, mean + 1.645 * spread, alpha=0.25, linewidth=0, label="90 %")
    for name, value in rows.items():
        if name != "spread":
            color = {"truth": "k", "mean": COLORS[0]}.get(name, COLORS[1])
            width = 0.7 if name.startswith("member") else 1.4
            axis.plot(time[: len(value)], value, color=color, linewidth=width, label=name)
    for border in _coordinate(known, "time")[-1:]:
        axis.axvline(border, **BORDER)
    axis.set(xlabel="time", ylabel=f"{ahead.name} {ahead.attrs.get('units', '')}".strip())
    axis.legend(ncols=5)
    return axis


def _strips(figure: Any, rows: Mapping[str, xarray.DataArray], known: xarray.DataArray, ahead: xarray.DataArray) -> Any:
    axes, (low, high) = figure.subplots(1, len(rows), sharey=True, squeeze=False)[0], _limits(rows)
    place, time = _coordinate(ahead, ahead.dims[-1]), _coordinate(rows["mean"], "time")
    for axis, (name, value) in zip(axes, rows.items()):
        look = {"cmap": "magma", "vmin": 0} if name == "spread" else {"vmin": low, "vmax": high}
        shown = axis.pcolormesh(place, time[: len(value)], np.asarray(value), shading="nearest", **look)
        for border in _coordinate(known, "time")[-1:]:
            axis.axhline(border, **BORDER)
        axis.set(title=name, xlabel=ahead.dims[-1])
        if name in ("mean", "spread"):
            figure.colorbar(shown, ax=axis, location="bottom", label=ahead.attrs.get("units", ""))
    axes[0].set(ylabel="time")
    return axes


def _maps(figure: Any, rows: Mapping[str, xarray.DataArray], known: xarray.DataArray, ahead: xarray.DataArray) -> Any:
    first, count = known.sizes["time"] - 1, ahead.sizes["time"]
    later = first + 1 + np.unique(np.linspace(0, count - 1, SHOWN - 1).round().astype(int))
    times = [first, *later] if first >= 0 else list(later)
    axes, (low, high) = figure.subplots(len(rows), len(times), squeeze=False), _limits(rows)
    for line, (name, value) in zip(axes, rows.items()):
        look = {"cmap": "magma", "vmin": 0, "vmax": float(value.max()) or 1.0} if name == "spread" else {
            "vmin": low, "vmax": high}
        for axis, at in zip(line, times):
            axis.set(xticks=[], yticks=[])
            if at < len(value):
                shown = axis.imshow(np.asarray(value[at]).T, origin="lower", **look)
        figure.colorbar(shown, ax=list(line), shrink=0.8)
        line[0].set_ylabel(name)
        if first >= 0:
            line[1].spines["left"].set(**BORDER)
    for axis, at in zip(axes[0], times):
        axis.set_title("known" if at == first else f"frame +{at - first}")
    return axes


def _scored(axis: Any, ahead: xarray.DataArray, scores: xarray.DataArray | None) -> None:
    """Error, spread and CRPS over the lead; the spread alone where no truth is known."""
    lead = np.asarray(ahead["lead"]) if "lead" in ahead.coords else np.arange(1, ahead.sizes["time"] + 1)
    if scores is None:
        over = [dim for dim in ahead.dims if dim != "time"][1:]
        axis.plot(lead, np.sqrt(ahead.var("member", ddof=min(1, ahead.sizes["member"] - 1)).mean(over)), label="spread")
    else:
        for name in ("error", "spread", "crps"):
            axis.plot(lead[: scores.sizes["time"]], scores.sel(score=name), label=name)
    axis.set(xlabel="lead", ylabel=ahead.attrs.get("units", ""), ylim=(0, None))
    axis.legend(frameon=False)


def _spectra(axis: Any, ahead: xarray.DataArray, truth: xarray.DataArray | None) -> None:
    """The mean power of single members by wave number, and that of the truth; nothing for a series."""
    space = ahead.ndim - 2
    if not space or min(ahead.shape[2:]) < 4:
        axis.set_axis_off()
        return
    for name, value in {"members": ahead, "truth": truth}.items():
        if value is not None:
            field = torch.as_tensor(np.asarray(value)).double()
            power = metrics.spectrum(field, space).reshape(-1, metrics.spectrum(field, space).shape[-1]).mean(0)
            axis.loglog(range(1, len(power)), power[1:], "--" if name == "truth" else "-",
                    color="k" if name == "truth" else COLORS[0], label=name)
    axis.set(xlabel="wave number", ylabel="power")
    axis.legend(frameon=False)
