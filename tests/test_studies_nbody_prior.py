"""The prior of discs in a box: its state, the square's symmetries, its windows, its parts, and what is shipped."""

import sys
from dataclasses import replace

import h5py
import pytest
import torch

from conformance import awake
from oracles import close, normal
from sciencegen import cli
from sciencegen.physics.nbody import NBody
from sciencegen.priors import Denoiser, Model, zoo
from sciencegen.priors.base import Draw
from sciencegen.studies.nbody import prior
from sciencegen.studies.nbody.prior import FlightWindows, network, parts, prior_layout, recipe, touches, turned, within
from sciencegen.train import train

D = torch.float64
TINY = network(channels=(8, 12), extra=8)


def flights(count=20, frames=30, bodies=2, seed=0):
    system = NBody()
    return system.solve(system.starts(bodies, count, seed, separate=True), frames)


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "flights.h5", "w") as data:
        data["trajectory"] = flights().numpy()
    return tmp_path / "flights.h5"


# --- state and symmetries -----------------------------------------------------------------------------------------

def test_a_state_has_about_unit_scale_whatever_its_length():
    for frames, bodies in ((24, 2), (5, 3)):
        layout = prior_layout(frames, bodies)
        x = layout.pack(trajectory=flights(400, frames, bodies)).unflatten(-1, (-1, 4))
        close(x.std((0, 1)), torch.ones(4, dtype=D), 0.1)
        close(x.mean((0, 1)), torch.zeros(4, dtype=D), 0.1)


def test_the_eight_positions_are_a_group_that_begins_with_none():
    row = normal(1, 16)
    every = turned(row.expand(8, -1), torch.arange(8))
    assert torch.equal(every[0], row[0])
    assert len({tuple(v.tolist()) for v in every}) == 8
    again = turned(every.repeat_interleave(8, 0), torch.arange(8).repeat(8))
    assert {tuple(v.tolist()) for v in again} == {tuple(v.tolist()) for v in every}


def test_a_turned_flight_is_a_flight():
    layout, made = prior_layout(12), flights(8, 12)
    rows = turned(layout.pack(trajectory=made), torch.arange(8))
    assert float(NBody().residual(layout.unpack(rows)["trajectory"]).norm(dim=-1).max()) < 1e-6


# --- windows ------------------------------------------------------------------------------------------------------

def test_discs_touch_where_they_meet_and_not_where_they_pass():
    start = torch.tensor([[[0.3, 0.5, 0.3, 0.0], [0.7, 0.5, -0.3, 0.0]], [[0.3, 0.3, 0.3, 0.0], [0.7, 0.7, -0.3, 0.0]]])
    made = NBody().solve(start.double(), 16)
    assert touches(made, 16).tolist() == [[True], [False]]
    when = int((made[0, :, 0, 2] < 0).nonzero()[0])  # the first frame after the impact
    assert touches(made, 2)[0].nonzero()[0] == when - 1


def test_windows_are_pieces_of_flights_and_contacts_are_listed_more_often():
    made, layout = flights(), prior_layout(24)
    once, twice = (FlightWindows(made, layout, touching, stride=2) for touching in (1, 3))
    meeting = touches(made, 24)[:, ::2]
    assert len(once) == 8 * meeting.numel()
    assert len(twice) == 8 * (meeting.numel() + 2 * int(meeting.sum()))
    known = layout.pack(trajectory=made.unfold(1, 24, 2).movedim(-1, 2).flatten(0, 1))
    close(torch.stack([once[8 * i] for i in range(meeting.numel())]), known)
    close(torch.stack(once.__getitems__([3, 17, 90])), torch.stack([once[i] for i in (3, 17, 90)]))


def test_flights_too_short_for_a_window_and_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="got flights of 20 frames; expected at least 24"):
        FlightWindows(flights(2, 20), prior_layout())
    with h5py.File(tmp_path / "other.h5", "w") as data:
        data["u"] = [1.0]
    with pytest.raises(ValueError, match="without trajectories"):
        prior.read(tmp_path / "other.h5")


def test_a_file_is_parted_into_flights_to_train_on_and_others(file):
    ours, others = prior.read(file), prior.read(file, held_out=True)
    assert (len(ours), len(others)) == (19, 1)
    close(torch.cat([ours, others]), flights().float(), 1e-7)


# --- parts --------------------------------------------------------------------------------------------------------

@torch.no_grad()
def test_a_part_costs_less_within_and_is_the_same():
    whole = prior.energy(TINY, prior_layout()).double()
    awake(whole.net)
    layout, sigma = prior_layout(), torch.tensor(0.3, dtype=D)
    x = normal(3, layout.size)
    assert len(parts(layout)) == len(prior.SHARES) - 1
    for view in parts(layout):
        frames, bodies = (view.event[0], view.event[1] if len(view.event) == 3 else 1)
        small = within(whole, frames, bodies).double()
        close(small.mean(view(x), sigma), whole.marginal(view).mean(view(x), sigma), 1e-9)


@torch.no_grad()
def test_the_prior_takes_any_number_of_bodies_in_any_order():
    whole = prior.energy(TINY, prior_layout()).double()
    awake(whole.net)
    many, layout, sigma = within(whole, 7, 4).double(), prior_layout(7, 4), torch.tensor(0.3, dtype=D)
    x, order = normal(3, layout.size).unflatten(-1, (7, 4, 4)), torch.tensor([2, 0, 3, 1])
    mean = many.mean(x.flatten(1), sigma).unflatten(-1, (7, 4, 4))
    close(many.mean(x[:, :, order].flatten(1), sigma).unflatten(-1, (7, 4, 4)), mean[:, :, order], 1e-9)


# --- training -----------------------------------------------------------------------------------------------------

def test_training_lowers_the_loss_and_leads_through_the_disk_and_back(file, tmp_path):
    data, how = recipe(file, steps=60)
    model = train(data, replace(how, net=TINY, batch=16, rate=1e-2), tmp_path)
    rows = torch.stack(FlightWindows(prior.read(file, held_out=True), model.layout).__getitems__(range(24)))
    with torch.no_grad():
        loss = model.energy.loss(rows, torch.tensor(0.1), normal(*rows.shape).float())
    assert float(loss.mean()) < 0.7  # one is what the Gaussian does
    model.save(tmp_path / "model", half=True)
    again, sigma = Model.load(tmp_path / "model"), torch.tensor(0.4)
    assert again.training["steps"] == 60
    with torch.no_grad():
        close(again.energy.mean(rows, sigma), model.energy.mean(rows, sigma), 2e-2)
    part = again.layout["trajectory"][:14]
    assert again.energy.marginal(part).gaussian().center.numel() == 112


@pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")
def test_the_command_line_trains_and_refuses(monkeypatch, capsys, file, tmp_path):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["sciencegen", "train", "nbody", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, "".join(capsys.readouterr())

    code, said = run("--data", str(tmp_path / "none.h5"), "--out", str(tmp_path / "none"))
    assert code == 2
    assert "none.h5" in said
    code, said = run("--data", str(file), "--steps", "1", "--out", str(tmp_path / "run"))
    assert not code, said
    assert Model.load(tmp_path / "run" / "model").training["steps"] == 1


def test_windows_in_which_bodies_touch_teach_nothing_of_a_body_alone():
    """All else costs what it costs any denoiser."""
    layout, count = prior_layout(), 16
    taught = prior.energy(TINY, layout).double()
    awake(taught.net)
    plain = Denoiser(taught.net, prior.unit(layout.size).double(), parts(layout))
    made = flights(200, 24)
    met = touches(made, 24)[:, 0]
    rows = layout.pack(trajectory=torch.cat([made[met][:8], made[~met][:8]]))
    for part in range(len(prior.SHARES)):
        draw = Draw(torch.full((count, 1), 0.3, dtype=D), normal(count, layout.size), torch.full((count,), part),
                    torch.zeros(count, 4, dtype=D))
        with torch.no_grad():
            ours, theirs = (kind.plan_loss(rows, draw).run() for kind in (taught, plain))
        alone = part > 0 and len({int(r) % 8 // 4 for r in parts(layout)[part - 1].rows}) == 1
        assert bool((theirs > 0).all())
        close(ours, torch.where(torch.arange(count) < 8, 0.0 if alone else 1.0, 1.0) * theirs, 1e-12)


# --- what is shipped ----------------------------------------------------------------------------------------------

def test_the_shipped_prior_is_of_the_layout_it_says():
    model = zoo("nbody")
    assert model.layout.config() == prior_layout().config()
    assert [list(v.rows) for v in parts(model.layout)] == [list(rows) for rows in model.energy.marginals]
    assert sum(p.numel() for p in model.energy.parameters()) < 2e6


@pytest.mark.parametrize("sigma", [0.01, 0.1])
@torch.no_grad()
def test_the_shipped_prior_smooths_flights_of_one_and_of_two_discs(sigma):
    """Noise falls to less than half on fresh flights; each body's part of the pair is at least as good as it alone."""
    model, level = zoo("nbody"), torch.tensor(sigma)
    clean = model.layout.pack(trajectory=flights(64, 24, seed=5)).float()
    noisy = clean + sigma * normal(*clean.shape).float()
    error = (model.energy.mean(noisy, level) - clean).unflatten(-1, (24, 2, 4))[:, :, 0]
    one = model.layout["trajectory"][:, 0]
    alone = model.energy.marginal(one).mean(one(noisy), level) - one(clean)
    assert float(error.square().mean().sqrt()) < 0.45 * sigma
    assert float(error.square().mean()) < 1.05 * float(alone.square().mean())
