"""Makes nbody_N.h5: trajectories of N equal discs that bounce in a box, the system of compositional inverse design.

    python datasets/make_nbody.py --bodies 2 --count 6000 --frames 250 --separate --out nbody_2.h5

The starts follow the published law, in which discs may overlap; --separate draws them apart, which is what a prior of
designs should be trained on. Simulation i of a seed is the same bits whatever the count; an interrupted run goes on
where it stopped when it is started again, and ends in the same file, bit for bit. The card is in datasets/README.md.
"""

import argparse
from functools import partial
from pathlib import Path

import h5netcdf
import h5py
import numpy as np
import torch
from batches import LICENCE, Order, history, one_by_one, samples, write

from sciencegen.physics import NBody

BATCH = 500
CHUNK = 100
SYSTEM = NBody()
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
    law = "separate" if given.separate else "published"
    order = Order(given.out or Path(f"nbody_{given.bodies}.h5"), given.count, BATCH,
                  (given.bodies, given.frames, given.seed, law), provenance(given),
                  ("bodies", "frames", "seed", "starts", "done"), "simulation")
    try:
        write(order, one_by_one(partial(batch, given)), partial(collect, given, order))
    except ValueError as error:
        raise SystemExit(f"error: {error}") from error


@torch.no_grad()
def batch(given: argparse.Namespace, first: int, last: int) -> dict[str, np.ndarray]:
    """Simulations ``first ... last - 1``."""
    starts = SYSTEM.starts(given.bodies, last - first, given.seed, first, given.separate)
    return {"trajectory": SYSTEM.solve(starts, given.frames).float().numpy()}


def collect(given: argparse.Namespace, order: Order, parts: list[Path], out: Path) -> None:
    """Puts the batches into one netCDF4 (HDF5) file."""
    sizes = {"sample": given.count, "time": given.frames, "body": given.bodies, "feature": len(FEATURES)}
    with h5netcdf.File(out, "w") as file:
        file.dimensions = sizes
        file.create_variable("time", ("time",), data=np.arange(given.frames) * SYSTEM.steps * SYSTEM.step)
        file["time"].attrs["units"] = "s"
        file.create_variable("feature", ("feature",), h5py.string_dtype())[:] = np.array(FEATURES, object)
        chunks = (min(CHUNK, given.count), *list(sizes.values())[1:])
        paths = file.create_variable("trajectory", tuple(sizes), "f4", chunks=chunks, compression="gzip", shuffle=True)
        paths.attrs["long_name"] = "x, y in lengths of the box, vx, vy in lengths of the box per second"
        for part in parts:
            with np.load(part) as fields:
                paths[samples(part).start : samples(part).stop] = fields["trajectory"]
        for key, value in order.attributes.items():
            file.attrs[key] = value


def provenance(given: argparse.Namespace) -> dict[str, object]:
    separate = " --separate" if given.separate else ""
    return {
        "title": f"{given.bodies} discs in a box", "bodies": given.bodies, "frames": given.frames, "seed": given.seed,
        "starts": "separate" if given.separate else "published", "done": given.count, "source": repr(SYSTEM),
        "history": history(f"make_nbody.py --bodies {given.bodies} --count {given.count} --frames {given.frames} "
                           f"--seed {given.seed}{separate}", "torch", "numpy", "h5py", "h5netcdf"),
        "references": REFERENCES, "license": LICENCE,
    }  # fmt: skip


if __name__ == "__main__":
    main()
