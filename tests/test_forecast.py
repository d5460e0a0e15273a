"""Forecasts against the exact conditional law: mean, covariance, leads inside of the first window and far past it."""

import numpy as np
import pytest
import torch

from oracles import chain
from sciencegen.exact import Gaussian
from sciencegen.forecasts import Forecast
from sciencegen.layout import Layout, Variable
from sciencegen.tasks import Problem, forecast

D = torch.float64
RHO, FRAMES, MANY = 0.95, 8, 4000
LAYOUT = Layout(u=Variable((FRAMES,), loc=10.0, scale=2.0, dims=("time",), units="m",
                           coords={"time": 0.5 * np.arange(FRAMES)}))
PROBLEM = Problem(LAYOUT, Gaussian(torch.zeros(FRAMES, dtype=D), chain(FRAMES, RHO)))
HISTORY = 10 + 2 * torch.tensor([0.5, 1.0], dtype=D)
SEEDS = torch.arange(MANY)


@pytest.mark.parametrize("memory", [1, 4, 7])
def test_a_forecast_of_a_linear_chain_is_its_conditional_at_any_lead(memory):
    found = forecast(PROBLEM, HISTORY, 27, MANY, memory=memory, seeds=SEEDS, progress=False)
    x = torch.tensor((found.frames.u.values[0] - 10) / 2)
    lead = torch.arange(1, 28, dtype=D)
    spread = RHO ** (lead[:, None] - lead).abs() * (1 - RHO ** (2 * torch.minimum(lead[:, None], lead)))
    assert bool(((x.mean(0) - RHO**lead).abs() < 4 * (spread.diagonal() / MANY).sqrt()).all())
    wide = (spread**2 + spread.diagonal()[:, None] * spread.diagonal()) / MANY  # of a covariance's estimate
    assert bool(((torch.cov(x.mT) - spread).abs() < 5 * wide.sqrt()).all())
    assert found.nfev == 0


def test_a_forecast_is_written_with_its_history_and_read_back(tmp_path):
    found = forecast(PROBLEM, HISTORY, 3, 4, seeds=SEEDS[:4], progress=False)
    again = Forecast.load(found.save(tmp_path / "forecast.nc"))
    assert again.frames.identical(found.frames)
    assert again.history.identical(found.history)
    assert again.frames.time.values.tolist() == [0.5, 1.0, 1.5]
    np.testing.assert_array_equal(again.seeds, found.seeds)
