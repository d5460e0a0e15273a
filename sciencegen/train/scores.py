"""What a card says of a prior: scores on rows that were held out, each beside its Gaussian's.

Denoising errors by noise level and part; and calibration, of what the prior was trained to be given and of halves of
the state read at random: an interval of 90 % should hold 90 % of what is true.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..energy import Energy
from ..guide import Moments
from ..layout import Layout, View
from ..linear import Select
from ..metrics import calibration, tweedie_errors
from ..priors.base import Prior
from ..random import Streams
from ..sample import Multistep, karras
from .recipe import Data, Training
from .rows import some

__all__ = ["scores"]

LEVELS = 6
ROWS, DENOISED = 4, 128  # held-out rows that are inverted and that are denoised
MEMBERS = 19  # the fewest whose extremes are an interval of 90 %
READ, NOISE = 512, 0.1  # most coordinates that are read of a half, and how well, in units of the layout
LARGEST = 2**26  # numbers in all members
STEPS = 16


def scores(prior: Prior, base: Prior, data: Data, how: Training) -> dict[str, Any]:
    """``denoising`` and ``calibration``, JSON-ready; nothing where nothing was held out, or no score is known."""
    held = next((rows for rows in (data.test, data.valid) if len(rows)), None)
    if held is None or not prior.denoises:
        return {}
    like, layout = next(prior.parameters()), data.layout
    rows = some(held, min(len(held), DENOISED), layout.size).to(like)
    found = {"denoising": _denoising(prior, base, layout, rows, how)}
    rows = rows[torch.linspace(0, len(rows) - 1, min(len(rows), ROWS)).long()]
    if len(rows) * MEMBERS * layout.size > LARGEST:
        return found
    found["calibration"] = {"halves": _halves(prior, base, layout, rows, how)}
    asked = list(zip(how.told(layout), how.views(layout)[1]))
    for group, view in asked if how.given is not None else asked[len(asked) // 2:][:1]:
        found["calibration"][f"given {_words(group)}"] = _given(prior, base, layout, rows, how, view)
    return found


def _denoising(prior: Prior, base: Prior, layout: Layout, rows: Tensor, how: Training) -> dict[str, Any]:
    """By part the root of the mean squared error over the noise, at each level, of the prior and of its Gaussian."""
    sigmas = how.levels((torch.arange(LEVELS) + 0.5) / LEVELS)
    errors = {"prior": tweedie_errors(prior, rows, sigmas), "gaussian": tweedie_errors(base, rows, sigmas)}
    by_part = {name: {who: _rounded(found[:, layout[name].rows].mean(-1).sqrt()) for who, found in errors.items()}
               for name in layout.variables}
    return {"sigma": _rounded(sigmas), **by_part}


def _halves(prior: Prior, base: Prior, layout: Layout, rows: Tensor, how: Training) -> dict[str, Any]:
    """Calibration of what is left of a state when half of it, at random, was read."""
    order = Streams(torch.tensor(how.seed), 0, 7).uniform(layout.size).argsort()
    count = max(min(layout.size // 2, READ), 1)
    read, rest = order[:count].sort().values, order[layout.size // 2:].sort().values
    noise = Streams(torch.arange(len(rows)), 0, 8).to(rows.device).normal(count, rows.dtype)
    seen = (rows[:, read] + NOISE * noise).repeat_interleave(MEMBERS, 0)

    def posterior(energy: Energy) -> Tensor:
        moments = Moments(energy, Select(read, layout.size), seen, NOISE, 0, around=energy.gaussian())
        return _drawn(moments, len(rows), layout.size, how, moments.draw, rows)

    return _calibrated(posterior, prior, base, layout, rows, rest)


def _given(prior: Prior, base: Prior, layout: Layout, rows: Tensor, how: Training, view: View) -> dict[str, Any]:
    """Calibration of the other parts where some are known clean."""
    free = torch.ones(layout.size, dtype=torch.bool)
    free[view.rows] = False
    rest, known = free.nonzero()[:, 0], rows[:, view.rows].repeat_interleave(MEMBERS, 0)

    def posterior(energy: Energy) -> Tensor:
        others = _drawn(energy.given(view).at(view, known), len(rows), len(rest), how, None, rows)
        whole = rows.new_zeros(*others.shape[:-1], layout.size)
        return whole.index_copy(-1, rest.to(rows.device), others)

    return _calibrated(posterior, prior, base, layout, rows, rest)


def _drawn(energy: Energy, count: int, size: int, how: Training, finish: Callable[..., Tensor] | None, like: Tensor
           ) -> Tensor:
    """Members of each row's posterior, ``(MEMBERS, count, size)``."""
    sampler, seeds = Multistep(karras(STEPS, max(how.levels.low, 0.02), min(how.levels.high, 40.0))), None
    seeds = torch.arange(count * MEMBERS) + 2**50
    start = sampler.start(count * MEMBERS, size, seeds, like.device).to(like)
    x, last = sampler(energy, start, seeds), sampler.levels[-1]
    with torch.no_grad():
        x = energy.mean(x, last) if finish is None else finish(x, last, Streams(seeds, STEPS + 1).to(like.device))
    return x.reshape(count, MEMBERS, size).transpose(0, 1)


def _calibrated(posterior: Callable[[Energy], Tensor], prior: Prior, base: Prior, layout: Layout, rows: Tensor,
                rest: Tensor) -> dict[str, Any]:
    """By part what :func:`sciencegen.metrics.calibration` says, and the error of the Gaussian's posterior."""
    drawn, plain, found = posterior(prior), posterior(base), {}
    for name in layout.variables:
        own = layout[name].rows
        own = own[torch.isin(own, rest)]
        if len(own):
            one, other = (calibration(samples[..., own], rows[:, own]) for samples in (drawn, plain))
            found[name] = {"error": _short(one.error), "spread": _short(one.spread), "coverage": _short(one.coverage),
                           "error of the Gaussian": _short(other.error)}
    return found


def _words(group: tuple[Any, ...]) -> str:
    return ", ".join(part if isinstance(part, str) else f"{part[0]}:{part[1]}" if isinstance(part, tuple) else str(part)
                     for part in group)


def _short(value: Tensor) -> float:
    return float(f"{float(value):.4g}")


def _rounded(values: Tensor) -> list[float]:
    return [_short(value) for value in values]
