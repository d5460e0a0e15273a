"""The rules that the rows of the hot-spot benchmark keep to."""

import numpy as np
import pytest
import torch

from benchmarks.hot_spots import run
from benchmarks.hot_spots.data import PARTS, Cases, windows
from benchmarks.hot_spots.rivals import FourierStep, UNetStep
from benchmarks.hot_spots.rows import Persistence, Told, features
from oracles import close, normal
from sciencegen.physics import HotSpots

SOME = Cases(2, 0)


@pytest.fixture(scope="module")
def runs():
    return SOME.all()


def test_runs_are_the_solvers_and_do_not_depend_on_the_count(runs):
    system = HotSpots(64)  # a frame of the physics is two here
    given = {k: v.float() for k, v in system.draw(1, 0, 1).items()}
    again = system.solve(**given)
    close(runs["temperature"][1:, 2::2], again["temperature"], 1e-5)
    close(SOME.runs(1, 1)["burnt"], runs["burnt"][1:], 0)


def test_windows_are_pieces_of_the_runs_without_their_order(runs):
    made = windows(SOME)
    assert made.sizes == {"sample": 10, "time": 3, "y": 64, "x": 64}
    pieces = runs["temperature"].unfold(1, 3, 1).permute(0, 1, 4, 2, 3).numpy()
    for row in range(10):
        assert any(np.array_equal(made["temperature"][row], piece) for piece in pieces[row // 5])


def test_the_truth_is_scored_as_right_and_persistence_by_hand(runs):
    judge, pick = SOME.system.judged, torch.arange(2)
    right = Told({k: runs[k][:, 1:] for k in PARTS[:2]}, None, 0.0)
    best = run.summed(run.scored(right, runs, judge), pick)
    assert best["burnt R2"] == 1
    assert best["ignition %"] == 100
    assert max(best[k] for k in run.NUMBERS if k not in ("burnt R2", "ignition %")) == 0
    off = run.summed(run.scored(Persistence().tell(runs), runs, judge), pick)
    half = runs["temperature"][:, 20].double()
    wanted = (half - runs["temperature"][:, 0]).square().mean().sqrt() / half.std(correction=0)
    assert off["T error"] == pytest.approx(float(wanted), rel=1e-5)
    shares = run.scored(Told({}, torch.zeros(2), 0.0), runs, judge)
    assert set(run.summed(shares, pick)) == {"burnt R2", "ignition %", "burnt error"}


def test_features_of_one_void_are_its_load_porosity_and_radius():
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    solid = ((y % 64 - 32) ** 2 + (x - 20) ** 2 >= 36).float()[None]
    row = features({"microstructure": solid, "load": torch.tensor([0.7])})[0]
    assert row[:3] == pytest.approx([1, 0.7, float(1 - solid.mean())])
    assert row[3] == pytest.approx(6, rel=0.03)


@pytest.mark.parametrize("step", [FourierStep, UNetStep])
def test_rivals_are_persistence_untrained_and_know_of_no_place(step):
    net, now, still, told = step(2, 1, 1), *(normal(2, n, 32, 32).float() for n in (2, 1)), torch.ones(2, 1)
    close(net(now, still, told), now)
    for parameter in net.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
    moved = net(now.roll(8, -1), still.roll(8, -1), told)
    close(moved, net(now, still, told).roll(8, -1), 1e-4)
