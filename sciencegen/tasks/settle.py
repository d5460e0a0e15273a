r"""Settle: where deterministic parts agree, as the zeros of the sum of their residual energies.

For :math:`u = F(v), \; v = G(u)` the energy :math:`(|u - F(v)|^2 + |v - G(u)|^2) / 2 s^2`, differentiated through the
conditions as well, is zero at every coupled solution and nowhere else, whether sweeps from one solver to the next would
converge or not. From many starts it finds the branches that there are; where all end above the noise there is no
coupled solution. Data and objectives add to it.

Sums of residuals go down by Gauss and Newton's method, or without gradients by a quasi-Newton one
(:mod:`.least_squares`), other sums by BFGS, and any kernel can walk in their place.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import xarray
from torch import Tensor

from ..descent import QuasiNewton
from ..energy import Energy
from ..exact import Gaussian
from ..layout import Layout
from ..mcmc import Kernel
from ..metrics.misfit import likely
from ..problem import Problem
from ..random import Streams
from ..result import Result
from .least_squares import Lowest, Residuals, least_squares
from .sampling import versions

__all__ = ["settle"]

STRIDE = 0.5  # largest change of a number in a step of BFGS
BROYDEN = 100  # evaluations of BFGS for one of the iterations of Gauss and Newton


def settle(energy: Energy, starts: int | Tensor | Mapping[str, Any], layout: Layout | None = None,
           known: Mapping[str, Any] | None = None, iterations: int = 50, tolerance: float = 1e-8, apart: float = 1e-2,
           by: Kernel | None = None, seed: int = 0) -> Result:
    """The states at which an energy of residuals is lowest, each once, the lowest first.

    ``success`` says which of them explain all residuals within their noise; where none does, the message says that
    there is no coupled solution. ``data`` has the share of ``starts`` that ended at each, and what remains there;
    ``nfev`` counts evaluations of a start's residuals, each product with a Jacobian as one more.

    Arguments:
        energy: a sum of residual energies (:func:`sciencegen.coupling.residuals`, ``Residual``), and of others.
        starts: states to start from: how many, drawn from the standard normal of the layout's unit scale; or
            ``(count, d)`` unit-scale numbers; or physical parts by name.
        layout: of the state; without it the state is one part, ``x``, of as many numbers as the starts have.
        known: parts that are held, in physical units, one value for all starts or one each.
        iterations: of Gauss and Newton, at most.
        tolerance: of the move of a step, in unit scale, at which a start is done.
        apart: root mean square of the difference of two solutions from which they are two, in unit scale.
        by: a kernel that walks instead, as ``HMC``; each start then has an end of its own.
        seed: of the starts, and of the kernel.

    Raises:
        TypeError: a term whose score is zero along what its value depends on, as that of a prior that is given a part;
            a term of which only a score is known; a solver without gradients beside other terms.
    """
    began = time.perf_counter()
    layout = Layout(x=(_numbers(starts),)) if layout is None else layout
    problem = _held(layout, known)
    x = _starts(starts, layout, torch.arange(layout.size) if problem.known is None else problem.known[0].rest, seed)
    energy = energy if problem.known is None else energy.at(*problem.known)
    readings, rest = energy.readings()
    residuals = Residuals(readings)
    if by is not None or rest is not None:
        _check(energy, x)
        walk = by or QuasiNewton(iterations * BROYDEN, STRIDE)
        x, end = walk(energy, x, energy.lowest, Streams(torch.arange(len(x)) + seed * 2**20))
        found = Lowest(x, end.evaluation.value, [end.evaluation.value], getattr(walk, "repeats", 1))
    else:
        found = least_squares(residuals, x, iterations, tolerance)
    seconds = {"seconds": time.perf_counter() - began, "energy": repr(energy)}
    return _result(problem, found, residuals, 0.0 if by else apart, seconds)


def _numbers(starts: int | Tensor | Mapping[str, Any]) -> int:
    if not isinstance(starts, Tensor) or starts.ndim != 2:
        raise ValueError("got no layout; expected one, or starts as a tensor (count, d)")
    return starts.shape[1]


def _held(layout: Layout, known: Mapping[str, Any] | None) -> Problem:
    """The state as a problem in which ``known`` is held; its prior, unit normal, draws starts and is no term."""
    zero = torch.zeros(layout.size, dtype=torch.float64)
    problem = Problem(layout, Gaussian(zero, torch.ones_like(zero)))
    return problem.given(**known) if known else problem


def _starts(starts: int | Tensor | Mapping[str, Any], layout: Layout, free: Tensor, seed: int) -> Tensor:
    if isinstance(starts, int) and not isinstance(starts, bool):
        if starts < 1:
            raise ValueError(f"got {starts} starts; expected 1 or more")
        return Streams(torch.arange(starts) + seed * 2**20).normal(layout.size, torch.float64)[:, free]
    x = layout.pack(**starts).double() if isinstance(starts, Mapping) else torch.as_tensor(starts).double()
    if x.ndim != 2 or x.shape[1] not in (layout.size, len(free)) or not bool(x.isfinite().all()):
        raise ValueError(f"got starts of shape {tuple(x.shape)}; expected (count, {layout.size}) finite numbers")
    return x[:, free] if x.shape[1] == layout.size else x


def _check(energy: Energy, x: Tensor) -> None:
    """TypeError for a term that hides on what it depends: a search would stop where nothing agrees."""
    probe = x + 0.1
    if not energy.exact:
        raise TypeError(f"got {energy!r}, of which only a score is known; expected residuals of a solver or of a "
                        "network's mean, residuals(layout, u=function, ...)")
    with torch.no_grad():
        at = energy.evaluate(probe, 0.0 if energy.lowest == 0 else energy.lowest)
        still = (at.score == 0).all(0)
        if not bool(still.any()):
            return
        turn = torch.linspace(0.3, 0.9, int(still.sum())).to(probe)
        other = probe.index_copy(1, still.nonzero()[:, 0], probe[:, still] + turn)
        moved = energy.evaluate(other, 0.0 if energy.lowest == 0 else energy.lowest).value - at.value
    if bool((moved.abs() > 1e-9 * (at.value.abs() + 1)).any()):
        raise TypeError(f"got {energy!r}, whose score is zero along {int(still.sum())} numbers that its value depends "
                        "on, as that of a prior which is given them; expected gradients through the condition too: "
                        "residuals(layout, u=function, ...), or couple() for priors")


def _result(problem: Problem, found: Lowest, residuals: Residuals, apart: float, asked: Mapping[str, Any]) -> Result:
    with torch.no_grad():
        left = residuals(found.x) if residuals.readings else torch.zeros(len(found.x), 1)
    misfit, bound = left.square().mean(-1).sqrt(), likely(left.shape[-1])[1]
    firsts, shares = _distinct(found.x, found.value, apart)
    good = (misfit <= bound)[firsts] & found.value[firsts].isfinite()
    labels = {"starts": ("share of the starts that ended here", shares),
              "energy": ("energy that remains", found.value[firsts]),
              "remainder": ("root mean square of the residuals over their noise", misfit[firsts])}
    data = xarray.Dataset({k: ("sample", v.numpy(), {"long_name": name, "units": "1"})
                           for k, (name, v) in labels.items()})
    history = xarray.Dataset({"energy": (("step", "sample"), torch.stack(found.history)[:, firsts].numpy())},
                             {"sigma": ("step", np.zeros(len(found.history)))})
    ends = problem.some(firsts).whole(found.x[firsts])
    return Result(samples=problem.layout.to_xarray(ends), fun=found.value[firsts].numpy(), success=good.numpy(),
                  status=0, message=_words(good, misfit[firsts], shares, len(found.x)), nfev=found.evaluations,
                  history=history, seeds=firsts.numpy(), data=data,
                  config={"task": "settle", "starts": len(found.x), **asked, "versions": versions()})


def _distinct(x: Tensor, value: Tensor, apart: float) -> tuple[Tensor, Tensor]:
    """Of starts that ended at one place the one that is lowest, and the share of all that ended there."""
    left = [row for row in value.argsort().tolist() if bool(value[row].isfinite())] or [0]
    firsts, shares = [], []
    while left:
        near = (x[left] - x[left[0]]).square().mean(-1).sqrt() <= apart
        near[0] = True
        firsts.append(left[0])
        shares.append(float(near.sum()) / len(x))
        left = [row for row, same in zip(left, near.tolist()) if not same]
    return torch.tensor(firsts), torch.tensor(shares)


def _words(good: Tensor, misfit: Tensor, shares: Tensor, starts: int) -> str:
    many = int(good.sum())
    if not many:
        return (f"no coupled solution: the best of {starts} starts ended where the residuals are "
                f"{float(misfit[0]):.3g} times their noise; there is none, or none near a start")
    ends = ", ".join(f"{float(share):.0%}" for share, fine in zip(shares, good) if fine)
    return f"{many} coupled solution{'s' * (many > 1)}, to which {ends} of {starts} starts came"
