"""
A campaign of simulations on disk: a directory that a killed run leaves whole.

`cases.json` says what was asked (what the solver is, :func:`sciencegen.solvers.identity.identity`, and a digest of each
case's inputs), and every finished case is a file of its own, `000000.npz`, written under another name, flushed to the
disk and renamed. So at any moment the directory holds complete results only, and a run that is repeated can tell what
is done from what is not. The files are plain arrays without pickled objects: numpy reads them, and nothing in them is
executed. One run at a time writes, see :mod:`sciencegen.solvers.lock`; reading needs no lock.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from sciencegen.files import replacing
from sciencegen.solvers.identity import digest, identity
from sciencegen.solvers.lock import Lock, locked
from sciencegen.solvers.solver import Solver, SolverResult, Status, array

__all__ = ["Store", "digest"]

MANIFEST = "cases.json"
DRAFT = re.compile(r"\.(\d+\.npz|cases\.json)\..*\.new")
ASKED, VALUE, FIELD = "asked/", "value/", "field/"


@dataclass(frozen=True)
class Store:
    """The directory `folder` with results of cases known by their `digests`, of a solver with a name and an identity.

    `known` is None where the user has said that the solver is the same, and `lock` what a run that writes holds.
    """

    folder: Path
    solver: str
    known: Mapping[str, str] | None
    digests: tuple[str, ...]
    lock: Lock | None = None

    @classmethod
    def open(cls, folder: str | os.PathLike, solver: Solver, cases: Sequence[Mapping[str, Any]]) -> Store:
        """
        The store of these cases in `folder`, where there may be one; cases may be added at the end of a stored list.

        Raises:
            ValueError: `folder` holds anything else: other cases, another solver or other files.
            TypeError: cases that are not made of numbers, text, arrays, lists and mappings, or a solver that could not
                be told from another.
        """
        path = Path(folder)
        asked = cls(path, _name(solver), identity(solver), tuple(digest(case) for case in cases))
        if (path / MANIFEST).exists():
            old = cls.read(path)
            old._check(asked)
            return replace(asked, digests=max(asked.digests, old.digests, key=len))
        if path.is_dir() and (strangers := sorted(p.name for p in path.iterdir() if not p.name.startswith("."))):
            raise ValueError(f"got out={path} with {strangers[:3]} in it; expected a new or empty directory, or "
                             "one that map_simulations wrote")
        return asked

    @classmethod
    def read(cls, folder: str | os.PathLike) -> Store:
        """The store that is in `folder`; ValueError if there is none."""
        path = Path(folder)
        try:
            found = json.loads((path / MANIFEST).read_text())
            known = found.get("known", {})
            return cls(path, found["solver"], None if known is None else dict(known), tuple(found["cases"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"got {path} ({error!r}); expected a directory that map_simulations wrote") from error

    @contextmanager
    def writing(self) -> Iterator[Store]:
        """
        This store, to write to: the directory made and locked, and what killed runs have left in it removed.

        Raises:
            ValueError: another run is at work in it, or has put something else there.
        """
        with locked(self.folder) as lock:
            now = self
            if (self.folder / MANIFEST).exists():
                old = Store.read(self.folder)
                old._check(self)
                now = replace(self, digests=max(self.digests, old.digests, key=len))
            for path in self.folder.iterdir():
                if DRAFT.fullmatch(path.name):
                    path.unlink(missing_ok=True)
            about = {"version": 2, "solver": now.solver, "known": now.known, "cases": now.digests}
            _replace(self.folder / MANIFEST, lambda file: file.write(json.dumps(about, indent=1).encode()))
            yield replace(now, lock=lock)

    def done(self, count: int, limit: float | None) -> list[int]:
        """Which of the first `count` cases need not run again, when a case may take `limit` seconds (None: any)."""
        return [number for number in range(count) if self._answered(number, limit)]

    def save(self, number: int, case: Mapping[str, Any], result: SolverResult, limit: float | None) -> None:
        """
        Keep one case, with its inputs, as solved within `limit` seconds; a warning where the disk has no room for it.

        Raises:
            RuntimeError: another run has taken this one for dead.
        """
        if self.lock is not None and not self.lock.held():
            raise RuntimeError(f"another run has taken over {self.folder}, because this one stood still; stop either")
        about = {"status": str(result.status), "wall_s": result.wall_s, "log": result.log, "limit": limit}
        arrays = {ASKED + name: value for name, value in _plain(case).items()}
        arrays |= {VALUE + name: value for name, value in result.values.items()}
        arrays |= {FIELD + name: value for name, value in result.fields.items()}
        try:
            need = sum(np.asarray(value).nbytes for value in arrays.values())
            if need > (free := shutil.disk_usage(self.folder).free):
                raise OSError(f"no room: {need / 1e9:.3g} GB needed, {free / 1e9:.3g} GB free")
            text = np.array(json.dumps(about))
            _replace(self._file(number), lambda file: np.savez(file, about=text, **arrays))
        except (OSError, ValueError, struct.error) as error:
            warnings.warn(f"case {number} is not stored in {self.folder} ({error}); a next run solves it again",
                          stacklevel=2)

    def load(self, number: int) -> tuple[SolverResult, dict[str, np.ndarray]] | None:
        """Result and plain inputs of one case; None if it is not done; ValueError for a damaged file."""
        def read(stored: Mapping[str, np.ndarray]) -> tuple[SolverResult, dict[str, np.ndarray]]:
            found, about = {name: stored[name] for name in stored}, json.loads(str(stored["about"]))
            asked, values, fields = ({k.removeprefix(p): v[()] for k, v in found.items() if k.startswith(p)}
                                     for p in (ASKED, VALUE, FIELD))
            return SolverResult(Status(about["status"]), values, fields, about["wall_s"], about["log"]), asked

        return self._read(number, read)

    def _answered(self, number: int, limit: float | None) -> bool:
        """Whether a case is there, and was not stopped sooner than it would be now."""
        about = self._read(number, lambda stored: json.loads(str(stored["about"])))
        if about is None or about["status"] != Status.TIMEOUT or about.get("limit") is None:
            return about is not None
        return limit is not None and limit <= about["limit"]

    def _read(self, number: int, use: Callable[[Mapping[str, np.ndarray]], Any]) -> Any:
        try:
            with np.load(self._file(number), allow_pickle=False) as stored:
                return use(stored)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"got a damaged {self._file(number)} ({error!r}); delete it to have its case run "
                             "again") from error

    def _check(self, asked: Store) -> None:
        """Raise ValueError unless `asked` is what is stored here, or more of it."""
        keep = ("use another directory, or delete this one; if its numbers hold all the same, write \"known\": null "
                f"into {self.folder / MANIFEST}")
        if self.known == {}:
            raise ValueError(f"got out={self.folder}, written by version 1, which knew {self.solver} by its name alone;"
                             f" expected results of a solver that is known by its code; {keep}")
        if self.known is not None and self.known != asked.known:
            raise ValueError(f"got the solver {asked.solver} for out={self.folder}, which holds results of "
                             f"{self.solver}; expected the same, but {_differences(self.known, asked.known or {})}; "
                             f"{keep}")
        for number, (was, now) in enumerate(zip(self.digests, asked.digests)):
            if was != now:
                raise ValueError(f"got other cases than those in out={self.folder}, case {number} is the first that "
                                 "differs; expected the same; use another directory, or delete this one")

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"


def _plain(case: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What can be shown of a case's inputs; a nested one is known by its digest alone."""
    found = {}
    for name, value in case.items():
        try:
            found[name] = array(value)
        except (TypeError, ValueError, RuntimeError):
            continue
    return found


def _differences(old: Mapping[str, str], new: Mapping[str, str], most: int = 4) -> str:
    """In words, what differs between two identities."""
    names = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    said = [f"'{n}' was {old.get(n, 'absent')}, is {new.get(n, 'absent')}" for n in names[:most]]
    return ", ".join(said) + (f" and {len(names) - most} more" if len(names) > most else "")


def _name(solver: Solver) -> str:
    """The solver's repr, without the addresses of objects, which change from run to run."""
    try:
        return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(solver))
    except Exception:
        return type(solver).__name__


def _replace(path: Path, save: Callable[[IO[bytes]], object]) -> None:
    """Write `path` so that it is there whole or as it was, whenever the process or the machine stops."""
    with replacing(path) as new, new.open("wb") as file:
        save(file)
        file.flush()
        os.fsync(file.fileno())
