r"""Several priors of one field each, given the others, as one problem of all fields: ``couple(u=..., v=...)``.

Every model knows its own field and what it was given: other fields, and parameters that no model is of. Parts are the
same if they have the same name; their units have to be the same, the numbers by which each model scales them need not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from ..calls import Plan
from ..energy import Ahead, Energy, Evaluation, Residual, Walk, level
from ..layout import Layout, Variable
from ..problem import Problem
from ..view import View, gather
from .conditionals import TOLERANCE, Block, Conditionals

__all__ = ["Asked", "Solved", "couple", "joined", "prior_of", "residuals", "solved"]

Solve = Callable[..., Tensor]


class Asked(Protocol):
    """A trained model, or a problem."""

    layout: Layout

    def problem(self) -> Problem: ...


def couple(sweeps: int = 20, gibbs: int = 2, tolerance: float = TOLERANCE, **models: Asked | Problem) -> Problem:
    """Fields that were never seen together, as one problem: ``couple(u=model, v=other)``; score-only.

    A field's model was trained to know it given all others that it has (``Training(given=...)``), which may be drawn
    from anywhere. What no model is of, as a load, is then given: ``couple(...).given(load=2.0)``. :func:`design`,
    :func:`invert` and :func:`forecast` take the problem as any other. For deterministic solvers that determine each
    other see :func:`settle`.

    Arguments:
        sweeps: over all fields, at most, for one score (:class:`Conditionals`).
        tolerance: when sweeps are enough, as a share of what a noise level leaves open.
        gibbs: clean sweeps that end a draw, in which each field is drawn anew given the others; far from Gaussian the
            means that agree are not quite the joint ones.
        models: of each field, by the part's name; a solver's answer is one by :func:`solved`.

    Raises:
        ValueError: fewer than two fields; a model that has no part of that name; shapes or units that differ.
        TypeError: a model that was not trained with the others given.
    """
    if len(models) < 2:
        raise ValueError(f"got {len(models)} fields; expected two or more, as couple(u=model, v=other)")
    layouts = {name: model.layout for name, model in models.items()}
    layout = joined(layouts)
    blocks = [_block(layout, layouts[name], prior_of(model), name) for name, model in models.items()]
    return Problem(layout, Conditionals(blocks, layout.size, sweeps, gibbs, tolerance))


class Solved(Energy):
    """A deterministic answer as a model of a field: its Tweedie mean is what a solver says of the other parts.

    Arguments:
        layout: of the field and of all that the solver takes.
        name: of the field.
        solve: ``(**others) -> (*B, *shape)``, in physical units.
    """

    exact = False

    def __init__(self, layout: Layout, name: str, solve: Solve) -> None:
        super().__init__()
        self.layout, self.name, self.solve = layout, name, solve
        self.register_buffer("rows", layout[name].rows, persistent=False)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        raise TypeError(f"only the score of {self!r} is known: a solver's answer has no density; where an energy is "
                        "needed use residuals(...)")

    def takes(self, rows: Tensor) -> bool:
        return not bool(torch.isin(rows, self.rows.to(rows.device)).any())

    def answer(self, x: Tensor) -> Tensor:
        """The field in unit-scale numbers, ``(*B, n)``, from all others in ``x (*B, d)``."""
        parts = self.layout.unpack(x)
        found = self.solve(**{k: v for k, v in parts.items() if k != self.name})
        if found.shape != parts[self.name].shape:
            raise ValueError(f"got {tuple(found.shape)} from the solver of '{self.name}'; expected "
                             f"{tuple(parts[self.name].shape)}, a row for each state")
        loc, scale = (gather(v.to(x), self.rows) for v in (self.layout.loc, self.layout.scale))
        return (found.reshape(*x.shape[:-1], -1) - loc) / scale

    def residual(self, x: Tensor) -> Tensor:
        """The field less the answer, ``(*B, n)``; without any gradient where the solver has none."""
        answer = self.answer(x)
        own = gather(x, self.rows)
        return own - answer if answer.requires_grad or not x.requires_grad else own.detach() - answer

    def ahead(self, view: View, sampler: Walk) -> Ahead:
        rest = torch.searchsorted(self.rows, view.rest.to(self.rows.device))

        def drawn(value: Tensor, noise: Any) -> Tensor:
            empty = value.new_zeros(*value.shape[:-1], self.layout.size)
            return gather(self.answer(empty.index_copy(-1, view.rows.to(value.device), value)), rest)

        return drawn

    def plan(self, x: Tensor, sigma: Tensor) -> Plan:
        def finish(_: object) -> Evaluation:
            pull = (self.answer(x) - gather(x, self.rows)) / level(sigma, x) ** 2
            return Evaluation(None, torch.zeros_like(x).index_copy(-1, self.rows, pull))

        return Plan((), finish)

    def __repr__(self) -> str:
        return f"Solved({self.name})"


def solved(layout: Layout, **solvers: Solve) -> Problem:
    """A solver's answer as one of the fields of :func:`couple`: ``couple(u=model, v=solved(layout, v=solver))``.

    Arguments:
        layout: of that field and of all that the solver takes.
        solvers: one function ``(**others) -> (*B, *shape)`` of named physical parts, by its field's name.
    """
    ((name, solve),) = solvers.items()
    layout[name]
    return Problem(layout, Solved(layout, name, solve))


def residuals(layout: Layout, noise: float | Mapping[str, float] = 1e-3, **solvers: Solve) -> Energy:
    r"""Deterministic fields as an energy, :math:`\sum |u - F(v)|^2 / 2 \mathrm{noise}^2`: what :func:`settle` takes.

    Gradients go through what a solver is given as well, so that the sum is lowest where all fields agree; it adds to
    data and objectives, and to the laws of a problem.

    Arguments:
        layout: of all fields, and of what else the solvers take.
        noise: how well a solver is believed, a share of a field's scale; one for all, or one each by name.
        solvers: ``(**others) -> (*B, *shape)``, torch functions of named physical parts, by their field's name. They
            may leave out by ``**_`` what they do not need.
    """
    terms = []
    for name in sorted(solvers, key=lambda k: int(layout[k].rows[0])):  # in the state's own order
        energy = Solved(layout, name, solvers[name])
        own = noise[name] if isinstance(noise, Mapping) else noise
        terms.append(Residual(energy.residual, own))
    return sum(terms[1:], terms[0])


def joined(layouts: Mapping[str, Layout]) -> Layout:
    """All parts of the models of fields by name, each field as its own model has it; ValueError where they differ."""
    found: dict[str, Variable] = {}
    for name, layout in layouts.items():
        if name not in layout.variables:
            raise ValueError(f"got {name}= a model of {list(layout.variables)}; expected one that has the part "
                             f"'{name}': the word before = names the field")
        found[name] = layout.variables[name]
    for layout in layouts.values():
        for name, variable in layout.variables.items():
            there = found.setdefault(name, variable)
            if (there.shape, there.units) != (variable.shape, variable.units):
                raise ValueError(f"got '{name}' of shape {there.shape} in '{there.units}' and of {variable.shape} in "
                                 f"'{variable.units}'; expected a part of one name to be one thing: rename it or "
                                 "convert its units")
    return Layout(**found)


def prior_of(model: Asked | Problem) -> Energy:
    """The prior of a model, or of a problem in which nothing is given yet."""
    problem = model if isinstance(model, Problem) else model.problem()
    if problem.known is not None or problem.laws is not None:
        raise ValueError("got a problem with laws, or with something given already; expected a model as it is: give "
                         "what is known to the coupled problem")
    return problem.prior


def _block(joint: Layout, layout: Layout, energy: Energy, name: str) -> Block:
    rows = torch.cat([joint[part].rows for part in layout.variables])
    own = layout[name].rows
    scale, shift = joint.scale[rows] / layout.scale, (joint.loc[rows] - layout.loc) / layout.scale
    return Block(energy, rows, own, scale.index_fill(0, own, 1.0), shift.index_fill(0, own, 0.0))
