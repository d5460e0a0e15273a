"""The level behind rock of two materials: its law from rocks, populations at the posterior, rocks that fit readings."""

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from oracles import close
from sciencegen.exact import Gaussian
from sciencegen.measure import Points
from sciencegen.observations import Observations, Readings
from sciencegen.physics import Darcy, Poisson
from sciencegen.priors import Model
from sciencegen.random import Streams
from sciencegen.studies.pde import invert as job
from sciencegen.studies.pde.annealed import Annealed, Coordinates
from sciencegen.studies.pde.level_law import learned, tetrachoric
from sciencegen.studies.pde.level_set import LEVEL, Level, drawn, hidden, level_layout
from sciencegen.studies.pde.prior import setup, train

D = torch.float64
SMALL = Darcy(8)


def of(cov: torch.Tensor, rank: int) -> Gaussian:
    variances, axes = torch.linalg.eigh(cov)
    return Gaussian(torch.zeros(len(cov), dtype=D), torch.cat([variances[-rank:], torch.full((1,), 1e-10, dtype=D)]),
                    axes[:, -rank:].contiguous())


def true_law(system: Darcy, rank: int = 40) -> Gaussian:
    factor = system.fields().factor()
    factor = factor / factor.square().sum(-1, keepdim=True).sqrt()
    return of(factor @ factor.mT, rank)


def places(name: str, *cells: list[int]) -> Points:
    return Points(name, torch.tensor(cells, dtype=D))


@pytest.fixture(scope="module")
def prior(tmp_path_factory) -> Model:
    model = train(setup("darcy", 8), tmp_path_factory.mktemp("darcy"))
    model.save(tmp_path_factory.mktemp("model") / "m", half=True)
    return model


# --- the law ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("rho", [-0.6, -0.3, 0.2, 0.95])
@pytest.mark.parametrize("means", [(0.0, 0.0), (0.5, -0.8), (1.2, 1.0)])
def test_correlations_are_those_of_the_bivariate_normal(means, rho):
    """Against scipy's distribution function; of two that are hardly ever both above zero, shares say little."""
    both = multivariate_normal(cov=[[1, rho], [rho, 1]]).cdf(means)
    shares = torch.full((2, 2), float(both), dtype=D)
    assert float(tetrachoric(torch.tensor(means, dtype=D), shares)[0, 1]) == pytest.approx(rho, abs=2e-4)


def test_signs_about_zero_obey_the_arcsine_law():
    rho = torch.linspace(-0.99, 0.99, 9, dtype=D)
    both = 0.25 + rho.asin() / (2 * math.pi)
    for value, share in zip(rho, both):
        close(tetrachoric(torch.zeros(2, dtype=D), share.expand(2, 2))[0, 1], value, 1e-9)


def test_the_law_of_a_field_is_learned_from_where_it_is_positive():
    """5,000 fields of known mean and correlation: both to five standard errors of a share, through the law's slope."""
    place = torch.linspace(0, 1, 12, dtype=D)
    cov = (-(place[:, None] - place).abs() / 0.4).exp()
    mean = 0.6 * (3 * place).sin()
    fields = mean + Streams(torch.arange(5000)).normal(12) @ torch.linalg.cholesky(cov).mT
    found = learned(fields >= 0, torch.arange(12)[None], 11)
    assert float((found.center - mean).abs().max()) < 5 * 0.5 / 5000**0.5 / 0.33
    got = (found.axes * found.variances[:11]) @ found.axes.mT
    assert float((got - cov).abs().max()) < 5 * math.pi * (3 / 16 / 5000) ** 0.5 * 1.5
    close(got.diagonal(), torch.ones(12, dtype=D), 0.05)


def test_a_prior_of_rocks_is_their_level_and_draws_rocks_as_likely(prior):
    assert list(prior.layout.variables) == [LEVEL]
    assert prior.layout.variables[LEVEL].shape == (8, 8)
    law, true = prior.energy.gaussian().double(), true_law(SMALL)
    got, wanted = ((g.axes * g.variances[: g.axes.shape[1]]) @ g.axes.mT for g in (law, true))
    assert float((got - wanted).abs().max()) < 5 * math.pi * (3 / 16 / 20_000) ** 0.5 * 1.5
    assert prior.training["materials"] == [3.0, 12.0]
    assert hidden(SMALL, prior.layout)
    assert not hidden(Poisson(8), prior.layout)
    assert not hidden(Darcy(16), prior.layout)


# --- the population -----------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Direct:
    """The first coordinates themselves are measured, so that the posterior is known."""

    data: torch.Tensor
    noise: float = 0.1
    size: int = 200

    def __call__(self, z, width):
        return (z[..., : len(self.data)] - self.data) / self.noise


def test_populations_end_at_the_posterior():
    """Each measured coordinate is N(y / (1 + s^2), s^2 / (1 + s^2)), every other one N(0, 1); populations differ."""
    seen = Direct(0.1 * torch.tensor([-1.5, -0.5, 0.0, 0.5, 1.0], dtype=D))
    walk = Annealed(members=50, last=4, probes=20)
    runs = [list(walk.path(seen, Streams(torch.arange(50) + 50 * run)))[-1] for run in range(3)]
    z, own = torch.cat([p.z for p in runs]), len(seen.data)
    variance = seen.noise**2 / (1 + seen.noise**2)
    independent = len(z) / 4  # siblings are alike
    within = lambda value, wanted, spread: abs(float(value - wanted)) < 4.5 * spread / math.sqrt(independent)
    for k in range(own):
        assert within(z[:, k].mean(), seen.data[k] / (1 + seen.noise**2), math.sqrt(variance))
        assert within(z[:, k].var(), variance, math.sqrt(2) * variance)
    assert within(z[:, own:].square().mean(), 1, math.sqrt(2 / (seen.size - own)))
    assert all(p.heat == 1 for p in runs)
    assert not torch.equal(runs[0].z, runs[1].z)


@pytest.mark.parametrize("noise", [1e-2, 1e-9])
def test_a_population_comes_to_the_data_however_small_their_noise(noise):
    seen = Direct(torch.tensor([-1.5, 2.0], dtype=torch.float64), noise)
    walk = Annealed(members=4, repeats=1, leaps=1, last=1, probes=4, most=12)
    path = list(walk.path(seen, Streams(torch.arange(4))))
    assert len(path) <= walk.most + walk.last
    assert path[-1].heat == 1
    assert path[-1].z.isfinite().all()


def test_coordinates_are_those_in_which_the_curvature_is_even():
    probes = Streams(torch.arange(6)).normal(40) * torch.logspace(-1, 1, 40, dtype=D)
    found, q = Coordinates.around(probes), Streams(torch.arange(40), 1).normal(40)
    curvature = torch.eye(40, dtype=D) + probes.mT @ probes / len(probes)
    z = found(q)
    close(z @ curvature @ z.mT, q @ q.mT, 1e-8)
    close(found(z, 0.5), q, 1e-10)


def test_a_sample_is_the_same_whatever_the_count():
    level = Direct(torch.tensor([0.3], dtype=D), size=5)
    walk = Annealed(members=8, repeats=1, leaps=2, last=1, probes=8)
    few, more = (drawn(level, count, torch.arange(16), walk)[0] for count in (3, 13))
    assert torch.equal(few, more[:3])


def test_a_narrow_level_reads_what_its_rock_does():
    """Rock that is read, and pressure: of a level that is nowhere near its border, to rounding."""
    law, measure = true_law(SMALL), places("a", [0, 3], [5, 1]) & places("u", [1, 5], [7, 4])
    level = Level(SMALL, law, measure, torch.zeros(4, dtype=D), torch.ones(4, dtype=D))
    z = Streams(torch.arange(4)).normal(level.size)
    close(level(z, 1e-7), measure(**level.parts(z)), 1e-6)
    assert level.parts(z)["a"].unique().tolist() == [3.0, 12.0]


# --- the answer ---------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def asked(prior) -> Observations:
    return job.example(SMALL, prior.layout, case=2, sensors=20, noise=0.05)


@pytest.fixture(scope="module")
def answer(prior, asked):
    return job.solve(prior, asked, SMALL, count=12, seed=1, steps=8, progress=False)


def test_samples_are_two_valued_solve_the_equation_and_explain_the_readings(answer):
    assert np.unique(answer.samples.a).tolist() == [3.0, 12.0]  # so that none is below zero
    assert float(answer.data.residual.max()) < 1e-10
    assert answer.success.mean() > 0.7
    assert "solutions of the equation; the samples explain the readings" in answer.message
    assert (answer.history.noise.values[-1] == 1).all()
    assert answer.samples.a.dims == ("sample", "x", "y")


def test_samples_are_the_posterior_among_rocks_that_can_be_weighed(prior):
    """A loose reading, so that draws of the prior can be weighed by it: the mean rock is theirs."""
    level = level_layout(SMALL)
    law, measure = prior.energy.gaussian().double(), places("u", [3, 3], [4, 4], [1, 1])
    truth = SMALL.solve(a=SMALL.draw(1, 5)["a"])
    data, noise = measure(u=truth)[0], torch.full((3,), 8e-4, dtype=D)
    made = Level(SMALL, law, measure, data, noise)
    z, _ = drawn(made, 64, torch.arange(64), Annealed())
    many = Streams(torch.arange(3000) + 9999).normal(made.size)
    parts = made.parts(many)
    weight = torch.softmax(-((measure(**parts) - data) / noise).square().sum(-1) / 2, 0)
    effective = float(1 / weight.square().sum())
    assert effective > 200
    wanted = (weight[:, None, None] * (parts["a"] > 6)).sum(0)
    got = (made.parts(z)["a"] > 6).double().mean(0)
    assert float((got - wanted).square().mean().sqrt()) < 2 * 0.5 * (4 / 64 + 1 / effective) ** 0.5
    assert level.size == 64


def test_permuted_readings_are_no_success_and_said_so(prior, asked):
    given = asked.readings["u"]
    mixed = Observations({"u": Readings(given.coordinates, np.roll(given.values, 1), given.noise)})
    found = job.solve(prior, mixed, SMALL, count=4, steps=4, progress=False)
    assert not found.success.any()
    assert "the data contradict the prior or the noise" in found.message


def test_swapped_coordinates_contradict_what_else_was_read(prior):
    """x for y in precise pressures alone; the rock, which is not symmetric, was read in each cell."""
    asked = job.example(SMALL, prior.layout, case=2, sensors=20, noise=0.01)
    given, cells = asked.readings["u"], np.stack(np.meshgrid(*2 * [(np.arange(8) + 0.5) / 8], indexing="ij"), -1)
    read = Readings(cells.reshape(-1, 2), asked.truth["a"].flatten(), 0.5)
    swapped = Readings(given.coordinates[:, ::-1].copy(), given.values, given.noise)
    straight, crossed = (job.solve(prior, Observations({"a": read, "u": pressures}), SMALL, count=2, steps=4,
                                   progress=False) for pressures in (given, swapped))
    assert straight.success.all()
    assert not crossed.success.any()
    assert "the data contradict the prior or the noise" in crossed.message


def test_a_level_without_its_system_is_refused(prior, asked):
    with pytest.raises(KeyError, match="expected parts of the prior"):
        job.solve(prior, asked, None, count=2)
    with pytest.raises(ValueError, match="got a prior of .*for poisson"):
        job.system_of("poisson", prior.layout)
    assert json.loads(json.dumps(prior.training))["rocks"] == 20_000
