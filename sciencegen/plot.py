"""Pictures: functions of datasets and arrays that return figure and axes and never show them."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray
from matplotlib import pyplot

__all__ = ["result"]


def result(history: xarray.Dataset, fun: np.ndarray, success: np.ndarray) -> tuple[Any, Any]:
    """Each term's energy over the noise level (median and 80 % band), and the sorted objective; figure and axes."""
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    terms = history.drop_vars("acceptance", errors="ignore")  # a probability, not an energy
    for name, term in terms.data_vars.items():
        term = term.dropna("step", how="all")  # of one stage of several
        low, middle, high = (term.quantile(q, "sample") for q in (0.1, 0.5, 0.9))
        axes[0].plot(term.sigma, middle, label=name)
        axes[0].fill_between(term.sigma, low, high, alpha=0.2)
    axes[0].set(xscale="log", xlabel="noise level", ylabel="energy of the term")
    axes[0].set_yscale("symlog")
    axes[0].invert_xaxis()
    if terms.data_vars:
        axes[0].legend(frameon=False)
    order = np.argsort(fun)
    colors = np.where(success[order], "tab:green", "tab:red")
    axes[1].scatter(np.arange(len(fun)), fun[order], c=colors, s=12)
    axes[1].set(xlabel="sample, best first", ylabel="objective", title=f"{int(success.sum())} of {len(fun)} feasible")
    return figure, axes
