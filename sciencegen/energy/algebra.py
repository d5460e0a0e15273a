"""The operators of the algebra: sums with weights, and energies of parts.

``E``, ``1.0 * E``, ``E/2 + E/2`` and ``E.on(everything)`` are one energy and one object: equal terms are joined as they
are added. What an energy can do beside its score (closed form, readings, networks) passes through all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from ..calls import Plan, together
from ..view import View, gather, scatter
from .base import Ahead, Energy, Walk, Weight, level
from .evaluation import Evaluation, Information, Reading

__all__ = ["On", "Sum", "terms_of"]

LARGEST = 4096  # numbers of a state of which a dense matrix is made

Told = Mapping[str, Tensor]


class Sum(Energy):
    """``sum_i w_i E_i``; weights are numbers or functions of sigma, ``() or (*B, 1) -> the same shape``."""

    def __init__(self, terms: Sequence[tuple[Weight, Energy]]) -> None:
        super().__init__()
        terms = _joined(terms)
        self.weights = [w for w, _ in terms]
        self.energies = nn.ModuleList(e for _, e in terms)
        self.exact, self.exact_from = all(e.exact for e in self.energies), max(e.exact_from for e in self.energies)
        self.lowest = max(e.lowest for e in self.energies)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.tell(x, sigma)[0]

    def tell(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Told]:
        sigma = level(sigma, x)
        values, told = zip(*(e.tell(x, sigma) for e in self.energies))
        weights = [_per_row(_at(w, sigma)) for w in self.weights]
        return sum(w * v for w, v in zip(weights, values)), _added(weights, told)

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        def add(found: list[Evaluation]) -> Evaluation:
            weights = [_at(w, sigma) for w in self.weights]
            each = [_per_row(w) for w in weights]
            known = all(e.value is not None for e in found)
            return Evaluation(sum(w * e.value for w, e in zip(each, found)) if known else None,
                              sum(w * e.score for w, e in zip(weights, found)), _added(each, [e.told for e in found]))

        return together([e.plan(x, sigma) for e in self.energies]).then(add)

    def takes(self, rows: Tensor) -> bool:
        return all(e.takes(rows) for e in self.energies)

    def given(self, view: View) -> Energy:
        """That of each term: what is known scales and adds a constant."""
        return Sum([(w, e.given(view)) for w, e in terms_of(self)])

    def ahead(self, view: View, sampler: Walk) -> Ahead:
        (weight, energy), *more = terms_of(self)
        alone = not more and not callable(weight) and weight == 1
        return energy.ahead(view, sampler) if alone else super().ahead(view, sampler)

    def gaussian(self) -> Any | None:
        if len(self.energies) > 1 or callable(self.weights[0]):
            return super().gaussian()
        inside = self.energies[0].gaussian()  # keeps the form that it has, of low rank or diagonal
        return inside.times(self.weights[0]) if inside is not None and self.weights[0] > 0 else None

    def gaussian_at(self, view: View, value: Tensor) -> Any | None:
        if len(self.energies) > 1 or callable(self.weights[0]):
            return None
        inside = self.energies[0].gaussian_at(view, value)
        return inside.times(self.weights[0]) if inside is not None and self.weights[0] > 0 else None

    def information(self) -> Information | None:
        known = [None if callable(w) else e.information() for w, e in terms_of(self)]
        if any(k is None for k in known):
            return None
        return reduce(Information.plus, (k.times(w) for k, w in zip(known, self.weights)))

    def readings(self) -> tuple[list[Reading], Energy | None]:
        found, left = [], []
        for weight, energy in terms_of(self):
            if callable(weight) or weight <= 0:
                left.append((weight, energy))
                continue
            read, rest = energy.readings()
            found += [Reading(r.function, r.noise / weight**0.5) for r in read]
            left += [] if rest is None else [(weight, rest)]
        return found, _sum(left) if left else None

    def __repr__(self) -> str:
        return " + ".join(f"{_name(w)}·{e!r}" for w, e in terms_of(self))


class On(Energy):
    """``sum_copies E(S x)``: an energy of a part, as an energy of the whole."""

    def __init__(self, energy: Energy, view: View) -> None:
        super().__init__()
        self.energy, self.view, self.lowest = energy, view, energy.lowest
        self.exact, self.exact_from = energy.exact, energy.exact_from
        self.register_buffer("rows", view.rows, persistent=False)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.tell(x, sigma)[0]

    def tell(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Told]:
        value, told = self.energy.tell(self._parts(x), self._lift(level(sigma, x)))
        return self._total(value), {k: self._total(v) for k, v in told.items()}

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        def back(found: Evaluation) -> Evaluation:
            value = None if found.value is None else self._total(found.value)
            return Evaluation(value, scatter(found.score, self.rows, self.view.size),
                              {k: self._total(v) for k, v in found.told.items()})

        return self.energy.plan(self._parts(x), self._lift(sigma)).then(back)

    def takes(self, rows: Tensor) -> bool:
        known = torch.isin(self.view.rows, rows).reshape(-1, self.rows.shape[-1])
        return all(self.energy.takes(places.nonzero()[:, 0]) for places in known.unique(dim=0))

    def given(self, view: View) -> Energy:
        """That of each copy, where the same of each is known."""
        if self.view.whole:
            return self.energy.given(view)
        (first, *others) = torch.isin(self.view.rows, view.rows).reshape(-1, self.rows.shape[-1]).unique(dim=0)
        if others or view.copies:
            return super().given(view)
        known = View(first.nonzero()[:, 0], 0, len(first), view.name)
        return On(self.energy.given(known), self.view) if len(known.rows) else self

    def ahead(self, view: View, sampler: Walk) -> Ahead:
        return self.energy.ahead(view, sampler) if self.view.whole else super().ahead(view, sampler)

    def gaussian_at(self, view: View, value: Tensor) -> Any | None:
        return self.energy.gaussian_at(view, value) if self.view.whole else None

    def information(self) -> Information | None:
        known = self.energy.information()
        large = known is not None and known.precision.ndim == 2 and self.view.size > LARGEST
        return None if known is None or large else known.embedded(self.rows, self.view.size)

    def readings(self) -> tuple[list[Reading], Energy | None]:
        found, rest = self.energy.readings()
        return [self._reading(r) for r in found], None if rest is None else rest.on(self.view)

    def _reading(self, reading: Reading) -> Reading:
        copies = self.rows.shape[:-1].numel()
        noise = reading.noise.repeat(copies) if reading.noise.ndim else reading.noise
        read = lambda x: reading.function(self._parts(x)).flatten(x.ndim - 1)
        return Reading(read, noise)

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


def added(first: Energy, second: Energy) -> Energy:
    """``first + second``, flat."""
    return _sum([*terms_of(first), *terms_of(second)])


def weighted(weight: Weight, energy: Energy) -> Energy:
    """``weight * energy``, flat."""
    return _sum([(_product(weight, w), e) for w, e in terms_of(energy)])


def terms_of(energy: Energy) -> list[tuple[Weight, Energy]]:
    """``[(weight, energy), ...]``: what a sum consists of; one term for any other energy."""
    return list(zip(energy.weights, energy.energies)) if isinstance(energy, Sum) else [(1.0, energy)]


def _sum(terms: Sequence[tuple[Weight, Energy]]) -> Energy:
    ((weight, energy), *more) = joined = _joined(terms)
    return energy if not more and not callable(weight) and weight == 1 else Sum(joined)


def _joined(terms: Sequence[tuple[Weight, Energy]]) -> list[tuple[Weight, Energy]]:
    """The same sum with no energy twice, but for weights that are functions."""
    found: list[tuple[Weight, Energy]] = []
    for weight, energy in terms:
        same = [i for i, (w, e) in enumerate(found) if e is energy and not callable(w) and not callable(weight)]
        if same:
            found[same[0]] = found[same[0]][0] + weight, energy
        else:
            found.append((weight, energy))
    return found


def _added(weights: Sequence[Any], told: Sequence[Told]) -> Told:
    names = dict.fromkeys(name for one in told for name in one)
    return {name: sum(w * one[name] for w, one in zip(weights, told) if name in one) for name in names}


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
