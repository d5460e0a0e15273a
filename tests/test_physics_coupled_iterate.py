"""Fixed-point iterations: exact fixed points, GMRES and linear convergence as laws, and the published kind of table."""

import math

import pytest
import torch

from oracles import close, normal
from sciencegen.fixed_points import Aitken, InterfaceQuasiNewton, Relaxed, fixed_point
from sciencegen.physics.coupled import Conduction, ReactionDiffusion, Reactor, Round

RULES = {"Picard": Relaxed(), "relaxed .5": Relaxed(0.5), "Aitken": Aitken(), "IQN-ILS": InterfaceQuasiNewton()}
X = torch.arange(1, 33, dtype=torch.float64) / 33


# --- linear rounds, whose answer is known -------------------------------------------------------------------------

def linear(values, seed: int = 0):
    """``H(x) = A x + c`` with these eigenvalues, and its fixed point."""
    basis = torch.linalg.qr(normal(len(values), len(values), seed=seed))[0]
    matrix, shift = basis * torch.tensor(values).double() @ basis.mT, normal(len(values), seed=1)
    return lambda x: x @ matrix.mT + shift, torch.linalg.solve(torch.eye(len(values)).double() - matrix, shift)


@pytest.mark.parametrize("rule", RULES)
def test_a_contraction_is_iterated_to_its_fixed_point(rule):
    step, exact = linear([0.5, -0.4, 0.1, 0.0])
    found = fixed_point(step, 3 * normal(4, 4), RULES[rule], 1e-12)
    assert bool(found.converged.all())
    close(found.point, exact.expand(4, 4), 1e-10)


def test_picards_error_falls_by_the_largest_eigenvalue():
    step, exact = linear([0.8, -0.3])
    found = fixed_point(step, normal(1, 2), Relaxed(), 1e-10)
    assert float(found.history[-1] / found.history[-2]) == pytest.approx(0.8, abs=1e-6)


def test_aitken_is_exact_after_two_rounds_in_one_dimension_whatever_the_eigenvalue():
    slopes = torch.tensor([[-30.0], [0.99], [1.5]]).double()
    found = fixed_point(lambda x: slopes * x + 2.0, torch.ones(3, 1).double(), Aitken(), 1e-10, most=3)
    close(found.point, 2 / (1 - slopes), 1e-9)


def test_iqn_ils_ends_after_one_round_more_than_there_are_eigenvalues():
    """As GMRES does; eigenvalues out of Picard's reach included."""
    step, exact = linear([-3.0, -3.0, 5.0, 5.0, 0.2, 0.2, 0.2, -1.5])
    found = fixed_point(step, normal(2, 8), InterfaceQuasiNewton(filter=1e-8), 1e-9)
    close(found.point, exact.expand(2, 8), 1e-8)
    assert int(found.iterations.max()) <= 4 + 3


@pytest.mark.parametrize("rule", RULES)
def test_rows_are_iterated_on_their_own_and_rest_when_they_are_done(rule):
    step, _ = linear([0.6, -0.5, 0.1])
    starts = torch.stack([normal(3), 100 * normal(3, seed=1), 1e-3 * normal(3, seed=2)])
    together = fixed_point(step, starts, RULES[rule])
    for k, start in enumerate(starts):
        alone = fixed_point(step, start[None], RULES[rule])
        close(together.point[k], alone.point[0], 1e-12)
        assert int(together.iterations[k]) == int(alone.iterations)
    assert len(together.history) == int(together.iterations.max())


def test_what_diverges_is_said_not_to_have_converged():
    step, _ = linear([-1.5, 0.2])
    found = fixed_point(step, torch.stack([normal(2), linear([-1.5, 0.2])[1]]), Relaxed(), most=40)
    assert found.converged.tolist() == [False, True]
    assert found.iterations.tolist() == [40, 1]


# --- coupled systems ----------------------------------------------------------------------------------------------

TABLE = {  # load, feedback, start: rounds to 1e-6 by Picard, relaxed by half, Aitken, IQN-ILS; None where it fails
    "eigenvalue -.55": (10.0, -1.0, 0.0, (24, 15, 7, 7)),
    "eigenvalue -1.24": (50.0, -1.0, 0.0, (None, 14, 10, 10)),
    "eigenvalue -1.95": (200.0, -1.0, 0.0, (None, 19, 15, 35)),
    "Bratu, lower branch": (3.45, 1.0, 0.0, (63, 134, 15, 11)),
    "Bratu, upper branch, 3.67": (1.0, 1.0, 5.0, (None, None, 16, 8)),
    "Bratu, upper branch, 2.54": (2.0, 1.0, 4.0, (None, None, 12, 7)),
}


@pytest.mark.parametrize("case", TABLE)
def test_conduction_takes_about_as_many_rounds_as_were_measured_apart(case):
    load, feedback, height, wanted = TABLE[case]
    system = Conduction(load, feedback)
    given, start = system.draw(1), height * (math.pi * X).sin()[None]
    fields = {"u": start, "v": system.source(start, given["load"])}
    exact = system.referee(fields, **given)["u"]
    start = 1.05 * exact if height else start  # the branch that repels is started from beside it
    for rule, rounds in zip(RULES.values(), wanted):
        found = fixed_point(Round(system, given, ("v", "u")), start, rule)
        assert bool(found.converged) == (rounds is not None)
        if rounds:
            assert abs(int(found.iterations) - rounds) <= 3 + 0.35 * rounds
            assert float((found.point - exact).norm() / exact.norm()) < 2e-5


def test_a_round_is_each_component_once_with_the_newest_of_the_others():
    system = Reactor(m=4, n=6, l=8)
    given, calls = system.draw(2), []

    class Counted(Reactor):
        def component(self, name):
            calls.append(name)
            return super().component(name)

    exact, both = system.referee(**given), Round(Counted(m=4, n=6, l=8), given)
    close(both(both.flat(exact)), both.flat(exact), 1e-9)
    assert calls == ["flux", "fuel", "coolant"]
    found = fixed_point(both, 0.5 * both.flat(exact), InterfaceQuasiNewton(), 1e-10)
    for name, field in both.fields(found.point).items():
        close(field, exact[name], 1e-8)


def test_a_pair_over_time_is_iterated_to_the_referee():
    system = ReactionDiffusion(n=8, frames=4, substeps=2)
    given = system.draw(3)
    both = Round(system, given)
    found = fixed_point(both, torch.zeros(3, 32).double(), Relaxed(), 1e-11)
    exact = system.referee(**given)
    close(both.fields(found.point)["u"], exact["u"], 1e-9)


def test_anderson_of_scipy_finds_what_iqn_ils_finds():
    from scipy.optimize import anderson

    system = Conduction(50.0)
    both, start = Round(system, system.draw(1), ("v", "u")), torch.zeros(1, 32).double()
    found = fixed_point(both, start, InterfaceQuasiNewton(), 1e-9)
    lacking = lambda x: (both(torch.from_numpy(x)[None])[0] - torch.from_numpy(x)).numpy()
    other = anderson(lacking, start[0].numpy(), alpha=-0.5, f_tol=1e-9)
    close(found.point[0], torch.from_numpy(other), 1e-7)
