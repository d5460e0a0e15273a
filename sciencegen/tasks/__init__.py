"""The questions: design, inverse problem, forecast. Each is one more term in the sum."""

from ..result import Result
from .design import Terms, design
from .forecast import forecast
from .invert import invert
from .problem import Constraint, Problem

__all__ = ["Constraint", "Problem", "Result", "Terms", "design", "forecast", "invert"]
