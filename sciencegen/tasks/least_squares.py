r"""Sums of squares taken to their lowest by products with a Jacobian, or without any derivative.

A step of Levenberg and Marquardt solves :math:`\min |r + J d|^2 + \lambda |d|^2` by conjugate gradients. Residuals of
which torch knows no gradient, as of an external solver, have to be as many as the unknowns and of the form
:math:`x - S(x)`; then changes from sweep to sweep take the Jacobian's place (:mod:`sciencegen.fixed_points`).

References:
    A method for the solution of certain non-linear problems in least squares (Levenberg, 1944),
    https://doi.org/10.1090/qam/10666; Numerical Optimization (Nocedal & Wright, 2006), chapter 10,
    https://doi.org/10.1007/978-0-387-40065-5
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..energy import Reading
from ..fixed_points import InterfaceQuasiNewton, fixed_point
from ..linear.functions import Linear
from ..random import Streams

__all__ = ["Lowest", "Residuals", "least_squares"]

PRODUCTS = 60  # with the Jacobian and its transpose, of one step
DAMPING, EASIER, HARDER = 1e-3, 0.2, 5.0  # of the mean curvature; after a step that went down, and after one that not
ROUNDS = 3  # from field to field, for one of the iterations of Gauss and Newton
STUCK = 1e12  # damping at which no step goes down any more


class Lowest(NamedTuple):
    """Where starts ended.

    Arguments:
        x: ``(M, d)``.
        value: the energy there, ``(M,)``.
        history: the energies from step to step.
        evaluations: of the residuals of a start, each product with a Jacobian as one more.
    """

    x: Tensor
    value: Tensor
    history: list[Tensor]
    evaluations: int

    def lower(self, other: Lowest) -> Lowest:
        """Of two searches the end that is lower, start by start."""
        better = other.value < self.value
        value = torch.where(better, other.value, self.value)
        return Lowest(torch.where(better[:, None], other.x, self.x), value, [*self.history, value],
                      self.evaluations + other.evaluations)


class Residuals:
    """Readings that should be zero, side by side and over their noise: ``(M, d) -> (M, m)``."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        if not all(bool((r.noise > 0).all()) for r in readings):
            raise ValueError("got residuals with a noise of zero; expected how well each is believed, above zero")
        self.readings = list(readings)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.cat([r.function(x) / r.noise.to(x) for r in self.readings], -1)

    def differentiable(self, x: Tensor) -> bool:
        """Whether torch knows the gradient of all of them."""
        with torch.enable_grad():
            at = x.detach().requires_grad_()
            return all(r.function(at).requires_grad for r in self.readings)


def least_squares(residuals: Residuals, x: Tensor, iterations: int, tolerance: float) -> Lowest:
    """From ``x (M, d)`` down ``|r|^2 / 2``; a start is done once a step that went down moves it by ``tolerance``.

    Where residuals are as many as unknowns, each field a solver's answer, steps are first made in what is left when the
    first field has been solved for: the valley in which that field agrees is narrow and bent, and need not be followed.
    Where that ends above the noise, as where residuals are of another kind, steps are made from the start itself too.
    """
    sweep = _Sweep.of(residuals, x)
    if not residuals.differentiable(x):
        return _quasi_newton(residuals, sweep, x, iterations, tolerance)
    if sweep is None:
        return _gauss_newton(residuals, x, iterations, tolerance)
    near = _gauss_newton(sweep.left, x[:, sweep.first:], iterations, tolerance)
    with torch.no_grad():
        ahead = sweep.whole(near.x)
        start = torch.where(ahead.isfinite().all(-1, keepdim=True), ahead, x)
    found = _gauss_newton(residuals, start, iterations, tolerance)
    found = found._replace(evaluations=near.evaluations + found.evaluations)
    if bool((2 * found.value <= x.shape[-1]).all()):
        return found
    return found.lower(_gauss_newton(residuals, x, iterations, tolerance))


class _Sweep(NamedTuple):
    """One round over all fields, in place; what the first field is at the start does not matter.

    Arguments:
        residuals: of each field, in the state's order.
        spans: where each field is in the state.
        x: a state, of whose shape all are.
    """

    residuals: Residuals
    spans: list[slice]
    x: Tensor

    @classmethod
    def of(cls, residuals: Residuals, x: Tensor) -> _Sweep | None:
        """None where residuals are not as many as unknowns."""
        with torch.no_grad():
            sizes = [r.function(x).shape[-1] for r in residuals.readings]
        ends = torch.tensor(sizes).cumsum(0).tolist()
        return cls(residuals, [slice(end - size, end) for size, end in zip(sizes, ends)], x) if (
            sum(sizes) == x.shape[-1]) else None

    @property
    def first(self) -> int:
        """Numbers of the first field; none where there is but one."""
        return self.spans[0].stop if len(self.spans) > 1 else 0

    def whole(self, rest: Tensor) -> Tensor:
        """The state ``(M, d)`` after a round from all fields but the first, ``(M, d - first)``."""
        z = torch.cat([self.x[:, :self.first], rest], 1)
        for reading, span in zip(self.residuals.readings, self.spans):
            z = torch.cat([z[:, :span.start], z[:, span] - reading.function(z), z[:, span.stop:]], 1)
        return z

    def left(self, rest: Tensor) -> Tensor:
        """By how much a round moves all fields but the first."""
        return self.whole(rest)[:, self.first:] - rest


def _quasi_newton(residuals: Residuals, sweep: _Sweep | None, x: Tensor, iterations: int, tolerance: float) -> Lowest:
    """Rounds from field to field, accelerated."""
    if sweep is None:
        raise TypeError(f"got solvers without gradients, and not as many residuals as the {x.shape[-1]} unknowns; "
                        "expected torch functions, or as many residuals as unknowns: each field a solver's answer")
    with torch.no_grad():
        found = fixed_point(lambda rest: sweep.whole(rest)[:, sweep.first:], x[:, sweep.first:],
                            InterfaceQuasiNewton(), tolerance, ROUNDS * iterations, absolute=True)
        end = sweep.whole(found.point)
        value = residuals(end).square().sum(-1) / 2
    return Lowest(end, value, [value], int(found.iterations.max()) + 2)


def _gauss_newton(residuals: Callable[[Tensor], Tensor], x: Tensor, iterations: int, tolerance: float) -> Lowest:
    near, count = Linear(residuals, x), 1
    value, going = near.value.square().sum(-1) / 2, torch.ones(len(x), dtype=torch.bool)
    size = _curvature(near, x)
    damping, history = DAMPING * size, [value]
    for _ in range(iterations):
        step, products = _step(near, damping, going)
        ahead = torch.where(going[:, None], x + step, x)
        fresh = Linear(residuals, ahead)
        after = fresh.value.square().sum(-1) / 2
        down = going & (after < value)
        count += 1 + products
        going = going & ~(down & (step.abs().amax(-1) < tolerance)) & ~(damping > STUCK * size)
        x, value = torch.where(down[:, None], ahead, x), torch.where(down, after, value)
        damping = damping * torch.where(down, EASIER, HARDER)
        history.append(value)
        if not bool(going.any()):
            break
        near = fresh if bool(down.all()) else Linear(residuals, x)
    return Lowest(x, value, history, count)


def _curvature(near: Linear, x: Tensor) -> Tensor:
    """About the mean eigenvalue of ``J^T J``, ``(M,)``, by one product."""
    turn = Streams(torch.arange(len(x))).normal(x.shape[-1], x.dtype)
    return (near.push(turn).square().sum(-1) / turn.square().sum(-1)).clamp_min(torch.finfo(x.dtype).tiny)


def _step(near: Linear, damping: Tensor, going: Tensor) -> tuple[Tensor, int]:
    """``(J^T J + damping) d = -J^T r`` by conjugate gradients, and the products that it took."""
    residual = -near.pull(near.value)
    found, heading = torch.zeros_like(residual), residual
    square = residual.square().sum(-1)
    enough, products = 1e-16 * square, 1
    for _ in range(PRODUCTS // 2):
        busy = going & (square > enough)
        if not bool(busy.any()):
            break
        image = near.pull(near.push(heading)) + damping[:, None] * heading
        products += 2
        size = torch.where(busy, square / (heading * image).sum(-1).clamp_min(torch.finfo(square.dtype).tiny), 0.0)
        found, residual = found + size[:, None] * heading, residual - size[:, None] * image
        fresh = residual.square().sum(-1)
        heading = residual + torch.where(busy, fresh / square, 0.0)[:, None] * heading
        square = torch.where(busy, fresh, square)
    return found, products


