"""An objective that a user wrote: a function ``objective`` of named physical parts in a Python file.

The file is run with all rights of whoever runs the command: read it before you run somebody else's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

__all__ = ["load_constraints", "load_objective"]


def load_objective(file: str | os.PathLike, parts: Mapping[str, Tensor], wanted: str, positive: bool = False
                   ) -> Callable[..., Tensor]:
    """The function ``objective`` of a Python file, once tried on the ``parts`` of two samples.

    Arguments:
        parts: ``(2, ...)`` each, as the objective will see them.
        wanted: its signature in words, for messages.
        positive: whether its values have to be above 0.

    Raises:
        ValueError: if there is no such function, or if it does not do what is wanted.
        TypeError: if its value has no gradient.
    """
    path, names = Path(file), _run(Path(file), wanted)
    if not callable(names.get("objective")):
        raise ValueError(f"got {path} without a function 'objective'; expected {wanted}")
    try:
        value = names["objective"](**{k: v.clone().requires_grad_() for k, v in parts.items()})
    except Exception as error:
        raise ValueError(f"got {error!r} from the objective in {path}; expected torch operations: {wanted}") from error
    if not isinstance(value, Tensor) or value.shape != (2,):
        got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"got {got} from the objective in {path} for 2 samples; expected {wanted}")
    if positive and not bool((value > 0).all()):
        raise ValueError(f"got {value.tolist()} from the objective in {path}; expected numbers above 0: {wanted}")
    if not value.requires_grad:
        raise TypeError(f"got a value without a gradient from the objective in {path}; expected torch operations all "
                        "the way (no numpy, detach or no_grad inside)")
    return names["objective"]


def load_constraints(file: str | os.PathLike) -> list[Callable[..., Tensor]]:
    """The functions ``constraints`` of the same file, a list; none where it has none."""
    found = _run(Path(file), "objective(**parts) -> (*B,)").get("constraints", [])
    if not isinstance(found, list | tuple) or not all(map(callable, found)):
        raise ValueError(f"got constraints {found!r} in {file}; expected a list of functions (**parts) -> (*B,), each "
                         "at most 0 where it is met")
    return list(found)


def _run(path: Path, wanted: str) -> dict[str, Any]:
    """The names that a Python file defines."""
    names: dict[str, Any] = {"__name__": "objective", "__file__": str(path)}
    try:
        exec(compile(path.read_text(), str(path), "exec"), names)  # the user's own code, at the user's request
    except (Exception, SystemExit) as error:  # the user's own, of any kind
        raise ValueError(f"got {path} ({error!r}); expected a Python file with a function {wanted}") from error
    return names
