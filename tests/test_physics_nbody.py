"""Discs in a box: the referee's trajectories, what bouncing keeps, symmetries, gradients through contacts."""

import math
from functools import cache

import numpy as np
import pytest
import torch

from oracles import close
from sciencegen.physics import NBody

BOX = NBody()


def engine(start, frames: int, every: int = 4) -> torch.Tensor:
    """The trajectory by pymunk, as the published generator drives it; box units."""
    pymunk = pytest.importorskip("pymunk", reason="pymunk is the referee of n-body trajectories")
    space, bodies, path = pymunk.Space(), [], []
    corners = [(0, 0), (0, 200), (200, 200), (200, 0), (0, 0)]
    walls = [pymunk.Segment(space.static_body, a, b, 1) for a, b in zip(corners, corners[1:])]
    for x, y, vx, vy in (200 * start).tolist():
        body = pymunk.Body(1, pymunk.moment_for_circle(1, 0, 20))
        body.position, body.velocity = (x, y), (vx, vy)
        bodies.append((body, pymunk.Circle(body, 20)))
    for shape in [*walls, *(circle for _, circle in bodies)]:
        shape.elasticity, shape.friction = 1.0, 0.0
    space.add(*walls, *(part for pair in bodies for part in pair))
    for i in range(every * (frames - 1) + 1):
        if i % every == 0:
            path.append([[*body.position, *body.velocity] for body, _ in bodies])
        space.step(1 / 60)
    return torch.tensor(path, dtype=torch.float64) / 200


def separate(bodies: int, count: int = 100, seed: int = 5) -> torch.Tensor:
    return BOX.starts(bodies, count, seed, separate=True)


@cache
def path(bodies: int, frames: int = 24) -> torch.Tensor:
    return BOX.solve(separate(bodies), frames)


def agreement(start: torch.Tensor, frames: int) -> torch.Tensor:
    """The largest difference from the engine, by start."""
    wanted = torch.stack([engine(s, frames) for s in start])
    return (BOX.solve(start, frames) - wanted).abs().amax((1, 2, 3))


@pytest.mark.parametrize("bodies, share", [(1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0), (8, 0.97)])
def test_agrees_with_the_engine_from_separate_starts(bodies, share):
    """Of 300 starts 300, 300, 300, 300 and 299 agree to 1e-3; what is left are piles, which the order decides."""
    error = agreement(separate(bodies, 60), 24)
    assert error.median() < 1e-8
    assert (error < 1e-3).double().mean() >= share


@pytest.mark.parametrize("bodies, share", [(2, 0.98), (4, 0.9), (8, 0.55)])
def test_agrees_with_the_engine_from_published_starts_but_for_piles(bodies, share):
    """They may overlap, so that bodies have several contacts at once: of 300, 300, 298 and 226 agree to 1e-3."""
    error = agreement(BOX.starts(bodies, 60, seed=5), 24)
    assert (error < 1e-3).double().mean() >= share


def test_agrees_with_the_engine_for_as_long_as_chaos_lets_it():
    assert agreement(separate(2, 40), 94).quantile(0.9) < 1e-4


def test_pushes_overlaps_apart_as_the_engine_does():
    deep = torch.tensor([[[0.5, 0.5, 0.0, 0.0], [0.56, 0.52, 0.0, 0.0]], [[0.08, 0.5, 0.0, 0.0], [0.5, 0.95, 0.0, 0.0]],
                         [[0.4, 0.4, 0.2, 0.1], [0.4, 0.55, -0.1, 0.3]], [[0.5, 0.5, 0.1, 0.2], [0.5, 0.5, 0.1, 0.2]]],
                        dtype=torch.float64)  # fmt: skip
    assert agreement(deep[:3], 24).max() < 1e-6
    assert agreement(deep[3:], 24).max() < 1e-6 or BOX.solve(deep[3:], 24).isfinite().all()  # which side is left to it


@pytest.mark.parametrize("bodies", [2, 4, 8])
def test_energy_is_kept_and_momentum_between_walls(bodies):
    u = path(bodies)
    energy, momentum = BOX.energy(u), BOX.momentum(u)
    assert (energy / energy[:, :1] - 1).abs().max() < 3e-3
    reach = u[:, :-1, :, 2:].norm(dim=-1).amax(-1) / 15 + 0.01  # of the fastest body in a frame, and a margin
    clear = BOX.outside(u).amax(-1)[:, :-1] < -reach
    hits = (u[:, 1:, :, 2:] - u[:, :-1, :, 2:]).abs().amax((-2, -1)) > 1e-6
    assert (clear & hits).sum() >= 10  # bodies did meet
    assert momentum.diff(dim=1).abs().amax(-1)[clear].max() < 1e-14
    assert momentum.diff(dim=1).abs().amax(-1).max() > 0.1


def test_a_wall_turns_one_component_round_and_flight_is_straight():
    u = BOX.solve(torch.tensor([[0.3, 0.5, -0.5, 0.11]], dtype=torch.float64), 12)[:, 0]
    step = torch.arange(12, dtype=torch.float64) * 4 / 60
    close(u[:, 1], 0.5 + 0.11 * step, 1e-12)
    close(u[:5, 0], 0.3 - 0.5 * step[:5], 1e-12)
    assert u[-1, 2:].tolist() == pytest.approx([0.5, 0.11], abs=1e-15)
    assert u[:, 0].min() > 0.105 - 0.5 / 60  # no deeper than a step


def test_a_central_hit_swaps_velocities():
    start = torch.tensor([[0.3, 0.5, 0.4, 0.0], [0.7, 0.5, -0.3, 0.0]], dtype=torch.float64)
    end = BOX.solve(start, 8)[-1]
    close(end[:, 2:], start.flip(0)[:, 2:], 1e-14)
    close(end[:, 1], start[:, 1], 1e-15)


def test_any_time_may_be_the_first():
    u = path(4)
    apart = (BOX.overlap(u[:, 10]) < -1e-3).all(-1) & (BOX.outside(u[:, 10]) < -1e-3).all(-1)
    assert apart.sum() > 50
    again = BOX.solve(u[apart, 10], 14)
    calm = (again - u[apart, 10:]).abs().amax((1, 2, 3))
    assert (calm < 1e-9).double().mean() > 0.97  # impulses of a contact that has just ended are remembered


@pytest.mark.parametrize("bodies", [2, 4, 8])
def test_bodies_have_no_names_and_the_box_its_symmetries(bodies):
    start, u = separate(bodies), path(bodies)
    order = torch.randperm(bodies, generator=torch.Generator().manual_seed(1))
    mirrored = lambda s: torch.stack([1 - s[..., 0], s[..., 1], -s[..., 2], s[..., 3]], -1)
    turned = lambda s: torch.stack([1 - s[..., 1], s[..., 0], -s[..., 3], s[..., 2]], -1)
    exchanged = (BOX.solve(start[:, order], 24) - u[:, :, order]).abs().amax((1, 2, 3))
    assert exchanged.median() < 1e-12
    assert (exchanged < 1e-9).double().mean() >= (1.0 if bodies == 2 else 0.9)  # piles: the order of the sweeps
    for turn in (mirrored, turned):
        assert (BOX.solve(turn(start), 24) - turn(u)).abs().amax((1, 2, 3)).quantile(0.95) < 1e-10


def test_time_cannot_be_turned_round():
    """A bounce is found part of a step late, forwards and backwards: to be known when data are augmented."""
    end = path(2)[:, -1] * torch.tensor([1.0, 1.0, -1.0, -1.0])
    back = BOX.solve(end, 24)[:, -1] * torch.tensor([1.0, 1.0, -1.0, -1.0])
    error = (back - separate(2)).abs().amax((1, 2))
    assert error.min() < 1e-12  # nothing was hit
    assert error.median() > 1e-4


@pytest.mark.parametrize("bodies", [1, 2, 3, 8])
def test_residual(bodies):
    u = BOX.solve(separate(bodies, 20).reshape(4, 5, bodies, 4), 24)
    assert u.shape == (4, 5, 24, bodies, 4)
    assert BOX.residual(u).shape == (4, 5, 23 * bodies * 4)
    assert BOX.residual(u).norm(dim=-1).max() < 1e-14
    shuffled = u[..., torch.randperm(24, generator=torch.Generator().manual_seed(0)), :, :]
    assert 0.5 < BOX.residual(shuffled).norm(dim=-1).mean() < 2
    single = BOX.solve(separate(bodies, 20).float(), 24)
    assert single.dtype == torch.float32
    assert BOX.residual(single).norm(dim=-1).max() < 1e-6
    off = u.clone()
    off[..., 10, 0, 0] += 1e-3
    wanted = 1e-3 / BOX.size / math.sqrt(23 * bodies * 4)
    assert BOX.residual(off).norm(dim=-1).min() > 0.99 * wanted
    assert BOX.residual(off).norm(dim=-1).median() == pytest.approx(math.sqrt(2) * wanted, rel=0.01)


def test_residual_knows_the_push_of_frames_that_overlap():
    u = BOX.solve(BOX.starts(2, 100, seed=5), 24)
    assert (BOX.overlap(u[:, 0]) > 0.01).any()
    assert (BOX.residual(u).norm(dim=-1) < 1e-13).double().mean() >= 0.97


def test_rows_are_independent():
    start = BOX.starts(4, 30, seed=2)
    alone = torch.stack([BOX.solve(s, 20) for s in start[:5]])
    close(alone, BOX.solve(start, 20)[:5], 1e-12)


def test_gradients_without_contacts_are_those_of_differences():
    start = torch.tensor([[0.3, 0.45, 0.4, 0.0], [0.7, 0.5, -0.3, 0.1]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: BOX.solve(s, 4), start)
    guess = (BOX.solve(start, 4) + 0.01 * torch.rand(4, 2, 4, generator=torch.Generator().manual_seed(3))).detach()
    assert torch.autograd.gradcheck(BOX.residual, guess.requires_grad_())
    same = torch.full((3, 4), 0.5, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad((BOX.solve(same, 3).sum() + BOX.overlap(same).sum()), same)
    assert slope.isfinite().all()


def jacobian(state, frames):
    """Of the last frame's x coordinates in those of the start, ``(n, n)``."""
    def last(x):
        return BOX.solve(torch.cat([x[:, None], state[:, 1:]], -1)[None], frames)[0, -1, :, 0]

    return torch.autograd.functional.jacobian(last, state[:, 0])


def test_who_starts_nearer_to_a_wall_ends_farther_from_it():
    close(jacobian(torch.tensor([[0.7, 0.5, 0.4, 0.0]]).double(), 14), -torch.ones(1, 1).double(), 1e-9)


def test_discs_that_meet_head_on_swap_places_and_the_changes_of_them():
    state = torch.tensor([[0.3, 0.5, 0.4, 0.0], [0.7, 0.5, -0.2, 0.0]]).double()
    close(jacobian(state, 14), torch.eye(2).double().flip(0), 1e-9)


OBLIQUE = {
    "a wall": [[0.6, 0.5, 0.4, 0.15]],
    "a corner": [[0.7, 0.6, 0.3, 0.45]],
    "two discs": [[0.3, 0.47, 0.4, 0.0], [0.65, 0.52, -0.3, 0.05]],
}


@pytest.mark.parametrize("state", OBLIQUE.values(), ids=OBLIQUE)
def test_gradients_through_contacts_are_slopes_over_many_steps_of_the_engine(state):
    """Along lines on which contacts are noticed some dozen steps earlier or later; the slope of a straight fit."""
    way = torch.from_numpy(np.random.default_rng(0).standard_normal((8, len(state), 4)))
    s = torch.linspace(-0.025, 0.025, 200, dtype=torch.float64)
    x = (torch.tensor(state).double() + s[:, None, None, None] * way).requires_grad_()
    ends = BOX.solve(x, 15)[..., -1, :, :].flatten(2)
    every = [torch.autograd.grad(end.sum(), x, retain_graph=True)[0] for end in ends.unbind(-1)]
    told = torch.stack([(slope * way).sum((-2, -1)).mean(0) for slope in every])
    seen = torch.einsum("s,slk->kl", s, ends) / s.square().sum()
    error = (told - seen).norm(dim=0) / seen.norm(dim=0)
    assert error.median() < 0.1  # on a line or two another contact begins


def test_gradients_change_no_bit():
    start = BOX.starts(4, 20, separate=True)
    assert torch.equal(BOX.solve(start.clone().requires_grad_(), 30), BOX.solve(start, 30))


def test_gradients_of_whole_flights_have_the_sign_of_wide_differences():
    """Of 60 directions; derivatives between the engine's jumps have the sign in little more than half of them."""
    start = BOX.starts(2, 60, seed=5, separate=True)
    way = torch.from_numpy(np.random.default_rng(1).standard_normal(start.shape))
    way = 0.02 * way / way.flatten(1).norm(dim=-1)[:, None, None]
    end = lambda s: (BOX.solve(s, 24)[:, -1, :, :2] - 0.5).norm(dim=-1).mean(-1)
    (slope,) = torch.autograd.grad(end(x := start.clone().requires_grad_()).sum(), x)
    wide = end(start + way) - end(start - way)
    assert ((slope * way).sum((1, 2)) * wide > 0).double().mean() > 0.75


def test_depths():
    state = torch.tensor([[0.5, 0.5, 0, 0], [0.5, 0.62, 0, 0], [0.1, 0.93, 0, 0]], dtype=torch.float64)
    close(BOX.overlap(state)[:2], torch.tensor([0.08, 0.2 - math.hypot(0.4, 0.43)], dtype=torch.float64))
    close(BOX.outside(state), torch.tensor([-0.395, -0.395, -0.395, -0.275, 0.005, 0.035], dtype=torch.float64))
    assert BOX.overlap(state[:1]).shape == (0,)


def test_starts_are_those_of_the_law():
    published, apart = BOX.starts(2, 2000, seed=3), BOX.starts(3, 500, seed=3, separate=True)
    close(published[7:9], BOX.starts(2, 2, seed=3, first=7), 0)
    assert not torch.equal(published[:9], BOX.starts(2, 9, seed=4))
    pixels = 200 * published[..., :2]
    close(pixels, pixels.round(), 1e-12)
    assert (float(pixels.min()), float(pixels.max())) == (20, 180)
    speed = published[..., 2:].square().sum(-1).mean()
    assert abs(float(speed) - 1 / 6) < 5 * math.sqrt(8 / 720 / 4000)  # the variance of v^2 for v uniform in +-1/2
    assert abs(float((BOX.overlap(published) > 0).double().mean()) - 0.15) < 0.04
    assert BOX.overlap(apart).max() <= 0
    assert BOX.outside(apart).max() <= 0
    assert len(BOX.starts(2, 0)) == 0


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"got 'start' of shape \(2, 3\); expected \(..., bodies, 4\)"):
        BOX.solve(torch.zeros(2, 3), 5)
    with pytest.raises(ValueError, match=r"'trajectory' of shape \(2, 4\); expected \(..., frames, bodies, 4\)"):
        BOX.residual(torch.zeros(2, 4))
    with pytest.raises(ValueError, match="got 20 discs of radius 0.1.*ask for fewer"):
        BOX.starts(20, 1, separate=True)
