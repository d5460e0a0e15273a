r"""
A mesh of the plane around bodies: layers of thin quadrangles on the walls, and triangles by the program Gmsh beyond.

The layers are `wall` high at first and grow by `growth` up to `layer`. From their front the edge length grows with the
distance :math:`r` as :math:`h + g r`, and it is refined along each body's wake and around its corners, where the drag
of a thin trailing edge is decided: without the latter a NACA 0012 has 10 % more drag on as many cells. The layers are
made here because Gmsh's own turn into slivers on thin trailing edges. Gmsh runs as a program of its own, so its licence
(GPL) binds nobody who imports this package. Reference: "Gmsh: A 3-D finite element mesh generator with built-in pre-
and post-processing facilities" (Geuzaine & Remacle, 2009), https://doi.org/10.1002/nme.2579.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from sciencegen.solvers.mesh.layers import Layers, layers
from sciencegen.solvers.mesh.outlines import Body, gap
from sciencegen.solvers.mesh.plane import PlaneMesh, read_msh
from sciencegen.solvers.process import run

__all__ = ["FAR", "INSTALL", "Mesh", "boundary_names", "program"]

INSTALL = 'no program gmsh; install it (`apt install gmsh` or `pip install gmsh`)'
SCRIPT, MESH = "plane.geo", "plane.msh"
FAR = "far"
CLOSE = 0.05  # distance from a front within which edges do not grow
OPTIONS = """\
Mesh.Algorithm = 5;
Mesh.MeshSizeExtendFromBoundary = 1;
Mesh.MeshSizeFromPoints = 0;
Mesh.MeshSizeFromCurvature = 0;
"""


@dataclass(frozen=True)
class Mesh:
    """
    Sizes of a mesh, in reference lengths.

    On the bodies: edges at most `surface` long, `corner` at corners. On the walls: layers from `wall` to `layer`. Off
    them: edges of `near` at the end of the layers, growing at the rate `slope` to the far field at `radius`, at most
    `wake_size` within `wake_width` of the line that runs `wake` lengths downstream from each body. Around corners the
    layers' columns are at least `fan` apart (radians).
    """

    wall: float
    surface: float = 0.01
    corner: float = 0.01
    layer: float = 0.15
    growth: float = 1.2
    fan: float = 0.0
    near: float = 0.02
    wake: float = 4.0
    wake_size: float = 0.03
    wake_width: float = 0.2
    radius: float = 50.0
    slope: float = 0.12

    def refined(self, factor: float) -> Mesh:
        """The same mesh with all edges shorter by `factor`, in the layers and where edges grow too."""
        edges = ("wall", "fan", "surface", "corner", "near", "wake_size")
        sizes = {name: getattr(self, name) / factor for name in edges}
        return replace(self, **sizes, slope=self.slope / factor, growth=self.growth ** (1 / factor))

    def make(self, bodies: Sequence[Body], folder: Path, limit: float, direction: float = 0.0) -> PlaneMesh:
        """
        Mesh within `limit` seconds, files in `folder`; wakes run in the direction `direction` (degrees).

        The boundaries are "body0", "body1", ... and "far". TimeoutError, or ValueError with Gmsh's last words.
        """
        thickness = min(self.layer, gap(bodies) / 4)
        walls = [self._layers(body, thickness) for body in bodies]
        (folder / SCRIPT).write_text(self._script(bodies, walls, direction))
        command = [program() or "gmsh", SCRIPT, "-2", "-nt", "1", "-format", "msh22", "-o", MESH]
        finished = run(command, "", folder, limit)
        if finished.returncode is None:
            raise TimeoutError("no time was left while meshing")
        try:
            return _joined(walls, read_msh((folder / MESH).read_text())).renumbered()
        except (OSError, ValueError) as error:
            raise ValueError(f"Gmsh gave no mesh ({error}); its last words: ...{finished.output[-300:]}") from error

    def _layers(self, body: Body, thickness: float) -> Layers:
        points, corners = body.spaced(self.surface, self.corner)
        arc = max(min(self.near, self.wake_size, self.corner + self.slope * thickness), self.fan * thickness)
        return layers(points, corners, self.wall, self.growth, thickness, arc)

    def _script(self, bodies: Sequence[Body], walls: Sequence[Layers], direction: float) -> str:
        """Gmsh's input: the fronts of the layers, whose edges are the mesh's, and the far field's circle."""
        points = np.concatenate([wall.nodes[-wall.front :] for wall in walls])
        ends = np.cumsum([wall.front for wall in walls]).tolist()
        starts, count = [0, *ends[:-1]], len(points)
        lines = [f"Point({i}) = {{{x!r}, {y!r}, 0}};" for i, (x, y) in enumerate(points.tolist(), 1)]
        for start, end in zip(starts, ends, strict=True):
            lines += [f"Line({i}) = {{{i}, {i + 1 if i < end else start + 1}}};" for i in range(start + 1, end + 1)]
        lines.append(f"Transfinite Curve {{1:{count}}} = 2;")
        lines += self._circle((points.min(0) + points.max(0)) / 2, count)
        loops = [f"{start + 1}:{end}" for start, end in zip(starts, ends, strict=True)]
        lines += [f"Curve Loop({i}) = {{{loop}}};" for i, loop in enumerate(loops, 2)]
        lines.append(f"Plane Surface(1) = {{{', '.join(str(i + 1) for i in range(len(loops) + 1))}}};")
        lines += ['Physical Surface("fluid") = {1};', f'Physical Curve("{FAR}") = {{{count + 1}:{count + 4}}};']
        sizes = self._sizes(bodies, count, np.deg2rad(direction))
        return "\n".join([*lines, *sizes, OPTIONS])

    def _circle(self, centre: np.ndarray, count: int) -> list[str]:
        x, y = centre.tolist()
        r = self.radius
        places = enumerate([(x, y), (x + r, y), (x, y + r), (x - r, y), (x, y - r)], count + 1)
        lines = [f"Point({i}) = {{{px!r}, {py!r}, 0}};" for i, (px, py) in places]
        for i in range(4):
            lines.append(f"Circle({count + 1 + i}) = {{{count + 2 + i}, {count + 1}, {count + 2 + (i + 1) % 4}}};")
        return [*lines, f"Curve Loop(1) = {{{count + 1}:{count + 4}}};"]

    def _sizes(self, bodies: Sequence[Body], count: int, angle: float) -> list[str]:
        """The field of edge lengths: the least of what the fronts, the wakes and the corners ask for."""
        downstream = np.array([np.cos(angle), np.sin(angle)])
        lasts = np.array([body.points[(body.points @ downstream).argmax()] for body in bodies])
        lines, number = [], count + 6
        for i, (start, stop) in enumerate(zip(lasts.tolist(), (lasts + self.wake * downstream).tolist(), strict=True)):
            lines += [f"Point({number + j}) = {{{x!r}, {y!r}, 0}};" for j, (x, y) in enumerate([start, stop])]
            lines.append(f"Line({count + 5 + i}) = {{{number}, {number + 1}}};")
            number += 2
        corners = np.concatenate([body.points[body.corners()] for body in bodies]).tolist()
        lines += [f"Point({number + j}) = {{{x!r}, {y!r}, 0}};" for j, (x, y) in enumerate(corners)]
        near = min(self.near, gap(bodies) / 5)
        lines += self._field(1, f"CurvesList = {{1:{count}}}", 2, near, CLOSE)
        wakes = f"CurvesList = {{{count + 5}:{count + 4 + len(bodies)}}}"
        lines += self._field(3, wakes, 200, self.wake_size, self.wake_width)
        if corners:
            listed = f"PointsList = {{{number}:{number + len(corners) - 1}}}"
            lines += self._field(5, listed, 1, self.corner, 2 * self.corner)
        found = "2, 4, 6" if corners else "2, 4"
        return [*lines, f"Field[7] = Min; Field[7].FieldsList = {{{found}}};", "Background Field = 7;"]

    def _field(self, number: int, of: str, samples: int, start: float, within: float) -> list[str]:
        """Edges of `start` up to a distance of `within`, growing from there."""
        first, second = f"Field[{number}]", f"Field[{number + 1}]"
        return [
            f"{first} = Distance; {first}.{of}; {first}.NumPointsPerCurve = {samples};",
            f"{second} = Threshold; {second}.InField = {number};",
            f"{second}.SizeMin = {start!r}; {second}.SizeMax = {start + self.slope * self.radius!r};",
            f"{second}.DistMin = {within!r}; {second}.DistMax = {self.radius!r};",
        ]


def program() -> str | None:
    """Where Gmsh is: on the path, or beside this Python, where its wheel puts it."""
    return shutil.which("gmsh", path=os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)]))


def boundary_names(count: int) -> list[str]:
    """The names of the bodies' boundaries."""
    return [f"body{number}" for number in range(count)]


def _joined(walls: Sequence[Layers], outer: PlaneMesh) -> PlaneMesh:
    """The layers and Gmsh's triangles as one mesh; the fronts' points are in both."""
    tree = cKDTree(outer.points)
    points, triangles, quads = [outer.points], [outer.triangles], [outer.quads]
    boundary, count = {FAR: outer.boundary[FAR]}, len(outer.points)
    for name, wall in zip(boundary_names(len(walls)), walls, strict=True):
        inner = len(wall.nodes) - wall.front
        away, shared = tree.query(wall.nodes[inner:])
        if away.max() > 1e-9 or len(np.unique(shared)) < wall.front:
            raise ValueError("got a mesh that does not end on the layers' front")
        number = np.concatenate([count + np.arange(inner), shared])
        around = number[np.arange(wall.wall)]
        boundary[name] = np.stack([around, np.roll(around, -1)], 1)
        points, count = [*points, wall.nodes[:inner]], count + inner
        triangles, quads = [*triangles, number[wall.triangles]], [*quads, number[wall.quads]]
    return PlaneMesh(np.concatenate(points), np.concatenate(triangles), np.concatenate(quads), boundary)
