"""A design run as a directory: result.nc, the best designs as .dat files, a table, a picture, what was asked."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
import xarray
from matplotlib import pyplot
from rich.table import Table

from ...airfoil import Fit, cst, fit, read_dat, write_dat
from ...files import replacing
from ...result import Result
from ...sample import Heun, karras
from ..directory import writable
from .picture import draw
from .study import Study
from .verify import verify

__all__ = ["baselines", "confirm", "load_objective", "table", "writable", "write"]


def baselines(study: Study, count: int = 64, reference: str | os.PathLike | None = None, seed: int = 0
              ) -> dict[str, xarray.Dataset]:
    """What designs are compared with, judged alike: unguided samples of the shape prior, and a ``reference`` .dat.

    The reference is judged as the shape that is fitted to it; its attribute ``fit_rms`` says how closely, in chords.
    ValueError where that is not close, or the file holds no airfoil; nothing is sampled then.
    """
    name, given = (None, None) if reference is None else _reference(reference)
    view = study.layout["shape"]
    prior, sampler = study.energy.marginal(view), Heun(karras(20, low=0.01))
    x = sampler(prior, sampler.noise(count, view.rows.numel(), torch.arange(count) + seed))
    variable = study.layout.variables["shape"]
    shapes = x * variable.flat(variable.scale).to(x) + variable.flat(variable.loc).to(x)
    found = {"samples of the prior": study.judge(shapes)}
    if given is None:
        return found
    return found | {name: study.judge(given.shape.float()[None]).assign_attrs(fit_rms=given.rms)}


def _reference(file: str | os.PathLike) -> tuple[str, Fit]:
    name, outline = read_dat(file)
    try:
        fitted = fit(outline)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    return name, fitted


def confirm(study: Study, result: Result, best: int = 10, progress: bool = True) -> xarray.Dataset:
    """XFOIL's word on the best designs (:func:`sciencegen.jobs.airfoil.verify.verify`), with the objective as ``fun``.

    XFOIL gives drag and moment, NeuralFoil the confidence; ``fun`` is NaN where a point was not verified.
    """
    chosen = result.samples.isel(sample=slice(best))
    shape, alpha, confidence = (torch.tensor(chosen[k].values) for k in ("shape", "alpha", "confidence"))
    found = verify(shape, alpha, study.points, progress=progress)
    cd, cm = (torch.tensor(found[k].values).to(shape) for k in ("cd", "cm"))
    return found.assign(fun=("sample", study.objective(shape=shape, cd=cd, cm=cm, confidence=confidence).numpy()))


def load_objective(file: str | os.PathLike, points: int = 1) -> Callable[..., torch.Tensor]:
    """The function ``objective(shape, cd, cm, confidence)`` of a Python file, once tried on ``points`` points.

    ValueError if there is none, or if it does not do what :class:`Study` asks of an objective.
    """
    path, names = Path(file), {}
    wanted = "objective(shape (*B, 18), cd, cm, confidence (*B, K)) -> (*B,), positive, low is good"
    try:
        exec(compile(path.read_text(), str(path), "exec"), names)  # the user's own code, at the user's request
    except Exception as error:  # the user's own, of any kind
        raise ValueError(f"got {path} ({error!r}); expected a Python file with a function {wanted}") from error
    if not callable(names.get("objective")):
        raise ValueError(f"got {path} without a function 'objective'; expected {wanted}")
    try:
        value = names["objective"](**_trial(points))
    except Exception as error:
        raise ValueError(f"got {error!r} from the objective in {path}; expected torch operations: {wanted}") from error
    if not isinstance(value, torch.Tensor) or value.shape != (2,):
        got = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise ValueError(f"got {got} from the objective in {path} for 2 shapes, {points} points; expected {wanted}")
    if not bool((value > 0).all()):
        raise ValueError(f"got {value.tolist()} from the objective in {path}; expected numbers above 0: {wanted}")
    if not value.requires_grad:
        raise TypeError(f"got a value without a gradient from the objective in {path}; expected torch operations all "
                        "the way (no numpy, detach or no_grad inside)")
    return names["objective"]


def _trial(points: int) -> dict[str, torch.Tensor]:
    """Two airfoils at ``points`` operating points, as an objective sees them."""
    shape = torch.tensor([0.2] * 8 + [-0.15] * 8 + [0.1, 0.003])
    parts = {"shape": shape, "cd": torch.full((points,), 0.008), "cm": torch.full((points,), -0.05),
             "confidence": torch.full((points,), 0.95)}
    return {k: v.expand(2, -1).clone().requires_grad_() for k, v in parts.items()}


def table(result: Result, verified: xarray.Dataset | None, best: int = 10) -> Table:
    """The best designs, a row each, for a terminal."""
    shown = Table(title=f"{int(result.success.sum())} of {len(result)} designs feasible; the best {best}")
    for name in ("#", "objective\n×10⁴", "XFOIL\n×10⁴", "drag counts at the points", "thickness", "lowest\ncm",
                 "confi-\ndence", "feasible"):
        shown.add_column(name, justify="right", no_wrap=name[0] in "#o")
    for i in range(min(best, len(result))):
        row = result.samples.isel(sample=i)
        word = float(verified.fun[i]) if verified is not None and i < verified.sizes["sample"] else np.nan
        shown.add_row(str(i + 1), f"{1e4 * result.fun[i]:.2f}", f"{1e4 * word:.2f}" if np.isfinite(word) else "-",
                      " ".join(f"{1e4 * v:.0f}" for v in row.cd.values), f"{float(row.thickness):.3f}",
                      f"{float(row.cm.min()):.3f}", f"{float(row.confidence.min()):.2f}",
                      "yes" if result.success[i] else "no")
    return shown


def write(directory: Path, study: Study, result: Result, compared: dict[str, xarray.Dataset],
          verified: xarray.Dataset | None, best: int = 10) -> list[Path]:
    """Write the run directory's files, each under another name first; returns their paths.

    Designs and a verification that an earlier run left there, and this one has not, are removed.
    """
    made = [result.save(directory / "result.nc")]
    for i, shape in enumerate(torch.tensor(result.samples["shape"].values[:best])):
        with suppress(ValueError):  # an infeasible one may cross itself, which no file should say
            write_dat(file := directory / f"design_{i + 1:02d}.dat", f"sciencegen design {i + 1}",
                      cst.outline(shape.double()).numpy())
            made.append(file)
    if verified is not None:
        made.append(directory / "verified.nc")
        with replacing(made[-1]) as new:
            verified.to_netcdf(new, engine="h5netcdf")
    figure, _ = draw(result, study.points, compared, verified, best)
    made.append(directory / "designs.png")
    with replacing(made[-1]) as new:
        figure.savefig(new, dpi=110, format="png")
    pyplot.close(figure)
    made.append(directory / "config.json")
    with replacing(made[-1]) as new:
        new.write_text(json.dumps(result.config, indent=2))
    for old in {*directory.glob("design_[0-9][0-9].dat"), *directory.glob("verified.nc")} - set(made):
        old.unlink()
    return made
