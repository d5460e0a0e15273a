"""The picture of a sampling run: each term's energy on the way from noise to clean samples."""

from __future__ import annotations

from typing import Any

import xarray
from matplotlib import pyplot

from .style import styled

__all__ = ["terms"]


@styled
def terms(history: xarray.Dataset) -> tuple[Any, Any]:
    """Each term's energy over the noise level, median and 80 % band over the samples; figure and axis."""
    figure, axis = pyplot.subplots(figsize=(6.0, 3.6))
    energies = history.drop_vars("acceptance", errors="ignore")  # a probability, not an energy
    for name, term in energies.data_vars.items():
        term = term.dropna("step", how="all")  # of one stage of several
        low, middle, high = (term.quantile(q, "sample") for q in (0.1, 0.5, 0.9))
        axis.plot(term.sigma, middle, label=name)
        axis.fill_between(term.sigma, low, high, alpha=0.2)
    axis.set(xscale="log", xlabel="noise level", ylabel="energy of the term")
    axis.set_yscale("symlog")
    axis.invert_xaxis()
    if energies.data_vars:
        axis.legend()
    return figure, axis
