"""Makes a set of flows around one body, in a window: what a model of flows past several bodies is trained on.

    python datasets/make_flows.py --count 2000 --seed 0 --out flows.h5

A body is an airfoil of airfoils.nc or an ellipse, of random size, place, angle of attack and Reynolds number, in the
stream of sciencegen.physics.Flow. The box is 8 by 6 chords; kept is a window of 64 by 64 cells, 2.67 chords wide: 6
frames of u, v, p after a warm-up, the signed distance, and the solver's forces. Sample i of a seed is the same whatever
the count and the number of processes; an interrupted run goes on where it stopped when it is started again. The card is
in datasets/README.md.
"""

import argparse
import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
import torch
import xarray as xr
from batches import Order, history, samples, save, write
from torch import Tensor

from sciencegen.airfoil import cst
from sciencegen.physics import Flow, Outline, ellipse, placed, pool

AIRFOILS = Path(__file__).parent / "airfoils.nc"
LICENCE = "MIT; computed with sciencegen, no measured data; airfoils as in airfoils.nc"
FRAME, WARM, KEPT = 0.25, 28, 6  # chords over the free stream; frames before the window's; frames of the window
SIDE, PIXELS = 64, 24  # of the window, and pixels a chord
CORNER = (44, 40)  # of the window, in pixels of the box
COARSE, SLOW = 24, 300.0  # cells a chord where the Reynolds number is at most this, else twice as many
RANGES = {"length": (0.7, 1.1), "alpha": (-60.0, 60.0), "x": (-0.25, 0.25), "y": (-0.5, 0.5), "aspect": (0.1, 0.5)}
THINNEST = 0.1  # largest thickness of an airfoil that is used, chords
WILDEST = 20.0  # a speed that no flow here has: the solver has failed
CORNERS = 201
QUANTUM = 2.0**-12  # what fields are rounded to, for the sake of the file's size


@dataclass(frozen=True)
class Draw:
    """One body: its name, its place and its outline ``(201, 2)``, in chords of the stream."""

    name: str
    values: dict[str, float]
    outline: Tensor


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, required=True, help="how many samples")
    parser.add_argument("--seed", type=int, default=0, help="0 for training; flows_test.h5 has 1")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    parser.add_argument("--split", choices=["train", "valid", "test"], default="train", help="of the airfoils")
    parser.add_argument("--reynolds", type=float, nargs=2, default=(200.0, 1000.0), metavar=("LOW", "HIGH"))
    parser.add_argument("--cells", type=int, choices=[24, 48], help="a chord; by the Reynolds number by default")
    parser.add_argument("--batch", type=int, default=1, help="samples solved together: 1 on a CPU, 64 on a GPU")
    parser.add_argument("--workers", type=int, default=1, help="processes, of one thread each; 1 on a GPU")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--compile", action="store_true", help="let torch.compile make the solver faster")
    chosen = parser.parse_args(arguments)
    if min(chosen.count, chosen.batch, chosen.workers) < 1:
        numbers = f"--count {chosen.count} --batch {chosen.batch} --workers {chosen.workers}"
        parser.error(f"got {numbers}; expected 1 or more")
    if chosen.workers > 1 and chosen.device != "cpu":
        parser.error(f"got --workers {chosen.workers} --device {chosen.device}; expected one process on a GPU")
    order = Order(chosen.out, chosen.count, chosen.batch,
                  (chosen.seed, chosen.split, *chosen.reynolds, chosen.cells, chosen.batch), provenance(chosen),
                  ("seed", "done", "split", "reynolds", "cells"))
    write(order, partial(finished, chosen), partial(collect, order.attributes))


def finished(chosen: argparse.Namespace, parts: list[Path]) -> Iterator[Path]:
    """Writes batches, in one process or several, and yields each when it is there."""
    shapes = airfoils(chosen.split)
    if chosen.workers == 1:
        for part in parts:
            yield produce(part, shapes, chosen)
        return
    pool = ProcessPoolExecutor(chosen.workers, get_context("fork"), initializer=settle)
    try:
        for future in as_completed([pool.submit(produce, part, shapes, chosen) for part in parts]):
            yield future.result()
    finally:  # after an interrupt too: batches that have begun are finished and kept
        pool.shutdown(cancel_futures=True)


def settle() -> None:
    """What a worker sets: Ctrl-C, which the terminal sends to all, is for the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def produce(part: Path, shapes: xr.DataArray, chosen: argparse.Namespace) -> Path:
    """Writes a batch."""
    rows = [draw(shapes, chosen.reynolds, chosen.seed, i) for i in samples(part)]
    save(part, simulated(rows, chosen))
    return part


def airfoils(split: str) -> xr.DataArray:
    """The CST shapes of a split of airfoils.nc that are thick enough to be seen by the grid."""
    with xr.open_dataset(AIRFOILS) as data:
        shapes = data["shape"][(data["split"] == split).values].load()
    return shapes[(cst.max_thickness(torch.from_numpy(shapes.values)) >= THINNEST).numpy()]


def draw(shapes: xr.DataArray, reynolds: tuple[float, float], seed: int, index: int) -> Draw:
    """Sample ``index`` of a seed: an airfoil or an ellipse, evenly; Reynolds number evenly in its logarithm."""
    random = np.random.default_rng([seed, index])
    values = {key: float(random.uniform(*span)) for key, span in RANGES.items()}
    values["reynolds"] = float(np.exp(random.uniform(*np.log(reynolds))))
    chosen = shapes[int(random.integers(len(shapes)))]
    if random.random() < 0.5:
        name, outline = "ellipse", ellipse(1.0, torch.tensor(values["aspect"], dtype=torch.float64), CORNERS)
    else:
        name, outline = str(chosen["airfoil"].item()), cst.outline(torch.from_numpy(chosen.values).double())
        outline, values["aspect"] = outline - outline.new_tensor([0.5, 0.0]), float("nan")
    return Draw(name, values, placed(values["length"] * outline, values["alpha"], (values["x"], values["y"])).float())


def simulated(rows: list[Draw], chosen: argparse.Namespace) -> dict[str, np.ndarray]:
    """The fields of the file for these samples; those of one resolution are solved together."""
    grids = [chosen.cells or (COARSE if row.values["reynolds"] <= SLOW else 2 * COARSE) for row in rows]
    found: list[dict[str, np.ndarray]] = [{} for _ in rows]
    for cells in sorted(set(grids)):
        members = [i for i, other in enumerate(grids) if other == cells]
        fields = solved([rows[i] for i in members], cells, chosen)
        for k, i in enumerate(members):
            found[i] = {key: values[k] for key, values in fields.items()}
    return {key: np.stack([row[key] for row in found]) for key in found[0]}


@torch.no_grad()
def solved(rows: list[Draw], cells: int, chosen: argparse.Namespace) -> dict[str, np.ndarray]:
    """Fields of samples on one grid. A failed one has the status 1, and zeros."""
    reynolds = torch.tensor([row.values["reynolds"] for row in rows])
    flow = Flow(cells, reynolds=reynolds, frame=FRAME, compiled=chosen.compile)
    body = Outline(torch.stack([row.outline for row in rows]).to(chosen.device))
    warm, early = replace(flow, frames=WARM).solve(body, start=flow.start(device=chosen.device))
    frames, late = replace(flow, frames=KEPT).solve(body, start=warm[:, -1])
    fields, force = window(frames, cells // PIXELS), torch.cat([early, late], 1)[:, :, 0]
    failed = ~((fields.abs() < WILDEST).flatten(1).all(1) & force.isfinite().flatten(1).all(1))
    fields[failed], force[failed] = 0, 0
    grid = Flow(PIXELS)
    inside = window(grid.points(reynolds).movedim(-1, 0), 1).movedim(0, -1)
    numbers = {key: torch.tensor([row.values[key] for row in rows]) for key in rows[0].values}
    named = {
        "flow": (fields / QUANTUM).round() * QUANTUM, "distance": Outline(body.points.cpu())(inside),
        "force": force[:, WARM:], "history": force, "outline": body.points, "status": failed.byte(),
        "cells": torch.full((len(rows),), cells), **numbers,
    }  # fmt: skip
    arrays = {key: value.cpu().numpy() for key, value in named.items()}
    return arrays | {"name": np.array([row.name.encode() for row in rows], dtype="S64")}


def window(state: Tensor, factor: int) -> Tensor:
    """The window ``(*B, channels, 64, 64)`` of fields of the box, pooled by ``factor``."""
    x, y = (corner * factor for corner in CORNER)
    cut = state[..., x : x + SIDE * factor, y : y + SIDE * factor]
    return pool(cut, factor) if factor > 1 else cut


def collect(attributes: Mapping[str, object], parts: list[Path], out: Path) -> None:
    """Puts the batches into one HDF5 file, compressed, a sample a chunk."""
    options = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
    with h5py.File(out, "w") as file:
        for part in parts:
            with np.load(part) as fields:
                for key, values in fields.items():
                    rest = values.shape[1:]
                    if key not in file:
                        sizes = {"maxshape": (None, *rest), "chunks": (1 if rest else 1024, *rest)}
                        file.create_dataset(key, (0, *rest), values.dtype, **sizes, **options)
                    file[key].resize(len(file[key]) + len(values), axis=0)
                    file[key][-len(values) :] = values
        file.attrs.update(attributes)


def provenance(chosen: argparse.Namespace) -> dict[str, object]:
    options = f" --cells {chosen.cells}" if chosen.cells else ""
    return {
        "title": "Flow around one body in a stream", "seed": chosen.seed, "done": chosen.count, "split": chosen.split,
        "reynolds": " ".join(f"{value:g}" for value in chosen.reynolds), "cells": str(chosen.cells or "24 or 48"),
        "source": repr(Flow(frame=FRAME)), "frame": FRAME, "warm_up": WARM * FRAME, "spacing": 1 / PIXELS,
        "corner": [corner / PIXELS - size * share for corner, size, share
                   in zip(CORNER, Flow().size, Flow().origin, strict=True)],
        "history": history(f"make_flows.py --count {chosen.count} --seed {chosen.seed} --split {chosen.split} "
                           f"--reynolds {chosen.reynolds[0]:g} {chosen.reynolds[1]:g}{options}", "torch", "numpy",
                           "scipy", "h5py"),
        "references": "https://doi.org/10.1016/j.cma.2014.09.007 https://arxiv.org/abs/2401.13171", "license": LICENCE,
    }  # fmt: skip


if __name__ == "__main__":
    main()
