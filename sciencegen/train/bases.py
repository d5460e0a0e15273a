"""Which Gaussian a network is to correct: the one that denoises held-out rows best.

The error over noise levels ranks Gaussians as their likelihood does, of which it is the derivative in the level:
"Mutual Information and Minimum Mean-Square Error in Gaussian Channels" (Guo, Shamai & Verdu, 2005),
https://arxiv.org/abs/cs/0412108.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..exact import Gaussian
from ..layout import View
from ..metrics import tweedie_error
from ..states import States, by_part, candidates, markov
from ..states.gaussians import DENSE
from .recipe import Data, contexts
from .rows import some
from .schedule import Levels
from .verdict import knots

__all__ = ["Choice", "chained", "chosen"]

ROWS = 256  # held-out rows that are denoised
RIDGE = 1e-2  # of a chain's regression where nothing was held out to choose it by


@dataclass(frozen=True)
class Choice:
    """A Gaussian, what it is called, and the denoising errors by name that it was chosen by."""

    gaussian: Gaussian
    name: str = "given"
    errors: Mapping[str, float] = field(default_factory=dict)


def chosen(data: Data, gaussian: Gaussian | None, given: Sequence[View], levels: Levels) -> Choice:
    """The Gaussian itself, or the best of all candidates that know what is ``given``.

    Without held-out rows it is a chain in time for windows, else that of the parts. ValueError for packed rows without
    a Gaussian.
    """
    if gaussian is not None:
        return Choice(gaussian)
    if not isinstance(data, States):
        raise ValueError(f"got {type(data).__name__} without a Gaussian; expected States, of which candidates are "
                         "estimated, or Training(gaussian=Gaussian.fit(rows, ...))")
    if not len(data.valid):
        if chained(data):
            return Choice(markov(data, 0.0 if data.periodic else RIDGE), "Markov")
        return Choice(by_part(data), "by part")
    found = {name: one for name, one in candidates(data).items() if _knows(one, given)}
    rows = some(data.valid, min(len(data.valid), ROWS), data.layout.size)
    sigmas = knots(levels)
    errors = {name: float(tweedie_error(one.to(rows), rows, sigmas).mean()) for name, one in found.items()}
    best = min(errors, key=errors.get)
    return Choice(found[best], best, errors)


def chained(data: States) -> bool:
    """Whether there is a chain in time: frames to go on from, rows, and wave numbers or a state that may be dense."""
    small = bool(data.periodic) or data.layout.size <= DENSE
    return bool(contexts(data.layout)) and small and len(data.train) > 2


def _knows(gaussian: Gaussian, given: Sequence[View]) -> bool:
    """Whether what is given has a conditional of the same form."""
    try:
        for view in given:
            gaussian.given(view)
    except ValueError:
        return False
    return True
