"""Damage by seed: bytes of any file, and the structure of HDF5 files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

__all__ = ["BYTES", "STRUCTURE", "damaged"]

Draw = np.random.Generator


def damaged(whole: bytes, draw: Draw, kind: str) -> tuple[bytes, int]:
    """The bytes after damage of a kind, and how many of them changed in place; 0 where others moved or are gone."""
    return BYTES[kind](bytearray(whole), draw)


def _place(data: bytearray, draw: Draw, length: int = 1) -> int:
    """Anywhere, or among the bytes that are likelier to be structure: those near the start of the file."""
    end = max(1, len(data) - length)
    return int(draw.integers(end if draw.random() < 0.5 else max(1, min(end, 4096))))


def _bit(data: bytearray, draw: Draw) -> tuple[bytes, int]:
    data[_place(data, draw)] ^= 1 << int(draw.integers(8))
    return bytes(data), 1


def _byte(data: bytearray, draw: Draw) -> tuple[bytes, int]:
    data[_place(data, draw)] = int(draw.choice([0, 1, 127, 128, 254, 255]))
    return bytes(data), 1


def _run(data: bytearray, draw: Draw) -> tuple[bytes, int]:
    length = int(draw.choice([4, 8, 16, 64, 512]))
    start = _place(data, draw, length)
    fill = [bytes(length), b"\xff" * length, draw.bytes(length)][int(draw.integers(3))]
    data[start:start + length] = fill[: len(data) - start]
    return bytes(data), length


def _cut(data: bytearray, draw: Draw) -> tuple[bytes, int]:
    return bytes(data[: int(draw.integers(len(data)))]), 0


def _inserted(data: bytearray, draw: Draw) -> tuple[bytes, int]:
    start = _place(data, draw)
    return bytes(data[:start] + draw.bytes(int(draw.integers(1, 65))) + data[start:]), 0


def _removed(data: bytearray, draw: Draw) -> tuple[bytes, int]:
    start = _place(data, draw)
    return bytes(data[:start] + data[start + int(draw.integers(1, 65)):]), 0


def _swapped(data: bytearray, draw: Draw) -> tuple[bytes, int]:
    length = min(int(draw.choice([8, 64, 512])), len(data) // 3)
    a, b = sorted(int(i) for i in draw.integers(len(data) - length, size=2))
    b = max(b, a + length)
    first, second = data[a:a + length], data[b:b + length]
    data[a:a + len(second)], data[b:b + len(first[: len(second)])] = second, first[: len(second)]
    return bytes(data), 2 * length


BYTES: dict[str, Callable[[bytearray, Draw], tuple[bytes, int]]] = {
    "bit": _bit, "byte": _byte, "run": _run, "cut": _cut, "inserted": _inserted, "removed": _removed,
    "swapped": _swapped}


# --- structure ----------------------------------------------------------------------------------------------------

def _objects(file: h5py.File) -> list[str]:
    found: list[str] = []
    file.visit(found.append)
    return found


def _one(file: h5py.File, draw: Draw, datasets: bool = True) -> str:
    names = [name for name in _objects(file) if not datasets or isinstance(file[name], h5py.Dataset)]
    return str(draw.choice(names))


def _gone(file: h5py.File, draw: Draw) -> None:
    del file[_one(file, draw, False)]


def _renamed(file: h5py.File, draw: Draw) -> None:
    name = _one(file, draw, False)
    file.move(name, name + "_")


def _retyped(file: h5py.File, draw: Draw) -> None:
    name = _one(file, draw)
    shape = file[name].shape or ()
    made = [lambda: file.create_dataset(name, shape, "c16"), lambda: file.create_dataset(name, shape, "S4"),
            lambda: file.create_dataset(name, shape, h5py.string_dtype()), lambda: file.create_group(name),
            lambda: file.create_dataset(name, shape, "f4,i4"), lambda: file.create_dataset(name, data=h5py.Empty("f8")),
            lambda: file.create_dataset(name, shape, h5py.ref_dtype), lambda: file.create_dataset(name, data=np.nan),
            lambda: file.create_dataset(name, shape, h5py.vlen_dtype("f8")),
            lambda: file.create_dataset(name, (0, *shape), "f8")]
    del file[name]
    made[int(draw.integers(len(made)))]()


def _flatter(file: h5py.File, draw: Draw) -> None:
    """Of another rank, one axis less or one more."""
    name = _one(file, draw)
    values, attrs = file[name][()], dict(file[name].attrs)
    del file[name]
    file[name] = values[0] if np.ndim(values) and draw.random() < 0.5 else np.asarray(values)[None]
    for key, value in attrs.items():
        if key not in ("DIMENSION_LIST", "REFERENCE_LIST", "CLASS"):
            file[name].attrs[key] = value


def _huge(file: h5py.File, draw: Draw) -> None:
    """Declared and not there."""
    name = _one(file, draw)
    shape = (10**10, *(file[name].shape or ())[1:])
    del file[name]
    file.create_dataset(name, shape, "f8", chunks=tuple(min(n, 64) for n in shape) if draw.random() < 0.5 else None)


def _holes(file: h5py.File, draw: Draw) -> None:
    """Some chunks never written."""
    name = _one(file, draw)
    values, attrs = np.asarray(file[name][()]), dict(file[name].attrs)
    if not values.ndim or values.dtype.kind not in "fiu" or len(values) < 2:
        return
    del file[name]
    stored = file.create_dataset(name, values.shape, values.dtype, chunks=(1, *values.shape[1:]))
    stored[: len(values) // 2] = values[: len(values) // 2]
    for key, value in attrs.items():
        if key not in ("DIMENSION_LIST", "REFERENCE_LIST", "CLASS"):
            stored.attrs[key] = value


def _linked(file: h5py.File, draw: Draw) -> None:
    """A link or a layout in place of a data set."""
    name = _one(file, draw)
    shape = file[name].shape or ()
    del file[name]
    layout = h5py.VirtualLayout(shape or (1,), "f8")
    layout[...] = h5py.VirtualSource(str(draw.choice([".", "none.h5"])), name, shape or (1,))
    made = [lambda: file.__setitem__(name, h5py.SoftLink("/nowhere")),
            lambda: file.__setitem__(name, h5py.SoftLink("/")),
            lambda: file.__setitem__(name, h5py.SoftLink("/" + name)),
            lambda: file.__setitem__(name, h5py.ExternalLink("/etc/passwd", "/u")),
            lambda: file.__setitem__(name, file["/"]), lambda: file.create_virtual_dataset(name, layout),
            lambda: file.create_dataset(name, shape or (1,), "u1", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])]
    made[int(draw.integers(len(made)))]()


def _attributes(file: h5py.File, draw: Draw) -> None:
    """One attribute gone, odd, or added."""
    held = file[_one(file, draw, False)] if draw.random() < 0.7 else file
    odd = [b"\xff\xfe", "", np.zeros(0), np.nan, -1, 2**62, h5py.Empty("f8"), np.zeros(1000), 1j, True,
           np.array(["a", "b"], "S1")]
    added = ["scale_factor", "_FillValue", "valid_range", "units", "missing_value", "add_offset", "MATLAB_class"]
    names = [name for name in held.attrs if name not in ("CLASS", "REFERENCE_LIST")]
    name = str(draw.choice(names)) if names and draw.random() < 0.7 else str(draw.choice(added))
    if name in held.attrs and draw.random() < 0.3:
        del held.attrs[name]
        return
    held.attrs[name] = odd[int(draw.integers(len(odd)))]


STRUCTURE: dict[str, Callable[[h5py.File, Draw], None]] = {
    "gone": _gone, "renamed": _renamed, "retyped": _retyped, "flatter": _flatter, "huge": _huge, "holes": _holes,
    "linked": _linked, "attributes": _attributes}


def restructured(path: Path, draw: Draw, kind: str) -> None:
    """Change the structure of an HDF5 file in place."""
    with h5py.File(path, "a") as file:
        STRUCTURE[kind](file, draw)
