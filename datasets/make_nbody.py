"""Makes nbody_N.h5: trajectories of N equal discs that bounce in a box, the system of compositional inverse design.

    python datasets/make_nbody.py --bodies 2 --count 6000 --frames 250 --separate --out nbody_2.h5

The starts follow the published law, in which discs may overlap; --separate draws them apart, which is what a prior of
designs should be trained on. Simulation i of a seed is the same bits whatever the count; an interrupted run goes on
where it stopped when it is started again, and ends in the same file, bit for bit. The card is in datasets/README.md.
"""

import argparse
import os
import shutil
from importlib.metadata import version
from pathlib import Path

import h5netcdf
import h5py
import numpy as np
import torch
from tqdm import tqdm

from sciencegen import __version__
from sciencegen.physics import NBody

BATCH = 500
CHUNK = 100
SYSTEM = NBody()
LICENCE = "MIT; computed with sciencegen, no measured data"
REFERENCES = "https://arxiv.org/abs/2401.13171 https://www.pymunk.org"
FEATURES = ("x", "y", "vx", "vy")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bodies", type=int, default=2, help="discs (default 2)")
    parser.add_argument("--count", type=int, default=1000, help="simulations (default 1000)")
    parser.add_argument("--frames", type=int, default=250, help="frames of 1/15 s, the start among them (default 250)")
    parser.add_argument("--seed", type=int, default=0, help="of the set (default 0; the committed test set has 1)")
    parser.add_argument("--separate", action="store_true", help="starts without overlaps: recommended for training")
    parser.add_argument("--out", type=Path, help="the file to write (default nbody_N.h5, here)")
    given = parser.parse_args(arguments)
    if min(given.bodies, given.count, given.frames) < 1 or given.seed < 0:
        parser.error(f"got --bodies {given.bodies} --count {given.count} --frames {given.frames} --seed {given.seed}; "
                     "expected at least 1, 1, 1 and 0")
    out = given.out or Path(f"nbody_{given.bodies}.h5")
    try:
        make(given, out)
    except KeyboardInterrupt:
        raise SystemExit("interrupted; what is finished is kept, and the same command goes on from there") from None
    except ValueError as error:
        raise SystemExit(f"error: {error}") from error
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB, {given.count} simulations")


def make(given: argparse.Namespace, out: Path) -> None:
    """Writes the file, under its name only when it is complete; batches wait in a folder beside it until then."""
    attributes = provenance(given)
    if out.exists():
        return check(out, attributes)
    law = "separate" if given.separate else "published"
    folder = out.with_name(f".{out.name}.{given.bodies}-{given.frames}-{given.seed}-{law}.parts")
    folder.mkdir(parents=True, exist_ok=True)
    ends = [(first, min(first + BATCH, given.count)) for first in range(0, given.count, BATCH)]
    parts = [folder / f"{first:09d}-{last:09d}.npy" for first, last in ends]
    with tqdm(total=given.count, desc=f"{given.bodies} bodies", unit="simulation") as bar:
        for (first, last), part in zip(ends, parts, strict=True):
            if not part.exists():
                batch(given, first, last, part)
            bar.update(last - first)
    collect(given, parts, attributes, out)
    shutil.rmtree(folder)


def check(out: Path, wanted: dict[str, object]) -> None:
    """Leaves a file that is there as it is; raises ``SystemExit`` where it is another set."""
    with h5py.File(out) as file:
        found = {key: file.attrs.get(key) for key in ("bodies", "frames", "seed", "starts", "done")}
    if any(value != wanted[key] for key, value in found.items()):
        expected = {key: wanted[key] for key in found}
        raise SystemExit(f"{out} is there already, with {found}; expected {expected}. Remove it, or give another --out")


def batch(given: argparse.Namespace, first: int, last: int, part: Path) -> None:
    """Computes simulations ``first ... last - 1`` into a file of their own."""
    starts = SYSTEM.starts(given.bodies, last - first, given.seed, first, given.separate)
    with torch.no_grad():
        paths = SYSTEM.solve(starts, given.frames).float().numpy()
    draft = part.with_suffix(".draft.npy")
    np.save(draft, paths)
    os.replace(draft, part)


def collect(given: argparse.Namespace, parts: list[Path], attributes: dict[str, object], out: Path) -> None:
    """Puts the batches into one netCDF4 (HDF5) file."""
    draft, done = out.with_name(f".{out.name}.draft"), 0
    sizes = {"sample": given.count, "time": given.frames, "body": given.bodies, "feature": len(FEATURES)}
    with h5netcdf.File(draft, "w") as file:
        file.dimensions = sizes
        file.create_variable("time", ("time",), data=np.arange(given.frames) * SYSTEM.steps * SYSTEM.step)
        file["time"].attrs["units"] = "s"
        file.create_variable("feature", ("feature",), h5py.string_dtype())[:] = np.array(FEATURES, object)
        chunks = (min(CHUNK, given.count), *list(sizes.values())[1:])
        paths = file.create_variable("trajectory", tuple(sizes), "f4", chunks=chunks, compression="gzip", shuffle=True)
        paths.attrs["long_name"] = "x, y in lengths of the box, vx, vy in lengths of the box per second"
        for part in parts:
            values = np.load(part)
            paths[done : done + len(values)] = values
            done += len(values)
        for key, value in attributes.items():
            file.attrs[key] = value
    os.replace(draft, out)


def provenance(given: argparse.Namespace) -> dict[str, object]:
    packages = ("torch", "numpy", "h5py", "h5netcdf")
    separate = " --separate" if given.separate else ""
    return {
        "title": f"{given.bodies} discs in a box", "bodies": given.bodies, "frames": given.frames, "seed": given.seed,
        "starts": "separate" if given.separate else "published", "done": given.count, "source": repr(SYSTEM),
        "history": f"datasets/make_nbody.py --bodies {given.bodies} --count {given.count} --frames {given.frames} "
        f"--seed {given.seed}{separate} with sciencegen {__version__}, "
        + ", ".join(f"{package} {version(package)}" for package in packages),
        "references": REFERENCES, "license": LICENCE,
    }  # fmt: skip


if __name__ == "__main__":
    main()
