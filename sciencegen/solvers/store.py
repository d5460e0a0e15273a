"""
A campaign of simulations on disk: a directory that a killed run leaves whole.

`cases.json` says what was asked (the solver and a digest of each case's inputs), and every finished case is a file of
its own, `000000.npz`, written under another name, flushed to the disk and renamed. So at any moment the directory holds
complete results only, and a run that is repeated can tell what is done from what is not. The files are plain arrays
without pickled objects: numpy reads them, and nothing in them is executed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from sciencegen.files import replacing
from sciencegen.solvers.solver import Solver, SolverResult, Status, crashed

__all__ = ["Store", "digest"]

MANIFEST = "cases.json"
PLAIN = "biufcSU"  # numpy's kinds of numbers and text
ASKED, VALUE, FIELD = "asked/", "value/", "field/"


@dataclass(frozen=True)
class Store:
    """The directory `folder` with the results of cases known by their `digests`, as :meth:`open` found or made it."""

    folder: Path
    solver: str
    digests: tuple[str, ...]

    @classmethod
    def open(cls, folder: str | os.PathLike, solver: Solver, cases: Sequence[Mapping[str, Any]]) -> Store:
        """
        The store of these cases in `folder`, made if there is none; cases may be added at the end of a stored list.

        Raises ValueError where `folder` holds anything else: other cases, another solver or other files. TypeError for
        cases that are not made of numbers, text, arrays, lists and mappings.
        """
        path, name, given = Path(folder), _name(solver), tuple(digest(case) for case in cases)
        path.mkdir(parents=True, exist_ok=True)
        if not (path / MANIFEST).exists():
            if strangers := sorted(p.name for p in path.iterdir() if not p.name.startswith(".")):
                raise ValueError(f"got out={path} with {strangers[:3]} in it; expected a new or empty directory, or "
                                 "one that map_simulations wrote")
            return cls(path, name, given)._keep()
        old = cls.read(path)
        if old.solver != name:
            raise ValueError(f"got the solver {name} for out={path}, which holds results of {old.solver}; expected the "
                             "same; use another directory, or delete this one")
        for number, (was, now) in enumerate(zip(old.digests, given)):
            if was != now:
                raise ValueError(f"got other cases than those in out={path}, case {number} is the first that differs; "
                                 "expected the same; use another directory, or delete this one")
        return cls(path, name, given)._keep() if len(given) > len(old.digests) else old

    @classmethod
    def read(cls, folder: str | os.PathLike) -> Store:
        """The store that is in `folder`; ValueError if there is none."""
        path = Path(folder)
        try:
            found = json.loads((path / MANIFEST).read_text())
            return cls(path, found["solver"], tuple(found["cases"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"got {path} ({error!r}); expected a directory that map_simulations wrote") from error

    def save(self, number: int, case: Mapping[str, Any], result: SolverResult) -> SolverResult:
        """Keep one case, with its inputs; returns what was kept: `crashed` for a result that is not plain arrays."""
        about = {"status": str(result.status), "wall_s": float(result.wall_s), "log": result.log}
        groups = {ASKED: case, VALUE: result.values, FIELD: result.fields}
        arrays = {prefix + k: np.asarray(v) for prefix, group in groups.items() for k, v in group.items()}
        odd = [k for k, v in arrays.items() if v.dtype.kind not in PLAIN and not k.startswith(ASKED)]
        if odd:
            return self.save(number, case, crashed(TypeError(
                f"got {odd} of type {arrays[odd[0]].dtype}; expected a solver's values and fields to be numbers, text "
                "or arrays of them")))
        plain = {k: v for k, v in arrays.items() if v.dtype.kind in PLAIN}
        _replace(self._file(number), lambda file: np.savez(file, about=np.array(json.dumps(about)), **plain))
        return result

    def load(self, number: int) -> tuple[SolverResult, dict[str, np.ndarray]] | None:
        """Result and plain inputs of one case; None if it is not done; ValueError for a damaged file."""
        file = self._file(number)
        try:
            with np.load(file, allow_pickle=False) as stored:
                found = {name: stored[name] for name in stored.files}
            about = json.loads(str(found["about"]))
            asked, values, fields = ({k.removeprefix(p): v[()] for k, v in found.items() if k.startswith(p)}
                                     for p in (ASKED, VALUE, FIELD))
            return SolverResult(Status(about["status"]), values, fields, about["wall_s"], about["log"]), asked
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"got a damaged {file} ({error!r}); delete it to have its case run again") from error

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"

    def _keep(self) -> Store:
        text = json.dumps({"solver": self.solver, "cases": self.digests}, indent=1)
        _replace(self.folder / MANIFEST, lambda file: file.write(text.encode()))
        return self


def digest(value: Any) -> str:
    """A number that two inputs share only if they are the same: mappings, lists, text, numbers, arrays, tensors, None.

    TypeError for anything else, of which nobody could tell whether it is the same in another run.
    """
    found = hashlib.sha256()
    _feed(value, found.update)
    return found.hexdigest()


def _feed(value: Any, update: Callable[[bytes], object]) -> None:
    if isinstance(value, Mapping):
        update(b"mapping %d" % len(value))
        for key in sorted(value):
            _feed(key, update)
            _feed(value[key], update)
    elif isinstance(value, list | tuple):
        update(b"list %d" % len(value))
        for item in value:
            _feed(item, update)
    elif value is None:
        update(b"none")
    else:
        array = np.asarray(value)
        if array.dtype.kind not in PLAIN:
            raise TypeError(f"got {value!r} in a case; expected numbers, text, arrays, lists and mappings of them, so "
                            "that a second run can tell whether it is asked the same")
        update(f"array {array.dtype.str} {array.shape}".encode())
        update(np.ascontiguousarray(array).tobytes())


def _name(solver: Solver) -> str:
    """The solver's repr, without the addresses of objects, which change from run to run."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(solver))


def _replace(path: Path, save: Callable[[IO[bytes]], object]) -> None:
    """Write `path` so that it is there whole or as it was, whenever the process or the machine stops."""
    with replacing(path) as new, new.open("wb") as file:
        save(file)
        file.flush()
        os.fsync(file.fileno())
