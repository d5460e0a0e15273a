"""Statistics of data that do not fit in memory, in float64, block by block.

Two groups of n and m numbers with means a and b and sums of squared deviations S and T merge to the mean
``a + (b - a) m / (n + m)`` and to ``S + T + (b - a)^2 n m / (n + m)``, which loses no digits however many groups there
are. Reference: "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances" (Chan, Golub and LeVeque,
1979), http://i.stanford.edu/pub/cstr/reports/cs/tr/79/773/CS-TR-79-773.pdf.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xarray

__all__ = ["Summary", "blocks", "statistics"]

BUDGET = 32 * 2**20  # bytes read at once


@dataclass(frozen=True)
class Summary:
    """Count, mean, sum of squared deviations, least and most of the finite ones among some numbers.

    ``missing`` of them were NaN and ``infinite`` infinite; both are left out.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    least: float = np.inf
    most: float = -np.inf
    missing: int = 0
    infinite: int = 0

    @classmethod
    def of(cls, values: np.ndarray) -> Summary:
        """Those of an array of any shape; ValueError where it holds no real numbers."""
        values = np.asarray(values)
        if values.dtype.kind not in "fiub":
            raise ValueError(f"got {values.dtype}; expected real numbers: of complex ones take the real and the "
                             "imaginary part apart")
        flat = values.astype(np.float64).ravel()
        there = flat[np.isfinite(flat)]
        missing = int(np.isnan(flat).sum())
        infinite = flat.size - there.size - missing
        if not there.size:
            return cls(missing=missing, infinite=infinite)
        mean = float(there.mean())
        least, most = float(there.min()), float(there.max())
        return cls(there.size, mean, float(np.square(there - mean).sum()), least, most, missing, infinite)

    def __add__(self, other: Summary) -> Summary:
        missing, infinite = self.missing + other.missing, self.infinite + other.infinite
        if not self.count or not other.count:
            kept = self if self.count else other
            return Summary(kept.count, kept.mean, kept.squares, kept.least, kept.most, missing, infinite)
        count, apart = self.count + other.count, other.mean - self.mean
        return Summary(count, self.mean + apart * other.count / count,
                       self.squares + other.squares + apart**2 * self.count * other.count / count,
                       min(self.least, other.least), max(self.most, other.most), missing, infinite)

    @property
    def std(self) -> float:
        """Standard deviation, of the population; NaN where there is no number."""
        return float(np.sqrt(self.squares / self.count)) if self.count else float("nan")

    @property
    def rms(self) -> float:
        """Root mean square; NaN where there is no number."""
        return float(np.sqrt(self.squares / self.count + self.mean**2)) if self.count else float("nan")


def blocks(variable: xarray.Variable | xarray.DataArray, budget: int = BUDGET) -> Iterator[tuple[slice, ...]]:
    """Keys that together cover a variable once, each of whole chunks and at most about ``budget`` bytes.

    The last axes are kept whole as long as they fit, so that a block is read in one stretch.
    """
    chunks = variable.encoding.get("chunksizes") or (1,) * variable.ndim
    sizes, room = list(variable.shape), max(1, budget // variable.dtype.itemsize)
    for axis in range(variable.ndim):
        inner = int(np.prod(sizes[axis + 1:], dtype=np.int64))
        most = room // max(inner, 1)
        sizes[axis] = min(sizes[axis], max(chunks[axis], most - most % chunks[axis]))
        if most >= chunks[axis]:
            break
        room //= sizes[axis]
    starts = (range(0, n, size) for n, size in zip(variable.shape, sizes))
    for corner in np.array(np.meshgrid(*starts, indexing="ij")).reshape(variable.ndim, -1).T:
        yield tuple(slice(int(i), min(int(i) + size, n)) for i, size, n in zip(corner, sizes, variable.shape))


def statistics(dataset: xarray.Dataset, variables: Sequence[str]) -> dict[str, Summary]:
    """The moments of each variable over all its finite entries, without more of it in memory than a block."""
    found = {}
    for name in variables:
        variable = dataset[name].variable
        found[name] = sum((Summary.of(variable[key].values) for key in blocks(variable)), Summary())
    return found
