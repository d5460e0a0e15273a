r"""The Kalman update of an ensemble, by a covariance that may be the ensemble's, a closed form's, or between the two.

Members ``x_i`` about a centre are moved by what is read, ``y = H x + e``, with the covariance ``C`` of the forecast and
``S = H C H^T + R``:

.. math:: c \to c + K (y - H c), \quad x_i - c \to (1 - \tilde K H) (x_i - c), \quad K = C H^T S^{-1}, \quad
          \tilde K = C H^T S^{-T/2} (S^{1/2} + R^{1/2})^{-1} .

Where the members have the covariance ``C`` they then have the posterior's, without random numbers: "Ensemble Data
Assimilation without Perturbed Observations" (Whitaker & Hamill, 2002),
https://doi.org/10.1175/1520-0493(2002)130<1913:EDAWPO>2.0.CO;2. With few members ``C`` is a mixture of theirs,
inflated, and of a closed form's: "A Hybrid Ensemble Kalman Filter-3D Variational Analysis Scheme" (Hamill & Snyder,
2000), https://doi.org/10.1175/1520-0493(2000)128<2905:AHEKFV>2.0.CO;2.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from ..exact import Gaussian
from .chains import Chain, Sight

__all__ = ["Belief", "Closed", "Innovation", "Mixing", "covariance_of"]


RIDGES = tuple(10.0**-k for k in range(13))  # as shares of the largest variance
EVIDENCE = 2.0  # of log likelihood, below which an option is not worse


class Innovation(NamedTuple):
    """What was read less what was expected, ``gap (m,)``, and the standard deviation that it should have."""

    gap: Tensor
    expected: Tensor


class Mixing(NamedTuple):
    """How a covariance is made: ``share`` of the closed form's, the rest of the ensemble's times ``inflation``."""

    share: float
    inflation: float


class Closed:
    """A Gaussian window prior's own recursion: the covariance of a window, given what was read, not what it says.

    Arguments:
        mean, whole: of a window, ``(n,)`` and ``(n, n)``.
        chain: whose windows.
    """

    def __init__(self, mean: Tensor, whole: Tensor, chain: Chain) -> None:
        self.mean, self.whole, self.chain = mean, whole, chain
        known, free = self.chain.known.rows, self.chain.known.rest
        across = self.whole[free][:, known]
        self.gain = solved(self.whole[known][:, known], across.mT).mT
        self.rest = halved(self.whole[free][:, free] - self.gain @ across.mT)

    def center(self, shared: Tensor) -> Tensor:
        """The centre of the next window, where that of what it shares is ``shared``."""
        known, free = self.chain.known.rows, self.chain.known.rest
        found = torch.empty_like(self.mean)
        found[known], found[free] = shared, self.mean[free] + self.gain @ (shared - self.mean[known])
        return found

    def advanced(self, carried: Tensor) -> Tensor:
        """The covariance of the next window, where that of what it shares is ``carried``."""
        known, free = self.chain.known.rows, self.chain.known.rest
        cov, across = torch.zeros_like(self.whole), self.gain @ carried
        cov[known[:, None], known] = carried
        cov[free[:, None], known], cov[known[:, None], free] = across, across.mT
        cov[free[:, None], free] = halved(across @ self.gain.mT) + self.rest
        return cov


class Belief:
    """Members of a window and what is known of their covariance.

    Arguments:
        members: ``(M, n)``.
        center: ``(n,)``, their mean or, in closed form, the true one.
        cov: in closed form, ``(n, n)``; None without one.
    """

    def __init__(self, members: Tensor, center: Tensor, cov: Tensor | None) -> None:
        self.members, self.center, self.cov = members, center, cov

    def inflated(self, mixing: Mixing, rows: Tensor) -> Belief:
        """With members that are further from their centre in ``rows``, what the forecast is answerable for."""
        wide = self.center + mixing.inflation**0.5 * (self.members - self.center)
        return Belief(torch.where(rows, wide, self.members), self.center, self.cov)

    def expected(self, sight: Sight, mixing: Mixing) -> Tensor:
        """``S = H C H^T + R``, ``(m, m)``."""
        apart = sight.read(self.members - self.center)
        own = mixing.inflation * (1 - mixing.share) * apart.mT @ apart / max(len(apart) - 1, 1)
        if mixing.share:
            own = own + mixing.share * sight.read(sight.read(self.cov).mT)
        return own + torch.diag(sight.noise**2)

    def updated(self, sight: Sight, share: float) -> tuple[Belief, Innovation]:
        """After a reading."""
        apart = self.members - self.center
        seen = sight.read(apart)
        across = (1 - share) * apart.mT @ seen / max(len(apart) - 1, 1)
        if share:
            across = across + share * sight.read(self.cov)
        system = self.expected(sight, Mixing(share, 1.0))
        lower = torch.linalg.cholesky(system)
        gap = sight.value - sight.read(self.center)
        white = torch.linalg.solve_triangular(lower, across.mT, upper=False)  # L^{-1} H C
        half = torch.linalg.solve(lower + torch.diag(sight.noise), seen.mT)
        center = self.center + torch.linalg.solve_triangular(lower, gap[:, None], upper=False)[:, 0] @ white
        members = center + apart - half.mT @ white
        told = Innovation(gap, system.diagonal().sqrt())
        return Belief(members, center, self._reduced(sight)), told

    def _reduced(self, sight: Sight) -> Tensor | None:
        """The closed form's own covariance after a reading."""
        if self.cov is None:
            return None
        across = sight.read(self.cov)
        lower = torch.linalg.cholesky(sight.read(across.mT) + torch.diag(sight.noise**2))
        white = torch.linalg.solve_triangular(lower, across.mT, upper=False)
        return self.cov - white.mT @ white

    def regression(self, rows: Tensor, share: float) -> Tensor:
        """How all answers to what is known later of ``rows``: ``C[:, rows] C[rows, rows]^{-1}``, ``(n, r)``.

        Of the closed form if all of the covariance is; else what is beyond that is the members' own regression.
        """
        apart, gain = self.members - self.center, torch.zeros(len(self.center), len(rows)).to(self.center)
        if self.cov is not None:
            gain = solved(self.cov[rows[:, None], rows], self.cov[rows]).mT
        if share == 1:
            return gain
        rest = torch.ones(len(gain), dtype=torch.bool).index_fill(0, rows, False)
        gain[rest] += regressed(apart[:, rows], (apart - apart[:, rows] @ gain.mT)[:, rest])
        return gain.index_copy(0, rows, torch.eye(len(rows)).to(gain))


@dataclass
class Chooser:
    """The first mixture by which what was read was about as likely as by any, older readings counting less.

    Arguments:
        options: to choose from, those to be left for good reasons only ahead.
        memory: frames that were read over which they are forgotten.
    """

    options: Sequence[Mixing]
    memory: float = 30.0
    scores: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.scores = [0.0] * len(self.options)

    def told(self, belief: Belief, sight: Sight) -> Mixing:
        """The best so far, this reading included."""
        gap = sight.value - sight.read(belief.center)
        keep = math.exp(-1 / self.memory)
        self.scores = [keep * s + likelihood(belief.expected(sight, option), gap)
                       for s, option in zip(self.scores, self.options)]
        enough = max(self.scores) - EVIDENCE
        return next(option for option, score in zip(self.options, self.scores) if score >= enough)


def options(shares: Sequence[float], inflations: Sequence[float]) -> list[Mixing]:
    """Every pair of them."""
    return [Mixing(*pair) for pair in itertools.product(shares, inflations)]


def likelihood(cov: Tensor, gap: Tensor) -> float:
    """``log N(gap; 0, cov)`` up to a constant."""
    lower = torch.linalg.cholesky(cov)
    white = torch.linalg.solve_triangular(lower, gap[:, None], upper=False)
    return float(-white.square().sum() / 2 - lower.diagonal().log().sum())


def covariance_of(gaussian: Gaussian) -> Tensor:
    """Its dense covariance in float64, ``(n, n)``."""
    gaussian = copy.deepcopy(gaussian).double()
    variances = gaussian.variances
    return halved(gaussian.back(gaussian.modes(torch.eye(gaussian.center.numel()).double()) * variances))


def solved(cov: Tensor, right: Tensor) -> Tensor:
    """``cov^{-1} right`` of a covariance that rounding may have spoilt."""
    values, axes = torch.linalg.eigh(halved(cov))
    return axes @ ((axes.mT @ right) / values.clamp_min(1e-12 * values[-1])[:, None])


def regressed(known: Tensor, wanted: Tensor) -> Tensor:
    """The linear map ``(n, r)`` of centred members ``known (M, r)`` to ``wanted (M, n)``, shrunk by ridge regression.

    As far as predicts a member best that was left out: "Generalized Cross-Validation as a Method for Choosing a Good
    Ridge Parameter" (Golub, Heath & Wahba, 1979), https://doi.org/10.1080/00401706.1979.10489751
    """
    u, lengths, v = torch.linalg.svd(known, full_matrices=False)
    along, squares = u.mT @ wanted, lengths**2
    best: tuple[float, Tensor] | None = None
    for ridge in RIDGES:
        keep = squares / (squares + ridge * squares[0]).clamp_min(torch.finfo(squares.dtype).tiny)
        left = (1 - 1 / len(known) - (u**2 @ keep)).clamp_min(1e-9)
        error = float(((wanted - u @ (keep[:, None] * along)) / left[:, None]).square().sum())
        if best is None or error < best[0]:
            best = error, keep / lengths.clamp_min(1e-12 * lengths[0].clamp_min(1e-300))
    return (along.mT * best[1]) @ v


def halved(matrix: Tensor) -> Tensor:
    """The symmetric part of a matrix."""
    return (matrix + matrix.mT) / 2
