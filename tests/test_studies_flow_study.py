"""The flow study on the shipped prior: few steps, a short solver; what must hold however good its designs are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray

from sciencegen.airfoil.wings import Wings, gaps
from sciencegen.physics.mean_forces import MeanForces, efficiency
from sciencegen.priors import zoo
from sciencegen.studies.ensemble import Ensemble
from sciencegen.studies.flow.compose import shared, superposed
from sciencegen.studies.flow.constraints import forces
from sciencegen.studies.flow.study import FlowStudy, few_steps
from sciencegen.studies.flow.surrogate import STEPS
from sciencegen.studies.stages import Adjust, Decode, Solve


@pytest.fixture(scope="module")
def study():
    prior = zoo("flow")
    brief = MeanForces(24, 0.5, 1.0)
    return FlowStudy(prior.layout, prior.energy.requires_grad_(False), 2, sampler=few_steps(12), solver=brief,
                     judge=brief, spare=1)


def generated(study: FlowStudy, seeds: torch.Tensor) -> Ensemble:
    """The samples, with the forces that their flows exert."""
    first, second, *_ = study.stages
    return second(first(Ensemble.asked(len(seeds), seeds, progress=False)))


@pytest.fixture(scope="module")
def made(study):
    return generated(study, torch.arange(3))


@pytest.fixture(scope="module")
def fitted(study, made):
    return Decode(study.fitted)(made)


def wings(designs: Ensemble) -> Wings:
    return Wings.of(designs.samples.isel(sample=np.flatnonzero(designs.good)))


def test_the_reynolds_number_is_the_one_that_was_asked(made):
    assert np.allclose(10 ** made.samples["reynolds"].values, 250, rtol=0.03)


def test_forces_are_those_of_the_flows_that_are_there(study, made):
    parts = {k: torch.tensor(made.samples[k].values) for k in ("flow", "body", "reynolds")}
    many = superposed(study.layout, study.energy, 2)
    assert torch.allclose(many.forces(**parts), torch.tensor(made.samples["force"].values), atol=1e-5)
    assert torch.allclose(many.inflow(**parts), torch.tensor(made.samples["inflow"].values), atol=1e-5)
    assert made.samples["flow"].shape == (3, 2, 3, 3, 32, 32)


def test_bodies_of_one_shared_flow_are_designed_too(study):
    made = generated(replace(study, composed=shared, weight=1.0), torch.arange(2))
    parts = [torch.tensor(made.samples[k].values) for k in ("flow", "body", "reynolds")]
    assert made.samples["flow"].shape == (2, 3, 3, 32, 32)
    assert torch.allclose(forces(*parts), torch.tensor(made.samples["force"].values), atol=1e-5)


def test_wings_turn_by_the_angle_of_their_inflow(study, fitted):
    before = fitted.samples.isel(sample=np.flatnonzero(fitted.good))
    after = study.turned(before)
    u, v = np.moveaxis(before["inflow"].values, -1, 0)
    np.testing.assert_allclose(after["alpha"] - before["alpha"], -np.rad2deg(np.arctan2(v, u)), atol=1e-3)


def test_a_sample_is_the_same_alone(study, made):
    alone = generated(study, made.seeds[:1])
    assert np.allclose(alone.samples["flow"].values, made.samples["flow"].values[:1], atol=2e-2)


def test_what_is_handed_over_is_solved_or_says_why_not(study, fitted):
    solved = Solve(study.solved)(fitted)
    result = solved.result(study.config())
    good = result.samples["reason"].values == ""
    assert (result.success == good).all()
    force = torch.tensor(result.samples["solved"].values)
    assert np.allclose(result.fun[good], -efficiency(force[torch.tensor(good)]).numpy())
    assert np.isnan(result.fun[~fitted.good]).all()
    assert study.limits.kept(wings(solved)).all()
    assert (gaps(wings(solved)) >= study.limits.gap - 2e-3).all()
    assert np.allclose(result.samples["expected"].values[good], fitted.samples["fun"].values[good])


def test_a_lift_that_is_missed_is_a_reason(study, fitted):
    asked = replace(study, lift=(50.0, 60.0))
    solved = Solve(asked.solved)(fitted)
    assert not solved.good.any()
    assert (solved.samples["reason"].values[fitted.good] == "not the lift that is asked for").all()


def test_a_reynolds_number_that_the_prior_never_saw_is_refused(study):
    with pytest.raises(ValueError, match="got a Reynolds number of 5000"):
        replace(study, reynolds=5000.0)


def test_a_lift_from_most_to_least_is_refused(study):
    with pytest.raises(ValueError, match="got a lift of"):
        replace(study, lift=(1.0, 0.5))


def test_what_goes_down_through_the_surrogate_keeps_the_limits_and_moves(study, fitted):
    brief = replace(study, imagined=3)
    lower = Adjust(brief.adjusted)(fitted)
    assert replace(study.limits, gap=-10.0).kept(wings(lower)).all()
    assert fitted.good.any()
    assert not torch.allclose(wings(lower).alpha, wings(fitted).alpha, atol=0.1)
    assert lower.spent["network_calls"] == fitted.spent["network_calls"] + 3 * STEPS


def test_all_stages_before_the_solver_are_a_run_without_it(study):
    brief = replace(study, imagined=1, refined=0)
    designs = Ensemble.asked(2, torch.arange(2), progress=False)
    for stage in brief.stages[:-1]:
        designs = stage(designs)
    result = brief.run(2, torch.arange(2), progress=False)
    assert sorted(result.seeds.tolist()) == sorted(designs.seeds.tolist())
    assert result.nfev == designs.spent["network_calls"]
    row = int(np.flatnonzero(result.seeds == int(designs.seeds[0]))[0])
    np.testing.assert_allclose(result.samples["alpha"][row], designs.samples["alpha"][0], atol=1e-3)
    xarray.testing.assert_equal(result.history.isel(sample=row), designs.history.isel(sample=0))
