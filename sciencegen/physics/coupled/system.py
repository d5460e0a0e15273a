r"""Coupled physics: component solvers, each for one field given the others, and the referee that solves them at once.

A component is a map :math:`u_i = F_i(u_{-i}; g)` with ``g`` what is given to all; the coupled solution is the fixed
point of all of them. It exists, is unique and is reached by Picard's iteration only as far as the Jacobian of the round
:math:`u \to F(u)` allows: eigenvalues within the unit circle for the iteration, none of 1 for a branch to be isolated.

Every component is differentiable, batched over leading axes, float32 or float64, and knows nothing of the others'
equations: their values are all it is told. The referee is Newton's method on all fields at once with the dense
Jacobian of the components, to 1e-10 of the fields' size.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.func import jvp, vmap

from ..system import Part
from .elsewhere import Elsewhere

__all__ = ["Coupled", "Component"]

Component = Callable[..., Tensor]
TOLERANCE, STEPS = 1e-10, 60  # of Newton's method
GIVEN = 1000  # the random streams of what is given start here


class Coupled(abc.ABC):
    """Fields that are each solved for by a component of their own, with what is given to all of them.

    What is said here of names is said of keyword arguments: ``component("u")(v=v, load=load)``.
    """

    @property
    @abc.abstractmethod
    def fields(self) -> Mapping[str, Part]:
        """What the components solve for, in the order of a round."""

    @property
    @abc.abstractmethod
    def given(self) -> Mapping[str, Part]:
        """What all of them may be told; drawn by :meth:`draw`."""

    @property
    @abc.abstractmethod
    def elsewhere(self) -> Mapping[str, Elsewhere]:
        """The law of each field where it is drawn and not solved for."""

    @abc.abstractmethod
    def component(self, name: str) -> Component:
        """The solver for one field, from all others and what is given, by name, to ``(*B, *shape)``."""

    @abc.abstractmethod
    def draw(self, count: int, seed: int = 0, first: int = 0) -> dict[str, Tensor]:
        """What is given, ``{name: (count, *shape)}`` in float64; sample i of a seed is the same whatever the count."""

    def decoupled(self, name: str, count: int, seed: int = 0, first: int = 0) -> dict[str, Tensor]:
        """Data of one physics alone: the other fields from elsewhere, what is given drawn, this field solved for.

        All parts that its component knows, ``{name: (count, *shape)}`` in float64, this field last.
        """
        others = {k: law.sample(self.fields[k], count, seed, first, stream)
                  for stream, (k, law) in enumerate(self.elsewhere.items()) if k != name}
        told = self.draw(count, seed, first) | others
        return told | {name: self.component(name)(**told)}

    def referee(self, start: Mapping[str, Tensor] | None = None, **given: Tensor) -> dict[str, Tensor]:
        """The coupled fields, by Newton's method on all of them at once.

        Arguments:
            start: of some fields ``(*B, *shape)``; the middle of what they have elsewhere unless given. It chooses the
                branch where there are several.
            given: ``{name: (*B, *shape)}``.

        Raises:
            ValueError: no solution was found for some row.
        """
        rows = {k: v.flatten(0, v.ndim - len(self.given[k].shape) - 1) for k, v in given.items()}
        first = next(iter(given.items()))
        lead = first[1].shape[: first[1].ndim - len(self.given[first[0]].shape)]
        x = self._newton(self._start(start or {}, math.prod(lead), first[1]), rows)
        return {k: v.unflatten(0, lead) for k, v in self.unpacked(x).items()}

    def defect(self, fields: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Tensor:
        """``u_i - F_i(u_{-i}; g)`` of all fields, ``(*B, d)`` flat, in the units of each."""
        lacks = [self.lack(name, fields, given).flatten(-len(part.shape)) for name, part in self.fields.items()]
        return torch.cat(lacks, -1)

    def lack(self, name: str, fields: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Tensor:
        """``u_i - F_i(u_{-i}; g)`` of one field, ``(*B, *shape)``."""
        others = {k: v for k, v in fields.items() if k != name}
        return fields[name] - self.component(name)(**others, **given)

    def packed(self, fields: Mapping[str, Tensor]) -> Tensor:
        """All fields side by side, ``(*B, d)``."""
        return torch.cat([fields[k].flatten(-len(part.shape)) for k, part in self.fields.items()], -1)

    def unpacked(self, x: Tensor) -> dict[str, Tensor]:
        """``(*B, d)`` as fields by name."""
        sizes = [math.prod(part.shape) for part in self.fields.values()]
        pieces = zip(self.fields.items(), x.split(sizes, -1))
        return {k: piece.unflatten(-1, part.shape) for (k, part), piece in pieces}

    def jacobian(self, fields: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Tensor:
        """The derivative of :meth:`defect` by all fields, ``(b, d, d)`` for rows ``(b, ...)``."""
        x = self.packed(fields)
        lacking = lambda y: self.defect(self.unpacked(y), given)
        along = lambda t: jvp(lacking, (x,), (t.expand_as(x),))[1]
        return vmap(along, out_dims=-1)(torch.eye(x.shape[-1], dtype=x.dtype, device=x.device))

    def _start(self, start: Mapping[str, Tensor], rows: int, like: Tensor) -> Tensor:
        middle = {k: like.new_full((rows, *part.shape), self.elsewhere[k].middle) for k, part in self.fields.items()}
        given = {k: v.expand(middle[k].shape) if v.ndim <= len(self.fields[k].shape)
                 else v.reshape(middle[k].shape) for k, v in start.items()}
        return self.packed(middle | {k: v.to(like) for k, v in given.items()})

    def _newton(self, x: Tensor, given: Mapping[str, Tensor]) -> Tensor:
        for _ in range(STEPS):
            fields = self.unpacked(x)
            step = torch.linalg.solve(self.jacobian(fields, given), self.defect(fields, given))
            x = x - step
            if bool((step.norm(dim=-1) <= TOLERANCE * x.norm(dim=-1)).all()):
                return x
        lost = int((~(step.norm(dim=-1) <= TOLERANCE * x.norm(dim=-1))).sum())
        raise ValueError(f"got no coupled solution in {STEPS} steps of Newton's method for {lost} of {len(x)} rows; "
                         "expected one near the start: give another, or there is none")
