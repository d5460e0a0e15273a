"""Coupled physics: fields of one model each, that agree with each other."""

from __future__ import annotations

from .conditionals import Conditionals
from .graph import components
from .joint import couple, residuals, solved

__all__ = ["Conditionals", "components", "couple", "residuals", "solved"]
