"""Makes pde_NAME_GRID.h5: what is given and what follows from it, for one of the systems of sciencegen.physics.

    python datasets/make_pde.py darcy --grid 32 --count 10000 --out darcy.h5

Names: poisson, helmholtz, darcy (two materials), channels (Darcy's law in meandering channels), wells (Darcy's law
between closed walls), heat, burgers, navier-stokes. Sample i of a seed is the same bits whatever the count; an
interrupted run goes on where it stopped when it is started again, and ends in the same file, bit for bit. The layouts
are PDEBench's; the card in datasets/README.md says which set has which, and what the sets are not good for.
"""

import argparse
import dataclasses
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from sciencegen import __version__
from sciencegen.physics import Heat, LogWells, System, resolve
from sciencegen.physics.fields import white

BATCH = 64
LICENCE = "MIT; computed with sciencegen, no measured data"
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
    out = given.out or Path(f"pde_{given.name.replace('-', '_')}_{given.grid}.h5")
    try:
        make(given.name, given.grid, given.count, given.seed, out)
    except KeyboardInterrupt:
        raise SystemExit("interrupted; what is finished is kept, and the same command goes on from there") from None
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB, {given.count} samples")


def make(name: str, grid: int, count: int, seed: int, out: Path) -> None:
    """Writes the file, under its name only when it is complete; batches wait in a folder beside it until then."""
    recipe, system = RECIPES[name], system_of(name, grid)
    attributes = provenance(name, recipe, system, grid, count, seed)
    if out.exists():
        return check(out, attributes)
    folder = out.with_name(f".{out.name}.{name}-{grid}-{seed}.parts")
    folder.mkdir(parents=True, exist_ok=True)
    ends = [(first, min(first + BATCH, count)) for first in range(0, count, BATCH)]
    parts = [folder / f"{first:09d}-{last:09d}.npz" for first, last in ends]
    with tqdm(total=count, desc=name, unit="sample") as bar:
        for (first, last), part in zip(ends, parts, strict=True):
            if not part.exists():
                batch(recipe, system, first, last, seed, part)
            bar.update(last - first)
    collect(coordinates(system), parts, attributes, out)
    shutil.rmtree(folder)


def check(out: Path, wanted: dict[str, object]) -> None:
    """Leaves a file that is there as it is; raises ``SystemExit`` where it is another set."""
    with h5py.File(out) as file:
        found = {key: file.attrs.get(key) for key in ("name", "grid", "seed", "done")}
    if any(value != wanted[key] for key, value in found.items()):
        expected = {key: wanted[key] for key in found}
        raise SystemExit(f"{out} is there already, with {found}; expected {expected}. Remove it, or give another --out")


def batch(recipe: Recipe, system: System, first: int, last: int, seed: int, part: Path) -> None:
    """Computes samples ``first ... last - 1`` into a file of their own."""
    fields = layout(recipe, *pairs(system, last - first, seed, first))
    draft = part.with_suffix(".draft.npz")
    np.savez(draft, **{key: value.float().numpy() for key, value in fields.items()})
    os.replace(draft, part)


def collect(axes: dict[str, np.ndarray], parts: list[Path], attributes: dict[str, object], out: Path) -> None:
    """Puts the batches into one HDF5 file, compressed."""
    draft = out.with_name(f".{out.name}.draft")
    with h5py.File(draft, "w") as file:
        for part in parts:
            with np.load(part) as fields:
                for key, values in fields.items():
                    _append(file, key, values)
        for key, values in axes.items():
            file.create_dataset(key, data=values)
        file.attrs.update(attributes)
    os.replace(draft, out)


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


def provenance(name: str, recipe: Recipe, system: System, grid: int, count: int, seed: int) -> dict[str, object]:
    packages = ("torch", "numpy", "scipy", "h5py")
    return {
        "name": name, "grid": grid, "seed": seed, "done": count, "title": recipe.title, "source": repr(system),
        **{key: getattr(system, attribute) for key, attribute in recipe.parameters.items()},
        "history": f"datasets/make_pde.py {name} --grid {grid} --count {count} --seed {seed} with "
        f"sciencegen {__version__}, " + ", ".join(f"{package} {version(package)}" for package in packages),
        "references": recipe.references, "license": LICENCE,
    }  # fmt: skip


if __name__ == "__main__":
    main()
