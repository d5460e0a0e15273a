r"""The choice of designs: what XFOIL confirms, and of that a portfolio of designs that are far apart.

A network that judges the designs which it led to believes in its own mistakes. XFOIL shares its physics and not its
fit. A design is *verified* where XFOIL carries every lift, and *confirmed* where that costs little more than promised.
XFOIL is asked for few designs at a time: what it said of those corrects the network's drag of the others
(:mod:`.correction`), and by that the next are chosen. Of the two opinions on a confirmed design, XFOIL's and the
corrected one, the worse counts, as a design that owes its rank to one of them owes it to its mistakes. Of those near
the least ten are chosen one after the other, each farthest from those before:

.. math:: i_1 = \arg\min_i f_i, \qquad i_{k+1} = \arg\max_{i:\, f_i \le (1 + \epsilon) f_{i_1}} \;
          \min_{j \le k} \; \lvert y_i - y_{i_j} \rvert ,

with :math:`\lvert \cdot \rvert` the root mean square distance of outlines. The rule is that of "Clustering to minimize
the maximum intercluster distance" (Gonzalez, 1985), https://doi.org/10.1016/0304-3975(85)90224-5
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray

from ...airfoil import cst
from ...solvers.at_lift import VALUES, verify
from .correction import carried

if TYPE_CHECKING:
    from .study import AirfoilStudy

__all__ = ["WITHIN", "confirm", "distances", "portfolio"]

WITHIN = 0.03  # of the least objective: what is as good
EXCESS = 0.05  # over what was promised: what is confirmed
CANDIDATES = 3  # times as many as are to be confirmed are asked for, so that there is a choice
FEARED = 1.2  # times as much drag of a lift that XFOIL does not carry, when the next designs are chosen
NOT_ASKED, REFUTED = 1000.0, 2000.0  # places behind those that are confirmed


def confirm(study: AirfoilStudy, samples: xarray.Dataset, best: int, progress: bool = True) -> xarray.Dataset:
    """XFOIL's word on designs that promise least, ``best`` of them at a time, until as many are confirmed.

    Of designs refined with several margins (``n_crit``) the best of each are asked for in turn to begin with.

    ``xfoil_cl, xfoil_cd, xfoil_cm, xfoil_alpha, xfoil_status (sample, point)`` and ``xfoil_fun (sample,)``, the
    objective with XFOIL's drag and moment and the referee's confidence: NaN where XFOIL has no answer or was not asked.
    ``promised (sample,)`` is the objective with the drag that is corrected by what XFOIL said of the other designs.
    ``confirmed (sample,)`` says which designs it confirms; ``place (sample,)`` orders them: the portfolio, the other
    confirmed ones, those not asked for, those refuted. The attribute ``message`` of ``xfoil_cd`` says it in words.
    """
    shape, (said, asked, message) = samples["shape"].values, _asked(study, samples, best, progress)
    fun, promised = _objective(study, samples, said), _promised(study, samples, said["cd"])
    sure = _confirmed(samples, fun)
    worse = np.where(sure, np.maximum(fun, promised), np.nan)
    chosen = portfolio(worse, shape, best)
    rest = np.setdiff1d(np.flatnonzero(sure), chosen)
    place = np.where(asked, REFUTED, NOT_ASKED)
    place[[*chosen, *rest[worse[rest].argsort()]]] = np.arange(len(chosen) + len(rest))
    if np.isfinite(fun).any():
        message = _words(samples, asked, fun, promised, chosen)
    told = {f"xfoil_{k}": (("sample", "point"), v, {"message": message}) for k, v in said.items()}
    return xarray.Dataset({**told, "xfoil_fun": ("sample", fun), "promised": ("sample", promised),
                           "confirmed": ("sample", sure), "place": ("sample", place)})


def _asked(study: AirfoilStudy, samples: xarray.Dataset, best: int, progress: bool
           ) -> tuple[dict[str, np.ndarray], np.ndarray, str]:
    """XFOIL's answers by name ``(N, K)``, which designs it was asked for ``(N,)``, and its last message."""
    size, rows = samples.sizes["sample"], _order(samples)[:best]
    asked, message = np.zeros(size, dtype=bool), ""
    said = {k: np.full((size, len(study.points)), np.nan) for k in VALUES}
    said["status"] = np.full((size, len(study.points)), "", dtype=object)
    while len(rows):
        found = verify(*(torch.tensor(samples[k].values[rows]) for k in ("shape", "alpha")), study.points,
                       progress=progress)
        for name, values in said.items():
            values[rows] = found[name].values
        asked[rows], message = True, str(found.attrs["message"])
        sure = _confirmed(samples, _objective(study, samples, said))
        enough = asked.sum() >= CANDIDATES * best and sure.sum() >= best
        if enough or (found["status"] == "missing").any():
            break
        feared = np.where(asked[:, None] & np.isnan(said["cd"]), FEARED * samples["cd"].values, said["cd"])
        left = np.where(asked, np.nan, _promised(study, samples, feared))
        rows = portfolio(left, samples["shape"].values, best)
    return said, asked, message


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


def _promised(study: AirfoilStudy, samples: xarray.Dataset, cd: np.ndarray) -> np.ndarray:
    """``(N,)``: the objective with the network's drag, corrected by what ``cd (N, K)`` says of the other designs."""
    own = samples["cd"].values
    right = own * np.exp(carried(np.log(cd / own), distances(samples["shape"].values)))
    return _objective(study, samples, {"cd": right, "cm": samples["cm"].values})


def _objective(study: AirfoilStudy, samples: xarray.Dataset, found: Mapping[str, np.ndarray]) -> np.ndarray:
    """``(N,)``: the objective with drag and moment ``(N, K)`` as ``found``."""
    shape, sure = (torch.tensor(samples[k].values) for k in ("shape", "confidence"))
    cd, cm = (torch.tensor(found[k]).to(shape) for k in ("cd", "cm"))
    return study.objective(shape=shape, cd=cd, cm=cm, confidence=sure).numpy()


def _confirmed(samples: xarray.Dataset, fun: np.ndarray) -> np.ndarray:
    return fun <= (1 + EXCESS) * samples["fun"].values  # False for NaN


def _words(samples: xarray.Dataset, asked: np.ndarray, fun: np.ndarray, promised: np.ndarray, chosen: np.ndarray
           ) -> str:
    apart, seen, sure = distances(samples["shape"].values[chosen]), np.isfinite(fun), _confirmed(samples, fun)
    told = (f"{asked.sum()} designs asked for, {seen.sum()} verified at every operating point, {sure.sum()} of these "
            f"with at most {100 * EXCESS:.0f} % more than promised")
    if len(chosen) < 2:
        return told
    gap = np.abs(fun / promised - 1)[chosen].mean()
    mean = apart.sum() / (len(chosen) * (len(chosen) - 1))
    return (f"{told}; the first {len(chosen)} are {1e4 * mean:.0f}e-4 chords apart in the mean, and cost within "
            f"{100 * gap:.1f} % of what NeuralFoil says when corrected by the others")
