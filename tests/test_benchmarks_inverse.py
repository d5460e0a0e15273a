"""The inverse table is fair: its exact row is exact, its own row is `invert`, and its scores are what they say."""

import math
from dataclasses import replace
from functools import cache

import pytest
import torch

pytest.importorskip("iterative_ensemble_smoother")
from benchmarks.inverse import flow, scoring, wells
from benchmarks.inverse.diffusion import Ours, exact, is_heat, is_linear, network, precise, trained
from benchmarks.inverse.exact import Bayes, closed, factors
from benchmarks.inverse.row import Answer, joined
from benchmarks.inverse.task import Task, questions, tasks
from sciencegen.physics import LogWells, NavierStokes
from sciencegen.studies.pde.pairs import pair_layout, pairs
from sciencegen.tasks import Problem, invert


@cache
def question(name, level=1e-2, count=2):
    return questions(tasks()[name], level, count)[0]


def test_sensors_and_cases_are_those_of_the_seed_and_noise_is_its_share():
    few, more = questions(tasks()["poisson-inverse"], 1e-2, 2)[0], questions(tasks()["poisson-inverse"], 1e-2, 22)
    assert torch.equal(few.where["u"], more[0].where["u"])
    assert not torch.equal(more[0].where["u"], more[1].where["u"])
    assert torch.allclose(few.truth["a"], more[0].truth["a"][:2])
    exact_data = torch.cat([q.truth["u"].flatten(1)[:, q.where["u"]] for q in more])
    error = (torch.cat([q.data for q in more]) - exact_data) / more[0].noise
    assert abs(float(error.square().mean()) - 1) < 5 * math.sqrt(2 / error.numel())


def test_bayes_mean_is_the_conditional_mean_of_the_joint_law():
    asked = question("helmholtz-forward")
    layout, law = closed(asked.task.system)
    cov = (law.axes * law.variances[: law.axes.shape[1]]) @ law.axes.mT
    seen = layout["a"].rows[asked.where["a"]]
    noise = (asked.noise / layout.scale[seen]).square().diag()
    gain = torch.linalg.solve(cov[seen][:, seen] + noise, cov[seen]).mT
    wanted = layout.unpack((asked.data / layout.scale[seen]) @ gain.mT)
    answer = Bayes()(asked)
    for name, mean in answer.mean.items():
        assert (mean - wanted[name]).norm() < 1e-6 * mean.norm()
    assert scoring.residual(asked.task, answer.samples["a"], answer.samples["u"]).max() < 1e-9


def test_bayes_samples_are_as_far_from_the_truth_as_from_one_another():
    """Of 40 samples, one in the truth's place: distances to the mean of the rest are alike in the mean."""
    answer = replace(Bayes(), samples=40)(question("heat", 0.0))
    about = (answer.samples["a"] - answer.mean["a"][:, None]).square().sum((-2, -1))
    system = tasks()["heat"].system
    _, variances = system.posterior(system.starts().variances(), question("heat", 0.0).truth["u"])
    cells = factors(system)[0].shape[0]
    spread = cells * (2 * (variances**2).sum() / about.numel()).sqrt()
    assert abs(float(about.mean() - cells * variances.sum())) < 5 * float(spread)


def test_ours_is_invert():
    """All cases at once, with shared sensors, gives what `invert` gives for each with the same seeds."""
    row = Ours("ours", exact, is_linear, samples=2, steps=4)
    asked = question("poisson-inverse")
    answer, (layout, law) = row(asked), closed(asked.task.system)
    for data, case in asked.each():
        sampler = row.sampler(asked.task, torch.float64)
        alone = invert(Problem(layout, law), asked.measure, data, asked.noise, sampler, 2, torch.arange(2) + 2 * case,
                       progress=False, iterations=0)
        for name in ("a", "u"):
            value = torch.as_tensor(alone.samples[name].values)
            assert (answer.samples[name][case] - value).norm() < 1e-6 * value.norm()


def test_two_valued_rock_is_scored_by_the_majority():
    task, truth = tasks()["darcy-inverse"], torch.full((1, 32, 32), 3.0).double()
    truth[:, :16] = 12.0
    samples = truth[:, None].repeat(1, 3, 1, 1)
    samples[:, 0] = 15 - samples[:, 0]  # one of three is wrong everywhere
    samples[:, 1, 0, 0] = 3.0  # and one more in one cell
    cell = scoring.saved(replace(question("darcy-inverse"), truth={"a": truth, "u": truth}),
                         Answer({"a": samples, "u": samples}))
    found = scoring.scores(task, {"a": truth, "u": truth}, cell)
    assert found["error"] == [1 / 1024]
    assert found["sample_error"][0] == pytest.approx(math.sqrt((1 + 1 / 1024**2) / 3))
    assert math.isnan(found["coverage"][0])  # three samples have no interval of 90 %


def test_answers_join_by_their_cases():
    a, b = (Answer({"a": torch.full((n, 1, 2, 2), float(n))}, calls=calls) for n, calls in ((1, 4.0), (3, 8.0)))
    both = joined([a, b], [1, 3])
    assert both.samples["a"].shape == (4, 1, 2, 2)
    assert both.calls == 7.0


def test_every_task_has_the_rows_it_can_have():
    assert [task.name for task in tasks().values() if is_heat(task)] == ["heat"]
    assert [task.name for task in tasks().values() if flow.is_flow(task)] == ["navier-stokes"]
    others = {name for name in tasks() if "darcy" in name or name == "navier-stokes"}
    assert {task.name for task in tasks().values() if is_linear(task)} == set(tasks()) - others
    assert {task.name for task in tasks().values() if trained(task)} == set(tasks()) - others


def test_a_precise_prior_is_the_same_prior():
    layout, prior = network(tasks()["poisson-inverse"])
    x = 2 * torch.randn(3, layout.size, generator=torch.Generator().manual_seed(0))
    fine = precise(prior).mean(x.double(), torch.tensor(0.5).double())
    assert fine.dtype == torch.float64
    assert (fine - prior.mean(x, torch.tensor(0.5))).norm() < 1e-4 * fine.norm()


# --- the flow -----------------------------------------------------------------------------------------------------

@cache
def eddies(level=1e-2):
    task = Task("eddies", "navier-stokes", NavierStokes(16), {"u": 60}, "a", "eddies")
    return questions(task, level, 2)[0]


def test_the_flow_runs_backwards():
    """Slow modes alone, advanced and run back, are there again but for what they exchange with fast ones."""
    asked = eddies()
    system = replace(asked.task.system, nu=1e-3, force=0.0)
    start = flow.filtered(system, 3.0, asked.truth["a"])
    w = system.advance(start)
    for _ in range(10):
        w = replace(system, frame=-0.1, steps=1).advance(w)
    assert (w - start).norm() < 1e-4 * start.norm()
    assert (flow.filtered(system, 3.0, start) - start).norm() < 1e-12 * start.norm()


def test_kriging_reads_back_its_points():
    """Of data that are nearly exact, the estimate goes through them, and errs elsewhere by less than the mean does."""
    asked = eddies(1e-4)
    found, truth = flow.kriged(asked), asked.truth["u"]
    (cells,) = asked.where.values()
    assert (found - truth).flatten(1)[:, cells].abs().max() < 2e-3 * truth.std()
    assert (found - truth).norm() < 0.5 * (truth - flow.known(16)["u"].mean(0).unflatten(0, (16, 16))).norm()


def test_the_flow_s_posterior_is_where_its_density_is_highest_and_as_wide_as_its_curvature():
    """4D-Var finds the same mean; and samples fit the data as well as the truth does, to their noise."""
    asked = eddies()
    ours = replace(flow.Solver(), samples=40)(asked)
    steepest = replace(flow.Variational(), iterations=500)(asked)
    assert (ours.mean["a"] - steepest.samples["a"][:, 0]).norm() < 0.02 * ours.mean["a"].norm()
    misfit = (asked.measure(u=ours.samples["u"].flatten(0, 1)) - asked.data.repeat_interleave(40, 0)) / asked.noise
    assert float(misfit.square().mean()) == pytest.approx(1, abs=0.3)


# --- pairs that should obey a law ---------------------------------------------------------------------------------

def test_the_sliced_distance_of_a_shift_is_its_length():
    x = torch.randn(50, 400, generator=torch.Generator().manual_seed(0))
    assert wells.sliced(x, x[torch.randperm(50)]) < 1e-6
    assert wells.sliced(x, x + 0.5) == pytest.approx(0.5, rel=5 / math.sqrt(2 * wells.DIRECTIONS))


def test_the_gap_of_wells_vanishes_for_solutions_and_is_near_one_for_none():
    system = LogWells(16)
    made = pairs(system, 8)
    layout = pair_layout(system, made)
    size = lambda u: wells.gap(layout, layout.pack(a=made["a"], u=u)).norm(dim=-1)
    assert float(size(made["u"]).max()) < 1e-10
    assert 0.3 < float(size(0 * made["u"]).median()) < 3
