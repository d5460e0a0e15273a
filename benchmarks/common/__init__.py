"""What the benchmarks share: settings and versions for the record, files written whole, rows kept, tables as text."""

from __future__ import annotations

import argparse
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

from sciencegen.priors import Model, zoo
from sciencegen.studies.airfoil.prior import require_condition

__all__ = ["DATA", "airfoil_arguments", "airfoil_prior", "arguments", "emit", "facts", "kept", "output", "whole",
           "write_json"]

DATA = Path(__file__).parents[2] / "datasets" / "airfoils.nc"
PACKAGES = ("sciencegen", "torch", "numpy", "scipy", "xarray", "neuralfoil", "cma")
WIDTH = 200


def arguments(doc: str, files: str) -> argparse.ArgumentParser:
    """A command line with what every benchmark takes; ``doc`` explains it, ``files`` says what ``--out`` will hold."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", required=True, help=f"directory for {files}")
    made.add_argument("--threads", type=int, default=1, help="of torch")
    return made


def airfoil_arguments(made: argparse.ArgumentParser) -> None:
    """The options of benchmarks that need the airfoil prior and its data."""
    made.add_argument("--model", help="a model directory instead of the zoo's airfoil prior")
    made.add_argument("--data", type=Path, default=DATA, help="datasets/airfoils.nc")


def airfoil_prior(directory: str | None) -> Model:
    """The trained prior in ``directory``, else the zoo's; ValueError if it is none of one operating condition."""
    model = zoo("airfoil") if directory is None else Model.load(directory)
    require_condition(model.layout)
    return model


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


def kept(path: Path, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows ``{"row": its name, ...}`` from their file, or made, told and written as they come."""
    if path.is_file() and (found := json.loads(path.read_text()))["whole"]:
        return found["rows"]
    made: list[dict[str, Any]] = []
    for row in rows:
        made.append(dict(row))
        print(path.stem, row["row"], flush=True)
        write_json(path, {"rows": made, "whole": False})
    write_json(path, {"rows": made, "whole": True})
    return made


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
