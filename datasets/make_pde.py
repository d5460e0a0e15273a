"""Makes pde_NAME_GRID.h5: what is given and what follows from it, for one of the systems of sciencegen.physics.

    python datasets/make_pde.py darcy --grid 32 --count 10000 --out darcy.h5

Names: poisson, helmholtz, darcy (two materials), channels (Darcy's law in meandering channels), wells (Darcy's law
between closed walls), heat, burgers, navier-stokes. Sample i of a seed is the same bits whatever the count; an
interrupted run goes on where it stopped when it is started again, and ends in the same file, bit for bit. The layouts
are PDEBench's; the card in datasets/README.md says which set has which, and what the sets are not good for.
"""

import argparse
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from sciencegen import __version__
from sciencegen.physics import Burgers, Darcy, Fourier, Heat, Helmholtz, NavierStokes, Poisson, Wells, binary, channels
from sciencegen.physics.fields import exponential, white

BATCH = 64
LICENCE = "MIT; computed with sciencegen, no measured data"


@dataclass(frozen=True)
class Recipe:
    """How a set is made: ``pairs(count, seed, first) -> (a, u)``, and the names of the file's fields for them."""

    title: str
    system: object
    pairs: Callable[[int, int, int], tuple[Tensor, Tensor]]
    layout: Callable[[Tensor, Tensor], dict[str, Tensor]]
    parameters: dict[str, float]
    references: str


def static(a: Tensor, u: Tensor) -> dict[str, Tensor]:
    """PDEBench's layout of 2-D Darcy flow: ``nu`` is what is given, ``tensor`` the solution."""
    return {"tensor": u[:, None], "nu": a}


def evolving(name: str) -> Callable[[Tensor, Tensor], dict[str, Tensor]]:
    """PDEBench's layouts in time: one field, its first frame what is given."""
    return lambda a, u: {name: torch.cat([a[:, None], u], 1)}


NEURAL = "https://arxiv.org/abs/2010.08895 https://arxiv.org/abs/2406.17763"
SCORE = "https://arxiv.org/abs/2301.10250"


def poisson(n: int) -> Recipe:
    system = Poisson(n)
    return Recipe("Poisson's equation, Gaussian sources", system, _solved(system, system.sources().sample), static, {},
                  NEURAL)


def helmholtz(n: int) -> Recipe:
    system = Helmholtz(n)
    return Recipe("Helmholtz' equation, Gaussian sources", system, _solved(system, system.sources().sample), static,
                  {"k": system.k}, NEURAL)


def darcy(n: int) -> Recipe:
    system = Darcy(n)
    draw = lambda count, seed, first: binary(system.fields().sample(count, seed, first))
    return Recipe("Darcy flow, two materials", system, _solved(system, draw), static, {"beta": system.f}, NEURAL)


def channelised(n: int) -> Recipe:
    system = Darcy(n)
    draw = lambda count, seed, first: channels(n, count, seed, first)
    return Recipe("Darcy flow, meandering channels", system, _solved(system, draw), static, {"beta": system.f}, NEURAL)


def wells(n: int) -> Recipe:
    system, modes = Wells(n), min(64, n * n // 2)
    factor = exponential(n, 0.1, modes)

    def draw(count: int, seed: int, first: int) -> Tensor:
        return (white(modes, count, seed, first, dims=1) @ factor.mT).exp().unflatten(-1, (n, n))

    return Recipe("Darcy flow between an inflow and an outflow", system, _solved(system, draw), static,
                  {"rate": system.rate, "length": 0.1, "modes": modes}, "https://arxiv.org/abs/2403.14404")


def heat(n: int) -> Recipe:
    system = Heat(Fourier(n))

    def pairs(count: int, seed: int, first: int) -> tuple[Tensor, Tensor]:
        a = system.starts().sample(count, seed, first)
        return a, system.kicked(a, white(n, count, seed, first, stream=1)[:, None])

    return Recipe("Heat equation kicked by noise, Gaussian starts", system, pairs, evolving("temperature"),
                  {"Nu": system.nu, "noise": system.noise, "frame": system.frame}, SCORE)


def burgers(n: int) -> Recipe:
    system = Burgers(n, frame=1 / (n - 1), frames=n - 1)
    return Recipe("Burgers' equation, Gaussian initial states", system, _solved(system, system.starts().sample),
                  evolving("tensor"), {"Nu": system.nu, "frame": system.frame}, NEURAL)


def navier_stokes(n: int) -> Recipe:
    system = NavierStokes(n)
    return Recipe("Navier-Stokes vorticity, forced, Gaussian initial states", system,
                  _solved(system, system.starts().sample), evolving("vorticity"),
                  {"Nu": system.nu, "force": system.force, "frame": system.frame}, NEURAL)


def _solved(system: object, draw: Callable[[int, int, int], Tensor]) -> Callable:
    def pairs(count: int, seed: int, first: int) -> tuple[Tensor, Tensor]:
        a = draw(count, seed, first)
        return a, system.solve(a)

    return pairs


NAMES = {
    "poisson": poisson, "helmholtz": helmholtz, "darcy": darcy, "channels": channelised, "wells": wells,
    "heat": heat, "burgers": burgers, "navier-stokes": navier_stokes,
}  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=NAMES, help="which system")
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
    recipe = NAMES[name](grid)
    attributes = provenance(name, recipe, grid, count, seed)
    if out.exists():
        return check(out, attributes)
    folder = out.with_name(f".{out.name}.{name}-{grid}-{seed}.parts")
    folder.mkdir(parents=True, exist_ok=True)
    ends = [(first, min(first + BATCH, count)) for first in range(0, count, BATCH)]
    parts = [folder / f"{first:09d}-{last:09d}.npz" for first, last in ends]
    with tqdm(total=count, desc=name, unit="sample") as bar:
        for (first, last), part in zip(ends, parts, strict=True):
            if not part.exists():
                batch(recipe, first, last, seed, part)
            bar.update(last - first)
    collect(recipe, grid, parts, attributes, out)
    shutil.rmtree(folder)


def check(out: Path, wanted: dict[str, object]) -> None:
    """Leaves a file that is there as it is; raises ``SystemExit`` where it is another set."""
    with h5py.File(out) as file:
        found = {key: file.attrs.get(key) for key in ("name", "grid", "seed", "done")}
    if any(value != wanted[key] for key, value in found.items()):
        expected = {key: wanted[key] for key in found}
        raise SystemExit(f"{out} is there already, with {found}; expected {expected}. Remove it, or give another --out")


def batch(recipe: Recipe, first: int, last: int, seed: int, part: Path) -> None:
    """Computes samples ``first ... last - 1`` into a file of their own."""
    fields = recipe.layout(*recipe.pairs(last - first, seed, first))
    draft = part.with_suffix(".draft.npz")
    np.savez(draft, **{key: value.float().numpy() for key, value in fields.items()})
    os.replace(draft, part)


def collect(recipe: Recipe, grid: int, parts: list[Path], attributes: dict[str, object], out: Path) -> None:
    """Puts the batches into one HDF5 file, compressed."""
    draft = out.with_name(f".{out.name}.draft")
    with h5py.File(draft, "w") as file:
        for part in parts:
            with np.load(part) as fields:
                for key, values in fields.items():
                    _append(file, key, values)
        for key, values in coordinates(recipe.system, grid).items():
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


def coordinates(system: object, n: int) -> dict[str, np.ndarray]:
    """Cell centres; times, with the one more that PDEBench writes than there are frames."""
    centres = ((np.arange(n) + 0.5) / n).astype(np.float32)
    found = {"x-coordinate": centres} | ({} if isinstance(system, Burgers) else {"y-coordinate": centres})
    if hasattr(system, "frames"):
        found["t-coordinate"] = (np.arange(system.frames + 2) * system.frame).astype(np.float32)
    return found


def provenance(name: str, recipe: Recipe, grid: int, count: int, seed: int) -> dict[str, object]:
    packages = ("torch", "numpy", "scipy", "h5py")
    return {
        "name": name, "grid": grid, "seed": seed, "done": count, "title": recipe.title, "source": repr(recipe.system),
        **recipe.parameters,
        "history": f"datasets/make_pde.py {name} --grid {grid} --count {count} --seed {seed} with "
        f"sciencegen {__version__}, " + ", ".join(f"{package} {version(package)}" for package in packages),
        "references": recipe.references, "license": LICENCE,
    }  # fmt: skip


if __name__ == "__main__":
    main()
