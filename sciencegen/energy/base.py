r"""Energies and their algebra: everything you know, as one sum.

An energy is ``E(x, sigma) = -log p_sigma(x) + const`` with ``p_sigma = p * N(0, sigma^2 I)``, one number per row; its
score is ``s = -grad E`` and its Tweedie mean is ``E[x_0 | x] = x + sigma^2 s``. Adding energies multiplies densities:
a trained model, a law, a measurement and an objective are all energies over one state, and their sum is the question.

What reaches a network is planned, not called (:meth:`Energy.plan`, see :mod:`sciencegen.calls`), so that a score
costs one network call whatever the number of terms, windows or copies.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..calls import Plan
from ..view import View
from .evaluation import NOTHING, Evaluation, Information, Reading

__all__ = ["Ahead", "Energy", "Walk", "Weight", "differentiate", "level", "require_rows", "score_only"]

Weight = float | Callable[[Tensor], Tensor]
Ahead = Callable[[Tensor, Any], Tensor]


class Walk(Protocol):
    """What draws clean states of an energy; :class:`sciencegen.sample.Sampler` is one."""

    def draw(self, energy: Energy, size: int, noise: Any, like: Tensor) -> Tensor:
        """States ``(M, size)``, a row for each stream of ``noise``, on the device and in the dtype of ``like``."""


class Energy(nn.Module, abc.ABC):
    """``E(x, sigma) = -log p_sigma(x) + const``: ``x (*B, d)``, ``sigma () or (*B, 1)`` to ``(*B,)``.

    ``exact`` says that :meth:`forward` is the energy whose gradient :meth:`score` is; a sum is exact if its terms are.
    ``exact_from`` is the noise level from which on that value is to be believed: zero for closed forms; a network's has
    an error that grows as the level falls. ``lowest``, the smallest level that a network was trained at and zero for
    closed forms, is where a grid of noise levels had better end. Of both a sum's is the highest of its terms'.
    """

    exact: bool = True
    exact_from: float = 0.0
    lowest: float = 0.0

    @abc.abstractmethod
    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """``(*B,)``; TypeError where only a score is known."""

    def tell(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """:meth:`forward`, and beside it what is worth recording of it, ``{name: (*B,)}``."""
        return self(x, sigma), NOTHING

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        """The network calls that a score needs, finished to an :class:`Evaluation`."""
        return Plan((), lambda _: differentiate(self.tell, x, sigma, self))

    def evaluate(self, x: Tensor, sigma: Tensor | float) -> Evaluation:
        """Value ``(*B,)`` (None where unknown), score ``(*B, d)`` and record, for the price of the score."""
        return self.plan(x, level(sigma, x)).run()

    def score(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """``-grad E (*B, d)``; builds a graph iff grad mode is on."""
        return self.evaluate(x, sigma).score

    def mean(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """Tweedie's mean of the clean state, ``x + sigma^2 score``, ``(*B, d)``."""
        return x + level(sigma, x) ** 2 * self.score(x, sigma)

    def on(self, view: View) -> Energy:
        """The same energy of a part of a larger state, summed over the view's copies in one network call."""
        from .algebra import On

        return self if view.whole else On(self, view)

    def marginal(self, view: View) -> Energy:
        """The energy of the coordinates in ``view`` alone; TypeError where it is not known."""
        raise TypeError(f"the marginal of {self!r} on '{view}' is not known; expected a Gaussian or a network trained "
                        "with that part kept (Denoiser(..., marginals=[...]))")

    def given(self, view: View) -> Energy:
        """The energy of the other coordinates where those in ``view`` are known clean, over the same state.

        Its score is zero on what is given. TypeError where it is not known; :meth:`at` supplies the values.
        """
        if not view.copies and self.takes(view.rows):  # it is given already, as in guidance without a classifier
            return self
        raise TypeError(f"{self!r} given '{view}' is not known; expected a Gaussian or a network trained with that "
                        "part given (Denoiser(..., given=[...])); a joint prior is conditioned by invert or Moments")

    def at(self, view: View, value: Tensor) -> Energy:
        """The energy of the other coordinates alone, ``(*B, d - g)``, with ``value (*B or none, g)`` in ``view``.

        TypeError where those coordinates are noised with the rest: use :meth:`given` first.
        """
        from .known import At

        return At(self, view, value)

    def ahead(self, view: View, sampler: Walk) -> Ahead:
        """How the other coordinates are drawn where those in ``view`` are known clean: the next frames of a window.

        What comes back is ``(value (M, g), noise) -> (M, d - g)``, a row of random numbers for each of values. In
        closed form where all is Gaussian; else ``sampler`` walks :meth:`given`. A prior with draws of its own has
        another way.
        """
        closed = self.closed()
        if closed is not None:
            return closed.ahead(view, sampler)
        known, size = self.given(view), len(view.rest)
        return lambda value, noise: sampler.draw(known.at(view, value), size, noise, value)

    def refreshed(self, x: Tensor, noise: Any, sampler: Walk) -> Tensor:
        """Clean states ``(M, d)`` after moves that leave their density alone and mend what a sampler leaves wrong.

        Themselves, but for priors that know such moves.
        """
        return x

    def takes(self, rows: Tensor) -> bool:
        """Whether the coordinates ``rows`` may be put in clean at any noise level: what :meth:`at` asks."""
        return rows.numel() == 0

    def gaussian(self) -> Any | None:
        """The closed-form Gaussian inside: of a network, what it corrects; of a sum, the product. None without one."""
        known = self.information()
        return None if known is None else known.gaussian()

    def closed(self) -> Any | None:
        """The Gaussian that it is, all of it; None where something is beyond one."""
        return None if self.networks() else self.gaussian()

    def gaussian_at(self, view: View, value: Tensor) -> Any | None:
        """:meth:`gaussian` of ``self.at(view, value)``, over the free coordinates."""
        return None

    def information(self) -> Information | None:
        """:meth:`gaussian` as a factor, which need not know all coordinates of a larger state."""
        return None

    def readings(self) -> tuple[list[Reading], Energy | None]:
        """Itself as measurements that read zero, and the rest that is none (None if nothing is left)."""
        return [], self

    def networks(self) -> set[nn.Module]:
        """The networks inside, each once: what a call is counted of."""
        return _networks(self)

    def __add__(self, other: Energy) -> Energy:
        from .algebra import added

        if isinstance(other, (int, float)) and other == 0:  # so that sum(energies) works
            return self
        return added(self, other) if isinstance(other, Energy) else NotImplemented

    __radd__ = __add__

    def __mul__(self, weight: Weight) -> Energy:
        from .algebra import weighted

        if isinstance(weight, Energy):
            raise TypeError(f"energies add (their densities multiply): got {self!r} * {weight!r}; expected a + b, or a "
                            "number times an energy")
        return weighted(weight if callable(weight) else float(weight), self)

    __rmul__ = __mul__

    def __truediv__(self, number: float) -> Energy:
        return (1 / number) * self

    def __neg__(self) -> Energy:
        return -1.0 * self

    def __sub__(self, other: Energy) -> Energy:
        return self + -other

    def __repr__(self) -> str:
        return type(self).__name__


def level(sigma: Tensor | float, x: Tensor) -> Tensor:
    """``sigma`` as a tensor like ``x``: ``()`` or ``(*B, 1)``; a number is written there, not copied there."""
    if isinstance(sigma, Tensor):
        return sigma.to(x.device, x.dtype)
    return x.new_full((), float(sigma))


def score_only(energy: Energy) -> TypeError:
    """The error of asking a score-only energy for its value."""
    return TypeError(f"only the score of {energy!r} is known, its energy is not; use an unadjusted kernel "
                     "(HMC(..., adjusted=False)), or train an EnergyNet, whose energy is known")


def differentiate(tell: Callable[[Tensor, Tensor], tuple[Tensor, Mapping[str, Tensor]]], x: Tensor, sigma: Tensor,
                  source: object) -> Evaluation:
    """Value and record of ``tell(x, sigma)``, and minus the value's gradient in ``x``; a graph iff grad mode is on."""
    graph = torch.is_grad_enabled()
    with torch.enable_grad():
        y = x if graph and x.requires_grad else x.detach().requires_grad_()
        value, told = tell(y, sigma)
        require_rows(value, x, source)
        (gradient,) = torch.autograd.grad(value.sum(), y, create_graph=graph, materialize_grads=True)
    found = Evaluation(value, -gradient, told)
    return found if graph else found.detached()


def _networks(module: nn.Module) -> set[nn.Module]:
    found: set[nn.Module] = set()
    for child in module.children():
        if isinstance(child, Energy):
            found |= child.networks()
        else:
            found |= _networks(child) if isinstance(child, (nn.ModuleList, nn.ModuleDict)) else {child}
    return found


def require_rows(value: Tensor, x: Tensor, source: object) -> None:
    """ValueError unless ``value`` is one number per row of ``x``; TypeError unless torch knows its gradient."""
    if value.shape != x.shape[:-1]:
        raise ValueError(f"got energies of shape {tuple(value.shape)} for a state of shape {tuple(x.shape)} from "
                         f"{source!r}; expected one number per row, {tuple(x.shape[:-1])}")
    if not value.requires_grad:
        raise TypeError(f"got an energy without a gradient from {source!r}; expected torch operations on the state all "
                        "the way (no numpy, detach or no_grad inside)")
