"""The three questions against closed forms: tilted Gaussians, linear-Gaussian posteriors, conditioned chains.

And what a user counts on: who is judged best, what counts as met, what a seed fixes, what an interruption leaves.
"""

import numpy as np
import pytest
import torch
from matplotlib import pyplot
from torch import nn

from oracles import Counted, close, conditioned, covariance, normal, within
from sciencegen.energy import Denoised, Residual
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout, Variable
from sciencegen.mcmc import HMC
from sciencegen.measure import Points
from sciencegen.nets.mlp import MLP, ScalarMLP
from sciencegen.priors import Denoiser, EnergyNet
from sciencegen.sample import Euler, Heun, karras
from sciencegen.tasks import Constraint, Problem, Result, design, invert

D = torch.float64
LAYOUT = Layout(u=Variable((3,), loc=torch.tensor([1.0, 2.0, 3.0]), scale=2.0, units="m"), v=Variable((), scale=0.5))
MEAN, COV = normal(4), covariance(4, seed=1)
PRIOR = Gaussian(MEAN, COV)
PROBLEM = Problem(LAYOUT, PRIOR)
TILT = torch.tensor([1.0, -0.5, 0.3], dtype=D)
KERNEL = HMC(lambda sigma: 0.8 * sigma / (1 + sigma**2).sqrt(), leaps=2)
HEUN = Heun(karras(30, low=0.02, dtype=D))
SHORT = Heun(karras(4, low=0.05, dtype=D))
MANY = 4000


def tilt(u, v, **_):
    return u @ TILT + 2 * v


def states(result: Result, layout: Layout = LAYOUT) -> torch.Tensor:
    """The samples as states ``(N, d)``, which have the moments that the closed forms speak of."""
    return layout.pack(**{name: torch.tensor(value.values) for name, value in result.samples.data_vars.items()})


def ask(objective=tilt, sampler=SHORT, count=5, weight=0.4, problem=PROBLEM, **more) -> Result:
    return design(problem, objective, weight, sampler, count, progress=False,
                  **{"seeds": torch.arange(count)} | more)


def moments(x: torch.Tensor, mean: torch.Tensor, cov: torch.Tensor) -> None:
    """The sample's mean and covariance, each to 5 of their standard errors."""
    n = len(x)
    assert ((x.mean(0) - mean).abs() < 5 * (cov.diagonal() / n).sqrt()).all()
    spread = ((cov.diagonal()[:, None] * cov.diagonal() + cov**2) / n).sqrt()
    assert ((torch.cov(x.mT) - cov).abs() < 5 * spread + 1e-3).all()


# --- design -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("corrector", [None, KERNEL])
def test_a_linear_objective_tilts_a_gaussian(corrector):
    weight = 0.4
    result = ask(sampler=Heun(HEUN.sigmas, corrector), count=MANY, weight=weight)
    slope = torch.cat([TILT * 2.0, torch.tensor([2 * 0.5], dtype=D)])  # of the objective in the state's own units
    moments(states(result), MEAN - weight * COV @ slope, COV)
    assert result.success.all()
    assert result.status == 0


def test_the_weight_is_an_inverse_temperature_that_each_sample_may_have_for_itself():
    cold = torch.linspace(0.1, 1.0, 6, dtype=D)[:, None]
    together = ask(weight=lambda sigma: cold, count=6)
    for i in range(6):
        alone = ask(weight=float(cold[i]), count=1, seeds=torch.tensor([i]))
        close(states(together)[together.seeds == i], states(alone), 1e-12)


def test_the_best_by_the_judge_comes_first_and_what_it_cannot_judge_last():
    verdict = torch.tensor([3.0, torch.nan, -1.0, torch.inf, 2.0, -torch.inf])
    result = ask(count=6, judge=lambda **_: verdict)
    np.testing.assert_array_equal(result.fun[:3], [-1.0, 2.0, 3.0])
    assert not np.isfinite(result.fun[3:]).any()
    np.testing.assert_array_equal(result.success, [True] * 3 + [False] * 3)
    np.testing.assert_array_equal(result.seeds[:3], [2, 4, 0])


def test_samples_history_and_seeds_are_in_the_order_of_the_judge():
    unsorted = ask(judge=lambda **_: torch.arange(5))
    turned = ask(judge=lambda **_: -np.arange(5.0))  # a solver may well speak numpy
    close(states(turned), states(unsorted).flip(0), 1e-14)
    np.testing.assert_array_equal(turned.history.objective, unsorted.history.objective[:, ::-1])
    np.testing.assert_array_equal(turned.seeds, unsorted.seeds[::-1])


def test_without_a_judge_the_objective_judges():
    result = ask(count=8)
    close(torch.tensor(result.fun), tilt(**LAYOUT.unpack(states(result))), 1e-12)
    assert (np.diff(result.fun) >= 0).all()


def test_a_judge_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"got \(5, 1\) from .*; expected \(5,\)"):
        ask(judge=lambda u, **_: u[:, :1])


def test_a_constraint_makes_a_half_normal_of_a_normal():
    line = Layout(x=Variable((1,)))
    problem = Problem(line, Gaussian(torch.zeros(1, dtype=D), torch.ones(1, dtype=D)))
    below = Constraint(lambda x: x[..., 0], tolerance=0.02, gain=0.3)
    kernel = HMC(lambda sigma: (0.4 * sigma).clamp_max(0.3), leaps=5, repeats=4)
    result = design(problem, lambda x: 0 * x[..., 0], 1.0, Heun(karras(30, low=0.01, high=20.0, dtype=D), kernel), 2000,
                    constraints=[below], seeds=torch.arange(2000), progress=False)
    x = torch.tensor(result.samples.x.values)[:, 0]
    within(x, -((2 / torch.pi) ** 0.5), 0.6, 5)
    assert x.clamp_min(0).mean() < 0.02 / 2  # half of the tolerance, from the few that it lets through
    np.testing.assert_array_equal(result.success, x <= 0.02)


def test_success_is_each_constraint_to_its_own_tolerance():
    rising = torch.linspace(0.0, 1.0, 5, dtype=D)
    one = Constraint(lambda v, **_: 0 * v + rising[: len(v)], tolerance=0.5)
    both = Constraint(lambda v, **_: torch.stack([0 * v, 0 * v + rising[: len(v)]], -1), torch.tensor([1e-3, 0.25]))
    judge = lambda **_: torch.arange(5)
    np.testing.assert_array_equal(ask(constraints=[one], judge=judge).success, [1, 1, 1, 0, 0])
    np.testing.assert_array_equal(ask(constraints=[one, both], judge=judge).success, [1, 1, 0, 0, 0])
    bare = ask(constraints=[lambda v, **_: 0 * v + rising[: len(v)]], judge=judge)
    np.testing.assert_array_equal(bare.success, rising <= Constraint.tolerance)


@pytest.mark.parametrize("sigma", [torch.tensor(0.3, dtype=D), torch.full((4, 1), 0.3, dtype=D)])
def test_a_constraint_is_a_half_parabola_of_the_width_it_states(sigma):
    value = normal(4, 2)
    parts = {"f": value}
    tolerance, gain = torch.tensor([0.1, 0.2]), torch.tensor([0.5, 1.0])
    wanted = (value.clamp_min(0) ** 2 / (2 * (tolerance**2 + gain**2 * 0.09)).to(D)).sum(-1)
    close(Constraint(lambda f: f, tolerance, gain).energy(parts, sigma), wanted, 1e-6)
    wanted = value[:, 0].clamp_min(0) ** 2 / (2 * (0.1**2 + 0.5**2 * 0.09))
    close(Constraint(lambda f: f[:, 0], 0.1, 0.5).energy(parts, sigma), wanted)


def test_a_constraint_is_evaluated_once_an_evaluation():
    calls = {"objective": 0, "constraint": 0}

    def objective(u, v):
        calls["objective"] += 1
        return tilt(u, v)

    def constraint(u, v):
        calls["constraint"] += 1
        return u - 100

    ask(objective, constraints=[constraint])
    assert calls["constraint"] == calls["objective"]


def test_laws_hold_beside_the_objective():
    A, total, noise = torch.tensor([[1.0, 1.0, 0.0, 0.0]], dtype=D), 0.7, 0.05
    law = Residual(lambda x: x @ A.mT - total, noise)
    free = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=D)  # the objective tilts what the law leaves free
    mean, cov = conditioned(MEAN, COV, A, torch.tensor([total], dtype=D), noise)
    kernel = HMC(lambda sigma: 0.15 * sigma / (1 + sigma**2).sqrt(), leaps=8, repeats=4)
    result = ask(lambda u, v: 2 * v, Heun(karras(40, low=0.01, dtype=D), kernel), 2000, 0.5,
                 Problem(LAYOUT, PRIOR, law))
    x = states(result)
    limit = 5 * (cov.diagonal() / len(x)).sqrt() + 0.03  # DESIGN: guidance corrected by HMC is right to 0.04
    assert ((x.mean(0) - (mean - 0.5 * cov @ free)).abs() < limit).all()
    assert float((x @ A.mT - total).std()) == pytest.approx(noise, rel=0.3)


def test_history_has_every_term_over_steps_and_samples():
    problem = Problem(LAYOUT, PRIOR, Residual(lambda x: x[..., :1], 1.0))
    result = ask(problem=problem, sampler=Heun(SHORT.sigmas, KERNEL),
                 constraints=[Constraint(f, 1.0) for f in (lambda v, **_: v, lambda u, v: u)])
    names = {"objective", "constraint_0", "constraint_1", "laws", "acceptance"}
    assert set(result.history.data_vars) == names
    assert all(result.history[name].dims == ("step", "sample") for name in names)
    assert dict(result.history.sizes) == {"step": 4, "sample": 5}
    np.testing.assert_allclose(result.history.sigma, SHORT.sigmas[1:])
    assert (result.history.acceptance > 0).all()
    assert (result.history.acceptance <= 1).all()
    assert np.isfinite(result.history.to_dataarray()).all()


def test_what_is_derived_is_computed_once_and_seen_by_all():
    calls = []

    def derive(u, v):
        calls.append(len(v))
        return {"sum": u.sum(-1) + v}

    def run(**more):
        calls.clear()
        result = ask(lambda sum, **_: sum, problem=Problem(LAYOUT, PRIOR, derive=derive), **more)
        return result, [n for n in calls if n == 5]  # the rest are trials of two rows

    alone, one = run()
    result, four = run(constraints=[lambda sum, **_: sum - 1e3, lambda sum, u, v: sum - 1e3],
                       judge=lambda sum, u, **_: sum + 0 * u[:, 0])
    assert four == one
    close(states(result), states(alone), 1e-14)
    np.testing.assert_allclose(result.fun, result.samples.u.sum("u_0") + result.samples.v)


@pytest.mark.parametrize("objective, error, message", [
    (lambda u, v: u, ValueError, r"got \(2, 3\) from .* expected a tensor of shape \(2,\)"),
    (lambda u, v: v.mean(), ValueError, r"got \(\) from .* expected a tensor of shape \(2,\)"),
    (lambda u, v: v.detach().numpy(), ValueError, r"got ndarray from .* expected a tensor"),
    (lambda u, v: 1.0, ValueError, "got float from .* expected a tensor"),
    (lambda u, v: v.detach(), TypeError, "got a value without a gradient from .*no numpy, detach or no_grad"),
])
def test_an_objective_that_cannot_guide_is_refused_before_anything_is_sampled(objective, error, message):
    with pytest.raises(error, match=message):
        ask(objective)


def test_a_constraint_may_be_a_number_or_a_row_a_sample_and_nothing_else():
    with pytest.raises(ValueError, match=r"got \(\) from .* expected a tensor of shape \(2,\) or \(2, m\)"):
        ask(constraints=[lambda u, v: v.mean()])
    with pytest.raises(ValueError, match=r"got \(2, 3, 1\)"):
        ask(constraints=[lambda u, v: u[..., None]])
    with pytest.raises(TypeError, match="got a value without a gradient"):
        ask(constraints=[lambda u, v: u.detach()])


def test_functions_are_tried_in_the_precision_of_the_run():
    seen = set()

    def objective(u, v):
        seen.add(u.dtype)
        return u @ TILT.to(D) + v  # float64 constants, as they come from numpy

    ask(objective)
    assert seen == {D}
    invert(PROBLEM, lambda u, v: u @ TILT[:, None].to(D), torch.zeros(1, dtype=D), 0.1, SHORT, 3, progress=False)


# --- inverse problem ----------------------------------------------------------------------------------------------

def test_invert_is_the_linear_gaussian_posterior():
    A, noise = normal(2, 4, seed=3), torch.tensor([0.2, 0.4], dtype=D)
    physical = lambda u, v: torch.cat([u, v[..., None]], -1) @ A.mT
    data = torch.tensor([3.0, -1.0], dtype=D)
    inner = A * LAYOUT.scale  # what the measurement is of a state, up to a constant
    scaled = (inner / noise[:, None], (data - A @ LAYOUT.loc) / noise)
    mean, cov = conditioned(MEAN, COV, *scaled, 1.0)
    result = invert(PROBLEM, physical, data, noise, HEUN, MANY, torch.arange(MANY), progress=False)
    moments(states(result), mean, cov)
    rare = (1 - result.success).mean()  # by the law of chi, one in a thousand over all data: of one, some
    assert rare < 0.01
    assert np.isnan(result.fun).all()
    np.testing.assert_array_equal(result.seeds, np.arange(MANY))


def test_invert_keeps_the_laws():
    law = Residual(lambda x: x[..., :1] - 0.5, 0.05, gain=1.0)
    result = invert(Problem(LAYOUT, PRIOR, law), lambda u, v: v[..., None], torch.tensor([1.0], dtype=D), 0.05,
                    Heun(karras(60, low=0.01, dtype=D)), 300, torch.arange(300), progress=False)
    x = states(result)
    assert abs(float(x[:, 0].mean()) - 0.5) < 0.1
    assert abs(float(result.samples.v.mean()) - 1.0) < 0.05


def test_a_linear_law_is_a_measurement_that_reads_zero():
    law = Residual(lambda x: x[..., :1] + x[..., 3:] - 0.5, 0.05)
    seen = torch.tensor([1.0], dtype=D)
    result = invert(Problem(LAYOUT, PRIOR, law), lambda u, v: v[..., None], seen, 0.1, HEUN, MANY, torch.arange(MANY),
                    progress=False)
    rows = torch.zeros(2, 4, dtype=D)
    rows[0, 3], rows[1, 0], rows[1, 3] = 0.5 / 0.1, 1 / 0.05, 1 / 0.05
    read = torch.tensor([(1.0 - float(LAYOUT.loc[3])) / 0.1, 0.5 / 0.05], dtype=D)
    moments(states(result), *conditioned(MEAN, COV, rows, read, 1.0))
    np.testing.assert_allclose(result.data.residual, law.function(states(result)).norm(dim=-1), rtol=1e-9)
    assert set(result.history.data_vars) == {"misfit", "law"}
    assert float(result.history.law[-1].mean()) < 2


def test_a_law_that_the_prior_implies_changes_nothing_and_one_it_misses_is_met():
    """The fourth number is the sum of the first three, but for what the prior gets wrong."""
    sums = torch.cat([torch.eye(3, dtype=D), torch.ones(1, 3, dtype=D)])
    law = Residual(lambda x: x[..., :3].sum(-1, keepdim=True) - x[..., 3:], 1e-3)
    where, data = lambda u, v: u[..., :2], torch.tensor([2.0, 1.0], dtype=D)
    found = {}
    for off in (0.0, 0.2):
        prior = Gaussian(torch.zeros(4, dtype=D), sums @ sums.mT + off**2 * torch.eye(4, dtype=D))
        for obeyed in (None, law):
            found[off, obeyed] = invert(Problem(LAYOUT, prior, obeyed), where, data, 0.01, SHORT, 50, torch.arange(50),
                                        progress=False)
    close(states(found[0.0, law]), states(found[0.0, None]), 1e-5)
    residual = lambda result: float(law.function(states(result)).abs().mean())
    assert residual(found[0.2, law]) < 0.1 * residual(found[0.2, None])


def test_a_law_that_is_no_residual_acts_at_tweedies_mean():
    sharp = Residual(lambda x: x[..., :1] - 0.5, 0.1)
    result = invert(Problem(LAYOUT, PRIOR, (lambda sigma: 1.0) * sharp), lambda u, v: v[..., None],
                    torch.tensor([1.0], dtype=D), 0.05, Heun(karras(60, low=0.01, dtype=D)), 300, torch.arange(300),
                    progress=False, iterations=20)
    assert "residual" not in result.data
    assert "law" not in result.history
    assert abs(float(states(result)[:, 0].mean()) - 0.5) < 0.2


def test_invert_without_a_gaussian_solves_by_the_priors_own_jacobian():
    blind = Problem(LAYOUT, Denoised(PRIOR.mean))
    ask_both = lambda problem: invert(problem, lambda u, v: u, torch.ones(3, dtype=D), 0.1,
                                      Heun(karras(20, low=1e-3, dtype=D)), 5, torch.arange(5), progress=False)
    close(states(ask_both(blind)), states(ask_both(PROBLEM)), 2e-2)  # the draw's own noise apart


def test_a_measurement_that_is_not_linear_is_met():
    result = invert(PROBLEM, lambda u, v: v[..., None].exp(), torch.tensor([1.5], dtype=D), 0.01, HEUN, 100,
                    torch.arange(100), progress=False)
    assert abs(float(np.exp(result.samples.v).mean()) - 1.5) < 0.01
    assert float(result.data.misfit.mean()) < 3


def test_what_was_measured_where_and_how_well_it_is_met():
    layout = Layout(u=Variable((4,), scale=2.0, dims=("x",), coords={"x": [0.0, 1.0, 2.0, 4.0]}))
    problem = Problem(layout, Gaussian(torch.zeros(4, dtype=D), torch.eye(4, dtype=D)))
    data, truth = torch.tensor([1.0, -1.0], dtype=D), {"u": np.arange(4.0)}
    result = invert(problem, Points("u", [[0], [2.5]]), data, torch.tensor([0.1, 0.2]), HEUN, 40, torch.arange(40),
                    progress=False, truth=truth)
    assert list(result.data.variable.values) == ["u", "u"]
    np.testing.assert_allclose(result.data.x, [0.0, 3.0])
    np.testing.assert_allclose(result.data.value, data)
    np.testing.assert_allclose(result.data.noise, [0.1, 0.2])
    np.testing.assert_allclose(result.data.predicted[:, 0], result.samples.u[:, 0])
    gap = (result.data.predicted - result.data.value) / result.data.noise
    np.testing.assert_allclose(result.data.misfit, np.sqrt((gap**2).mean("measurement")))
    assert 0.7 < float(result.data.misfit.mean()) < 1.2  # draws of a posterior that the data dominate
    np.testing.assert_array_equal(result.truth.u, truth["u"])
    assert result.history.misfit.sizes == {"step": 30, "sample": 40}
    with torch.no_grad():
        again = invert(problem, Points("u", [[0], [2.5]]), data, torch.tensor([0.1, 0.2]), HEUN, 40, torch.arange(40),
                       progress=False, truth=result.truth)
    np.testing.assert_allclose(again.samples.u, result.samples.u)
    np.testing.assert_array_equal(again.truth.u, truth["u"])


def test_data_of_another_shape_than_the_measurement_is_refused():
    with pytest.raises(ValueError, match=r"got data of shape \(4,\) and measurements of shape \(3,\)"):
        invert(PROBLEM, lambda u, v: u, torch.zeros(4), 0.1, SHORT, 3, progress=False)
    with pytest.raises(ValueError, match="expected a tensor of shape"):
        invert(PROBLEM, lambda u, v: v, torch.zeros(4), 0.1, SHORT, 3, progress=False)


# --- seeds, counting, interruption --------------------------------------------------------------------------------

def test_the_same_seeds_give_the_same_samples_alone_or_in_any_batch():
    sampler = Heun(SHORT.sigmas, KERNEL)
    result = ask(sampler=sampler, count=6)
    again = ask(sampler=sampler, count=6)
    np.testing.assert_array_equal(result.samples.u, again.samples.u)
    for i in range(6):
        alone = ask(sampler=sampler, count=1, seeds=torch.tensor([result.seeds[i]]))
        close(states(alone)[0], states(result)[i], 1e-12)
    fresh = design(PROBLEM, tilt, 0.4, sampler, 6, progress=False)
    assert not np.allclose(fresh.samples.u, result.samples.u)
    repeated = ask(sampler=sampler, count=6, seeds=torch.tensor(fresh.seeds))
    np.testing.assert_allclose(repeated.samples.u, fresh.samples.u, rtol=1e-12)


def test_seeds_of_another_count_are_refused():
    with pytest.raises(ValueError, match="expected"):
        ask(count=5, seeds=torch.arange(4))


@pytest.mark.parametrize("kind, net", [(EnergyNet, ScalarMLP), (Denoiser, MLP)])
def test_nfev_counts_calls_of_the_network(kind, net):
    counted = Counted(net(4, width=8, depth=1).to(D))
    prior = kind(counted, PRIOR)
    result = ask(sampler=SHORT, problem=Problem(LAYOUT, prior), constraints=[lambda v, **_: v])
    steps = len(SHORT.sigmas) - 1
    assert result.nfev == counted.calls == 2 * steps + 1  # Heun's two a step, and the last Tweedie mean
    # One call for a sum of energies over one network: they share it.
    counted.rows.clear()
    pair = kind(counted, PRIOR).on(LAYOUT["u"] & LAYOUT["v"]) + 0.5 * prior
    result = ask(sampler=Euler(SHORT.sigmas), problem=Problem(LAYOUT, pair))
    assert result.nfev == counted.calls


def test_nfev_counts_a_network_that_a_user_wrapped():
    class Net(nn.Module):
        def forward(self, x, sigma):
            return x / (1 + sigma**2)

    assert ask(sampler=Euler(SHORT.sigmas), problem=Problem(LAYOUT, Denoised(Net()), None)).nfev == 5


@pytest.mark.parametrize("at", [0, 3])
def test_an_interruption_gives_back_what_is_there(at, tmp_path):
    calls = {"n": 0}

    def objective(u, v):
        if len(v) == 7:
            calls["n"] += 1
            if calls["n"] == 2 * at + 1:  # Heun asks twice a step
                raise KeyboardInterrupt
        return tilt(u, v)

    net = Counted(ScalarMLP(4, width=8, depth=1).to(D))
    result = ask(objective, problem=Problem(LAYOUT, EnergyNet(net, PRIOR)), count=7,
                 sampler=Heun(karras(6, dtype=D)))
    assert result.status == 1
    assert f"interrupted after {at} of 6 steps" in result.message
    assert f"{float(karras(6)[at]):.3g}" in result.message  # the noise that is left
    assert len(result) == 7
    assert result.history.sizes["step"] == at
    assert (np.diff(result.fun) >= 0).all()
    assert result.nfev == net.calls
    assert not net._forward_hooks
    loaded = Result.load(result.save(tmp_path / "partial.nc"))
    assert (loaded.status, loaded.message) == (1, result.message)
    figure, _ = result.plot()
    pyplot.close(figure)


def test_another_error_in_the_middle_is_the_users_to_see():
    def objective(u, v):
        if len(v) == 5:
            raise ZeroDivisionError("mine")
        return v

    with pytest.raises(ZeroDivisionError, match="mine"):
        ask(objective)


def test_nothing_that_is_given_is_changed():
    x = HEUN.start(5, 4, torch.arange(5))
    before = x.clone()
    ask(start=x)
    close(x, before, 0)
    assert PROBLEM == Problem(LAYOUT, PRIOR)
