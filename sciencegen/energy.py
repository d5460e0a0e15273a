r"""Energies and their algebra: everything you know, as one sum.

An energy is ``E(x, sigma) = -log p_sigma(x) + const`` with ``p_sigma = p * N(0, sigma^2 I)``, one number per row; its
score is ``s = -grad E`` and its Tweedie mean is ``E[x_0 | x] = x + sigma^2 s``. Adding energies multiplies densities:
a trained model, a law, a measurement and an objective are all energies over one state, and their sum is the question.

What reaches a network is asked for, not called (:meth:`Energy.ask`, see :mod:`sciencegen.calls`), so that a score
costs one network call whatever the number of terms, windows or copies.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .calls import Asking, Call, run, together
from .view import View, gather, scatter

__all__ = ["Denoised", "Energy", "On", "Potential", "Residual", "Sum"]

Weight = float | Callable[[Tensor], Tensor]


class Energy(nn.Module, abc.ABC):
    """``E(x, sigma) = -log p_sigma(x) + const``: ``x (*B, d)``, ``sigma () or (*B, 1)`` to ``(*B,)``.

    ``exact`` says that :meth:`forward` is the energy whose gradient :meth:`score` is; a sum is exact if its terms are.
    """

    exact: bool = True

    @abc.abstractmethod
    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """``(*B,)``; TypeError where only a score is known."""

    def ask(self, x: Tensor, sigma: Tensor) -> Asking:
        """Energy (None where unknown) and score, as a coroutine over the network calls that they need."""
        yield []
        return differentiate(self, x, sigma)

    def evaluate(self, x: Tensor, sigma: Tensor | float) -> tuple[Tensor | None, Tensor]:
        """Energy ``(*B,)`` (None where unknown) and score ``(*B, d)`` for the price of the score."""
        return run(self.ask(x, level(sigma, x)))

    def score(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """``-grad E (*B, d)``; builds a graph iff grad mode is on."""
        return self.evaluate(x, sigma)[1]

    def mean(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Tweedie's mean of the clean state, ``x + sigma^2 score``, ``(*B, d)``."""
        return x + level(sigma, x) ** 2 * self.score(x, sigma)

    def on(self, view: View) -> Energy:
        """The same energy of a part of a larger state, summed over the view's copies in one network call."""
        return On(self, view)

    def marginal(self, view: View) -> Energy:
        """The energy of the coordinates in ``view`` alone; TypeError where it is not known."""
        raise TypeError(f"the marginal of {self!r} on '{view}' is not known; expected a Gaussian or a network trained "
                        "with that part kept (Denoiser(..., marginals=[...]))")

    def __add__(self, other: Energy) -> Energy:
        if isinstance(other, (int, float)) and other == 0:  # so that sum(energies) works
            return self
        if not isinstance(other, Energy):
            return NotImplemented
        return Sum([*terms_of(self), *terms_of(other)])

    __radd__ = __add__

    def __mul__(self, weight: Weight) -> Energy:
        if isinstance(weight, Energy):
            raise TypeError(f"energies add (their densities multiply): got {self!r} * {weight!r}; expected a + b, or a "
                            "number times an energy")
        weight = weight if callable(weight) else float(weight)
        return Sum([(_product(weight, w), e) for w, e in terms_of(self)])

    __rmul__ = __mul__

    def __neg__(self) -> Energy:
        return -1.0 * self

    def __sub__(self, other: Energy) -> Energy:
        return self + -other

    def __repr__(self) -> str:
        return type(self).__name__


class Sum(Energy):
    """``sum_i w_i E_i``; weights are numbers or functions of sigma, ``() or (*B, 1) -> the same shape``."""

    def __init__(self, terms: Sequence[tuple[Weight, Energy]]) -> None:
        super().__init__()
        self.weights = [w for w, _ in terms]
        self.energies = nn.ModuleList(e for _, e in terms)
        self.exact = all(e.exact for e in self.energies)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        sigma = level(sigma, x)
        return sum(_per_row(_at(w, sigma)) * e(x, sigma) for w, e in terms_of(self))

    def ask(self, x: Tensor, sigma: Tensor) -> Asking:
        parts = yield from together([e.ask(x, sigma) for e in self.energies])
        weights = [_at(w, sigma) for w in self.weights]
        score = sum(w * s for w, (_, s) in zip(weights, parts))
        known = all(v is not None for v, _ in parts)
        return sum(_per_row(w) * v for w, (v, _) in zip(weights, parts)) if known else None, score

    def __repr__(self) -> str:
        return " + ".join(f"{_name(w)}·{e!r}" for w, e in terms_of(self))


class On(Energy):
    """``sum_copies E(S x)``: an energy of a part, as an energy of the whole."""

    def __init__(self, energy: Energy, view: View) -> None:
        super().__init__()
        self.energy, self.view, self.exact = energy, view, energy.exact
        self.register_buffer("rows", view.rows, persistent=False)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self._total(self.energy(self._parts(x), self._lift(level(sigma, x))))

    def ask(self, x: Tensor, sigma: Tensor) -> Asking:
        value, score = yield from self.energy.ask(self._parts(x), self._lift(sigma))
        return None if value is None else self._total(value), scatter(score, self.rows, self.view.size)

    def _parts(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.view.size:
            raise ValueError(f"got a state of {x.shape[-1]} numbers; expected {self.view.size}, as '{self.view}' has")
        return gather(x, self.rows)

    def _lift(self, sigma: Tensor) -> Tensor:
        return sigma.reshape(*sigma.shape[:-1], *(1,) * self.view.copies, 1) if sigma.ndim else sigma

    def _total(self, value: Tensor) -> Tensor:
        return value.flatten(value.ndim - self.view.copies).sum(-1) if self.view.copies else value

    def __repr__(self) -> str:
        inner = repr(self.energy)
        return f"({inner})({self.view})" if "·" in inner else f"{inner}({self.view})"


class Potential(Energy):
    """Any function of the state as an energy, the same at every sigma: ``function(x) -> (*B,)``."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.function(x)


class Residual(Energy):
    r"""``|r(x)|^2 / 2 (noise^2 + gain^2 sigma^2)``: ``r(x) -> (*B, m)`` should be zero up to ``noise``.

    Loose where the state is uncertain, stiff where it is known; ``gain`` is how strongly ``r`` answers to ``x``.
    ``noise`` and ``gain`` are numbers or ``(m,)`` tensors.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], noise: float | Tensor, gain: float | Tensor = 1.0) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("noise", torch.as_tensor(noise, dtype=torch.float64), persistent=False)
        self.register_buffer("gain", torch.as_tensor(gain, dtype=torch.float64), persistent=False)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        variance = self.noise.to(x) ** 2 + self.gain.to(x) ** 2 * level(sigma, x) ** 2
        return (self.function(x) ** 2 / (2 * variance)).sum(-1)


class Denoised(Energy):
    """A denoiser ``net(x, sigma) -> E[x_0 | x]`` as an energy of which only the score is known."""

    exact = False

    def __init__(self, net: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        raise score_only(self)

    def ask(self, x: Tensor, sigma: Tensor) -> Asking:
        rows, levels = x.reshape(-1, x.shape[-1]), sigma.expand(*x.shape[:-1], 1).reshape(-1, 1)
        ((mean,),) = yield [Call(self.net, (rows, levels))]
        return None, (mean.reshape(x.shape) - x) / sigma**2


def level(sigma: Tensor | float, x: Tensor) -> Tensor:
    """``sigma`` as a tensor like ``x``: ``()`` or ``(*B, 1)``."""
    return torch.as_tensor(sigma, dtype=x.dtype, device=x.device)


def score_only(energy: Energy) -> TypeError:
    """The error of asking a score-only energy for its value."""
    return TypeError(f"only the score of {energy!r} is known, its energy is not; use an unadjusted kernel "
                     "(HMC(..., adjusted=False)), or train an EnergyNet, whose energy is known")


def differentiate(function: Callable[[Tensor, Tensor], Tensor], x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """``function(x, sigma)`` and minus its gradient in ``x``; a graph iff grad mode is on."""
    graph = torch.is_grad_enabled()
    with torch.enable_grad():
        y = x if graph and x.requires_grad else x.detach().requires_grad_()
        value = function(y, sigma)
        require_rows(value, x, function)
        (gradient,) = torch.autograd.grad(value.sum(), y, create_graph=graph, materialize_grads=True)
    return (value, -gradient) if graph else (value.detach(), -gradient)


def require_rows(value: Tensor, x: Tensor, source: object) -> None:
    """ValueError unless ``value`` is one number per row of ``x``; TypeError unless torch knows its gradient."""
    if value.shape != x.shape[:-1]:
        raise ValueError(f"got energies of shape {tuple(value.shape)} for a state of shape {tuple(x.shape)} from "
                         f"{source!r}; expected one number per row, {tuple(x.shape[:-1])}")
    if not value.requires_grad:
        raise TypeError(f"got an energy without a gradient from {source!r}; expected torch operations on the state all "
                        "the way (no numpy, detach or no_grad inside)")


def terms_of(energy: Energy) -> list[tuple[Weight, Energy]]:
    """``[(weight, energy), ...]``: what a sum consists of; one term for any other energy."""
    return list(zip(energy.weights, energy.energies)) if isinstance(energy, Sum) else [(1.0, energy)]


def _at(weight: Weight, sigma: Tensor) -> Any:
    return weight(sigma) if callable(weight) else weight


def _per_row(weight: Any) -> Any:
    return weight.squeeze(-1) if isinstance(weight, Tensor) and weight.ndim else weight


def _name(weight: Weight) -> str:
    return getattr(weight, "__name__", str(weight))


def _product(a: Weight, b: Weight) -> Weight:
    if not callable(a) and not callable(b):
        return a * b
    product = lambda sigma: _at(a, sigma) * _at(b, sigma)
    product.__name__ = "·".join(_name(w) for w in (a, b) if w != 1)
    return product
