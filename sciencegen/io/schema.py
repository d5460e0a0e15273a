"""What every schema shares: the protocol, and the one form in which all data arrive.

That form is an :class:`xarray.Dataset` with dims ``(sample, time, x[, y[, z]])``, as far as a field has them: a
variable for each physical field, with ``units`` (CF) and ``long_name`` where the schema says them, and parameters by
sample, with ``role="parameter"``. What a design is made of has ``role="design"``. The components of a vector field are
fields of their own, ``velocity_x`` and ``velocity_y``, with ``component_of="velocity"``. Reference: "NetCDF Climate and
Forecast (CF) Metadata Conventions" (Eaton et al., 2023), https://cfconventions.org.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import xarray

from ..files import fault
from .leaf import Leaf, Picked, variable
from .source import Source

__all__ = [
    "CONVENTIONS", "SPACE", "Field", "Schema", "assemble", "components", "canonical", "coordinate",
    "named_axes", "ordered", "parameter", "tree",
]  # fmt: skip

SPACE = ("x", "y", "z")
AXES = {"time": "T", "x": "X", "y": "Y", "z": "Z"}
CONVENTIONS = "CF-1.11"


class Schema(Protocol):
    """A layout that files come in. Its fields are the choices that a caller can make."""

    def matches(self, path: Path) -> str:
        """The evidence that ``path`` is such a file, in words; "" where it is not."""

    def read(self, path: Path) -> xarray.Dataset:
        """The file's contents, nothing of the large arrays read yet; ValueError says what is wrong with it."""


@dataclass(frozen=True)
class Field:
    """A field on its way into a dataset: ``dims`` name the axes of ``leaf``."""

    dims: tuple[str, ...]
    leaf: Leaf
    attrs: Mapping[str, Any] = field(default_factory=dict)


def components(source: Source, stored: str, dims: tuple[str, ...], attrs: Mapping[str, Any], stop: int | None = None,
               labels: Sequence[str] = SPACE) -> dict[str, Field]:
    """A data set whose axes beyond ``dims`` are components, as one field each: velocity_x, stress_xy. ``stop`` cuts
    time."""
    name = stored.rsplit("/", 1)[-1]
    long_name, found, shape = attrs.get("long_name", name), {}, source.shape(stored)[len(dims):]
    if any(n > len(labels) for n in shape):
        raise fault(source.path, f"'{stored}' with {shape} components", f"at most {len(labels)} a vector",
                    "its axes are in another order than its schema says: make the file again")
    for index in np.ndindex(shape):
        suffix = "".join(labels[i] for i in index)
        where = [slice(None, stop) if dim == "time" else slice(None) for dim in dims] + list(index)
        found[f"{name}_{suffix}"] = Field(dims, source.leaf(stored, where), {
            **attrs, "long_name": f"{long_name}, {suffix}", "component_of": name, "component": suffix})
    return found


def parameter(values: Any, count: int, **attrs: Any) -> xarray.Variable:
    """A parameter by sample; one number is every sample's."""
    values = np.asarray(values)
    values = np.broadcast_to(values.reshape(()) if values.size == 1 else values, (count,))
    return xarray.Variable("sample", values.copy(), {**attrs, "role": "parameter"})


def named_axes(path: Path, name: str, shape: Sequence[int], dims: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The caller's names of a dataset's axes, or the error that asks for them."""
    if name not in dims:
        raise fault(path, f"'{name}' of shape {tuple(shape)} whose axes no schema names", "names of its axes",
                    f"say dims={{'{name}': (...)}} with {len(shape)} of sample, time, x, y, z or names of your own")
    given = tuple(dims[name])
    if len(given) != len(shape) or len(set(given)) != len(given):
        raise fault(path, f"dims={{'{name}': {given}}} for shape {tuple(shape)}", f"{len(shape)} different names",
                    "name every axis once, in the order of the file")
    return given


def assemble(path: Path, schema: str, fields: Mapping[str, Field], coords: Mapping[str, Any],
             parameters: Mapping[str, xarray.Variable] | None = None, unused: Mapping[str, str] | None = None,
             **attrs: Any) -> xarray.Dataset:
    """The dataset, its dims in canonical order, after its sizes and coordinates were checked against each other.

    ``unused`` is what the file holds beside it, and why it is not read; it stands in ``encoding["unused"]``.
    """
    if not fields:
        raise fault(path, "no field", f"at least one, as {schema} has", "the file holds no data: make it again")
    sizes: dict[str, tuple[int, str]] = {}
    for name, entry in fields.items():
        for dim, size in zip(entry.dims, entry.leaf.shape):
            other, of = sizes.setdefault(dim, (size, name))
            if other != size:
                raise fault(path, f"'{name}' with {size} along {dim} and '{of}' with {other}", "one size for each dim",
                            "fields of mixed resolution do not fit one dataset: open them apart, or make them again")
            if not size:
                raise fault(path, f"'{name}' with nothing along {dim}", "at least one entry", "make the file again")
    data = {name: canonical(entry.dims, entry.leaf, entry.attrs) for name, entry in fields.items()}
    data |= dict(parameters or {})
    lines = {dim: coordinate(path, dim, values, sizes[dim][0]) for dim, values in coords.items() if dim in sizes}
    found = xarray.Dataset(data, lines, {"Conventions": CONVENTIONS, "source_schema": schema,
                                         **{k: v for k, v in attrs.items() if v != ""}})
    found.encoding["unused"] = dict(unused or {})
    return found


def ordered(dims: Sequence[str]) -> list[str]:
    """Dims in the order (sample, time, x, y, z, others)."""
    known = ("sample", "time", *SPACE)
    return sorted(dims, key=lambda dim: known.index(dim) if dim in known else len(known))


def canonical(dims: Sequence[str], leaf: Leaf, attrs: Mapping[str, Any]) -> xarray.Variable:
    """A lazy variable, its dims in the order that all data have."""
    wanted = ordered(dims)
    order = [list(dims).index(dim) for dim in wanted]
    turned = leaf if wanted == list(dims) else Picked(leaf, (slice(None),) * len(wanted), order)
    return variable(wanted, turned, attrs)


def coordinate(path: Path, dim: str, values: Any, size: int) -> xarray.Variable:
    """A coordinate of one dimension, checked: as many entries as the dim, finite, and one after the other."""
    attrs = {"axis": AXES[dim]} if dim in AXES else {}
    if isinstance(values, xarray.Variable):
        values, attrs = values.values, {**values.attrs, **attrs}
    values = np.asarray(values)
    if values.shape != (size,):
        raise fault(path, f"{values.shape} coordinates of {dim}", f"({size},), as its fields have",
                    "the coordinates belong to other data, or the axes are in another order: make the file again")
    if values.dtype.kind in "fiu":
        steps = np.diff(values.astype(float))
        if not (np.isfinite(values).all() and ((steps > 0).all() or (steps < 0).all())):
            raise fault(path, f"coordinates of {dim} that repeat, turn or are not finite", "ascending or descending",
                        "two runs may have been appended, or an id was used twice: make the file again")
    return xarray.Variable(dim, values, attrs)


def tree(dataset: xarray.Dataset) -> xarray.DataTree:
    """The same data as a tree: fields and parameters at its root, what a design is made of under ``/design``."""
    own = [name for name, entry in dataset.data_vars.items() if entry.attrs.get("role") == "design"]
    nodes = {"/": dataset.drop_vars(own)}
    if own:
        nodes["/design"] = dataset[own].drop_attrs(deep=False)
    return xarray.DataTree.from_dict(nodes)

