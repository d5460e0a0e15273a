"""What a forecast gives back: an ensemble of trajectories in physical units, how good it is, and how it came about."""

from __future__ import annotations

import html
import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray

from . import forecast_plot, metrics
from .files import guarded, netcdf, replacing
from .files.child import in_child

__all__ = ["Forecast"]

ROWS = ("sample", "member")
SCORES = ("crps", "error", "spread", "spread_skill", "coverage", "energy_score")


@dataclass(frozen=True)
class Forecast:
    """An ensemble of trajectories for each of some samples.

    Arguments:
        frames: the horizon's frames of each part over ``(sample, member, time, ...)``, and what was drawn with them
            and has no time over ``(sample, member, ...)``; coordinates ``reference_time``, of the last frame that was
            known, ``lead`` of each frame behind it, and ``time``, their sum.
        history: the frames that were known, over the same axes.
        weights: ``(sample, member)`` logarithms of prior over drawn density; zero where members are draws of the prior.
        status: 0 for a finished run, 1 for one that was interrupted, whose frames are then fewer.
        message: the same in words.
        nfev: calls of the network.
        seeds: ``(sample, member)``, the random stream of each; the same seeds give the same members.
        config: settings and versions.
    """

    frames: xarray.Dataset
    history: xarray.Dataset
    weights: np.ndarray
    status: int
    message: str
    nfev: int
    seeds: np.ndarray
    config: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.frames.sizes["member"]

    def first(self, frames: int) -> Forecast:
        """The same with no more than its first frames."""
        return replace(self, frames=self.frames.isel(time=slice(frames)))

    @property
    def parts(self) -> list[str]:
        """Names of the parts in time."""
        return [str(k) for k, v in self.frames.data_vars.items() if "time" in v.dims]

    def shares(self) -> torch.Tensor | None:
        """What each member stands for, ``(member, sample)`` with sum one over members; None where all are alike."""
        return torch.as_tensor(self.weights).double().T.softmax(0) if self.weights.any() else None

    def probability(self, event: Callable[[xarray.Dataset], Any]) -> xarray.Dataset:
        """How likely an event is under the prior, for each sample.

        ``probability``, the mean of weight times indicator, unbiased; its ``error``, one standard deviation; and
        ``effective``, how many equal draws of the event the members that saw it are worth.

        Arguments:
            event: of :attr:`frames`, true or false ``(sample, member)``.
        """
        seen = np.exp(self.weights) * np.asarray(event(self.frames), float)
        square = np.square(seen).sum(1)
        found = {"probability": seen.mean(1), "error": seen.std(1, ddof=1) / len(self) ** 0.5,
                 "effective": np.square(seen.sum(1)) / np.where(square > 0, square, 1)}
        return xarray.Dataset({k: ("sample", v) for k, v in found.items()})

    def scores(self, truth: Any, level: float = 0.9) -> xarray.Dataset:
        """How good the forecast is at each lead: each part over ``(score, time)``, means over samples and space.

        ``crps`` and ``error``, the root mean square of the members' mean, are in the part's unit; ``spread`` is what
        the error would be if the truth were one more member, and ``spread_skill`` their ratio; ``coverage`` is the
        share of numbers inside the central ``level`` interval, NaN for too few members; ``energy_score`` is of whole
        frames, in their 2-norm.

        Arguments:
            truth: what came: a data set or a dictionary of arrays ``(sample, time, ...)``, the horizon's frames last.
        """
        return xarray.Dataset({k: self._scored(self.frames[k], truth[k], level) for k in self.parts if k in truth},
                              {"lead": self.frames["lead"]})

    def _scored(self, members: xarray.DataArray, truth: Any, level: float) -> xarray.DataArray:
        samples = torch.as_tensor(members.transpose("member", "sample", "time", ...).values).double()
        wanted = torch.as_tensor(np.asarray(truth)).double()
        wanted = wanted[None] if wanted.ndim == samples.ndim - 2 else wanted
        wanted = wanted[:, -samples.shape[2]:]
        if wanted.shape != samples.shape[1:]:
            raise ValueError(f"got a truth of '{members.name}' of shape {tuple(np.shape(truth))}; expected "
                             f"{tuple(samples.shape[1:])}, samples, frames and the part's axes, or more frames before")
        shares, enough = self.shares(), (len(samples) + 1) * (1 - level) / 2 > 1 - 1e-9
        rows = [_lead(samples[:, :, t], wanted[:, t], shares, level if enough else None)
                for t in range(samples.shape[2])]
        return xarray.DataArray(np.array(rows).T, {"score": list(SCORES)}, ("score", "time"),
                                attrs={"units": members.attrs.get("units", "")})

    def plot(self, truth: Any = None, part: str | None = None, sample: int = 0) -> tuple[Any, Any]:
        """Figure and axes of one part of one sample, never shown (:func:`sciencegen.forecast_plot.plot`).

        Arguments:
            truth: as for :meth:`scores`, of all samples; frames of the history before, if they are there.
            part: its name; the first one in time unless given.
            sample: its place.
        """
        name = part or self.parts[0]
        scores = None if truth is None or name not in truth else self.scores(truth)[name]
        return forecast_plot.plot(*self._one(name, sample, truth), scores)

    def film(self, path: str | os.PathLike, truth: Any = None, part: str | None = None, sample: int = 0) -> Path:
        """An animated GIF of one part of one sample, frame by frame; arguments as of :meth:`plot`."""
        return forecast_plot.film(*self._one(part or self.parts[0], sample, truth), path)

    def _one(self, name: str, sample: int, truth: Any
             ) -> tuple[xarray.DataArray, xarray.DataArray, xarray.DataArray | None]:
        """History and forecast of one sample over ``(member, time, ...)``, and what is known to have come."""
        known, ahead = self.history[name].isel(sample=sample), self.frames[name].isel(sample=sample)
        if truth is None or name not in truth:
            return known, ahead, None
        came = np.asarray(truth[name])
        came = came[sample] if came.ndim == ahead.ndim else came
        frames = known.sizes["time"] + ahead.sizes["time"]
        before, came = known.isel(member=0).values[: max(frames - len(came), 0)], came[-frames:]
        return known, ahead, xarray.DataArray(np.concatenate([before, came]), dims=ahead.dims[1:])

    def save(self, path: str | os.PathLike) -> Path:
        """Write netCDF4 (HDF5), under another name first, then renamed; :meth:`load` reads it back.

        Each part is over ``(sample, member, time, ...)``, history first and the horizon's frames last, as ``lead``
        says, so that any program that reads netCDF reads a forecast.
        """
        moving = self.parts
        whole = xarray.concat([self.history[moving], self.frames[moving]], "time", coords="minimal", compat="override",
                              join="override", combine_attrs="override")
        rest = {k: v for k, v in self.frames.data_vars.items() if k not in moving}
        found = whole.assign(rest).assign_coords(log_weight=(ROWS, self.weights), seed=(ROWS, self.seeds))
        found.attrs = {"status": self.status, "message": self.message, "nfev": self.nfev,
                       "config": json.dumps(self.config), "Conventions": "CF-1.11"}
        with replacing(Path(path)) as new:
            found.to_netcdf(new, engine="h5netcdf")
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike, isolated: bool = False) -> Forecast:
        """Read what :meth:`save` wrote; ValueError for any other file.

        ``isolated``: a process of its own reads it first, as :func:`sciencegen.io.open` says.
        """
        if isolated:
            in_child(path, lambda beat: (cls.load(path), None)[1])
        with guarded(path, "a file", "one that Forecast.save wrote", "name a forecast.nc, or make it again"):
            whole = xarray.decode_cf(netcdf.group(path).load(), decode_timedelta=False)
            attrs, came = whole.attrs, whole["lead"].values > 0
            weights, seeds = whole["log_weight"].values, whole["seed"].values
            whole = whole.drop_vars(["log_weight", "seed"]).drop_attrs(deep=False)
            moving = [k for k, v in whole.data_vars.items() if "time" in v.dims]
            return cls(whole.isel(time=came), whole[moving].isel(time=~came), weights, int(attrs["status"]),
                       str(attrs["message"]), int(attrs["nfev"]), seeds, json.loads(attrs["config"]))

    def _summary(self) -> dict[str, str]:
        names = ", ".join(f"{k} {tuple(self.frames[k].shape[2:])}" for k in self.frames.data_vars)
        sizes = self.frames.sizes
        return {"forecast": f"{sizes['sample']} samples x {sizes['member']} members of {names}",
                "frames": f"{self.history.sizes['time']} known, {sizes['time']} ahead",
                "network calls": str(self.nfev), "message": self.message}

    def __repr__(self) -> str:
        return "\n".join(["Forecast", *(f"  {k}: {v}" for k, v in self._summary().items())])

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th style='text-align:left'>{html.escape(k)}</th><td style='text-align:left'>"
                       f"{html.escape(v)}</td></tr>" for k, v in self._summary().items())
        return f"<table><caption>Forecast</caption>{rows}</table>{self.frames._repr_html_()}"


def _lead(samples: torch.Tensor, truth: torch.Tensor, shares: torch.Tensor | None, level: float | None) -> list[float]:
    """The scores of one lead; NaN for those that need two members, or more for the coverage."""
    error = (metrics.mean(samples, shares) - truth).square().mean().sqrt()
    if len(samples) < 2:
        return [(samples[0] - truth).abs().mean().item(), error.item(), *[math.nan] * (len(SCORES) - 2)]
    skill = metrics.spread_skill(samples, truth, shares)
    cover = math.nan if level is None or shares is not None else metrics.coverage(samples, truth, level).item()
    return [metrics.crps(samples, truth, shares).mean().item(), error.item(), (skill * error).item(), skill.item(),
            cover, metrics.energy_score(samples.flatten(2) if samples.ndim > 2 else samples[..., None],
                                        truth.flatten(1) if truth.ndim > 1 else truth[..., None], 1,
                                        shares).mean().item()]
