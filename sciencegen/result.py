"""What a task gives back: samples in physical units, how good they are, and how they came about."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray

from . import metrics, plot
from .files import guarded, netcdf, replacing
from .files.child import in_child

__all__ = ["Result", "described"]

_SCHEMA = "a result of sciencegen"
_SCORES = {  # name in the file, kinds of numbers as numpy calls them, what it is, its unit
    "fun": ("objective", "fiu", "objective, low is good; what the judge says, where there is one", {"units": ""}),
    "success": ("success", "biu", "whether the sample is finite and meets all that was asked", {}),
    "seeds": ("seed", "iu", "random stream of the sample", {"units": "1"}),
}
_MORE = ("data", "truth")  # what a design or an inverse problem has beside its samples
_TOLD = {  # long name and unit of variables that have none of their own
    "samples": {"reason": ("why it is rejected, empty where it is not", "")},
    "history": {"sigma": ("noise level", "1"), "acceptance": ("probability that the corrector's move is taken", "1"),
                "objective": ("energy of the objective, times its weight", "1"), "laws": ("energy of the laws", "1"),
                "misfit": ("energy of the misfit", "1"), "law": ("energy of the laws' residuals", "1")},
    "data": {"value": ("reading", ""), "noise": ("standard deviation of the reading's noise", ""),
             "predicted": ("what the sample would have read", ""), "variable": ("part that was read", ""),
             "unit": ("unit of the reading", ""), "misfit": ("misfit of the readings over their noise", "1"),
             "residual": ("2-norm of the laws' residual", "1")},
    "truth": {},
}


@dataclass(frozen=True)
class Result:
    """An ensemble of answers.

    Arguments:
        samples: physical parts over the dim ``sample``; a design's best first.
        fun: ``(sample,)`` what the judge says, or the objective where there is no judge; NaN for an inverse problem.
        success: ``(sample,)`` whether a sample is finite and meets every constraint.
        status: 0 for a finished run, 1 for one that was interrupted.
        message: the same in words.
        nfev: calls of the network.
        history: each term's energy (and a kernel's acceptance) over ``step`` and ``sample``, with coordinate ``sigma``.
        seeds: ``(sample,)`` the random stream of each sample; the same seeds give the same samples.
        config: settings and versions.
        data: of a design: over ``sample`` the value of each constraint, by its name. Of an inverse problem: over
            ``measurement`` its ``value``, ``noise``, ``predicted`` (what each sample would have read) and, if known,
            the ``variable``, its ``unit`` and where; over ``sample`` the ``misfit`` (root mean square, in units of the
            noise; one is as it should be) and the ``residual`` of the law (its 2-norm).
        truth: of an inverse problem, where it is known: the parts in physical units.

    Every variable of these has ``units`` and a ``long_name`` (:func:`described`).
    """

    samples: xarray.Dataset
    fun: np.ndarray
    success: np.ndarray
    status: int
    message: str
    nfev: int
    history: xarray.Dataset
    seeds: np.ndarray
    config: dict[str, Any] = field(default_factory=dict)
    data: xarray.Dataset = field(default_factory=xarray.Dataset)
    truth: xarray.Dataset = field(default_factory=xarray.Dataset)

    def __post_init__(self) -> None:
        for name, told in _TOLD.items():
            object.__setattr__(self, name, described(getattr(self, name), told))

    def __len__(self) -> int:
        return self.samples.sizes["sample"]

    def isel(self, samples: np.ndarray) -> Result:
        """The samples of these numbers, in this order, with all that is known of them."""
        sets = {k: getattr(self, k).isel(sample=samples, missing_dims="ignore") for k in ("samples", "history", "data")}
        return replace(self, **sets, **{k: getattr(self, k)[samples] for k in ("fun", "success", "seeds")})

    def posterior(self, level: float = 0.9) -> xarray.Dataset:
        """Each variable's ``mean``, ``spread`` (standard deviation), ``lower``, ``upper`` over the dim ``statistic``.

        The ends are those of the central ``level`` interval, by the ``k / (S + 1)`` rule of
        :func:`sciencegen.metrics.coverage`: NaN if there are too few samples for it. All are in the variable's unit.
        """
        few = (len(self) + 1) * (1 - level) / 2 < 1 - 1e-9
        with xarray.set_options(keep_attrs=True):
            ends = [self.samples.quantile((1 + sign * level) / 2, "sample", method="weibull").drop_vars("quantile")
                    for sign in (-1, 1)]
            found = [self.samples.mean("sample"), self.samples.std("sample", ddof=1 if len(self) > 1 else 0),
                     *(end.where(not few) for end in ends)]
            return xarray.concat(found, "statistic").assign_coords(statistic=["mean", "spread", "lower", "upper"])

    def scores(self, truth: Mapping[str, Any] | None = None, level: float = 0.9) -> xarray.Dataset:
        """How good the ensemble is, by the truth: each variable over the dim ``score``.

        ``error`` of the mean and ``sample_error`` of the single samples (root mean square) are relative to the truth's
        2-norm; ``crps`` is a mean in the variable's unit; ``coverage`` is the share of numbers inside the central
        ``level`` interval. ValueError if there is no truth, or too few samples for the interval.
        """
        truth = self.truth if truth is None else truth
        if not len(truth):
            raise ValueError("got no truth; expected scores(truth), or invert(..., truth=...)")
        names, found = ("error", "sample_error", "crps", "coverage"), {}
        for name, value in self.samples.data_vars.items():
            samples = torch.as_tensor(value.values).double().reshape(len(self), -1)
            wanted = torch.as_tensor(np.asarray(truth[name])).double().flatten()
            each = metrics.relative_error(samples, wanted.expand_as(samples))
            found[name] = ("score", [float(v) for v in (
                metrics.relative_error(samples.mean(0), wanted), each.square().mean().sqrt(),
                metrics.crps(samples, wanted).mean(), metrics.coverage(samples, wanted, level))])
        return xarray.Dataset(found, {"score": list(names)})

    def plot(self) -> tuple[Any, Any]:
        """Figure and axes, never shown: of an inverse problem truth, data, mean and spread of each field.

        Of designs the fields of the best ones, and all objectives.
        """
        if "measurement" in self.data.sizes and any(value.ndim > 1 for value in self.samples.data_vars.values()):
            return plot.posterior(self.posterior(), self.data, self.truth)
        return plot.designs(self.samples, self.fun, self.success)

    def save(self, path: str | os.PathLike) -> Path:
        """Write netCDF4 (HDF5), under another name first, then renamed; :meth:`load` reads it back.

        At the root are the samples with their ``objective``, ``success`` and ``seed``, so that
        ``xarray.open_dataset(path)`` shows them; a sample's own variable of such a name keeps it, and the score gets a
        line at its end. Groups are ``history`` and, of an inverse problem, ``data`` and ``truth``.
        """
        path, scores = Path(path), {}
        for name, (own, _, long_name, units) in _SCORES.items():
            while own in self.samples.variables or own in self.samples.dims:
                own += "_"
            scores[own] = ("sample", getattr(self, name), {"long_name": long_name, "role": name, **units})
        root = self.samples.assign(scores)
        root.attrs = {**root.attrs, "status": self.status, "message": self.message, "nfev": self.nfev,
                      "config": json.dumps(self.config), "Conventions": "CF-1.11", "source_schema": _SCHEMA}
        groups = {"history": self.history, **{k: v for k in _MORE if len(v := getattr(self, k))}}
        with replacing(path) as new:
            root.to_netcdf(new, engine="h5netcdf")
            for name, found in groups.items():
                found.to_netcdf(new, mode="a", group=name, engine="h5netcdf")
        return path

    @classmethod
    def load(cls, path: str | os.PathLike, isolated: bool = False) -> Result:
        """Read what :meth:`save` wrote; ValueError for any other file.

        ``isolated``: a process of its own reads it first, as :func:`sciencegen.io.open` says.
        """
        if isolated:
            in_child(path, lambda beat: (cls.load(path), None)[1])
        with guarded(path, "a file", "one that Result.save wrote", "name a result.nc, or make it again"):
            parts = netcdf.tree(path)
            if "samples" in parts:
                raise ValueError("samples in a group, as version 0.1 wrote; make it again by `sciencegen rerun RUN`")
            root, attrs = parts[""], parts[""].attrs
            named = {str(v.attrs["role"]): k for k, v in root.data_vars.items() if v.attrs.get("role") in _SCORES}
            if missing := sorted(_SCORES.keys() - named.keys()):
                raise ValueError(f"no scores {missing} at its root")
            scores = {k: root[name].values for k, name in named.items()}
            if [scores[k].dtype.kind in kinds for k, (_, kinds, _, _) in _SCORES.items()] != [True] * len(_SCORES):
                raise ValueError(f"scores of types { {k: str(scores[k].dtype) for k in _SCORES} }")
            samples = root.drop_vars(list(named.values())).drop_attrs(deep=False)
            if samples.sizes.get("sample") != len(scores["fun"]):
                raise ValueError("scores and no samples of theirs")
            return cls(samples, scores["fun"], scores["success"].astype(bool), int(attrs["status"]),
                       str(attrs["message"]), int(attrs["nfev"]), parts["history"], scores["seeds"],
                       json.loads(attrs["config"]), **{k: parts[k] for k in _MORE if k in parts})

    def _summary(self) -> dict[str, str]:
        good = self.fun[self.success & np.isfinite(self.fun)]
        best = f"{good.min():.6g}" if len(good) else "-"
        names = ", ".join(f"{k} {tuple(v.sizes.values())[1:]}" for k, v in self.samples.data_vars.items())
        return {"samples": f"{len(self)} of {names}", "feasible": f"{int(self.success.sum())} of {len(self)}",
                "best": best, "network calls": str(self.nfev), "message": self.message}

    def __repr__(self) -> str:
        return "\n".join(["Result", *(f"  {k}: {v}" for k, v in self._summary().items())])

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th style='text-align:left'>{html.escape(k)}</th><td style='text-align:left'>"
                       f"{html.escape(v)}</td></tr>" for k, v in self._summary().items())
        return f"<table><caption>Result</caption>{rows}</table>{self.samples._repr_html_()}"


def described(data: xarray.Dataset, told: Mapping[str, tuple[str, str]]) -> xarray.Dataset:
    """The same data with a ``long_name`` and, where they are numbers, ``units`` on each variable.

    Arguments:
        told: long name and unit, by the variable's name, of those that say nothing themselves. Of others the long name
            is the name, and the unit is empty: not known.
    """
    found = data.copy()
    for name, variable in found.variables.items():
        words, unit = told.get(str(name), (str(name).replace("_", " "), ""))
        variable.attrs.setdefault("long_name", words)
        if variable.dtype.kind in "fiuc" and not variable.attrs.get("units"):
            variable.attrs["units"] = unit
    return found
