"""What a state is made of: named variables with units.

A state is one flat tensor ``x (*B, d)`` of unit-scale numbers. A :class:`Layout` says which slice of it is which
variable and what its units are; it is the only place where units live. Its parts are views (:mod:`sciencegen.view`).
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import numpy as np
import torch
import xarray
from torch import Tensor

from .values import finite
from .view import View

__all__ = ["Layout", "Variable", "View"]


@dataclass(frozen=True)
class Variable:
    r"""A named array of the state: physical value = ``loc + scale * x``.

    Arguments:
        shape: its shape; ``()`` for a number.
        loc, scale: physical offset and unit, numbers or tensors that broadcast to ``shape``; ``scale > 0``.
        dims: one name per axis, for :meth:`Layout.to_xarray`; the default is ``NAME_0, NAME_1, ...``.
        units: of the physical value, as a text ("m/s").
        coords: physical coordinates of named axes, ``{dim: values}``, numbers or texts; or as an ``xarray.Variable``
            where there are units to say, or it is not of one axis by itself: ``x (node,)``, ``cells (cell, corner)``.
    """

    shape: tuple[int, ...]
    loc: float | Tensor = 0.0
    scale: float | Tensor = 1.0
    dims: tuple[str, ...] = ()
    units: str = ""
    coords: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "dims", tuple(self.dims))
        if self.dims and len(self.dims) != len(self.shape):
            raise ValueError(f"got dims {self.dims} for shape {self.shape}; expected one name per axis")
        object.__setattr__(self, "coords", {k: _coordinate(v) for k, v in self.coords.items()})
        sizes = dict(zip(self.dims, self.shape))
        for name, values in self.coords.items():
            own = dict(values.sizes) if isinstance(values, xarray.Variable) else {name: len(values)}
            lone = name in sizes or not isinstance(values, xarray.Variable)
            if (lone and own.keys() != {name} & sizes.keys()) or any(sizes.get(k, n) != n for k, n in own.items()):
                raise ValueError(f"got {' x '.join(map(str, own.values()))} coordinates of '{name}'; expected them to "
                                 f"match an axis: dims {self.dims}, shape {self.shape}")
        if not bool(((scale := self.flat(self.scale)) > 0).all() and scale.isfinite().all()):
            raise ValueError(f"got scale {self.scale}; expected positive finite numbers")
        finite("loc", self.flat(self.loc))

    @property
    def size(self) -> int:
        """How many coordinates of the state it takes."""
        return math.prod(self.shape)

    def flat(self, value: float | Tensor) -> Tensor:
        """``value`` broadcast to ``shape`` and flattened, ``(size,)`` in float64."""
        return torch.as_tensor(value, dtype=torch.float64).broadcast_to(self.shape).reshape(-1)

    def lengthened(self, length: int, axis: int = 0) -> Variable:
        """The same with ``length`` entries along an axis, whose coordinates go on in their steps."""
        if axis >= len(self.shape) or length < self.shape[axis]:
            raise ValueError(f"got a length of {length} along axis {axis} of shape {self.shape}; expected no less than "
                             "there is")
        units = [self.flat(v).reshape(self.shape) for v in (self.loc, self.scale)]
        if not all(torch.allclose(v, v.narrow(axis, 0, 1).expand_as(v)) for v in units):
            raise ValueError(f"got units that differ along axis {axis} of shape {self.shape}; expected one along it, "
                             "as what goes on beyond its end has none")
        loc, scale = (v.narrow(axis, 0, 1) for v in units)
        coords = {k: _continued(v, length) if self.dims[axis: axis + 1] == (k,) else v for k, v in self.coords.items()}
        shape = (*self.shape[:axis], length, *self.shape[axis + 1:])
        return replace(self, shape=shape, loc=loc, scale=scale, coords=coords)

    def copied(self, count: int, dim: str) -> Variable:
        """The same ``count`` times along a new first axis called ``dim``."""
        return replace(self, shape=(count, *self.shape), dims=self.dims and (dim, *self.dims) or (
            () if self.shape else (dim,)))

    def config(self) -> dict[str, Any]:
        """Itself as JSON-ready numbers and lists; ``Variable(**config)`` is the inverse."""
        plain = {k: v.tolist() if isinstance(v, Tensor) else v for k, v in (("loc", self.loc), ("scale", self.scale))}
        coords = {k: {"dims": list(v.dims), "values": v.values.tolist(), "attrs": dict(v.attrs)}
                  if isinstance(v, xarray.Variable) else np.asarray(v).tolist() for k, v in self.coords.items()}
        return {"shape": list(self.shape), **plain, "dims": list(self.dims), "units": self.units, "coords": coords}


class Layout:
    """The variables of a state, in order: ``Layout(u=Variable((24, 2, 64, 64), scale=3.), shape=(12,))``.

    A bare tuple stands for a unit-scale :class:`Variable` of that shape. ``layout["u"]`` is a :class:`View`.
    """

    def __init__(self, **variables: Variable | tuple[int, ...]) -> None:
        self.variables = {k: v if isinstance(v, Variable) else Variable(tuple(v)) for k, v in variables.items()}
        if not self.variables:
            raise ValueError("got no variables; expected at least one, as in Layout(u=(24,))")
        sizes = [v.size for v in self.variables.values()]
        self.offsets = dict(zip(self.variables, itertools.accumulate(sizes, initial=0)))
        self.size = sum(sizes)
        self.loc = torch.cat([v.flat(v.loc) for v in self.variables.values()])
        self.scale = torch.cat([v.flat(v.scale) for v in self.variables.values()])
        self.origin = self

    def grown(self, *parts: str, length: int | None = None, copies: int | None = None, dim: str = "") -> Layout:
        """The same layout with these parts longer along an axis, or with ``copies`` of each along a new first one.

        ``dim`` is the axis that grows, the first unless named, or what the new one is called. Parts that share the axis
        (of one name) grow with it. What it grew from is its ``origin`` (:mod:`sciencegen.compose`). ValueError where a
        unit differs along the axis, so that it does not go on.
        """
        if unknown := [name for name in parts if name not in self.variables]:
            raise KeyError(f"no variable {unknown}; this layout has {list(self.variables)}")
        if not parts or (length is None) == (copies is None):
            raise ValueError(f"got parts {parts}, length={length}, copies={copies}; expected one part or more, and a "
                             "length or a number of copies")
        if length is None:
            grown = {name: self.variables[name].copied(copies, dim or "copy") for name in parts}
        else:
            axes = self._growing(parts, dim)
            grown = {name: self.variables[name].lengthened(length, axis) for name, axis in axes.items()}
        made = Layout(**(self.variables | grown))
        made.origin = self
        return made

    def _growing(self, parts: tuple[str, ...], dim: str) -> dict[str, int]:
        """Of each part that has the axis along which ``parts`` grow, which one that is."""
        along = {dim} if dim else {d for name in parts for d in self.variables[name].dims[:1]}
        found = {}
        for name, variable in self.variables.items():
            here = [axis for axis, d in enumerate(variable.dims) if d in along]
            here = here or ([0] if name in parts and not variable.dims else [])
            if name in parts and not here:
                raise ValueError(f"got the axis '{dim}' for {name}, which has none of that name; expected one of "
                                 f"{variable.dims}")
            found |= {name: here[0]} if here else {}
        return found

    def pack(self, **parts: Any) -> Tensor:
        """Physical parts ``(*B, *shape)`` -> state ``(*B, d)``; batch axes broadcast; wants every variable by name."""
        if set(parts) != set(self.variables):
            raise KeyError(f"got parts {sorted(parts)}; expected exactly {list(self.variables)}")
        flat = [self._flatten(name, parts[name]) for name in self.variables]
        batch = torch.broadcast_shapes(*(f.shape[:-1] for f in flat))
        x = torch.cat([f.expand(*batch, f.shape[-1]) for f in flat], dim=-1)
        return (x - self.loc.to(x)) / self.scale.to(x)

    def _flatten(self, name: str, value: Any) -> Tensor:
        variable, value = self.variables[name], torch.as_tensor(value)
        value = value if value.is_floating_point() else value.to(torch.get_default_dtype())
        split = value.ndim - len(variable.shape)
        if split < 0 or tuple(value.shape[split:]) != variable.shape:
            raise ValueError(f"got {name} of shape {tuple(value.shape)}; expected (*batch, *{variable.shape})")
        return value.reshape(*value.shape[:split], variable.size)

    def unpack(self, x: Tensor) -> dict[str, Tensor]:
        """State ``(*B, d)`` -> physical parts ``{name: (*B, *shape)}``."""
        if x.shape[-1] != self.size:
            raise ValueError(f"got a state of {x.shape[-1]} numbers; expected {self.size} for {self}")
        physical = x * self.scale.to(x) + self.loc.to(x)
        pieces = physical.split([v.size for v in self.variables.values()], dim=-1)
        return {k: p.reshape((*x.shape[:-1], *v.shape)) for (k, v), p in zip(self.variables.items(), pieces)}

    def to_xarray(self, x: Tensor, batch: tuple[str, ...] = ("sample",)) -> xarray.Dataset:
        """State ``(*B, d)`` -> a dataset of physical values with dims, units and coordinates.

        ``batch`` names the leading axes; a lone state needs none and gets none.
        """
        if x.ndim - 1 > len(batch):
            raise ValueError(f"got {x.ndim - 1} batch axes; expected names for all of them, got batch={batch}")
        data, coords = {}, {}
        for name, value in self.unpack(x.detach().cpu()).items():
            variable = self.variables[name]
            dims = variable.dims or tuple(f"{name}_{i}" for i in range(len(variable.shape)))
            data[name] = ((*batch[: x.ndim - 1], *dims), value.numpy(), {"units": variable.units})
            coords |= {k: v if isinstance(v, xarray.Variable) else np.asarray(v) for k, v in variable.coords.items()}
        return xarray.Dataset(data, coords)

    def __getitem__(self, name: str) -> View:
        if name not in self.variables:
            raise KeyError(f"no variable '{name}'; this layout has {list(self.variables)}")
        variable, start = self.variables[name], self.offsets[name]
        index = torch.arange(start, start + variable.size).reshape(variable.shape)
        return View(index, 0, self.size, name)

    def known(self, **parts: Any) -> tuple[View, Tensor]:
        """A view of these parts side by side, and their physical values ``(*B, *shape)`` as unit-scale numbers."""
        if not parts or not set(parts) <= set(self.variables):
            raise KeyError(f"got parts {sorted(parts)}; expected some of {list(self.variables)}")
        names = [name for name in self.variables if name in parts]
        view = reduce(lambda a, b: a & b, (self[name] for name in names))
        flat = [self._flatten(name, parts[name]) for name in names]
        batch = torch.broadcast_shapes(*(f.shape[:-1] for f in flat))
        value = torch.cat([f.expand(*batch, f.shape[-1]) for f in flat], dim=-1)
        value = finite(" and ".join(names), value)
        return view, (value - self.loc[view.rows].to(value)) / self.scale[view.rows].to(value)

    def to(self, device: torch.device | str | None) -> Layout:
        """The same layout whose units are on another device, so that packing copies nothing there."""
        other = copy.copy(self)
        other.loc, other.scale = self.loc.to(device), self.scale.to(device)
        return other

    def config(self) -> dict[str, Any]:
        """Itself as a JSON-ready dictionary; :meth:`from_config` is the inverse."""
        return {name: variable.config() for name, variable in self.variables.items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Mapping[str, Any]]) -> Layout:
        """The layout that :meth:`config` wrote down."""
        tensor = {"loc", "scale"}
        return cls(**{name: Variable(**{k: torch.tensor(v, dtype=torch.float64) if k in tensor and isinstance(v, list)
                                        else v for k, v in entry.items()}) for name, entry in config.items()})

    def __repr__(self) -> str:
        return f"Layout({', '.join(f'{k}={v.shape}' for k, v in self.variables.items())})"


def _coordinate(values: Any) -> Any:
    """What :meth:`Variable.config` wrote of a coordinate, as it was."""
    if isinstance(values, Mapping):
        return xarray.Variable(tuple(values["dims"]), np.asarray(values["values"]), values["attrs"])
    return values


def _continued(values: Any, length: int) -> Any:
    """Coordinates that go on in even steps; ValueError where they have none."""
    if isinstance(values, xarray.Variable):
        return xarray.Variable(values.dims, _continued(values.values, length), values.attrs)
    values = np.asarray(values)
    if len(values) == length:
        return values
    step = np.diff(values)
    if not len(step) or not np.allclose(step.astype(float), step[0].astype(float)):
        raise ValueError(f"got the coordinates {values.tolist()}; expected even steps, so that they can go on")
    return values[0] + step[0] * np.arange(length)
