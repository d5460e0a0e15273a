r"""The generative adversarial network: a decoder whose images a second network cannot tell from data.

The discriminator's score :math:`d` rises on data and falls on what the decoder makes; the decoder raises it on its own,

.. math:: \min_d \, \langle \ln(1 + e^{-d(x)}) \rangle + \langle \ln(1 + e^{d(g(z))}) \rangle , \qquad
          \min_g \, \langle \ln(1 + e^{-d(g(z))}) \rangle .

The discriminator's channels are normalised by the mean and variance of its batch, as in DCGAN. So it matters what is
in a batch. *Separate* batches of data and of made images are each normalised by themselves; in a *mixed* one the
statistics are of both, and whose they are can be told from them.

References:
    Generative Adversarial Nets (Goodfellow et al., 2014), https://arxiv.org/abs/1406.2661; Unsupervised Representation
    Learning with Deep Convolutional GANs (Radford et al., 2016), https://arxiv.org/abs/1511.06434; cGANs with
    Projection Discriminator (Miyato & Koyama, 2018), https://arxiv.org/abs/1802.05637
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, softplus

from sciencegen.studies.microstructure.prior import NUMBERS, SIDE, Crops

from .decoder import Decoder, batches, numbers, trained

__all__ = ["Discriminator", "gan", "scores"]

RATES, BETAS, BATCH = (1e-3, 2e-4), (0.5, 0.95), 32  # of decoder and discriminator
BLUR = 0.5  # standard deviation of noise on what the discriminator sees: data have two values only


class Discriminator(nn.Module):
    """Images ``(B, 1, y, x)`` and styles ``(B, 8)`` to a score ``(B,)``, high for data."""

    def __init__(self, channels: tuple[int, ...] = (32, 48, 64)) -> None:
        super().__init__()
        conv = lambda inside, outside, stride: nn.Conv2d(inside, outside, 3, stride, 1, padding_mode="circular")
        self.first = conv(4, channels[0], 1)
        self.convs = nn.ModuleList(conv(a, b, 2) for a, b in zip(channels, channels[1:]))
        self.norms = nn.ModuleList(map(nn.BatchNorm2d, channels[1:]))
        self.last, self.style = nn.Linear(channels[-1], 1), nn.Linear(len(NUMBERS), channels[-1])

    def forward(self, image: Tensor, style: Tensor) -> Tensor:
        h = leaky_relu(self.first(nn.functional.pixel_unshuffle(image, 2)), 0.2)
        for conv, norm in zip(self.convs, self.norms):
            h = leaky_relu(norm(conv(h)), 0.2)
        h = h.mean((-2, -1))
        return self.last(h)[:, 0] + (h * self.style(style)).sum(-1)


def scores(discriminator: nn.Module, real: Tensor, made: Tensor, style: Tensor, mixed: bool) -> tuple[Tensor, Tensor]:
    """Scores ``(B,)`` of data and of made images, by one batch of both or by two."""
    if mixed:
        return discriminator(torch.cat([real, made]), torch.cat([style, style])).chunk(2)
    return discriminator(real, style), discriminator(made, style)


def gan(rows: Crops, steps: int, mixed: bool = False, seed: int = 0) -> tuple[Decoder, dict[str, float]]:
    """A decoder trained against a discriminator, and what was told at the end: losses, its hits, and CPU seconds."""
    torch.manual_seed(seed)
    decoder, discriminator, data = Decoder(), Discriminator(), batches(rows, BATCH, seed)
    makes, tells = (torch.optim.Adam(net.parameters(), rate, BETAS)
                    for net, rate in zip((decoder, discriminator), RATES))
    blurred = lambda image: image + BLUR * torch.randn_like(image)

    def step(_: int) -> dict[str, float]:
        image, style = next(data)
        made = torch.tanh(decoder(torch.randn(len(image), numbers((SIDE, SIDE))), style) / 2)[:, None]
        real, other = scores(discriminator, blurred(image), blurred(made.detach()), style, mixed)
        told = (softplus(-real) + softplus(other)).mean()
        tells.zero_grad()
        told.backward()
        tells.step()
        _, other_now = scores(discriminator, blurred(image), blurred(made), style, mixed)
        fooled = softplus(-other_now).mean()
        makes.zero_grad()
        fooled.backward()
        makes.step()
        hits = torch.cat([real > 0, other < 0]).float().mean()
        return {"discriminator": told.item(), "decoder": fooled.item(), "hits": hits.item()}

    return trained(decoder, step, steps)
