"""Moving to another device changes nothing but rounding, and no tensor stays behind.

Where there is no GPU, torch's ``meta`` device stands for one: it computes shapes only, and refuses to mix with tensors
of another device, so that a tensor that was left behind, or made anew on the host, is found. With a GPU
``tests/conformance.py`` compares numbers too.
"""

import pytest
import torch

from conformance import CASES, awake, gaussian, law, mixture
from oracles import normal
from sciencegen.energy import Residual
from sciencegen.guide import Projected, Tweedie
from sciencegen.layout import Layout, Variable
from sciencegen.mcmc import HMC
from sciencegen.nets.mlp import MLP
from sciencegen.priors.diffusion import Denoiser
from sciencegen.sample import Ancestral, Euler, Heun, Multistep, karras
from sciencegen.tasks import Constraint, Problem, Terms

D = torch.float64
# Moments and conditionals stop where they are solved, and factor a Gaussian, both of which take numbers.
SHAPES = [case for case in CASES if "Moments" not in case.name and "Conditionals" not in case.name]


@pytest.mark.parametrize("case", SHAPES, ids=lambda case: case.name)
def test_no_tensor_of_an_energy_stays_behind(case):
    energy, x = case.make().to("meta"), torch.zeros(5, case.size, dtype=D, device="meta")
    for sigma in (0.7, torch.full((5, 1), 0.7, dtype=D, device="meta")):
        for graph in (False, True):
            with torch.set_grad_enabled(graph):
                value, score, told = energy.evaluate(x, sigma)
                assert score.device.type == energy.mean(x, sigma).device.type == "meta"
                assert score.shape == x.shape
                assert all(v.device.type == "meta" for v in (*told.values(), *(() if value is None else (value,))))


@pytest.mark.parametrize("sampler", [Euler, Heun, Ancestral, Multistep])
@pytest.mark.parametrize("kernel", [None, HMC(0.1, leaps=2), HMC(lambda sigma: sigma / 3, adjusted=False)])
def test_a_path_stays_on_the_device_of_its_start(sampler, kernel):
    run, energy = sampler(karras(3, dtype=D), kernel), mixture(3).to("meta")
    for sigma, x, info in run.path(energy, run.start(4, 3, torch.arange(4), "meta"), torch.arange(4)):
        assert isinstance(sigma, float)
        assert x.device.type == info.evaluation.score.device.type == "meta"


def problem() -> Problem:
    layout = Layout(u=Variable((2,), loc=torch.tensor([1.0, 2.0]), scale=3.0), c=Variable((), scale=0.5))
    prior = Denoiser(awake(MLP(3, 8, 1)), gaussian(3)) + gaussian(3).on(layout["u"] & layout["c"])
    return Problem(layout, prior, law() + Residual(lambda x: x[..., :1], torch.tensor(0.2)),
                   lambda u, c: {"total": u.sum(-1) + c})


def test_a_problem_moves_with_its_units_its_laws_and_what_is_given():
    moved = problem().to("meta")
    terms = Terms(moved, lambda u, c, total: total, 2.0, [Constraint(lambda u, **_: u - 1, torch.tensor([0.1, 0.2]))])
    score = Tweedie(moved.energy(), terms).score(torch.zeros(4, 3, dtype=D, device="meta"), 0.5)
    assert score.device.type == moved.device.type == "meta"
    assert problem().device.type == "cpu"
    given = Problem(Layout(u=(2,), c=()), gaussian(3), law()).given(c=torch.tensor(0.3))
    x, energy = torch.zeros(4, 2, dtype=D, device="meta"), given.energy().to("meta")  # conditioning takes numbers
    assert given.to("meta").whole(x).device.type == energy.score(x, 1.0).device.type == "meta"
    assert given.to("meta").law()(x, torch.tensor(1.0, device="meta")).device.type == "meta"


def test_moving_leaves_the_original_where_it_was():
    first = problem()
    double = first.to(dtype=torch.float32)
    assert first.prior.score(normal(2, 3), 1.0).dtype == D
    assert next(double.prior.parameters()).dtype == torch.float32
    assert first.to() is first


def test_a_tensor_that_is_left_behind_is_found():
    behind = normal(3)
    energy = Projected(gaussian(3).to("meta"), lambda x: x + behind)
    with pytest.raises(RuntimeError, match="meta"):
        energy.score(torch.zeros(2, 3, dtype=D, device="meta"), 1.0)
