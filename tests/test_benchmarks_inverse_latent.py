"""The level set's population: it ends at its posterior where that is known, and reads the truth as the data do."""

import math
from dataclasses import dataclass, replace

import torch

from benchmarks.inverse.latent import SIZE, Coordinates, Latent, Seen
from benchmarks.inverse.task import TEST, questions, tasks
from oracles import close
from sciencegen.physics.fields import white
from sciencegen.random import Streams


@dataclass(frozen=True)
class Direct:
    """The first coordinates themselves are measured, so that the posterior is known."""

    data: torch.Tensor
    noise: float = 0.1

    def field(self, z):
        return z.unflatten(-1, (32, 32))

    def misfit(self, z, width):
        return (z[..., : len(self.data)] - self.data) / self.noise


def test_populations_end_at_the_posterior():
    """Each measured coordinate is N(y / (1 + s^2), s^2 / (1 + s^2)), every other one N(0, 1); runs differ."""
    seen = Direct(0.1 * torch.tensor([-1.5, -0.5, 0.0, 0.5, 1.0], dtype=torch.float64))
    row = Latent("", members=50, last=4, probes=20)
    runs = [row.population(seen, 0, run) for run in range(3)]
    z, own = torch.cat([p.z for p in runs]), len(seen.data)
    variance = seen.noise**2 / (1 + seen.noise**2)
    independent = len(z) / 4  # siblings are alike
    within = lambda value, wanted, spread: abs(float(value - wanted)) < 4.5 * spread / math.sqrt(independent)
    for k in range(own):
        assert within(z[:, k].mean(), seen.data[k] / (1 + seen.noise**2), math.sqrt(variance))
        assert within(z[:, k].var(), variance, math.sqrt(2) * variance)
    assert within(z[:, own:].square().mean(), 1, math.sqrt(2 / (SIZE - own)))
    assert all(p.heat == 1 for p in runs)
    assert not torch.equal(runs[0].z, runs[1].z)


def test_coordinates_are_those_in_which_the_curvature_is_even():
    probes = Streams(torch.arange(6)).normal(40) * torch.logspace(-1, 1, 40, dtype=torch.float64)
    found, q = Coordinates.around(probes), Streams(torch.arange(40), 1).normal(40)
    curvature = torch.eye(40, dtype=torch.float64) + probes.mT @ probes / len(probes)
    z = found(q)
    close(z @ curvature @ z.mT, q @ q.mT, 1e-8)
    close(found(z, 0.5), q, 1e-10)


def test_the_truth_misses_the_data_by_their_noise_and_is_on_the_right_side_of_what_was_seen():
    question = questions(tasks()["darcy-both"], 1e-2, 1)[0]
    seen = Seen(question, question.data[0])
    z = white(32, 1, TEST).flatten(1)
    own = len(question.where["a"])
    misfit = seen.misfit(z, 1e-9)
    kicks = (question.measure(**question.truth) - question.data) / question.noise
    assert float(misfit[:, :own].abs().max()) == 0
    close(misfit[:, own:], kicks[:, own:], 1e-6)
    beyond = seen.misfit(-z, 1e-9)[:, :own]
    assert bool((beyond > 0).all())


def test_samples_fit_the_data_to_their_noise_with_a_sharp_threshold_and_repeat():
    question = questions(tasks()["darcy-inverse"], 1e-2, 1)[0]
    coarse = replace(question, noise=20 * question.noise)
    row = Latent("", members=8, repeats=1, leaps=2, last=1, probes=8, runs=1, kept=4)
    answer, again = row(coarse), row(coarse)
    assert torch.equal(answer.samples["a"], again.samples["a"])
    assert answer.samples["a"].unique().tolist() == [3.0, 12.0]
    misfit = (question.measure(**answer.samples) - coarse.data) / coarse.noise
    assert float(misfit.square().mean().sqrt()) < 1.5
