"""Rows of a training, from a tensor or a data set; other things are refused in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

__all__ = ["batches", "some"]


def batches(data: Tensor | Dataset, order: Iterator[Tensor], workers: int) -> Iterator[Tensor]:
    """The rows of each batch of an order."""
    if isinstance(data, Tensor):
        return (data[rows.to(data.device)] for rows in order)
    return iter(DataLoader(data, batch_sampler=(rows.tolist() for rows in order), num_workers=workers))


def some(data: Tensor | Dataset, count: int, size: int) -> Tensor:
    """``count`` rows of the data, evenly spread, ``(count, size)``; TypeError or ValueError for what are no rows."""
    index = torch.linspace(0, len(data) - 1, count, dtype=torch.float64).round().long().tolist()
    if isinstance(data, Tensor):
        rows: Any = data[index]
    else:
        rows = data.__getitems__(index) if hasattr(data, "__getitems__") else [data[i] for i in index]
        _check(rows[0], type(data).__name__)
        rows = torch.stack(list(rows))
    if rows.shape[1:] != (size,):
        raise ValueError(f"got rows of shape {tuple(rows.shape[1:])}; expected ({size},): {size} numbers in a state")
    if not bool(rows.isfinite().all()):
        raise ValueError("got rows that are not finite; expected finite numbers: leave out or mend what was not "
                         "measured")
    return rows


def _check(row: Any, name: str) -> None:
    if isinstance(row, Mapping):
        parts = ", ".join(repr(key) for key in row)
        raise TypeError(f"got rows that are dictionaries of {parts} from {name}; expected packed states (n,): use "
                        f"States(data, [{parts}], length=...).train, or layout.pack(**row)")
    if not isinstance(row, Tensor):
        raise TypeError(f"got rows of type {type(row).__name__} from {name}; expected tensors (n,), packed states: use "
                        "States(data, parts).train, or layout.pack(**row)")
