"""Pictures: functions of datasets and arrays that return figure and axes and never show them, all in one style."""

from .designs import designs
from .posterior import posterior
from .style import COLORS, WIDTH, cell_edges, styled, unit
from .terms import terms

__all__ = ["COLORS", "WIDTH", "cell_edges", "designs", "posterior", "styled", "terms", "unit"]
