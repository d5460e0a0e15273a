"""Heat: exact in time, and the posterior of the start is that of a dense linear-Gaussian model."""

import math

import pytest
import torch

from oracles import close, conditioned, normal
from sciencegen.physics import Cosine, Fourier, Heat, Sine
from sciencegen.physics.fields import white
from sciencegen.physics.grids import centres


def test_a_sine_between_cold_walls_decays_exactly():
    x = centres(16)
    a = (math.pi * x).sin()[:, None] * (3 * math.pi * x).sin()
    h = Heat(Sine(16), nu=0.02, frame=0.1, frames=3)
    wanted = torch.stack([math.exp(-0.02 * 10 * math.pi**2 * t) * a for t in (0.1, 0.2, 0.3)])
    close(h.solve(a), wanted, 1e-14)


def test_a_periodic_bump_is_spectrally_accurate():
    """The wrapped Gaussian of variance s^2 becomes that of variance s^2 + 2 nu t."""
    def bump(n: int, variance: float) -> torch.Tensor:
        images = torch.arange(-3.0, 4.0, dtype=torch.float64)
        one = torch.exp(-(centres(n)[:, None] - 0.4 - images) ** 2 / (2 * variance)).sum(-1) / math.sqrt(variance)
        return one[:, None] * one

    errors = []
    for n in (8, 16, 32):
        u = Heat(Fourier(n), nu=0.01, frame=0.3).solve(bump(n, 0.01))[0]
        errors.append(float((u - bump(n, 0.016)).abs().max()))
    assert errors[1] < 1e-3 * errors[0] ** 0.5
    assert errors[2] < 1e-11


@pytest.mark.parametrize("kind", [Sine, Cosine, Fourier])
def test_residual(kind):
    h = Heat(kind(12), frames=4, frame=0.05)
    a = h.starts().sample(5)
    u = h.solve(a)
    assert u.shape == (5, 4, 12, 12)
    assert h.residual(a, u).shape == (5, 4 * 144)
    assert h.residual(a, u).norm(dim=-1).max() < 1e-13
    assert 0.3 < h.residual(a, 0 * u).norm(dim=-1).mean() < 1.2
    if kind is not Sine:
        close(u.mean((-2, -1)), a.mean((-2, -1))[:, None].expand(5, 4), 1e-14)


def test_a_frame_of_kicks_has_the_stated_transition():
    """Against the chain of cells, kick by kick, as dense matrices."""
    h = Heat(Fourier(4), nu=0.01, frame=0.5, kicks=7, noise=0.3)
    step = Heat(Fourier(4), nu=0.01, frame=0.5 / 7)
    move = step.advance(torch.eye(16).double().unflatten(-1, (4, 4))).flatten(1).mT
    cov, path = torch.zeros(16, 16).double(), torch.eye(16).double()
    for _ in range(7):
        cov = move @ cov @ move.mT + 0.3**2 * 0.5 / 7 * torch.eye(16).double()
        path = move @ path
    factor, noise = h.transition()
    functions = torch.kron(Fourier(4).functions(), Fourier(4).functions())
    close(functions @ cov @ functions.mT / 16**2, torch.diag(noise.flatten()), 1e-15)
    close(functions @ path @ functions.mT / 16, torch.diag(factor.flatten()), 1e-13)


def test_kicked_frames_follow_the_transition():
    h = Heat(Fourier(4), frames=2, frame=0.1)
    a, noise = h.starts().sample(3), white(4, 6, stream=1).reshape(3, 2, 4, 4)
    u = h.kicked(a, noise)
    factor, variance = h.transition()
    states = [h.basis.expand(v) for v in (a, u[:, 0], u[:, 1])]
    for before, after, kick in zip(states[:-1], states[1:], noise.unbind(1), strict=True):
        close(after, factor * before + variance.sqrt() * kick, 1e-14)
    close(h.kicked(a, 0 * noise), h.solve(a), 1e-14)


def test_the_posterior_of_the_start_is_the_dense_one():
    h = Heat(Fourier(5), frame=0.1, noise=0.3)
    root = h.starts().factor()
    move = h.advance(torch.eye(25).double().unflatten(-1, (5, 5))).flatten(1).mT
    functions = torch.kron(h.basis.functions(), h.basis.functions())
    factor, noise = h.transition()
    end = h.kicked(h.starts().sample(1), white(5, 1, stream=1)[:, None])[0, 0]
    tiny = 1e-6 * torch.eye(25).double()  # the mean mode has no variance; a dense inverse needs some
    whiten = torch.diag(noise.flatten() ** -0.5) @ functions / 25
    mean, cov = conditioned(torch.zeros(25).double(), root @ root.mT + tiny, whiten @ move, whiten @ end.flatten(), 1.0)
    got, variances = h.posterior(h.starts().variances(), end)
    close(got.flatten(), mean, 1e-4)
    close(variances.flatten(), (functions @ cov @ functions.mT / 625).diagonal(), 1e-6)


def test_the_published_task_has_sixty_modes_to_tell():
    """60 of 1,024 modes come through with more signal than noise; the best estimate is off by 0.17 of the rms."""
    h = Heat(Fourier(32))
    prior, (factor, noise) = h.starts().variances(), h.transition()
    assert int((factor**2 * prior > noise).sum()) == 60
    error = h.posterior(prior, torch.zeros(32, 32).double())[1].sum().sqrt()
    assert abs(float(error) - 0.168) < 1e-3


def test_gradients():
    h = Heat(Sine(4), frames=2)
    a, u = normal(2, 4, 4).requires_grad_(), normal(2, 2, 4, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(h.solve, a)
    assert torch.autograd.gradcheck(h.residual, (a, u))
