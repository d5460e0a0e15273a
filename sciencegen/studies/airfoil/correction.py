r"""The correction of a model's drag by what a second program said of the designs that were tried.

A network that learned from the program's answers is off by a few per cent, and by nearly as much at designs that are
alike. The logarithm of the ratio of both drags is a number a design and operating point. Ordinary kriging carries it
over to the other designs: with the distance :math:`d_{ij}` of two outlines,

.. math:: k_{ij} = c + e^{-d_{ij}^2 / 2 \ell^2}, \qquad
          \hat y_i = k_{iT} (k_{TT} + \nu 1)^{-1} y_T ,

where :math:`T` are the designs that were tried and :math:`c \gg 1` leaves their mean free. What is told of a tried
design itself is told by the others, leave one out, or it would say nothing of the next:

.. math:: \hat y_i = y_i - [(k_{TT} + \nu 1)^{-1} y_T]_i \, / \, [(k_{TT} + \nu 1)^{-1}]_{ii} .

References:
    Predicting the output from a complex computer code when fast approximations are available (Kennedy & O'Hagan, 2000),
    https://doi.org/10.1093/biomet/87.1.1
    Cross validation of kriging in a unique neighborhood (Dubrule, 1983), https://doi.org/10.1007/BF01033232
"""

from __future__ import annotations

import numpy as np

__all__ = ["carried"]

LENGTH = 25e-4  # chords: outlines farther apart tell little of each other but the mean
MEAN, NOISE = 10.0, 0.1  # c and nu, in units of the variance of what is not common to all


def carried(told: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """What the ``told (N, K)`` of tried designs says of every design, ``(N, K)``; 0 where nothing was told.

    Arguments:
        told: logarithms of ratios; a row with NaN is of a design that was not tried.
        apart: ``(N, N)``, distances of the outlines, chords.
    """
    tried = np.isfinite(told).all(-1)
    alike = MEAN + np.exp(-((apart / LENGTH) ** 2) / 2)
    inverse = np.linalg.inv(alike[np.ix_(tried, tried)] + NOISE * np.eye(tried.sum()))
    weights = inverse @ told[tried]
    found = alike[:, tried] @ weights
    found[tried] = told[tried] - weights / np.diag(inverse)[:, None]
    return found
