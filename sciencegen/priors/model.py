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
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from ..energy import Energy
from ..layout import Layout
from ..problem import Problem
from ..recipe import Recipe
from . import doors
from .base import Prior

__all__ = ["Model", "Recipe", "zoo"]


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

    def problem(self, laws: Energy | None = None, derive: Callable[..., dict[str, Tensor]] | None = None) -> Problem:
        """What a task asks about: this prior, with the laws that its states obey and what is derived of them."""
        return Problem(self.layout, self.energy, laws, derive)

    def config(self) -> dict[str, Any]:
        """What ``config.json`` says, but for the checksum of the weights."""
        kind, dtype = type(self.energy), next(self.energy.parameters()).dtype
        return {"format": doors.FORMAT, "version": importlib.metadata.version("sciencegen"),
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
        blank = self.energy.around(self.recipe.build([self.recipe.path]))
        here, built = ({k: v.shape for k, v in _weights(net).items()} for net in (self.energy.net, blank))
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
               for k, v in _weights(self.energy.net).items()}
        found = {**net, **self.energy.tensors(half)}
        if bad := [k for k, v in found.items() if not bool(torch.isfinite(v).all())]:
            raise ValueError(f"got numbers that are not finite, in {bad[0]}; expected finite ones" +
                             (" below 65504: save with half=False" if half else ""))
        return {k: v.detach().cpu().clone().contiguous() for k, v in found.items()}

    @classmethod
    def load(cls, directory: str | os.PathLike, trusted: Sequence[str] = (),
             device: torch.device | str | None = None) -> Model:
        """The model that :meth:`save` wrote, on the CPU unless another ``device`` is named; a stranger's may be opened.

        ``trusted`` names packages whose classes may be built beside those of :mod:`sciencegen.recipe`.
        FileNotFoundError if it is not there; ValueError if it is damaged, of another format, asks for a class that is
        not trusted or for more than its weights, or if there is no such device.
        """
        path, device = Path(directory), doors.device_of(device)
        config, header = doors.config_of(path), doors.header_of(path)
        with doors.said(path / doors.CONFIG):
            recipe, kind = Recipe.from_config(config["net"]), doors.kind_of(config["energy"]["class"], trusted)
            dtype, layout = doors.DTYPES[config["dtype"]], doors.layout_of(config["layout"], header)
            doors.require_fit(kind, recipe, header, trusted)
        weights = doors.weights_of(path, config.get("sha256"))
        with doors.said(path / doors.CONFIG):
            net = {k.removeprefix("net."): v for k, v in weights.items() if k.startswith("net.")}
            others = {k: v for k, v in weights.items() if not k.startswith("net.")}
            energy = kind.build(config["energy"]["arguments"], recipe.build(trusted).to(dtype), others).eval()
            energy.net.load_state_dict(net)
            return cls(layout, energy.to(device, dtype), recipe, doors.card_of(path), config["training"])


def zoo(name: str) -> Model:
    """A trained prior that is shipped with the package; KeyError, with the list of them, if there is none so named."""
    root = importlib.resources.files("sciencegen") / "zoo"
    there = sorted(p.name for p in root.iterdir() if (p / "config.json").is_file()) if root.is_dir() else []
    if name not in there:
        raise KeyError(f"no trained prior '{name}'; this version has {there}")
    with importlib.resources.as_file(root / name) as path:
        return Model.load(path)


def _weights(net: nn.Module) -> dict[str, Tensor]:
    """A network's tensors, by the names that they have without ``torch.compile``."""
    return {name.replace("_orig_mod.", ""): value for name, value in net.state_dict().items()}


def _write(path: Path, files: Mapping[str, bytes]) -> None:
    drawn = secrets.token_hex(4)  # a directory that hosts share may have two processes of one number
    new, old = (path.with_name(f".{path.name}.{os.getpid()}.{drawn}.{tag}") for tag in ("new", "old"))
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
        return json.loads((path / "config.json").read_text())["format"] == doors.FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _card(name: str, config: Mapping[str, Any]) -> str:
    parts = [f"| {k} | {v['shape']} | {v['units'] or '1'} |" for k, v in config["layout"].items()]
    facts = [f"- {k}: {v}" for k, v in config["training"].items()]
    return "\n".join(["---", "library_name: sciencegen", "---", f"# {name}", "", "A prior of sciencegen "
                      f"{config['version']}: `{config['energy']['class']}` with a `{config['net']['class']}`.", "",
                      "| variable | shape | units |", "|---|---|---|", *parts, "", "## Training", *facts, ""])
