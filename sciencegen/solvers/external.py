"""
Programs that know their own derivatives, as differentiable torch functions.

An adjoint solver, a model behind HTTP or a tool with automatic differentiation of its own computes `F(x)` and `J^T s`
for one case at a time. Torch's chain rule needs no more: `J^T s` is its backward pass, and where gradients of gradients
are asked for, `J v` is the derivative of `J^T s` by `s`, and `d(J^T s)/dx v` the one by `x`. Numbers travel in double
precision, row by row, and come back in the dtype and on the device that they left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["External", "Vector", "differentiable", "joined"]

Vector = list[float]


class External(Protocol):
    """A map `F` from `n` numbers to `m`, with what it knows of its derivatives; one row at a time, in any thread."""

    def evaluate(self, row: Vector) -> Vector:
        """`F(row)`, m numbers."""

    def pull(self, row: Vector, sens: Vector, wanted: Sequence[bool]) -> Vector:
        """`J^T sens`, n numbers; anything for inputs that are not wanted."""

    def push(self, row: Vector, vector: Vector) -> Vector:
        """`J vector`, m numbers."""

    def bend(self, row: Vector, sens: Vector, vector: Vector) -> Vector:
        """`d(J^T sens)/dx vector`, n numbers."""


def differentiable(model: External, wanted: Sequence[bool], workers: int, x: Tensor) -> Tensor:
    """`F(x)`, `(N, n) -> (N, m)`, with the model's derivatives; `workers` rows at a time."""
    return _Value.apply(model, tuple(wanted), workers, x)


def joined(shapes: Mapping[str, tuple[int, ...]], parts: Mapping[str, Tensor]) -> tuple[torch.Size, Tensor]:
    """The leading axes that the parts share, and `(N, n)`: all parts of a row one after another."""
    if missing := sorted(shapes.keys() - parts.keys()):
        raise ValueError(f"got the parts {sorted(parts)}; expected {missing} among them")
    flat = []
    for name, shape in shapes.items():
        axes, part = len(shape), parts[name]
        if part.shape[part.ndim - axes :] != tuple(shape):
            raise ValueError(f"got {name} of shape {tuple(part.shape)}; expected (*B, {', '.join(map(str, shape))})")
        flat.append(part.reshape(*part.shape[: part.ndim - axes], -1))
    batch = torch.broadcast_shapes(*(part.shape[:-1] for part in flat))
    row = torch.cat([part.expand(*batch, -1) for part in flat], -1)
    return batch, row.reshape(-1, row.shape[-1])


def _rows(workers: int, call: Callable[..., Vector], like: Tensor, *batches: Tensor) -> Tensor:
    """`call` of each row of the batches `(N, ...)`, as a tensor `like` another."""
    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(call, *(batch.detach().cpu().double().tolist() for batch in batches)))
    return like.new_tensor(found)


class _Value(torch.autograd.Function):
    """`F(x)`, `(N, n) -> (N, m)`."""

    @staticmethod
    def forward(ctx: Any, model: External, wanted: tuple[bool, ...], workers: int, x: Tensor) -> Tensor:
        ctx.model, ctx.wanted, ctx.workers = model, wanted, workers
        ctx.save_for_backward(x)
        return _rows(workers, model.evaluate, x, x)

    @staticmethod
    def backward(ctx: Any, sens: Tensor) -> tuple[None, None, None, Tensor]:
        (x,), model, workers = ctx.saved_tensors, ctx.model, ctx.workers
        pulled = _Pull.apply(model, ctx.wanted, workers, x.detach(), sens)
        # apart, so that the Hessian is asked for only by those who need it, and not for J v
        curved = _Curved.apply(model, workers, x, sens.detach()) if torch.is_grad_enabled() else 0.0
        return None, None, None, pulled + curved


class _Pull(torch.autograd.Function):
    """`J^T s`, `(N, n), (N, m) -> (N, n)`, at a fixed x; its derivative by `s` along `v` is `J v`."""

    @staticmethod
    def forward(
        ctx: Any, model: External, wanted: tuple[bool, ...], workers: int, x: Tensor, sens: Tensor
    ) -> Tensor:
        ctx.model, ctx.workers = model, workers
        ctx.save_for_backward(x, sens)
        return _rows(workers, lambda row, weights: model.pull(row, weights, wanted), x, x, sens)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, vector: Tensor) -> tuple[None, None, None, None, Tensor]:
        x, sens = ctx.saved_tensors
        return None, None, None, None, _rows(ctx.workers, ctx.model.push, sens, x, vector)


class _Curved(torch.autograd.Function):
    """0, with the derivative of `J(x)^T s` by `x`, at a fixed s."""

    @staticmethod
    def forward(ctx: Any, model: External, workers: int, x: Tensor, sens: Tensor) -> Tensor:
        ctx.model, ctx.workers = model, workers
        ctx.save_for_backward(x, sens)
        return torch.zeros_like(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, vector: Tensor) -> tuple[None, None, Tensor, None]:
        x, sens = ctx.saved_tensors
        return None, None, _rows(ctx.workers, ctx.model.bend, x, x, sens, vector), None
