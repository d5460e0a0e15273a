"""What is not finite, complex, of a shape that would broadcast, or too much, is refused at the door, in words."""

import numpy as np
import pytest
import torch

from conformance import gaussian
from sciencegen.energy import Residual
from sciencegen.exact import Mixture
from sciencegen.guide import Moments, dps
from sciencegen.layout import Layout, Variable
from sciencegen.sample import Heun, karras
from sciencegen.tasks import Constraint, Problem, design, invert
from sciencegen.values import finite, positive

D = torch.float64
PROBLEM = Problem(Layout(u=(2,), c=()), gaussian(3))
GRID = Heun(karras(4, dtype=D))
NAN = float("nan")


def ask(data, noise=0.1, count=4, measure=lambda u, c: u, **more):
    return invert(PROBLEM, measure, data, noise, GRID, count, progress=False, **more)


@pytest.mark.parametrize("question, message", [
    (lambda: ask(torch.tensor([1.0, NAN])), r"got 1 of 2 numbers in data that are not finite, the first at \(1,\)"),
    (lambda: ask([1.0, np.inf]), "got 1 of 2 numbers in data that are not finite"),
    (lambda: ask(np.array([1.0, 2.0j])), "got complex data; expected real numbers"),
    (lambda: ask(torch.ones(3)), r"got data of shape \(3,\) and measurements of shape \(2,\)"),
    (lambda: ask(torch.ones(1)), r"got data of shape \(1,\) and measurements of shape \(2,\)"),
    (lambda: ask(torch.ones(2), NAN), "numbers in noise that are not finite"),
    (lambda: ask(torch.ones(2), torch.ones(3)), r"got noise of shape \(3,\)"),
    (lambda: ask(torch.ones(2), torch.tensor([0.1, -0.1])), "expected standard deviations above zero"),
    (lambda: ask(torch.ones(2), count=0), "got a count of 0; expected a whole number of samples, 1 or more"),
    (lambda: ask(torch.ones(2), count=2.5), "got a count of 2.5"),
    (lambda: ask(torch.ones(2), count=10**10), r"got a count of 10,000,000,000 samples of 3 numbers, which take about "
                                               r"960 GB of \d+ GB; ask for fewer"),
    (lambda: ask(torch.ones(2), seeds=torch.arange(3)), r"got \(3,\) seeds for 4 samples"),
    (lambda: design(PROBLEM, lambda u, c: c, 1.0, GRID, 4, start=torch.full((4, 3), NAN)), "numbers in start that are"),
    (lambda: design(PROBLEM, lambda u, c: c, 1.0, GRID, 4, start=torch.zeros(1, 3)), r"got a start of shape \(1, 3\)"),
    (lambda: design(PROBLEM, lambda u, c: c[:, None], 1.0, GRID, 4), r"got \(2, 1\) from .* for 2 samples"),
    (lambda: PROBLEM.given(c=NAN), "numbers in c that are not finite"),
    (lambda: dps(gaussian(3), torch.eye(3)[:1], torch.tensor([NAN]), 1.0), "numbers in y that are not finite"),
    (lambda: dps(gaussian(3), torch.eye(3, dtype=D)[:2], torch.ones(1), 1.0).score(torch.zeros(4, 3, dtype=D), 1.0),
     r"data for measurements of shape \(4, 2\); expected as many"),
    (lambda: Moments(gaussian(3), torch.eye(3), torch.tensor([1.0, NAN, 2.0]), 0.1), "numbers in y that are not"),
    (lambda: Residual(lambda x: x, NAN), "numbers in a residual's noise that are not finite"),
    (lambda: Residual(lambda x: x, 0.1, torch.tensor([1.0, -1.0])), "got a residual's gain as low as -1"),
    (lambda: Variable((2,), loc=torch.tensor([1.0, NAN])), "numbers in loc that are not finite"),
    (lambda: Variable((2,), scale=torch.tensor([1.0, NAN])), "expected positive finite numbers"),
    (lambda: Mixture(torch.ones(2), torch.tensor([[0.0], [NAN]]), 1.0), "numbers in a mixture's means that are not"),
])
def test_what_cannot_be_right_is_refused(question, message):
    with pytest.raises(ValueError, match=message):
        question()


def test_a_failed_inversion_says_so():
    """Two readings of one number that contradict each other by fifty deviations."""
    found = ask(torch.tensor([5.0, -5.0]), 0.1, measure=lambda u, c: torch.stack([c, c], -1))
    assert not found.success.any()
    assert "finished; the data contradict the prior or the noise: misfit" in found.message
    good = invert(PROBLEM, lambda u, c: u, torch.tensor([0.5, 0.4]), 0.1, Heun(karras(30, dtype=D)), 4, torch.arange(4),
                  progress=False)
    assert good.success.all()
    assert good.message.startswith("finished; the samples explain the readings: misfit")


def test_designs_come_feasible_ones_first():
    weak = Constraint(lambda u, c: c + u[:, 0], tolerance=1e-6, gain=1e4)  # one that does not guide
    result = design(PROBLEM, lambda u, c: c, 1.0, GRID, 40, constraints=[weak], progress=False, seeds=torch.arange(40))
    assert 0 < result.success.sum() < 40
    assert list(result.success) == sorted(result.success, reverse=True)
    for part in (result.fun[result.success], result.fun[~result.success]):
        assert list(part) == sorted(part)


def test_numbers_of_any_kind_become_floats():
    assert finite("x", [1, 2]).dtype == D
    assert finite("x", np.float32(3)).dtype == torch.float32
    assert positive("x", 0.0, zero=True) == 0
    assert finite("x", torch.zeros(2, device="meta")).device.type == "meta"
