"""A round of a coupled system: what is iterated to where its components agree (:mod:`sciencegen.fixed_points`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .system import Coupled

__all__ = ["Round"]


@dataclass(frozen=True)
class Round:
    """One call of every component in turn, each with the newest values of the others (Gauss-Seidel).

    Called with ``x (b, d)`` it gives ``H(x)``: the fields ``order[1:]``, flat; the first field follows from them.

    Arguments:
        system: whose components.
        given: ``{name: (b, *shape)}``.
        order: of the fields; as the system has them unless given.
    """

    system: Coupled
    given: Mapping[str, Tensor]
    order: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The fields in order."""
        return self.order or tuple(self.system.fields)

    def __call__(self, x: Tensor) -> Tensor:
        """``H(x)``."""
        fields = self.fields(x)
        for name in self.names[1:]:
            fields = fields | {name: self.solved(name, fields)}
        return self.flat(fields)

    def solved(self, name: str, fields: Mapping[str, Tensor]) -> Tensor:
        """What a component makes of the others."""
        others = {k: v for k, v in fields.items() if k != name}
        return self.system.component(name)(**others, **self.given)

    def fields(self, x: Tensor) -> dict[str, Tensor]:
        """All fields: those in ``x``, and the first as its component makes it of them."""
        shapes = {k: self.system.fields[k].shape for k in self.names[1:]}
        pieces = x.split([torch.Size(shape).numel() for shape in shapes.values()], -1)
        known = {k: piece.unflatten(-1, shape) for (k, shape), piece in zip(shapes.items(), pieces)}
        return {self.names[0]: self.solved(self.names[0], known)} | known

    def flat(self, fields: Mapping[str, Tensor]) -> Tensor:
        """The fields ``order[1:]`` side by side, ``(b, d)``."""
        return torch.cat([fields[k].flatten(-len(self.system.fields[k].shape)) for k in self.names[1:]], -1)
