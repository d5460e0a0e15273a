"""Sampling beyond one device: rows are independent, so parts of them are drawn wherever an executor takes them.

A sample's random numbers depend on its seed alone, so that the samples are the same, to the rounding of products of
matrices of other sizes, however they are split. What a part needs is sent, what it drew comes back; judging, sorting
and the record are done where the task was called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any, Protocol

import torch
from torch import Tensor
from tqdm.auto import tqdm

__all__ = ["PARTS", "Pool", "RowsOf", "scattered", "split"]

PARTS = 8  # that samples are split into, at most


class Pool(Protocol):
    """An executor: ``submit(function, *arguments)`` returns an object with ``result()``.

    As of :mod:`concurrent.futures` (processes that are spawned: a fork and torch's threads do not go together), Dask's
    ``Client`` or submitit on a SLURM site. The caller keeps and closes it.
    """

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Any: ...


@dataclass(frozen=True)
class RowsOf:
    """A weight that may be one a sample, ``(count, 1)``, for some of the samples."""

    weight: Callable[[Tensor], Tensor]
    rows: Tensor
    count: int

    def __call__(self, sigma: Tensor) -> Tensor:
        value = self.weight(sigma)
        own = isinstance(value, Tensor) and value.ndim > 0 and len(value) == self.count
        return value[self.rows.to(value.device)] if own else value


def split(count: int) -> Sequence[Tensor]:
    """Numbers of rows, part by part: :data:`PARTS` parts at most, of sizes that differ by one at most."""
    return torch.arange(count).tensor_split(min(PARTS, count))


def scattered(executor: Pool, function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], parts: Sequence[Tensor],
              progress: bool, name: str) -> list[Any]:
    """``function(*job)`` for all jobs, in their order, each a part of the samples.

    Raises:
        RuntimeError: where a worker fails, with its error in words; what is not begun is called off.
        TypeError: where what is to be sent cannot be.
    """
    options = {"pure": False} if "pure" in _words(executor) else {}  # Dask's way to say that a call is its own
    futures: list[Any] = []
    try:
        futures += [executor.submit(function, *job, **options) for job in jobs]
        bar = tqdm(zip(futures, parts), name, len(futures), disable=None if progress else True, unit="part")
        return [_result(future, rows) for future, rows in bar]
    except BaseException:
        for future in futures:
            future.cancel()
        raise


def _result(future: Any, rows: Tensor) -> Any:
    try:
        return future.result()
    except Exception as error:
        if "pickle" in f"{type(error).__name__} {error}".lower():
            raise TypeError(f"got {error} from an executor; expected what can be sent to another process: objective, "
                            "measurement and constraints that are functions of a module, no lambdas; or an executor "
                            "that sends those too, as Dask's and submitit's do") from error
        raise RuntimeError(f"got {error!r} from a worker that drew the samples {int(rows[0])} to {int(rows[-1])}; "
                           "expected samples: run it without an executor to see where it fails") from error


def _words(executor: Pool) -> Sequence[str]:
    return list(signature(executor.submit).parameters)
