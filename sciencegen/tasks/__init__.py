"""The questions: design, inverse problem, forecast, assimilation, coupled solution. Each is a term in the sum."""

from ..problem import Constraint, Problem
from ..result import Result
from .assimilate import assimilate
from .design import Terms, design
from .draw import draw
from .forecast import forecast
from .invert import invert
from .settle import settle

__all__ = ["Constraint", "Problem", "Result", "Terms", "assimilate", "design", "draw", "forecast", "invert",
           "settle"]
