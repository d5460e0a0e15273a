r"""Trunks of :class:`sciencegen.nets.bodies.Bodies`: features of bodies and pairs in, features of bodies out.

Both are called as ``trunk(nodes (N, bodies, T, f), edges (N, E, T, e), keep (N, bodies, T, 1), level (N, 64))`` with
the edges of :func:`sciencegen.nets.bodies.pairs`, take any number of bodies and frames, and do not look at what is not
kept:

- :class:`Graph` sends messages between bodies at every frame ("Learning to Simulate Complex Physics with Graph
  Networks", Sanchez-Gonzalez et al., 2020, https://arxiv.org/abs/2002.09405) and attends over time, body by body;
- :class:`TemporalUNet` convolves over time at several scales, as the original of compositional inverse design
  (Wu et al., 2024, https://arxiv.org/abs/2401.13171); bodies see the others' mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.nn import MessagePassing

from .bodies import EDGES, NODES, pairs

__all__ = ["Graph", "TemporalUNet"]


class Graph(nn.Module):
    """Blocks of messages between bodies, attention over time and two linear maps.

    Arguments:
        width: features of a body at a frame.
        blocks: how many.
        extra: features that nodes have beside those of :class:`Bodies`.
        heads: of the attention.
    """

    def __init__(self, width: int = 96, blocks: int = 2, extra: int = 0, heads: int = 4) -> None:
        super().__init__()
        self.width = width
        self.enter = nn.Linear(NODES + extra, width)
        self.blocks = nn.ModuleList(TrunkBlock(width, heads) for _ in range(blocks))

    def forward(self, nodes: Tensor, edges: Tensor, keep: Tensor, level: Tensor) -> Tensor:
        """Features ``(N, bodies, T, width)``."""
        index, h = pairs(nodes.shape[1], nodes.device), self.enter(nodes)
        for block in self.blocks:
            h = block(h, edges, index, keep, level)
        return functional.layer_norm(h, h.shape[-1:])


class TrunkBlock(nn.Module):
    """Messages, attention and two linear maps, each normalised, modulated by the noise level and added."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.modulate = nn.Linear(64, 6 * width)
        self.meet, self.attend = Meet(width), Attention(width, heads)
        self.body = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)

    def forward(self, h: Tensor, edges: Tensor, index: Tensor, keep: Tensor, level: Tensor) -> Tensor:
        """``h (N, bodies, T, width)`` to the same."""
        a, b, c, d, e, f = self.modulate(level)[:, None, None].chunk(6, -1)
        if index.shape[1]:
            h = h + self.meet(_normalised(h, a, b), index, edges, keep)
        h = h + self.attend(_normalised(h, c, d), keep)
        return h + self.body(_normalised(h, e, f))


class Meet(MessagePassing):
    """What the others tell a body at a frame: ``W silu(A h_i + B h_j + C e_ij)``, summed over those that are there."""

    def __init__(self, width: int) -> None:
        super().__init__(aggr="sum", node_dim=1)
        self.ours, self.theirs = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.edge, self.leave = nn.Linear(EDGES, width, bias=False), nn.Linear(width, width)

    def forward(self, h: Tensor, index: Tensor, edges: Tensor, keep: Tensor) -> Tensor:
        """``h (N, bodies, T, width)``, ``edges (N, E, T, EDGES)`` to what is told, ``(N, bodies, T, width)``."""
        return self.propagate(index.flip(0), ours=self.ours(h), theirs=self.theirs(h), edges=self.edge(edges),
                              keep=keep.to(h))

    def message(self, ours_i: Tensor, theirs_j: Tensor, edges: Tensor, keep_j: Tensor) -> Tensor:
        """What one body tells another, ``(N, E, T, width)``."""
        return self.leave(functional.silu(ours_i + theirs_j + edges)) * keep_j

    def aggregate(self, inputs: Tensor, dim_size: int) -> Tensor:
        """The sum over sources; edges are sorted by target and all have as many, so that nothing is scattered."""
        return inputs.unflatten(1, (dim_size, -1)).sum(2)


class Attention(nn.Module):
    """Attention over the frames of a body; of time it knows differences only."""

    def __init__(self, width: int, heads: int, span: int = 24) -> None:
        super().__init__()
        self.heads, self.span = heads, span
        self.ask, self.leave = nn.Linear(width, 3 * width), nn.Linear(width, width)
        slopes = 2.0 ** -torch.arange(heads)
        self.bias = nn.Parameter(-torch.arange(-span, span + 1).abs() * slopes[:, None] / 2)

    def forward(self, h: Tensor, keep: Tensor) -> Tensor:
        """``h (N, bodies, T, width)`` to the same."""
        query, key, value = self.ask(h).unflatten(-1, (3, self.heads, -1)).permute(3, 0, 1, 4, 2, 5)
        time = torch.arange(h.shape[2], device=h.device)
        bias = self.bias[:, (time[:, None] - time).clamp(-self.span, self.span) + self.span]
        logits = query @ key.mT / query.shape[-1] ** 0.5 + bias.to(query)
        weight = logits.masked_fill(keep[:, :, None, None, :, 0] == 0, -1e4).softmax(-1)
        return self.leave((weight.to(value) @ value).transpose(2, 3).flatten(3))


class TemporalUNet(nn.Module):
    """Residual convolutions over time, halved and doubled, with the mean of the other bodies added in each.

    Arguments:
        channels: of each scale; the first is the width of what comes out.
        extra: features that nodes have beside those of :class:`Bodies`.
        kernel: frames that a convolution sees.
    """

    def __init__(self, channels: Sequence[int] = (64, 96, 128), extra: int = 0, kernel: int = 5) -> None:
        super().__init__()
        self.width, self.depth = channels[0], len(channels)
        self.enter, self.edge = nn.Linear(NODES + extra, channels[0]), nn.Sequential(
            nn.Linear(EDGES, channels[0]), nn.SiLU(), nn.Linear(channels[0], channels[0]))
        self.down = nn.ModuleList(Convolved(a, b, kernel) for a, b in zip((channels[0], *channels), channels))
        self.middle = Convolved(channels[-1], channels[-1], kernel)
        self.up = nn.ModuleList(Convolved(a + b, b, kernel) for a, b in zip((*channels[1:], channels[-1]), channels))

    def forward(self, nodes: Tensor, edges: Tensor, keep: Tensor, level: Tensor) -> Tensor:
        """Features ``(N, bodies, T, width)``."""
        frames, bodies = nodes.shape[2], nodes.shape[1]
        h = self.enter(nodes)
        if bodies > 1:
            source = pairs(bodies, nodes.device)[1]
            h = h + (self.edge(edges) * keep[:, source].to(h)).unflatten(1, (bodies, -1)).sum(2)
        missing = -frames % 2 ** (self.depth - 1)
        h, keep = functional.pad(h, (0, 0, 0, missing)), functional.pad(keep, (0, 0, 0, missing))
        kept = []
        for k, block in enumerate(self.down):
            h, keep = (h, keep) if not k else (_halved(h * keep.to(h)), _halved(keep).ceil())
            h = block(h, keep, level)
            kept.append((h, keep))
        h = self.middle(h, keep, level)
        for k in reversed(range(self.depth)):
            skip, keep = kept[k]
            h = h if k == self.depth - 1 else h.repeat_interleave(2, 2)
            h = self.up[k](torch.cat([h, skip.to(h)], -1), keep, level)
        return functional.layer_norm(h[:, :, :frames], h.shape[-1:])


class Convolved(nn.Module):
    """A residual block: two convolutions over time, the noise level and the others' mean between them."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.modulate = nn.Linear(64, 2 * inputs)
        self.first = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2)
        self.others = nn.Linear(inputs, outputs, bias=False)
        self.last = nn.Conv1d(outputs, outputs, kernel, padding=kernel // 2)
        self.past = nn.Linear(inputs, outputs, bias=False)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)

    def forward(self, h: Tensor, keep: Tensor, level: Tensor) -> Tensor:
        """``h (N, bodies, T, inputs)`` to ``(N, bodies, T, outputs)``."""
        there = keep.to(h)
        z = _normalised(h, *self.modulate(level)[:, None, None].chunk(2, -1)) * there
        others = (z.sum(1, keepdim=True) - z) / (there.sum(1, keepdim=True) - there).clamp_min(1)
        middle = functional.silu(_along(self.first, z) + self.others(others))
        return self.past(h) + _along(self.last, middle * there)


def _along(convolution: nn.Conv1d, h: Tensor) -> Tensor:
    """``convolution`` over the frames of ``h (N, bodies, T, f)``: a product of matrices, to keep features last."""
    (kernel,), frames = convolution.kernel_size, h.shape[2]
    h = functional.pad(h, (0, 0, kernel // 2, kernel // 2))
    near = torch.cat([h[:, :, k: k + frames] for k in range(kernel)], -1)
    return functional.linear(near, convolution.weight.transpose(1, 2).flatten(1), convolution.bias)


def _halved(h: Tensor) -> Tensor:
    return h.unflatten(2, (-1, 2)).mean(3)


def _normalised(h: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return functional.layer_norm(h, h.shape[-1:]) * (1 + scale) + shift
