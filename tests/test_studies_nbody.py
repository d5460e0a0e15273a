"""Designs of flights: compositions are exact where their assumptions hold, and what is handed over is the solver's."""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.nbody.backwards import Backwards
from benchmarks.nbody.floors import Packing, Question
from benchmarks.nbody.ours import Turned, countings
from oracles import chain, close, normal
from sciencegen import cli
from sciencegen.compose import bethe
from sciencegen.energy import On
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout, Variable
from sciencegen.physics.nbody import NBody
from sciencegen.physics.reversal import backwards, headed, parted
from sciencegen.priors import Model
from sciencegen.result import Result
from sciencegen.studies.nbody import compose as composing
from sciencegen.studies.nbody.compose import few_steps
from sciencegen.studies.nbody.prior import energy, network, prior_layout
from sciencegen.studies.nbody.study import SPEED, NBodyStudy, to_centre

MEAN = torch.tensor([0.1, -0.2, 0.3, 0.0], dtype=torch.float64)


def independent(frames: int, bodies: int) -> Gaussian:
    """Bodies that know nothing of each other, each a Markov chain of four coupled features."""
    feature = torch.diag(torch.tensor([1.0, 0.8, 0.6, 0.9], dtype=torch.float64)) + 0.1
    each = torch.kron(chain(frames, 0.8), feature).reshape(frames, 4, frames, 4)
    cov = torch.einsum("ajbk,mn->amjbnk", each, torch.eye(bodies).double())
    size = frames * bodies * 4
    return Gaussian(MEAN.repeat(frames * bodies), cov.reshape(size, size))


PAIR = independent(24, 2)
LAYOUT = prior_layout()


# --- composition --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("frames, bodies", [(24, 2), (24, 4), (44, 2), (34, 3)])
def test_windows_minus_overlaps_and_bethe_are_the_joint(frames, bodies):
    layout, prior = composing.compose(LAYOUT, PAIR, frames, bodies)
    joint, x, zero = independent(frames, bodies), normal(3, layout.size), torch.tensor(0.0).double()
    close(prior.score(x, zero), joint.score(x, zero), 1e-8)
    close(prior(x, zero), joint(x, zero), 1e-8)


def test_counts_are_one_for_each_coordinate_in_all_that_count_right():
    """Of a unit Gaussian every part is one, so that its score says how often each coordinate is counted."""
    unit = Gaussian(torch.zeros(LAYOUT.size).double(), torch.ones(LAYOUT.size).double())
    known = composing.Known.of(LAYOUT, unit)
    many = composing.enlarge(LAYOUT, 44, 4)
    x = normal(2, many.size)
    for counted, times in ((bethe(known.pairs, known.singles, many["trajectory"]), 1),
                           (known.pairs(many["trajectory"]), 3)):
        close(counted.score(x, 0.5), -times * x / 1.25)


def test_a_long_state_has_the_units_of_the_short_one():
    many = composing.enlarge(LAYOUT, 44, 3)
    u = torch.rand(2, 44, 3, 4, dtype=torch.float64)
    x, short = many.pack(trajectory=u), LAYOUT.pack(trajectory=u[:, 10:34, 1:])
    close(x.unflatten(-1, (44, 3, 4))[:, 10:34, 1:].flatten(1), short)


@pytest.mark.parametrize("frames, bodies", [(20, 2), (30, 2), (24, 1)])
def test_lengths_that_windows_do_not_fill_are_refused(frames, bodies):
    with pytest.raises(ValueError, match="expected two or more, over 24, 34, 44"):
        composing.enlarge(LAYOUT, frames, bodies)


@pytest.mark.parametrize("other", [
    Layout(trajectory=(24, 3, 4)), Layout(u=(24, 2, 4)), Layout(trajectory=(24, 2, 4), more=(1,)),
    Layout(trajectory=(8, 2, 4)),
    Layout(trajectory=Variable((24, 2, 4), loc=torch.arange(24.0)[:, None, None]))])
def test_a_prior_of_something_else_is_refused(other):
    with pytest.raises(ValueError, match="expected one of trajectory|got units that differ along axis 0"):
        NBodyStudy(other, Gaussian(torch.zeros(other.size), torch.ones(other.size)))


def test_averages_of_equal_scores_are_that_score_and_sums_count():
    """What each counting makes of a unit Gaussian: how often a coordinate is counted, in the middle and at the ends."""
    unit = Gaussian(torch.zeros(LAYOUT.size), torch.ones(LAYOUT.size))
    known, many = composing.Known.of(LAYOUT, unit), composing.enlarge(LAYOUT, 44, 4)
    x = normal(2, many.size).float()
    for name, counting in countings(4, 44).items():
        times = 3 if "summed" in name else 1
        close(counting(known, many["trajectory"], 24).score(x, 0.5), -times * x / 1.25, 1e-5)


def test_countings_of_one_pair_and_one_window_are_listed_once():
    assert len(countings(4, 44)) == 6
    assert len(countings(4, 24)) == 3
    assert list(countings(2, 24)) == ["one pair"]


def test_what_is_played_backwards_ends_where_it_began():
    """A reversible world: packed discs that fly apart and turn around come back, but for what the engine forgets."""
    question = Question(2, 24, count=20)
    answer = Backwards()(question)
    assert answer.rollouts == 1
    ends = to_centre(question.system.solve(answer.start, 24))
    assert float(ends.median()) < 0.11
    close(answer.start[..., 2:].square().sum(-1).mean(-1).sqrt(), torch.full((20,), SPEED).double(), 0.01)


def test_turned_packings_keep_to_the_rules():
    made = Turned("", study(2, 24), rollouts=32)(Question(2, 24, count=2))
    assert made.trajectory.shape == (2, 24, 2, 4)
    assert made.rollouts == 37 * 3 / 2
    assert to_centre(made.trajectory).max() < 0.15
    assert study(2, 24).feasible(made.trajectory[:, 0]).all()


# --- the study ----------------------------------------------------------------------------------------------------

@cache
def study(bodies: int = 2, frames: int = 24, **more) -> NBodyStudy:
    """With the Gaussian of true flights for a prior, and few steps."""
    flights = NBody().solve(NBody().starts(2, 400, separate=True), 24)
    prior = Gaussian.fit(LAYOUT.pack(trajectory=flights), floor=1e-4).float()
    return NBodyStudy(LAYOUT, prior, bodies, frames, sampler=few_steps(6, 1), **more)


@cache
def designed(rollouts: int) -> Result:
    return study(3, 34, rollouts=rollouts).run(3, torch.arange(3), progress=False)


def test_headings_have_the_speed_asked_for():
    state = headed(torch.rand(5, 3, 2), torch.randn(5, 3), SPEED)
    torch.testing.assert_close(state[..., 2:].norm(dim=-1), torch.full((5, 3), SPEED))


def test_discs_are_parted_where_they_are_and_left_alone_where_they_do_not_touch():
    box = NBody()
    place = torch.cat([box.starts(4, 50, seed=1), box.starts(4, 5, seed=1)[:, :1].repeat(1, 4, 1)])[..., :2]
    moved = parted(place, box)
    state = torch.cat([moved, moved], -1)
    assert box.overlap(state).max() <= 0
    assert box.outside(state).max() <= 0
    free = box.starts(3, 400, seed=2, separate=True)
    free = free[((box.overlap(free) < -0.01).all(-1)) & (box.outside(free) < -0.01).all(-1)]
    assert len(free) > 100
    close(parted(free[..., :2], box), free[..., :2], 3e-6)


def test_flights_of_ends_that_are_played_backwards_end_there():
    box, end = NBody(), Packing(1.05)(Question(4, 24, count=8)).start[..., :2]
    start = backwards(end, normal(8, 6, 4), 24, SPEED, box)
    assert start.shape == (8, 6, 4, 4)
    miss = (box.solve(start, 24)[..., -1, :, :2] - end[:, None]).norm(dim=-1).amax(-1)
    assert miss.median() < 0.02
    close(box.energy(start), torch.full((8, 6), 4 * SPEED**2 / 2).double(), 0.01)
    uneven = start[..., 2:].norm(dim=-1).var(-1)
    allowed = (box.overlap(start) <= 0).all(-1) & (box.outside(start) <= 0).all(-1)
    assert allowed[:, 0].all()
    ordered = (uneven[:, 1:] >= uneven[:, :-1]) | ~allowed[:, 1:]
    assert ordered.all()


def test_turning_round_takes_the_best_that_the_solver_judged():
    asked = study(4, 24)
    flights = asked.solve(NBody().starts(4, 6, seed=4, separate=True))
    own, turned = (asked.turn(flights, torch.arange(6), 8, judged) for judged in (1, 4))
    torch.testing.assert_close(own[..., 2:].norm(dim=-1), torch.full((6, 4), SPEED).double())
    before, after = (to_centre(asked.solve(s)) for s in (own, turned))
    assert (after <= before).all()
    assert after.mean() < before.mean() - 0.05
    assert asked.faults(turned).max() <= 0
    assert torch.equal(asked.turn(flights[2:3], torch.tensor([2]), 8, 4)[0], turned[2])


def test_refining_never_makes_worse_keeps_the_speed_and_frees_what_is_stuck():
    asked, start = study(3, 24), NBody().starts(3, 8, seed=3, separate=True)
    start = headed(start[..., :2], torch.atan2(start[..., 3], start[..., 2]), SPEED)
    start[0, 0, :2] = start[0, 1, :2] + 0.05
    refined = asked.refine(start, 25)
    before, after = (to_centre(asked.solve(s)) for s in (start, refined))
    torch.testing.assert_close(refined[..., 2:].norm(dim=-1), torch.full((8, 3), SPEED).double())
    assert (after[1:] <= before[1:]).all()
    assert after.mean() < before.mean() - 0.03
    assert asked.feasible(refined)[1:].all()
    assert asked.faults(refined)[0].max() < 0.5 * asked.faults(start)[0].max()


def test_settling_is_down_both_engines_and_leaves_no_disc_in_another_at_the_end():
    """Two discs can only be nearer to the centre than a radius if the engine lets them sink into one another."""
    asked, start = study(2, 24), NBody().starts(2, 3, seed=3, separate=True)
    start = headed(start[..., :2], torch.atan2(start[..., 3], start[..., 2]), SPEED)
    start = asked.turn(asked.solve(start), torch.arange(3), 8, 4)
    settled = asked.settle(start, 12)
    ends = [[system.solve(s, 24)[:, -1] for s in (start, settled)] for system in (asked.system, asked.referee)]
    cost = [sum(to_centre(of[k][:, None]) + 4 * (asked.system.overlap(of[k]) + 1e-3).clamp_min(0).sum(-1)
                for of in ends) for k in (0, 1)]
    assert (cost[1] <= cost[0] + 1e-12).all()
    assert cost[1].mean() < cost[0].mean()
    for _, after in ends:
        assert asked.system.overlap(after).max() < 0.01 * asked.system.radius
        assert (to_centre(after[:, None]) > 0.099).all()


def test_the_referee_has_a_finer_step_and_the_same_frames():
    """Between contacts both engines fly straight: the same frames, to rounding."""
    asked = study(2, 24)
    start = torch.tensor([[[0.3, 0.3, 0.2, 0.1], [0.7, 0.7, -0.1, 0.05]]]).double()
    close(asked.system.solve(start, 5), asked.referee.solve(start, 5), 1e-12)
    assert asked.referee.step == asked.system.step / 4


def test_a_refined_design_is_the_solver_s_and_its_objective_too():
    result = designed(5)
    flights = torch.tensor(result.samples["trajectory"].values)
    assert flights.shape == (3, 34, 3, 4)
    assert NBody().residual(flights).abs().max() < 1e-9
    np.testing.assert_allclose(result.fun, to_centre(flights), atol=1e-9)
    assert result.config["spent"]["rollouts"] == (5 + 5) * 4


def test_without_refinement_the_start_is_the_network_s_and_the_flight_the_solver_s():
    result = designed(0)
    imagined = torch.tensor(result.samples["imagined"].values).double()
    np.testing.assert_array_equal(result.samples["start"], imagined[:, 0])
    assert NBody().residual(imagined).norm(dim=-1).min() > 1e-6
    np.testing.assert_array_equal(result.samples["trajectory"], study(3, 34).solve(imagined[:, 0]))
    np.testing.assert_allclose(result.fun, to_centre(study(3, 34).solve(imagined[:, 0])), atol=1e-9)


def test_a_sample_that_diverged_is_said_and_not_counted():
    def lost(layout: Layout, energy: Gaussian, frames: int, bodies: int) -> tuple[Layout, Gaussian]:
        return composing.enlarge(layout, frames, bodies), Gaussian(
            torch.full((frames * bodies * 4,), 1e4), torch.full((frames * bodies * 4,), 1e-4))

    asked = study(2, 24, composed=lost, rollouts=0)
    result = asked.sample(2, torch.arange(2), progress=False)
    assert not result.success.any()
    assert (result.samples["reason"] == "the sample diverged").all()
    with pytest.raises(ValueError, match="got 3 designs and none that can be solved .3: the sample diverged"):
        asked.run(2, torch.arange(2), progress=False)


@pytest.mark.parametrize("bodies, words", [(40, "got 40 bodies of radius 0.1; expected at most 26")])
def test_bodies_that_find_no_room_are_refused(bodies, words):
    with pytest.raises(ValueError, match=words):
        study(bodies)


def test_the_best_come_first_and_feasible_ones_before_others():
    for rollouts in (0, 5):
        result = designed(rollouts)
        order = np.lexsort([result.fun, ~result.success])
        np.testing.assert_array_equal(order, np.arange(3))


def test_a_start_is_feasible_only_apart_inside_and_at_speed():
    asked = study()
    good = headed(torch.tensor([[0.3, 0.5], [0.7, 0.5]]).double(), torch.tensor([0.3, 1.0]).double(), SPEED)
    close_by, outside, slow = good.clone(), good.clone(), good.clone()
    close_by[1, 0], outside[0, 0], slow[0, 2:] = 0.45, 0.09, 0.9 * slow[0, 2:]
    assert asked.feasible(torch.stack([good, close_by, outside, slow])).tolist() == [True, False, False, False]


def test_a_law_is_one_more_term_of_the_question():
    free, bound = (study(law=law).sample(2, torch.arange(2), progress=False) for law in (None, 0.1))
    assert set(bound.history) - set(free.history) == {"laws"}
    assert (bound.history["laws"].values > 0).all()
    assert not np.array_equal(bound.samples["trajectory"], free.samples["trajectory"])


def test_a_trained_prior_s_parts_are_its_marginals():
    """`Known.of` takes the cheaper network of a part, which gives the marginal's numbers."""
    trained = energy(network(), LAYOUT)
    known, flight = composing.Known.of(LAYOUT, trained.eval().requires_grad_(False)), LAYOUT["trajectory"]
    for view, cheap in ((flight[:14], known.pair_overlap), (flight[:, 0], known.single),
                        (flight[:14, 0], known.single_overlap)):
        x = normal(2, view.rows.numel()).float()
        close(cheap.score(x, 0.3), trained.marginal(view).score(x, 0.3), 1e-4)
    assert isinstance(known.pairs(flight), On)


# --- the command line ---------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """An untrained prior on disk."""
    recipe = network()
    path = tmp_path_factory.mktemp("model") / "nbody"
    Model(LAYOUT, energy(recipe, LAYOUT), recipe).save(path)
    return path


def called(monkeypatch, capsys, *words) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["sciencegen", "design", "nbody", *map(str, words)])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    return exit.value.code or 0, *capsys.readouterr()


@pytest.mark.parametrize("words, text", [
    (("--frames", "30"), "got 4 bodies over 30 frames"), (("--count", "0"), "got --count 0"),
    (("--law", "-1"), "got --law -1"), (("--bodies", "1"), "got 1 bodies"),
    (("--model", "no/where"), "no config.json")])
def test_bad_words_are_refused(monkeypatch, capsys, tmp_path, model, words, text):
    given = () if "--model" in words else ("--model", model)
    code, out, err = called(monkeypatch, capsys, *words, *given, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert text in err
    assert not (tmp_path / "out").exists()


def test_a_design_from_the_command_line_is_whole(monkeypatch, capsys, tmp_path, model):
    code, out, err = called(monkeypatch, capsys, "--bodies", 2, "--frames", 24, "--count", 1, "--rollouts", 1,
                            "--model", model, "--out", tmp_path / "out")
    assert code == 0, err
    assert "designs feasible" in out
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"result.nc", "designs.png", "config.json", "report.html"}
    result = Result.load(tmp_path / "out" / "result.nc")
    assert result.samples["trajectory"].dims == ("sample", "time", "body", "feature")
    assert result.config["bodies"] == 2
