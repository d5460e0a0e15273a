"""Files: whole or not there where we write them, and strangers where we read them.

Whatever opens a file that somebody else may have made comes through here. What stands at a path is told by its first
bytes (:func:`kind`), a pipe or a device is never opened, and what any library raises on a damaged file becomes one
:class:`Fault`: what was got, what was expected, what to do. :mod:`sciencegen.files.hdf5` is the door for HDF5 and
netCDF, :mod:`sciencegen.files.child` opens what may kill or hang the process in a process of its own.
"""

from .fault import Fault, fault, guarded
from .kind import Kind, affordable, kind, regular
from .whole import replacing

__all__ = ["Fault", "Kind", "affordable", "fault", "guarded", "kind", "regular", "replacing"]
