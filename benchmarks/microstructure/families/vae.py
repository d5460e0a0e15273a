r"""The variational autoencoder: a decoder, and an encoder that says which noise an image may have come from.

Both are trained by the evidence lower bound on :math:`\log p(x)`,

.. math:: \langle \log p(x \mid z) \rangle_{q(z \mid x)} - \mathrm{KL}(q(z \mid x) \,|\, N(0, 1)) ,

with :math:`q` normal, of the encoder's mean and deviations. A pixel is of phase 1 with the chance that its logit has.
Where encoder and decoder are linear and what is seen is Gaussian, the optimum is known: probabilistic principal
components.

References:
    Auto-Encoding Variational Bayes (Kingma & Welling, 2014), https://arxiv.org/abs/1312.6114; Probabilistic Principal
    Component Analysis (Tipping & Bishop, 1999), https://doi.org/10.1111/1467-9868.00196
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sciencegen.studies.microstructure.prior import Crops

from .decoder import LATENT, Decoder, Modulated, batches, trained

__all__ = ["Encoder", "shortfall", "vae"]

RATE, BATCH = 2e-3, 32


class Encoder(nn.Module):
    """Images ``(B, 1, 32, 32)`` and styles ``(B, 8)`` to the noise's mean and log deviation, ``(B, d)`` each."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Modulated(4, 32), Modulated(32, 48, 2), Modulated(48, 48, 2)])
        self.heads = nn.ModuleList(nn.Conv2d(*n, 1) for n in zip((48, 48, 32), (2 * n for n in LATENT)))

    def forward(self, image: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        h, found = nn.functional.pixel_unshuffle(image, 2), []
        for block in self.blocks:
            found.insert(0, h := block(h, style))
        each = [head(h).chunk(2, 1) for head, h in zip(self.heads, found)]
        return tuple(torch.cat([part.flatten(1) for part in parts], -1) for parts in zip(*each))


def shortfall(mean: Tensor, deviation: Tensor, likelihood: Callable[[Tensor], Tensor], white: Tensor
              ) -> tuple[Tensor, Tensor]:
    """What the bound loses, ``(B,)`` each: the data's negative log-likelihood, and the divergence from the prior.

    Arguments:
        mean, deviation: of the noise given the data, ``(B, k)``; the second as its logarithm.
        likelihood: log-likelihood ``(B,)`` of the data by noise.
        white: standard normal numbers of that shape.
    """
    divergence = (mean.square() + (2 * deviation).exp() - 1) / 2 - deviation
    return -likelihood(mean + deviation.exp() * white), divergence.sum(-1)


def vae(rows: Crops, steps: int, seed: int = 0) -> tuple[Decoder, dict[str, float]]:
    """A decoder trained with an encoder, and what was told at the end: nats a pixel, and CPU seconds."""
    torch.manual_seed(seed)
    decoder, encoder, data = Decoder(), Encoder(), batches(rows, BATCH, seed)
    optimiser = torch.optim.Adam([*decoder.parameters(), *encoder.parameters()], RATE)
    falling = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps + 1)

    def step(_: int) -> dict[str, float]:
        image, style = next(data)
        found, (mean, deviation) = (image[:, 0] + 1) / 2, encoder(image, style)
        seen = lambda z: -nn.functional.binary_cross_entropy_with_logits(
            decoder(z, style), found, reduction="none").sum((-2, -1))
        misfit, divergence = shortfall(mean, deviation, seen, torch.randn_like(mean))
        optimiser.zero_grad()
        (misfit + divergence).mean().backward()
        optimiser.step()
        falling.step()
        pixels = found[0].numel()
        return {"misfit": misfit.mean().item() / pixels, "divergence": divergence.mean().item() / pixels}

    return trained(decoder, step, steps)
