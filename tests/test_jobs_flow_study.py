"""The flow study on the shipped prior: few steps, a short solver; what must hold however good its designs are."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sciencegen.jobs.flow.compose import shared, superposed
from sciencegen.jobs.flow.expected import STEPS
from sciencegen.jobs.flow.judge import Judge, efficiency
from sciencegen.jobs.flow.question import forces
from sciencegen.jobs.flow.study import Study, few_steps
from sciencegen.jobs.flow.wings import Wings, gaps
from sciencegen.priors import zoo


@pytest.fixture(scope="module")
def study():
    prior = zoo("flow")
    return Study(prior.layout, prior.energy.requires_grad_(False), 2, sampler=few_steps(12),
                 judge=Judge(24, 0.5, 1.0), spare=1)


@pytest.fixture(scope="module")
def made(study):
    return study.generate(3, torch.arange(3), progress=False)


def test_the_reynolds_number_is_the_one_that_was_asked(made):
    assert np.allclose(10 ** made.samples["reynolds"].values, 250, rtol=0.03)


def test_forces_are_those_of_the_flows_that_are_there(study, made):
    parts = {k: torch.tensor(made.samples[k].values) for k in ("flow", "body", "reynolds")}
    many = superposed(study.layout, study.energy, 2)
    assert torch.allclose(many.forces(**parts), torch.tensor(made.samples["force"].values), atol=1e-5)
    assert torch.allclose(many.inflow(**parts), torch.tensor(made.samples["inflow"].values), atol=1e-5)
    assert (np.diff(made.fun) >= 0).all()
    assert made.samples["flow"].shape == (3, 2, 3, 3, 32, 32)


def test_bodies_of_one_shared_flow_are_designed_too(study):
    made = replace(study, composed=shared, weight=1.0).generate(2, torch.arange(2), progress=False)
    parts = [torch.tensor(made.samples[k].values) for k in ("flow", "body", "reynolds")]
    assert made.samples["flow"].shape == (2, 3, 3, 32, 32)
    assert torch.allclose(forces(*parts), torch.tensor(made.samples["force"].values), atol=1e-5)


def test_turning_there_and_back_is_nothing(study, made):
    traced = study.build(made)
    again = study.turn(made, study.turn(made, traced), back=True)
    assert np.allclose(again.wings.alpha, traced.wings.alpha, atol=1e-4, equal_nan=True)
    inflow = made.samples["inflow"].values
    there = (study.turn(made, traced).wings.alpha - traced.wings.alpha).numpy()
    assert np.allclose(np.tan(np.deg2rad(there)), -inflow[..., 1] / inflow[..., 0], atol=1e-4, equal_nan=True)


def test_a_sample_is_the_same_alone(study, made):
    alone = study.generate(1, torch.as_tensor(made.seeds[:1]), progress=False)
    assert np.allclose(alone.samples["flow"].values, made.samples["flow"].values[:1], atol=2e-2)


def test_what_is_handed_over_is_solved_or_says_why_not(study, made):
    result = study.solved(made, study.build(made))
    good = result.samples["reason"].values == ""
    assert (result.success == good).all()
    solved = torch.tensor(result.samples["solved"].values)
    assert np.allclose(result.fun[good], -efficiency(solved[torch.tensor(good)]).numpy())
    assert np.isnan(solved.numpy()[~good]).all()
    wings = Wings(*(torch.tensor(result.samples[k].values)[torch.tensor(good)] for k in Wings._fields))
    assert study.limits.kept(wings).all()
    assert (gaps(wings) >= study.limits.gap - 2e-3).all()


def test_a_reynolds_number_that_the_prior_never_saw_is_refused(study):
    with pytest.raises(ValueError, match="got a Reynolds number of 5000"):
        replace(study, reynolds=5000.0)


def test_a_lift_from_most_to_least_is_refused(study):
    with pytest.raises(ValueError, match="got a lift of"):
        replace(study, lift=(1.0, 0.5))


def test_what_is_imagined_keeps_the_limits_and_moves(study, made):
    traced = study.build(made)
    lower = replace(study, imagined=3).imagine(made, traced)
    good = torch.tensor((traced.reason == "") & (lower.reason == ""))
    assert replace(study.limits, gap=-10.0).kept(lower.wings.row(good)).all()
    assert good.any()
    assert not torch.allclose(lower.wings.row(good).alpha, traced.wings.row(good).alpha, atol=0.1)
    same = replace(study, imagined=0).imagine(made, traced)
    assert torch.equal(same.wings.row(good).alpha, traced.wings.row(good).alpha)


def test_a_proposal_is_a_run_without_its_solver(study, made):
    brief = replace(study, imagined=1, refined=0)
    samples, traced = brief.propose(2, torch.arange(2), progress=False)
    result = brief.run(2, torch.arange(2), progress=False)
    assert sorted(result.seeds.tolist()) == sorted(samples.seeds.tolist())
    assert result.nfev == replace(brief, imagined=0).propose(2, torch.arange(2), progress=False)[0].nfev + 5 * STEPS
    row = int(np.flatnonzero(result.seeds == samples.seeds[0])[0])
    assert np.allclose(result.samples["alpha"].values[row], traced.wings.alpha[0], atol=1e-3, equal_nan=True)
