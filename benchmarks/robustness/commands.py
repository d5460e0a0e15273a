"""Wrong command lines: each is refused in one line on standard error and with status 2, and nothing is written.

Every line stands once in :data:`WRONG`, with the files that it names, and a text that the refusal has to have.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sciencegen import cli

__all__ = ["WRONG", "Line", "answer", "cases", "judge"]

FOIL = "a foil\n1 0\n0.5 0.06\n0 0\n0.5 -0.06\n1 0\n"


@dataclass(frozen=True)
class Line:
    """A command line without its first word, what has to stand in the refusal, and files by name (None: a folder)."""

    line: str
    says: str = "expected"
    files: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return " ".join(self.line.split()[:2])

    def __str__(self) -> str:
        return f"{self.kind}: sciencegen {self.line}"


def objective(text: str, says: str = "expected") -> Line:
    return Line("design airfoil --objective mine.py", says, {"mine.py": text})


def record(text: str, says: str) -> Line:
    return Line("rerun old", says, {"old/config.json": text})


WRONG = (
    *(Line(f"design airfoil --point {p}", says) for p, says in (
        ("3@1e6", "expected -0.3 to 1.5"), ("0.5@1e3", "expected 100000 to 1e+07"), ("nonsense", "expected CL@RE"),
        ("nan@1e6", "got a lift coefficient of nan"), ("0.5", "expected CL@RE"), ("0.5@1e6@2", "expected CL@RE"),
        ("0.4@3e6 --point inf@1e6", "got a lift coefficient of inf"))),
    *(Line(f"design {name} --count {count}", says) for name in ("airfoil", "flow", "nbody") for count, says in (
        ("0", "got --count 0; expected at least 1"), ("-3", "got --count -3"), ("2.5", "got --count 2.5"),
        ("many", "got --count many"), ("1000000000", "GB"))),
    *(Line(f"design {name} --seed {seed}", f"got --seed {seed}") for name in ("airfoil", "flow", "nbody")
      for seed in ("-1", "1.5", "99999999999999")),
    *(Line(f"design {name} --model {model}", model, {"file.txt": "a file"}) for name in ("airfoil", "flow", "nbody")
      for model in ("no/such/model", "file.txt")),
    *(Line(f"design {name} --out {out}", "got --out", {"file.txt": "a file", "notes/notes.txt": "of the user",
                                                        "old/config.json": "{}"})
      for name in ("airfoil", "flow", "nbody") for out in ("file.txt", "file.txt/below", "notes", "old")),
    *(Line(f"design {name} --device teapot", "got --device teapot") for name in ("airfoil", "flow", "nbody")),
    Line("design airfoil --out old --overwrite", "notes.txt", {"old/config.json": '{"files": ["config.json"]}',
                                                               "old/notes.txt": "of the user"}),
    Line("design airfoil --min-thickness 0.6", "got a least thickness of 0.6"),
    Line("design airfoil --min-thickness thick", "number"), Line("design airfoil --min-cm nan", "expected -1 to 1"),
    Line("design airfoil --verify wish", "xfoil"), Line("design airfoil --no-such-word 1", "--no-such-word"),
    Line("design airfoil more", "more"), Line("design airfoil --point", "--point"),
    Line("design airfoil --reference no.dat", "no.dat"),
    Line("design airfoil --reference foil.dat", "foil.dat", {"foil.dat": FOIL}),
    Line("design airfoil --reference folder", "folder", {"folder": None}),
    Line("design airfoil --objective no.py", "no.py"),
    Line("design airfoil --objective folder", "folder", {"folder": None}),
    objective("x = 1", "without a function 'objective'"), objective("def objective(:", "SyntaxError"),
    objective("def objective(cd, **_): return cd", "got (2, 3)"), objective("import no_such", "no_such"),
    objective("def objective(cd, **_): return -cd.mean(-1)", "above 0"),
    objective("def objective(cd, **_): return cd.mean(-1).detach()", "without a gradient"),
    objective("def objective(cd, **_): return 1 / 0", "ZeroDivisionError"), objective("exit(3)", "SystemExit"),
    Line("design flow --bodies 0", "got --bodies 0"), Line("design flow --bodies 1.5", "got --bodies 1.5"),
    Line("design flow --spare 0", "got --spare 0"), Line("design flow --refined -1", "got --refined -1"),
    Line("design flow --area -1", "got --area -1"), Line("design flow --area nan", "got --area nan"),
    Line("design flow --reynolds 5000", "number of 5000"), Line("design flow --reynolds nan", "number of nan"),
    Line("design flow --lift nan", "got a lift"), Line("design nbody --bodies 1", "got 1 bodies"),
    Line("design nbody --bodies 40", "got 40 bodies"), Line("design nbody --frames 30", "over 30 frames"),
    Line("design nbody --frames 24.5", "got --frames 24.5"), Line("design nbody --law -1", "got --law -1"),
    Line("design nbody --law nan", "got --law nan"), Line("design nbody --rollouts -1", "got --rollouts -1"),
    Line("design", "requires"), Line("design wing", "module:attribute"), Line("design no_such:study", "no_such"),
    Line("design math:pi", "got float"), Line("design math:no_such", "no_such"),
    Line("design mine:study", "SyntaxError", {"mine.py": "study = ("}),
    Line("train airfoil --steps 0", "got --steps 0"), Line("train airfoil --steps 2.5", "got --steps 2.5"),
    Line("train airfoil --data no.nc", "no.nc"), Line("train nbody", "--data"),
    Line("train flow --data no.h5", "no.h5"),
    Line("train flow --data text.h5", "text.h5", {"text.h5": "no HDF5"}),
    Line("train nbody --data text.h5", "text.h5", {"text.h5": "no HDF5"}), Line("train teapot", "teapot"),
    Line("verify no_such_run", "no_such_run"), Line("verify old", "result.nc", {"old/config.json": "{}"}),
    Line("verify old --count 0", "got --count 0", {"old": None}),
    Line("verify old --workers 0", "got --workers 0", {"old": None}),
    Line("verify old --solver wish", "xfoil", {"old": None}),
    Line("verify old", "result.nc", {"old/result.nc": "no netCDF"}),
    Line("rerun no_such_run", "no_such_run"), record("{}", "names no command"), record("[]", "config.json"),
    record("{", "config.json"), Line("rerun old --out old", "got --out old", {"old/config.json": '{"command": "x"}'}),
    Line("invert poisson", "--example"), Line("invert poisson --data no.h5", "no.h5"),
    Line("invert poisson --example --count 0", "got --count 0"), Line("invert teapot --example", "teapot"),
    Line("invert poisson --data text.h5", "text.h5", {"text.h5": "no HDF5"}),
    Line("data describe no.nc", "no.nc"), Line("data describe text.h5", "text.h5", {"text.h5": "no HDF5"}),
    Line("data convert no.nc out.nc", "no.nc"), Line("data check no.nc --physics wish", "no.nc"),
    Line("draw airfoil", "draw"), Line("--no-such-word", "--no-such-word"),
)  # fmt: skip


def cases(seed: int) -> Iterator[Line]:
    """All lines, in some order."""
    order = list(WRONG)
    random.Random(seed).shuffle(order)
    return iter(order)


def answer(case: Line) -> tuple[int, str, str, list[str]]:
    """Status, standard output and error of a command in a directory of its own, and the files that it left there."""
    out, err, argv, here = io.StringIO(), io.StringIO(), sys.argv, os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        before = _prepared(Path(folder), case.files)
        try:
            sys.argv = ["sciencegen", *case.line.split()]
            os.chdir(folder)
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                cli.main()
            code = 0
        except SystemExit as exit:
            code = int(exit.code or 0)
        finally:
            os.chdir(here)
            sys.argv = argv
        left = sorted(set(_files(Path(folder))) - before)
    return code, out.getvalue(), err.getvalue(), left


def judge(case: Line) -> str:
    """`refused`, or what went wrong instead."""
    try:
        code, out, err, left = answer(case)
    except Exception as error:
        return f"traceback: {error!r}"
    lines = [line for line in err.splitlines() if line.strip()]
    if code != 2 or out or left:
        return f"differ: status {code}, {len(out)} letters on standard output, left {left}"
    if len(lines) != 1 or "Traceback" in err or case.says not in err:
        return f"traceback: got {err.strip()!r}; expected one line with {case.says!r}"
    return "refused"


def _prepared(folder: Path, files: Mapping[str, str | None]) -> set[str]:
    for name, text in files.items():
        file = folder / name
        (file if text is None else file.parent).mkdir(parents=True, exist_ok=True)
        if text is not None:
            file.write_text(text)
    return set(_files(folder))


def _files(folder: Path) -> list[str]:
    return [str(p.relative_to(folder)) for p in folder.rglob("*") if "__pycache__" not in p.parts]
