"""What a state is made of: named variables with units, and views of their parts.

A state is one flat tensor ``x (*B, d)`` of unit-scale numbers. A :class:`Layout` says which slice of it is which
variable and what its units are; it is the only place where units live. A :class:`View` is a list of coordinates of
``x``: it reads them, ``x -> S x``, and its adjoint puts them back, ``v -> S^T v``. Windows in time, pairs of bodies
and parts side by side are all views, so that composing energies needs one idea only.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import xarray
from torch import Tensor

__all__ = ["Layout", "Variable", "View"]


@dataclass(frozen=True)
class Variable:
    r"""A named array of the state: physical value = ``loc + scale * x``.

    Arguments:
        shape: its shape; ``()`` for a number.
        loc, scale: physical offset and unit, numbers or tensors that broadcast to ``shape``; ``scale > 0``.
        dims: one name per axis, for :meth:`Layout.to_xarray`; the default is ``NAME_0, NAME_1, ...``.
        units: of the physical value, as a text ("m/s").
        coords: physical coordinates of named axes, ``{dim: values}``.
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
        for name, values in self.coords.items():
            if name not in self.dims or len(values) != self.shape[self.dims.index(name)]:
                raise ValueError(f"got {len(values)} coordinates of '{name}'; expected them to match an axis: "
                                 f"dims {self.dims}, shape {self.shape}")
        if not bool(((scale := self.flat(self.scale)) > 0).all() and scale.isfinite().all()):
            raise ValueError(f"got scale {self.scale}; expected positive finite numbers")

    @property
    def size(self) -> int:
        """How many coordinates of the state it takes."""
        return math.prod(self.shape)

    def flat(self, value: float | Tensor) -> Tensor:
        """``value`` broadcast to ``shape`` and flattened, ``(size,)`` in float64."""
        return torch.as_tensor(value, dtype=torch.float64).broadcast_to(self.shape).reshape(-1)

    def config(self) -> dict[str, Any]:
        """Itself as JSON-ready numbers and lists; ``Variable(**config)`` is the inverse."""
        plain = {k: v.tolist() if isinstance(v, Tensor) else v for k, v in (("loc", self.loc), ("scale", self.scale))}
        coords = {k: torch.as_tensor(v).tolist() for k, v in self.coords.items()}
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
            coords |= {k: torch.as_tensor(v).numpy() for k, v in variable.coords.items()}
        return xarray.Dataset(data, coords)

    def __getitem__(self, name: str) -> View:
        if name not in self.variables:
            raise KeyError(f"no variable '{name}'; this layout has {list(self.variables)}")
        variable, start = self.variables[name], self.offsets[name]
        index = torch.arange(start, start + variable.size).reshape(variable.shape)
        return View(index, 0, self.size, name)

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


class View:
    """Coordinates of a state, ``x -> S x``: index of shape ``(*copies, *event)``.

    Copies are rows that one energy scores independently (windows, pairs); the event is what it scores.
    """

    def __init__(self, index: Tensor, copies: int, size: int, name: str) -> None:
        self.index, self.copies, self.size, self.name = index, copies, size, name

    @property
    def event(self) -> tuple[int, ...]:
        """Shape of one copy; :meth:`__call__` flattens it."""
        return tuple(self.index.shape[self.copies:])

    @property
    def rows(self) -> Tensor:
        """The index with its event axes flattened, ``(*copies, n)``."""
        return self.index.reshape(*self.index.shape[: self.copies], -1)

    def __call__(self, x: Tensor) -> Tensor:
        """``(*B, d) -> (*B, *copies, n)``."""
        if x.shape[-1] != self.size:
            raise ValueError(f"got a state of {x.shape[-1]} numbers; expected {self.size}, the layout of '{self}'")
        return gather(x, self.rows.to(x.device))

    def adjoint(self, v: Tensor) -> Tensor:
        """``(*B, *copies, n) -> (*B, d)``: each number back to its coordinate, summed over copies."""
        return scatter(v, self.rows.to(v.device), self.size)

    def __getitem__(self, key: Any) -> View:
        """Slices of the variable's own axes (never of its copies)."""
        key = key if isinstance(key, tuple) else (key,)
        index = self.index[(slice(None),) * self.copies + key]
        return View(index, self.copies, self.size, f"{self._bracketed}[{', '.join(map(_slice_text, key))}]")

    def windows(self, length: int, stride: int) -> View:
        """Copies along the first axis: frames ``[k stride, k stride + length)``; they must end with the last frame."""
        frames = self._first_axis("windows")
        if not (0 < length <= frames and stride > 0 and (frames - length) % stride == 0):
            raise ValueError(f"got windows({length}, {stride}) of {frames} frames; expected 0 < length <= {frames} and "
                             "(frames - length) divisible by stride, so that the windows end with the last frame")
        starts = torch.arange(0, frames - length + 1, stride)
        return self._copy(starts[:, None] + torch.arange(length), f"windows({length},{stride})")

    def pairs(self) -> View:
        """Copies along the first axis: every unordered pair ``i < j`` of its entries, ``n (n - 1) / 2`` of them."""
        count = self._first_axis("pairs")
        if count < 2:
            raise ValueError(f"got pairs of {count} entries; expected at least 2 along the first axis of '{self}'")
        return self._copy(torch.combinations(torch.arange(count)), "pairs()")

    def each(self) -> View:
        """Copies along the first axis: one per entry, which the event then lacks."""
        return self._copy(torch.arange(self._first_axis("each")), "each()")

    def _first_axis(self, what: str) -> int:
        if not self.event:
            raise ValueError(f"got {what} of '{self}', which has no axis left; expected a view with event axes")
        return self.event[0]

    def _copy(self, pick: Tensor, text: str) -> View:
        index = self.index.movedim(self.copies, 0)[pick]
        extra = tuple(range(pick.ndim))
        index = index.movedim(extra, tuple(self.copies + i for i in extra))
        return View(index, self.copies + 1, self.size, f"{self._bracketed}.{text}")

    def __and__(self, other: View) -> View:
        """Both, side by side in one flat event; a view without copies is shared by all copies of the other."""
        if self.size != other.size:
            raise ValueError(f"got views of states of {self.size} and {other.size} numbers; expected one layout")
        a, b = self.rows, other.rows
        lead = max(a.shape[:-1], b.shape[:-1], key=len)
        if any(r.ndim > 1 and r.shape[:-1] != lead for r in (a, b)):
            raise ValueError(f"got {tuple(a.shape[:-1])} and {tuple(b.shape[:-1])} copies in '{self} & {other}'; "
                             "expected equal copies, or none on one side")
        index = torch.cat([r.expand(*lead, r.shape[-1]) for r in (a, b)], dim=-1)
        return View(index, len(lead), self.size, f"{self} & {other}")

    @property
    def _bracketed(self) -> str:
        return f"({self.name})" if " & " in self.name else self.name

    def __repr__(self) -> str:
        return self.name


def gather(x: Tensor, rows: Tensor) -> Tensor:
    """Coordinates ``rows (*copies, n)`` of ``x (*B, d)``: ``(*B, *copies, n)``."""
    return x[..., rows]


def scatter(v: Tensor, rows: Tensor, size: int) -> Tensor:
    """The adjoint of :func:`gather`: ``(*B, *copies, n) -> (*B, size)``, summed where ``rows`` repeat."""
    batch = v.shape[: v.ndim - rows.ndim]
    return v.new_zeros(*batch, size).index_add(-1, rows.reshape(-1), v.reshape(*batch, rows.numel()))


def _slice_text(key: Any) -> str:
    if not isinstance(key, slice):
        return "..." if key is Ellipsis else str(key)
    ends = ":".join("" if k is None else str(k) for k in (key.start, key.stop))
    return ends if key.step is None else f"{ends}:{key.step}"
