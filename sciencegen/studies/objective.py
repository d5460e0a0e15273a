"""An objective that a user wrote: a function ``objective`` of named physical parts in a Python file.

The file is run with all rights of whoever runs the command: read it before you run somebody else's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

__all__ = ["load_objective"]


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
    path, names = Path(file), {"__name__": "objective", "__file__": str(file)}
    try:
        exec(compile(path.read_text(), str(path), "exec"), names)  # the user's own code, at the user's request
    except (Exception, SystemExit) as error:  # the user's own, of any kind
        raise ValueError(f"got {path} ({error!r}); expected a Python file with a function {wanted}") from error
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
