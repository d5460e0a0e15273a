"""Laws of the algebra: tasks do not see how an energy was written, and records are of the states that were kept."""

import numpy as np
import pytest
import torch

from conformance import awake, decay, denoiser, energynet, gaussian, low_rank, mixture
from oracles import Counted, close, covariance, normal
from sciencegen.descent import QuasiNewton
from sciencegen.energy import Denoised, Energy, On, Potential, Residual, Sum
from sciencegen.exact import Gaussian
from sciencegen.guide import Moments, Tweedie
from sciencegen.layout import Layout, Variable
from sciencegen.mcmc import HMC
from sciencegen.nets.mlp import MLP, ScalarMLP
from sciencegen.priors import Denoiser, EnergyNet
from sciencegen.sample import Ancestral, Annealed, Heun, Multistep, karras
from sciencegen.tasks import Constraint, Problem, design, forecast, invert

D = torch.float64
LAYOUT = Layout(u=Variable((2,), loc=1.0, scale=3.0), c=())
WHOLE = LAYOUT["u"] & LAYOUT["c"]
SEEDS = torch.arange(4)
GRID = karras(8, low=0.05, high=10.0, dtype=D)
LAW = Residual(lambda x: x[..., :1] + x[..., 1:2] - 1, 0.2)
SPELLINGS = {
    "1.0 * E": lambda e: 1.0 * e,
    "E/2 + E/2": lambda e: e / 2 + e / 2,
    "E.on(everything)": lambda e: e.on(WHOLE),
    "0.25 * (4 * E)": lambda e: 0.25 * (4 * e),
    "a sum of one term": lambda e: Sum([(1.0, e)]),
    "a sum of two terms": lambda e: Sum([(0.25, e), (0.75, e)]),
    "on everything": lambda e: On(e, WHOLE),
}


def tasks(walk: HMC | None):
    """Every task as a function of a problem."""
    ours = Ancestral(GRID, walk)
    data = torch.tensor([0.5, 2.0], dtype=D)
    return {
        "design": lambda p: design(p, lambda u, c: (u.sum(-1) - c) ** 2 / 9, 2.0, ours, 4, seeds=SEEDS, progress=False,
                                   constraints=[Constraint(lambda u, c: c - 0.5)]),
        "invert": lambda p: invert(p, lambda u, c: u, data, 0.3, ours, 4, SEEDS, progress=False),
    }


def same(first, second) -> None:
    for name, value in first.samples.data_vars.items():
        np.testing.assert_allclose(value, second.samples[name], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(first.fun, second.fun, rtol=1e-9, atol=1e-9)
    assert first.nfev == second.nfev
    assert set(first.history) == set(second.history)
    assert set(first.data) == set(second.data)
    for one, other in ((first.history, second.history), (first.data, second.data)):
        for name, value in one.data_vars.items():
            if value.dtype.kind == "f":
                np.testing.assert_allclose(value, other[name], rtol=1e-8, atol=1e-8)
            else:
                assert (value == other[name]).all()


PRIORS = {"Gaussian": lambda: gaussian(3), "mixture": lambda: mixture(3), "denoiser": denoiser, "energy": energynet}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("task", ["design", "invert"])
def test_a_task_is_invariant_under_the_algebra(task, prior, spelling):
    energy, walk = PRIORS[prior](), HMC(0.1, adjusted=False)
    run, spelt = tasks(walk)[task], SPELLINGS[spelling]
    wanted = run(Problem(LAYOUT, energy, LAW))
    for prior, law in ((spelt(energy), LAW), (energy, spelt(LAW)), (spelt(energy), spelt(LAW))):
        same(run(Problem(LAYOUT, prior, law)), wanted)


MOVING = Layout(u=Variable((2,), loc=1.0, scale=3.0, dims=("time",)), c=())
TOLD = ([0], [0, 2])  # u's first frame, without and with c
WINDOWS = {"Gaussian": lambda: gaussian(3),
           "denoiser": lambda: Denoiser(awake(MLP(3, 8, 1)), gaussian(3), given=TOLD),
           "energy": lambda: EnergyNet(awake(ScalarMLP(3, 8, 1)), gaussian(3), given=TOLD)}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("prior", WINDOWS)
def test_a_forecast_is_invariant_under_the_algebra(prior, spelling):
    """Of two windows: in the first ``c`` is drawn, in the second it is held."""
    energy, history = WINDOWS[prior](), torch.tensor([0.5], dtype=D)
    first, second = (forecast(Problem(MOVING, e), history, 2, 4, sampler=Multistep(GRID), seeds=SEEDS, progress=False)
                     for e in (energy, SPELLINGS[spelling](energy)))
    np.testing.assert_allclose(first.frames.u, second.frames.u, rtol=1e-9, atol=1e-9)
    assert first.nfev == second.nfev


def test_laws_of_a_sum_join_the_data_whatever_their_weights():
    """The posterior of a Gaussian under two laws of weights 1 and 4, against the closed form."""
    one = Residual(lambda x: x[..., :1], 0.4)
    two = Residual(lambda x: x[..., 1:2] - x[..., 2:], 0.8)
    prior, y = gaussian(3), torch.tensor([0.3], dtype=D)
    problem = Problem(Layout(x=(3,)), prior, one + 4.0 * two)
    found = invert(problem, lambda x: x.sum(-1, keepdim=True), y, 0.5, Heun(karras(60, 0.01, 100.0, dtype=D)), 4000,
                   torch.arange(4000), progress=False)
    A = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 1, -1]], dtype=D)
    noise = torch.tensor([0.5, 0.4, 0.8 / 2], dtype=D)
    data = torch.cat([y, torch.zeros(2, dtype=D)])
    precision = torch.linalg.inv(prior.cov) + A.mT @ (A / noise[:, None] ** 2)
    cov = torch.linalg.inv(precision)
    mean = cov @ (torch.linalg.solve(prior.cov, prior.center) + A.mT @ (data / noise**2))
    x = torch.tensor(found.samples.x.values)
    error = (x.mean(0) - mean) / (cov.diagonal() / len(x)).sqrt()
    assert bool((error.abs() < 4).all())
    close(torch.cov(x.mT), cov, 5 * float(cov.diagonal().max()) * (2 / len(x)) ** 0.5)
    assert found.data.residual.shape == (4000,)
    assert set(found.history) == {"misfit", "law"}


# --- records -----------------------------------------------------------------------------------------------------

class Told(Potential):
    """A bowl that tells what it is, so that a record can be compared with the state that it is of."""

    def tell(self, x, sigma):
        value = self(x, sigma)
        return value, {"bowl": value}


@pytest.mark.parametrize("kernel", [HMC(0.35, leaps=3, repeats=3), HMC(0.02, adjusted=False, repeats=3),
                                    QuasiNewton(7)])
def test_a_record_is_of_the_state_that_was_kept(kernel):
    """Also where a proposal was rejected: evaluating again at the recorded states gives what was recorded."""
    bowl = Told(lambda x: (x**4).sum(-1) - x.sum(-1))
    energy, x, kept = Sum([(1.0, gaussian(3)), (2.0, bowl)]), normal(40, 3, seed=2), []
    for _, x, info in Annealed(torch.tensor([2.0, 1.0, 0.5, 0.1], dtype=D), kernel).path(energy, x, torch.arange(40)):
        close(info.evaluation.told["bowl"], 2 * bowl(x, 0.0))
        close(info.evaluation.value, energy(x, torch.tensor(info.level, dtype=D)))
        kept.append(info.acceptance)
    if isinstance(kernel, HMC) and kernel.adjusted:
        assert 0.05 < float(torch.cat(kept).mean()) < 0.9, "some proposals were rejected"


def test_a_designs_history_is_of_its_states():
    """At the last level of adjusted sampling the objective that is recorded is that of the samples."""
    problem = Problem(LAYOUT, gaussian(3))
    objective = lambda u, c: (u.sum(-1) - c) ** 2
    result = design(problem, objective, 1.0, Annealed(torch.tensor([1e-4, 1e-5], dtype=D), HMC(0.3)), 60,
                    start=normal(60, 3), seeds=torch.arange(60), progress=False)
    assert 0.1 < float(result.history.acceptance[-1].mean()) < 0.9
    np.testing.assert_allclose(result.history.objective[-1], result.fun, rtol=1e-3, atol=1e-3)


def test_what_is_told_adds_like_energies():
    bowl, part = Told(lambda x: x.square().sum(-1)), Layout(u=(4,))["u"]
    energy = 3.0 * bowl.on(part.windows(2, 1)) + decay * bowl.on(part)
    x = normal(5, 4)
    for told in (energy.evaluate(x, 1.0).told, energy.tell(x, 1.0)[1]):
        close(told["bowl"], 3 * part.windows(2, 1)(x).square().sum((-1, -2)) + x.square().sum(-1) / 2)


class User(Energy):
    """An energy as a user may write it, with a network inside."""

    def __init__(self, net):
        super().__init__()
        self.inner = net

    def forward(self, x, sigma):
        return self.inner(x, x[..., :1], torch.ones_like(x)).sum(-1)


def test_calls_are_counted_of_whatever_is_a_network():
    net = Counted(MLP(3, 8, 1).to(D))
    user = User(net)
    data = torch.zeros(1, dtype=D)
    ask = lambda prior: invert(Problem(Layout(x=(3,)), prior), lambda x: x[..., :1], data, 0.1, Heun(GRID), 2,
                               SEEDS[:2], progress=False)
    assert ask(Denoised(gaussian(3).mean)).nfev == 2 * 8 + 1
    assert ask(gaussian(3)).nfev == 0
    assert ask(gaussian(3) + user).nfev == net.calls > 0


# --- closed forms ------------------------------------------------------------------------------------------------

def dense(energy: Gaussian):
    eye = torch.eye(len(energy.center), dtype=D)
    return energy.center, energy.back(energy.variances * energy.modes(eye))


def test_the_gaussian_of_windows_minus_overlaps_is_that_of_the_chain():
    """AR(1): windows of two minus overlaps of one is the whole chain, exactly."""
    cov = 0.8 ** (torch.arange(6)[:, None] - torch.arange(6)).abs().to(D)
    mean = torch.full((6,), 0.3, dtype=D)
    pair, one = Gaussian(mean[:2], cov[:2, :2]), Gaussian(mean[:1], cov[:1, :1])
    u = Layout(u=(6,))["u"]
    center, found = dense((pair.on(u.windows(2, 1)) - one.on(u[1:5].windows(1, 1))).gaussian())
    close(center, mean, 1e-9)
    close(found, cov, 1e-9)


@pytest.mark.parametrize("spelt", SPELLINGS.values(), ids=SPELLINGS)
def test_every_spelling_has_the_same_gaussian(spelt):
    for energy in (gaussian(3), denoiser(), low_rank(3), Gaussian(normal(3), normal(3).exp())):
        for found, wanted in zip(dense(spelt(energy).gaussian()), dense(energy.gaussian()), strict=True):
            close(found, wanted, 1e-8)


def test_the_product_of_gaussians_and_what_has_none():
    a, b = gaussian(3), Gaussian(normal(3, seed=8), covariance(3, seed=9))
    precision = 2 * torch.linalg.inv(a.cov) + 0.5 * torch.linalg.inv(b.cov)
    center, cov = dense((2.0 * a + 0.5 * b).gaussian())
    close(cov, torch.linalg.inv(precision), 1e-9)
    close(center, cov @ (2 * torch.linalg.solve(a.cov, a.center) + 0.5 * torch.linalg.solve(b.cov, b.center)), 1e-9)
    part = a.on(Layout(x=(5,))["x"][:3])
    for none in (a - 3.0 * a, a + mixture(3), decay * a, Tweedie(a, LAW), Denoised(a.mean), part):
        assert none.gaussian() is None


def test_a_composed_prior_is_conditioned_in_closed_form():
    """Moments around the product knows the posterior of a chain: no network call is backpropagated."""
    chain = Sum([(1.0, gaussian(3).on(Layout(x=(5,))["x"][:3])), (1.0, gaussian(3).on(Layout(x=(5,))["x"][2:]))])
    energy, known = chain.gaussian(), torch.tensor([0.4], dtype=D)
    read = torch.eye(5, dtype=D)[2:3]
    found = invert(Problem(Layout(x=(5,)), energy), lambda x: x[..., 2:3], known, 1e-2, Heun(karras(40, 0.01, dtype=D)),
                   2000, torch.arange(2000), progress=False)
    gain = energy.cov @ read.mT / (energy.cov[2, 2] + 1e-4)
    x = torch.tensor(found.samples.x.values)
    cov = energy.cov - gain @ read @ energy.cov
    error = (x.mean(0) - energy.center - (gain * (known - energy.center[2]))[:, 0]) / (cov.diagonal() / 2000).sqrt()
    assert bool((error.abs() < 4).all())
    assert isinstance(Moments(chain, read, known, 0.1, 0, around=energy).score(normal(2, 5), 0.5), torch.Tensor)


# --- what is given -----------------------------------------------------------------------------------------------

FORMS = {"dense": lambda: gaussian(6), "diagonal": lambda: Gaussian(normal(6), normal(6, seed=3).exp()),
         "one variance": lambda: Gaussian(normal(6), torch.tensor(0.7, dtype=D)), "low rank": lambda: low_rank(6, 2),
         "low rank, two parts": lambda: two_parts()}


def two_parts():
    """Leading axes of two parts together, turned into each other: what is left beyond them is each part's own."""
    axes = torch.block_diag(torch.linalg.qr(normal(3, 1, seed=3)).Q, torch.linalg.qr(normal(3, 1, seed=4)).Q)
    turn = torch.linalg.qr(normal(2, 2, seed=5)).Q
    rest = torch.tensor([0.2] * 3 + [0.5] * 3, dtype=D)
    return Gaussian(normal(6), torch.cat([torch.tensor([3.0, 1.0], dtype=D), rest]), axes @ turn)


@pytest.mark.parametrize("sigma", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("rows", [[0, 3], [1, 2, 4, 5], [5], [0, 1, 2]])
@pytest.mark.parametrize("form", FORMS)
def test_a_gaussian_given_a_part_is_the_conditional_gaussian(form, rows, sigma):
    joint, x = FORMS[form](), normal(4, 6, seed=7)
    view = Layout(x=(6,))["x"][rows]
    free = [i for i in range(6) if i not in rows]
    mean, cov = dense(joint)
    gain = cov[free][:, rows] @ torch.linalg.inv(cov[rows][:, rows])
    center = mean[free] + (x[:, rows] - mean[rows]) @ gain.mT
    rest = cov[free][:, free] - gain @ cov[rows][:, free] + sigma**2 * torch.eye(len(free), dtype=D)
    found = joint.given(view).evaluate(x, sigma)
    close(found.score[:, free], -torch.linalg.solve(rest, (x[:, free] - center)[..., None])[..., 0], 1e-8)
    assert bool((found.score[:, rows] == 0).all()), "what is given has no score"
    wanted = torch.distributions.MultivariateNormal(torch.zeros(len(free), dtype=D), rest)
    close(found.value, -wanted.log_prob(x[:, free] - center), 1e-8)
    alone = joint.given(view).at(view, x[:, rows]).evaluate(x[:, free], sigma)
    close(alone.score, found.score[:, free])
    close(alone.value, found.value)


def test_what_is_noised_with_the_rest_cannot_be_put_in_clean():
    view = Layout(x=(3,))["x"][:1]
    for energy in (gaussian(3), denoiser(), gaussian(3).given(view) + mixture(3)):
        with pytest.raises(TypeError, match=r"is noised with the rest; expected it as given"):
            energy.at(view, torch.zeros(1))
    with pytest.raises(TypeError, match=r"given 'x\[:1\]' is not known; expected a Gaussian or a network trained"):
        mixture(3).given(view)


def test_a_problem_in_which_a_part_is_given_is_the_conditional_one():
    joint, law = gaussian(3), Residual(lambda x: x[..., 1:2] - x[..., 2:], 0.5)
    problem = Problem(LAYOUT, joint, law).given(c=torch.tensor(0.4))
    found = invert(problem, lambda u, c: u[..., :1] + c[..., None], torch.tensor([2.0], dtype=D), 0.6,
                   Heun(karras(60, 0.01, 100.0, dtype=D)), 3000, torch.arange(3000), progress=False)
    assert bool((found.samples.c == torch.tensor(0.4)).all())
    A = torch.tensor([[3.0, 0, 0], [0, 1, 0], [0, 0, 1e6]], dtype=D)  # the reading, the law, and c itself
    y = torch.tensor([2.0 - 1.0 - 0.4, 0.4, 0.4e6], dtype=D)
    A[1] = torch.tensor([0, 1.0, 0], dtype=D)
    noise = torch.tensor([0.6, 0.5, 1.0], dtype=D)
    precision = torch.linalg.inv(joint.cov) + A.mT @ (A / noise[:, None] ** 2)
    cov = torch.linalg.inv(precision)
    mean = cov @ (torch.linalg.solve(joint.cov, joint.center) + A.mT @ (y / noise**2))
    x = (torch.tensor(found.samples.u.values) - 1) / 3
    assert bool((((x.mean(0) - mean[:2]) / (cov.diagonal()[:2] / len(x)).sqrt()).abs() < 4).all())
    close(torch.cov(x.mT), cov[:2, :2], 5 * float(cov.diagonal()[:2].max()) * (2 / len(x)) ** 0.5)


def test_design_and_invert_take_one_given_value_a_sample():
    problem = Problem(LAYOUT, gaussian(3)).given(c=torch.linspace(-1, 1, 4))
    result = design(problem, lambda u, c: (u.sum(-1) - c) ** 2, 1.0, Heun(GRID), 4, seeds=SEEDS, progress=False)
    assert sorted(result.samples.c.values.round(6).tolist()) == pytest.approx([-1, -1 / 3, 1 / 3, 1])
    with pytest.raises(ValueError, match=r"got 4 values of 'c', one a sample; expected one for all"):
        invert(problem, lambda u, c: u, torch.zeros(2), 0.1, Heun(GRID), 4, progress=False)
    with pytest.raises(KeyError, match="got parts .*; expected some of"):
        problem.layout.known(z=1.0)


def test_a_network_is_its_own_gaussian():
    data = gaussian(3)
    assert Denoiser(awake(MLP(3, 8, 1)), data).gaussian() is data
