"""Flights for networks: the engine's own frames before and ahead, of who is there, and straight lines between them."""

import pytest
import torch

from oracles import close, normal
from sciencegen.nets.flights import FRAMES, flown
from sciencegen.physics import NBody
from sciencegen.studies.nbody.prior import network, prior_layout

BOX = NBody(bias=0.0)  # overlaps are not taken out
KNOWN = network().arguments
UNITS = {name: KNOWN[name] for name in ("step", "reach", "contact")}


def flights(bodies: int, count: int = 40, frames: int = 12) -> torch.Tensor:
    """Of the engine, in the units of a network, ``(N, bodies, T, 4)``, all float64."""
    engine = BOX.solve(BOX.starts(bodies, count, seed=bodies, separate=True), frames)
    layout = prior_layout(frames, bodies)
    place, speed = layout.variables["trajectory"].scale.double()[[0, 2]]
    centred = engine - torch.tensor([0.5, 0.5, 0.0, 0.0]).double()
    return (centred / torch.stack([place, place, speed, speed])).transpose(1, 2)


def there(y: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(y[..., :1])


@pytest.mark.parametrize("bodies", [1, 2])
def test_frames_around_say_what_the_engine_says(bodies):
    """All of one body; of two nearly all: where a body meets the wall and the other one at a time the engine's sweeps
    and its memory of impulses answer otherwise."""
    y = flights(bodies)
    said = flown(y, there(y), **UNITS)
    assert said.shape == (40, bodies, 12, 2 * FRAMES + 1, 4)
    right = 0
    for k in range(1, FRAMES + 1):
        ahead, behind = said[:, :, k:, FRAMES - k], said[:, :, :-k, FRAMES + k]
        for one, true in ((ahead, y[:, :, k:]), (behind, y[:, :, :-k])):
            right += ((one - true).abs().amax(-1) < 1e-6).double().mean() / (2 * FRAMES)
    assert right > (0.999 if bodies == 1 else 0.97)
    close(said[:, :, :, FRAMES], y)


def test_who_is_not_there_meets_nobody_and_says_nothing():
    y = flights(2)
    one = there(y) * torch.tensor([1.0, 0.0]).double()[:, None, None]
    said, alone = flown(y, one, **UNITS), flown(y[:, :1], there(y[:, :1]), **UNITS)
    close(said[:, :1], alone, 1e-12)
    others = torch.arange(2 * FRAMES + 1) != FRAMES
    assert bool((said[:, 1:, :, others] == 0).all())
    assert not torch.allclose(flown(y, there(y), **UNITS)[:, :1], alone)


def test_what_is_before_the_first_frame_or_after_the_last_says_nothing():
    y = flights(2)
    said = flown(y, there(y), **UNITS)
    for t in range(12):
        from_frame = t - FRAMES + torch.arange(2 * FRAMES + 1)
        outside = (from_frame < 0) | (from_frame > 11)
        assert bool((said[:, :, t, outside] == 0).all())


def test_discs_that_meet_keep_energy_and_momentum():
    y = torch.zeros(200, 2, 1, 4).double()
    y[:, 0, 0, 0], y[:, 1, 0, 0] = -0.45, 0.45
    y[:, :, 0, 2:] = normal(200, 2, 2)
    said = flown(y.expand(200, 2, 2, 4), there(y).expand(200, 2, 2, 1), **UNITS, frames=1)[:, :, 1, 0, 2:]
    before = y[:, :, 0, 2:]
    met = (said - before).abs().amax((1, 2)) > 1e-9
    assert 20 < int(met.sum()) < 180
    close(said.sum(1), before.sum(1), 1e-12)
    close(said.square().sum((1, 2)), before.square().sum((1, 2)), 1e-12)
