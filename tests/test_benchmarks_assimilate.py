"""The benchmark of assimilation: its referees are what they say, and its rows are scored alike."""

import numpy as np
import pytest
import torch

from benchmarks.assimilate import chaos, linear, lorenz
from benchmarks.assimilate.scoring import Case, over, scored
from sciencegen.physics.advection_diffusion import AdvectionDiffusion
from sciencegen.physics.kuramoto_sivashinsky import KuramotoSivashinsky


def test_scores_are_those_of_the_mean_and_of_all_cases():
    truth = torch.zeros(3, 2, dtype=torch.float64)
    members = torch.linspace(-1, 3, 20, dtype=torch.float64)[:, None, None].expand(20, 3, 2)
    row = scored(members, truth, since=1)
    assert row["square"] == pytest.approx(1.0)
    case = Case(truth, (0,), (0,), truth[:1, :1], 1.0)
    found = over([case, case], lambda case, index: members + index)
    assert found["rmse"] == pytest.approx(((1 + 4) / 2) ** 0.5)
    assert found["cases"] == 2


def test_a_window_of_the_exact_prior_is_the_stationary_law_at_each_frame():
    system = AdvectionDiffusion(linear.CELLS)
    cov = linear.exact(system).cov.reshape(linear.WINDOW, linear.CELLS, linear.WINDOW, linear.CELLS)
    model = system.linear()
    torch.testing.assert_close(cov[3, :, 3], model.covariance, atol=1e-9, rtol=0)
    torch.testing.assert_close(cov[4, :, 3], model.matrix @ model.covariance, atol=1e-9, rtol=0)


def test_draws_of_the_exact_answer_have_its_mean():
    system = AdvectionDiffusion(linear.CELLS)
    (case,) = linear.drawn(system, 1, 8, 0.1, 4)
    members = linear.exactly(system, "filter", 40, case, 0)
    read = members.mean(0)[list(case.frames)][:, list(case.sensors)]
    assert float((read - case.values).abs().mean()) < case.noise


def test_the_transform_filter_follows_its_sensors_and_interpolation_meets_them():
    system = KuramotoSivashinsky(chaos.CELLS)
    pool = system.draw(20, 0)["a"]
    (case,) = chaos.drawn(system, 1, 30, float(pool.std()), 1)
    members, later = chaos.transformed(system, case, pool, 1.0)
    assert members.shape == (20, 30, chaos.CELLS)
    assert later.shape == pool.shape
    error = lambda path: float((path.mean(0)[10:] - case.truth[10:30]).square().mean().sqrt())
    between = chaos.interpolated(case, 0)
    assert error(members) < 0.5 * error(between)
    seen = between[0][list(case.frames)][:, list(case.sensors)]
    smooth = torch.fft.irfft(torch.fft.rfft(case.values)[:, :4], chaos.SENSORS)  # without the highest wave
    np.testing.assert_allclose(seen, smooth, atol=1e-9)


def test_backward_simulation_explains_what_is_read():
    (case,) = lorenz.drawn(1, 8, 0.05)
    pool = lorenz.paths(40, 5, 7).flatten(0, 1)
    path = lorenz.backward(case._replace(truth=case.truth[:17]), pool, 50, 0, count=400)
    assert path.shape == (50, 17, 3)
    assert float((path[:, [0, 8, 16], 0] - case.values[:3, 0]).abs().mean()) < 0.2
