r"""The choice of designs: what XFOIL confirms, and of that a portfolio of designs that are far apart.

A network that judges the designs which it led to believes in its own mistakes. XFOIL shares its physics and not its
fit. A design is *verified* where XFOIL carries every lift, and *confirmed* where that costs little more than promised.
Of the two opinions on a confirmed one the worse counts, as a design that owes its rank to one of them owes it to its
mistakes. Of those near the least ten are chosen one after the other, each farthest from those before:

.. math:: i_1 = \arg\min_i f_i, \qquad i_{k+1} = \arg\max_{i:\, f_i \le (1 + \epsilon) f_{i_1}} \;
          \min_{j \le k} \; \lvert y_i - y_{i_j} \rvert ,

with :math:`\lvert \cdot \rvert` the root mean square distance of outlines. The rule is that of "Clustering to minimize
the maximum intercluster distance" (Gonzalez, 1985), https://doi.org/10.1016/0304-3975(85)90224-5
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray

from ...airfoil import cst
from ...solvers.at_lift import VALUES, verify

if TYPE_CHECKING:
    from .study import AirfoilStudy

__all__ = ["WITHIN", "confirm", "distances", "portfolio"]

WITHIN = 0.03  # of the least objective: what is as good
EXCESS = 0.05  # over what was promised: what is confirmed
CANDIDATES = 3  # times as many as are to be confirmed are asked for, so that there is a choice
NOT_ASKED, REFUTED = 1000.0, 2000.0  # places behind those that are confirmed


def confirm(study: AirfoilStudy, samples: xarray.Dataset, best: int, progress: bool = True) -> xarray.Dataset:
    """XFOIL's word on the designs of least objective, and on more of them until ``best`` are confirmed.

    Of designs refined with several margins (``n_crit``) the best of each are asked for in turn.

    ``xfoil_cl, xfoil_cd, xfoil_cm, xfoil_alpha, xfoil_status (sample, point)`` and ``xfoil_fun (sample,)``, the
    objective with XFOIL's drag and moment and the referee's confidence: NaN where XFOIL has no answer or was not asked.
    ``confirmed (sample,)`` says which designs it confirms; ``place (sample,)`` orders them: the portfolio, the other
    confirmed ones, those not asked for, those refuted. The attribute ``message`` of ``xfoil_cd`` says it in words.
    """
    size, order, points = samples.sizes["sample"], _order(samples), len(study.points)
    values, status = np.full((len(VALUES), size, points), np.nan), np.full((size, points), "", dtype=object)
    fun, asked, message, wanted = np.full(size, np.nan), 0, "", CANDIDATES * best
    while asked < size and (asked < wanted or _confirmed(samples, fun).sum() < best):
        rows = order[asked: max(wanted, asked + best)]
        found = verify(*(torch.tensor(samples[k].values[rows]) for k in ("shape", "alpha")), study.points,
                       progress=progress)
        values[:, rows], status[rows] = np.stack([found[name].values for name in VALUES]), found["status"].values
        fun[rows], asked = _objective(study, samples.isel(sample=rows), found), asked + len(rows)
        message = str(found.attrs["message"])
        if (found["status"] == "missing").any():
            break
    sure = _confirmed(samples, fun)
    place = np.where((status == "").all(-1), NOT_ASKED, REFUTED)
    worse = np.where(sure, np.maximum(fun, samples["fun"].values), np.nan)
    chosen = portfolio(worse, samples["shape"].values, best)
    rest = np.setdiff1d(np.flatnonzero(sure), chosen)
    place[[*chosen, *rest[worse[rest].argsort()]]] = np.arange(len(chosen) + len(rest))
    if np.isfinite(fun).any():
        message = _words(asked, np.isfinite(fun).sum(), sure.sum(), samples["shape"].values[chosen])
    told = {f"xfoil_{k}": (("sample", "point"), v, {"message": message}) for k, v in zip(VALUES, values)}
    return xarray.Dataset({**told, "xfoil_status": (("sample", "point"), status), "xfoil_fun": ("sample", fun),
                           "confirmed": ("sample", sure), "place": ("sample", place)})


def portfolio(fun: np.ndarray, shape: np.ndarray, count: int) -> np.ndarray:
    """The numbers of up to ``count`` designs, the best first; ``fun (N,)``, NaN where a design is out of the question.

    Those within :data:`WITHIN` of the least ``fun`` are chosen to be far apart (see the module); if they are too few,
    the next best follow.
    """
    order = fun.argsort()[: np.isfinite(fun).sum()]
    near = order[fun[order] <= (1 + WITHIN) * fun[order[:1]].sum()]
    apart, chosen = distances(shape[near]), [0] if len(near) else []
    while len(chosen) < min(count, len(near)):
        chosen.append(int(np.delete(np.arange(len(near)), chosen)[np.delete(apart[chosen].min(0), chosen).argmax()]))
    chosen = near[sorted(chosen)]
    return np.concatenate([chosen, order[len(near): len(near) + count - len(chosen)]])


def distances(shape: np.ndarray) -> np.ndarray:
    """Root mean square distances of the outlines of ``shape (N, 18)`` from each other, ``(N, N)``, chords."""
    flat = cst.outline(torch.as_tensor(shape).double()).flatten(1)
    return (torch.cdist(flat, flat) / (flat.shape[1] / 2) ** 0.5).numpy()


def _order(samples: xarray.Dataset) -> np.ndarray:
    """In what order designs are asked for: the best of each margin, then the second best of each, and so on."""
    fun, margin = samples["fun"].values, samples["n_crit"].values
    turn = np.array([((margin == m) & (fun < f)).sum() for m, f in zip(margin, fun)])
    return np.lexsort([fun, turn])


def _objective(study: AirfoilStudy, samples: xarray.Dataset, found: xarray.Dataset) -> np.ndarray:
    """``(N,)``: the objective by the program."""
    shape, sure = (torch.tensor(samples[k].values) for k in ("shape", "confidence"))
    cd, cm = (torch.tensor(found[k].values).to(shape) for k in ("cd", "cm"))
    return study.objective(shape=shape, cd=cd, cm=cm, confidence=sure).numpy()


def _confirmed(samples: xarray.Dataset, fun: np.ndarray) -> np.ndarray:
    return fun <= (1 + EXCESS) * samples["fun"].values  # False for NaN


def _words(asked: int, verified: int, confirmed: int, chosen: np.ndarray) -> str:
    apart = distances(chosen)
    told = (f"{asked} designs asked for, {verified} verified at every operating point, {confirmed} of these with at "
            f"most {100 * EXCESS:.0f} % more than promised")
    if len(chosen) < 2:
        return told
    mean = apart.sum() / (len(chosen) * (len(chosen) - 1))
    return f"{told}; the first {len(chosen)} are {1e4 * mean:.0f}e-4 chords apart in the mean"
