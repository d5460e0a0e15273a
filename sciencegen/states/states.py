"""States of a data set: the parts that are asked for, the layout of a row, and who is trained on what."""

from __future__ import annotations

import html
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray

from .. import io
from ..layout import Layout, Variable
from .parts import Asked, StatePart, coordinates, left_out, resolve, tidy
from .rows import Reader, Rows, Symmetry
from .split import Shares, cut
from .summary import summarised

__all__ = ["States"]

SPLITS = ("train", "valid", "test")


class States:
    """Training, validation and test rows of a data set, with their layout.

    Arguments:
        data: with dims (sample, time, x, y, ...), as far as it has them, in memory or not; or what ``io.open`` reads.
        parts: names of variables, or ``{part: variable or variables}`` (which then lie side by side); the name of a
            vector field stands for its components. None takes all numbers that vary with sample or time.
        length: frames of a window; None takes whole trajectories.
        stride: frames from one window's start to the next.
        split: shares of training, validation and test; or three lists of samples.
        symmetries: of the data (:mod:`sciencegen.symmetries`): training rows then come in 16 versions each.
        seed: of the split and of the symmetries' random numbers.
        missing: what stands for NaN, as the velocity within a body; without it NaN is refused.

    Attributes:
        layout: parts in units of their standard deviation over the training rows, with units, dims and coordinates.
        train, valid, test: rows ``(d,)`` float32, see :class:`Rows`.
        notes: what a user should know of how the data were taken, in sentences.

    Raises:
        ValueError: a part that is not there, not made of finite real numbers or without a sample axis; a window
            longer than the data; shares that leave nothing to train on. Nothing is guessed.
    """

    def __init__(self, data: xarray.Dataset | str | os.PathLike, parts: Asked = None, length: int | None = None,
                 stride: int = 1, split: Shares = (0.8, 0.1, 0.1), symmetries: Sequence[Symmetry] = (),
                 seed: int = 0, missing: float | None = None) -> None:
        whole = io.open(data) if isinstance(data, str | os.PathLike) else data
        self.data, wanted = tidy(whole, parts)
        _require_samples(self.data, wanted)
        self.length, self.stride, self.symmetries, self.seed = _length(self.data, length), stride, symmetries, seed
        self.missing = missing
        self.parts = resolve(self.data, wanted, self.length)
        reader = Reader(self.data, self.length, stride, missing)
        frames = self.data.sizes.get("time", 1)
        self.cut = cut(split, self.data.sizes.get("sample", 1), frames, self.length, seed)
        self.moments = summarised(self.data, self.cut.samples[0].numpy(), self.cut.frames[0], missing)
        self.layout, notes = self._layout(whole)
        self.notes = (self.cut.words, *notes, *left_out(whole, wanted), *reader.notes())
        self.train, self.valid, self.test = (
            Rows(reader, self.parts, self.layout, *self.cut.windows(k, self.length, reader.windows.starts),
                 symmetries if not k else (), seed) for k in range(3))
        if not len(self.train):
            raise ValueError(f"got no window of {self.length} frames with stride {stride} for training; expected at "
                             f"least one in {self.cut.words}")
        self.train.some([len(self.train) - 1])  # a symmetry that does not fit the parts says so now

    @property
    def periodic(self) -> tuple[str, ...]:
        """The axes along which the data may be shifted, as their symmetries say."""
        return tuple(dict.fromkeys(dim for s in self.symmetries for dim in getattr(s, "periodic", ())))

    def longer(self, length: int) -> States:
        """The same parts of the same samples in windows of ``length`` frames, without symmetries."""
        asked = {part.name: part.variables if part.stacked is not None else part.variables[0] for part in self.parts}
        samples = [part.tolist() for part in self.cut.samples]
        return States(self.data, asked, length, self.stride, samples, seed=self.seed, missing=self.missing)

    def _layout(self, whole: xarray.Dataset) -> tuple[Layout, list[str]]:
        time, notes = _time(whole, self.length) if "time" in self.data.sizes else (None, [])
        variables = {}
        for part in self.parts:
            found = [_unit(self.moments[name], self.data[name].dtype) for name in part.variables]
            notes += [f"'{name}' is {mean:g} in all training rows" for name, (mean, _, constant)
                      in zip(part.variables, found) if constant]
            loc, scale = ([entry[i] for entry in found] for i in (0, 1))
            variables[part.name] = Variable(part.shape, _spread(loc, part), _spread(scale, part), part.dims,
                                            part.units, coordinates(whole, part, time))
        return Layout(**variables), notes

    def __repr__(self) -> str:
        rows = [f"  {name} {shape}: {kind}, {units}" for name, shape, kind, units in self._table()]
        sizes = ", ".join(f"{name} {len(getattr(self, name))}" for name in SPLITS)
        notes = [f"  {note}" for note in self.notes]
        return "\n".join([f"States of {self.layout.size} numbers: {sizes} rows", *rows, *notes])

    def _repr_html_(self) -> str:
        rows = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>"
                       for row in self._table())
        splits = ", ".join(f"{name} {len(getattr(self, name))}" for name in SPLITS)
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return (f"<b>States</b> of {self.layout.size} numbers; rows: {splits}<table><tr><th>part</th><th>shape</th>"
                f"<th>kind</th><th>mean and standard deviation</th></tr>{rows}</table><ul>{notes}</ul>")

    def _table(self) -> list[tuple[str, tuple[int, ...], str, str]]:
        def spread(part: StatePart) -> str:
            found = [f"{self.moments[name].mean:.4g} +- {self.moments[name].std:.3g}" for name in part.variables]
            return "; ".join(found) + (f" {part.units}" if part.units else "")
        return [(part.name, part.shape, part.kind, spread(part)) for part in self.parts]


def _require_samples(data: xarray.Dataset, wanted: dict[str, tuple[str, ...]]) -> None:
    """ValueError unless every part varies with the sample, or all do with the time of the one trajectory there is."""
    axis = "sample" if "sample" in data.dims else "time"
    for part, group in wanted.items():
        dims = data[group[0]].dims
        if axis not in dims:
            raise ValueError(
                f"got '{part}' over the axes {dims}; expected one called '{axis}'" +
                (": what is the same in all samples is not a part of the state, leave it out" if axis == "sample" or
                 "time" in data.dims else ", along which samples lie: rename yours, data.rename(NAME='sample')"))


def _length(data: xarray.Dataset, length: int | None) -> int:
    frames = data.sizes.get("time", 1)
    if length is None:
        if "sample" not in data.dims:
            raise ValueError(f"got one trajectory of {frames} frames; expected length=, the frames of a window, so "
                             "that it can be cut into rows")
        return frames
    if not 1 <= length <= frames:
        raise ValueError(f"got length={length} for data of {frames} frames; expected 1 to {frames}")
    return int(length)


def _time(data: xarray.Dataset, length: int) -> tuple[xarray.Variable | None, list[str]]:
    """Times of a window: the data's own if it is whole, else from 0 on in the data's steps; and what to note."""
    if "time" not in data.coords or data["time"].dtype.kind not in "fiumM":
        return None, []
    attrs = {k: v for k, v in data["time"].attrs.items() if k in ("units", "long_name")}
    values = np.asarray(data["time"].values)
    if values.dtype.kind in "mM":
        values, attrs = (values - values[0]) / np.timedelta64(1, "s"), {"units": "s"}
    values = values.astype(float)
    if length == len(values):
        return xarray.Variable("time", values, attrs), []
    steps = np.diff(values)
    even = bool(np.allclose(steps, steps.mean(), rtol=1e-3))
    note = f"times are {steps.min():g} to {steps.max():g} apart: windows are told the mean step"
    return xarray.Variable("time", np.arange(length) * steps.mean(), attrs), [] if even else [note]


def _unit(moments: io.Summary, dtype: np.dtype) -> tuple[float, float, bool]:
    """Offset, unit, and whether it is a constant: one has no spread, and its own magnitude is its unit.

    Rounded to what a state needs, so that they do not depend on the blocks in which a file was read.
    """
    size = max(abs(moments.least), abs(moments.most))
    if not moments.std > size * (np.finfo(dtype).eps if dtype.kind == "f" else np.finfo(float).eps):
        return moments.least, size or 1.0, True
    return round(moments.mean, 4 - math.floor(math.log10(moments.std))), float(f"{moments.std:.6g}"), False


def _spread(values: list[float], part: StatePart) -> Any:
    """One number, or one for each variable of a part, of a shape that broadcasts to the part's."""
    if part.stacked is None:
        return values[0]
    shape = [1] * len(part.shape)
    shape[part.stacked] = len(values)
    return torch.tensor(values, dtype=torch.float64).reshape(shape)
