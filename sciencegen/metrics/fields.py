r"""Errors of fields, one frame or one trajectory at a time, by the definitions that the field's benchmarks use.

Their names are alike and their numbers are not: the error's norm is divided by that of the truth (``relative_error``,
``nrmse_*``), or by the truth's departure from its own mean (``vrmse``: 1 is as good as the mean, 0.1 a tenth of the
deviation). A benchmark then averages over frames arithmetically (PDEBench) or geometrically (APEBench).

References:
    The Well (Ohana et al., 2024), https://arxiv.org/abs/2412.00568; PDEBench (Takamoto et al., 2022),
    https://arxiv.org/abs/2210.07182; APEBench (Koehler et al., 2024), https://arxiv.org/abs/2411.00180; PDE-Refiner
    (Lippe et al., 2023), https://arxiv.org/abs/2308.05732, for the time of high correlation.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["HighCorrelation", "correlation", "high_correlation_time", "nrmse_apebench", "nrmse_pdebench",
           "relative_error", "rmse", "vrmse"]


def relative_error(estimate: Tensor, truth: Tensor, axes: int = 1) -> Tensor:
    """``|estimate - truth| / |truth|`` in the 2-norm over the last ``axes`` axes, ``(*B, ...) -> (*B,)``."""
    over = _space(estimate, truth, axes)
    return torch.linalg.vector_norm(estimate - truth, dim=over) / torch.linalg.vector_norm(truth, dim=over)


def rmse(estimate: Tensor, truth: Tensor, axes: int = 1) -> Tensor:
    """Root mean square error over the last ``axes`` axes, ``(*B, *space) -> (*B,)``, in the fields' unit."""
    return (estimate - truth).square().mean(_space(estimate, truth, axes)).sqrt()


def vrmse(estimate: Tensor, truth: Tensor, axes: int = 1, epsilon: float = 1e-7) -> Tensor:
    r"""Variance-scaled root mean square error :math:`\sqrt{\overline{(u - v)^2} / (s_v^2 + \epsilon)}`, of The Well.

    ``(*B, *space) -> (*B,)``; :math:`s_v^2` is the unbiased variance of the truth over space, ``epsilon`` is in squared
    units of the field: The Well's 1e-7, which counts where a frame is nearly uniform.
    """
    over = _space(estimate, truth, axes)
    return ((estimate - truth).square().mean(over) / (truth.var(over) + epsilon)).sqrt()


def nrmse_pdebench(estimate: Tensor, truth: Tensor, axes: int = 1) -> Tensor:
    """PDEBench's nRMSE ``()``: the mean over samples, frames and channels of each one's :func:`relative_error`.

    ``(*B, *space)``; give the frames that are predicted, without those that were given.
    """
    return relative_error(estimate, truth, axes).mean()


def nrmse_apebench(estimate: Tensor, truth: Tensor, axes: int = 1, frames: int = 100) -> Tensor:
    """APEBench's nRMSE ``()``: the geometric mean over the first frames of the samples' mean relative error.

    ``(samples, time, *space)`` of one channel; its tables use 100 frames.
    """
    if estimate.ndim != axes + 2:
        raise ValueError(f"got fields {tuple(estimate.shape)}; expected (samples, time, *space), {axes} of space")
    return relative_error(estimate, truth, axes).mean(0)[:frames].log().mean().exp()


def correlation(estimate: Tensor, truth: Tensor, axes: int = 1) -> Tensor:
    """Pearson's correlation over the last ``axes`` axes, ``(*B, *space) -> (*B,)``; 0 where a field is uniform."""
    over = _space(estimate, truth, axes)
    apart = [x - x.mean(over, keepdim=True) for x in (estimate, truth)]
    norms = [torch.linalg.vector_norm(x, dim=over) for x in apart]
    product = norms[0] * norms[1]
    return (apart[0] * apart[1]).sum(over) / torch.where(product > 0, product, 1.0)


class HighCorrelation(NamedTuple):
    """How long a roll-out stays correlated with the truth, by the two definitions in use; in units of ``frame``.

    Arguments:
        first: ``(samples,)``, until a trajectory's own correlation first falls below the threshold.
        counted: ``()``, over all frames in which the samples' mean correlation is above the threshold. A chaotic system
            makes it the shorter one: few trajectories that are lost early draw the mean down.
    """

    first: Tensor
    counted: Tensor


def high_correlation_time(estimate: Tensor, truth: Tensor, frame: float = 1.0, threshold: float = 0.8,
                          axes: int = 1) -> HighCorrelation:
    """Time of high correlation of roll-outs ``(samples, time, *space)``, the first frame ``frame`` after the start.

    A roll-out that is never lost counts all its time; one that is not finite is lost.
    """
    if estimate.ndim != axes + 2:
        raise ValueError(f"got fields {tuple(estimate.shape)}; expected (samples, time, *space), {axes} of space")
    found = torch.nan_to_num(correlation(estimate, truth, axes), nan=0.0, posinf=0.0, neginf=0.0)
    kept = (found >= threshold).to(found)
    return HighCorrelation(frame * kept.cumprod(1).sum(1), frame * (found.mean(0) >= threshold).to(found).sum())


def _space(estimate: Tensor, truth: Tensor, axes: int) -> tuple[int, ...]:
    """The last ``axes`` axes; ValueError where the shapes differ."""
    if estimate.shape != truth.shape:
        raise ValueError(f"got shapes {tuple(estimate.shape)} and {tuple(truth.shape)}; expected equal ones")
    return tuple(range(-axes, 0))
