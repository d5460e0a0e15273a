"""Which schema a file is of, and opening it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray

from ..files import Fault, Kind, fault, guarded, kind
from ..files.child import in_child
from ..files.hdf5 import entries
from . import schema as shared
from .airfrans import AirfRANS
from .arrays import Arrays
from .bubbleml import BubbleML
from .dream3d import Dream3D
from .engibench import EngiBench
from .folders import Balls, CinDM, Smoke
from .own import NetCDF
from .pdearena import PDEArena
from .pdebench import Fields, Incompressible, Seeds, Tensor
from .plain import Plain, summary
from .statistics import blocks
from .well import Well

__all__ = ["SCHEMAS", "detect", "open", "open_tree"]

# more particular ones first; their evidence does not overlap (a test checks it)
SCHEMAS: tuple[shared.Schema, ...] = (
    NetCDF(), Well(), Seeds(), Incompressible(), BubbleML(), Dream3D(), Tensor(), Fields(), PDEArena(), Arrays(),
    EngiBench(), AirfRANS(), CinDM(), Balls(), Smoke())


def detect(path: str | os.PathLike, trusted: bool = False) -> tuple[shared.Schema, str]:
    """The schema of what is at ``path``, and the evidence for it; ValueError where it is of none, or not to be trusted.
    """
    path = Path(path)
    found = kind(path)  # says at once that nothing is there
    if found is Kind.EMPTY:
        raise fault(path, "an empty file", "data", "its transfer or its writer was stopped: fetch or make it again")
    with guarded(path, found.value):
        for schema in SCHEMAS:
            candidate = _chosen(path, schema, {"trusted": True}) if trusted and hasattr(schema, "trusted") else schema
            if evidence := candidate.matches(path):
                return candidate, evidence
    raise _unknown(path, found, trusted)


def _unknown(path: Path, found: Kind, trusted: bool) -> Fault:
    if found is Kind.HDF5:
        there = entries(path, trusted)
        return fault(path, f"an HDF5 file with {summary(there)}", "a known schema, or a mapping",
                     "say what the axes are: dims={'NAME': ('sample', 'time', 'x')}"
                     if any(entry.shape is not None for entry in there.values()) else "it holds no data: make it again")
    if found is Kind.FOLDER:
        return fault(path, f"a directory with {sorted(f.name for f in path.iterdir())[:5]}", "simulations of CinDM, "
                     "DiffPhyCon or AirfRANS, or a file", "name one of the files in it, or the folder that holds sim_*")
    advice = {Kind.PICKLE: "pickles run whatever code is in them and are not read: save it as .npz",
              Kind.PARQUET: "its columns are none of EngiBench's airfoils: read it with pandas",
              Kind.TEXT: "its name may promise another kind; is it a download's error page?",
              Kind.VTK: "open its simulation's folder, or read it with pyvista"}
    return fault(path, found.value, "HDF5, netCDF, .mat, .npz, .npy, Parquet, VTK or a folder of them",
                 advice.get(found, "convert it to one of these"))


def open(path: str | os.PathLike, schema: shared.Schema | None = None, *,
         dims: Mapping[str, Sequence[str]] | None = None, group: str | None = None,
         trusted: bool | None = None, isolated: bool = False) -> xarray.Dataset:
    """What is at ``path``, in one form, whichever schema it is of (see :mod:`sciencegen.io.schema`).

    Nothing large is read: fields are read where and when they are indexed. The result can be pickled and is opened anew
    by every process that reads from it.

    Arguments:
        path: a file or a folder; what it is is told by its contents.
        schema: take it for this, as in ``Plain(dims=...)``, instead of asking each known one.
        dims: names of the axes of datasets that no schema names, in the order of the file.
        group: the part to read where there are several: a split, a simulation, a netCDF group.
        trusted: unpickle, read other files that this one names and what was never written, take what is there where
            something is missing: for files whose maker you know.
        isolated: have a process of its own open it and read all of it first, with limits of time and memory, so that a
            file that kills, hangs or fills the process that reads it costs that one (not where it is ``trusted``).

    Raises:
        ValueError: where the file is damaged, of no known schema, or leaves a choice open; the message says what was
            got, what was expected and what to do.
    """
    path = Path(path)
    if isolated and not trusted:
        in_child(path, lambda beat: _read_through(open(path, schema, dims=dims, group=group), beat))
    choices = {k: v for k, v in {"dims": dims, "group": group, "trusted": trusted}.items() if v is not None}
    if schema is None:
        try:
            schema = detect(path, bool(trusted))[0]
        except ValueError:
            if not dims or kind(path) is not Kind.HDF5:
                raise
            schema = Plain()
    elif kind(path) is Kind.EMPTY:
        detect(path)
    chosen = _chosen(path, schema, choices)
    with guarded(path, f"{kind(path)} of {type(chosen).__name__}"):
        return chosen.read(path)


def open_tree(path: str | os.PathLike, schema: shared.Schema | None = None, *,
              dims: Mapping[str, Sequence[str]] | None = None, group: str | None = None,
              trusted: bool | None = None) -> xarray.DataTree:
    """As :func:`open`, with what a design is made of under ``/design``."""
    return shared.tree(open(path, schema, dims=dims, group=group, trusted=trusted))


def _read_through(dataset: xarray.Dataset, beat: Callable[[], object]) -> None:
    for v in dataset.variables.values():
        for key in blocks(v):
            np.asarray(v[key].values)
            beat()


def _chosen(path: Path, schema: Any, choices: Mapping[str, Any]) -> shared.Schema:
    known = {f.name for f in dataclasses.fields(schema)}
    if unknown := set(choices) - known:
        raise fault(path, f"{sorted(unknown)[0]}= for {type(schema).__name__}",
                    f"one of {sorted(known & {'dims', 'group', 'trusted'})}" if known else "no choice",
                    "that schema leaves nothing of the kind open: drop it")
    return dataclasses.replace(schema, **choices)
