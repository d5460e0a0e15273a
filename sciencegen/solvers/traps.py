"""
Running gfortran programs that were built to die of a harmless floating-point exception.

A program compiled with `-ffpe-trap` calls `_gfortran_set_fpe` as it starts, and the first division by zero then ends it
with SIGFPE. XFOIL divides by zero in passing in every viscous case, so Debian's and Ubuntu's build of it never finishes
one. A preloaded library with an empty `_gfortran_set_fpe` leaves the traps off and changes no number. It is one line of
C, compiled once per user, when a program has died of SIGFPE and not before.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

__all__ = ["build", "environment", "library"]

SOURCE = "void _gfortran_set_fpe(int mask) { (void)mask; }\n"
NO_COMPILER = (
    "this build of the program traps floating-point exceptions and dies of SIGFPE; a small library that prevents it "
    "could not be built ({reason}). Install a C compiler (`apt install gcc`, `conda install c-compiler`) or a build of "
    "the program compiled without -ffpe-trap."
)


def library() -> Path:
    """Where the library lies, or will: `$XDG_CACHE_HOME/sciencegen`, one file per processor architecture."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "sciencegen" / f"no-fpe-traps-{platform.machine()}.so"


def environment() -> dict[str, str]:
    """This process's environment, with the library preloaded once it has been built."""
    if not library().exists():
        return dict(os.environ)
    others = os.environ.get("LD_PRELOAD", "")
    return os.environ | {"LD_PRELOAD": f"{library()}:{others}".rstrip(":")}


def build() -> str:
    """
    Compile the library unless it is there and return "", or say why it cannot be built and what to do.

    Safe with several processes at once: each compiles in a folder of its own and the finished file is moved into place.
    """
    if library().exists():
        return ""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        return NO_COMPILER.format(reason="found none of cc, gcc, clang")
    try:
        library().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library().parent) as folder:
            source, built = Path(folder, "fpe.c"), Path(folder, "fpe.so")
            source.write_text(SOURCE)
            command = [compiler, "-shared", "-fPIC", "-o", built, source]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
            built.replace(library())
    except (OSError, subprocess.SubprocessError) as error:
        return NO_COMPILER.format(reason=error)
    return ""
