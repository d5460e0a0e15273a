"""Rows of the rivals: trained where no file of theirs is kept, then measured and designed with as ours are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from sciencegen.physics.microstructure import FAMILIES, Style
from sciencegen.studies.microstructure.goals import ROUGH, Goals
from sciencegen.studies.microstructure.newton import newton
from sciencegen.studies.microstructure.prior import SIDE, Crops, prior_layout, read

from .. import controls, designs
from ..looks import apart, worst
from .decoder import Decoded, Decoder
from .gan import gan
from .mixing import drawn, mixed, units
from .vae import vae

__all__ = ["RIVALS", "rival", "tables"]

MAKER = Path(__file__).parents[3] / "datasets" / "make_microstructures.py"
Trained = tuple[Decoder, dict[str, float]]
RIVALS: Mapping[str, Callable[[Crops, int], Trained]] = {
    "VAE": vae,
    "GAN": gan,
    "GAN, mixed batches": lambda rows, steps: gan(rows, steps, mixed=True),
}
IMAGES, SEED = 6000, 7  # of the set of 32 x 32 pixels that they are trained on
ONE = Style([3.5], [30.0], [2.0], [0.4])


def rival(name: str, out: Path, steps: int) -> Trained:
    """A decoder and what its training told: from ``out`` if it is kept there, else trained."""
    kept = out / f"{name.replace(', ', '_').replace(' ', '_')}_{steps}.pt"
    if not kept.exists():
        file = out / f"microstructures_{SIDE}.h5"
        words = ["--grid", str(SIDE), "--samples", str(IMAGES), "--seed", str(SEED), "--out", str(file)]
        subprocess.run([sys.executable, str(MAKER), *words], check=True)
        decoder, told = RIVALS[name](Crops(prior_layout(), *read(file)), steps)
        torch.save({"weights": decoder.half().state_dict(), "told": told}, kept)
    state = torch.load(kept, weights_only=True)
    decoder = Decoder().requires_grad_(False)
    decoder.load_state_dict(state["weights"])
    return decoder.float().eval(), state["told"]


def tables(out: Path, steps: Mapping[str, int], count: int) -> dict[str, dict[str, dict[str, float | str]]]:
    """Tables of the rivals, trained for so many steps each: training, controls, mixing and designs."""
    found: dict[str, Trained] = {name: rival(name, out, number) for name, number in steps.items()}
    made = {"Rivals, training": {name: {"steps": steps[name], **told} for name, (_, told) in found.items()},
            "Rivals, controls": {name: follows(decoder) for name, (decoder, _) in found.items()},
            "Rivals, style mixing: slopes on the style of coarse blocks | of fine blocks": {
                f"{name}, {depth} of 3 coarse": {key: f"{a:.2f} | {b:.2f}" for key, (a, b)
                                                 in mixed(decoder, depth).items()}
                for name, (decoder, _) in found.items() for depth in (0, 1, 2, 3)}}
    for family in designs.FRACTIONS:
        made[f"Rivals, {family}, conductivities of held-out images, {count} designs"] = {
            name: designed(decoder, family, count) for name, (decoder, _) in found.items()}
    return made


def follows(decoder: Decoder) -> dict[str, float]:
    """How images follow the style that was asked for, and the error of their two-point function."""
    draw = drawn(decoder)
    scores = {f"R2 of {name}": value for name, value in controls.followed(draw).items()}
    return scores | {"two-point error": controls.two_point_error(draw, ONE, 0),
                     "two-point error, held-out": controls.two_point_error(controls.held_out, ONE, 0)}


def designed(decoder: Decoder, family: str, count: int) -> dict[str, float | str]:
    """A row as those of :func:`..designs.families`, of the same targets and the same reference."""
    goals, style = Goals({"kx": 2.0, "ky": 2.0}), Style([designs.LENGTH], [0.0], [1.0], [designs.FRACTIONS[family]])
    draw = lambda n, seed: FAMILIES[family].draw(style[torch.zeros(n, dtype=torch.long)], (2 * SIDE, 2 * SIDE), seed)
    target, reference = goals.of(draw(count, 1), ROUGH), draw(2 * count, 2)
    structures = Decoded(decoder, units(style, list(FAMILIES).index(family))[0])
    start = structures.draw(torch.arange(count))
    image = lambda x: structures.phase(x, designs.NARROW).detach()

    def moved() -> tuple[torch.Tensor, float]:
        found = newton(start, structures.phase, goals, designs.SOLVES, target=target)
        return image(found.x), float(found.solves.double().mean())

    row = designs.made(goals, target, moved)
    (distance, which), (free, _) = worst(row.phase, reference), worst(image(start), reference)
    return row.row() | {"diversity over the prior's": apart(row.phase) / apart(image(start)), "largest KS": distance,
                        "of": which, "largest KS of samples": free}
