"""How a network is written down: the path of its class and the arguments of its constructor, as JSON can say them.

A model from a stranger names the classes that are to be built, and importing a module runs it. So the rule is explicit
and is applied before anything is imported: a path lies in :data:`TRUSTED` packages (or in one that the caller trusts),
leads through no ``__main__`` and no other name of Python's own, and what it names is a class of ``torch.nn.Module``
whose home is in such a package too, not something that a trusted module happens to import.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

__all__ = ["TRUSTED", "Recipe", "module_class"]

TRUSTED = ("sciencegen.nets", "azula.nn", "torch.nn")
_DEEPEST = 16  # recipes within recipes


@dataclass(frozen=True)
class Recipe:
    """How a network is built: ``Recipe("sciencegen.nets.mlp.MLP", {"size": 30, "width": 256})``.

    Arguments:
        path: of the class, a ``torch.nn.Module``, importable.
        arguments: of its constructor, by name: what JSON can say, and recipes of the networks inside it.
    """

    path: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def build(self, trusted: Sequence[str] = ()) -> nn.Module:
        """A new network; ValueError if the class is not in one of :data:`TRUSTED` or a ``trusted`` package."""
        cls = module_class(self.path, (*TRUSTED, *trusted))
        arguments = {k: v.build(trusted) if isinstance(v, Recipe) else v for k, v in self.arguments.items()}
        try:
            return cls(**arguments)
        except ValueError:
            raise
        except Exception as error:  # whatever a constructor trips over, asserts among it
            raise ValueError(f"got arguments {dict(self.arguments)} for {self.path}: {error}; expected those of its "
                             "constructor, by name") from error

    def config(self) -> dict[str, Any]:
        """Itself as a JSON-ready dictionary; :meth:`from_config` is the inverse."""
        return {"class": self.path,
                "arguments": {k: v.config() if isinstance(v, Recipe) else v for k, v in self.arguments.items()}}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Recipe:
        """The recipe that :meth:`config` wrote down; TypeError if this is none."""
        return _read(config, _DEEPEST)


def module_class(path: str, packages: Sequence[str]) -> type[nn.Module]:
    """The class of ``torch.nn.Module`` at a path in ``packages``; ValueError, before any import if it is not there."""
    steps = path.split(".") if isinstance(path, str) else []
    if not (_within(path, packages) and all(step.isidentifier() for step in steps)):
        raise ValueError(f"got the class {path}; expected one in {', '.join(packages)}: name its package in "
                         "'trusted' if you know whose it is")
    if len(steps) < 2 or any(step.startswith("__") for step in steps[1:]):
        raise ValueError(f"got the class {path}; expected the path of a network's class, PACKAGE.MODULE.CLASS, without "
                         "names of Python's own: what they lead to runs when it is imported")
    try:
        found = getattr(importlib.import_module(".".join(steps[:-1])), steps[-1])
    except (ImportError, AttributeError) as error:
        raise ValueError(f"got the class {path}: {error}; expected one that can be imported: is its package "
                         "installed, and as new as the model?") from error
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ValueError(f"got {path}, which is not a torch.nn.Module; expected the path of a network's class")
    if not _within(f"{found.__module__}.{found.__qualname__}", packages):
        raise ValueError(f"got {path}, which is a class of {found.__module__}; expected one whose home is in "
                         f"{', '.join(packages)}: name its package in 'trusted' if you know whose it is")
    return found


def _within(path: str, packages: Sequence[str]) -> bool:
    return any(path == name or str(path).startswith(f"{name}.") for name in packages)


def _read(config: Any, deepest: int) -> Recipe:
    known = isinstance(config, Mapping) and config.keys() == {"class", "arguments"}
    if not (known and isinstance(config["class"], str) and isinstance(config["arguments"], Mapping) and deepest):
        raise TypeError(f"got {str(config)[:80]}; expected a network as {{'class': PATH, 'arguments': {{...}}}}, at "
                         f"most {_DEEPEST} within each other")
    inner = {k: _read(v, deepest - 1) if isinstance(v, Mapping) and v.keys() == {"class", "arguments"} else v
             for k, v in config["arguments"].items()}
    return Recipe(config["class"], inner)
