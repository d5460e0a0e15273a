"""What a forecast starts from and is told: frames and numbers of any source, as tensors ``(samples, members, ...)``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray
from torch import Tensor

from ..layout import Layout, Variable
from ..values import finite

__all__ = ["Known", "Start", "Times", "known_of", "labelled", "times_of"]

ROWS = ("sample", "member")
APART = 1e-3  # how much two time steps may differ, as a share


@dataclass(frozen=True)
class Known:
    """Values by part, in physical units: of parts in time ``(S, M, frames, *rest)``, of others ``(S, M, *shape)``.

    ``S`` and ``M`` are one where there is one for all samples or members; ``labels (S,)`` are the samples' own.
    """

    parts: Mapping[str, Tensor]
    labels: np.ndarray | None = None


@dataclass(frozen=True)
class Times:
    """The time of the last frame that is known, the step from frame to frame, and their attributes."""

    last: Any
    step: float
    attrs: Mapping[str, Any]

    def told(self, frames: xarray.Dataset, steps: np.ndarray) -> xarray.Dataset:
        """The frames with their times, ``steps`` behind the last one that is known."""
        lead, dated = steps * self.step, isinstance(self.last, np.datetime64)
        units = {k: v for k, v in self.attrs.items() if k == "units"}
        after = (lead * 1e9).round().astype("timedelta64[ns]") if dated else lead
        return frames.assign_coords(
            time=("time", self.last + after, {} if dated else dict(self.attrs)),
            lead=("time", lead, {"standard_name": "forecast_period", **units}),
            reference_time=((), self.last, {"standard_name": "forecast_reference_time", **({} if dated else units)}))


def known_of(layout: Layout, source: Any, what: str) -> Known:
    """The parts in a ``source``: a data set, a dictionary, or frames alone where one part only has a time axis.

    Arrays and tensors are ``(*rest)`` for all, ``(members, *rest)`` or ``(samples, members or 1, *rest)``, where
    ``rest`` are a part's axes, with any number of frames; arrays of xarray say by their dims which they are.

    Raises:
        KeyError: a part that the layout has not.
        ValueError: other axes than the part's; numbers that are not finite.
    """
    items = dict(_named(layout, source, what))
    if lost := [name for name in items if name not in layout.variables]:
        raise KeyError(f"got '{lost[0]}' in {what}; expected some of {list(layout.variables)}")
    parts = {name: _tensor(name, value, layout.variables[name], what) for name, value in items.items()}
    coords = getattr(source, "coords", {})
    return Known(parts, np.asarray(coords["sample"]) if "sample" in coords and coords["sample"].ndim == 1 else None)


def _named(layout: Layout, source: Any, what: str) -> Iterator[tuple[str, Any]]:
    if isinstance(source, xarray.Dataset | Mapping):
        yield from ((str(name), source[name]) for name in source)
        return
    moving = [name for name, variable in layout.variables.items() if variable.dims[:1] == ("time",)]
    if isinstance(source, xarray.DataArray) and source.name in layout.variables:
        moving = [source.name]
    if len(moving) != 1:
        raise ValueError(f"got {what} without names; expected a data set or a dictionary of the parts {moving}")
    yield moving[0], source


def _tensor(name: str, value: Any, variable: Variable, what: str) -> Tensor:
    """``(S, M, *own)``."""
    rest = variable.shape[1:] if variable.dims[:1] == ("time",) else variable.shape
    own, moving = len(variable.shape), len(rest) < len(variable.shape)
    if isinstance(value, xarray.DataArray):
        value = _ordered(name, value, variable, what)
    found = torch.as_tensor(np.asarray(value) if not isinstance(value, Tensor) else value)
    found = found if found.is_floating_point() else found.double()
    extra = found.ndim - own
    if not 0 <= extra <= 2 or tuple(found.shape[extra + moving:]) != rest:
        wanted = ", ".join([*(["frames"] if moving else []), *map(str, rest)])
        raise ValueError(f"got {what} of '{name}' of shape {tuple(found.shape)}; expected ({wanted}), or with members, "
                         "or with samples and members before")
    return finite(f"{what} of '{name}'", found.reshape(*[1] * (2 - extra), *found.shape))


def _ordered(name: str, value: xarray.DataArray, variable: Variable, what: str) -> xarray.DataArray:
    """With all its axes in the order sample, member, then the part's own."""
    here = [dim for dim in ROWS if dim in value.dims]
    if "sample" in here and "member" not in here:
        value, here = value.expand_dims("member"), list(ROWS)
    if set(value.dims) != {*here, *variable.dims}:
        raise ValueError(f"got {what} of '{name}' over {value.dims}; expected {variable.dims}, and sample and member "
                         "where they differ")
    return value.transpose(*here, *variable.dims)


def times_of(layout: Layout, source: Any, frames: int) -> Times:
    """When the frames of a history are; ValueError unless they are as far apart as the layout's.

    Without times of its own, a history ends at zero, in the layout's steps.
    """
    own: Any = next((v.coords["time"] for v in layout.variables.values() if "time" in v.coords), None)
    attrs = dict(getattr(own, "attrs", {}))
    steps = np.diff(np.asarray(own, float)) if own is not None else np.ones(1)
    step = float(steps.mean()) if len(steps) else 1.0
    if not isinstance(source, xarray.Dataset | xarray.DataArray) or "time" not in source.coords or frames < 1:
        return Times(0.0, step, attrs)
    values = np.asarray(source["time"])
    if values.dtype.kind not in "fiuM":
        return Times(0.0, step, attrs)
    apart = np.diff(values)
    if values.dtype.kind == "M":
        apart = apart / np.timedelta64(1, "s")
    if len(apart) and own is not None and not np.allclose(apart.astype(float), step, rtol=APART):
        raise ValueError(f"got frames {apart.min():g} to {apart.max():g} apart; expected {step:g}, as those that the "
                         "model was trained on: take every n-th, or interpolate to even steps")
    last = values[-1]
    return Times(last.astype("datetime64[ns]") if values.dtype.kind == "M" else float(last), step, attrs)


def labelled(layout: Layout, parts: Mapping[str, Tensor]) -> xarray.Dataset:
    """Parts ``(S, M, ...)`` as a data set with the layout's axes, units and coordinates, but for time's."""
    data, coords = {}, {}
    for name, value in parts.items():
        variable = layout.variables[name]
        dims = variable.dims or tuple(f"{name}_{i}" for i in range(len(variable.shape)))
        data[name] = ((*ROWS, *dims), value.numpy(), {"units": variable.units})
        coords |= {k: v if isinstance(v, xarray.Variable) else np.asarray(v) for k, v in variable.coords.items()
                   if k != "time"}
    return xarray.Dataset(data, coords)


@dataclass(frozen=True)
class Start:
    """All that a forecast is told, each part as :class:`Known` has it, and the roles of the parts.

    Arguments:
        parts: of the history, of what is fixed and of what is known ahead.
        history: frames that are known.
        forced: parts in time that are known ahead, history and horizon in one.
        fixed: parts without time that are known.
        samples: how many.
        labels: of the samples, if they have some.
    """

    parts: Mapping[str, Tensor]
    history: int
    forced: tuple[str, ...]
    fixed: tuple[str, ...]
    samples: int
    labels: np.ndarray | None

    @classmethod
    def of(cls, layout: Layout, history: Any, given: Any, horizon: int, members: int) -> Start:
        """What ``history`` and ``given`` say; KeyError, ValueError where they do not fit layout, horizon or members."""
        before, more = known_of(layout, history, "history"), known_of(layout, {} if given is None else given, "given")
        moving = [name for name, variable in layout.variables.items() if variable.dims[:1] == ("time",)]
        forced = tuple(name for name in moving if name in more.parts)
        if lost := [name for name in moving if name not in {*before.parts, *forced}]:
            raise KeyError(f"got no history of '{lost[0]}'; expected one of all of {moving}, or its frames in given")
        sizes = {name: before.parts[name].shape[2] for name in moving if name in before.parts}
        if len(set(sizes.values())) != 1 or not min(sizes.values()):
            raise ValueError(f"got histories of {sizes} frames; expected one frame or more, as many of all parts")
        frames, parts = next(iter(sizes.values())), {**before.parts, **more.parts}
        for name in forced:
            own = [before.parts[name]] if name in before.parts else []
            wanted = horizon if own else frames + horizon
            if (got := parts[name].shape[2]) != wanted:
                raise ValueError(f"got {got} frames of '{name}' in given; expected {wanted}: those of the horizon" +
                                 ("" if own else ", and before them those of the history"))
            parts[name] = _joined([*own, parts[name]])
        rows = [tuple(value.shape[:2]) for value in parts.values()]
        samples = {n for n, _ in rows} - {1} or {1}
        if len(samples) > 1 or {m for _, m in rows} - {1, members}:
            raise ValueError(f"got {dict(zip(parts, rows))} samples and members; expected one sample or as many in all "
                             f"parts, and one member or the {members} that are asked for")
        fixed = tuple(name for name in layout.variables if name in parts and name not in moving)
        labels = before.labels if more.labels is None else more.labels
        return cls(parts, frames, forced, fixed, samples.pop(), labels)

    def rows(self, members: int, device: torch.device) -> dict[str, Tensor]:
        """Each part a row for each sample and member, ``(S M, ...)`` in float64."""
        return {name: value.to(device, torch.float64).expand(self.samples, members, *value.shape[2:]).flatten(0, 1)
                for name, value in self.parts.items()}


def _joined(pieces: Sequence[Tensor]) -> Tensor:
    """Frames one after the other, over the samples and members of all."""
    rows = torch.broadcast_shapes(*(piece.shape[:2] for piece in pieces))
    return torch.cat([piece.double().expand(*rows, *piece.shape[2:]) for piece in pieces], 2)
