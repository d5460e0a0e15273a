"""The quasi-Newton kernel against minima in closed form."""

import pytest
import torch

from oracles import close, normal
from sciencegen.descent import QuasiNewton
from sciencegen.energy import Denoised, Potential
from sciencegen.exact import Gaussian

D = torch.float64
STEEP = Gaussian(normal(6), torch.diag(torch.logspace(-4, 0, 6, dtype=D)))  # condition 10^4


def rosenbrock(x):
    return (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(-1)


def test_a_steep_quadratic_is_solved():
    x, _ = QuasiNewton(60, stride=2.0)(STEEP, STEEP.center + normal(5, 6, seed=1), 0.0)
    close(x, STEEP.center.expand(5, 6), 1e-6)


def test_a_curved_valley_is_followed():
    x, _ = QuasiNewton(600)(Potential(rosenbrock), 0.5 * normal(8, 4), 0.0)
    there = rosenbrock(x) < 3  # 3.70 is its other minimum
    close(x[there], torch.ones(int(there.sum()), 4, dtype=D), 1e-4)
    close(rosenbrock(x)[~there], torch.full((int((~there).sum()),), 3.7014, dtype=D), 1e-3)
    assert there.sum() >= 4


@pytest.mark.parametrize("repeats", [1, 2, 3, 5, 10, 30])
def test_no_row_ends_higher_than_it_began(repeats):
    start = 3 * normal(20, 4)
    x, info = QuasiNewton(repeats, stride=5.0)(Potential(rosenbrock), start, 0.0)
    assert (rosenbrock(x) <= rosenbrock(start)).all()
    assert ((info.acceptance >= 0) & (info.acceptance <= 1)).all()
    assert torch.equal(x, start) == (repeats == 1)


def test_it_asks_as_often_as_it_says_and_strides_no_further():
    seen = []

    def bowl(x):
        seen.append(x.detach().clone())
        return (x**2).sum(-1)

    QuasiNewton(25, stride=0.2)(Potential(bowl), 10 + normal(3, 2), 0.0)
    assert len(seen) == 25
    moves = torch.stack(seen).diff(dim=0).abs().amax((1, 2))
    assert moves[0] <= 0.2 / 3 + 1e-12
    assert moves.max() <= 0.2 + 1e-12


def test_a_row_does_not_know_of_the_others():
    start, kernel = 2 * normal(6, 4), QuasiNewton(25)
    together, _ = kernel(Potential(rosenbrock), start, 0.0)
    for row, wanted in zip(start, together):
        close(kernel(Potential(rosenbrock), row[None], 0.0)[0][0], wanted, 1e-6)


def test_where_the_energy_is_no_number_it_does_not_go():
    wall = Potential(lambda x: torch.where(x[..., 0] > 0, x[..., 0], torch.nan) + (x**2).sum(-1))
    x, _ = QuasiNewton(120, stride=1.0)(wall, 1 + normal(5, 3).abs(), 0.0)
    assert x.isfinite().all()
    assert (x[:, 0] > 0).all()
    assert (wall.function(x) < 0.1).all()


def test_a_score_alone_is_refused():
    with pytest.raises(TypeError, match="only the score of"):
        QuasiNewton(3)(Denoised(lambda x, sigma: x), torch.zeros(2, 3), 1.0)
