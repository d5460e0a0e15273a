r"""The surrogate of the solver: what a composed prior expects of given bodies, the flow past them and its forces.

The flow comes down from noise by stochastic steps, :math:`x_{t} = m + \sigma_t^2 / \sigma_s^2 \, (x_s - m) + \ldots`,
and at each level the bodies' images, with the noise of that level, stand where the state has its own. That is right
where the network sees the bodies before it has to decide on the flow, which is why images have their unit
(:func:`sciencegen.studies.flow.prior.prior_layout`): a network that sees both equally late decides on a flow first.

Of wings that went down through it the network does not believe the lift: what is best is at the edge of what it was
trained on, and it takes that for less extreme. :func:`raised` is the measured correction.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...airfoil.wing_fit import pixels
from ...energy import Energy
from ...physics import Outline
from ...random import Streams
from ...sample import karras
from .compose import Composition
from .prior import image

__all__ = ["STEPS", "Surrogate", "raised", "sample_given"]

STEPS, LOW, HIGH = 6, 0.02, 300.0
# drag and lift as they are judged over what is expected, of one, two and three bodies: 6, 6 and 3 designs
RAISED = ((1.13, 1.41), (1.02, 1.35), (0.90, 1.03))


def raised(bodies: int, imagined: int) -> Tensor:
    """What expected drag and lift ``(2,)`` are multiplied by, of wings after ``imagined`` evaluations of a descent."""
    return torch.tensor(RAISED[min(bodies, len(RAISED)) - 1] if imagined else (1.0, 1.0))


class Surrogate:
    """Of bodies' outlines the forces on them, ``(N, K, n, 2) -> (N, K, 2)``, differentiable; each call draws anew.

    Arguments:
        many: the composed prior.
        reynolds: logarithm to base 10.
        seeds: a random stream a row, ``(N,)``.
        steps: noise levels.
    """

    def __init__(self, many: Composition, reynolds: float, seeds: Tensor, steps: int = STEPS) -> None:
        self.many, self.reynolds, self.seeds, self.calls = many, reynolds, seeds, 0
        self.sigmas = karras(steps, LOW, HIGH)

    def __call__(self, outlines: Tensor) -> Tensor:
        return self.many.forces(**self.parts(outlines))

    def parts(self, outlines: Tensor) -> dict[str, Tensor]:
        """The state's ``flow``, as it is expected, and ``body`` and ``reynolds``, as they are given."""
        layout, self.calls = self.many.layout, self.calls + 1
        given = layout.unpack(outlines.new_zeros(len(outlines), layout.size))
        given["body"] = image(Outline(outlines)(pixels(outlines)))
        given["reynolds"] = torch.full_like(given["reynolds"], self.reynolds)
        held = torch.zeros(layout.size, dtype=torch.bool)
        held[(layout["body"] & layout["reynolds"]).rows.flatten()] = True
        noise = Streams(self.seeds, stream=self.calls)
        state = sample_given(self.many.prior, layout.pack(**given), held, self.sigmas, noise)
        return given | {"flow": layout.unpack(state)["flow"]}


def sample_given(prior: Energy, clean: Tensor, held: Tensor, sigmas: Tensor, noise: Streams) -> Tensor:
    """A sample ``(N, d)`` of ``prior`` down the levels ``sigmas``, whose coordinates ``held (d,)`` are ``clean``'s."""
    drawn = (noise.at(step, noise.stream).normal(clean.shape[-1], clean.dtype) for step in range(2 * len(sigmas) + 1))
    x = clean + sigmas[0] * next(drawn)
    for high, low in zip(sigmas, [*sigmas[1:], sigmas.new_zeros(())]):
        mean, share = prior.mean(x, high), (low / high) ** 2
        x = mean + share * (x - mean) + low * (1 - share).sqrt() * next(drawn)
        x = torch.where(held, clean + low * next(drawn), x)
    return x
