"""What classes, closures and objects hold, beside their code."""

from __future__ import annotations

import copyreg
import dataclasses
import types
from collections.abc import Iterator
from typing import Any

__all__ = ["attributes", "content", "reduced"]

HIDDEN = {
    "__dict__", "__weakref__", "__module__", "__doc__", "__qualname__", "__annotations__", "__abstractmethods__",
    "_abc_impl", "__dataclass_fields__", "__dataclass_params__", "__match_args__", "__firstlineno__", "__slots__",
    "__static_attributes__", "__parameters__", "__orig_bases__", "_is_protocol", "__protocol_attrs__", "__signature__",
    "__annotate__", "__annotate_func__", "__annotations_cache__", "__slotnames__",
}  # fmt: skip  # of a class: says nothing that its other attributes do not, or nothing of its numbers


def attributes(value: type) -> Iterator[tuple[str, Any]]:
    """What a class holds of its own, without what Python, `dataclass` or pydantic made."""
    made = dataclasses.is_dataclass(value)
    slots = (types.MemberDescriptorType, types.GetSetDescriptorType)
    for name, held in vars(value).items():
        code = getattr(getattr(held, "__wrapped__", held), "__code__", None)
        generated = made and code is not None and code.co_filename == "<string>"
        hidden = name in HIDDEN or name.startswith("__pydantic")
        if not hidden and not generated and not isinstance(held, slots):
            yield name, held


def content(cell: types.CellType) -> Any:
    """What a closure holds in one of its cells; None where it has not got it yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def reduced(value: Any) -> tuple[Any, tuple, dict[str, Any], list, dict]:
    """
    What pickle would keep of an object: what makes it, from what, and its attributes, items and pairs.

    Raises:
        TypeError and others: as pickle would, for an open file, a lock, a generator.
    """
    known = copyreg.dispatch_table.get(type(value))
    kept = value.__reduce_ex__(4) if known is None else known(value)
    if isinstance(kept, str):
        return kept, (), {}, [], {}
    made, arguments, state, items, pairs = (*kept, None, None, None)[:5]
    if getattr(made, "__module__", "") == "copyreg":  # which class it is, its entry says
        made, arguments = None, arguments[1:]
    halves = state if isinstance(state, tuple) and len(state) == 2 else (state, None)  # __dict__ and __slots__
    whole = all(half is None or isinstance(half, dict) for half in halves)
    held = {str(k): v for half in halves for k, v in (half or {}).items()} if whole else {"state": state}
    return made, arguments, held, list(items or ()), dict(pairs or ())
