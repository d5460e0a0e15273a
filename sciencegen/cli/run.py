"""One run of a command: what was asked, for the record, and how a study is run, written and told."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from .clock import spoken, watched
from .options import at_least, roomy

if TYPE_CHECKING:
    from ..priors import Model
    from ..studies.runs import Report
    from ..studies.study import Study

__all__ = ["Asked", "designed", "digest", "printed", "say", "shipped", "versions"]

BIG = 2**20  # bytes of a file beyond which its text is not kept in the record


@dataclass(frozen=True)
class Asked:
    """What a command was asked: enough to run it again.

    Arguments:
        command: its name and what stands before its options, as ``design airfoil``.
        prior: name of the trained prior that is shipped for it, if there is one.
        arguments: the options, by name.
        files: others that it read, by name.
    """

    command: str
    prior: str | None
    arguments: Mapping[str, Any]
    files: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def of(cls, command: str, prior: str | None, /, **arguments: Any) -> Asked:
        """With the options as they were given, checked as far as all commands have them."""
        at_least(1, **{k: v for k, v in arguments.items() if k == "count"})
        return cls(command, prior, arguments)

    def model(self) -> Model:
        """The trained prior that was asked for, frozen."""
        from ..priors import Model, zoo

        given = self.arguments["model"]
        found = zoo(self.prior) if given is None else Model.load(given)
        found.energy.requires_grad_(False)
        return found

    def record(self) -> dict[str, Any]:
        """For config.json: the options, and the files among them by text and digest."""
        plain = {k: str(v) if isinstance(v, Path) else list(v) if isinstance(v, tuple) else v
                 for k, v in self.arguments.items()}
        files = {k: self._file(v) for k, v in {**self.arguments, **self.files}.items() if isinstance(v, Path)}
        if self.prior is not None and self.arguments.get("model") is None:
            files["model"] = {"path": f"zoo/{self.prior}", "sha256": digest(shipped(self.prior))}
        return {"command": self.command, "arguments": plain, "inputs": files, "versions": versions()}

    @staticmethod
    def _file(path: Path) -> dict[str, Any]:
        found = {"path": str(path.absolute()), "sha256": digest(path)}
        if path.is_file() and path.stat().st_size <= BIG:
            with suppress(UnicodeDecodeError):  # what is no text is not kept
                found["text"] = path.read_bytes().decode()
        return found


def shipped(prior: str) -> Path:
    """Where a trained prior of this package is."""
    return Path(__file__).parents[1] / "zoo" / prior


def versions() -> dict[str, str]:
    """Of what numbers depend on."""
    packages = ("sciencegen", "torch", "numpy")
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in packages}}


def digest(path: str | os.PathLike) -> str:
    """SHA-256 of a file, or of all files in a directory."""
    path, found = Path(path), hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        found.update(file.relative_to(path.parent).name.encode())
        found.update(file.read_bytes())
    return found.hexdigest()


def designed(study: Study, asked: Asked, out: Path, overwrite: bool, partial: bool) -> None:
    """Run ``study`` as it was ``asked``, write its directory ``out`` and say what came of it.

    Raises:
        KeyboardInterrupt: after an interrupt; what was there is then in ``OUT.partial``, if ``partial``.
    """
    import torch

    from ..studies.directory import beside, claim
    from ..studies.report import report, write
    from ..studies.study import run

    start = time.perf_counter()
    count, seed = asked.arguments["count"], asked.arguments["seed"]
    out = claim(out, overwrite)
    roomy(count, study.numbers)
    with watched(asked.command, study.seconds(count)) as told:
        result = run(study, count, torch.arange(count) + seed * 2**20, partial=partial, told=told,
                     device=asked.arguments["device"])
        told("writing")
        target = beside(out) if result.status else out
        made = write(target, study, result, asked.record(), overwrite or bool(result.status))
    say(report(study, result), made, target, start)
    if result.status:
        raise KeyboardInterrupt(f"{result.message}; what was there is in {target}")


def say(report: Report, made: Sequence[str], out: Path, start: float) -> None:
    """Say in the terminal what came of a run, and which of the files that were ``made`` in ``out`` to look at first."""
    console = Console()
    printed(report)
    console.print(f"{len(made)} files in {out}; see {out / 'report.html'}; {spoken(time.perf_counter() - start)}",
                  markup=False, highlight=False, emoji=False, soft_wrap=True)


def printed(report: Report) -> None:
    """Print a report: its tables, and what is said of them."""
    console = Console()
    console.print(*report.tables, sep="\n", highlight=False)
    for words in (*report.summary, *report.verified):
        console.print(words, markup=False, highlight=False, emoji=False, soft_wrap=True)
    for words in report.warnings:
        console.print(f"warning: {words}", style="bold red", markup=False, highlight=False, emoji=False, soft_wrap=True)
