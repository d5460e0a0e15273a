"""The composition table is fair: its systems are what they say, its original is the recipe, its counts are counted."""

import math

import pytest
import torch

from benchmarks.composition import ablation, report
from benchmarks.composition.original import UNIT, Averaged, Original, cosine
from benchmarks.composition.ours import Ours, finished, miss
from benchmarks.composition.questions import Question, scored
from benchmarks.composition.speed import batched, looped
from benchmarks.composition.systems import Laws, Mixed, Springs, chained, layout
from oracles import Counted, close, covariance, normal, within
from sciencegen.energy import Denoised
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout, Variable
from sciencegen.mcmc import HMC


def unit(d: int, variance: float = 1.0) -> Gaussian:
    return Gaussian(torch.zeros(d, dtype=torch.float64), variance * torch.ones(d, dtype=torch.float64))


# --- systems -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("system", [Springs(), Springs(1e-2, 8.0), Springs(3e-3, 2.0, bodies=3)])
def test_springs_are_stationary_shaken_as_said_and_conserve_energy_but_for_it(system):
    step, spread = system.law
    added = spread - step @ spread @ step.mT
    close(added.diagonal().mean().sqrt() * UNIT, torch.tensor(system.noise).double(), 1e-9)
    left = 1 - (system.noise / UNIT) ** 2 / spread.diagonal().mean()
    hamiltonian = torch.linalg.inv(spread)  # of Gibbs' law, which the motion keeps
    close(step.mT @ hamiltonian @ step, left * hamiltonian, 1e-9)


def test_resimulation_is_the_mean_of_the_joint_law_given_the_first_frame():
    system, made = Springs(1e-2), layout(30, 2)
    cov = system.joint(30).cov
    start = normal(5, 8)
    mean = start @ torch.linalg.solve(cov[:8, :8], cov[:8])
    designs = made.unpack(mean)["trajectory"]
    close(system.resimulate(designs + torch.arange(30)[:, None, None].sign() * 0.1), designs, 1e-9)


def test_windows_minus_overlaps_is_the_joint_law_and_their_average_is_not():
    system, x = Springs(1e-2), normal(3, 352)
    made, joint = chained(system, 44), system.joint(44)
    x = joint.back(x * joint.variances.sqrt())
    ours, averaged = (e.double().score(x, 1e-4) for e in (made.ours, made.averaged))
    wanted = joint.score(x, 1e-4)
    assert (ours - wanted).norm() < 1e-4 * wanted.norm()
    assert (averaged - wanted).norm() > 0.05 * wanted.norm()  # off at the seams


def test_one_of_two_laws_is_their_mixture_and_is_resimulated_by_the_one_it_follows():
    laws = Laws([Springs(1e-2, 2.0), Springs(1e-2, 8.0)])
    designs = layout(20, 2).unpack(normal(4, 160))["trajectory"]
    for system in laws.systems:
        own = system.resimulate(designs)
        close(laws.resimulate(own), own, 1e-12)
    a, b = (Gaussian(torch.full((3,), m).double(), covariance(3, seed)) for m, seed in ((0.0, 0), (1.0, 1)))
    mixed, x = Mixed([a, b]), normal(6, 3).requires_grad_()
    close(mixed(x, 0.5), -((torch.exp(-a(x, 0.5)) + torch.exp(-b(x, 0.5))).log()), 1e-10)
    (slope,) = torch.autograd.grad(mixed(x, torch.tensor(0.5).double()).sum(), x)
    close(mixed.score(x, 0.5), -slope, 1e-10)


# --- the original ------------------------------------------------------------------------------------------------

def test_one_call_gives_the_epsilon_of_a_loop_over_windows_and_pairs():
    view = layout(44, 4)["trajectory"].windows(24, 10).pairs(axis=1)
    net = Counted(lambda x, sigma: x.cumsum(-1) * 0.01 / (1 + sigma))
    energy, x = Denoised(net), normal(3, view.size)
    close(batched(energy, view, x, 0.7), looped(energy, view, x, 0.7), 1e-12)
    assert net.rows == [3 * 18] + [3] * 18


def test_the_originals_push_is_the_gradient_of_its_objective():
    made = Layout(trajectory=Variable((6, 3, 4), torch.tensor([0.5, 0.5, 0, 0]), torch.tensor([0.2, 0.2, 0.3, 0.3])))
    sampler = Original(made, torch.tensor([0.3, 0.6]), 0.4, 0.7)
    y = normal(4, 72).float().requires_grad_()
    box = made.unpack(y / UNIT)["trajectory"]
    at = box[..., :2]
    goal = 0.4 * (at[:, -1] - sampler.target).norm(dim=-1).sum() + 0.7 * at.diff(dim=1).square().sum((0, 2, 3)).mean()
    (gradient,) = torch.autograd.grad(goal, box)
    close((sampler.gradient(y, 1.0) * made.scale).float(), gradient.flatten(1), 1e-6)  # a step of the box coordinates


def test_the_original_takes_the_posterior_mean_of_the_level_below():
    """By conditioning: y_s given y_t and a clean state, of the two steps' Gaussians."""
    sampler, beta = Original(layout(2, 1), torch.zeros(2).double(), 0.0, 0.0), cosine()
    kept = torch.cumprod(1 - beta, 0)
    t, y = 400, normal(5, 8)
    energy = unit(8, 1e-12)  # whatever is seen, the clean state is zero
    got = sampler.pushed(energy, y, float(beta[t]), float(kept[t]), float(kept[t - 1]))
    precision = 1 / (1 - kept[t - 1]) + (1 - beta[t]) / beta[t]
    close(got, (1 - beta[t]).sqrt() / beta[t] * y / precision, 1e-9)


def test_the_original_without_objective_samples_its_prior():
    made = layout(3, 1)
    sampler = Original(made, torch.zeros(2), 0.0, 0.0, recurrences=1)
    assert (sampler.evaluations, Original(made, torch.zeros(2), 0.0).evaluations) == (1000, 10_000)
    x = sampler(unit(12, 0.25).float(), torch.arange(300))
    within(x, 0, 0.5)
    within(x**2, 0.25, 0.25 * math.sqrt(2), 6)  # a thousand steps have a bias of their own


def test_the_original_goes_on_where_it_was_stopped_and_each_row_has_its_coefficient():
    made, seeds = layout(3, 1), torch.arange(4)
    strong = Original(made, torch.zeros(2), torch.tensor([0.0, 0.0, 0.3, 0.3])[:, None, None], steps=20)
    path = list(strong.path(unit(12).float(), seeds))
    for _, y in strong.path(unit(12).float(), seeds, path[11]):
        pass
    assert torch.equal(y, path[-1][1])
    alone = Original(made, torch.zeros(2), 0.3, steps=20)(unit(12).float(), seeds[2:])
    close(alone, path[-1][1][2:] / UNIT, 1e-5)


def test_averaged_is_the_mean_over_copies():
    view = Layout(u=(6,))["u"].windows(4, 2)
    x = normal(2, 6)
    got = Averaged(unit(4), view).score(x, 1.0)
    close(got, unit(6).score(x, 1.0), 1e-12)
    close(unit(4).on(view).score(x, 1.0), got * torch.tensor([1, 1, 2, 2, 1, 1]).double(), 1e-12)


# --- ours --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("repeats", [0, 2])
def test_evaluations_are_counted_calls_and_passes_back(repeats):
    net, made = Counted(lambda x, sigma: x / (1 + sigma**2)), layout(44, 2)
    sampler = Ours(levels=4, repeats=repeats, finish=3)
    energy = Denoised(net).on(made["trajectory"].windows(24, 10))
    x = sampler(energy, miss(made, torch.tensor([0.5, 0.5])), made.size, torch.arange(3))
    assert x.shape == (3, 352)
    assert net.calls + net.backward == sampler.evaluations


def test_the_finish_settles_what_is_stiff_and_leaves_what_is_soft():
    variances = torch.tensor([1e-4, 1.0, 100.0], dtype=torch.float64)
    x = normal(5, 3)
    got = finished(Gaussian(torch.zeros(3).double(), variances), x, 0.2, 10)
    close(got, x * (variances / (variances + 0.04)) ** 10, 1e-12)


def test_ours_is_consistent_and_on_target_in_a_hundred_evaluations():
    system, made = Springs(), chained(Springs(), 44)
    sampler, target = Ours(14, 10.0, 0.1, 1, 0.8, 60.0, 16, 0.2), (0.6, 0.4)
    assert sampler.evaluations == 74
    x = sampler(made.ours, miss(made.layout, torch.tensor(target)), made.layout.size, torch.arange(24))
    question = Question("springs", "", system, lambda: made, target)
    found = scored(question, made.layout.unpack(x)["trajectory"], torch.arange(24) // 12)
    assert found["error"]["mean"] < 1e-3
    assert found["objective"]["mean"] < 0.1
    assert found["diversity"]["mean"] > 0.1
    assert len(found["each_seed"]["error"]) == 2


# --- the ablation ------------------------------------------------------------------------------------------------

def regime(beginning: str) -> ablation.Regime:
    return next(r for r in ablation.regimes() if r.name.startswith(beginning))


@pytest.mark.parametrize("stochastic", [False, True])
def test_the_walked_covariance_is_that_of_the_packages_samplers(stochastic):
    chain, count = regime("chain, rho = 0.9"), 3000
    kernel = HMC(lambda sigma: ablation.STEP * sigma, adjusted=False)
    drawn = ablation.drawn(chain, "minus overlaps", kernel, stochastic, count)
    exact = ablation.cell(chain, "minus overlaps", 1, stochastic)
    close(torch.tensor(ablation.errors(chain.truth, drawn)["stiff"]), torch.tensor(exact["stiff"]), 0.01)
    close(torch.tensor(ablation.errors(chain.truth, drawn)["covariance"]), torch.tensor(exact["covariance"]), 0.05)


def test_errors_are_zero_of_the_truth_and_known_of_a_wider_one():
    truth = covariance(5)
    close(torch.tensor(list(ablation.errors(truth, truth).values())), torch.tensor([0.0, 1.0, 0.0]), 1e-6)
    wide = ablation.errors(truth, 4 * truth)
    close(torch.tensor(list(wide.values())), torch.tensor([3.0, 2.0, 1.0]), 1e-6)


@pytest.mark.parametrize("name, counting, right", [
    ("chain, rho = 0.9", "minus overlaps", True), ("chain, rho = 0.9", "summed", False),
    ("chain, rho = 0.9", "averaged", False),
    ("6 bodies, all coupled strongly", "Bethe, a body alone", True),
    ("6 bodies, all coupled weakly", "Bethe, a pair's marginal", False),
    ("5 bodies on a tree", "Bethe", True), ("5 bodies on a ring", "Bethe", False),
])
def test_which_counting_is_the_joint_law_at_level_zero(name, counting, right):
    case = regime(name)
    eye = torch.eye(len(case.truth), dtype=torch.float64)
    precision = -case.countings[counting].score(eye, 1e-6)
    gap = float((precision @ case.truth - eye).norm() / eye.norm())
    assert gap < 1e-5 if right else gap > 0.05


def test_correction_mends_the_path_and_not_the_counting():
    chain = regime("chain, rho = 0.9")
    error = lambda counting, repeats: ablation.cell(chain, counting, repeats, False)["covariance"]
    assert error("minus overlaps", 64) < 0.05 < 0.2 < error("minus overlaps", 0)
    assert error("averaged", 64) > 0.9 * error("averaged", 0) > 0.3
    assert math.isinf(ablation.errors(chain.truth, torch.full_like(chain.truth, math.nan))["covariance"])


def test_ratios_are_to_the_originals_best_coefficient_for_each_measure():
    row = lambda name, *values: {"row": name, "evaluations": 10_000 if name == report.ORIGINAL else 100, **{
        m: {"mean": v, "half": 0.0} for m, v in zip(report.MEASURES, values)}}
    question = {"rows": [row("ours, 100", 0.5, 2.0, 3.0), row(report.ORIGINAL, 1.0, 5.0, 6.0),
                         row(report.ORIGINAL, 2.0, 4.0, 2.0)]}
    assert report.ratios(question, "ours, 100") == {
        "objective": 0.5, "error": 0.5, "diversity": 0.5, "evaluations": 100.0}
    (line,) = report.verdicts(question)
    assert line.endswith("NOT met")


def test_advice_is_the_cheapest_cell_that_is_right():
    cell = lambda counting, evaluations, covariance: {
        "regime": "a", "counting": counting, "stochastic": False, "correction": "none", "evaluations": evaluations,
        "covariance": covariance}
    cells = [cell("cheap", 10, 0.5), cell("best", 50, 0.09), cell("dear", 500, 0.01), cell("draws", 0, 0.0),
             cell("lost", 20, None)]
    counting, *_ = report.advice(cells).columns[1].cells
    assert counting == "best"
    assert list(report.advice(cells[:1]).columns[1].cells) == ["none of them"]
