"""Rival families: what their losses end at where that is known, and that the tasks run through their decoders."""

import math

import numpy as np
import torch

import sciencegen as sg
from benchmarks.microstructure.families.decoder import CELLS, Decoded, Decoder, numbers, shapes
from benchmarks.microstructure.families.gan import Discriminator, scores
from benchmarks.microstructure.families.vae import shortfall
from oracles import close


def test_a_linear_autoencoder_ends_at_the_probabilistic_principal_components():
    """Of Gaussian data the span of the leading axes, and the mean of the other variances as noise, in closed form."""
    draws = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(6, 6, generator=draws, dtype=torch.float64))[0]
    rows = torch.randn(2000, 6, generator=draws, dtype=torch.float64) * torch.tensor([3, 2, 1, 0.7, 0.6, 0.5]) @ turn.mT
    rows = rows - rows.mean(0)
    variances, axes = torch.linalg.eigh(torch.cov(rows.mT, correction=0))
    decode, encode = (torch.nn.Linear(*n, dtype=torch.float64) for n in ((2, 6), (6, 2)))
    spread, deviation = (torch.nn.Parameter(torch.zeros(n, dtype=torch.float64)) for n in (1, 2))
    optimiser = torch.optim.Adam([*decode.parameters(), *encode.parameters(), spread, deviation], 0.03)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 400)

    def likelihood(z):
        off = (rows - decode(z)).square() / (2 * spread).exp()
        return -(off + 2 * spread + math.log(2 * math.pi)).sum(-1) / 2

    told = []
    for _ in range(400):
        white = torch.randn(2000, 2, generator=draws, dtype=torch.float64)
        loss = sum(shortfall(encode(rows), deviation.expand(2000, 2), likelihood, white)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        falling.step()
        told.append(loss.item())

    found = torch.linalg.qr(decode.weight.detach())[0]
    angle = torch.rad2deg(torch.acos(torch.linalg.svdvals(found.mT @ axes[:, -2:]).clamp_max(1))).max()
    assert angle < 2
    noise = variances[:-2].mean()
    assert abs((2 * spread.detach()).exp() / noise - 1) < 0.05
    bound = (6 * math.log(2 * math.pi) + variances[-2:].log().sum() + 4 * noise.log() + 6) / 2  # Tipping and Bishop's
    assert abs(sum(told[-60:]) / 60 - bound) < 0.02


def test_a_batch_of_both_tells_which_half_is_data():
    """One constant image against another: each alone is normalised to nothing, together they differ."""
    net, style = Discriminator(), torch.zeros(4, 8)
    light, dark = torch.ones(4, 1, 32, 32), -torch.ones(4, 1, 32, 32)
    real, made = scores(net, light, dark, style, mixed=False)
    close(real, made, 1e-4)
    real, made = scores(net, light, dark, style, mixed=True)
    assert (real - made).abs().min() > 0.01


def decoded(dtype: torch.dtype = torch.float64) -> Decoded:
    torch.manual_seed(0)
    return Decoded(Decoder().requires_grad_(False).to(dtype), torch.zeros(8, dtype=dtype), (32, 32))


def test_a_decoder_is_periodic_and_local():
    """Noise that is moved by a cell gives the image moved by its pixels, and what is far away changes nothing."""
    net, style, grid, cell = decoded().decoder, torch.zeros(8, dtype=torch.float64), (96, 64), CELLS[0]
    draws = torch.Generator().manual_seed(1)
    pyramid = [torch.randn(2, *shape, generator=draws, dtype=torch.float64) for shape in shapes(grid)]
    flat = lambda pieces: torch.cat([piece.flatten(1) for piece in pieces], -1)
    moved = [piece.roll((3 * cell // c, cell // c), (-2, -1)) for piece, c in zip(pyramid, CELLS)]
    image = net(flat(pyramid), style, grid)
    close(net(flat(moved), style, grid), image.roll((3 * cell, cell), (-2, -1)), 1e-12)
    other = [pyramid[0].clone(), *pyramid[1:]]
    other[0][:, :, 0] += 1
    changed = (image - net(flat(other), style, grid)).abs().amax((0, 2)) > 0
    assert changed[:cell].all()
    assert not changed[4 * cell: 8 * cell].any()


def test_blocks_of_one_style_are_the_style():
    net, style = decoded().decoder, torch.randn(8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    z = torch.randn(1, numbers((32, 32)), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    close(net(z, style), net(z, style.expand(3, 8)), 1e-12)


def test_design_and_invert_run_through_a_decoder():
    """A design has more of phase 1 than the prior; pixels that were read are nearer to it than before.

    A posterior is drawn by the stochastic sampler: what a decoder does about the mean of noise is not what it does
    about noise, so that a deterministic path never comes back from where the first levels led it.
    """
    family, seeds = decoded(torch.float32), torch.arange(6)
    problem, sampler = family.problem, sg.Multistep(sg.karras(8, 0.02, 10.0))
    share = lambda phase, **_: phase.mean((-2, -1))
    free = sg.draw(problem, sampler, 3, seeds[:3], progress=False)
    made = sg.design(problem, lambda **parts: -share(**parts), 1e4, sampler, 3, seeds=seeds[:3], progress=False)
    shares = [share(**problem.parts(problem.layout.pack(z=torch.tensor(r.samples["z"].values)))) for r in (free, made)]
    assert shares[1].min() > shares[0].max()
    pixels = lambda phase, **_: phase[..., 4:6, 4:6].flatten(-2)
    data, before = (pixels(**problem.parts(family.draw(s))) for s in (torch.tensor([99]), seeds))
    found = sg.invert(problem, pixels, data[0], 0.05, sg.Ancestral(sg.karras(24, 0.02, 10.0)), 6, seeds,
                      progress=False, iterations=4)
    off = (before - data).square().mean(-1).sqrt() / 0.05
    assert 2 * np.median(found.data.misfit) < float(off.median())
