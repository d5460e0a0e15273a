"""What a loader feeds, over what h5py itself reads from the same chunks.

A file of PDEBench's layout with compressed and plain chunks of one sample and some frames is written, and read three
ways, one after the other in one process and several times over: h5py slice by slice into new arrays (the floor);
`Windows`, one at a time; `Windows` through torch's DataLoader in shuffled batches. The file is in the system's cache
and times are CPU times of the process, so that what else runs does not count as waiting; rates are medians, a ratio is
the median over repetitions of two rates measured side by side. The bar is 0.7 of raw h5py.

    python benchmarks/loading.py --out runs/loading
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch
from common import arguments, emit, facts, output, write_json
from rich.table import Table
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from sciencegen import io

BAR = 0.7
FRAMES, LENGTH, BATCH = 40, 10, 8


def written(path: Path, samples: int, grid: int, compression: str | None) -> None:
    """Density of `samples` runs on a square, in chunks of a window."""
    draw = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        stored = file.create_dataset("density", (samples, FRAMES, grid, grid), "f4", compression=compression,
                                     chunks=(1, LENGTH, grid, grid))
        for i in range(samples):
            stored[i] = np.round(draw.standard_normal((FRAMES, grid, grid)), 2)
        for letter, n in zip("txy", (FRAMES + 1, grid, grid)):
            file[f"{letter}-coordinate"] = np.arange(n, dtype=np.float32)


Reader = Callable[[np.ndarray], int]


def raw(path: Path) -> Reader:
    """Every window by h5py alone, as a tensor."""
    stored = h5py.File(path, "r")["density"]
    return lambda order: sum(_slice(stored, i).nbytes for i in order)


def one_by_one(path: Path) -> Reader:
    """Every window by our data set."""
    windows = io.Windows(path, ["density"], LENGTH, LENGTH)
    return lambda order: sum(windows[int(i)]["density"].nbytes for i in order)


def raw_batches(path: Path) -> Reader:
    """Batches by h5py, stacked: what the loader is measured by."""
    stored = h5py.File(path, "r")["density"]
    return lambda order: sum(torch.stack([_slice(stored, i) for i in order[first:first + BATCH]]).nbytes
                             for first in range(0, len(order), BATCH))


def batches(path: Path) -> Reader:
    """The same batches by torch's loader, collated."""
    windows = io.Windows(path, ["density"], LENGTH, LENGTH)
    return lambda order: sum(batch["density"].nbytes for batch in DataLoader(windows, BATCH, sampler=order.tolist()))


def _slice(stored: h5py.Dataset, i: int) -> torch.Tensor:
    sample, start = divmod(int(i) * LENGTH, FRAMES)
    return torch.from_numpy(stored[sample, start:start + LENGTH])


WAYS: tuple[tuple[str, Callable[[Path], Reader], Callable[[Path], Reader]], ...] = (
    ("Windows, one at a time", one_by_one, raw), ("Windows in a DataLoader, shuffled", batches, raw_batches))


def measure(path: Path, way: Callable, floor: Callable, samples: int, repeats: int) -> dict[str, float]:
    """MB/s of both, and their ratio, on a file that the system's cache holds."""
    rates, draw = [], np.random.default_rng(1)
    readers = floor(path), way(path)
    for _ in range(repeats):
        order = draw.permutation(samples * FRAMES // LENGTH)
        rates.append([_rate(read, order) for read in readers])
    ours = np.array(rates)
    return {"h5py_MB_s": float(np.median(ours[:, 0])), "ours_MB_s": float(np.median(ours[:, 1])),
            "ratio": float(np.median(ours[:, 1] / ours[:, 0]))}


def _rate(read: Reader, order: np.ndarray) -> float:
    start = time.process_time()
    total = read(order)
    return total / 1e6 / (time.process_time() - start)


def table(rows: list[dict[str, object]]) -> Table:
    shown = Table("way", "grid", "chunks", "h5py, MB/s of CPU", "ours, MB/s of CPU", "ratio", "bar", title="loading")
    for row in rows:
        shown.add_row(str(row["way"]), str(row["grid"]), str(row["chunks"]), f"{row['h5py_MB_s']:.0f}",
                      f"{row['ours_MB_s']:.0f}", f"{row['ratio']:.2f}",
                      f"{BAR} {'met' if row['ratio'] >= BAR else 'missed'}")
    return shown


def main() -> None:
    parser = arguments(__doc__, "loading.txt and loading.json")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="a smaller file, fewer repetitions")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    out, start, rows = output(args.out), time.perf_counter(), []
    samples, repeats = (16, 3) if args.quick else (32, args.repeats)
    cases = [(grid, kind, way) for grid in (64, 128) for kind in (None, "lzf", "gzip") for way in WAYS]
    with tempfile.TemporaryDirectory() as folder:
        for grid, kind, (name, way, floor) in tqdm(cases, disable=None):
            path = Path(folder) / f"{grid}-{kind}.h5"
            if not path.exists():
                written(path, samples, grid, kind)
            rows.append({"way": name, "grid": grid, "chunks": kind or "plain",
                         **measure(path, way, floor, samples, repeats)})
    seconds = time.perf_counter() - start
    write_json(out / "loading.json", {**facts(), "bar": BAR, "samples": samples, "frames": FRAMES, "length": LENGTH,
                                      "batch": BATCH, "repeats": repeats, "seconds": seconds, "results": rows})
    emit(out / "loading.txt", [table(rows), f"{seconds:.0f} s"])


if __name__ == "__main__":
    main()
