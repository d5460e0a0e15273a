"""EngiBench's airfoil tables: a row a design problem, with its initial and its optimised design. No fields.

Drag is stored in counts (1e-4). Needs the extra ``tables``. Reference: "EngiBench: A Framework for Data-Driven
Engineering Design Research" (Felten et al., 2025), https://arxiv.org/abs/2508.00831.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray

from ..files import Kind, affordable, fault, guarded, kind
from .schema import CONVENTIONS

__all__ = ["EngiBench"]

DESIGNS = {"initial_design": "initial", "optimal_design": "optimal"}
NUMBERS = {"mach": ("Mach number", "1"), "reynolds": ("Reynolds number", "1"), "cl_target": ("wanted lift", "1"),
           "area_ratio_min": ("least area over the initial", "1"), "area_initial": ("initial area", "1"),
           "cd": ("drag, counts", "1e-4"), "cl": ("lift", "1"), "cl_con_violation": ("violation of the lift", "1"),
           "area_ratio": ("area over the initial", "1")}
OLD = {"initial": "initial", "optimized": "optimal", "area_target": "wanted area", "alpha": "angle of attack",
       "cd_val": "drag", "cl_val": "lift", "cl_con": "lift's constraint", "area_con": "area's constraint"}


@dataclass(frozen=True)
class EngiBench:
    """``airfoil_v0`` (designs as structs of coordinates and angle) and the older ``airfoil_2d_v0``, in Parquet."""

    def matches(self, path: Path) -> str:
        if kind(path) is not Kind.PARQUET:
            return ""
        columns = set(_opened(path).schema_arrow.names)
        if columns & set(DESIGNS):
            return f"columns {sorted(columns & set(DESIGNS))}"
        return f"columns {sorted(columns & set(OLD))}" if {"initial", "optimized"} <= columns else ""

    def read(self, path: Path) -> xarray.Dataset:
        table = _table(path)
        old = not set(table.column_names) & set(DESIGNS)
        if lost := [name for name in (OLD if old else {**DESIGNS, **NUMBERS}) if name not in table.column_names]:
            raise fault(path, f"columns {table.column_names}", f"'{lost[0]}' too, as airfoil{'_2d' * old}_v0 has",
                        "fetch the table again, or read it with pandas")
        if not len(table):
            raise fault(path, "no row", "at least one", "fetch the table again")
        data = _older(path, table) if old else _newer(path, table)
        return xarray.Dataset(data, attrs={"Conventions": CONVENTIONS, "source_schema": "EngiBench"})


def _opened(path: Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError('got no pyarrow; expected it for Parquet tables; pip install "sciencegen[tables]"') from error
    with guarded(path, "a Parquet table"):
        return parquet.ParquetFile(path, page_checksum_verification=True)


def _table(path: Path) -> Any:
    file = _opened(path)
    groups = [file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups)]
    affordable(path, "a table", sum(groups))
    with guarded(path, "a Parquet table"):
        return file.read()


def _newer(path: Path, table: Any) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for column, label in DESIGNS.items():
        rows = table[column].to_pylist()
        if any(not row or {"coords", "angle_of_attack"} - set(row) or row["coords"] is None for row in rows):
            raise fault(path, f"'{column}' without 'coords' or 'angle_of_attack'", "both in each row", "fetch it again")
        data |= _outline(path, column, label, [row["coords"] for row in rows])
        angle = np.array([np.ravel(row["angle_of_attack"])[0] for row in rows], float)
        data[f"{label}_angle_of_attack"] = ("sample", angle, {"role": "design", "units": "degree",
                                                             "long_name": f"{label} angle of attack"})
    for column, (long_name, units) in NUMBERS.items():
        data[column] = ("sample", _numbers(path, table, column), {"role": "parameter", "units": units,
                                                                  "long_name": long_name})
    return data


def _older(path: Path, table: Any) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for column, label in list(OLD.items())[:2]:
        data |= _outline(path, column, label, table[column].to_pylist())
    for column, long_name in list(OLD.items())[2:]:
        data[column] = ("sample", _numbers(path, table, column), {"role": "parameter", "long_name": long_name})
    return data


def _numbers(path: Path, table: Any, column: str) -> np.ndarray:
    try:
        return np.array([np.nan if v is None else np.ravel(v)[0] for v in table[column].to_pylist()], float)
    except (TypeError, ValueError, IndexError) as error:
        raise fault(path, f"'{column}' of {table.schema.field(column).type}", "numbers", "fetch it again") from error


def _outline(path: Path, column: str, label: str, rows: list[Any]) -> dict[str, Any]:
    """Outlines, (sample, 2, vertex), as two variables."""
    shapes = {np.shape(row) if not any(np.ndim(line) == 0 for line in row) else (len(row),) for row in
              ([np.asarray(line, float) for line in row] for row in rows)}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2 or next(iter(shapes))[0] != 2:
        raise fault(path, f"outlines of shapes {sorted(shapes)} in '{column}'", "(2, points), the same for all rows",
                    "resample them to one number of points")
    points = np.array(rows, float)
    return {f"{label}_{axis}": (("sample", "vertex"), points[:, i], {
        "role": "design", "units": "1", "long_name": f"{label} outline, {axis}", "component": axis,
        "component_of": label}) for i, axis in enumerate("xy")}
