r"""Controls of a generator of microstructures: does an image have the style that was asked for, and no seam.

A generator is a function ``draw(style, family, side, seed) -> phase (B, side, side)`` of 0 and 1, ours or another's.
What is measured of its images is measured of held-out ones of the laws themselves, in the same number (the floor); a
measured length or aspect is read off a regression on images of the laws, as the grid makes lengths a little longer than
the style says, by the same amount in all images of one law.

- *Followed*: the share of the variance of what was asked that the images follow, :math:`R^2`, of the logarithms of
  length and aspect, of the fraction, and of the angle by its double, :math:`(\cos 2\theta, \sin 2\theta)`, where the
  aspect is above 1.4. A style is measured over ``repeats`` images.
- *Two-point error*: root mean square over all lags of the difference between mean two-point functions, over the
  variance :math:`\varphi (1 - \varphi)`; the reference is the closed form of level sets, else that of four times as
  many images.
- *Seam*: the Kolmogorov-Smirnov distance between slopes on lines where a patch begins and slopes elsewhere.
- *Painted*: local statistics in windows of two patches beside those of a homogeneous image of that style.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import ks_2samp
from torch import Tensor

from sciencegen.physics.microstructure import FAMILIES, LevelSet, Style, fraction, style_of, two_point
from sciencegen.priors import Model
from sciencegen.sample import Ancestral, karras
from sciencegen.studies.microstructure.prior import OVERLAP, SIDE, composed, encoded

__all__ = ["Draw", "followed", "held_out", "ours", "painted", "seam", "styles", "two_point_error"]

Draw = Callable[[Style, Tensor, int, int], Tensor]
LAWS = list(FAMILIES.values())
STRIDE = SIDE - OVERLAP
FRACTIONS = ((0.3, 0.7), (0.3, 0.7), (0.18, 0.38), (0.35, 0.65))  # of the families, inside the ranges of the training
LENGTHS, ASPECTS = (2.2, 4.6), (1.0, 2.8)
READINGS = 160  # styles of the regression
CLEAR = 1.4  # aspect from which on an angle is one
CHUNK = 2**15  # pixels that are sampled at once


class Fit(NamedTuple):
    """What was asked and what was found, ``(n,)`` each or ``(n, 2)`` of angles, by name."""

    asked: dict[str, Tensor]
    found: dict[str, Tensor]


def held_out(style: Style, family: Tensor, side: int, seed: int) -> Tensor:
    """Images of the laws themselves."""
    images = torch.empty(len(style), side, side)
    for k, law in enumerate(LAWS):
        here = (family == k).nonzero()[:, 0]
        if len(here):
            images[here] = law.draw(style[here], (side, side), seed=2**20 + len(LAWS) * seed + k)
    return images


def ours(model: Model, steps: int = 24, high: float = 80.0) -> Draw:
    """Images by patches, of any side that is a multiple of 16: where the sample is above zero."""
    sampler = Ancestral(karras(steps, 5e-2, high))

    def draw(style: Style, family: Tensor, side: int, seed: int) -> Tensor:
        problem, numbers, found = composed(model, side, side), encoded(style, family).float(), []
        for rows in torch.arange(len(style)).split(max(CHUNK // side**2, 1)):
            seeds = rows + seed * 10**6
            energy = problem.given(style=numbers[rows]).energy()
            found.append(sampler(energy, sampler.start(len(rows), side**2, seeds), seeds))
        return (torch.cat(found) > 0).float().reshape(-1, side, side)

    return draw


def styles(count: int, seed: int = 0) -> tuple[Style, Tensor]:
    """Styles and families in turn, ``(count,)``, uniform over the ranges."""
    unit = torch.from_numpy(np.random.default_rng((seed, 5)).random((4, count)))
    family = torch.arange(count) % len(LAWS)
    low, high = torch.tensor(FRACTIONS, dtype=torch.float64)[family].unbind(-1)
    between = lambda u, ends: ends[0] * (ends[1] / ends[0]) ** u
    share = low + (high - low) * unit[3]
    return Style(between(unit[0], LENGTHS), 180 * unit[1], between(unit[2], ASPECTS), share), family


def followed(draw: Draw, count: int = 48, repeats: int = 4, side: int = 64, seed: int = 0) -> dict[str, float]:
    """:math:`R^2` of length, angle, aspect and fraction of images against what was asked, over all families."""
    fit, scores = _measured(draw, count, repeats, side, seed), {}
    law = _measured(held_out, READINGS, repeats, side, seed + 1)
    for name, asked in fit.asked.items():
        found = fit.found[name]
        if name in ("length", "aspect"):
            found = _features(fit) @ torch.linalg.lstsq(_features(law), law.asked[name][:, None]).solution
            found = found[:, 0]
        left, all_of = (found - asked).square().sum(), (asked - asked.mean(0)).square().sum()
        scores[name] = float(1 - left / all_of)
    return scores


def _features(fit: Fit) -> Tensor:
    """What a length or aspect is read off: both as they look, their squares and product, and the family."""
    a, b, family = fit.found["length"], fit.found["aspect"], torch.arange(len(fit.found["length"])) % len(LAWS)
    return torch.cat([torch.stack([a, b, a * a, b * b, a * b], -1), torch.nn.functional.one_hot(family, len(LAWS))], -1)


def _measured(draw: Draw, count: int, repeats: int, side: int, seed: int) -> Fit:
    style, family = styles(count, seed)
    images = draw(style[torch.arange(count).repeat_interleave(repeats)], family.repeat_interleave(repeats), side, seed)
    seen = style_of(images.double())
    mean = lambda v: v.unflatten(0, (count, repeats)).mean(1)
    found = Style.stretched(mean(seen.length.log()).exp(), mean(seen.stretch), mean(seen.fraction))
    clear = style.aspect > CLEAR
    double = lambda s: torch.stack([torch.deg2rad(2 * s.angle).cos(), torch.deg2rad(2 * s.angle).sin()], -1)[clear]
    each = lambda s: {"length": s.length.log(), "angle": double(s), "aspect": s.aspect.log(), "fraction": s.fraction}
    return Fit(each(style), each(found))


def two_point_error(draw: Draw, style: Style, family: int, count: int = 64, side: int = 64, seed: int = 0) -> float:
    """The error of the mean two-point function of ``count`` images of one style."""
    many = lambda n: style[torch.zeros(n, dtype=torch.long)]
    of = lambda one, n, k: two_point(one(many(n), torch.full((n,), family), side, k).double()).mean(0)
    law = LAWS[family]
    level = isinstance(law, LevelSet)
    exact = law.two_point(style[:1], (side, side))[0] if level else of(held_out, 4 * count, seed + 1)
    spread = float(exact[0, 0] * (1 - exact[0, 0]))
    return float((of(draw, count, seed) - exact).square().mean().sqrt()) / spread


def seam(images: Tensor, stride: int = STRIDE) -> float:
    """Kolmogorov-Smirnov distance between slopes across lines where patches begin and across all others.

    Slopes are those of images that were smoothed over three pixels along the line, so that there are many of them.
    """
    worst = 0.0
    for axis in (-1, -2):
        across = -1 if axis == -2 else -2
        smooth = (images.roll(1, across) + images + images.roll(-1, across)) / 3
        slopes = (smooth - smooth.roll(1, axis)).movedim(axis, 0)
        edge = torch.arange(len(slopes)) % stride == 0
        worst = max(worst, float(ks_2samp(slopes[edge].flatten(), slopes[~edge].flatten()).statistic))
    return worst


def painted(model: Model, family: int = 0, patches: int = 8, count: int = 12, steps: int = 24, seed: int = 0
            ) -> dict[str, float]:
    """Relative errors of local fraction and length, in the mean over windows, where both vary over the image.

    The fraction goes from 0.3 to 0.6 and back along x, the length from 2.5 to 4.5 and back along y.
    """
    turn = (1 - torch.cos(2 * torch.pi * torch.arange(patches, dtype=torch.float64) / patches)) / 2
    length, share = torch.meshgrid(2.5 + 2 * turn, 0.3 + 0.3 * turn, indexing="ij")
    style, side = Style(length.flatten(), 0.0, 1.0, share.flatten()), STRIDE * patches
    numbers = encoded(style, family).float().reshape(patches, patches, -1)
    energy = composed(model, side, side, painted=True).given(style=numbers).energy()
    sampler, seeds = Ancestral(karras(steps, 5e-2, 80.0)), torch.arange(count) + seed * 10**6
    images = sampler(energy, sampler.start(count, side**2, seeds), seeds).reshape(count, side, side) > 0
    window = lambda v: torch.nn.functional.avg_pool2d(
        torch.nn.functional.pad(v[:, None].double(), (0, SIDE, 0, SIDE), mode="circular"), SIDE, STRIDE)[
            :, 0, :patches, :patches].mean(0).flatten()
    found = _local(images, window)
    wanted = [_local(held_out(style[[k] * count], torch.full((count,), family), side, seed + k), fraction)
              for k in range(len(style))]
    wanted = [torch.stack([w[i].mean() for w in wanted]) for i in range(2)]
    return {name: float(((f - w).abs() / w).mean()) for name, f, w in zip(("fraction", "length"), found, wanted)}


def _local(images: Tensor, mean: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Fraction and length by local means: how much there is, and how often neighbours differ."""
    phase = images.double()
    share = mean(phase)
    differ = sum(mean((phase - phase.roll(1, axis)).abs()) for axis in (-1, -2)) / 2
    return share, 2 * share * (1 - share) / differ
