"""The energies that a study samples move to another device whole; see tests/test_device.py for the `meta` device."""

import pytest
import torch

from sciencegen.airfoil.wings import Limits
from sciencegen.guide import Tweedie
from sciencegen.priors import zoo
from sciencegen.studies.airfoil.study import AirfoilStudy
from sciencegen.studies.flow.compose import shared, superposed
from sciencegen.studies.flow.study import FlowStudy
from sciencegen.studies.nbody.prior import unit
from sciencegen.studies.nbody.study import NBodyStudy
from sciencegen.tasks import Terms

# The network of discs picks those that are near by their numbers, which `meta` has not: a Gaussian in its place.
LIMITS = Limits(area=0.05)


@pytest.mark.parametrize("name, make", [
    ("airfoil", AirfoilStudy), ("nbody", lambda layout, _: NBodyStudy(layout, unit(layout.size), 3, 34)),
    ("flow", lambda *prior: FlowStudy(*prior, 2, lift=(0.5, 1.0), limits=LIMITS, composed=superposed)),
    ("flow", lambda *prior: FlowStudy(*prior, 2, lift=(0.5, 1.0), limits=LIMITS, composed=shared))])
def test_nothing_that_is_sampled_stays_behind(name, make):
    pytest.importorskip("neuralfoil")
    model = zoo(name)
    stage = make(model.layout, model.energy).stages[0]
    problem = stage.problem.to("meta")
    terms = Terms(problem, stage.objective, stage.weight, stage.constraints)
    score = Tweedie(problem.energy(), terms).score(torch.zeros(3, problem.size, device="meta"), 0.5)
    assert score.device.type == "meta"
    assert score.shape == (3, problem.size)
