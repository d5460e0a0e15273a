"""Other people's files: one small reader a schema, one form for all of them, and writers for those who must read ours.

    data = sciencegen.io.open("1D_Burgers_Sols_Nu0.01.hdf5")      # xarray.Dataset (sample, time, x), nothing read yet
    windows = sciencegen.io.Windows(data, ["tensor"], length=16)  # a torch data set of stretches of time
    sciencegen.io.save(data, "burgers.nc")
"""

from typing import TYPE_CHECKING

from .airfrans import AirfRANS, on_grid
from .arrays import Arrays
from .bubbleml import BubbleML
from .detect import SCHEMAS, detect, open, open_tree
from .dream3d import Dream3D
from .engibench import EngiBench
from .folders import Balls, CinDM, Smoke
from .own import NetCDF
from .pdearena import PDEArena
from .pdebench import Fields, Incompressible, Seeds, Tensor
from .plain import Plain
from .schema import Schema
from .statistics import Summary, blocks, statistics
from .well import Well
from .write import save
from .write_dream3d import save_dream3d
from .write_pdebench import save_pdebench
from .write_well import save_well

if TYPE_CHECKING:
    from .dataset import Windows

__all__ = [
    "SCHEMAS", "AirfRANS", "Arrays", "Balls", "BubbleML", "CinDM", "Dream3D", "EngiBench", "Fields", "Incompressible",
    "Summary", "NetCDF", "PDEArena", "Plain", "Schema", "Seeds", "Smoke", "Tensor", "Well", "Windows", "blocks",
    "detect", "on_grid", "open", "open_tree", "save", "save_dream3d", "save_pdebench", "save_well", "statistics",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """``Windows``, which alone needs torch, when it is asked for: to look at a file takes no second for that."""
    if name == "Windows":
        from .dataset import Windows

        return Windows
    raise AttributeError(f"module 'sciencegen.io' has no attribute {name!r}")
