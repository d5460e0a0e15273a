r"""Assimilation by ensembles: a forward pass of forecasts and Kalman updates, and a backward pass for a smoother.

Between windows a message travels, what is believed of the frames that both share: a Gaussian that is known by members,
and by a covariance in closed form where the prior has a Gaussian inside. Forward, the members of a window are drawn
ahead from those frames and moved by the window's readings, frame by frame; what they are after a frame's readings is
the filter's word on it. Backward, a window answers to what later readings made of the frames that it carries on,

.. math:: w^s = w^a + G (o^s - o^a), \qquad G = C_{wo} C_{oo}^{-1} ,

Rauch, Tung and Striebel's smoother on members. All is exact where windows are Gaussian and their chain is Markov:
"Maximum likelihood estimates of linear dynamic systems" (Rauch, Tung & Striebel, 1965), https://doi.org/10.2514/3.3166
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..observations import Observations
from ..random import Streams, spares
from .chains import Chain, Sight
from .kalman import Belief, Chooser, Closed, Mixing, options

__all__ = ["Draws", "Kalman", "Pass", "told_of"]

NINETY = 1.6448536269514722  # standard deviations
EXACT = Mixing(1.0, 1.0)


@dataclass(frozen=True)
class Draws:
    """Where members come from, as flat states in float64.

    Arguments:
        seeds: of the members ``(M,)``.
        first: ``count -> members of the first window (count, n)``.
        ahead: ``(shared (N, g), index of the window) -> the rest (N, n - g)``, drawn.
        closed: the recursion in closed form, where the prior has a Gaussian inside.
        center, cov: of the first window ``(n,)`` and ``(n, n)``: the one where all is Gaussian, the other where
            there is a recursion; else None.
        mean: ``shared (N, g) -> the rest (N, n - g)``, its conditional mean, where that is known.
    """

    seeds: Tensor
    first: Callable[[int], Tensor]
    ahead: Callable[[Tensor, int], Tensor]
    closed: Closed | None = None
    center: Tensor | None = None
    cov: Tensor | None = None
    mean: Callable[[Tensor], Tensor] | None = None

    def streams(self, count: int) -> Streams:
        """Random numbers of so many rows."""
        return Streams(spares(self.seeds, count))


@dataclass(frozen=True)
class Pass:
    """What an assimilation came to.

    Arguments:
        states: of the long state ``(M, d)``.
        gaps, expected: of each reading what it said less what was expected, and its deviation; ``(m,)``.
        used: the mixture of covariances at each frame that was read.
        size: the effective number of members at each, of weights; the number of members where there are none.
    """

    states: Tensor
    gaps: Tensor
    expected: Tensor
    used: list[Mixing] = field(default_factory=list)
    size: list[float] = field(default_factory=list)


def told_of(made: Pass, observations: Observations) -> dict[str, Any]:
    """Of each part how what was read stands to what was expected, and of how many members this is worth; JSON-ready.

    ``chi`` is the root mean square of the innovations in units of what was expected of them, one as it should be;
    ``bias`` their mean in the same units; ``inside`` the share within the central nine tenths.
    """
    found: dict[str, Any] = {}
    sizes = [len(readings.values) for readings in observations.readings.values()]
    white = (made.gaps / made.expected).split(sizes)
    for (name, readings), gaps in zip(observations.readings.items(), white):
        found[name] = {"count": len(gaps), "chi": float(gaps.square().mean().sqrt()), "bias": float(gaps.mean()),
                       "inside": float((gaps.abs() < NINETY).double().mean())}
    effective = made.size or [math.nan]
    return {"parts": found, "effective size": {"least": min(effective), "mean": sum(effective) / len(effective)},
            "share": _mean([m.share for m in made.used]), "inflation": _mean([m.inflation for m in made.used])}


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


@dataclass(frozen=True)
class Kalman:
    """An ensemble Kalman filter and smoother whose covariance is chosen by what was read.

    Where the prior is a Gaussian, neither of the two matters: its covariance is exact.

    Arguments:
        shares: of the closed form in the covariance, to choose from; where the prior has no Gaussian, none.
        inflations: of the members' covariance, to choose from.
    """

    shares: tuple[float, ...] = (1.0, 0.5, 0.0)
    inflations: tuple[float, ...] = (1.0, 1.02, 1.05, 1.1, 1.2, 1.5)

    def __call__(self, chain: Chain, sights: list[list[Sight]], draws: Draws, smooth: bool) -> Pass:
        """Forward, and backward if it is to smooth."""
        first = draws.first(len(draws.seeds))
        run = _Forward(chain, draws, first, self._options(draws))
        states = first.new_zeros(len(first), chain.long.size)
        count = sum(len(s.which) for row in sights for s in row)
        made = Pass(states, states.new_zeros(count), states.new_zeros(count))
        past: list[tuple[Tensor, Tensor]] = []
        for index in range(chain.count):
            run.advance(index)
            run.read(index, sights[index], made)
            if smooth:
                last = index == chain.count - 1
                past.append((run.belief.members, run.regression() if not last else states[:0]))
        if smooth:
            self._back(chain, past, states)
        return made

    def _options(self, draws: Draws) -> list[Mixing]:
        if draws.center is not None:
            return [EXACT]
        return options(self.shares if draws.closed is not None else (0.0,), self.inflations)

    @staticmethod
    def _back(chain: Chain, past: list[tuple[Tensor, Tensor]], states: Tensor) -> None:
        known, carried = chain.known.rows, chain.carried.rows
        later: Tensor | None = None
        for index in reversed(range(chain.count)):
            members, gain = past[index]
            if later is not None:
                members = members + (later[:, known] - members[:, carried]) @ gain.mT
            states[:, chain.rows(index)] = later = members


class _Forward:
    """A forward pass: the belief of the window that it has reached."""

    def __init__(self, chain: Chain, draws: Draws, first: Tensor, choices: list[Mixing]) -> None:
        self.chain, self.draws, self.first, self.chooser = chain, draws, first, Chooser(choices)
        self.belief: Belief | None = None
        self.share = choices[0].share

    def advance(self, index: int) -> None:
        """To the next window."""
        draws, chain = self.draws, self.chain
        if self.belief is None:
            center = self.first.mean(0) if draws.center is None else draws.center
            self.belief = Belief(self.first, center, draws.cov)
            return
        before, rows = self.belief, chain.carried.rows
        shared = before.members[:, rows]
        members = self._joined(shared, draws.ahead(shared, index))
        center = members.mean(0) if draws.center is None else draws.closed.center(before.center[rows])
        cov = None if draws.closed is None else draws.closed.advanced(before.cov[rows[:, None], rows])
        self.belief = Belief(members, center, cov)

    def read(self, index: int, sights: list[Sight], made: Pass) -> None:
        """What the window sees, frame by frame; what is believed of each frame after it."""
        rows, by_frame = self.chain.rows(index), {sight.frame: sight for sight in sights}
        frames = self.chain.frames[rows]
        for frame in self.chain.fresh(index) or [-2]:
            if frame in by_frame:
                self._update(by_frame[frame], made, frames >= frame)
            here = (frames == frame) | (frames < 0)
            made.states[:, rows[here]] = self.belief.members[:, here]

    def _update(self, sight: Sight, made: Pass, coming: Tensor) -> None:
        mixing = self.chooser.told(self.belief, sight)
        self.share = mixing.share
        self.belief, told = self.belief.inflated(mixing, coming).updated(sight, mixing.share)
        made.gaps[sight.which], made.expected[sight.which] = told.gap, told.expected
        made.used.append(mixing)
        made.size.append(float(len(self.belief.members)))

    def regression(self) -> Tensor:
        """How the window answers to what it carries on."""
        return self.belief.regression(self.chain.carried.rows, self.share)

    def _joined(self, shared: Tensor, rest: Tensor) -> Tensor:
        whole = shared.new_zeros(len(shared), self.chain.known.size)
        whole[:, self.chain.known.rows] = shared
        whole[:, self.chain.known.rest] = rest
        return whole
