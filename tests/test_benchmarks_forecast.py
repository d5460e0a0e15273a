"""The rules that the rows of the forecast benchmark keep to, with exact answers."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.forecast import apebench, report, run, spde, turbulent
from benchmarks.forecast.at_once import Folded
from benchmarks.forecast.chaos import resampled
from benchmarks.forecast.classical import Climatology, Linear, Persistence, Solved
from benchmarks.forecast.networks import increments, step_of, windows
from benchmarks.forecast.scoring import scored
from benchmarks.forecast.task import Drawn, Question, Row
from oracles import close, covariance, normal
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout

D = torch.float64


@pytest.fixture(scope="module")
def task():
    return spde.linear(quick=True)


def test_the_exact_score_is_that_of_the_law(task):
    many = spde.paths(spde.AdvectionDiffusion(64), 400, 2, 7)
    exact = spde.expected(spde.AdvectionDiffusion(64), many[:, 0], many[:, 1:], (1,))
    spread = spde.AdvectionDiffusion(64).forecast(many[:1, 0], 1)[1][0, 0].sqrt()
    each = exact["crps"][0]
    close(each.mean(), spread / math.sqrt(math.pi), 4 * float(each.std()) / 20)
    power = spde.metrics.spectrum(many[:, 1]).mean(0)
    assert float((power / exact["power"][0].mean(0) - 1)[:11].abs().max()) < 0.35  # 4 deviations of 400 starts


def test_rows_that_know_the_equation_have_the_exact_score(task):
    question = task.questions[0]
    found = {name: scored(question, Solved(name, task.solvers[name]).draw(task, question, 0), task.frame)["leads"]
             for name in task.solvers}
    for lead in found["exact"].values():
        assert abs(lead["crps/exact"] - 1) < 0.06
    frames = Solved("exact", task.solvers["exact"]).draw(task, question, 0).frames
    wide = question.truth.mean(0) + 0 * frames + frames.mean(0) + 2 * (frames - frames.mean(0)) - question.truth.mean(0)
    loose = scored(question, Drawn(wide, 0, 0), task.frame)["leads"]
    assert all(abs(loose[m]["spread-skill"] / found["exact"][m]["spread-skill"] - 2) < 1e-6 for m in loose)


def test_linear_regression_finds_the_modes(task):
    factor, left, mean = Linear()._fitted(spde.linear(quick=True, trajectories=100))
    exact = spde.AdvectionDiffusion(64).modes()
    # 3,900 complex pairs: an error of sqrt((1 - |a|^2) / N)
    assert float((factor - exact.factor).abs()[:20].max()) < 4.5 / 3900**0.5
    assert float((left / 64 / exact.kick - 1).abs()[1:20].max()) < 4.5 / 3900**0.5
    assert abs(float(mean)) < 0.1


def test_a_point_forecast_scores_its_absolute_error(task):
    question = task.questions[0]
    found = scored(question, Persistence().draw(task, question, 0), task.frame)["leads"]["4"]
    assert found["crps"] == pytest.approx(float((question.truth[:, 3] - question.history[:, 0, 0]).abs().mean()))
    assert found["coverage"] == 0
    assert found["spread-skill"] < 1e-12
    assert Climatology().draw(task, question, 0).frames.shape == (32, 8, 16, 64)


def test_a_roll_out_that_is_the_truth_lasts(task):
    question = task.questions[1]
    found = scored(question, Drawn(question.truth[None], 0, 0), task.frame)
    assert found["correlated"] == found["counted"] == question.horizon * task.frame
    assert found["std"] == found["spectrum worst"] == found["finite"] == 1
    blown = scored(question, Drawn(question.truth[None] * math.nan, 0, 0), task.frame)
    assert blown["finite"] == blown["correlated"] == 0
    assert "std" not in blown


def test_the_blanket_of_one_window_is_the_window_and_of_independent_frames_exact():
    layout = Layout(u=(7, 2))
    frame = Gaussian(normal(2, seed=1), covariance(2))
    cov = torch.block_diag(*[frame.cov] * 5)
    window, x = Gaussian(frame.center.repeat(5), cov), normal(4, 14)
    exact = torch.cat([frame.score(part, 0.7) for part in x.unflatten(-1, (7, 2)).unbind(1)], -1)
    close(Folded(window, layout["u"], 5).score(x, 0.7), exact, 1e-10)
    one = Layout(u=(5, 2))
    close(Folded(window, one["u"], 5).score(x[:, :10], 0.7), window.score(x[:, :10], 0.7), 1e-10)


def test_the_rivals_gaussian_is_a_step_of_persistence(task):
    states = windows(task, 0)
    given = increments(states).given(states.layout["u"][:1])
    x = torch.randn(3, 128)
    close(given.center(x), x[:, :64], 1e-4)
    close(given.rest.deviations(), torch.full((64,), step_of(states)), 1e-4)
    before, after = states.train.tensor().chunk(2, -1)
    assert abs(step_of(states) - float((after - before).square().mean().sqrt())) < 0.02


def test_fewer_points_keep_what_they_resolve():
    x = torch.arange(64, dtype=D) * 2 * math.pi / 64
    field = torch.sin(3 * x) + torch.cos(11 * x)
    close(resampled(resampled(field, 24), 64), field, 1e-12)
    close(resampled(resampled(field + torch.cos(12 * x), 24), 64), field, 1e-12)


def test_no_member_of_the_perfect_model_has_the_kicks_of_the_truth():
    task = turbulent.stochastic(quick=True)
    drawn = Solved("perfect model", task.solvers["perfect model"]).draw(task, task.questions[0], 0)
    assert float((drawn.frames - task.questions[0].truth).abs().amax((2, 3, 4)).min()) > 0.1


def test_a_force_is_known_to_all_rows():
    task = turbulent.stochastic(quick=True)
    states = windows(task, 0)
    assert list(states.layout.variables) == ["u", "force"]
    close(states.train.some([0])[0, states.layout["force"].index[3]] * states.layout.variables["force"].scale,
          task.known["force"][3].float(), 1e-5)
    _, _, mean = Linear()._fitted(task)
    close(mean, task.train.mean((0, 1)), 1e-12)


def test_a_peer_that_is_not_there_is_left_out_in_words(tmp_path, capsys, monkeypatch):
    for python, why in ((tmp_path / "none", "cannot be run"), (shutil.which("true"), "has no package apebench")):
        assert why in apebench.missing(str(python))
        monkeypatch.setattr("sys.argv", ["forecast", "--tasks", "F3 KS", "--peer", str(python), "--out", str(tmp_path)])
        run.main()
        assert why in capsys.readouterr().out


def test_a_peers_data_are_read_once_and_scored_by_its_metric(tmp_path):
    path = normal(30, 201, 8, seed=3)
    np.savez(tmp_path / "data.npz", train=path[:, :51], test=path)
    np.savez(tmp_path / "train-10000.npz", frames=1.1 * path[:, 1:], seconds=3.0, parameters=7)
    task = apebench.Peer("none", tmp_path).task("F3 KS", False)
    (row,), (question,) = task.published, task.questions
    assert row.ready(task, 0, tmp_path) == {"training": 3.0, "parameters": 7}
    assert scored(question, row.draw(task, question, 0), task.frame)["nrmse"] == pytest.approx(0.1, rel=1e-6)


class Counted(Row):
    name = "counted"

    def __init__(self):
        self.drawn = 0

    def ready(self, task, seed, out):
        return {"training": 0.0}

    def draw(self, task, question, seed):
        self.drawn += 1
        return Drawn(question.truth[None].expand(question.members, *question.truth.shape), 1, 0.5)


def test_what_was_answered_is_not_asked_again_and_the_tables_have_it(task, tmp_path):
    row = Counted()
    for _ in range(2):
        answers = [run.answered(row, task, seed, tmp_path) for seed in (0, 1)]
    assert row.drawn == 2 * len(task.questions)
    assert json.loads((tmp_path / "counted.1.json").read_text()) == answers[1]
    titles = [table.title for table in report.tables(task, answers)]
    assert len(titles) == sum(len(q.leads) or 1 for q in task.questions)
    more = replace(task, questions=(*task.questions, Question("more", task.questions[0].history,
                                                              task.questions[0].truth, (1,), 20)))
    run.answered(row, more, 0, tmp_path)
    assert row.drawn == 2 * len(task.questions) + 1
