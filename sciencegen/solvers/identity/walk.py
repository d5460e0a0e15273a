"""
What a solver is: everything that its numbers depend on and that Python can see.

A solver is known by its code and by what the code refers to. Followed, to any depth, are functions, methods, classes
and objects of the user's own modules: bytecode (so a comment changes nothing), defaults, closures, attributes, bound
arguments of `functools.partial`, global names that the code loads, what it takes from the user's modules by
`module.name`, and whole modules of the user's that a function imports for itself. What comes from an installed package
or the standard library is known by its name and its package's version, compiled modules of the user's by their bytes.

Not followed: files that a solver reads, programs that it starts, environment variables, names that are computed. A
campaign that depends on them should say so in its cases, as a number of the mesh's version for instance.

Every part has an entry of its own, so that a refusal can name what differs.
"""

from __future__ import annotations

import ctypes
import enum
import functools
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sciencegen.solvers.identity.code import bytecode, imported, loaded, mentioned
from sciencegen.solvers.identity.digest import SHORT, digest, short
from sciencegen.solvers.identity.objects import attributes, content, reduced
from sciencegen.solvers.identity.owner import fingerprint, own, own_object
from sciencegen.solvers.solver import is_tensor

__all__ = ["identity"]

ATOMS = (type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented))
IDLE = {"threading", "_thread", "queue", "logging", "weakref"}  # locks and the like, which hold no setting of a solver


def identity(solver: Any) -> dict[str, str]:
    """
    What `solver` depends on, by name: `{"lift": code, "lift: closure slope": "0.1", "numpy": "2.1", ...}`.

    Raises:
        TypeError: names a part of which nobody can tell whether it is the same in another run: a file, a socket, a C
            function without a name.
    """
    walk = _Walk()
    try:
        walk.note("the solver", solver)
        walk.finish()
    except RecursionError as error:
        raise TypeError("got a solver nested too deeply to tell it from another; expected fewer levels") from error
    return walk.known | {"python": ".".join(map(str, sys.version_info[:2]))}


@dataclass
class _Walk:
    """A walk over all that is reached: what is `known` so far, the names of what was met, and what is `todo`."""

    known: dict[str, str] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    met: list[Any] = field(default_factory=list)  # keeps what is met alive: an id is its own so long
    todo: list[tuple[Callable[[str, Any], None], str, Any, str]] = field(default_factory=list)
    opened: set[str] = field(default_factory=set)  # modules of this package whose solvers were met
    path: str = ""  # where the walk is, for a refusal

    def finish(self) -> None:
        """Look into what was met, and into what that leads to."""
        while self.todo:
            look, name, value, self.path = self.todo.pop(0)
            look(name, value)

    def note(self, name: str, value: Any) -> None:
        """An entry for a part: the value itself where it is short."""
        self.path = name
        found = self.token(value)
        self.known[name] = found if len(found) <= 2 * SHORT else short(found)

    def token(self, value: Any) -> str:
        """A text that stands for `value`: the name of what has parts of its own, which are looked into later."""
        if type(value) in ATOMS:
            return repr(value)
        if isinstance(value, types.CodeType):
            return bytecode(value)
        if isinstance(value, np.ndarray | np.generic) or is_tensor(value):
            return self._numbers(value)
        if id(value) in self.names:
            return self.names[id(value)]
        if type(value) in (list, tuple, set, frozenset, dict, types.MappingProxyType):
            return self._collection(value)
        return self._named(value)

    def _numbers(self, value: Any) -> str:
        """An array or tensor by dtype, shape and bits; one of objects by these."""
        try:
            return digest(value)[:SHORT]
        except TypeError:  # objects, dates
            plain = value.astype(str) if value.dtype.kind in "mM" else value
            return self.token((str(value.dtype), plain.tolist()))

    def _collection(self, value: Any) -> str:
        """What is in a collection, in an order that does not depend on hashes."""
        self._meet(value, "a collection in itself")
        if isinstance(value, Mapping):
            parts = [f"{self.token(key)}: {self.token(item)}" for key, item in value.items()]
        else:
            parts = [self.token(item) for item in value]
        del self.names[id(value)]
        ordered = parts if isinstance(value, list | tuple) else sorted(parts)
        return f"{type(value).__name__}({', '.join(ordered)})"

    def _meet(self, value: Any, name: str) -> None:
        self.names[id(value)] = name
        self.met.append(value)

    def _later(self, value: Any, title: str, look: Callable[[str, Any], None]) -> str:
        """A name for `value` that no other has, under which it is looked into."""
        others, name, count = set(self.names.values()), title, 1
        while name in others:
            name, count = f"{title} #{count + 1}", count + 1
        self._meet(value, name)
        self.todo.append((look, name, value, self.path))
        return name

    def _named(self, value: Any) -> str:
        """What is neither a number nor a collection: it has a name, or stands for what it wraps."""
        kind = type(value)
        if isinstance(value, types.ModuleType):
            return value.__name__ if own(value.__name__) else self._external(value.__name__, "")
        if kind is types.MethodType:
            return f"{self.token(value.__self__)} {self.token(value.__func__)}"
        if kind in (staticmethod, classmethod):
            return self.token(value.__func__)
        if kind is property:
            return self.token((value.fget, value.fset, value.fdel))
        if kind is functools.partial:
            return self._later(value, "partial()", self._partial)
        if kind is types.FunctionType:
            return self._function_name(value)
        if isinstance(value, type):
            return self._class_name(value)
        for inner in ("__wrapped__", "py_func"):  # lru_cache, jax; numba
            if not own(kind.__module__) and callable(getattr(value, inner, None)):
                return f"{kind.__name__} {self.token(getattr(value, inner))}"
        return self._builtin(value) or self._later(value, f"{kind.__name__}()", self._object)

    def _function_name(self, value: types.FunctionType) -> str:
        if own_object(value) or value.__module__ in self.opened:
            return self._later(value, value.__qualname__.rsplit("<locals>.", 1)[-1], self._function)
        return self._external(value.__module__, value.__qualname__)

    def _class_name(self, value: type) -> str:
        if id(value) in self.names:
            return self.names[id(value)]
        if own_object(value) or value.__module__ in self.opened:
            return self._later(value, f"class {value.__qualname__.rsplit('<locals>.', 1)[-1]}", self._class)
        return self._external(value.__module__, value.__qualname__)

    def _external(self, module: str | None, name: str) -> str:
        """What a package brings: known by name, and once by the package's version."""
        package, version = fingerprint(module or "builtins")
        if package:
            self.known[package] = version
        return f"{module}.{name}" if name else f"module {module}"

    def _builtin(self, value: Any) -> str:
        """A function in C, by its name and what it is bound to; "" for anything else."""
        if isinstance(value, types.BuiltinFunctionType | types.MethodWrapperType):
            bound = getattr(value, "__self__", None)
            if isinstance(bound, types.ModuleType | type(None)):
                return self._external(value.__module__, value.__qualname__)
            return f"{self.token(bound)} {value.__name__}"
        holder = getattr(value, "__objclass__", None)
        return f"{self.token(holder)} {value.__name__}" if holder and hasattr(value, "__name__") else ""

    def _partial(self, name: str, value: functools.partial) -> None:
        self.known[name] = "partial"
        self.note(f"{name}: function", value.func)
        for key, held in {**dict(enumerate(value.args)), **value.keywords, **vars(value)}.items():
            self.note(f"{name}: argument {key}", held)

    def _function(self, name: str, value: types.FunctionType) -> None:
        """Code, defaults, closure, attributes, and what the code takes from the modules about it."""
        code, names = value.__code__, value.__globals__
        self.known[name] = bytecode(code, value.__doc__)
        defaults = value.__defaults__ or ()
        given = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
        for argument, held in [*zip(given, defaults), *(value.__kwdefaults__ or {}).items()]:
            self.note(f"{name}: default {argument}", held)
        for variable, cell in zip(code.co_freevars, value.__closure__ or ()):
            self.note(f"{name}: closure {variable}", content(cell))
        for attribute, held in vars(value).items():
            self.note(f"{name}: attribute {attribute}", held)
        for variable in sorted(loaded(code) & names.keys()):
            self.note(f"{name}: global {variable}", names[variable])
            if isinstance(names[variable], types.ModuleType):
                self._taken(names[variable], mentioned(code))
        self.known |= {f"module {module}": found for module, found in imported(code, names)}

    def _taken(self, module: types.ModuleType, names: frozenset[str], seen: tuple[str, ...] = ()) -> None:
        """What code that mentions `names` may take from a module of the user's, and from its submodules."""
        if own(module.__name__) and module.__name__ not in seen:
            for name in sorted(names & vars(module).keys()):
                self.note(f"{module.__name__}.{name}", vars(module)[name])
                if isinstance(vars(module)[name], types.ModuleType):
                    self._taken(vars(module)[name], names, (*seen, module.__name__))

    def _class(self, name: str, value: type) -> None:
        """Bases and attributes, methods among them."""
        self.note(name, tuple(base for base in value.__bases__ if base is not object))
        if issubclass(value, enum.Enum):
            self.note(f"{name}: members", {member.name: member.value for member in value})
            return
        for attribute, held in sorted(attributes(value)):
            self.note(f"{name}.{attribute}", held)

    def _object(self, name: str, value: Any) -> None:
        """The class of an object, and its state."""
        kind = type(value)
        if kind.__module__.startswith("sciencegen.") and callable(value):
            self.opened.add(kind.__module__)  # one of our solvers, perhaps of a checkout that is being edited
        self.known[name] = self._class_name(kind)
        if isinstance(value, enum.Enum):
            self.note(f"{name}: member", value.name)
        elif isinstance(value, ctypes.CDLL):
            self.known[f"{name}: library"] = fingerprint(str(value._name))[1]
        elif kind.__module__ not in IDLE:
            self._state(name, value)

    def _state(self, name: str, value: Any) -> None:
        """What pickle would keep of an object."""
        try:
            made, arguments, state, items, pairs = reduced(value)
        except Exception as error:
            raise TypeError(
                f"got a solver with {value!r} in it ({self.path}), of which nobody can tell whether it is the "
                f"same in another run ({error}); expected numbers, text, arrays, functions and objects made of them; "
                "make it inside the call, or leave `out` away") from error
        self.note(f"{name}: made of", (made, arguments, items, pairs))
        for attribute, part in state.items():
            self.note(f"{name}.{attribute}", part)
