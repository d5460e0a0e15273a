"""OpenFOAM as the judge of bodies in a stream: a finite-volume solver on a mesh around the outlines.

It shares nothing with the embedded solver. Its meshes are coarser than :class:`Laminar`'s own, and their fans at
trailing edges wider: of one airfoil 5,434 cells give drag 0.350 and lift 0.762, 14,556 give 0.347 and 0.759 in four
times the time. A run ends when forces are at rest or repeat, or at :data:`HORIZON`, where the means are those over its
last half. A flow that sheds for longer has not settled by then, and is told as such.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ...solvers.openfoam import Laminar, OpenFOAM
from ...solvers.solver import Status

__all__ = ["ByOpenFOAM"]

FAN, HORIZON = 0.8, 30.0  # columns of a fan, radians before refinement; chords over the free stream
CARRIED = ("converged", "unsettled")


@dataclass(frozen=True)
class ByOpenFOAM:
    """Mean forces on bodies in a stream along x by OpenFOAM, laminar.

    Arguments:
        reynolds: of the unit chord.
        fineness: divides all edges of the mesh.
        timeout: seconds a design, meshing included.
    """

    reynolds: float = 250.0
    fineness: float = 0.6
    timeout: float = 900.0

    def __call__(self, outlines: Tensor) -> Tensor:
        """Mean drag and lift coefficients ``(*B, K, 2)`` of ``outlines (*B, K, n, 2)``; NaN where it has none."""
        told = [self.told(row) for row in outlines.reshape(-1, *outlines.shape[-3:]).cpu().numpy()]
        force = torch.tensor([[row["drag"], row["lift"]] for row in told], dtype=outlines.dtype)
        carried = torch.tensor([row["status"] in CARRIED for row in told])
        return torch.where(carried[:, None, None], force.mT, torch.nan).reshape(*outlines.shape[:-2], 2)

    def told(self, outlines: ArrayLike) -> dict[str, Any]:
        """All that a run on ``outlines (K, n, 2)`` says.

        ``status``: "converged" (steady, or means over four whole periods that agree), "unsettled" (means over the last
        half of what was run), or why there is nothing: "timeout", "crashed", "unmeshed", "not installed"; ``drag`` and
        ``lift``, each a list of a coefficient a body, on the unit chord, and ``swing``, half the lift's range, NaN
        where there is nothing; ``strouhal``, 0 where steady; ``cells``; ``seconds`` by the clock; ``log``.
        """
        result = self._solver()([np.asarray(outline, dtype=float) for outline in outlines], self.reynolds, alpha=[0.0])
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

    @property
    def words(self) -> str:
        """Who judges, for a reader."""
        return "OpenFOAM, on a mesh around the outlines"

    @classmethod
    def here(cls) -> ByOpenFOAM:
        """The judge, where OpenFOAM runs; ValueError, with how to install it, where it does not."""
        able, reason = cls()._solver().available()
        if not able:
            raise ValueError(f"got a wish to have OpenFOAM judge; expected that it runs here: {reason}")
        return cls()

    def _solver(self) -> OpenFOAM:
        flow = Laminar(horizon=HORIZON)
        mesh = replace(flow.mesh(self.reynolds), fan=FAN).refined(self.fineness)
        return OpenFOAM(flow, mesh=mesh, timeout=self.timeout)
