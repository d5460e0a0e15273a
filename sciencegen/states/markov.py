r"""Gaussians of windows that are Markov in time: the first frame's law, and a linear regression from frame to frame.

With pooled covariances ``S_0`` of a frame ``z`` and ``S_1`` of the next one with it, which regresses on ``z``,

.. math:: z' = A z + e, \quad A = S_1 (S_0 + \rho)^{-1}, \quad Q = S_0' - A S_1^H, \quad P_{k+1} = A P_k A^H + Q .

All windows' frames say the same ``A`` and ``Q``, so that far fewer are needed than for a general covariance, and a
forecast that goes on from the clean end of a window is that of one process. Along periodic axes there is one small
matrix for each wave number; elsewhere a ridge ``rho`` keeps the regression from what few rows happen to say. What does
not move (numbers of a sample) is regressed on too, as if it were a part of each frame.

Where dynamics are local and not linear, the regression is a poor start: its gain, a number by wave number with the
errors of few rows, is a filter as wide as the ring, which a network of local convolutions cannot take back. Under
persistence, ``A = 1`` and ``Q`` the covariance of the increments, what is left to learn stays local.

With one residual variance a part instead of ``Q`` the next frame is the regression's plus an increment in units of its
own spread, which suits a network where the dynamics are deterministic: then ``Q`` is not noise but what the network is
to learn, and whitening it would make as much of each fast and tiny wave as of those that matter.

Reference: "Multivariate Time Series Analysis" (Wei, 2019), https://doi.org/10.1002/9781119502951, ch. 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..layout import Layout

__all__ = ["Frames"]


@dataclass(frozen=True)
class Frames:
    """Which channels of a covariance are of which frame of a window.

    Arguments:
        moving: ``(L, c)``, those of each frame.
        still: ``(m,)``, those of what does not move.
        parts: ``(c,)``, which part each channel of a frame is of.
    """

    moving: Tensor
    still: Tensor
    parts: Tensor

    @classmethod
    def of(cls, layout: Layout) -> Frames | None:
        """Those of a state, a channel each coordinate; None if nothing moves over two frames or more."""
        moving, still, parts = [], [], []
        for number, (name, variable) in enumerate(layout.variables.items()):
            index = layout[name].index
            if variable.dims[:1] == ("time",):
                moving.append(index.reshape(len(index), -1))
                parts.append(torch.full((moving[-1].shape[1],), number))
            else:
                still.append(index.reshape(-1))
        if not moving or len(moving[0]) < 2 or len({len(index) for index in moving}) > 1:
            return None
        return cls(torch.cat(moving, 1), torch.cat([*still, torch.zeros(0, dtype=torch.long)]), torch.cat(parts))

    def through(self, channels: Tensor) -> Frames:
        """The same where coordinate ``i`` is of channel ``channels[i]``: each channel once."""
        moving = torch.stack([channels[frame].unique() for frame in self.moving])
        parts = torch.zeros(int(channels.max()) + 1, dtype=torch.long)
        parts[channels[self.moving[0]]] = self.parts
        return Frames(moving, channels[self.still].unique(), parts[moving[0]])

    def mean(self, mean: Tensor) -> Tensor:
        """A state's mean ``(d,)``, that of all frames in each."""
        return mean.index_copy(0, self.moving.flatten(), mean[self.moving].mean(0).repeat(len(self.moving)))

    def chained(self, cov: Tensor, ridge: float = 0.0, single: bool = False, persistent: bool = False) -> Tensor:
        """Covariances ``(..., C, C)``, Hermitian, made those of a Markov chain.

        Arguments:
            cov: of all channels.
            ridge: added to the covariance that is regressed on, as a share of its mean diagonal.
            single: whether what is left over has one variance a part, over all leading axes.
            persistent: whether a frame is the last one and an increment, instead of regressed on it.
        """
        length, size = self.moving.shape
        now = [torch.cat([frame, self.still]) for frame in self.moving]
        pairs = range(length - 1)
        before = torch.stack([_block(cov, now[k], now[k]) for k in pairs]).mean(0)
        across = torch.stack([_block(cov, self.moving[k + 1], now[k]) for k in pairs]).mean(0)
        after = torch.stack([_block(cov, self.moving[k + 1], self.moving[k + 1]) for k in pairs]).mean(0)
        gain = torch.eye(*across.shape[-2:]).to(cov) if persistent else _regression(before, across, ridge)
        left = after - gain @ across.mH - across @ gain.mH + gain @ before @ gain.mH
        if single:
            left = self._one(left)
        return self._joined(cov, gain, (left + left.mH) / 2, size)

    def _one(self, left: Tensor) -> Tensor:
        """The mean variance of each part on the diagonal, over the wave numbers that it has."""
        diagonal = left.diagonal(dim1=-2, dim2=-1).real.reshape(-1, left.shape[-1])
        flat = diagonal.sum(0) / (diagonal != 0).sum(0).clamp_min(1)
        means = torch.stack([flat[self.parts == part].mean() for part in self.parts])
        return torch.diag(means.to(left)).expand_as(left)

    def _joined(self, cov: Tensor, gain: Tensor, left: Tensor, size: int) -> Tensor:
        """The chain's covariance, frame by frame: each is regressed on the one before and on what is still."""
        found = torch.zeros_like(cov)
        known = torch.cat([self.moving[0], self.still])
        found[..., known[:, None], known] = _block(cov, known, known)
        for k in range(1, len(self.moving)):
            frame, now = self.moving[k], torch.cat([self.moving[k - 1], self.still])
            with_known = gain @ _block(found, now, known)
            found[..., frame[:, None], known] = with_known
            found[..., known[:, None], frame] = with_known.mH
            found[..., frame[:, None], frame] = gain @ _block(found, now, now) @ gain.mH + left
            known = torch.cat([known, frame])
        return found


def _block(cov: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    return cov[..., rows[:, None], columns]


def _regression(before: Tensor, across: Tensor, ridge: float) -> Tensor:
    """``across (before + ridge)^-1``; what hardly varies is regressed on nothing."""
    variance = before.diagonal(dim1=-2, dim2=-1).real.mean(-1)
    values, vectors = torch.linalg.eigh(before)
    least = values.amax() * 1e-12
    inverse = torch.where(values > least, 1 / (values + ridge * variance[..., None]).clamp_min(least), 0.0)
    return across @ (vectors * inverse[..., None, :].to(vectors)) @ vectors.mH
