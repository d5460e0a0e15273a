r"""Networks trained elsewhere, as energies: DDPM (noise, v or clean state), score and EDM networks, flow matching.

They differ in how a state is scaled and in what is predicted. With ``s = sigma``, ::

    variance preserving    x_t = x / sqrt(1 + s^2),  alpha_bar(t) = 1 / (1 + s^2)     DDPM
    variance exploding     x                                                          score matching, EDM
    straight lines         x_t = x / (1 + s),        t = s / (1 + s)                  rectified flow, flow matching

each has Tweedie's mean, so that they all add. ``net(x_t, t)`` is called with states ``(N, d)`` and times ``(N,)``.
"Denoising Diffusion Probabilistic Models" (Ho et al., 2020), https://arxiv.org/abs/2006.11239; v: "Progressive
Distillation for Fast Sampling of Diffusion Models" (Salimans & Ho, 2022), https://arxiv.org/abs/2202.00512; "Flow
Matching for Generative Modeling" (Lipman et al., 2023), https://arxiv.org/abs/2210.02747.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..energy import Denoised

__all__ = ["Table", "clean", "epsilon", "exploding", "flow_matching", "rectified_flow", "score", "velocity"]

Net = Callable[[Tensor, Tensor], Tensor]


class Table(nn.Module):
    """The times of a discrete DDPM: ``alpha_bar (T,)``, falling, at ``t = 0 ... T - 1``; ``sigma (N, 1) -> t (N,)``.

    Between two entries ``t`` is a fraction, linear in ``log sigma``; beyond the ends it is the end's.
    """

    def __init__(self, alpha_bar: Tensor) -> None:
        super().__init__()
        a = torch.as_tensor(alpha_bar, dtype=torch.float64)
        if a.ndim != 1 or len(a) < 2 or not bool((a.diff() < 0).all() and (a > 0).all() and (a < 1).all()):
            raise ValueError(f"got alpha_bar of shape {tuple(a.shape)}; expected (T,), falling, between 0 and 1: the "
                             "cumulative products of 1 - beta")
        self.register_buffer("log_sigma", ((1 - a) / a).log() / 2)
        self.lowest = float(self.log_sigma[0].exp())

    def forward(self, sigma: Tensor) -> Tensor:
        """Times ``(N,)`` of noise levels ``(N, 1)``."""
        height = sigma[:, 0].log().to(self.log_sigma).contiguous()
        right = torch.searchsorted(self.log_sigma, height).clamp(1, len(self.log_sigma) - 1)
        low, high = self.log_sigma[right - 1], self.log_sigma[right]
        return (right - 1 + ((height - low) / (high - low)).clamp(0, 1)).to(sigma)


def epsilon(net: Net, table: Table) -> Denoised:
    """A DDPM that predicts the noise: ``mean = x - s net(x_t, t)``."""
    return Denoised(Adapted(lambda net, x, s, t: x - s * net(x / (1 + s**2) ** 0.5, t(s)), net, table.lowest, table))


def velocity(net: Net, table: Table) -> Denoised:
    """A DDPM that predicts ``v = sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) clean``."""
    mean = lambda net, x, s, t: x / (1 + s**2) - s / (1 + s**2) ** 0.5 * net(x / (1 + s**2) ** 0.5, t(s))
    return Denoised(Adapted(mean, net, table.lowest, table))


def clean(net: Net, table: Table) -> Denoised:
    """A DDPM that predicts the clean state."""
    return Denoised(Adapted(lambda net, x, s, t: net(x / (1 + s**2) ** 0.5, t(s)), net, table.lowest, table))


def exploding(net: Net, lowest: float = 2e-3) -> Denoised:
    """A denoiser ``net(x, sigma) -> clean``, as EDM's with its preconditioning."""
    return Denoised(Adapted(lambda net, x, s, _: net(x, s[:, 0]), net, lowest))


def score(net: Net, lowest: float = 2e-3) -> Denoised:
    """A score network ``net(x, sigma) -> grad log p_sigma(x)``."""
    return Denoised(Adapted(lambda net, x, s, _: x + s**2 * net(x, s[:, 0]), net, lowest))


def rectified_flow(net: Net, lowest: float = 2e-3) -> Denoised:
    """A velocity with noise at ``t = 1``: ``x_t = (1 - t) clean + t noise``, ``net = noise - clean``."""
    mean = lambda net, x, s, _: (x - s * net(x / (1 + s), (s / (1 + s))[:, 0])) / (1 + s)
    return Denoised(Adapted(mean, net, lowest))


def flow_matching(net: Net, lowest: float = 2e-3) -> Denoised:
    """A velocity with data at ``t = 1``: ``x_t = t clean + (1 - t) noise``, ``net = clean - noise``."""
    mean = lambda net, x, s, _: (x + s * net(x / (1 + s), (1 / (1 + s))[:, 0])) / (1 + s)
    return Denoised(Adapted(mean, net, lowest))


class Adapted(nn.Module):
    """Tweedie's mean by a network of another kind; below ``lowest`` the score is the one there."""

    def __init__(self, mean: Callable[..., Tensor], net: Net, lowest: float, table: Table | None = None) -> None:
        super().__init__()
        self.mean, self.net, self.lowest, self.table = mean, net, lowest, table

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """``x (N, d)``, ``sigma (N, 1)`` to ``(N, d)``."""
        s = sigma.clamp_min(self.lowest)
        return x + (sigma / s) ** 2 * (self.mean(self.net, x, s, self.table) - x)
