"""Models from strangers: what is checked of a directory before anything of it is built or read.

A directory names classes and sizes. Nothing is unpickled, classes come from an explicit list
(:mod:`sciencegen.recipe`), and a network is first built on torch's ``meta`` device, where tensors have shapes and no
memory, and compared with the header of its weights, so that nothing is allocated that the file does not hold. Whatever
a library raises on the way becomes one ValueError: what was got, what was expected, what to do.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..files import affordable, regular
from ..layout import Layout
from ..recipe import Recipe, module_class
from .base import Prior

__all__ = ["CONFIG", "DTYPES", "FORMAT", "card_of", "config_of", "device_of", "header_of", "kind_of", "layout_of",
           "require_fit", "said", "weights_of"]

FORMAT = "sciencegen model 1"
DTYPES = {str(t).removeprefix("torch."): t for t in (torch.float16, torch.bfloat16, torch.float32, torch.float64)}

CONFIG, WEIGHTS = "config.json", "model.safetensors"
_LONGEST = 2**25  # bytes of a configuration
_SPARE = 2**31  # bytes of buffers that a network makes beside its weights
_PRIORS = ("sciencegen.priors", "sciencegen.studies.nbody.prior")
_MOVED = {f"sciencegen.network.{name}": f"sciencegen.priors.diffusion.{name}" for name in ("Denoiser", "EnergyNet")}

Header = Mapping[str, tuple[int, ...]]


def config_of(path: Path) -> dict[str, Any]:
    """``config.json`` of a model's directory; FileNotFoundError or ValueError if it is not one."""
    for name in (CONFIG, WEIGHTS):
        if not (path / name).is_file():
            raise FileNotFoundError(f"got no {name} in {path}; expected a directory written by Model.save")
    with said(path / CONFIG):
        if (size := (path / CONFIG).stat().st_size) > _LONGEST:
            raise ValueError(f"{size:,} bytes")
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"), parse_constant=_refused, parse_float=_number)
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise ValueError(f"got {path}, which is not a '{FORMAT}'; expected a directory written by Model.save (of this "
                         "version of sciencegen, or an older one)")
    return config


def header_of(path: Path) -> Header:
    """Shapes of the tensors in a model's weights, by name; none of them is read."""
    file = path / WEIGHTS
    with said(file):
        affordable(file, "weights", file.stat().st_size, "use a machine with more")
        with safe_open(regular(file), "pt") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}


def weights_of(path: Path, checksum: Any) -> dict[str, Tensor]:
    """The tensors themselves; ValueError if they are not those of the checksum, or not finite."""
    file = path / WEIGHTS
    with said(file), open(file, "rb") as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != checksum:
            raise ValueError("another checksum than in config.json")
        with safe_open(file, "pt") as tensors:
            found = {name: tensors.get_tensor(name) for name in tensors.keys()}
        bad = [name for name, value in found.items() if not bool(torch.isfinite(value).all())]
        if bad:
            raise ValueError(f"numbers in {bad[0]} that are not finite")
    return found


def kind_of(path: Any, trusted: Sequence[str]) -> type[Prior]:
    """The class of a prior; ValueError if it is not one of :mod:`sciencegen.priors`, or of a ``trusted`` package."""
    found = module_class(_MOVED.get(path, path), (*_PRIORS, *trusted))
    if not issubclass(found, Prior):
        raise ValueError(f"got the class {path}; expected a prior, as sciencegen.priors.diffusion.Denoiser")
    return found


def layout_of(config: Any, header: Header) -> Layout:
    """A layout with no more numbers than the weights have; ValueError for one that would take more memory."""
    size, most = sum(math.prod(entry["shape"]) for entry in config.values()), sum(map(math.prod, header.values()))
    if not 0 < size <= most:
        raise ValueError(f"a layout of {size:,} numbers and weights of {most:,}")
    return Layout.from_config(config)


def card_of(path: Path) -> str:
    """The card, if there is one; what is no text in it is marked."""
    card = path / "README.md"
    if not card.is_file() or card.stat().st_size > _LONGEST:
        return ""
    return card.read_text(encoding="utf-8", errors="replace")


def require_fit(kind: type[Prior], recipe: Recipe, header: Header, trusted: Sequence[str]) -> None:
    """ValueError unless the recipe's network has exactly the weights of the header, and asks for little beside them.

    Networks of ``trusted`` packages need not be able to be built without memory.
    """
    there = {name.removeprefix("net."): shape for name, shape in header.items() if name.startswith("net.")}
    most = sum(map(math.prod, header.values()))
    if large := [number for number in _integers(recipe) if abs(number) > max(most, 2**12)]:
        raise ValueError(f"the number {large[0]} for a network, where the weights are {most:,} numbers")
    with torch.device("cpu" if trusted else "meta"), _bounded(10**5 + 2000 * len(header)):
        built = kind.around(recipe.build(trusted))
    shapes = {name: tuple(value.shape) for name, value in built.state_dict().items()}
    if differ := [name for name in {**there, **shapes} if there.get(name) != shapes.get(name)]:
        raise ValueError(f"a network whose {differ[0]} is {shapes.get(differ[0])}, where the weights have "
                         f"{there.get(differ[0])}")
    spare = sum(v.nbytes for name, v in built.named_buffers() if name not in shapes)
    if spare > _SPARE:
        raise ValueError(f"a network of {spare / 1e9:.3g} GB beside its weights")


def device_of(device: torch.device | str | None) -> torch.device:
    """The device of that name, the CPU for None; ValueError if there is none."""
    try:
        found = torch.device("cpu" if device is None else device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"got device={device!r} ({reason}); expected one that torch sees here, as 'cpu'") from error
    return found


@contextmanager
def said(file: Path) -> Iterator[None]:
    """Whatever is raised on the way is a ValueError about a damaged ``file``; ours of classes stay as they are."""
    try:
        yield
    except (FileNotFoundError, PermissionError):
        raise
    except (Exception, RecursionError) as error:
        text = str(error) if isinstance(error, ValueError | OSError | SafetensorError) else repr(error)
        if text.startswith("got the class"):
            raise
        text = " ".join(text.split())
        raise ValueError(f"got a damaged {file} ({text[:300]}); expected what Model.save wrote: copy the model "
                         "again") from error


@contextmanager
def _bounded(most: int) -> Iterator[None]:
    """ValueError as soon as more than ``most`` calls are made here, those of imports aside: a loop without end."""
    calls, importing, before = 0, 0, sys.getprofile()

    def watch(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls, importing
        if frame.f_code.co_name == "_find_and_load":
            importing += {"call": 1, "return": -1}.get(event, 0)
        calls += not importing
        if calls > most:
            raise ValueError("a network that takes longer to build than its weights are worth")

    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(before)


def _integers(value: Any) -> Iterator[int]:
    """All whole numbers among a recipe's arguments, at any depth."""
    if isinstance(value, Recipe):
        value = value.arguments
    if isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _integers(inner)
    elif isinstance(value, int):
        yield value


def _refused(constant: str) -> float:
    raise ValueError(f"the number {constant}")


def _number(text: str) -> float:
    return float(text) if math.isfinite(float(text)) else _refused(text)
