"""Makes forecast_NAME_GRID.nc: trajectories of one of the systems of sciencegen.physics that are there to be forecast.

    python datasets/make_forecast.py kuramoto-sivashinsky --samples 128 --frames 240 --out ks.nc

Names: advection-diffusion (linear, driven by noise; with --varied every trajectory has a speed and a viscosity of its
own), kuramoto-sivashinsky, lorenz-63 and kolmogorov (both kicked by noise), lorenz-96, and hot-spots, whose voids
collapse at the start, with a microstructure and a load for each. Other trajectories start in the stationary law or on
the attractor. Trajectory i of a seed is the same whatever the count, and its frames are the same
however many there are; an interrupted run goes on where it stopped when it is started again, and ends in the same file,
bit for bit. The card is in datasets/README.md.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import h5netcdf
import numpy as np
import torch
from batches import LICENCE, Order, history, one_by_one, samples, write
from torch import Tensor

from sciencegen.physics import (
    AdvectionDiffusion,
    HotSpots,
    Kolmogorov,
    KuramotoSivashinsky,
    Lorenz63,
    Lorenz96,
    Part,
    System,
)
from sciencegen.physics.fields import generator, white

BATCH = 32
KICKS, PARAMETERS = 2, 3  # random streams of a trajectory, beside those of its start


@dataclass(frozen=True)
class Recipe:
    """How a set is made: the system on its usual grid, the name of its field and its parameters.

    Values are rounded to multiples of `quantum`, far below what a frame adds: it halves the file. `varied` are the
    ranges of parameters that differ from trajectory to trajectory, where that is asked for.
    """

    title: str
    system: System
    name: str
    quantum: float
    references: str
    kicked: bool = True
    parameters: tuple[str, ...] = ()
    varied: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def on(self, grid: int, frames: int) -> System:
        """The system on a grid, with as many frames after its start."""
        wanted = {"frames": frames - 1} | ({} if isinstance(self.system, Lorenz63) else {"n": grid})
        return replace(self.system, **wanted)

    @property
    def grid(self) -> int:
        """The usual number of cells along a side."""
        return next(iter(self.system.parts.values())).shape[-1]


RECIPES = {
    "advection-diffusion": Recipe(
        "Linear advection-diffusion driven by noise", AdvectionDiffusion(64), "u", 2**-12,
        "https://doi.org/10.1017/CBO9781139061308", parameters=("c", "nu", "damping"),
        varied={"c": (0.5, 1.5), "nu": (0.01, 0.04)}),
    "kuramoto-sivashinsky": Recipe(
        "Kuramoto-Sivashinsky equation", KuramotoSivashinsky(64), "u", 2**-16, "https://doi.org/10.1137/070705623",
        kicked=False, parameters=("length",)),
    "lorenz-63": Recipe("Lorenz' three equations, kicked by noise", Lorenz63(), "u", 2**-12,
                        "https://arxiv.org/abs/2306.10574", parameters=("sigma", "rho", "beta", "noise")),
    "lorenz-96": Recipe("Lorenz' ring", Lorenz96(40), "u", 2**-14, "https://doi.org/10.1017/CBO9780511617652.004",
                        kicked=False, parameters=("force",)),
    "kolmogorov": Recipe("Kolmogorov flow kicked by noise", Kolmogorov(32), "vorticity", 2**-10,
                         "https://arxiv.org/abs/2403.13724", parameters=("nu", "drag", "force", "noise")),
    "hot-spots": Recipe("Hot spots of a shocked material with voids", HotSpots(64), "temperature", 2**-12,
                        "https://doi.org/10.1126/sciadv.add6868", kicked=False,
                        parameters=("diffusivity", "heat_release", "rate", "activation", "ambient", "loss")),
}  # fmt: skip


def trajectories(recipe: Recipe, grid: int, frames: int, first: int, last: int, seed: int,
                 varied: bool = False) -> tuple[Tensor, dict[str, np.ndarray]]:
    """Trajectories `first ... last - 1` of a seed with their start, and the parameters that each has for itself."""
    system, own = recipe.on(grid, frames), {}
    if isinstance(system, HotSpots):
        return burning(recipe, system, first, last - first, seed)
    if not varied:
        return path(recipe, system, first, last - first, seed), own
    own = {key: np.empty(last - first) for key in recipe.varied}
    for i in range(last - first):
        unit = generator(seed, first + i, PARAMETERS).random(len(own))
        for (key, (low, high)), share in zip(recipe.varied.items(), unit, strict=True):
            own[key][i] = low + (high - low) * share
    each = [replace(system, **{key: float(values[i]) for key, values in own.items()}) for i in range(last - first)]
    return torch.cat([path(recipe, one, first + i, 1, seed) for i, one in enumerate(each)]), own


def burning(recipe: Recipe, system: HotSpots, first: int, count: int, seed: int
            ) -> tuple[Tensor, dict[str, np.ndarray]]:
    """Temperatures with their start, and what else there is of each trajectory: burnt shares, microstructure, load."""
    given = system.draw(count, seed, first)
    later, start = system.solve(**given), system.start(**given)[:, None]
    burnt = torch.cat([torch.zeros_like(start), later["burnt"]], 1)
    burnt = recipe.quantum * (burnt / recipe.quantum).round()
    return torch.cat([start, later["temperature"]], 1), {k: v.numpy() for k, v in (given | {"burnt": burnt}).items()}


def path(recipe: Recipe, system: System, first: int, count: int, seed: int) -> Tensor:
    """Start and frames `(count, frames, *state)` of one system, in float64."""
    start, later = system.draw(count, seed, first)["a"], system.parts["u"]
    if recipe.kicked:
        noise = white(later.shape[-1], count, seed, first, len(later.shape) - 1, KICKS, later.shape[0])
        return torch.cat([start[:, None], system.kicked(start, noise)], 1)
    return torch.cat([start[:, None], system.solve(start)], 1)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=RECIPES, help="which system")
    parser.add_argument("--samples", type=int, default=100, help="trajectories (default 100)")
    parser.add_argument("--frames", type=int, default=40, help="of each, the start among them (default 40)")
    parser.add_argument("--grid", type=int, help="cells along a side (default 64; kolmogorov 32, lorenz-96 40)")
    parser.add_argument("--seed", type=int, default=0, help="of the set (default 0; the committed test sets have 1)")
    parser.add_argument("--varied", action="store_true", help="advection-diffusion: a speed and viscosity for each")
    parser.add_argument("--out", type=Path, help="the file to write (default forecast_NAME_GRID.nc, here)")
    given = parser.parse_args(arguments)
    recipe = RECIPES[given.name]
    given.grid = recipe.grid if given.grid is None else given.grid
    if given.name == "lorenz-63" and given.grid != 3:
        parser.error(f"got --grid {given.grid} for lorenz-63; expected none: it has three numbers")
    if given.varied and not recipe.varied:
        parser.error(f"got --varied for {given.name}; expected it for advection-diffusion only")
    if given.samples < 1 or given.frames < 2 or given.seed < 0 or (given.grid < 8 and given.name != "lorenz-63"):
        parser.error(f"got --samples {given.samples} --frames {given.frames} --seed {given.seed} --grid {given.grid}; "
                     "expected at least 1, 2, 0 and 8")
    order = Order(given.out or Path(f"forecast_{given.name.replace('-', '_')}_{given.grid}.nc"), given.samples, BATCH,
                  (given.name, given.grid, given.frames, given.seed, given.varied), provenance(given),
                  ("name", "grid", "seed", "frames", "done", "varied"), "trajectory")
    write(order, one_by_one(partial(batch, given)), partial(collect, given, order))


@torch.no_grad()
def batch(given: argparse.Namespace, first: int, last: int) -> dict[str, np.ndarray]:
    """Trajectories ``first ... last - 1``."""
    recipe = RECIPES[given.name]
    frames, own = trajectories(recipe, given.grid, given.frames, first, last, given.seed, given.varied)
    values = (recipe.quantum * (frames / recipe.quantum).round()).float().numpy()
    return {recipe.name: values} | {key: value.astype("f4") for key, value in own.items()}


def collect(given: argparse.Namespace, order: Order, parts: list[Path], out: Path) -> None:
    """Puts the batches into one netCDF4 (HDF5) file, compressed."""
    axes = coordinates([*RECIPES[given.name].on(given.grid, given.frames).parts.values()][-1])
    with h5netcdf.File(out, "w") as file:
        file.dimensions = {"sample": given.samples} | {dim: len(values) for dim, values in axes.items()}
        for dim, values in axes.items():
            file.create_variable(dim, (dim,), data=values)
        for part in parts:
            with np.load(part) as fields:
                for key, values in fields.items():
                    if key not in file.variables:
                        chunks = (min(4, given.samples), *values.shape[1:]) if values.ndim > 1 else None
                        own = list(axes)[len(axes) + 1 - values.ndim :]
                        file.create_variable(key, ("sample", *own), "f4", chunks=chunks,
                                             compression="gzip", compression_opts=9, shuffle=True)
                    file[key][samples(part).start : samples(part).stop] = values
        for key, value in order.attributes.items():
            file.attrs[key] = value


def coordinates(later: Part) -> dict[str, np.ndarray]:
    """Times from zero on, and where the numbers of a frame are."""
    times = np.asarray(later.coords["time"])
    return {"time": np.append(0.0, times)} | {dim: np.asarray(later.coords[dim]) for dim in later.dims[1:]}


def provenance(given: argparse.Namespace) -> dict[str, object]:
    recipe = RECIPES[given.name]
    system, varied = recipe.on(given.grid, given.frames), recipe.varied if given.varied else {}
    command = f"{given.name} --samples {given.samples} --frames {given.frames} --grid {given.grid} --seed {given.seed}"
    return {
        "title": recipe.title, "name": given.name, "grid": given.grid, "seed": given.seed, "frames": given.frames,
        "done": given.samples, "varied": int(given.varied), "source": repr(system), "frame": system.frame,
        **{key: getattr(system, key) for key in recipe.parameters if key not in varied},
        **{f"{key}_range": np.asarray(ends) for key, ends in varied.items()},
        "history": history(f"make_forecast.py {command}{' --varied' if varied else ''}", "torch", "numpy", "h5py",
                           "h5netcdf"),
        "references": recipe.references, "license": LICENCE,
    }  # fmt: skip


if __name__ == "__main__":
    main()
