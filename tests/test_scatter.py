"""However samples are split over workers, they are the same; what fails there is told here."""

import multiprocessing
from concurrent.futures import Future, ProcessPoolExecutor

import numpy as np
import pytest
import torch
import xarray

from oracles import covariance, normal
from sciencegen.energy import Residual
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout, Variable
from sciencegen.mcmc import HMC
from sciencegen.measure import Points
from sciencegen.sample import Heun, karras
from sciencegen.tasks import Constraint, Problem, design, forecast, invert
from sciencegen.tasks.scatter import PARTS, split

D = torch.float64
LAYOUT = Layout(u=Variable((3,), scale=2.0, units="m", dims=("x",)), v=Variable((), scale=0.5))
PROBLEM = Problem(LAYOUT, Gaussian(normal(4), covariance(4, seed=1)))
SAMPLER = Heun(karras(6, low=0.05, dtype=D), HMC(0.1))
COUNT = 11
SEEDS = torch.arange(COUNT)


def objective(u, v):
    return u.sum(-1) + v


def ramp(sigma):
    """One temperature a sample."""
    return torch.linspace(0.1, 1.0, COUNT, dtype=D)[:, None]


def positive(u, v):
    return -v


def law(x):
    return x[..., :1] - x[..., 1:2]


def failing(u, v):
    if len(u) not in (2, COUNT):
        raise ArithmeticError("no such row")
    return u.sum(-1)


class Here:
    """An executor that runs what it is given at once, and counts the parts."""

    def __init__(self):
        self.parts = 0

    def submit(self, function, /, *arguments):
        self.parts += 1
        future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


def designed(**more):
    return design(PROBLEM, objective, ramp, SAMPLER, COUNT, constraints=[Constraint(positive, 0.5)], seeds=SEEDS,
                  progress=False, **more)


def inverted(**more):
    problem = Problem(LAYOUT, PROBLEM.prior, Residual(law, 0.3))
    return invert(problem, Points("u", [[0], [1.5]]), torch.ones(2), 0.1, Heun(SAMPLER.sigmas), COUNT, SEEDS,
                  progress=False, **more)


def forecasted(**more):
    times = torch.linspace(0, 1, 6, dtype=D)
    window = Layout(u=Variable((6, 2), dims=("time", "x")))
    cov = torch.kron(torch.exp(-(times[:, None] - times).abs()), torch.eye(2, dtype=D))
    problem = Problem(window, Gaussian(torch.zeros(12, dtype=D), cov))
    return forecast(problem, torch.ones(2, 2, 1, 2, dtype=D).cumsum(0).swapaxes(1, 2), 9, 5, memory=1,
                    seeds=torch.arange(5), progress=False, **more)


def same(one, other):
    for name in ("samples", "history", "data"):
        xarray.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(one.fun, other.fun, rtol=1e-9)
    for name in ("success", "seeds"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert (one.message, one.status) == (other.message, other.status)


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as executor:
        yield executor


@pytest.mark.parametrize("ask", [designed, inverted])
def test_on_two_processes_samples_history_and_order_are_those_of_one(ask, processes):
    same(ask(executor=processes), ask())


def test_members_of_a_forecast_too(processes):
    one, other = forecasted(executor=processes), forecasted()
    xarray.testing.assert_allclose(one.frames, other.frames, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(one.seeds, other.seeds)
    with pytest.raises(ValueError, match="got an objective and an executor; expected one of them"):
        forecasted(executor=processes, objective=lambda u: u.sum((-1, -2)))


def test_on_dask_too():
    distributed = pytest.importorskip("distributed")
    with distributed.Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        for ask in (designed, inverted):
            same(ask(executor=client), ask())
        xarray.testing.assert_allclose(forecasted(executor=client).frames, forecasted().frames, rtol=1e-9, atol=1e-9)


def test_each_sample_keeps_what_is_given_of_its_own():
    given = Problem(LAYOUT, Gaussian(normal(4), covariance(4, seed=1))).given(v=torch.linspace(0, 1, COUNT, dtype=D))
    ask = lambda **more: design(given, objective, 0.5, SAMPLER, COUNT, seeds=SEEDS, progress=False, start=None, **more)
    here = Here()
    same(ask(executor=here), ask())
    assert here.parts == PARTS


@pytest.mark.parametrize("count", [1, 7, 8, 9, 100])
def test_parts_are_all_rows_in_their_order_and_alike(count):
    parts = split(count)
    assert torch.equal(torch.cat(list(parts)), torch.arange(count))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert len(parts) == min(count, PARTS)


def test_an_error_of_a_worker_is_told_with_the_samples_it_drew():
    with pytest.raises(RuntimeError, match="ArithmeticError.'no such row'.* that drew the samples 6 to 6;"):
        design(PROBLEM, failing, 1.0, SAMPLER, COUNT, seeds=SEEDS, progress=False, executor=Here())


def test_what_cannot_be_sent_is_refused_in_words(processes):
    with pytest.raises(TypeError, match="expected what can be sent to another process: .* no lambdas"):
        design(PROBLEM, lambda u, v: u.sum(-1), 1.0, SAMPLER, COUNT, progress=False, executor=processes)
