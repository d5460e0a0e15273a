"""A run of airfoils: XFOIL's word on the best, baselines to compare with, a row of the table, and the files."""

from __future__ import annotations

import os
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray
from torch import Tensor

from ...airfoil import Fit, cst, fit, read_dat, write_dat
from ...files import replacing
from ...result import Result
from ...sample import Heun, karras
from ...solvers.at_lift import VALUES

if TYPE_CHECKING:
    from .study import AirfoilStudy

__all__ = ["baselines", "files", "judged", "read_reference", "row", "trial", "verified", "warnings", "words"]

BEST = 10  # designs that are written as outlines, and verified
_AT_POINTS = {"alpha": ("angle of attack", "degree"), "cl": ("lift coefficient", "1"), "cd": ("drag coefficient", "1"),
              "cm": ("pitching moment about the quarter chord, nose up", "1")}
LABELS = {
    **_AT_POINTS, **{f"xfoil_{k}": (f"{words} by XFOIL", unit) for k, (words, unit) in _AT_POINTS.items()},
    "shape": ("weights of the shape, see sciencegen.airfoil.cst", "chord"), "thickness": ("largest thickness", "chord"),
    "confidence": ("NeuralFoil's confidence", "1"), "lift_slope": ("slope of the lift over the angle", "1/degree"),
    "target_cl": ("lift coefficient that is asked for", "1"), "reynolds": ("Reynolds number of the chord", "1"),
    "xfoil_fun": ("objective with XFOIL's drag and moment", "1"), "xfoil_status": ("how XFOIL ended", ""),
    "promised": ("objective with drag corrected by what XFOIL said of the other designs", "1"),
    "verified": ("whether XFOIL confirms the design at every point", ""),
}
CAPTION = ("The best designs and their polars, one colour a Reynolds number; how far the samples differ; and their "
           "objective beside what they are compared with.")


def read_reference(file: str | os.PathLike) -> tuple[str, Fit]:
    """Name and fitted shape of the airfoil in a .dat file; ValueError where no shape is close, or there is none."""
    name, outline = read_dat(file)
    try:
        return name, fit(outline)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def trial(points: int) -> dict[str, Tensor]:
    """Two airfoils at ``points`` operating points, as an objective sees them."""
    shape = torch.tensor([0.2] * 8 + [-0.15] * 8 + [0.1, 0.003])
    parts = {"shape": shape, "cd": torch.full((points,), 0.008), "cm": torch.full((points,), -0.05),
             "confidence": torch.full((points,), 0.95)}
    return {k: v.expand(2, -1) for k, v in parts.items()}


def baselines(study: AirfoilStudy, count: int = 64) -> dict[str, xarray.Dataset]:
    """What designs are compared with, judged alike: unguided samples of the shape prior, and the study's reference.

    The attribute ``fit_rms`` of the latter says how closely its shape was fitted, in chords.
    """
    view = study.layout["shape"]
    prior, sampler = study.energy.marginal(view), Heun(karras(20, low=0.01))
    x = sampler(prior, sampler.start(count, view.rows.numel(), torch.arange(count)))
    variable = study.layout.variables["shape"]
    shapes = x * variable.flat(variable.scale).to(x) + variable.flat(variable.loc).to(x)
    found = {"samples of the prior": study.judge(shapes)}
    if study.reference is None:
        return found
    name, fitted = study.reference
    return found | {name: study.judge(fitted.shape.float()[None]).assign_attrs(fit_rms=fitted.rms)}


def verified(result: Result, best: int = BEST) -> xarray.Dataset | None:
    """What XFOIL said of the ``best`` designs, as :func:`sciencegen.solvers.at_lift.verify` says it; or None."""
    if "xfoil_cd" not in result.samples:
        return None
    names = {f"xfoil_{k}": k for k in (*VALUES, "status", "fun")}
    found = result.samples[list(names)].rename(names).isel(sample=slice(best))
    return found.assign_attrs(message=result.samples["xfoil_cd"].attrs.get("message", ""))


def words(result: Result) -> str:
    """What the run cost."""
    return f"{result.config['evaluations']:,} aerodynamic evaluations, {result.nfev} network calls"


def judged(study: AirfoilStudy, result: Result) -> list[str]:
    """Who judged the designs, and what XFOIL said of the best, in sentences."""
    found = verified(result)
    told = "not asked, so nothing is verified by it" if found is None else found.attrs["message"]
    return [f"{type(study.referee.aero).__name__}: judged every design.", f"XFOIL: {told}"]


def warnings(result: Result, best: int = BEST) -> list[str]:
    """Which of the best designs XFOIL does not confirm."""
    if "confirmed" not in result.samples:
        return ["No second program confirmed the designs."]
    sure = result.samples["confirmed"].values[:best]
    lost = [str(i + 1) for i in np.nonzero(~sure)[0]]
    return [f"XFOIL does not confirm design {', '.join(lost)}."] if lost else []


def row(sample: xarray.Dataset) -> dict[str, str]:
    """Cells of one design in the table."""
    said = float(sample["xfoil_fun"]) if "xfoil_fun" in sample else np.nan
    return {"objective\n×10⁴": f"{1e4 * float(sample['fun']):.2f}",
            "XFOIL\n×10⁴": f"{1e4 * said:.2f}" if np.isfinite(said) else "-",
            "drag counts at the points": " ".join(f"{1e4 * v:.0f}" for v in sample["cd"].values),
            "thickness": f"{float(sample['thickness']):.3f}", "lowest\ncm": f"{float(sample['cm'].min()):.3f}",
            "confi-\ndence": f"{float(sample['confidence'].min()):.2f}"}


def files(directory: Path, result: Result, best: int = BEST) -> None:
    """Write the ``best`` designs as .dat files and what XFOIL said of them, ``verified.nc``."""
    for i, shape in enumerate(torch.tensor(result.samples["shape"].values[:best])):
        with nullcontext() if result.success[i] else suppress(ValueError):  # one that crosses itself
            write_dat(directory / f"design_{i + 1:02d}.dat", f"sciencegen design {i + 1}",
                      cst.outline(shape.double()).numpy())
    if (found := verified(result, best)) is not None:
        with replacing(directory / "verified.nc") as new:
            found.to_netcdf(new, engine="h5netcdf")
