"""``sciencegen rerun``: a run once more, from what its directory says of it."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from .options import Overwrite
from .run import digest, shipped, versions

__all__ = ["rerun", "words_of"]


def rerun(run: Path, /, *, out: Path | None = None, overwrite: Overwrite = False) -> None:
    """Run again what made a directory: with the same versions, on the same machine, the same numbers.

    Parameters
    ----------
    run
        Directory that a command wrote.
    out
        Directory of the new run; RUN.again unless given.
    """
    from ..studies.directory import claim, read_record
    from . import app

    record = read_record(run)
    if "command" not in record:
        raise ValueError(f"got {run}, whose config.json names no command; expected a run of version 0.2 or later")
    out = claim(out or run.with_name(run.name + ".again"), overwrite)
    with tempfile.TemporaryDirectory() as folder:
        words = words_of(record, Path(folder))
        made, now = record["versions"], versions()
        changed = [f"{name} {made[name]}, now {now.get(name)}" for name in made if made[name] != now.get(name)]
        console = Console(stderr=True)
        if changed:
            console.print(f"made with {'; '.join(changed)}: numbers may differ", markup=False, soft_wrap=True)
        words += ["--out", str(out), *(["--overwrite"] if overwrite else [])]
        console.print(f"sciencegen {shlex.join(words)}", markup=False, highlight=False, soft_wrap=True)
        app(words, exit_on_error=False, print_error=False)


def words_of(record: Mapping[str, Any], folder: Path) -> list[str]:
    """The words of the command that a record is of; files that have changed since are written anew into ``folder``.

    ValueError where a file or a model is no longer what it was, and its text was not kept.
    """
    from ..studies.page import spelled

    arguments = dict(record["arguments"])
    for name, was in record["inputs"].items():
        path = shipped(was["path"].removeprefix("zoo/")) if was["path"].startswith("zoo/") else Path(was["path"])
        if path.exists() and digest(path) == was["sha256"]:
            continue
        if "text" not in was or name not in arguments:
            raise ValueError(f"got another {name} in {was['path']} than the run had; expected the same: put it back")
        arguments[name] = folder / path.name
        arguments[name].write_text(was["text"])
    return spelled({**record, "arguments": arguments})
