"""Small priors of one physics each, trained on decoupled data, and one of all fields trained on coupled data.

Every model knows its field given all that its component is told, clean (ours, M2PDE's rule and the surrogates), and the
joint law of its decoupled data given the parameters (GenCP's rule); a third of the rows that are given all start from
nothing, so that the Tweedie mean at the highest level is a regression: the deterministic surrogate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
import xarray
from torch import Tensor

import sciencegen as sg
from sciencegen.energy import Energy
from sciencegen.physics.coupled import Coupled
from sciencegen.physics.system import Part
from sciencegen.priors import Denoiser, Model
from sciencegen.priors.contexts import Context
from sciencegen.recipe import Recipe
from sciencegen.symmetries import Shift

__all__ = ["DRAWS", "Care", "Known", "Learned", "coupled_model", "decoupled_model", "described", "together"]

DRAWS, HIGH, MEANS = 2000, 80.0, 1 / 3


@dataclass(frozen=True)
class Care:
    """What keeps a model from making small errors of the other fields large.

    Arguments:
        floor: added to the variance of every number for the base Gaussian: a ridge of its regressions.
        noise: largest on what is given in training, in standard deviations.
    """

    floor: float = 3e-4
    noise: float = 0.02


@dataclass(frozen=True)
class Known:
    """A model of one field given the others, asked in physical units.

    Arguments:
        problem: layout and prior, whichever trained it.
        name: of the field.
        told: what it is told clean.
    """

    problem: sg.Problem
    name: str
    told: tuple[str, ...]

    @cached_property
    def view(self) -> sg.View:
        """What it is told, in its layout."""
        return together(self.problem.layout, self.told)

    @cached_property
    def energy(self) -> Energy:
        """Of the field given the others."""
        return self.problem.prior.given(self.view)

    def pack(self, parts: Mapping[str, Tensor], own: Tensor) -> Tensor:
        """The state ``(b, d)`` with ``own (b, n)`` in unit scale and the others in physical units."""
        layout = self.problem.layout
        blank = own.new_zeros(len(own), *layout.variables[self.name].shape)
        state = layout.pack(**{k: parts[k].to(own) for k in self.told}, **{self.name: blank})
        return state.index_copy(-1, self.rows, own)

    @cached_property
    def rows(self) -> Tensor:
        """Where the field is in the state."""
        return self.problem.layout[self.name].rows

    @property
    def size(self) -> int:
        """Numbers of the field."""
        return len(self.rows)

    def mean(self, own: Tensor, sigma: float, parts: Mapping[str, Tensor]) -> Tensor:
        """Tweedie's mean ``(b, n)`` of noisy ``own (b, n)`` in unit scale, the others in physical units."""
        return self.energy.mean(self.pack(parts, own), own.new_tensor(sigma))[:, self.rows]

    def physical(self, own: Tensor) -> Tensor:
        """``(b, n)`` in unit scale to ``(b, *shape)`` in physical units."""
        layout = self.problem.layout
        loc, scale = layout.loc[self.rows].to(own), layout.scale[self.rows].to(own)
        return (loc + scale * own).unflatten(-1, layout.variables[self.name].shape or (1,))

    def surrogate(self, **parts: Tensor) -> Tensor:
        """The field ``(*B, *shape)`` by one network call from nothing, differentiable in all that it is told."""
        shape = self.problem.layout.variables[self.told[0]].shape
        lead = parts[self.told[0]].shape[: parts[self.told[0]].ndim - len(shape)]
        flat = {k: parts[k].reshape(-1, *self.problem.layout.variables[k].shape) for k in self.told}
        found = self.physical(self.mean(flat[self.told[0]].new_zeros(len(flat[self.told[0]]), self.size), HIGH, flat))
        return found.reshape(*lead, *found.shape[1:])


@dataclass(frozen=True)
class Learned:
    """Models in the place of a system's components, for :class:`sciencegen.physics.coupled.Round`."""

    system: Coupled
    models: Mapping[str, Any]

    @property
    def fields(self) -> Mapping[str, Part]:
        """Those of the system."""
        return self.system.fields

    def component(self, name: str) -> Callable[..., Tensor]:
        """The surrogate of a field, which takes what it is told of all that there is."""
        model = self.models[name]
        return lambda **parts: model.surrogate(**{k: parts[k] for k in model.told})


def together(layout: sg.Layout, names: Sequence[str]) -> sg.View:
    """Parts as one view."""
    (first, *more) = (layout[k] for k in names)
    for view in more:
        first = first & view
    return first


def described(parts: Mapping[str, Tensor], known: Mapping[str, Part]) -> xarray.Dataset:
    """Draws as a data set; frames are an axis like any other, since all of them are asked for at once."""
    dims = {k: [d if d in known[k].periodic else f"{d}_{k}" for d in known[k].dims] for k in parts}
    return xarray.Dataset({k: (("sample", *dims[k]), v.float().numpy()) for k, v in parts.items()})


def trained(data: xarray.Dataset, given: Sequence[tuple[str, ...]], out: Path, minutes: float, net: Recipe | None,
            shares: tuple[float, ...], care: Care, periodic: bool = False, steps: int | None = None) -> Model:
    """By the road, for ``minutes`` or so many ``steps``; what is there is loaded."""
    if (out / "model" / "config.json").is_file():
        return Model.load(out / "model")
    states = sg.States(data, list(data), symmetries=(Shift(("x",)),) if periodic else (), split=(0.9, 0.05, 0.05))
    rows = states.train.some(range(len(states.train))).double()
    base = sg.Gaussian.fit(rows, floor=care.floor).float()  # dense: its conditionals are regressions
    kind = partial(Denoiser, context=Context(care.noise, MEANS, HIGH))
    how = sg.Training(kind=kind, net=net, gaussian=base, given=tuple(given), minutes=None if steps else minutes,
                      steps=steps, shares=shares, batch=64, gated=False)
    return sg.train(states, how, out, progress=False)


def decoupled_model(system: Coupled, name: str, told: Sequence[str], out: Path, minutes: float,
                    steps: int | None = None, net: Callable[[Mapping[str, Part]], Recipe] | None = None,
                    periodic: bool = False, care: Care = Care()) -> Known:
    """One physics alone: its field given what its component is told, in double precision.

    ``steps`` instead of ``minutes`` where the component is linear: its Gaussian is the answer then.
    """
    parts = system.decoupled(name, DRAWS, seed=1)
    known = {**system.fields, **system.given}
    data = described({k: parts[k] for k in (name, *told)}, known)
    loads = tuple(k for k in told if k in system.given)
    groups = (tuple(told), *((loads,) if loads else ()))
    recipe = None if net is None else net({k: known[k] for k in (name, *told)})
    shares = (0.2, 0.6, 0.2) if loads else (0.25, 0.75)
    model = trained(data, groups, out, minutes, recipe, shares, care, periodic, steps)
    return Known(model.problem().to(dtype=torch.float64), name, tuple(told))


def coupled_model(system: Coupled, parts: Mapping[str, Tensor], out: Path, minutes: float,
                  net: Callable[[Mapping[str, Part]], Recipe] | None = None, periodic: bool = False,
                  care: Care = Care()) -> Model:
    """All fields given the parameters, trained on coupled solutions."""
    known = {**system.fields, **system.given}
    order = {k: parts[k] for k in (*system.fields, *system.given)}
    recipe = None if net is None else net({k: known[k] for k in order})
    return trained(described(order, known), [tuple(system.given)], out, minutes, recipe, (0.2, 0.8), care, periodic)
