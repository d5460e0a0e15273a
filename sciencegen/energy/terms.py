"""Energies of one function: a potential of the clean state, a residual, and a denoiser, whose score alone is known."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from ..calls import Call, Plan
from ..values import positive
from .base import Energy, level, score_only
from .evaluation import Evaluation, Reading

__all__ = ["Denoised", "Potential", "Residual"]


class Potential(Energy):
    """Any function of the state as an energy, the same at every sigma: ``function(x) -> (*B,)``."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.function(x)

    def takes(self, rows: Tensor) -> bool:
        return True


class Residual(Energy):
    r"""``|r(x)|^2 / 2 (noise^2 + gain^2 sigma^2)``: ``r(x) -> (*B, m)`` should be zero up to ``noise``.

    Loose where the state is uncertain, stiff where it is known; ``gain`` is how strongly ``r`` answers to ``x``.
    ``noise`` and ``gain`` are numbers or ``(m,)`` tensors; ValueError unless they are finite and not below zero.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], noise: float | Tensor, gain: float | Tensor = 1.0) -> None:
        super().__init__()
        self.function = function
        for name, value in (("noise", noise), ("gain", gain)):
            self.register_buffer(name, positive(f"a residual's {name}", value, zero=True).double(), persistent=False)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        variance = self.noise.to(x) ** 2 + self.gain.to(x) ** 2 * level(sigma, x) ** 2
        return (self.function(x) ** 2 / (2 * variance)).sum(-1)

    def takes(self, rows: Tensor) -> bool:
        return True

    def readings(self) -> tuple[list[Reading], Energy | None]:
        return [Reading(self.function, self.noise)], None


class Denoised(Energy):
    """A denoiser ``net(x, sigma) -> E[x_0 | x]`` as an energy of which only the score is known."""

    exact = False

    def __init__(self, net: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.net = net if isinstance(net, nn.Module) else Function(net)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        raise score_only(self)

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        rows, levels = x.reshape(-1, x.shape[-1]), sigma.expand(*x.shape[:-1], 1).reshape(-1, 1)
        finish = lambda answers: Evaluation(None, (answers[0][0].reshape(x.shape) - x) / sigma**2)
        return Plan((Call(self.net, (rows, levels)),), finish)


class Function(nn.Module):
    """A plain function as a network, so that its calls are counted."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)
