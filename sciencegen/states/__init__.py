r"""Anybody's data as rows of numbers with a layout: what a prior is trained on.

    states = States("mine.h5", ["u", "v", "viscosity"], length=8)  # a file that io.open reads, or an xarray
    states.layout                                                 # parts, units, coordinates
    states.train[0]                                               # the first row, (d,)

A sample of the data is a trajectory; a row is a window of its frames beside its parameters. Training, validation and
test never share a trajectory, because frames of one are nearly copies of each other: a score on such frames would be
that of a memory. Means and standard deviations, the units of the state, are those of the training rows alone, and all
statistics stream: of a file no more is ever in memory than a block.
"""

from .gaussians import by_part, candidates, local, low_rank, low_rank_by_part, markov, spectral, unit
from .rows import Rows
from .states import States

__all__ = ["Rows", "States", "by_part", "candidates", "local", "low_rank", "low_rank_by_part", "markov",
           "spectral", "unit"]
