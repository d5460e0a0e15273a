"""A trained prior as a directory: what it is, its numbers, and its card.

``config.json`` says how to build it (class paths and constructor arguments, the layout with its units) and how it was
trained; ``model.safetensors`` holds the weights and the Gaussian; ``README.md`` is the card: "Model Cards for Model
Reporting" (Mitchell et al., 2019), https://arxiv.org/abs/1810.03993. Nothing is pickled and only classes of trusted
packages are built, so that a model from a stranger can be opened. A directory is written beside its place and renamed,
so that it is whole or not there.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.resources
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from ..layout import Layout
from ..recipe import Recipe, module_class
from .base import Prior

__all__ = ["Model", "Recipe", "zoo"]

_FORMAT = "sciencegen model 1"
_PRIORS = ("sciencegen.priors.diffusion",)
_MOVED = {f"sciencegen.network.{name}": f"sciencegen.priors.diffusion.{name}" for name in ("Denoiser", "EnergyNet")}


@dataclass(frozen=True)
class Model:
    """A trained prior: an energy of a state, and what the numbers of that state mean.

    Arguments:
        layout: of the state; its size is the energy's.
        energy: a trained prior of the whole state (not a marginal of one).
        recipe: of ``energy``'s network.
        card: Markdown on data, training, limits and licence; written from the rest if empty.
        training: JSON-ready facts: data, steps, loss, ...

    Raises:
        ValueError: layout and energy are of different sizes.
    """

    layout: Layout
    energy: Prior
    recipe: Recipe
    card: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.layout.size != self.energy.size:
            raise ValueError(f"got {self.layout} of {self.layout.size} numbers and {self.energy!r} of "
                             f"{self.energy.size}; expected the energy of the layout's whole state")
        self.energy.config()  # refuses a part of what a network knows

    def config(self) -> dict[str, Any]:
        """What ``config.json`` says, but for the checksum of the weights."""
        kind, dtype = type(self.energy), next(self.energy.parameters()).dtype
        return {"format": _FORMAT, "version": importlib.metadata.version("sciencegen"),
                "layout": self.layout.config(),
                "energy": {"class": f"{kind.__module__}.{kind.__qualname__}", "arguments": self.energy.config()},
                "net": self.recipe.config(), "dtype": str(dtype).removeprefix("torch."),
                "training": dict(self.training)}

    def save(self, directory: str | os.PathLike, half: bool = False) -> None:
        """Write the directory; a model that is there is replaced.

        ``half`` stores the network's weights in 16 bits, good for three digits; they are loaded in 32. The Gaussian
        keeps its precision, but for axes of low rank. ValueError if the recipe does not build the energy's network, if
        something is not JSON, or if the directory holds something else.
        """
        path = Path(directory)
        if path.exists() and not _is_model(path):
            raise ValueError(f"got {path}, which holds something else; expected a new name or a model's directory")
        blank = self.energy.build(self.energy.config(), self.recipe.build([self.recipe.path]), self.energy.tensors())
        here, built = ({k: v.shape for k, v in e.net.state_dict().items()} for e in (self.energy, blank))
        differ = [k for k in {**here, **built} if here.get(k) != built.get(k)]
        if differ:
            raise ValueError(f"got {self.recipe}, which builds other weights than the energy's, as {differ[0]}; "
                             "expected the recipe of the energy's network")
        weights = save(self._tensors(half), {"format": "pt"})
        config = {**self.config(), "sha256": hashlib.sha256(weights).hexdigest()}
        try:
            text = json.dumps(config, indent=2, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"got {error} in the layout, the recipe's arguments or the training facts; expected "
                             "finite numbers, texts, lists and dictionaries") from error
        _write(path, {"config.json": text.encode(), "model.safetensors": weights,
                      "README.md": (self.card or _card(path.resolve().name, config)).encode()})

    def _tensors(self, half: bool) -> dict[str, Tensor]:
        net = {f"net.{k}": v.half() if half and v.is_floating_point() else v
               for k, v in self.energy.net.state_dict().items()}
        bad = [k for k, v in net.items() if not bool(torch.isfinite(v).all())]
        if bad:
            raise ValueError(f"got weights that are not finite, {bad[0]}; expected finite ones" +
                             (" below 65504: save with half=False" if half else ""))
        return {k: v.detach().cpu().clone().contiguous() for k, v in {**net, **self.energy.tensors(half)}.items()}

    @classmethod
    def load(cls, directory: str | os.PathLike, trusted: Sequence[str] = ()) -> Model:
        """The model that :meth:`save` wrote, on the CPU.

        ``trusted`` names packages whose classes may be built beside those of :mod:`sciencegen.recipe`.
        FileNotFoundError if it is not there; ValueError if it is damaged, of another format, or asks for a class that
        is not trusted.
        """
        path = Path(directory)
        config, weights = _read(path)
        card = (path / "README.md").read_text() if (path / "README.md").is_file() else ""
        try:
            recipe = Recipe.from_config(config["net"])
            energy = _energy(config, recipe, weights, trusted)
            return cls(Layout.from_config(config["layout"]), energy, recipe, card, config["training"])
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise ValueError(f"got a damaged {path / 'config.json'} ({error!r}); expected what Model.save wrote: copy "
                             "the model again") from error


def zoo(name: str) -> Model:
    """A trained prior that is shipped with the package; KeyError, with the list of them, if there is none so named."""
    root = importlib.resources.files("sciencegen") / "zoo"
    there = sorted(p.name for p in root.iterdir() if (p / "config.json").is_file()) if root.is_dir() else []
    if name not in there:
        raise KeyError(f"no trained prior '{name}'; this version has {there}")
    with importlib.resources.as_file(root / name) as path:
        return Model.load(path)


def _energy(config: Mapping[str, Any], recipe: Recipe, weights: Mapping[str, Tensor],
            trusted: Sequence[str]) -> Prior:
    dtype = {"float32": torch.float32, "float64": torch.float64}[config["dtype"]]
    path = config["energy"]["class"]
    kind = module_class(_MOVED.get(path, path), (*_PRIORS, *trusted))
    others = {k: v for k, v in weights.items() if not k.startswith("net.")}
    energy = kind.build(config["energy"]["arguments"], recipe.build(trusted).to(dtype), others).eval()
    energy.net.load_state_dict({k.removeprefix("net."): v for k, v in weights.items() if k not in others})
    return energy


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    for name in ("config.json", "model.safetensors"):
        if not (path / name).is_file():
            raise FileNotFoundError(f"got no {name} in {path}; expected a directory written by Model.save")
    blob = (path / "model.safetensors").read_bytes()
    try:
        config = json.loads((path / "config.json").read_text())
    except ValueError as error:
        raise ValueError(f"got a damaged {path / 'config.json'} ({error}); copy the model again") from error
    if not isinstance(config, dict) or config.get("format") != _FORMAT:
        raise ValueError(f"got {path}, which is not a '{_FORMAT}'; expected a directory written by Model.save (of this "
                         "version of sciencegen, or an older one)")
    if config.get("sha256") != hashlib.sha256(blob).hexdigest():
        raise ValueError(f"got a damaged {path / 'model.safetensors'}; expected the checksum in config.json: copy the "
                         "model again")
    return config, load(blob)


def _write(path: Path, files: Mapping[str, bytes]) -> None:
    new, old = (path.with_name(f".{path.name}.{os.getpid()}.{tag}") for tag in ("new", "old"))
    new.mkdir(parents=True)
    try:
        for name, content in files.items():
            (new / name).write_bytes(content)
        if path.exists():
            os.replace(path, old)
        os.replace(new, path)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _is_model(path: Path) -> bool:
    if path.is_dir() and not any(path.iterdir()):
        return True
    try:
        return json.loads((path / "config.json").read_text())["format"] == _FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _card(name: str, config: Mapping[str, Any]) -> str:
    parts = [f"| {k} | {v['shape']} | {v['units'] or '1'} |" for k, v in config["layout"].items()]
    facts = [f"- {k}: {v}" for k, v in config["training"].items()]
    return "\n".join(["---", "library_name: sciencegen", "---", f"# {name}", "", "A prior of sciencegen "
                      f"{config['version']}: `{config['energy']['class']}` with a `{config['net']['class']}`.", "",
                      "| variable | shape | units |", "|---|---|---|", *parts, "", "## Training", *facts, ""])
