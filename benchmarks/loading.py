"""What a loader feeds, over what h5py itself reads from the same chunks.

A file of PDEBench's layout with compressed and plain chunks of one sample and some frames is written, and read three
ways, one after the other in one process and several times over: h5py slice by slice into new arrays (the floor);
`Windows`, one at a time; `Windows` through torch's DataLoader in shuffled batches. The file is in the system's cache
and times are CPU times of the process, so that what else runs does not count as waiting; rates are medians, a ratio is
the median over repetitions of two rates measured side by side. The bar is 0.7 of raw h5py.

Then a network is trained on windows of a file that is larger than it may keep in memory, as `States` reads it, and on
rows in memory, in turns in one process of its own: steps a second of CPU over steps a second of CPU, and the most
memory that the process had. The bars are 0.9 and 2 GB.

    python -m benchmarks loading --out runs/loading
    python -m benchmarks loading --out runs/loading --gigabytes 5      # the second part as it is reported
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch
from rich.table import Table
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from sciencegen import io
from sciencegen.nets import suited
from sciencegen.states import States

from .common import arguments, facts, output, write_json
from .common.record import Line, publish

ROOT = Path(__file__).parents[1]
BAR, SPEED, MEMORY = 0.7, 0.9, 2.0
FRAMES, LENGTH, BATCH = 40, 10, 8
GRID, HELD = 128, 64  # of the larger file; rows in memory beside it
LINES = [Line("training from a file", "steps a second", "training from a file", "steps/s", ("States",),
              exact=("rows in memory",), high=True)]


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


def trained(path: Path, repeats: int, turns: int = 4) -> dict[str, float]:
    """Steps of training by turns on rows of the file and on rows in memory, and the memory of this process."""
    start = time.process_time()
    states = States(path, ["density"], LENGTH)
    opened = time.process_time() - start
    net, kept, draw = suited(states.layout).build(), states.train.some(range(HELD)), np.random.default_rng(0)
    optimizer, rates = torch.optim.AdamW(net.parameters(), 1e-4), []

    def steps(batches: DataLoader) -> float:
        begun = time.process_time()
        for rows in batches:
            noise = torch.randn_like(rows)
            loss = (net(rows + noise, torch.zeros(len(rows), 1), torch.ones_like(rows)) - noise).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return turns / (time.process_time() - begun)

    for _ in range(repeats + 1):  # the first warms up
        some = [torch.from_numpy(draw.integers(n, size=(turns, BATCH))).tolist() for n in (len(states.train), HELD)]
        rates.append([steps(DataLoader(rows, batch_sampler=order)) for rows, order in
                      zip((states.train, list(kept)), some)])
    found = np.array(rates[1:])
    return {"rows": len(states.train), "statistics_s": opened, "file_steps_s": float(np.median(found[:, 0])),
            "memory_steps_s": float(np.median(found[:, 1])), "ratio": float(np.median(found[:, 0] / found[:, 1])),
            "memory_GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def larger(folder: Path, gigabytes: float, repeats: int, threads: int) -> dict[str, float]:
    """:func:`trained` in a process of its own, on a file of so many gigabytes."""
    path = folder / "larger.h5"
    written(path, max(round(gigabytes * 1e9 / (4 * FRAMES * GRID**2)), 4), GRID, None)
    given = {"out": folder, "train": path, "repeats": repeats, "threads": threads}
    words = [str(word) for name, value in given.items() for word in (f"--{name}", value)]
    command = [sys.executable, "-m", "benchmarks", "loading", *words]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return {"gigabytes": path.stat().st_size / 1e9, **json.loads(answer)}


def training_table(row: dict[str, float]) -> Table:
    title = f"training from a file of {row['gigabytes']:.2f} GB: bars {SPEED} of the rows in memory, {MEMORY:g} GB"
    shown = Table("row", "n", "steps/s", "ratio", "statistics, s", "memory, GB", title=title)
    shown.add_row("States", str(row["rows"]), f"{row['file_steps_s']:.2f}", f"{row['ratio']:.3f}",
                  f"{row['statistics_s']:.0f}", f"{row['memory_GB']:.2f}")
    shown.add_row("rows in memory", str(row["rows"]), f"{row['memory_steps_s']:.2f}", "1", "-", "-")
    return shown


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
    parser.add_argument("--gigabytes", type=float, default=0.5, help="of the file that is trained from")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.train:
        print(json.dumps(trained(args.train, args.repeats)))
        return
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
        training = larger(Path(folder), 0.05 if args.quick else args.gigabytes, repeats, args.threads)
    seconds = time.perf_counter() - start
    write_json(out / "loading.json", {**facts(), "bar": BAR, "samples": samples, "frames": FRAMES, "length": LENGTH,
                                      "batch": BATCH, "repeats": repeats, "seconds": seconds, "results": rows,
                                      "training": {"bars": [SPEED, MEMORY], **training}})
    publish(out, "loading", __doc__, [table(rows), training_table(training), f"{seconds:.0f} s"], LINES)
