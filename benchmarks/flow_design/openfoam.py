"""The judge that shares nothing with the embedded solver: OpenFOAM on a mesh of its own around the same outlines.

Its meshes are coarser than :class:`Laminar`'s own, and their fans at trailing edges wider: of the best airfoil of
gradients 5,434 cells give drag 0.350 and lift 0.762, 14,556 give 0.347 and 0.759 in four times the time; and for two
airfoils forces swing on narrower fans, at time steps that come to no end.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from sciencegen.solvers.openfoam import Laminar, OpenFOAM
from sciencegen.solvers.solver import Status

FINENESS, FAN = 0.6, 0.8  # of edges, over the solver's own; of a fan's columns, radians before that


def openfoam(
    outlines: ArrayLike, reynolds: float, fineness: float = FINENESS, timeout: float = 900.0
) -> dict[str, object]:
    """
    Drag and lift of bodies in a stream along x, laminar, of the time mean.

    Args:
        outlines: (bodies, n, 2), or a sequence of (n, 2), in chords of the stream, where and as the bodies stand.
        reynolds: of the unit chord.
        fineness: divides all edges of the mesh.
        timeout: seconds, meshing included.

    Returns:
        ``status``: "converged" (steady, or means over four whole periods that agree), "unsettled" (means over the
        last half of what was run), or why there is nothing: "timeout", "crashed", "unmeshed", "not installed";
        ``drag`` and ``lift``, each a list of a coefficient a body, on the unit chord, and ``swing``, half the lift's
        range, NaN where there is nothing; ``strouhal``, 0 where steady; ``cells``; ``seconds`` by the clock; ``log``.
    """
    mesh = replace(Laminar().mesh(reynolds), fan=FAN)
    solver = OpenFOAM(Laminar(), mesh=mesh.refined(fineness), timeout=timeout)
    result = solver([np.asarray(outline, dtype=float) for outline in outlines], reynolds, alpha=[0.0])
    status, history = str(result.status), result.fields["history"][0]
    drag, lift, swing = (result[name][0] for name in ("cd", "cl", "cl_amplitude"))
    if result.status == Status.MISSING:
        status = "not installed"
    elif result.status == Status.UNCONVERGED and not len(history):
        status = "unmeshed"
    elif result.status == Status.UNCONVERGED:
        status, late = "unsettled", history[history[:, 0] >= history[-1, 0] / 2]
        drag, lift = (np.trapezoid(late[:, k::3], late[:, 0], axis=0) / np.ptp(late[:, 0]) for k in (1, 2))
        swing = np.ptp(late[:, 2::3], axis=0) / 2
    return {
        "status": status, "drag": drag.tolist(), "lift": lift.tolist(), "swing": swing.tolist(),
        "strouhal": float(result["strouhal"][0]), "cells": float(result["cells"][0]), "seconds": result.wall_s,
        "log": result.log,
    }  # fmt: skip
