"""Whether a network is of use, and at which noise levels: its denoising error beside that of its own Gaussian.

At each level the correction that the network makes to the Gaussian is scaled by what makes the error on validation
rows least (:mod:`sciencegen.nets.gated`), so that a short training does no harm where it has learned nothing. What is
left of its use is then measured on test rows, by which nothing was chosen. A network that was trained to be given
some parts is judged by what it says of the others then, as much as by the joint density.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..energy import Energy
from ..layout import View
from ..metrics import tweedie_error
from ..priors.base import Prior
from ..random import Streams
from .held_out import HeldOut
from .recipe import Data
from .rows import some
from .schedule import Levels, Schedule

__all__ = ["KNOTS", "Verdict", "gates", "judged", "judged_by_loss", "knots"]

KNOTS = 12
ROWS = 256


@dataclass(frozen=True)
class Verdict:
    """Errors on the same held-out rows, of denoising in the mean over noise levels, or None where none were held out.

    Attributes:
        network, gaussian: errors, one for the identity.
        rows: which rows: test rows, else validation rows.
        margin: share of the Gaussian's error by which a network has to be better.
    """

    network: float | None = None
    gaussian: float | None = None
    rows: str = ""
    margin: float = 0.0

    @property
    def better(self) -> bool:
        """Whether the network is to be used: it is better than its Gaussian, or nobody can know."""
        return self.network is None or self.network < (1 - self.margin) * self.gaussian

    @property
    def words(self) -> str:
        """The verdict in a sentence."""
        if self.network is None:
            return "NOTHING WAS HELD OUT: whether the network is better than its own Gaussian is not known"
        figures = f"{self.network:.4g} against {self.gaussian:.4g} on {self.rows} rows"
        if not self.better:
            return (f"THE NETWORK IS NO BETTER THAN ITS OWN GAUSSIAN ({figures}): the model is that Gaussian alone; "
                    "train longer, on more data, or take another network")
        share = 100 * self.network / self.gaussian
        return f"the network's error is {share:.1f} % of its own Gaussian's ({figures})"

    def facts(self) -> Mapping[str, Any]:
        """Itself, JSON-ready."""
        return {"verdict": self.words, "better": None if self.network is None else self.better,
                "held_out": {"rows": self.rows, "network": self.network, "gaussian": self.gaussian}}


def knots(levels: Levels) -> Tensor:
    """Noise levels that are looked at, ``(KNOTS,)`` rising, each for an equal share of a training's."""
    return levels((torch.arange(KNOTS) + 0.5) / KNOTS)


def gates(network: Energy, base: Energy, data: Data, levels: Levels, given: Sequence[View] = ()) -> list[float]:
    """By knot the share of the network's correction that denoises validation rows best, 0 to 1; all without any."""
    if not len(data.valid):
        return [1.0] * KNOTS
    clean = _held(network, data.valid, data.layout.size)
    noise, found = Streams(torch.arange(len(clean)) + 2**40).to(clean.device), []
    pairs = [(one, other, known) for (one, known), (other, _) in zip(_asked(network, given), _asked(base, given))]
    with torch.no_grad():
        for k, sigma in enumerate(knots(levels).tolist()):
            white = noise.at(k).normal(clean.shape[-1], clean.dtype)
            wanted = sum(_agreement(one, other, clean, sigma, white, known) for one, other, known in pairs)
            found.append(float((wanted[0] / wanted[1]).nan_to_num(0.0).clamp(0, 1)))
    return found


def _agreement(network: Energy, base: Energy, clean: Tensor, sigma: float, white: Tensor, known: Tensor | None
               ) -> Tensor:
    """How much of the network's correction is wanted, and how much there is, ``(2,)``."""
    x = clean + sigma * (white if known is None else white.index_fill(-1, known.to(white.device), 0.0))
    plain = base.mean(x, sigma)
    step = network.mean(x, sigma) - plain
    return torch.stack([((clean - plain) * step).sum(dtype=torch.float64), step.square().sum(dtype=torch.float64)])


def _asked(energy: Energy, given: Sequence[View]) -> list[tuple[Energy, Tensor | None]]:
    """The joint energy and those of the rest where parts are given, with the coordinates of these."""
    return [(energy, None), *((energy.given(view), view.rows) for view in given)]


def judged(network: Energy, base: Energy, data: Data, levels: Levels, given: Sequence[View] = ()) -> Verdict:
    """The verdict on a network by rows that nothing was chosen by, as far as there are some."""
    for rows, name in _choices(data):
        clean = _held(network, rows, data.layout.size)
        first, second = (float(torch.stack([tweedie_error(part, clean, knots(levels), known=known)
                                            for part, known in _asked(one, given)]).mean()) for one in (network, base))
        return Verdict(first, second, name)
    return Verdict()


def judged_by_loss(network: Prior, base: Prior, data: Data, schedule: Schedule) -> Verdict:
    """:func:`judged`, of a prior that knows no score, by the loss that it was trained with."""
    for rows, name in _choices(data):
        loss = HeldOut(rows, schedule)
        return Verdict(loss(network), loss(base), name)
    return Verdict()


def _choices(data: Data) -> list[tuple[Any, str]]:
    choices: Sequence[tuple[Any, str]] = ((data.test, "test"), (data.valid, "validation"))
    return [(rows, name) for rows, name in choices if len(rows)]


def _held(network: Energy, rows: Any, size: int) -> Tensor:
    return some(rows, min(len(rows), ROWS), size).to(next(network.parameters()))
