r"""Members of a set, as bodies or sensors, that attend to each other: their order means nothing, and any number may be.

Each member is a token of its features; blocks of attention and two linear maps as in "Set Transformer" (Lee et al.,
2019), https://arxiv.org/abs/1810.00825, are modulated by the noise level and by the numbers beside the set.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .fields import Numbers
from .mlp import normalised
from .places import Places

__all__ = ["SetNet"]


class SetNet(nn.Module):
    """A set and numbers in, the same out, ``(u, c, keep) -> (N, n)``; zero when untrained.

    Arguments:
        shapes: of the parts, in the order of the state.
        axes: for each part 0 for its axis of members, -1 for features. A part without members is of numbers.
        members: how many there are; the weights do not depend on it.
        width, blocks, heads: features of a member, blocks, and heads of their attention.
        features: numbers that tell a block the noise level and the state's numbers.

    Raises:
        ValueError: a part that does not fit the set.
    """

    def __init__(self, shapes: Sequence[Sequence[int]], axes: Sequence[Sequence[int]], members: int, width: int = 128,
                 blocks: int = 4, heads: int = 4, features: int = 64) -> None:
        super().__init__()
        self.places = Places(shapes, axes, (members,))
        self.numbers = Numbers(self.places.numbers, width, features)
        self.enter = nn.Linear(2 * self.places.channels, width)
        self.blocks = nn.ModuleList(SetBlock(width, heads, features) for _ in range(blocks))
        self.leave = nn.Linear(width, self.places.channels)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, u: Tensor, c: Tensor, keep: Tensor) -> Tensor:
        """``u, keep (N, n)``, ``c (N, 1)`` to ``(N, n)``."""
        (fields, numbers), (there, known) = self.places.apart(u), self.places.apart(keep)
        told = self.numbers.tell(c, numbers, known)
        present = there.abs().amax(1)
        h = self.enter(torch.cat([fields.mT, there.mT], -1))
        for block in self.blocks:
            h = block(h, present, told)
        return self.places.together(self.leave(h).mT, self.numbers.say(h.mean(1), told))


class SetBlock(nn.Module):
    """Attention and two linear maps, each normalised, modulated and added."""

    def __init__(self, width: int, heads: int, features: int) -> None:
        super().__init__()
        self.heads, self.modulate = heads, nn.Linear(features, 4 * width)
        self.ask, self.answer = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.body = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)

    def forward(self, h: Tensor, present: Tensor, told: Tensor) -> Tensor:
        """``h (N, members, width)`` to the same; who is not ``present (N, members)`` is not heard."""
        a, b, c, d = self.modulate(told)[:, None].chunk(4, -1)
        query, key, value = self.ask(normalised(h) * (1 + a) + b).unflatten(-1, (3, self.heads, -1)).permute(
            2, 0, 3, 1, 4)
        logits = query @ key.mT / query.shape[-1] ** 0.5
        weight = logits.masked_fill(present[:, None, None] == 0, -1e4).softmax(-1)
        h = h + self.answer((weight @ value).transpose(1, 2).flatten(2))
        return h + self.body(normalised(h) * (1 + c) + d)
