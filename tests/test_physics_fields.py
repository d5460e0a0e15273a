"""Random fields have the covariance that they state, and a sample is its seed's and index's alone."""

import math

import pytest
import torch

from oracles import close, within
from sciencegen.physics import (
    Burgers,
    Cosine,
    Darcy,
    Fourier,
    GaussianField,
    Heat,
    NavierStokes,
    Poisson,
    Sine,
    binary,
    channels,
)
from sciencegen.physics.fields import exponential, white
from sciencegen.physics.grids import centres

FIELDS = [GaussianField(kind(8), 2, 3, 9) for kind in (Sine, Cosine, Fourier)]


@pytest.mark.parametrize("field", [*FIELDS, GaussianField(Fourier(8), 2.5, 7, 1.0, dims=1)])
def test_the_factor_is_the_map_from_noise_to_field(field):
    noise = white(8, 5, seed=3, dims=field.dims)
    flat = noise.flatten(1) @ field.factor().mT
    close(field.colour(noise).flatten(1), flat, 1e-13)
    mean_square = field.factor().square().sum(1).mean()
    assert abs(float(mean_square.sqrt()) - field.rms()) < 1e-14


@pytest.mark.parametrize("field", FIELDS)
def test_samples_have_the_covariance_in_closed_form(field):
    count = 4000
    x = field.sample(count, seed=1).flatten(1)
    wanted = field.factor() @ field.factor().mT
    error = x.mT @ x / count - wanted
    spread = ((wanted**2 + wanted.diagonal()[:, None] * wanted.diagonal()) / count).sqrt()
    # 2,080 distinct entries, each normal to a good approximation: 4.5 deviations happen once in 70 runs of new seeds.
    assert (error.abs() / spread).max() < 4.5
    within(x.sum(1), 0.0, float(wanted.sum().clamp_min(1e-20).sqrt()) + 1e-12)


@pytest.mark.parametrize("field, dims", [(FIELDS[0], 2), (FIELDS[1], 2), (FIELDS[2], 2)])
def test_modes_have_the_stated_spectrum(field, dims):
    omega = field.basis.frequency()
    k = omega[2] ** 2 + omega[1] ** 2
    close(field.variances()[2, 1], 9 * (k + 9) ** -2, 1e-15)
    assert (field.variances() == 0).sum() == (0 if isinstance(field.basis, Sine) else 1)


@pytest.mark.parametrize("draw", [lambda *a: Poisson(8).sources().sample(*a), lambda *a: channels(8, *a),
                                  lambda *a: Burgers(8).starts().sample(*a)])
def test_a_sample_is_the_same_in_any_batch(draw):
    every = draw(6, 4, 0)
    assert torch.equal(draw(2, 4, 3), every[3:5])
    assert torch.equal(torch.cat([draw(1, 4, i) for i in range(6)]), every)
    assert not torch.equal(draw(6, 5, 0), every)
    assert draw(0, 4, 0).shape == (0, *every.shape[1:])


def test_streams_of_a_sample_differ():
    assert not torch.equal(white(8, 2, 1), white(8, 2, 1, stream=1))


@pytest.mark.parametrize("kind", [Sine, Cosine])
def test_a_finer_grid_only_adds_modes(kind):
    coarse, fine = (GaussianField(kind(n), 2, 3, 9).sample(3, seed=2) for n in (8, 16))
    kept = 8 - (kind is Sine)  # the highest sine is of another norm on its own grid
    close(kind(8).expand(coarse)[:, :kept, :kept], kind(16).expand(fine)[:, :kept, :kept], 1e-14)


@pytest.mark.parametrize("system, size", [
    (Poisson(32), lambda s: (s.sources().rms(), s.source)), (Burgers(64), lambda s: (s.starts().rms(), s.size)),
    (NavierStokes(32), lambda s: (s.starts().rms(), s.size)), (Heat(Fourier(32)), lambda s: (s.starts().rms(), s.size)),
])
def test_natural_sizes_are_those_of_the_published_fields(system, size):
    stated, wanted = size(system)
    assert abs(stated / wanted - 1) < 0.05


def test_binary_and_channels_have_two_values():
    field = Darcy(16).fields().sample(50)
    a = binary(field)
    assert torch.equal(a, torch.where(field >= 0, 12.0, 3.0).double())
    assert set(binary(field, 1, 2).unique().tolist()) == {1, 2}
    tubes = channels(32, 100)
    assert set(tubes.unique().tolist()) == {3, 12}
    share = (tubes == 12).double().mean((-2, -1))
    assert 0.05 < share.min() < share.mean() < share.max() < 0.7


def test_channels_run_across():
    tubes = channels(32, 60, seed=7) == 12
    # Two or more centre lines enter at least half the cuts across the square.
    assert (tubes.any(-1).double().mean(-1) > 0.5).all()
    ridges = tubes.double().diff(dim=-1).abs().sum(-1).mean(-1)
    assert ridges.min() >= 1
    assert not math.isclose(float(ridges.min()), float(ridges.max()))


def test_channels_are_the_same_on_a_finer_grid():
    coarse, fine = channels(32, 20), channels(96, 20)
    assert torch.equal(fine[:, 1::3, 1::3], coarse)  # every third centre of the fine grid is one of the coarse grid


def test_all_modes_of_the_exponential_covariance_make_it_up_and_the_first_are_the_largest():
    x = centres(6)
    points = torch.cartesian_prod(x, x)
    covariance = torch.exp(-(points[:, None] - points).norm(dim=-1) / 0.3)
    values, vectors = torch.linalg.eigh(covariance)
    factor = exponential(6, 0.3, 35)
    close(factor.mT @ factor, torch.diag(values.flip(0)[:35]), 1e-12)
    close(factor @ factor.mT, covariance - values[0] * vectors[:, :1] @ vectors[:, :1].mT, 1e-7)
    assert (factor.gather(0, factor.abs().argmax(0, keepdim=True)) > 0).all()
    assert torch.equal(factor, exponential(6, 0.3, 35))
