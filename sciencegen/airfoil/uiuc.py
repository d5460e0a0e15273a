"""The UIUC collection of airfoils, as the installed ``aerosandbox`` package carries it (2,174 files in version 4.2).

The package has added airfoils from other public sources to it; remarks in a file say where it comes from.

References:
    UIUC Airfoil Coordinates Database (Selig, 1996), https://m-selig.ae.illinois.edu/ads/coord_database.html
    AeroSandbox (Sharpe, 2021), MIT licence, https://github.com/peterdsharpe/AeroSandbox
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from sciencegen.airfoil.dat import read_dat


def names() -> list[str]:
    """The names of all airfoils, sorted; each is a name for :func:`coordinates`."""
    return sorted(file.stem for file in _folder().glob("*.dat"))


def coordinates(name: str) -> np.ndarray:
    """The outline (n, 2) of one airfoil, float64, in Selig order and the file's own unit (mostly chords).

    Raises:
        KeyError: where the collection has no such airfoil.
        ValueError: where its file holds no usable outline (see :func:`sciencegen.airfoil.dat.read_dat`).
        ImportError: where the package ``aerosandbox`` is not installed.
    """
    file = _folder() / f"{name}.dat"
    if not file.exists():
        near = [other for other in names() if other.lower().startswith(name.lower()[:3])][:8]
        raise KeyError(f"no airfoil {name!r}; names that begin alike: {near}; uiuc.names() lists all")
    return read_dat(file)[1]


def _folder() -> Path:
    """The folder of coordinate files, found without importing ``aerosandbox`` (which takes seconds)."""
    package = find_spec("aerosandbox")
    if package is None or package.origin is None:
        raise ImportError('the UIUC airfoils come with the package aerosandbox; pip install "sciencegen[aero]"')
    return Path(package.origin).parent / "geometry" / "airfoil" / "airfoil_database"
