"""What is in a file, as tables: its schema and the evidence for it, dims, units, ranges, what is missing, chunks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table
from tqdm.auto import tqdm

from . import Summary, blocks

__all__ = ["Described", "describe", "tables"]

SHOWN = 20  # of what is not read


@dataclass(frozen=True)
class Described:
    """A dataset, the evidence that it is what it is, and the moments of each of its numeric variables."""

    dataset: xarray.Dataset
    evidence: str
    moments: dict[str, Summary]


def describe(dataset: xarray.Dataset, evidence: str, beat: Callable[[], object] = lambda: None) -> Described:
    """Pass over all data once, a block at a time; a bar is shown where that takes more than 2 seconds."""
    numeric = [str(k) for k, v in dataset.data_vars.items() if v.dtype.kind in "fiub"]
    total, found = sum(dataset[name].nbytes for name in numeric), {}
    with tqdm(total=total, unit="B", unit_scale=True, desc="reading", delay=2, leave=False) as bar:
        for name in numeric:
            variable, moments = dataset[name].variable, Summary()
            for key in blocks(variable):
                block = variable[key].values
                moments += Summary.of(block)
                bar.update(block.nbytes)
                beat()
            found[name] = moments
    return Described(dataset, evidence, found)


def tables(described: Described, path: Path) -> list[Table | str]:
    """What to print: a headline, the variables, the coordinates."""
    dataset, sizes = described.dataset, described.dataset.sizes
    schema = dataset.attrs.get("source_schema", "netCDF")
    size = sum(v.nbytes for v in dataset.data_vars.values())
    head = [f"[bold]{escape(str(path))}[/]: {escape(schema)}, told by {escape(described.evidence)}",
            f"{', '.join(f'{dim} {n}' for dim, n in sizes.items())}; {_bytes(size)} in memory"]
    lines = [f"{k}: {escape(_short(v))}" for k, v in dataset.attrs.items()
             if k not in ("source_schema", "Conventions") and str(v)]
    unused = [f"not read: {escape(k)}, {escape(_short(v))}" for k, v in dataset.encoding.get("unused", {}).items()]
    return [*head, _variables(dataset), "", _ranges(described), "", _coordinates(dataset), "", *lines,
            *unused[:SHOWN], *([f"and {len(unused) - SHOWN} more that are not read"] if len(unused) > SHOWN else [])]


def _variables(dataset: xarray.Dataset) -> Table:
    table = _table("variable", "what", "dims", "units", "dtype", "chunks")
    for name, v in dataset.data_vars.items():
        chunks = v.encoding.get("chunksizes")
        words = (name, v.attrs.get("long_name", ""), ", ".join(map(str, v.dims)), v.attrs.get("units", "?"), v.dtype,
                 "x".join(map(str, chunks)) if chunks else "-")
        table.add_row(*(escape(str(word)) for word in words))
    return table


def _ranges(described: Described) -> Table:
    table = _table("variable", "least", "mean", "std", "most", "NaN")
    for name, m in described.moments.items():
        numbers = [f"{n:.5g}" for n in (m.least, m.mean, m.std, m.most)] if m.count else ["-"] * 4
        total = m.missing + m.infinite + m.count
        missing = f"[red]{m.missing:,} of {total:,}[/]" if m.missing else "0"
        missing += f"[red], and {m.infinite:,} infinite[/]" if m.infinite else ""
        table.add_row(escape(name), *numbers, missing)
    return table


def _table(*columns: str) -> Table:
    """A table without sides; only what a variable means and its dims may be broken over lines."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column not in ("what", "dims"), overflow="fold",
                         justify="right" if column in ("least", "mean", "std", "most", "NaN") else "left")
    return table


def _coordinates(dataset: xarray.Dataset) -> Table | str:
    if not dataset.coords:
        return "no coordinates: every axis is counted from 0"
    table = _table("coordinate", "dims", "entries", "first", "last", "step", "units")
    for name, v in dataset.coords.items():
        values = np.ravel(v.values)
        line = values.dtype.kind in "fiu" and v.ndim == 1 and len(values) > 1
        steps = np.diff(values.astype(float)) if line else None
        even = steps is not None and np.allclose(steps, steps[0], rtol=1e-3)
        table.add_row(escape(str(name)), escape(", ".join(map(str, v.dims))), str(values.size), _value(values[0]),
                      _value(values[-1]), f"{steps.mean():.6g}" if even else "varies" if steps is not None else "-",
                      escape(str(v.attrs.get("units", "?"))))
    return table


def _value(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float | np.floating) else escape(str(value))


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 160 else text[:157] + "..."


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
