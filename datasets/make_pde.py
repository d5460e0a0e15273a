"""Makes pde_NAME_GRID.h5: what is given and what follows from it, for one of the systems of sciencegen.physics.

    python datasets/make_pde.py darcy --grid 32 --count 10000 --out darcy.h5

Names: poisson, helmholtz, darcy (two materials), channels (Darcy's law in meandering channels), wells (Darcy's law
between closed walls), heat, burgers, navier-stokes. Sample i of a seed is the same bits whatever the count; an
interrupted run goes on where it stopped when it is started again, and ends in the same file, bit for bit. The layouts
are PDEBench's; the card in datasets/README.md says which set has which, and what the sets are not good for.
"""

import argparse
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import torch
from batches import LICENCE, Order, history, one_by_one, write
from torch import Tensor

from sciencegen.physics import Heat, LogWells, System, resolve
from sciencegen.physics.fields import white

BATCH = 64
NEURAL = "https://arxiv.org/abs/2010.08895 https://arxiv.org/abs/2406.17763"
SCORE, INFORMED = "https://arxiv.org/abs/2301.10250", "https://arxiv.org/abs/2403.14404"


@dataclass(frozen=True)
class Recipe:
    """How a set is written: its title, the names of its fields, the system's parameters and the references.

    `field` is PDEBench's name of a field in time; None for its layout of 2-D Darcy flow. `parameters` are attributes of
    the system by the names that the file has for them.
    """

    title: str
    field: str | None = None
    parameters: Mapping[str, str] = dataclasses.field(default_factory=dict)
    references: str = NEURAL


RECIPES = {
    "poisson": Recipe("Poisson's equation, Gaussian sources"),
    "helmholtz": Recipe("Helmholtz' equation, Gaussian sources", parameters={"k": "k"}),
    "darcy": Recipe("Darcy flow, two materials", parameters={"beta": "f"}),
    "channels": Recipe("Darcy flow, meandering channels", parameters={"beta": "f"}),
    "wells": Recipe("Darcy flow between an inflow and an outflow", None,
                    {"rate": "rate", "length": "length", "modes": "modes"}, INFORMED),
    "heat": Recipe("Heat equation kicked by noise, Gaussian starts", "temperature",
                   {"Nu": "nu", "noise": "noise", "frame": "frame"}, SCORE),
    "burgers": Recipe("Burgers' equation, Gaussian initial states", "tensor", {"Nu": "nu", "frame": "frame"}),
    "navier-stokes": Recipe("Navier-Stokes vorticity, forced, Gaussian initial states", "vorticity",
                            {"Nu": "nu", "force": "force", "frame": "frame"}),
}  # fmt: skip


def system_of(name: str, grid: int) -> System:
    """The system; of `wells` the one whose permeability is given as it is."""
    system = resolve(name, grid)
    return system.wells if isinstance(system, LogWells) else system


def pairs(system: System, count: int, seed: int, first: int) -> tuple[Tensor, Tensor]:
    """Samples `first ... first + count - 1` of a seed; heat is kicked by noise."""
    a = system.draw(count, seed, first)["a"]
    if isinstance(system, Heat):
        return a, system.kicked(a, white(system.basis.n, count, seed, first, stream=1)[:, None])
    return a, system.solve(a)


def layout(recipe: Recipe, a: Tensor, u: Tensor) -> dict[str, Tensor]:
    """PDEBench's layouts: of 2-D Darcy flow, `nu` what is given; or in time, the first frame what is given."""
    return {"tensor": u[:, None], "nu": a} if recipe.field is None else {recipe.field: torch.cat([a[:, None], u], 1)}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=RECIPES, help="which system")
    parser.add_argument("--grid", type=int, default=32, help="cells along a side (default 32)")
    parser.add_argument("--count", type=int, default=1000, help="samples (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the set (default 0; the committed test sets have 1)")
    parser.add_argument("--out", type=Path, help="the file to write (default pde_NAME_GRID.h5, here)")
    given = parser.parse_args(arguments)
    if given.grid < 4 or given.count < 1 or given.seed < 0:
        parser.error(f"got --grid {given.grid} --count {given.count} --seed {given.seed}; expected at least 4, 1 and 0")
    recipe, system = RECIPES[given.name], system_of(given.name, given.grid)
    order = Order(given.out or Path(f"pde_{given.name.replace('-', '_')}_{given.grid}.h5"), given.count, BATCH,
                  (given.name, given.grid, given.seed), provenance(given, recipe, system),
                  ("name", "grid", "seed", "done"))
    write(order, one_by_one(partial(batch, recipe, system, given.seed)),
          partial(collect, coordinates(system), order.attributes))


def batch(recipe: Recipe, system: System, seed: int, first: int, last: int) -> dict[str, np.ndarray]:
    """Samples ``first ... last - 1``."""
    fields = layout(recipe, *pairs(system, last - first, seed, first))
    return {key: value.float().numpy() for key, value in fields.items()}


def collect(axes: Mapping[str, np.ndarray], attributes: Mapping[str, object], parts: list[Path], out: Path) -> None:
    """Puts the batches into one HDF5 file, compressed."""
    with h5py.File(out, "w") as file:
        for part in parts:
            with np.load(part) as fields:
                for key, values in fields.items():
                    _append(file, key, values)
        for key, values in axes.items():
            file.create_dataset(key, data=values)
        file.attrs.update(attributes)


def _append(file: h5py.File, key: str, values: np.ndarray) -> None:
    rest = values.shape[1:]
    if key not in file:
        options = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
        file.create_dataset(key, (0, *rest), "f4", maxshape=(None, *rest), chunks=(8, *rest), **options)
    file[key].resize(len(file[key]) + len(values), axis=0)
    file[key][-len(values) :] = values


def coordinates(system: System) -> dict[str, np.ndarray]:
    """Cell centres; times, with the one more that PDEBench writes than there are frames."""
    solution = list(system.parts.values())[-1]
    found = {f"{dim}-coordinate": np.asarray(solution.coords[dim], np.float32) for dim in ("x", "y")
             if dim in solution.dims}
    if "time" in solution.dims:
        found["t-coordinate"] = (np.arange(system.frames + 2) * system.frame).astype(np.float32)
    return found


def provenance(given: argparse.Namespace, recipe: Recipe, system: System) -> dict[str, object]:
    command = f"make_pde.py {given.name} --grid {given.grid} --count {given.count} --seed {given.seed}"
    return {
        "name": given.name, "grid": given.grid, "seed": given.seed, "done": given.count, "title": recipe.title,
        "source": repr(system),
        **{key: getattr(system, attribute) for key, attribute in recipe.parameters.items()},
        "history": history(command, "torch", "numpy", "scipy", "h5py"),
        "references": recipe.references, "license": LICENCE,
    }  # fmt: skip


if __name__ == "__main__":
    main()
