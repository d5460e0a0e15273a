"""A run of microstructures: a row of the table, what a run cost, and the files beside the result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray
from matplotlib import pyplot

from ...io import save_dream3d
from ...result import Result
from .images import pieces

if TYPE_CHECKING:
    from .study import MicrostructureStudy

__all__ = ["BEST", "CAPTION", "LABELS", "files", "row", "words"]

BEST, IMAGE = "best.png", "best.dream3d"
LABELS = {
    "phase": ("phase of the pixel", "1"), "solves": ("solves of the homogeniser", "1"),
    "conductivity": ("effective conductivity along the axis, over phase 0's", "1"),
    "conductivity_xy": ("effective conductivity, off the diagonal, over phase 0's", "1"),
    "stiffness": ("effective stiffness (Voigt: x, y, shear), over Young's modulus of phase 1", "1"),
    "bulk": ("effective bulk modulus of the plane, over Young's modulus of phase 1", "1"),
    "bulk_hashin_shtrikman": ("Hashin and Shtrikman's bounds of the bulk modulus", "1"),
    "wiener": ("Wiener's bounds of the conductivity", "1"),
    "hashin_shtrikman": ("Hashin and Shtrikman's bounds of an isotropic conductivity", "1"),
    "fraction": ("share of phase 1", "1"), "length": ("correlation length of the interface", "pixel"),
    "angle": ("long direction, from the x axis", "degree"), "aspect": ("lengths along it over those across it", "1"),
    "connected": ("share of phase 1 in its largest piece", "1"), "reached": ("what was asked for, as it is", "1"),
    "x": ("place", "pixel"), "y": ("place", "pixel"),
}
CAPTION = ("The best designs, four cells each; their two-point functions beside those of the family; and where they "
           "stand between the bounds, beside samples of the family that nothing guided.")


def row(study: MicrostructureStudy, sample: xarray.Dataset) -> dict[str, str]:
    """A design in the table."""
    asked = {name: f"{float(v):.4g}" for name, v in zip(study.goals.wanted, sample["reached"].values)}
    off = {"worst off by": f"{100 * float(sample['fun']):.2f} %"} if asked else {}
    k = [f"{float(v):.4g}" for v in sample["conductivity"].values]
    told = {} if study.goals.elastic else dict(zip(("kx", "ky"), k))
    told |= {"fraction": f"{float(sample['fraction']):.3f}", "length": f"{float(sample['length']):.2f}"}
    return asked | off | {k: v for k, v in told.items() if k not in asked} | {"solves": str(int(sample["solves"]))}


def words(study: MicrostructureStudy, result: Result) -> str:
    """How far designs are off in the median, and what they cost."""
    off, solves = result.fun[np.isfinite(result.fun)], result.samples["solves"].values
    lines = [] if not study.goals.wanted or not len(off) else [
        f"Goals are missed by {100 * np.median(off):.2g} % in the median and {100 * off.max():.2g} % at most, after "
        f"{solves.mean():.0f} solves a design and one to judge it."]
    apart = _apart(result.samples["phase"].values)
    return "\n".join([*lines, f"Two designs differ in {100 * apart:.0f} % of their pixels in the mean."] if len(
        result) > 1 else lines)


def files(directory: Path, result: Result) -> None:
    """The best design for DREAM.3D and as a picture, its lowest row below."""
    image = result.samples["phase"].values[0]
    save_dream3d(numbered(result.samples["phase"].isel(sample=0, drop=True)), directory / IMAGE)
    pyplot.imsave(directory / BEST, np.kron(image, np.ones((max(1, 256 // len(image)),) * 2)), cmap="gray", vmin=0,
                  vmax=1, origin="lower", format="png")


def numbered(phase: xarray.DataArray) -> xarray.Dataset:
    """An image as DREAM.3D has it: phases and pieces from 1, and no orientation."""
    ones, count = pieces(phase.values)
    zeros, _ = pieces(1 - phase.values)
    ids = np.where(phase.values == 1, ones, count + zeros).astype(np.int32)
    turn = lambda values, **attrs: (phase.dims, values, attrs)
    angles = {f"EulerAngles_{name}": turn(np.zeros(phase.shape, np.float32), component_of="EulerAngles", component=name)
              for name in ("phi1", "Phi", "phi2")}
    fields = {"FeatureIds": turn(ids), "Phases": turn(phase.values.astype(np.int32) + 1), **angles}
    return xarray.Dataset(fields, {name: phase[name].values for name in ("x", "y")})


def _apart(phase: np.ndarray) -> float:
    """Mean share of pixels in which two images differ."""
    mean, n = phase.mean(0), len(phase)
    return float(2 * (mean * (1 - mean)).mean() * n / max(n - 1, 1))
