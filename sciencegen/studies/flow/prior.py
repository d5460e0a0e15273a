r"""The prior over flows around one body: what the stream does, the body, the force on it, and the Reynolds number.

A state is a window of the flow, three frames of u, v, p, with the signed distance of the body on a grid twice as fine,
squashed as :math:`\tanh(d / 0.2)` so that what is near the surface counts; the drag and lift that the *solver* found,
averaged over time; and the logarithm of the Reynolds number. A force is a part of the state because Tweedie's mean of
it is then right at every noise level, where a force computed from the mean of a flow is not.

Mirrored across the stream, flows are flows: each case is seen from both sides.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ...airfoil.wing_fit import REACH
from ...exact import Gaussian
from ...files import fault
from ...files.hdf5 import hdf5, whole
from ...layout import Layout, Variable, View
from ...physics import pool
from ...priors import Denoiser, Recipe
from ...train import Levels, Packed, Training

__all__ = ["REACH", "SMALL", "distance", "energy", "image", "network", "parts", "prior_layout", "read", "recipe"]

STEP = 2  # frames of a file from one frame of a state to the next
LATE = 12  # last frames of a file's history over which a force is averaged
BATCH = 200  # cases that are read at a time


SHARES = (0.8, 0.12, 0.08)  # of a batch, for the joint and each of parts()
SMALL = Training(steps=22_500, batch=64, rate=1e-3, levels=Levels(low=1e-2, high=2000.0, center=6.0, spread=2.0),
                 given=(), shares=SHARES, precision=torch.bfloat16, every=200, gated=False)


def prior_layout(factor: int = 2, frames: int = 3, side: int = 64) -> Layout:
    """``flow (frames, 3, n, n)`` with n = side / factor, ``body (side, side)``, ``force (2,)`` and ``reynolds ()``.

    In units of the free stream and of the density times its square; forces are coefficients of the unit chord,
    ``reynolds`` is its logarithm to base 10. The image's unit is a tenth of its spread, so that noise blurs it ten
    times later than the flow: a network then knows the body first, and decides on the flow around it.
    """
    n = side // factor
    loc, scale = (torch.tensor(v)[:, None, None] for v in ([0.9, 0.0, 0.0], [0.35, 0.25, 0.25]))
    return Layout(
        flow=Variable((frames, 3, n, n), loc, scale, ("frame", "channel", "x", "y"), "U, U, rho U^2",
                      {"channel": ["u", "v", "p"]}),
        body=Variable((side, side), 0.8, 0.04, ("x_body", "y_body"), f"tanh(distance / {REACH} chords)"),
        force=Variable((2,), torch.tensor([0.9, 0.0]), torch.tensor([0.5, 0.9]), ("coefficient",),
                       coords={"coefficient": ["drag", "lift"]}),
        reynolds=Variable((), 2.4, 0.05, units="log10"))


def parts(layout: Layout) -> list[View]:
    """What a prior knows beside the joint: the flow by itself, whatever is in it, and the body by itself."""
    return [layout["flow"] & layout["reynolds"], layout["body"]]


def image(distance: Tensor) -> Tensor:
    """What a state holds of a signed distance, chords: within (-1, 1), zero at the surface."""
    return torch.tanh(distance / REACH)


def distance(body: Tensor) -> Tensor:
    """The inverse of :func:`image`, chords; it ends at 2.6 times ``REACH``, either way."""
    return REACH * torch.atanh(body.clamp(-0.99, 0.99))


def read(file: str | os.PathLike, factor: int = 2) -> dict[str, Tensor]:
    """States of a file that datasets/make_flows.py wrote, ``{part: (4 N, ...)}`` for its N cases that were solved.

    Two of each case, a frame apart, then the mirror images of both: cases first, ``reshape(4, N, ...)``.
    ValueError if the file is another.
    """
    whole(file)
    with hdf5(file) as data:
        missing = {"flow", "distance", "history", "reynolds", "status"} - set(data)
        if missing:
            raise fault(file, f"no {sorted(missing)}", "a file that datasets/make_flows.py wrote", "make it by that")
        good = (data["status"][:] == 0).nonzero()[0]
        chunks = [torch.from_numpy(data["flow"][good[i : i + BATCH]]) for i in range(0, len(good), BATCH)]
        flow = torch.cat([pool(chunk, factor) if factor > 1 else chunk for chunk in chunks])
        body = image(torch.from_numpy(data["distance"][:][good]))
        force = torch.from_numpy(data["history"][:][good])[:, -LATE:].mean(1)
        reynolds = torch.from_numpy(data["reynolds"][:][good]).log10()
    flows = torch.cat([flow[:, start::STEP] for start in range(STEP)])
    cases = {"flow": flows, "body": body.repeat(STEP, 1, 1), "force": force.repeat(STEP, 1),
             "reynolds": reynolds.repeat(STEP)}
    return {k: torch.cat([v, w]).float() for (k, v), w in zip(cases.items(), mirrored(**cases).values())}


def mirrored(flow: Tensor, body: Tensor, force: Tensor, reynolds: Tensor) -> dict[str, Tensor]:
    """The same seen from the other side of the stream: ``y -> -y``, which takes lower faces to upper ones.

    The upper faces of the window's last row are not in it: what flows out there is what flows into its cells.
    """
    u, v, p = flow.unbind(-3)
    right = torch.cat([u[..., 1:, -1], 2 * u[..., -1:, -1] - u[..., -2:-1, -1]], -1)
    top = v[..., -1] - (right - u[..., -1])
    upper = torch.cat([v[..., 1:], top[..., None]], -1)
    turned = torch.stack([u.flip(-1), -upper.flip(-1), p.flip(-1)], -3)
    return {"flow": turned, "body": body.flip(-1), "force": force * force.new_tensor([1.0, -1.0]), "reynolds": reynolds}


def gaussian(rows: Tensor, sizes: Sequence[int]) -> Gaussian:
    """What the network corrects, of ``rows (N, d)``: their mean, and one variance about it for each part of ``sizes``.

    Not their covariance: in coordinates that it has whitened, the few modes that make a flow are lost among thousands
    of others, and a network of local filters no longer sees them.
    """
    mean = rows.mean(0)
    parts = (rows - mean).square().mean(0).split(list(sizes))
    return Gaussian(mean, torch.cat([part.mean().expand_as(part) for part in parts]))


def network(layout: Layout, grid: int = 16, channels: Sequence[int] = (64, 80, 96), blocks: Sequence[int] = (1, 2, 2)
            ) -> Recipe:
    """The network of states of :func:`prior_layout`; see :class:`sciencegen.nets.parts.PartsUNet`."""
    return Recipe("sciencegen.nets.parts.PartsUNet", {
        "shapes": [list(v.shape) for v in layout.variables.values()], "grid": [grid] * 2, "channels": list(channels),
        "blocks": list(blocks)})


def energy(net: Recipe, layout: Layout, data: Gaussian) -> Denoiser:
    """The untrained energy."""
    return Denoiser(net.build(), data, parts(layout), lowest=SMALL.levels.low)


def recipe(file: str | os.PathLike, full: bool = False, steps: int | None = None, seed: int = 0
           ) -> tuple[Packed, Training]:
    """What to train on, from ``file`` (datasets/make_flows.py), and how.

    The small network takes about two hours on one core with bfloat16 units. The ``full`` one, at the file's own
    resolution, is meant for a GPU, in pieces of any length (an interrupt ends a piece); it was never run. One case in
    twenty is held out.
    """
    factor = 1 if full else 2
    layout, states = prior_layout(factor), read(file, factor)
    rows = layout.pack(**states).unflatten(0, (4, -1))
    cases = rows.shape[1]
    sizes = [cases - 2 * (cases // 40), cases // 40, cases // 40]
    train, valid, test = (part.flatten(0, 1) for part in rows.split(sizes, 1))
    how = replace(SMALL, net=network(layout), gaussian=gaussian(train, [v.size for v in layout.variables.values()]),
                  marginals=tuple((view,) for view in parts(layout)), seed=seed, facts=(("cases", cases),))
    if full:
        how = replace(how, net=network(layout, 32, (96, 160, 224), (2, 2, 3)), steps=60_000, batch=128)
    return Packed(layout, train, valid, test), replace(how, steps=steps or how.steps)
