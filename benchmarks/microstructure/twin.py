r"""The digital twin: a structure and its style, found again from a local image or from measured conductivities.

Truths are drawn as the prior is, or held out of the data that it learned. A scan sees a window, a quarter of the image,
with noise; a measurement, the effective conductivities of the whole. ``invert`` draws the posterior of all pixels and
of the style. Where the posterior is right, 90 % intervals hold 90 % of the truths: of length, angle and fraction, and
of pixels that were not seen.

Intervals are from the first to the last of 19 samples; a truth that equals samples, as a pixel of two values does, has
a rank among them at random. An angle is counted from the samples' mean axis.
"""

from __future__ import annotations

import abc
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sciencegen.exact import Gaussian
from sciencegen.layout import Layout, Variable
from sciencegen.measure import Entries
from sciencegen.physics.homogenise import conductivity
from sciencegen.physics.microstructure import LevelSet, Style
from sciencegen.priors import Model
from sciencegen.problem import Parts, Problem
from sciencegen.sample import Heun, Multistep, Sampler, karras
from sciencegen.studies.microstructure.prior import LOC, SCALE, SIDE, Crops, decoded, read
from sciencegen.tasks import invert

__all__ = ["Measured", "Patch", "Scanned", "Twin", "covered", "scored", "tables"]

SAMPLES = 19
WINDOW = slice(SIDE // 4, 3 * SIDE // 4)
CONTRAST, SOFT = 10.0, 0.3
FAMILY = LevelSet()


class Twin(abc.ABC):
    """What is asked again and again: a problem, what is measured of a truth, and how well."""

    problem: Problem
    noise: float
    sampler: Sampler

    @abc.abstractmethod
    def truth(self, case: int) -> dict[str, Tensor]:
        """Physical parts of a structure, ``(1, *shape)``, and what is derived of them."""

    @abc.abstractmethod
    def measure(self, **parts: Tensor) -> Tensor:
        """``(*B, m)``."""

    @abc.abstractmethod
    def seen(self) -> Tensor:
        """Which pixels ``(32, 32)`` are measured."""

    @abc.abstractmethod
    def looks(self, parts: dict[str, Tensor]) -> tuple[Style, Tensor]:
        """Styles ``(B,)`` and pixels ``(B, 32, 32)``, from the parts."""


@dataclass(frozen=True)
class Scanned(Twin):
    """A level set of unknown style, of which a window is seen in shades, ``tanh(field - threshold)``, with noise.

    The state is white noise and the style, all normal: the prior is known in closed form.
    """

    noise: float = 0.3
    sampler: Sampler = Heun(karras(12, 0.02, 10.0))

    @property
    def problem(self) -> Problem:
        style = Variable((4,), *(torch.tensor(v[:4], dtype=torch.float64) for v in (LOC, SCALE)))
        layout = Layout(noise=Variable((SIDE, SIDE), dims=("y", "x")), style=style)
        return Problem(layout, Gaussian(torch.zeros(layout.size), torch.tensor(1.0)), derive=self.derive)

    def derive(self, noise: Tensor, style: Tensor) -> dict[str, Tensor]:
        """The field above its threshold ``(*B, 32, 32)``."""
        styles, white = self._style(style), noise.reshape(-1, SIDE, SIDE)
        field = FAMILY.field(styles, white) - FAMILY.threshold(styles)[:, None, None].to(white)
        return {"height": field.reshape(noise.shape)}

    def truth(self, case: int) -> dict[str, Tensor]:
        draws = torch.Generator().manual_seed(case)
        return self.problem.parts(torch.randn(1, self.problem.size, generator=draws))

    def measure(self, height: Tensor, **_: Tensor) -> Tensor:
        return torch.tanh(height[..., WINDOW, WINDOW]).flatten(-2)

    def seen(self) -> Tensor:
        return window()

    def looks(self, parts: dict[str, Tensor]) -> tuple[Style, Tensor]:
        return self._style(parts["style"]), parts["height"]

    def _style(self, numbers: Tensor) -> Style:
        length, stretch, share = numbers.reshape(-1, 4).split([1, 2, 1], -1)
        return Style.stretched(length[:, 0].exp(), stretch, share[:, 0].clamp(0.05, 0.95))


@dataclass(frozen=True)
class Measured(Scanned):
    """The same structures, of which nothing is seen: ``kx``, ``ky`` and ``kxy`` of ten to one are measured."""

    noise: float = 0.05

    def measure(self, height: Tensor, **_: Tensor) -> Tensor:
        cells = 1 + (CONTRAST - 1) * torch.sigmoid(height / SOFT).mT
        with torch.enable_grad():
            here = cells.detach().requires_grad_()
            k = conductivity(here, tolerance=1e-4)
            found = torch.stack([k[..., 0, 0], k[..., 1, 1], k[..., 0, 1]], -1)
            rows = [torch.autograd.grad(part.sum(), here, retain_graph=True)[0] for part in found.unbind(-1)]
        moved = cells - cells.detach()  # zero, with a slope of which there are derivatives again
        return found.detach() + torch.stack([(row * moved).sum((-2, -1)) for row in rows], -1)

    def seen(self) -> Tensor:
        return torch.zeros(SIDE, SIDE, dtype=torch.bool)


@dataclass(frozen=True)
class Patch(Twin):
    """Structures of all families by a trained prior of patches, of which a window is seen, 0 and 1 with noise.

    Arguments:
        file: a set of datasets/make_microstructures.py that was not trained on; truths are patches of it.
    """

    model: Model
    file: Path
    noise: float = 0.1
    sampler: Sampler = Multistep(karras(20, 0.02, 80.0))

    @property
    def problem(self) -> Problem:
        return Problem(self.model.layout, self.model.energy)

    def truth(self, case: int) -> dict[str, Tensor]:
        images, numbers = read(self.file)
        picked = slice(case, case + 1)
        return self.model.layout.unpack(Crops(self.model.layout, images[picked], numbers[picked], 1, case).rows())

    def measure(self, **parts: Tensor) -> Tensor:
        return Entries("phase", (WINDOW, WINDOW))(**parts)

    def seen(self) -> Tensor:
        return window()

    def looks(self, parts: dict[str, Tensor]) -> tuple[Style, Tensor]:
        return decoded(parts["style"])[0], (parts["phase"] > 0.5).float()


def window() -> Tensor:
    """The pixels of a scan, ``(32, 32)``."""
    inside = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    inside[WINDOW, WINDOW] = True
    return inside


def scored(twin: Twin, cases: int, seed: int = 0) -> dict[str, float]:
    """Coverage of 90 % intervals over the cases, the spread that is left of styles, and seconds a case."""
    told, start = [], time.process_time()
    for case in range(seed * 10**4, seed * 10**4 + cases):
        parts, draws = twin.truth(case), torch.Generator().manual_seed(case)
        data = twin.measure(**parts)[0]
        data = data + twin.noise * torch.randn(data.shape, generator=draws)
        told.append(_case(twin, parts, twin_samples(twin, data, case), draws))
    means = {name: sum(row[name] for row in told) / cases for name in told[0]}
    return {**means, "seconds": (time.process_time() - start) / cases}


def tables(cases: int, model: Model | None = None, file: Path | None = None) -> dict[str, dict[str, dict[str, float]]]:
    """Coverage of 90 % intervals by kind of twin; with a prior of patches and a held-out set, by that too."""
    twins: dict[str, Twin] = {"level set, a window seen": Scanned(), "level set, conductivities": Measured()}
    if model is not None and file is not None:
        twins["patches, a window seen"] = Patch(model, file)
    return {f"Digital twins: coverage of 90 % intervals, {cases} truths": {
        name: scored(twin, cases) for name, twin in twins.items()}}


def twin_samples(twin: Twin, data: Tensor, case: int) -> dict[str, Tensor]:
    """Parts of 19 samples of the posterior."""
    problem, seeds = twin.problem, torch.arange(SAMPLES) + SAMPLES * case
    measure: Parts = twin.measure
    found = invert(problem, measure, data, twin.noise, twin.sampler, SAMPLES, seeds, progress=False)
    values = {name: torch.tensor(found.samples[name].values) for name in problem.layout.variables}
    return problem.parts(problem.layout.pack(**values).float())


def _case(twin: Twin, truth: dict[str, Tensor], samples: dict[str, Tensor], draws: torch.Generator) -> dict[str, float]:
    (style, pixels), (styles, images) = twin.looks(truth), twin.looks(samples)
    turn = torch.deg2rad(2 * styles.angle)
    axis = torch.rad2deg(torch.atan2(turn.sin().mean(), turn.cos().mean())) / 2
    about = lambda angle: (angle - axis + 90) % 180 - 90
    numbers = {"length": (styles.length, style.length[0]), "angle": (about(styles.angle), about(style.angle[0])),
               "fraction": (styles.fraction, style.fraction[0])}
    hidden = ~twin.seen()
    found = {name: float(covered(*pair, draws)) for name, pair in numbers.items()}
    found["unseen"] = float(covered(images[:, hidden], pixels[0, hidden], draws).float().mean())
    left = {f"{name} left": float(values.std()) for name, (values, _) in numbers.items()}
    return found | left


def covered(samples: Tensor, truth: Tensor, draws: torch.Generator) -> Tensor:
    """Whether each number of a truth ``(*B)`` is between the first and the last of ``samples (S, *B)``; ties by lot."""
    below, equal = (samples < truth).sum(0), (samples == truth).sum(0)
    rank = below + (torch.rand(truth.shape, generator=draws) * (equal + 1)).floor()
    return (rank > 0) & (rank < len(samples))
