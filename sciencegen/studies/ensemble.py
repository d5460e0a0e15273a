"""An ensemble of designs on its way through the stages of a study: samples, their objective, why some are rejected.

Whatever is known of a design stands in one dataset, a row a design, in physical units. Three variables have a meaning
to every stage: ``fun``, the objective by which designs are sorted (low is good); ``reason``, a text that says why a
design is rejected, empty where it is not; ``seed``, its random stream; ``place``, where a study has a better order than
the objective's. All others are the study's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import xarray

from ..result import Result, described

__all__ = ["Ensemble"]

OWN = ("fun", "seed")  # variables that a result holds beside its samples


@dataclass(frozen=True)
class Ensemble:
    """Designs, best or not, that a stage takes and a stage gives back.

    Arguments:
        count: designs that are asked for in the end; an ensemble may hold more.
        samples: dim ``sample``, with ``fun``, ``reason`` and ``seed``.
        history: energies of the terms, dims ``step, sample``, of all stages that sampled.
        spent: what was paid so far, by name: ``network_calls``, and whatever a study's solver counts.
        interrupted: how far a stage came that was interrupted from the keyboard; empty if none was.
        drawn: how the samples were drawn, for the record.
        progress: show bars where there is a terminal.
        device: where to sample; the prior's unless given. Designs themselves are held on the host.
    """

    count: int
    samples: xarray.Dataset
    history: xarray.Dataset = field(default_factory=xarray.Dataset)
    spent: Mapping[str, float] = field(default_factory=dict)
    interrupted: str = ""
    drawn: Mapping[str, object] = field(default_factory=dict)
    progress: bool = True
    device: str | None = None

    @classmethod
    def asked(cls, count: int, seeds: torch.Tensor | None, progress: bool = True, device: str | None = None
              ) -> Ensemble:
        """``count`` designs that are yet to be drawn, from ``seeds (count,)`` or fresh ones."""
        seeds = torch.randint(0, 2**50, (count,)) if seeds is None else torch.as_tensor(seeds)
        if seeds.shape != (count,):
            raise ValueError(f"got seeds {tuple(seeds.shape)} for {count} designs; expected ({count},), one a design")
        return cls(count, xarray.Dataset({"seed": ("sample", seeds.numpy())}), progress=progress, device=device)

    def __len__(self) -> int:
        return self.samples.sizes["sample"]

    @property
    def seeds(self) -> torch.Tensor:
        """``(sample,)``."""
        return torch.as_tensor(self.samples["seed"].values)

    @property
    def good(self) -> np.ndarray:
        """``(sample,)``: whether a design is not rejected."""
        return self.samples["reason"].values == ""

    def best(self, count: int) -> np.ndarray:
        """The numbers of the ``count`` best: not rejected first, of these by ``place``, then by ``fun``."""
        place = self.samples["place"].values if "place" in self.samples else np.zeros(len(self))
        return np.lexsort([self.samples["fun"].values, place, ~self.good])[:count]

    def isel(self, rows: np.ndarray) -> Ensemble:
        """The designs of these numbers, in this order."""
        some = {k: getattr(self, k).isel(sample=rows, missing_dims="ignore") for k in ("samples", "history")}
        return replace(self, **some)

    def updated(self, found: xarray.Dataset, rows: np.ndarray | None = None) -> Ensemble:
        """With the variables of ``found`` for the designs ``rows``, for all by default.

        A variable that is new has no value, NaN, False or an empty text, in the other rows. ``found.attrs["spent"]`` is
        added to what was spent.
        """
        rows = np.arange(len(self)) if rows is None else rows
        names = {str(k): _placed(self.samples.get(k), v, rows, len(self)) for k, v in found.data_vars.items()}
        coords = {k: v for k, v in found.coords.items() if k not in self.samples}
        samples = self.samples.assign_coords(coords).assign(names)
        return replace(self.paid(found.attrs.get("spent", {})), samples=samples)

    def paid(self, spent: Mapping[str, float]) -> Ensemble:
        """With ``spent`` added to what was spent."""
        return replace(self, spent={k: self.spent.get(k, 0) + spent.get(k, 0) for k in {**self.spent, **spent}})

    def result(self, config: Mapping[str, object], labels: Mapping[str, tuple[str, str]] | None = None) -> Result:
        """The designs as a :class:`Result`, in their order.

        Arguments:
            config: the record of what was asked.
            labels: long names and units of variables that have none.
        """
        known = {"count": self.count, "spent": dict(self.spent)}
        samples = self.samples.drop_vars(OWN).assign(reason=self.samples["reason"].astype(str))
        return Result(
            samples=described(samples, labels or {}),
            fun=self.samples["fun"].values, success=self.good, status=int(bool(self.interrupted)),
            message=self.interrupted or "finished", nfev=int(self.spent.get("network_calls", 0)), history=self.history,
            seeds=self.samples["seed"].values, config={**self.drawn, **config, **known})


def _placed(old: xarray.DataArray | None, new: xarray.DataArray, rows: np.ndarray, count: int) -> xarray.Variable:
    """``new``, of some ``rows`` among ``count``, in the place of ``old`` there."""
    text = new.dtype.kind in "OU"  # of any length: an array of letters would cut what comes later
    if len(rows) == count and np.array_equal(rows, np.arange(count)):
        return new.astype(object).variable if text else new.variable
    if old is None:
        nothing = {"O": "", "U": "", "b": False}.get(new.dtype.kind, np.nan)
        values = np.full((count, *new.shape[1:]), nothing, dtype=object if text else new.dtype)
    else:
        values = old.values.astype(object) if text else old.values.copy()
    values[rows] = new.values
    return xarray.Variable(new.dims, values, new.attrs)
