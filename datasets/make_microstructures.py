"""Makes microstructures_GRID.h5: periodic two-phase images of the four families of sciencegen.physics.microstructure.

    python datasets/make_microstructures.py --samples 16000 --out micro.h5

Families take turns: level sets, Voronoi grains, hard discs, spinodal structures; each image has a style of its own.
Image i of a seed is the same whatever the count; an interrupted run goes on where it stopped when it is started again,
and ends in the same file, bit for bit. The card is in datasets/README.md.
"""

import argparse
from functools import partial
from pathlib import Path

import h5netcdf
import numpy as np
import torch
from batches import LICENCE, Order, history, one_by_one, write

from sciencegen.physics.fields import generator
from sciencegen.physics.microstructure import FAMILIES, Style

BATCH = 64
STYLES = 7  # random stream of an image's style
LENGTH, ASPECT = (2.0, 5.0), (1.0, 3.0)  # both uniform in their logarithm
FRACTIONS = {"level-set": (0.25, 0.75), "grains": (0.25, 0.75), "discs": (0.15, 0.4), "spinodal": (0.32, 0.68)}
NUMBERS = {"length": "pixels", "angle": "degrees", "aspect": "1", "fraction": "1"}


def style(name: str, seed: int, first: int, count: int) -> Style:
    """Styles of images `first, ...` of a family."""
    unit = np.stack([generator(seed, first + i, STYLES).random(4) for i in range(count)])
    between = lambda u, ends: np.exp(np.log(ends[0]) + u * np.log(ends[1] / ends[0]))
    low, high = FRACTIONS[name]
    return Style(torch.from_numpy(between(unit[:, 0], LENGTH)), torch.from_numpy(180 * unit[:, 1]),
                 torch.from_numpy(between(unit[:, 2], ASPECT)), torch.from_numpy(low + (high - low) * unit[:, 3]))


def batch(first: int, last: int, grid: int, seed: int) -> dict[str, np.ndarray]:
    """Images `first ... last - 1` of a seed with their styles; `first` is the first family's turn."""
    turns = np.arange(first, last) % len(FAMILIES)
    found = {"phase": np.empty((last - first, grid, grid), "u1"), "family": turns.astype("i1")}
    found |= {key: np.empty(last - first, "f4") for key in NUMBERS}
    for k, (name, family) in enumerate(FAMILIES.items()):
        here, own = slice(k, None, len(FAMILIES)), len(FAMILIES) * seed + k  # a seed of its own: no two share noise
        count = len(found["family"][here])
        if not count:
            continue
        styles = style(name, own, first // len(FAMILIES), count)
        found["phase"][here] = family.draw(styles, (grid, grid), own, first // len(FAMILIES)).numpy()
        for key in NUMBERS:
            found[key][here] = getattr(styles, key).numpy()
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1000, help="images (default 1000)")
    parser.add_argument("--grid", type=int, default=64, help="pixels along a side (default 64)")
    parser.add_argument("--seed", type=int, default=0, help="of the set (default 0; the committed test set has 1)")
    parser.add_argument("--out", type=Path, help="the file to write (default microstructures_GRID.h5, here)")
    given = parser.parse_args(arguments)
    if given.samples < 1 or given.grid < 32 or given.seed < 0:
        parser.error(f"got --samples {given.samples} --grid {given.grid} --seed {given.seed}; expected at least 1, 32 "
                     "and 0")
    order = Order(given.out or Path(f"microstructures_{given.grid}.h5"), given.samples, BATCH,
                  (given.grid, given.seed), provenance(given), ("name", "grid", "seed", "done"), "image")
    write(order, one_by_one(lambda first, last: batch(first, last, given.grid, given.seed)), partial(collect, order))


def collect(order: Order, parts: list[Path], out: Path) -> None:
    """Puts the batches into one netCDF4 (HDF5) file, compressed."""
    batches = [np.load(part) for part in parts]
    found = {key: np.concatenate([one[key] for one in batches]) for key in batches[0]}
    with h5netcdf.File(out, "w") as file:
        file.dimensions = dict(zip(("sample", "y", "x"), found["phase"].shape))
        for key, values in found.items():
            dims = ("sample", "y", "x")[: values.ndim]
            chunks = (min(256, order.count), *values.shape[1:]) if values.ndim > 1 else None
            made = file.create_variable(key, dims, values.dtype, chunks=chunks, compression="gzip", compression_opts=9)
            made[...] = values
            if key in NUMBERS:
                made.attrs["units"] = NUMBERS[key]
        file["family"].attrs["flag_meanings"] = " ".join(FAMILIES)
        for key, value in order.attributes.items():
            file.attrs[key] = value


def provenance(given: argparse.Namespace) -> dict[str, object]:
    return {
        "title": "Periodic two-phase microstructures with known styles", "name": "microstructures", "grid": given.grid,
        "seed": given.seed, "done": given.samples, "length_range": np.asarray(LENGTH),
        "aspect_range": np.asarray(ASPECT),
        **{f"fraction_range_{name.replace('-', '_')}": np.asarray(ends) for name, ends in FRACTIONS.items()},
        "history": history(f"make_microstructures.py --samples {given.samples} --grid {given.grid} "
                           f"--seed {given.seed}", "torch", "numpy", "scipy", "h5py", "h5netcdf"),
        "references": "https://doi.org/10.1007/978-1-4757-6355-3", "license": LICENCE,
    }  # fmt: skip


if __name__ == "__main__":
    main()
