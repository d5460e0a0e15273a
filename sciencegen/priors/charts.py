r"""Charts: which coordinates an energy is about, which are known, and where they lie in a network's input.

A network sees all ``n`` coordinates of a state, ``u (N, n)``, and ``keep (N, n)`` that says of each what it is: 1 for
one that is there, noised and whitened by the Gaussian; 0 for one that was marginalised out, whose ``u`` is zero; -1 for
one that is given clean, whose ``u`` is its value in its own standard deviations. So one network knows a joint density,
its marginals and its conditionals.
"""

from __future__ import annotations

import abc

import torch
from torch import Tensor, nn

from ..exact import Conditional, Gaussian
from ..view import View, gather, scatter

__all__ = ["Chart", "Given", "Marginal", "Whole"]


class Chart(nn.Module, abc.ABC):
    """Coordinates of an energy, ``(*B, size)``, of which ``f`` are free and have a Gaussian.

    Attributes:
        base: the Gaussian of the free coordinates.
        size: numbers of a state of the energy.
        name: what the energy is of a whole one, as ``.marginal(u)``.
        keep: ``(n,)``, what the network is told of its coordinates.
    """

    base: Gaussian
    size: int
    name: str
    keep: Tensor

    def part(self, whole: Tensor) -> Tensor:
        """The state ``(*B, size)`` of a joint one, ``(*B, n)``."""
        return whole

    def free(self, x: Tensor) -> Tensor:
        """The free coordinates ``(*B, f)`` of a state or direction."""
        return x

    def off(self, x: Tensor) -> Tensor:
        """The free coordinates less their mean, ``(*B, f)``."""
        return x - self.base.center

    @abc.abstractmethod
    def enter(self, u: Tensor, x: Tensor) -> Tensor:
        """The network's input ``(N, n)``, with ``u (*B, f)`` where coordinates are free."""

    @abc.abstractmethod
    def leave(self, out: Tensor, x: Tensor) -> Tensor:
        """The network's output ``(N, n)`` where coordinates are free, ``(*B, f)``."""

    def back(self, v: Tensor) -> Tensor:
        """A direction of the free coordinates ``(*B, f)`` as one of the state, ``(*B, size)``."""
        return v

    def known(self, noise: Tensor) -> Tensor:
        """``noise (*B, n)`` on what is given, in the standard deviation of each coordinate, as a direction."""
        return torch.zeros_like(self.part(noise))

    def held(self, x: Tensor) -> Tensor:
        """The same state, along whose known coordinates there is no gradient."""
        return x

    def takes(self, rows: Tensor) -> bool:
        """Whether coordinates of the state are known clean."""
        return rows.numel() == 0

    def gaussian(self) -> Gaussian | None:
        """The Gaussian of the state, if it has one."""
        return self.base

    def gaussian_at(self, view: View, value: Tensor) -> Gaussian | None:
        """The Gaussian of the free coordinates at known values."""
        return None


class Whole(Chart):
    """The chart of a joint density: every coordinate is there."""

    name = ""

    def __init__(self, data: Gaussian) -> None:
        super().__init__()
        self.base, self.size = data, data.center.numel()
        self.register_buffer("keep", torch.ones_like(data.center), persistent=False)

    def enter(self, u: Tensor, x: Tensor) -> Tensor:
        return u.reshape(-1, self.size)

    def leave(self, out: Tensor, x: Tensor) -> Tensor:
        return out.reshape(x.shape)


class Marginal(Chart):
    """The chart of a marginal density: the state is a part of what the network sees, whole or with something given.

    Arguments:
        inner: the chart of the part by itself.
        view: which coordinates it has.
        like: of as many numbers as the network sees.
    """

    def __init__(self, inner: Chart, view: View, like: Tensor) -> None:
        super().__init__()
        rows = view.rows.to(like.device)
        self.inner, self.base, self.size, self.name = inner, inner.base, len(rows), f"{inner.name}.marginal({view})"
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("keep", scatter(inner.keep, rows, len(like)), persistent=False)

    def part(self, whole: Tensor) -> Tensor:
        return gather(whole, self.rows)

    def free(self, x: Tensor) -> Tensor:
        return self.inner.free(x)

    def off(self, x: Tensor) -> Tensor:
        return self.inner.off(x)

    def enter(self, u: Tensor, x: Tensor) -> Tensor:
        return scatter(self.inner.enter(u, x), self.rows, len(self.keep))

    def leave(self, out: Tensor, x: Tensor) -> Tensor:
        return self.inner.leave(out[:, self.rows], x)

    def back(self, v: Tensor) -> Tensor:
        return self.inner.back(v)

    def known(self, noise: Tensor) -> Tensor:
        return self.inner.known(self.part(noise))

    def held(self, x: Tensor) -> Tensor:
        return self.inner.held(x)

    def takes(self, rows: Tensor) -> bool:
        return self.inner.takes(rows)

    def gaussian(self) -> Gaussian | None:
        return self.inner.gaussian()

    def gaussian_at(self, view: View, value: Tensor) -> Gaussian | None:
        return self.inner.gaussian_at(view, value)


class Given(Chart):
    """The chart of a conditional density: the state is whole, some of its coordinates are known clean.

    Its Gaussian is the conditional one, so that what depends linearly on what is given is exact before any training.
    """

    def __init__(self, data: Gaussian, view: View, lowest: float) -> None:
        super().__init__()
        self.exact: Conditional = data.given(view)
        self.base, self.size, self.name = self.exact.rest, data.center.numel(), f".given({view})"
        self.register_buffer("scale", data.deviations()[self.exact.rows].clamp_min(lowest), persistent=False)
        keep = _marked(self.exact.free, data.center) - _marked(self.exact.rows, data.center)
        self.register_buffer("keep", keep, persistent=False)

    def free(self, x: Tensor) -> Tensor:
        return gather(x, self.exact.free)

    def off(self, x: Tensor) -> Tensor:
        return self.free(x) - self.exact.center(x)

    def enter(self, u: Tensor, x: Tensor) -> Tensor:
        rows = self.exact.rows
        known = (gather(x, rows) - self.exact.joint.center[rows]) / self.scale
        return (scatter(u, self.exact.free, self.size) + scatter(known, rows, self.size)).reshape(-1, self.size)

    def leave(self, out: Tensor, x: Tensor) -> Tensor:
        return out[:, self.exact.free].reshape(*x.shape[:-1], -1)

    def back(self, v: Tensor) -> Tensor:
        return scatter(v, self.exact.free, self.size)

    def known(self, noise: Tensor) -> Tensor:
        return scatter(self.scale * gather(noise, self.exact.rows), self.exact.rows, self.size)

    def held(self, x: Tensor) -> Tensor:
        return x.index_copy(-1, self.exact.rows, gather(x, self.exact.rows).detach())

    def takes(self, rows: Tensor) -> bool:
        return self.exact.takes(rows)

    def gaussian(self) -> Gaussian | None:
        return None

    def gaussian_at(self, view: View, value: Tensor) -> Gaussian | None:
        return self.exact.gaussian_at(view, value)


def _marked(rows: Tensor, like: Tensor) -> Tensor:
    return scatter(torch.ones_like(rows, dtype=like.dtype), rows, len(like))
