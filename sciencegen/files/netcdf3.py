"""Where a netCDF3 file says that its numbers lie, and whether that is so.

Its header lists for each variable where it begins; nothing else guards the numbers. So every variable has a place of
its own inside of the file, and behind the last there is nothing. Reference: "The NetCDF Classic Format Specification"
(Unidata), https://docs.unidata.ucar.edu/netcdf-c/current/file_format_specifications.html.
"""

from __future__ import annotations

import math
import os
from typing import BinaryIO

from .fault import fault

__all__ = ["placed"]

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8}  # bytes of a number by its type
MOST = 10**6  # entries that a header may list
Place = tuple[int, int, str]  # first byte, number of bytes, name


def placed(path: str | os.PathLike) -> None:
    """Fault unless every variable lies in the file, apart from the others, and the file ends with the last one."""
    end = os.path.getsize(path)
    with open(path, "rb") as file:
        places = sorted(_places(file, path))
    for (start, count, name), (after, _, other) in zip(places, places[1:]):
        if start + count > after:
            raise fault(path, f"'{name}' and '{other}' in the same bytes", "a place for each variable",
                        "the file is damaged: fetch or make it again")
    last = max((start + count for start, count, _ in places), default=0)
    if last > end or places and end > last + 3:  # to the next multiple of 4
        raise fault(path, f"{end:,} bytes of a netCDF3 file", f"{last:,}, as its header says",
                    "it was cut short, or bytes were added: fetch or make it again")


def _places(file: BinaryIO, path: str | os.PathLike) -> list[Place]:
    """The place of each variable; of those that grow, of their records together."""
    wide = 8 if file.read(4)[3] == 2 else 4
    records = _number(file)
    dims = [(_name(file), _number(file))[1] for _ in range(_count(file, path))]
    _attributes(file, path)
    fixed: list[Place] = []
    growing: list[Place] = []
    for _ in range(_count(file, path)):
        name, shape = _name(file), [dims[_number(file)] for _ in range(_number(file))]
        _attributes(file, path)
        size, _, start = SIZES[_number(file)], _number(file), int.from_bytes(file.read(wide), "big")
        grows = bool(shape) and shape[0] == 0
        (growing if grows else fixed).append((start, math.prod(shape[grows:]) * size, name))
    if not growing or records == 2**32 - 1:
        return fixed
    step = growing[0][1] if len(growing) == 1 else sum(-(-count // 4) * 4 for _, count, _ in growing)
    first, (start, count, _) = min(growing), max(growing)
    return [*fixed, (first[0], start - first[0] + (records - 1) * step + count, first[2])] if records else fixed


def _number(file: BinaryIO) -> int:
    data = file.read(4)
    if len(data) < 4:
        raise EOFError("the header ends")
    return int.from_bytes(data, "big")


def _name(file: BinaryIO) -> str:
    length = _number(file)
    return file.read(-(-length // 4) * 4)[:length].decode(errors="replace")


def _count(file: BinaryIO, path: str | os.PathLike) -> int:
    """Entries of a list, after its tag."""
    _, count = _number(file), _number(file)
    if count > MOST:
        raise fault(path, f"a header of {count:,} entries", f"at most {MOST:,}", "the file is damaged: fetch it again")
    return count


def _attributes(file: BinaryIO, path: str | os.PathLike) -> None:
    for _ in range(_count(file, path)):
        _name(file)
        count = SIZES[_number(file)] * _number(file)
        file.seek(-(-count // 4) * 4, os.SEEK_CUR)
