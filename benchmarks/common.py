"""What the benchmarks share: settings and versions for the record, files written whole, tables as text."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

__all__ = ["emit", "facts", "output", "whole", "write_json"]

PACKAGES = ("sciencegen", "torch", "numpy", "scipy", "xarray", "neuralfoil", "cma")
WIDTH = 200


def facts() -> dict[str, Any]:
    """Versions and the kind of computer, as a benchmark's record needs them."""
    found = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions()}
    return {"python": platform.python_version(), **{k: found.get(k, "not installed") for k in PACKAGES},
            "system": f"{platform.system()} {platform.machine()}", "cores": os.cpu_count(),
            "torch_threads": torch.get_num_threads()}


def output(directory: str) -> Path:
    """``directory``, made if it is not there; ValueError if nothing can be written in it."""
    path = Path(directory)
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(f"got --out {path} ({error.strerror}); expected a directory that can be written to") from error
    return path


def whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Let ``write`` fill a file beside ``path`` and rename it, so that the file is whole or not there."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        write(new)
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """``content`` as JSON; what is not finite becomes null."""
    text = json.dumps(_finite(content), indent=1, allow_nan=False)
    whole(path, lambda new: new.write_text(text + "\n"))


def emit(path: Path, parts: Iterable[Any]) -> None:
    """Print rich tables and texts on the terminal, and the same as plain text into ``path``."""
    parts = list(parts)

    def write(new: Path) -> None:
        with new.open("w") as file:
            Console(file=file, width=WIDTH, force_terminal=False).print(*parts, sep="\n", highlight=False)

    Console(width=WIDTH).print(*parts, sep="\n", highlight=False)
    whole(path, write)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
