"""The table of flow designs is fair: rows keep to the limits, scores are what they say, and nothing is made twice."""

import json
import math
import sys
from dataclasses import dataclass

import numpy as np
import pytest
import torch

import benchmarks.flow_design.run as script
import benchmarks.flow_design.searches as searches
from benchmarks.common import DATA
from benchmarks.flow_design.gradients import Descent, descended
from benchmarks.flow_design.question import Designed, Meter, Question
from benchmarks.flow_design.report import table
from benchmarks.flow_design.scoring import apart, dataset, divergence, judged, scores, summary, wings_of
from benchmarks.flow_design.searches import BestOf, CrossEntropy, Evolution, Random, Seen
from benchmarks.flow_design.space import NUMBERS, Space
from benchmarks.flow_design.surrogate import Surrogate, trained
from benchmarks.flow_design.training_set import Members, read
from sciencegen.airfoil import cst
from sciencegen.airfoil.wing_fit import pixels
from sciencegen.airfoil.wings import Limits, Wings, gaps
from sciencegen.physics.mean_forces import MeanForces, efficiency

HELD_OUT = DATA.with_name("flows_test.h5")
LIMITS = Limits()
SPACE = Space.of(DATA, LIMITS)
BRIEF = MeanForces(12, time=0.5, mean=0.5)
HALF = math.sqrt(3) / 2


@dataclass(frozen=True)
class Bend:
    """Forces that outlines alone tell: drag is the chord, lift how far the nose is above the tail."""

    def __call__(self, outlines):
        span = outlines[..., 0, :] - outlines[..., 100, :]
        return torch.stack([span.norm(dim=-1), -span[..., 1]], -1)


def wild(bodies, count, seed=0):
    random = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(count, bodies * NUMBERS, generator=random, dtype=torch.float64)


@pytest.mark.parametrize("bodies", [1, 2, 3])
def test_vectors_and_wings_are_each_others_inverse(bodies):
    x = wild(bodies, 20)
    torch.testing.assert_close(SPACE.vector(SPACE.plain(x)), x, rtol=0, atol=1e-11)
    inside = SPACE.draw(bodies, 5, torch.Generator().manual_seed(2))
    wings = SPACE.wings(inside)
    again = SPACE.wings(SPACE.vector(wings))
    for a, b in zip(wings, again, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


def test_whatever_the_numbers_the_wings_are_within_all_limits_but_the_gap():
    x = wild(2, 60)
    wings, only = SPACE.wings(x), LIMITS.margins(SPACE.wings(x))[:, :-1]
    assert only.min() > -1e-3
    assert (LIMITS.margins(SPACE.plain(x))[:, :-1] < -1e-3).any(-1).double().mean() > 0.9
    assert cst.thickness(wings.shape, cst.cosine(101, wings.shape)).min() > -1e-12
    assert ((SPACE.outside(x) == 0) <= LIMITS.kept(wings)).all()
    assert ((gaps(wings)[:, 0] < LIMITS.gap) <= (SPACE.outside(x) > 0)).all()


def test_draws_are_within_the_limits_and_the_first_are_the_same_whatever_the_count():
    for bodies in (1, 2):
        few, many = (SPACE.draw(bodies, n, torch.Generator().manual_seed(3), (0.0, 15.0)) for n in (4, 70))
        assert torch.equal(many[:4], few)
        wings = SPACE.wings(many)
        assert LIMITS.kept(wings, 0.0 if bodies == 1 else -5e-4)[:, None].shape == (70, 1)
        assert LIMITS.kept(wings).all()
        assert wings.alpha.min() >= 0
        assert wings.alpha.max() <= 15
        assert (wings.centre[..., 1].diff(dim=-1) >= 0).all()


ROWS = [Random(SPACE), BestOf(SPACE, Bend(), 12), CrossEntropy(SPACE, Bend(), 30, population=8),
        Evolution(SPACE, Bend(), 60), Descent(SPACE, Bend(), 4)]


@pytest.mark.parametrize("bodies", [1, 2])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_rows_hand_over_what_is_within_the_limits_and_spend_what_they_say(row, bodies):
    question = Question(bodies, count=3)
    answer = row(question)
    assert answer.wings.shape.shape == (3, bodies, 18)
    assert LIMITS.kept(answer.wings).all()
    spends = {"random within limits": 0, "gradients, true solver": 3 * (3 + 4)}
    assert answer.calls <= spends.get(row.name, getattr(row, "calls", 0))
    assert answer.calls >= 0.6 * spends.get(row.name, getattr(row, "calls", 0))
    for a, b in zip(answer.wings, row(question).wings, strict=True):
        assert torch.equal(a, b)


def test_searching_helps_and_the_best_come_first():
    question = Question(1, count=3)
    found = {row.name: efficiency(Bend()(row(question).wings.outline(101))) for row in ROWS}
    random, best, entropy, evolution, descent = found.values()
    assert best.min() > random.mean()
    assert entropy.max() > 0.95 * best.max()
    assert evolution.max() > best.max()
    assert descent.mean() > random.mean()
    for row in (best, entropy, evolution):
        assert (row.diff() <= 0).all()
    assert max(map(float, map(torch.max, found.values()))) <= HALF + 1e-9  # 60 degrees are the limit


def test_wings_in_one_another_are_not_solved():
    meter = Meter(BRIEF)
    x = SPACE.vector(Wings(SPACE.mean.expand(1, 2, 18), torch.ones(1, 2), torch.zeros(1, 2), torch.zeros(1, 2, 2)))
    seen = Seen(SPACE, meter)
    assert float(seen.rate(x)) > searches.BAD
    assert meter.calls == 0
    assert len(seen.best(5).wings.shape) == 0


def test_a_descent_goes_down_the_true_solvers_ratio_and_keeps_apart():
    x = SPACE.draw(2, 1, torch.Generator().manual_seed(5), (0.0, 5.0))
    meter = Meter(BRIEF)
    with torch.no_grad():
        before = float(meter(SPACE.wings(x)))
        ended = descended(SPACE, meter, x, 4, 0.2)
        assert float(meter(SPACE.wings(ended))) > before + 0.05
    assert meter.calls == 6  # two of them the test's own
    assert LIMITS.kept(SPACE.wings(ended)).all()


def forced(wings, drag, lift):
    """A judge whose forces are known."""
    return lambda outlines: torch.tensor([drag, lift]).T.expand(len(outlines), -1, 2)


def test_scores_of_known_forces():
    wings = SPACE.wings(SPACE.draw(2, 4, torch.Generator().manual_seed(1)))
    shape = wings.shape.clone()
    shape[2] = torch.nan  # nothing came of this sample
    bad = wings._replace(shape=shape, alpha=wings.alpha + torch.tensor([0.0, 0.0, 0.0, 90.0])[:, None])
    said = torch.tensor([0.5, 1.5]).expand(4, 2, 2)
    answer = Designed(bad, said, torch.zeros(4, 2, 3, 8, 8), calls=7, seconds=2.5)
    question = Question(2, count=4)
    made = dataset(answer, {"row": "x"})
    for a, b in zip(wings_of(made), bad, strict=True):
        torch.testing.assert_close(a, b.double(), rtol=0, atol=0, equal_nan=True)
    found = judged(made, question, forced(wings, [1.0, 1.0], [1.0, 3.0]))
    of = {name: summary(values) for name, values in scores(found).items()}
    assert (of["efficiency"].mean, of["drag"].mean, of["lift"].mean, of["efficiency"].n) == (2.0, 2.0, 4.0, 2)
    assert of["buildable"].mean == 0.5
    assert of["overlap"].mean == float((gaps(bad.row(torch.tensor([0, 1, 3]))) < 0).double().sum()) / 4
    assert of["force_error"].mean == pytest.approx(math.hypot(1, 1) / math.hypot(2, 4))
    assert of["divergence"].mean == 0
    assert not found["solved"].values[:2].sum() == 0
    assert np.isnan(found["solved"].values[2:]).all()
    assert found.attrs["calls"] == 7


def test_designs_are_ranked_and_the_best_is_also_judged_alone():
    wings = SPACE.wings(SPACE.draw(2, 3, torch.Generator().manual_seed(4)))
    found = apart(judged(dataset(Designed(wings), {}), Question(2, count=3), Bend()), Bend(), 1)
    assert (np.diff(scores(found)["efficiency"]) <= 0).all()
    together = scores(found)
    assert together["drag_together"][0] == pytest.approx(0, abs=1e-6)  # Bend knows of no neighbours
    assert together["efficiency_together"][0] == pytest.approx(0, abs=1e-6)
    assert np.isnan(together["drag_together"][1:]).all()


def test_diversity_divergence_and_intervals():
    wings = Wings(SPACE.mean.expand(2, 1, 18), torch.ones(2, 1), torch.zeros(2, 1),
                  torch.tensor([[[0.0, 0.0]], [[0.06, 0.08]]]).double())
    found = judged(dataset(Designed(wings), {}), Question(1, count=2), Bend())
    assert scores(found)["diversity"][0] == pytest.approx(0.1)
    x = torch.arange(9.0) / 12
    u, v = x[:, None].expand(9, 9), -0.5 * x.expand(9, 9)
    assert float(divergence(torch.stack([u, v, u])[None, None])) == pytest.approx(0.5)
    assert summary([1.0, 2.0]).median == 1.5
    told = summary([1.0, 2.0, 3.0, math.nan])
    assert (told.mean, told.median, told.least, told.most, told.n) == (2, 2, 1, 3, 3)
    assert told.half == pytest.approx(4.302652729911275 / math.sqrt(3))
    assert summary([]).n == 0


def test_the_training_sets_best_are_its_own():
    flows = read(HELD_OUT, DATA)
    assert ((flows.reynolds >= 200) & (flows.reynolds <= 300)).all()
    assert torch.equal(flows.distance[0].shape.numel() * torch.ones(1), torch.tensor([4096.0]))
    answer = Members(SPACE, Bend(), flows, 10)(Question(1, count=2))
    assert answer.calls == 0
    kept = LIMITS.kept(flows.wings)
    assert float(flows.efficiency[kept].max()) == pytest.approx(float(
        flows.efficiency[(flows.wings.alpha == answer.wings.alpha[0]).all(-1)][0]))
    pairs = Members(SPACE, Bend(), flows, 10)(Question(2, count=2))
    assert pairs.calls == 10
    assert LIMITS.kept(pairs.wings).all()
    assert torch.isin(pairs.wings.alpha.round(decimals=6), flows.wings.alpha.round(decimals=6)).all()


def test_the_outlines_of_the_training_set_are_those_of_its_wings():
    import h5py

    flows = read(HELD_OUT, DATA)
    with h5py.File(HELD_OUT) as data:
        outlines = torch.from_numpy(data["outline"][:]).double()
    mine = flows.wings.outline(101)[:, 0]
    assert torch.stack([(outlines - loop).norm(dim=-1).amax(1).min() for loop in mine]).max() < 1e-5


def test_a_surrogate_goes_on_where_it_was_left_and_designs_within_the_limits(tmp_path):
    flows = read(HELD_OUT, DATA)
    whole, told = trained(flows, tmp_path / "a.pt", 4, batch=4)
    assert told["samples"] == len(flows.force) - len(range(0, len(flows.force), 10))
    again, _ = trained(flows, tmp_path / "a.pt", 4, batch=4)
    image, reynolds = flows.distance[:3], flows.reynolds[:3]
    assert torch.equal(whole(image, reynolds), again(image, reynolds))
    row = Surrogate(SPACE, whole, 3, 3)
    answer = row(Question(2, count=2))
    assert LIMITS.kept(answer.wings).all()
    force, worth = row.promised(answer.wings, 250.0)
    torch.testing.assert_close(force[:, None], answer.force)
    assert worth[0] >= worth[1]
    assert pixels(torch.zeros(()))[0, 0].tolist() == pytest.approx([-29 / 30 + 1 / 48, -4 / 3 + 1 / 48])


def test_cells_are_not_made_again_and_the_table_is_of_all_there_are(tmp_path, monkeypatch, capsys):
    space, made = SPACE, []

    def rows(budget, data, out):
        def row(question):
            made.append(question.bodies)
            return Random(space)(question)

        return {"one": ({"calls": budget.calls}, lambda: row), "two": ({}, lambda: row)}

    def run(*extra):
        monkeypatch.setattr(sys, "argv", ["flow_design", "--out", str(tmp_path), "--bodies", "1", *extra])
        monkeypatch.setattr(script, "rows", rows)
        monkeypatch.setattr(script, "QUICK", script.Budget(2, 5, judge=Bend()))
        script.main()

    run("--quick", "--rows", "one")
    run("--quick")
    assert made == [1, 1]
    run("--quick", "--calls", "6", "--rows", "one")
    assert made == [1, 1, 1]
    cells = [json.loads(file.read_text()) for file in (tmp_path / "cells").glob("*.json")]
    assert set(table(cells)[1]) == {"one", "two"}
    results = json.loads((tmp_path / "flow_design.json").read_text())["results"]
    assert results["1"]["two"]["scores"]["efficiency"]["n"] == 2
    assert len(list((tmp_path / "dat").glob("*.dat"))) == 4
    assert "lift/drag" in capsys.readouterr().out


@pytest.mark.parametrize("seed", range(1, 7))
def test_a_search_of_few_calls_comes_to_an_end_where_nothing_more_is_allowed(seed):
    found = CrossEntropy(SPACE, Bend(), calls=6)(Question(3, 2, seed))
    assert found.calls <= 6
    assert len(found.wings.chord) == 2
