"""The prior of patches: its recipe trains, its edges and corners are known, and it composes to any size."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from oracles import close
from sciencegen.physics.microstructure import Style
from sciencegen.priors import Model
from sciencegen.studies.microstructure.prior import composed, decoded, encoded, recipe, sized
from sciencegen.train import train

DATA = Path(__file__).parents[1] / "datasets" / "microstructures_64.h5"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Model:
    """A network of one scale, trained for two steps."""
    states, how = recipe(DATA, steps=2)
    net = replace(how.net, arguments={**how.net.arguments, "channels": [8], "blocks": [1]})
    few = replace(states, valid=states.valid[:2], test=states.test[:0])
    train(few, replace(how, net=net, batch=5), tmp_path_factory.mktemp("prior"), progress=False)
    return Model.load(tmp_path_factory.getbasetemp() / "prior0" / "model")


def test_what_was_trained_is_composed_to_any_size(model):
    style = encoded(Style(3.0, 30.0, 2.0, 0.4), 2).float()
    problem = composed(model, 64, 48).given(style=style)
    assert problem.size == 64 * 48
    x = torch.randn(1, problem.size, generator=torch.Generator().manual_seed(0))
    energy, moved = problem.energy(), x.reshape(1, 64, 48).roll((16, -32), (1, 2)).flatten(1)
    found = energy.score(x, 0.8).reshape(1, 64, 48).roll((16, -32), (1, 2)).flatten(1)
    close(energy.score(moved, 0.8).double(), found.double(), 1e-4)
    painted = composed(model, 64, 48, painted=True).given(style=style.expand(4, 3, 8))
    close(painted.energy().score(x, 0.8).double(), energy.score(x, 0.8).double(), 1e-4)


def test_a_size_that_patches_do_not_make_is_refused(model):
    with pytest.raises(ValueError, match="expected an overlap below 32, and 32, 48, 64"):
        composed(model, 60, 64)
    assert sized(model.layout, 64, 96, painted=True).variables["style"].shape == (4, 6, 8)


def test_styles_that_are_not_quite_possible_are_read(model):
    style, family = decoded(torch.tensor([[1.0, 0.0, 0.0, 1.3, 0.2, 0.9, -0.1, 0.0]]))
    assert float(style.fraction) == 0.99
    assert int(family) == 1
