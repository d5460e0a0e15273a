"""Meshes in the plane around outlines: what every flow solver needs before it can start."""

from sciencegen.solvers.mesh.gmsh import Mesh
from sciencegen.solvers.mesh.outlines import Body, bodies
from sciencegen.solvers.mesh.plane import PlaneMesh, read_msh

__all__ = ["Body", "Mesh", "PlaneMesh", "bodies", "read_msh"]
