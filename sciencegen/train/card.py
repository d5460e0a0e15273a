"""The card of a trained model, in Markdown: what it is of, the verdict first, scores beside floors.

"Model Cards for Model Reporting" (Mitchell et al., 2019), https://arxiv.org/abs/1810.03993
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..priors.model import Model

__all__ = ["card"]


def card(model: Model) -> str:
    """The text of a model that :func:`sciencegen.train.train` made, from its training facts alone."""
    facts = model.training
    return "\n".join(["---", "library_name: sciencegen", "---", "# A trained prior", "", f"**{facts['verdict']}.**", "",
                      f"`{type(model.energy).__name__}` with `{model.recipe.path}` on the Gaussian "
                      f"'{facts['gaussian']}'.", "", *_parts(model), *_data(facts), *_denoising(facts),
                      *_calibration(facts), *_training(facts), ""])


def _parts(model: Model) -> Iterator[str]:
    yield from ("| part | axes | shape | units |", "|---|---|---|---|")
    for name, variable in model.layout.variables.items():
        shape = " x ".join(map(str, variable.shape)) or "a number"
        yield f"| {name} | {', '.join(variable.dims)} | {shape} | {variable.units or '1'} |"


def _data(facts: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "## Data", "", "Rows for training, validation, test: " + ", ".join(map(str, facts["rows"])) + ".")
    yield from (f"- {note}" for note in facts["data"])


def _denoising(facts: Mapping[str, Any]) -> Iterator[str]:
    if "denoising" not in facts:
        return
    levels = facts["denoising"]["sigma"]
    yield from ("", "## Denoising", "", "Root of the mean squared error over the noise level, on held-out rows.", "",
                f"| part | {' | '.join(f'noise {level:.3g}' for level in levels)} |", "|---" * (1 + len(levels)) + "|")
    for name, found in facts["denoising"].items():
        if name != "sigma":
            for who, errors in found.items():
                yield f"| {name}, {who} | {' | '.join(f'{error:.3f}' for error in errors)} |"


def _calibration(facts: Mapping[str, Any]) -> Iterator[str]:
    for question, found in facts.get("calibration", {}).items():
        yield from ("", f"## Calibration: {question}", "", "In units of the part's standard deviation; intervals of 90 "
                    "% should hold 90 % of what is true.", "",
                    "| part | error | spread | coverage of 90 % | error of the Gaussian |", "|---|---|---|---|---|")
        for name, one in found.items():
            yield (f"| {name} | {one['error']:.3f} | {one['spread']:.3f} | {100 * one['coverage']:.0f} % | "
                   f"{one['error of the Gaussian']:.3f} |")


def _training(facts: Mapping[str, Any]) -> Iterator[str]:
    told = {"verdict", "better", "rows", "data", "denoising", "calibration"}
    yield from ("", "## Training", "")
    yield from (f"- {name}: {value}" for name, value in facts.items() if name not in told)
