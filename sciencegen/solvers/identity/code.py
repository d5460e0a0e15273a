"""
What Python's bytecode says of a function: what it does, and which names it loads.

Bytecode and constants tell what a function computes; the lines and files that it came from do not. A nested function
is a constant of the one around it. The order of a set that stands in the source changes from process to process, so
sets are sorted first.
"""

from __future__ import annotations

import dis
import importlib.util
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sciencegen.solvers.identity.digest import short
from sciencegen.solvers.identity.owner import own

__all__ = ["bytecode", "imported", "loaded", "mentioned"]


def bytecode(code: types.CodeType, documented: str | None = None) -> str:
    """A digest of what `code` computes; its docstring `documented` does not count."""
    constants = code.co_consts
    if documented is not None and constants[:1] == (documented,):
        constants = constants[1:]
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    table = getattr(code, "co_exceptiontable", b"")  # where `except` holds, since Python 3.11
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return short(code.co_code.hex(), table.hex(), repr(names), repr(counts), *map(_constant, constants))


def loaded(code: types.CodeType) -> frozenset[str]:
    """The global names that `code` loads, in the functions within it too."""
    found = {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return frozenset(found).union(*map(loaded, _nested(code)))


def mentioned(code: types.CodeType) -> frozenset[str]:
    """Every name that `code` looks up somewhere: globals, attributes, what it imports."""
    return frozenset(code.co_names).union(*map(mentioned, _nested(code)))


def imported(code: types.CodeType, names: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The user's modules that `code` imports while it runs, with a digest of each; `names` are the globals about it.

    They are read and compiled, not run, and what they import in turn is looked into as well.
    """
    seen, todo = set(), list(_imports(code, names.get("__package__") or ""))
    while todo:
        name = todo.pop()
        if name in seen or not own(name):
            continue
        seen.add(name)
        if (file := _file(name)) is not None:
            package = name if file.stem == "__init__" else name.rpartition(".")[0]
            inside = _compiled(file)
            yield name, short(file.read_bytes().hex()) if inside is None else bytecode(inside)
            todo += [] if inside is None else _imports(inside, package)


def _imports(code: types.CodeType, package: str) -> Iterator[str]:
    """Names of all modules that `code` of a module in `package` imports, or may by `from ... import ...`."""
    level, taken, constants = 0, (), []
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_CONST", "LOAD_SMALL_INT"):
            constants.append(step.argval)
        elif step.opname == "IMPORT_NAME":
            level, taken = constants[-2:]  # how many dots it has, and the names that it takes
            try:
                name = importlib.util.resolve_name("." * level + step.argval, package)
            except ImportError:
                continue
            yield from (name, *(f"{name}.{item}" for item in taken or ()))
    for inner in _nested(code):
        yield from _imports(inner, package)


def _file(name: str) -> Path | None:
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    return Path(found.origin) if found is not None and found.has_location and Path(found.origin).is_file() else None


def _compiled(file: Path) -> types.CodeType | None:
    """The code of a module; None for one that is no Python source."""
    try:
        return compile(file.read_bytes(), str(file), "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return None


def _nested(code: types.CodeType) -> list[types.CodeType]:
    return [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]


def _constant(value: Any) -> str:
    if isinstance(value, types.CodeType):
        return bytecode(value)
    if isinstance(value, frozenset):
        return f"set({sorted(map(_constant, value))})"
    if isinstance(value, tuple):
        return f"tuple({list(map(_constant, value))})"
    return f"{type(value).__name__} {value!r}"
