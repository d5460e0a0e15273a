"""The classical row of the airfoil benchmark: batches of searches are the searches one by one, slopes are slopes."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import xarray

from benchmarks.airfoil.at_sets import ahead, scores
from benchmarks.airfoil.row import ANGLES, Spent
from benchmarks.airfoil.slsqp import Flow, Together, evaluated
from benchmarks.airfoil_sets import EARLIER, RANDOM, sets
from oracles import close, normal
from sciencegen.airfoil.aero import Counted, NeuralFoil
from sciencegen.airfoil.conditions import Point
from sciencegen.studies.airfoil.prior import condition_layout
from sciencegen.studies.airfoil.study import AirfoilStudy

pytest.importorskip("neuralfoil")
FOIL = torch.tensor([0.18] + [0.2] * 7 + [-0.14] + [-0.1] * 7 + [0.05, 0.003], dtype=torch.float64)
POINTS = (Point(0.5, 2e6), Point(0.8, 1e6))


def study() -> AirfoilStudy:
    rows = {"shape": FOIL + normal(4, 18), "polar": normal(100, 4).unflatten(0, (4, 25))}
    return AirfoilStudy(condition_layout(rows, ANGLES), None, POINTS, aero=Counted(NeuralFoil("xxsmall")))


def flow(spent=lambda: False) -> tuple[Flow, np.ndarray]:
    asked = study()
    made = Flow(asked, spent, lambda rows: evaluated(asked, torch.ones(20), rows), n_crit=8.0)
    return made, torch.cat([FOIL, torch.tensor([2.0, 5.0])]).numpy()


def test_slopes_are_those_of_the_values_and_an_evaluation_is_counted_once():
    made, x = flow()
    values, slopes = made.values(x), made.slopes(x)
    assert made.study.aero.rows == len(POINTS)
    assert slopes.flags.c_contiguous
    for step in np.eye(20)[[0, 9, 17, 18, 19]]:
        above, below = (made.evaluate(np.append(x + side * step, 8.0)[None])[0, :, 0] for side in (1e-6, -1e-6))
        close(torch.tensor(slopes @ step), torch.tensor((above - below) / 2e-6), 1e-6)
    close(torch.tensor(made.values(x)), torch.tensor(values), 0)
    angles = torch.tensor(x[18:])
    with torch.no_grad():
        own = NeuralFoil("xxsmall", n_crit=8.0)(FOIL.expand(2, -1), angles, torch.tensor([2e6, 1e6]).double())
    close(torch.tensor(values[1:3]), (own.cl - torch.tensor([0.5, 0.8])) / 0.1, 1e-6)


def test_what_is_spent_is_not_evaluated():
    made, x = flow(spent=lambda: True)
    with pytest.raises(Spent):
        made.values(x)
    assert made.study.aero.rows == 0


def test_searches_together_are_answered_as_one_by_one_and_share_their_batches():
    batches = []

    def evaluate(rows: np.ndarray) -> np.ndarray:
        batches.append(len(rows))
        return rows**2

    together = Together(evaluate, 3)

    def search(number: int) -> list[float]:
        with together:
            return [float(together(number, np.full((1, 1), float(number + k)))[0, 0]) for k in range(number + 1)]

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(search, range(3)))
    assert found == [[float((n + k) ** 2) for k in range(n + 1)] for n in range(3)]
    assert batches == [3, 2, 1]  # all, then those that go on


def test_the_sets_are_the_ones_that_were_fixed():
    found = sets()
    assert len(found) == len(EARLIER) + RANDOM == 12
    assert [len(points) for points in found] == [3, 2, *range(1, 6), *range(1, 6)]
    assert [str(point) for point in found[2] + found[7]] == ["0.38@2.9e6", "0.41@5.7e6"]


def test_a_row_is_scored_by_the_ten_that_come_first_and_by_the_best_that_were_asked_for():
    told = 0.01 * np.array([1.1, *[1.0] * 8, np.nan, 0.9, 0.9])
    designs = xarray.Dataset(
        {"shape": (("sample", "weight"), FOIL.repeat(12, 1).numpy()), "fun": ("sample", np.full(12, 0.0099)),
         "xfoil_fun": ("sample", told), "promised": ("sample", 1.01 * told)},
        attrs={"feasible": 0.5, "designs": 24, "cpu": 1.0, "xfoil_cpu": 2.0})  # fmt: skip
    found = scores(designs)
    wanted = {"feasible": 50, "judge": 99, "xfoil": 910 / 9, "first": 110, "least": 980 / 10, "verified": 9,
              "confirmed": 8, "gap": (10 + 8 * 1) / 9, "corrected": 1, "apart": 0}  # fmt: skip
    np.testing.assert_allclose([found[name] for name in wanted], list(wanted.values()), atol=1e-9)
    assert ahead(found, found | {"xfoil": 102.0})
    assert ahead(found, found | {"verified": 4.0, "xfoil": 90.0})  # a mean over survivors is none
    assert not ahead(found, found)
