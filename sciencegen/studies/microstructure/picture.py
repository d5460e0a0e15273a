"""The picture of a run of microstructures: the best ones, two-point functions, and where they stand between bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib import pyplot

from ...physics.microstructure import two_point
from ...plot import COLORS, WIDTH, styled
from ...result import Result
from .goals import CONDUCTIVITIES, MODULI, ROUGH, slack

if TYPE_CHECKING:
    from .study import MicrostructureStudy

__all__ = ["draw"]

SHOWN = 4  # images
GREY = "0.6"
FLOOR = 1_000_000  # pixels of samples of the family to compare with, at most
ELASTIC = 12  # of them where stiffness is solved for


@styled
def draw(study: MicrostructureStudy, result: Result) -> tuple[Any, Any]:
    """Figure and axes, never shown."""
    shown = min(SHOWN, len(result))
    figure = pyplot.figure(figsize=(WIDTH, 6.2), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(2.2, 3.6))
    tiles = above.subplots(1, SHOWN, squeeze=False)[0]
    for number, axis in enumerate(tiles):
        axis.set_axis_off()
        if number < shown:
            axis.imshow(np.tile(result.samples["phase"].values[number], (2, 2)), cmap="gray", vmin=0, vmax=1,
                        origin="lower", interpolation="nearest")
            axis.set_title(_title(study, result, number))
    floor = _floor(study)
    axes = below.subplots(1, 2)
    _two_point(axes[0], study, result, floor)
    if study.goals.elastic:
        _moduli(axes[1], study, result, floor)
    else:
        _conductivities(axes[1], study, result, floor)
    return figure, axes


def _title(study: MicrostructureStudy, result: Result, number: int) -> str:
    good = "" if result.success[number] else " (rejected)"
    off = f": off by {100 * result.fun[number]:.2f} %" if study.goals.wanted else ""
    return f"{number + 1}{off}{good}"


def _floor(study: MicrostructureStudy) -> torch.Tensor:
    """Images of the family that nothing guided, ``(n, ny, nx)``."""
    count = min(64, max(8, FLOOR // (study.structures.grid[0] * study.structures.grid[1])))
    return study.structures.family_images(ELASTIC if study.goals.elastic else count)


def _two_point(axis: Any, study: MicrostructureStudy, result: Result, floor: torch.Tensor) -> None:
    """Along x and y, over the variance: one at the origin, zero where pixels know nothing of each other."""
    phase = torch.tensor(result.samples["phase"].values).float()
    for name, dim, color in (("x", -1, COLORS[0]), ("y", -2, COLORS[1])):
        family, here = (_normal(part, dim) for part in (floor, phase))
        lags = np.arange(here.shape[-1])
        axis.fill_between(lags, *np.quantile(family, (0.05, 0.95), axis=0), color=color, alpha=0.15, lw=0)
        axis.plot(lags, np.median(family, axis=0), color=color, lw=0.8, ls="--", label=f"along {name}: the family")
        axis.plot(lags, here.mean(0), color=color, label=f"along {name}: designs")
    axis.axhline(0, color=GREY, lw=0.6)
    axis.set(xlabel="lag, pixels", ylabel="two-point correlation", title="two-point functions, over the variance")
    axis.legend()


def _normal(phase: torch.Tensor, dim: int) -> np.ndarray:
    share = phase.mean((-2, -1))[:, None]
    found = two_point(phase)
    line = found[:, 0] if dim == -1 else found[:, :, 0]
    lags = min(line.shape[-1] // 2, 32)
    return ((line[:, :lags] - share**2) / (share * (1 - share)).clamp_min(1e-6)).numpy()


def _conductivities(axis: Any, study: MicrostructureStudy, result: Result, floor: torch.Tensor) -> None:
    """In the plane of both conductivities, with the lens that materials of the designs' fraction fill."""
    contrast, share = study.goals.contrast, float(np.median(result.samples["fraction"].values))
    k = torch.diagonal(study.goals.conductivity(floor, ROUGH), dim1=-2, dim2=-1)
    low, high = (np.median(result.samples["wiener"].values[:, i]) for i in (0, 1))
    room = 0.08 * (high - low)
    line = torch.linspace(float(low - room), float(high + room), 200).double()
    plane = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)
    inside = slack(plane, contrast, share).amin(-1)
    axis.contourf(line, line, inside, levels=[0, np.inf], colors=["0.9"])
    axis.contour(line, line, inside, levels=[0], colors=[GREY], linewidths=0.8)
    axis.plot([], [], color=GREY, label=f"bounds at a fraction of {share:.2f}")
    axis.scatter(*k.T, s=10, color=GREY, label=f"{len(floor)} samples of the family")
    axis.scatter(*result.samples["conductivity"].values.T, s=16, color=COLORS[0], label="designs", zorder=3)
    for name, mark in zip(CONDUCTIVITIES, (axis.axvline, axis.axhline)):
        if name in study.goals.wanted:
            mark(study.goals.wanted[name], color=COLORS[1], lw=0.8, label="asked for" if name == "kx" else None)
    axis.set(xlabel="conductivity along x", ylabel="conductivity along y", title="between the bounds", aspect="equal")
    axis.legend(loc="best")


def _moduli(axis: Any, study: MicrostructureStudy, result: Result, floor: torch.Tensor) -> None:
    """Each modulus over the mean of both phases (Voigt's bound), a row each; the bulk modulus over its upper bound."""
    names = [name for name in study.goals.wanted if name in MODULI]
    solid = study.goals.stiffness(torch.ones(4, 4).double())
    shares = floor.mean((-2, -1)).numpy(), result.samples["fraction"].values
    stiff = study.goals.stiffness(floor, ROUGH).numpy(), result.samples["stiffness"].values
    jitter = np.random.default_rng(0).uniform(-0.18, 0.18, max(map(len, shares)))
    for number, name in enumerate(names):
        i, j = MODULI[name]
        for share, c, color, size in zip(shares, stiff, (GREY, COLORS[0]), (10, 16)):
            axis.scatter(c[:, i, j] / (share * float(solid[i, j])), number + jitter[: len(c)], s=size, color=color)
        wanted = study.goals.wanted[name] / (np.median(shares[1]) * float(solid[i, j]))
        axis.plot([wanted, wanted], [number - 0.35, number + 0.35], color=COLORS[1])
    bulk = result.samples["bulk"].values / result.samples["bulk_hashin_shtrikman"].values[:, 1]
    axis.scatter(bulk, len(names) + jitter[: len(bulk)], s=16, color=COLORS[0], label="designs")
    axis.scatter([], [], s=10, color=GREY, label=f"{len(floor)} samples of the family")
    axis.plot([], [], color=COLORS[1], label="asked for")
    axis.axvline(1, color=GREY, lw=0.8)
    axis.set_yticks(range(len(names) + 1), [*names, "bulk modulus"])
    axis.set(xlim=(0, 1.05), title="between the bounds",
             xlabel="over Voigt's bound; bulk: Hashin and Shtrikman's")
    axis.legend(loc="best")
