"""What kind of file stands at a path: told by its first bytes, never by its name."""

from __future__ import annotations

import os
import stat
from enum import StrEnum
from pathlib import Path

from .fault import fault

__all__ = ["Kind", "affordable", "kind", "regular", "size"]

OFFSETS = (0, 512, 1024, 2048)  # where HDF5's signature may stand; MATLAB puts 512 bytes of text before it
SHARE = 0.5  # of the machine's memory that one thing may ask for


class Kind(StrEnum):
    """What the first bytes say."""

    HDF5 = "HDF5 (or netCDF4, or MATLAB 7.3)"
    MAT5 = "a MATLAB file (level 5)"
    NETCDF3 = "netCDF3"
    ZIP = "a zip archive (.npz)"
    NPY = "a .npy array"
    PARQUET = "a Parquet table"
    VTK = "a VTK XML mesh"
    PICKLE = "a Python pickle"
    TEXT = "text"
    FOLDER = "a directory"
    EMPTY = "an empty file"
    OTHER = "a file of unknown kind"


STARTS = {b"CDF": Kind.NETCDF3, b"PK\x03\x04": Kind.ZIP, b"PK\x05\x06": Kind.ZIP, b"\x93NUMPY": Kind.NPY,
          b"PAR1": Kind.PARQUET, b"\x80": Kind.PICKLE}
ODD = {stat.S_ISFIFO: "a pipe", stat.S_ISSOCK: "a socket", stat.S_ISCHR: "a device", stat.S_ISBLK: "a device"}


def regular(path: str | os.PathLike) -> Path:
    """``path``, where a file or a directory stands; Fault for a pipe or a device, which may never end."""
    mode = os.stat(path).st_mode
    for odd, name in ODD.items():
        if odd(mode):
            raise fault(path, name, "a file", "copy what it gives into a file first")
    return Path(path)


def kind(path: str | os.PathLike) -> Kind:
    """The kind of ``path``; FileNotFoundError where there is nothing."""
    path = regular(path)
    if path.is_dir():
        return Kind.FOLDER
    with path.open("rb") as file:
        head = file.read(OFFSETS[-1] + 8)
    if not head:
        return Kind.EMPTY
    if any(head[i:i + 8] == b"\x89HDF\r\n\x1a\n" for i in OFFSETS):
        return Kind.HDF5
    for start, found in STARTS.items():
        if head.startswith(start):
            return found
    if head[124:128] in (b"\x00\x01IM", b"\x01\x00MI"):
        return Kind.MAT5
    if b"<VTKFile" in head[:1024]:
        return Kind.VTK
    return Kind.OTHER if b"\x00" in head else Kind.TEXT


def affordable(path: str | os.PathLike, what: str, count: int, advice: str = "read a part of it") -> None:
    """Fault where ``count`` bytes, as a file declares them, are more than half of the machine's memory."""
    most = int(SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    if count > most:
        raise fault(path, f"{what} of {size(count)}", f"at most {size(most)}, half of this machine's memory",
                    f"the file may be damaged, or {advice}")


def size(count: float) -> str:
    """A number of bytes in words."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"
