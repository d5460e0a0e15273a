"""Energies ``-log p`` at a noise level, and the algebra in which they add."""

from .algebra import On, Sum, terms_of
from .base import Ahead, Energy, Walk, Weight, differentiate, level, require_rows, score_only
from .evaluation import Evaluation, Information, Reading
from .known import At
from .terms import Denoised, Potential, Residual

__all__ = ["Ahead", "At", "Denoised", "Energy", "Evaluation", "Information", "On", "Potential", "Reading", "Residual",
           "Sum", "Walk", "Weight", "differentiate", "level", "require_rows", "score_only", "terms_of"]
