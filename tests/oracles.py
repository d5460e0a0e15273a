"""What the tests compare with: closed forms of Gaussians, mixtures and chains, and the counting of calls and graphs.

Written by another road than the package (linear solves instead of eigenvectors, sums over components instead of
automatic differentiation), so that a mistake cannot be made twice in the same way.
"""

import math
import weakref

import torch
from torch import Tensor, nn

SIGMAS = [0.01, 0.3, 1.0, 10.0]


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers in float64."""
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def close(got: Tensor, wanted: Tensor, tolerance: float = 1e-10) -> None:
    """Equal to ``tolerance`` relative to the largest number wanted, in shape too."""
    assert got.shape == wanted.shape, f"got shape {tuple(got.shape)}; expected {tuple(wanted.shape)}"
    got, wanted = got.detach(), wanted.detach()
    scale = max(1.0, float(wanted.abs().max())) if wanted.numel() else 1.0
    torch.testing.assert_close(got, wanted, rtol=0, atol=tolerance * scale)


def covariance(d: int, seed: int = 0) -> Tensor:
    """A well-conditioned covariance ``(d, d)``."""
    root = normal(d, d, seed=seed)
    return root @ root.mT / d + 0.3 * torch.eye(d, dtype=torch.float64)


def gaussian_mean(x: Tensor, sigma: float, mean: Tensor, cov: Tensor) -> Tensor:
    """``E[x_0 | x] = m + C (C + sigma^2)^{-1} (x - m)``."""
    noisy = cov + sigma**2 * torch.eye(len(mean)).to(cov)
    return mean + torch.linalg.solve(noisy, (x - mean)[..., None])[..., 0] @ cov


def gaussian_flow(x: Tensor, a: float, b: float, mean: Tensor, cov: Tensor) -> Tensor:
    """Where the probability flow takes ``x`` from level ``a`` to ``b``: ``((C + b^2) / (C + a^2))^{1/2}``."""
    values, vectors = torch.linalg.eigh(cov)
    return mean + ((x - mean) @ vectors * ((values + b**2) / (values + a**2)).sqrt()) @ vectors.mT


def conditioned(mean: Tensor, cov: Tensor, A: Tensor, y: Tensor, noise: float) -> tuple[Tensor, Tensor]:
    """Mean and covariance of ``N(mean, cov)`` given ``y = A x + N(0, noise^2)``."""
    precision = torch.linalg.inv(cov) + A.mT @ A / noise**2
    posterior = torch.linalg.inv(precision)
    return posterior @ (torch.linalg.solve(cov, mean) + A.mT @ y / noise**2), posterior


def mixture_mean(x: Tensor, sigma: float, weights: Tensor, means: Tensor, std: Tensor) -> Tensor:
    """``E[x_0 | x]`` of ``sum_k w_k N(mean_k, std_k^2)``: each component's mean, weighted by its responsibility."""
    variance = std**2 + sigma**2
    square = (x[..., None, :] - means).square().sum(-1)
    responsibility = weights * variance ** (-x.shape[-1] / 2) * torch.exp(-square / (2 * variance))
    responsibility = responsibility / responsibility.sum(-1, keepdim=True)
    inside = means + (std**2 / variance)[:, None] * (x[..., None, :] - means)
    return (responsibility[..., None] * inside).sum(-2)


def chain(length: int, rho: float) -> Tensor:
    """Covariance of a stationary AR(1) chain of unit variance."""
    steps = torch.arange(length, dtype=torch.float64)
    return rho ** (steps[:, None] - steps).abs()


def order(errors: list[float], steps: list[int]) -> float:
    """Observed order of convergence: minus the slope of ``log error`` over ``log steps``."""
    x, y = (torch.tensor(v, dtype=torch.float64).log() for v in (steps, errors))
    return -float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())


def within(sample: Tensor, mean: float, deviation: float, sigmas: float = 4.5) -> None:
    """The sample's mean is ``mean``, up to ``sigmas`` standard errors of draws with that standard deviation."""
    error = float(sample.mean()) - mean
    limit = sigmas * deviation / math.sqrt(sample.numel())
    assert abs(error) < limit, f"off by {error:.4g}; {sigmas} standard errors are {limit:.4g}"


class Counted(nn.Module):
    """A network that counts its calls, the rows of each, and the backward passes through it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.rows: list[int] = []
        self.backward = 0

    def forward(self, u: Tensor, *rest: Tensor) -> Tensor:
        self.rows.append(len(u))
        out = self.net(u, *rest)
        if out.requires_grad:
            out.register_hook(self._count)
        return out

    def _count(self, gradient: Tensor) -> None:
        self.backward += 1

    @property
    def calls(self) -> int:
        return len(self.rows)


class _Kept:
    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


class Graph:
    """Counts the tensors that autograd keeps alive for a backward pass, while it is entered as a context."""

    def __init__(self) -> None:
        self._kept: weakref.WeakSet[_Kept] = weakref.WeakSet()
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda kept: kept.tensor)

    def _pack(self, tensor: Tensor) -> _Kept:
        kept = _Kept(tensor.detach())  # an output would hold on to the graph that holds on to it
        self._kept.add(kept)
        return kept

    def __len__(self) -> int:
        return len(self._kept)

    def __enter__(self) -> "Graph":
        self._hooks.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._hooks.__exit__(*error)
