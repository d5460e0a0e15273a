"""What a task gives back: samples in physical units, how good they are, and how they came about."""

from __future__ import annotations

import html
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray

from . import plot

__all__ = ["Result"]


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

    def __len__(self) -> int:
        return self.samples.sizes["sample"]

    def plot(self) -> tuple[Any, Any]:
        """Figure and axes: the terms' energies on the way, and the spread of what came out; never shown."""
        return plot.result(self.history, self.fun, self.success)

    def save(self, path: str | os.PathLike) -> Path:
        """Write netCDF4 (HDF5), under another name first, then renamed; :meth:`load` reads it back."""
        path = Path(path)
        scores = xarray.Dataset({k: ("sample", getattr(self, k)) for k in ("fun", "success", "seeds")})
        scores.attrs = {"status": self.status, "message": self.message, "nfev": self.nfev,
                        "config": json.dumps(self.config), "Conventions": "CF-1.11"}
        tree = xarray.DataTree.from_dict({"/": scores, "/samples": self.samples, "/history": self.history})
        new = path.with_name(path.name + ".new")
        try:
            tree.to_netcdf(new, engine="h5netcdf")
            os.replace(new, path)
        finally:
            new.unlink(missing_ok=True)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike) -> Result:
        """Read what :meth:`save` wrote; ValueError for any other file."""
        try:
            with xarray.open_datatree(path, engine="h5netcdf") as tree:
                parts = {k: tree[k].to_dataset(inherit=False).load() for k in ("/", "samples", "history")}
            root, attrs = parts["/"], parts["/"].attrs
            return cls(parts["samples"], root.fun.values, root.success.values.astype(bool), int(attrs["status"]),
                       str(attrs["message"]), int(attrs["nfev"]), parts["history"], root.seeds.values,
                       json.loads(attrs["config"]))
        except FileNotFoundError:
            raise
        except Exception as error:  # h5netcdf and xarray raise many kinds
            raise ValueError(f"got {path} ({error}); expected a file that Result.save wrote") from error

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
