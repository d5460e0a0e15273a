"""The n-body table is fair: truth scores as truth, slow designs are seen through, and floors keep to the rules."""

import math

import numpy as np
import pytest
import torch

from benchmarks.nbody import floors, scoring
from benchmarks.nbody.floors import BestOf, CrossEntropy, Descent, Packing, Question, Random, Windows
from benchmarks.nbody.scoring import SPEED, at_speed, objective, scores, summary
from sciencegen.physics import NBody
from test_physics_nbody import engine

BOX = NBody()


@pytest.mark.parametrize("bodies, low, high", [(2, 0.0041, 0.0046), (4, 0.0060, 0.0067)])
def test_truth_scores_as_truth_and_the_originals_protocol_is_one_step_late(bodies, low, high):
    """The published MAE of a perfect design is the distance that bodies go, and the velocities they lose, in a step."""
    found = summary(scores(BOX.solve(BOX.starts(bodies, 400, seed=77), 24)))
    assert found["mae"].mean == 0
    assert low - found["mae_original"].half < found["mae_original"].mean < high + found["mae_original"].half
    assert found["residual"].mean < 1e-4
    assert abs(found["objective"].mean - {2: 0.308, 4: 0.3165}[bodies]) < 2 * found["objective"].half
    assert abs(found["speed"].mean - 81.5) < 2 * found["speed"].half
    assert abs(found["overlap"].mean - {2: 0.15, 4: 0.66}[bodies]) < 2 * found["overlap"].half
    assert found["drift"].mean < 3e-3


def test_the_engines_own_trajectories_score_as_truth():
    start = BOX.starts(2, 20, seed=3, separate=True)
    found = scores(torch.stack([engine(s, 24) for s in start]))
    assert found["mae"].median() < 1e-8
    assert found["mae"].mean() < 1e-6
    every = torch.stack([engine(s, 24 * 4, every=1) for s in start])
    early = torch.cat([every[:, :1], every[:, 3::4][:, :23]], 1)
    wanted = (early - every[:, ::4]).abs().mean((1, 2, 3))
    torch.testing.assert_close(found["mae_original"], wanted, rtol=0, atol=1e-6)
    torch.testing.assert_close(found["objective_original"], objective(early), rtol=0, atol=1e-6)


@pytest.mark.parametrize("bodies, least", [(2, 0.1002), (4, 0.1369), (8, 0.1937)])
def test_packed_at_rest_is_nearly_the_optimum_and_nothing_at_matched_energy(bodies, least):
    start = Packing()(Question(bodies, 24)).start
    found = summary(scores(BOX.solve(start, 24)))
    assert found["objective"].mean == pytest.approx(least, abs=5e-5)
    assert found["objective_original"].mean == pytest.approx(least, abs=5e-5)
    assert found["mae"].mean == found["mae_original"].mean == found["speed"].mean == found["overlap"].mean == 0
    assert found["matched"].mean > 0.25


def test_scores_of_a_wrong_design():
    start = BOX.starts(2, 30, seed=8, separate=True)
    design = BOX.solve(start, 24)
    shifted = design.clone()
    shifted[:, 1:, :, 0] += 0.01
    found = scores(shifted)
    assert found["mae"].max() == pytest.approx(0.01 * 23 / 24 / 4)
    torch.testing.assert_close(found["objective"], objective(design))
    slow = design.clone()
    slow[:, 1:, :, 2:] *= 0.5
    torch.testing.assert_close(scores(slow)["drift"], 0.75 * BOX.energy(start) / SPEED**2, rtol=1e-3, atol=0)
    crowded = design.clone()
    crowded[:10, 0, 1, :2] = crowded[:10, 0, 0, :2] + 0.1
    assert scores(crowded)["overlap"].sum() == 10
    beyond = design.clone()
    beyond[:7, 0, 0, 0] = 0.1
    assert scores(beyond)["outside"].sum() == 7
    with pytest.raises(ValueError, match="expected \\(designs, frames, bodies, 4\\)"):
        scores(design[0])


def test_matched_energy_changes_speeds_and_no_directions():
    start = BOX.starts(4, 25, seed=4)
    start[0, 0, 2:] = 0
    matched = at_speed(start)
    torch.testing.assert_close(matched[..., 2:].norm(dim=-1), torch.full((25, 4), SPEED, dtype=torch.float64))
    turn = (matched[..., 2:] * start[..., 2:]).sum(-1) - SPEED * start[..., 2:].norm(dim=-1)
    assert turn.abs().max() < 1e-14
    torch.testing.assert_close(scores(BOX.solve(matched, 9))["matched"], objective(BOX.solve(matched, 9)))


def test_diversity_and_intervals():
    start = torch.zeros(3, 1, 4, dtype=torch.float64)
    start[1] += 1
    start[2] += 2
    assert scoring.diversity(start).tolist() == [1.5, 1.0, 1.5]
    assert scoring.diversity(start[:1]).tolist() == [0]
    values = torch.from_numpy(np.random.default_rng(0).normal(2, 3, 400))
    found = summary({"x": values, "energy": torch.ones(400)})
    assert found["x"].mean == pytest.approx(float(values.mean()))
    assert found["x"].half == pytest.approx(1.96 * float(values.std()) / 20)
    assert found["speed"] == (pytest.approx(81.5), 0)


ROWS = [Random(), BestOf(30), CrossEntropy(60, population=10, elite=3), Descent(60, restarts=2)]


@pytest.mark.parametrize("bodies", [2, 4])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_floors_keep_to_the_rules_and_spend_what_they_say(row, bodies, monkeypatch):
    question, spent, solve = Question(bodies, 8, count=3), [], NBody.solve

    def counted(self, start, frames):
        spent.append(start.shape[:-2].numel())
        return solve(self, start, frames)

    monkeypatch.setattr(NBody, "solve", counted)
    answer = row(question)
    assert answer.start.shape == (3, bodies, 4)
    assert BOX.overlap(answer.start).max() <= 0
    assert BOX.outside(answer.start).max() <= 0
    torch.testing.assert_close(answer.start[..., 2:].norm(dim=-1), torch.full((3, bodies), SPEED, dtype=torch.float64))
    assert sum(spent) == 3 * answer.rollouts
    assert answer.rollouts == (0 if row == ROWS[0] else row.rollouts)
    assert torch.equal(row(question).start, answer.start)


def test_searching_helps():
    question = Question(2, 12, count=8)
    reached = {row.name: float(question.ends(row(question).start).mean()) for row in ROWS}
    random, best, entropy, descent = reached.values()
    assert best < 0.8 * random
    assert entropy < best
    assert descent < best


def test_windows_are_the_datas_best_one_of_a_simulation():
    data = BOX.solve(BOX.starts(2, 30, seed=9, separate=True), 40).float()
    answer = Windows(data)(Question(2, 10, count=5))
    ends = objective(torch.stack([data[:, k : k + 10] for k in range(31)], 1)).double()
    reached = objective(BOX.solve(answer.start, 10))
    torch.testing.assert_close(reached, ends.amin(1).sort().values[:5], rtol=0, atol=1e-3)
    with pytest.raises(ValueError, match="at least 5 simulations of 10 frames and 4 bodies"):
        Windows(data)(Question(4, 10, count=5))


def test_no_lattice_packing_overlaps():
    for bodies in range(1, 13):
        sites = floors._packed(bodies)
        assert sites.shape == (bodies, 2)
        assert torch.pdist(sites).min() > 1 - 1e-12 if bodies > 1 else sites.norm() == 0
    assert float(floors._packed(7).norm(dim=-1).mean()) == pytest.approx(6 / 7)
    assert math.isclose(float(floors._packed(3).norm(dim=-1).mean()), 1 / math.sqrt(3))
