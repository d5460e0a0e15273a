"""Flow past bodies: conservation, symmetry, order, exact gradients; and the forces that a window tells."""

import math
from dataclasses import replace
from itertools import islice

import pytest
import torch
from torch import Tensor

from oracles import close, order
from sciencegen.physics import Circle, Flow, Outline, ellipse, placed, pool, window_forces

BOX = Flow(cells=10, size=(3.2, 2.4), reynolds=100.0, frame=0.2, frames=2)
PERIODIC = replace(BOX, fringe=0.0)


def start(flow: Flow) -> Tensor:
    return flow.start(torch.float64)


def foil(alpha: float | Tensor = 20.0, x: float = 0.0, y: float = 0.0, height: float | Tensor = 0.3) -> Outline:
    return Outline(placed(ellipse(torch.tensor(0.8).double(), torch.as_tensor(height).double(), 40), alpha, (x, y)))


def outflow(state: Tensor) -> Tensor:
    """What leaves each cell."""
    u, v = state[..., 0, :, :], state[..., 1, :, :]
    return u.roll(-1, -2) - u + v.roll(-1, -1) - v


def mirrored(state: Tensor) -> Tensor:
    """Upside down: lower faces become upper ones, which belong to the cells above."""
    u, v, p = state.flip(-1).unbind(-3)
    return torch.stack([u, -v.roll(1, -1), p], -3)


def test_no_cell_gains_or_loses_fluid():
    frames, _ = BOX.solve(foil(), start=start(BOX))
    assert outflow(frames).abs().max() < 1e-13
    assert (frames[:, 0] - 1).abs().max() > 0.3


def test_a_stream_without_bodies_stays_as_it_is():
    frames, forces = BOX.solve(start=start(BOX))
    close(frames, start(BOX).expand(2, 3, 32, 24), 1e-13)
    assert forces.shape == (2, 0, 2)


def vortices(flow: Flow, time: float) -> Tensor:
    """Taylor and Green's vortices, carried along by the stream while they decay."""
    k, fade = 2 * math.pi, math.exp(-8 * math.pi**2 * time / flow.reynolds)
    like = torch.zeros((), dtype=torch.float64)
    at = lambda x, y: (k * (flow.points(like, x, y) - torch.tensor([time, 0.0]).double())).unbind(-1)
    (ux, uy), (vx, vy), (px, py) = at(0.0, 0.5), at(0.5, 0.0), at(0.5, 0.5)
    u, v = 1 + fade * ux.cos() * uy.sin(), -fade * vx.sin() * vy.cos()
    return torch.stack([u, v, -(fade**2) * ((2 * px).cos() + (2 * py).cos()) / 4])


def test_vortices_in_a_stream_decay_at_second_order():
    errors, cells = [], [16, 32, 64]
    for n in cells:
        flow = Flow(n, size=(1.0, 1.0), reynolds=50.0, frame=0.25, fringe=0.0)
        end, _ = flow.advance(vortices(flow, 0.0))
        errors.append(float((end - vortices(flow, 0.25)).abs().max()))
    assert 1.7 < order(errors, cells) < 3.2
    assert errors[-1] < 4e-3


def test_bodies_take_exactly_the_momentum_that_the_fluid_loses():
    state = start(PERIODIC)
    frames, forces = PERIODIC.solve(foil(), Circle(torch.tensor([0.9, 0.4]).double(), torch.tensor(0.2)), start=state)
    momentum = torch.cat([state[None], frames])[:, :2].sum((-2, -1)) / PERIODIC.cells**2
    close(-momentum.diff(dim=0) / PERIODIC.frame, forces.sum(1) / 2, 1e-11)


def test_forces_of_bodies_add_up_to_the_force_on_both():
    one, two = foil(), foil(-10.0, 0.9, 0.5)
    both = lambda x: torch.minimum(one(x), two(x))
    frames, apart = BOX.solve(one, two, start=start(BOX))
    again, together = BOX.solve(both, start=start(BOX))
    close(frames, again, 1e-12)
    close(apart.sum(-2), together[..., 0, :], 1e-11)
    assert (apart[-1, :, 0] > 0.05).all()


def test_upside_down():
    frames, forces = BOX.solve(foil(25.0, 0.1, 0.13), start=start(BOX))
    flipped, turned = BOX.solve(foil(-25.0, 0.1, -0.13), start=start(BOX))
    close(mirrored(frames), flipped, 1e-11)
    close(turned, forces * torch.tensor([1.0, -1.0]).double(), 1e-10)


def test_a_symmetric_body_has_drag_and_no_lift():
    _, forces = BOX.solve(foil(0.0), start=start(BOX))
    assert forces[..., 1].abs().max() < 1e-11
    assert (forces[..., 0] > 0.1).all()


def test_a_body_moved_by_whole_cells_takes_its_flow_along():
    frames, forces = PERIODIC.solve(foil(), start=start(PERIODIC))
    moved, same = PERIODIC.solve(foil(x=0.3, y=-0.2), start=start(PERIODIC))
    close(frames.roll((3, -2), (-2, -1)), moved, 1e-11)
    close(forces, same, 1e-10)


def test_rows_are_independent_and_reynolds_numbers_may_differ():
    angles, reynolds = torch.tensor([-10.0, 0.0, 40.0]).double(), torch.tensor([60.0, 100.0, 150.0])
    points = torch.stack([foil(float(a)).points for a in angles])
    flow = replace(BOX, reynolds=reynolds)
    frames, forces = flow.solve(Outline(points), start=start(BOX))
    assert frames.shape == (3, 2, 3, 32, 24)
    for i in range(3):
        alone, force = replace(BOX, reynolds=float(reynolds[i])).solve(Outline(points[i]), start=start(BOX))
        close(frames[i], alone, 1e-12)
        close(forces[i], force, 1e-11)
    # The same, one row a batch axis of its own, in float32.
    again, _ = flow.solve(Outline(points[None].float()), start=flow.start(torch.float32))
    assert again.shape == (1, 3, 2, 3, 32, 24)
    assert again.dtype == torch.float32
    close(again[0].double(), frames, 1e-4)


def test_stopping_and_going_on_is_the_same():
    frames, forces = BOX.solve(foil(), start=start(BOX))
    once, first = BOX.advance(start(BOX), foil())
    twice, second = BOX.advance(once, foil())
    close(torch.stack([once, twice]), frames, 1e-14)
    close(torch.stack([first, second]), forces, 1e-14)
    places = []

    def body(x: Tensor) -> Tensor:
        places.append(len(x))
        return foil()(x)

    on, (end, force) = islice(BOX.path(body, start=start(BOX)), 2)
    asked = len(places)
    assert torch.equal(on[0], frames[0])
    assert torch.equal(end, frames[1])
    assert torch.equal(force, forces[1])
    BOX.advance(start(BOX), body)
    assert len(places) == 2 * asked  # a path asks a body for its distance as often as one frame does


def test_total_pressure_ahead_of_a_body_is_that_of_the_stream():
    """Bernoulli along the line to the nose: p = 0 far ahead and 1/2 where the stream is stopped."""
    flow = replace(BOX, size=(6.4, 4.8), frame=2.0, frames=1)
    ((u, _, p),), _ = flow.solve(Circle(torch.zeros(2).double(), torch.tensor(0.3)), start=start(flow))
    middle = flow.shape[1] // 2
    line = (flow.points(p)[:, middle, 0] < -0.5) & (torch.arange(len(p)) >= 7)
    total = p[:, middle] + ((u + u.roll(-1, 0)) / 2)[:, middle] ** 2 / 2
    close(total[line], torch.full((int(line.sum()),), 0.5).double(), 0.05)
    assert p[line, middle].max() > 0.1


def test_gradients_against_differences():
    """A 64 x 64 grid, 20 steps: angle, thickness, place and Reynolds number."""
    flow = Flow(cells=16, size=(4.0, 4.0), reynolds=200.0, frame=20 * 0.5 / 16, frames=1)
    assert flow.steps == 20

    def lift(values: Tensor) -> Tensor:
        alpha, height, x, y, reynolds = values
        points = placed(ellipse(torch.tensor(1.0).double(), height, 40), alpha, torch.stack([x, y]))
        return (replace(flow, reynolds=reynolds).solve(Outline(points), start=start(flow))[1][0, 0]).sum()

    values = torch.tensor([10.0, 0.3, 0.03, -0.02, 200.0], dtype=torch.float64, requires_grad=True)
    (got,) = torch.autograd.grad(lift(values), values)
    for k, step in enumerate([1e-4, 1e-6, 1e-6, 1e-6, 1e-3]):
        with torch.no_grad():
            shift = step * torch.eye(5).double()[k]
            wanted = (lift(values + shift) - lift(values - shift)) / (2 * step)
        assert float(got[k]) == pytest.approx(float(wanted), rel=2e-4), f"parameter {k}"


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="fringe.*enlarge size"):
        BOX.solve(foil(y=0.9), start=start(BOX))
    with pytest.raises(ValueError, match=r"expected \(\*B, 3, 32, 24\)"):
        BOX.advance(start(BOX)[:2])
    with pytest.raises(ValueError, match="crop it"):
        pool(start(BOX), 5)


# --- windows ----------------------------------------------------------------------------------------------------


def test_pooled_cells_gain_and_lose_nothing_and_keep_the_mean():
    frames, _ = BOX.solve(foil(), start=start(BOX))
    coarse = pool(frames, 4)
    assert coarse.shape == (2, 3, 8, 6)
    assert outflow(coarse).abs().max() < 1e-13
    close(coarse[:, 2].mean((-2, -1)), frames[:, 2].mean((-2, -1)), 1e-14)


def test_a_flow_without_bodies_has_no_force_on_anything():
    """Exact vortices at two times: what passes into a control volume is what its momentum changes by."""
    errors, cells = [], [32, 64, 128]
    for n in cells:
        flow = Flow(n, size=(1.0, 1.0), reynolds=50.0, fringe=0.0)
        times = [0.1, 0.1 + 0.64 / n]
        frames = torch.stack([vortices(flow, t) for t in times])
        distance = flow.distance(Circle(torch.tensor([0.1, 0.03]).double(), torch.tensor(0.1)), frames)
        found = window_forces(frames, distance[None], 50.0, 1 / n, times[1] - times[0], reach=0.25)
        errors.append(float(found.abs().max()))
    assert abs(order(errors, cells) - 2) < 0.4
    assert errors[-1] < 2e-3


def test_a_window_tells_the_forces_of_the_solver():
    flow = Flow(cells=16, size=(5.0, 4.0), reynolds=100.0, frame=0.25, frames=5)
    one, two = foil(30.0, -0.5, 0.3), foil(-20.0, 0.6, -0.3)
    frames, forces = flow.solve(one, two, start=start(flow))
    distances = torch.stack([flow.distance(body, frames) for body in (one, two)])
    cut = (..., slice(8, 72), slice(8, 56))
    found = window_forces(frames[1:][cut], distances[cut], 100.0, 1 / 16, 0.25)
    assert found.shape == (3, 2, 2)
    assert (found - forces[2:]).abs().max() < 0.06 * forces[2:].abs().max()
    steady = window_forces(frames[-1:][cut], distances[cut], torch.tensor(100.0), 1 / 16, 0.25)
    assert steady.shape == (1, 2, 2)


def test_window_forces_have_gradients_rows_and_errors():
    flow = Flow(cells=4, size=(2.0, 2.0), reynolds=50.0, fringe=0.0)
    frames = torch.randn(2, 2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    distance = flow.distance(Circle(torch.tensor([0.3, 0.0]).double(), torch.tensor(0.31)), frames)[None]
    force = lambda f, d: window_forces(f, d, torch.tensor([50.0, 80.0]), 1 / 4, 0.3)
    assert torch.autograd.gradcheck(force, (frames.requires_grad_(), distance.requires_grad_()))
    for i, reynolds in enumerate((50.0, 80.0)):
        close(force(frames, distance)[i], window_forces(frames[i], distance, reynolds, 1 / 4, 0.3), 1e-12)
    with pytest.raises(ValueError, match="one window"):
        window_forces(frames, distance[..., 1:], 50.0, 1 / 4, 0.3)
