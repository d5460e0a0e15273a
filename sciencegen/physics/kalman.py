r"""The Kalman filter, the Rauch-Tung-Striebel smoother and the likelihood of a linear Gaussian state-space model.

.. math:: x_0 \sim N(m, P), \qquad x_{t+1} = A x_t + N(0, Q), \qquad y_t = H x_t + N(0, \rho^2)

A referee for what assimilates readings into a forecast: everything is exact, in float64, and the covariances are the
same for all rows, since they do not depend on what is read.

References:
    Bayesian Filtering and Smoothing (Sarkka & Svensson, 2023), https://doi.org/10.1017/9781108917407
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Beliefs", "LinearGaussian"]


class Beliefs(NamedTuple):
    """What is known of the state at each frame.

    Arguments:
        mean: ``(*B, T, d)``.
        covariance: ``(T, d, d)``.
        log_likelihood: of all that was read, ``(*B)``.
    """

    mean: Tensor
    covariance: Tensor
    log_likelihood: Tensor


@dataclass(frozen=True)
class LinearGaussian:
    """A state ``(d,)`` that moves linearly and is kicked, in float64.

    Arguments:
        mean, covariance: of the first frame, ``(d,)`` and ``(d, d)``.
        matrix: from a frame to the next, ``(d, d)``.
        kick: covariance of what a frame adds, ``(d, d)``.
    """

    mean: Tensor
    covariance: Tensor
    matrix: Tensor
    kick: Tensor

    def ahead(self, mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
        """Mean ``(*B, d)`` and covariance ``(d, d)`` one frame later."""
        return mean @ self.matrix.mT, self.matrix @ covariance @ self.matrix.mT + self.kick

    def filter(self, reads: Tensor, noise: float, readings: Tensor, observed: Sequence[int], frames: int) -> Beliefs:
        """The state at each of the first ``frames`` frames, given what was read until then.

        Arguments:
            reads: ``H (m, d)``.
            noise: standard deviation of a reading.
            readings: ``(*B, len(observed), m)``.
            observed: the frames that are read, counted from 0, rising.
        """
        if readings.shape[-2:] != (len(observed), len(reads)):
            raise ValueError(f"got readings {tuple(readings.shape)}; expected (*B, {len(observed)}, {len(reads)}): "
                             "frames that are read, and readings of each")
        places, found = {frame: i for i, frame in enumerate(observed)}, []
        mean, covariance = self.mean.expand(*readings.shape[:-2], -1), self.covariance
        total = readings.new_zeros(readings.shape[:-2], dtype=torch.float64)
        for frame in range(frames):
            if frame:
                mean, covariance = self.ahead(mean, covariance)
            if frame in places:
                mean, covariance, log = _read(mean, covariance, reads, noise, readings[..., places[frame], :].double())
                total = total + log
            found.append((mean, covariance))
        means, covariances = zip(*found)
        return Beliefs(torch.stack(means, -2), torch.stack(covariances), total)

    def smooth(self, filtered: Beliefs) -> Beliefs:
        """The state at each frame, given all that was read: backwards over what :meth:`filter` found."""
        mean, covariance = filtered.mean[..., -1, :], filtered.covariance[-1]
        found = [(mean, covariance)]
        for frame in range(filtered.mean.shape[-2] - 2, -1, -1):
            past, spread = filtered.mean[..., frame, :], filtered.covariance[frame]
            expected, wide = self.ahead(past, spread)
            gain = torch.linalg.solve(wide, self.matrix @ spread).mT
            mean = past + (mean - expected) @ gain.mT
            covariance = spread + gain @ (covariance - wide) @ gain.mT
            found.append((mean, covariance))
        means, covariances = zip(*reversed(found))
        return Beliefs(torch.stack(means, -2), torch.stack(covariances), filtered.log_likelihood)


def _read(mean: Tensor, covariance: Tensor, reads: Tensor, noise: float,
          readings: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, covariance and the logarithm of the readings' density: the innovation is normal."""
    spread = reads @ covariance @ reads.mT + noise**2 * torch.eye(len(reads)).to(reads)
    gain = torch.linalg.solve(spread, reads @ covariance).mT
    innovation = readings - mean @ reads.mT
    square = (innovation * (innovation @ torch.linalg.inv(spread))).sum(-1)
    log = -(square + torch.linalg.slogdet(spread).logabsdet + len(reads) * math.log(2 * math.pi)) / 2
    kept = torch.eye(len(covariance)).to(covariance) - gain @ reads  # Joseph's form stays positive
    return mean + innovation @ gain.mT, kept @ covariance @ kept.mT + noise**2 * gain @ gain.mT, log
