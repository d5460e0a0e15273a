"""The questions: design, inverse problem, forecast, assimilation. Each is one more term in the sum."""

from ..problem import Constraint, Problem
from ..result import Result
from .assimilate import assimilate
from .design import Terms, design
from .forecast import forecast
from .invert import invert

__all__ = ["Constraint", "Problem", "Result", "Terms", "assimilate", "design", "forecast", "invert"]
