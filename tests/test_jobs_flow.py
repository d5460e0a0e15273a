"""Laws of the flow job: states, composition, what is asked, what is judged."""

import math
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st

from sciencegen.exact import Gaussian
from sciencegen.jobs.flow import laws
from sciencegen.jobs.flow.compose import compose, enlarge
from sciencegen.jobs.flow.judge import Judge, efficiency
from sciencegen.jobs.flow.prior import distance, gaussian, image, mirrored, parts, prior_layout, read
from sciencegen.jobs.flow.question import WINDOW, clearance, cost, forces, radius
from sciencegen.jobs.flow.refine import refine
from sciencegen.jobs.flow.wings import Limits, Wings, gaps
from sciencegen.layout import Layout, Variable
from sciencegen.physics import Circle, Flow, Outline, ellipse

DATASETS = Path(__file__).parents[1] / "datasets"
FLOWS = DATASETS / "flows_test.h5"


@pytest.fixture(scope="module")
def states():
    return read(FLOWS)


def wings(count: int = 1, seed: int = 0) -> Wings:
    with xarray.open_dataset(DATASETS / "airfoils.nc") as data:
        shapes = torch.from_numpy(data["shape"].values[:40]).double()
    random = np.random.default_rng(seed)
    pick = lambda low, high, *shape: torch.from_numpy(random.uniform(low, high, (count, 2, *shape)))
    rows = torch.from_numpy(random.integers(0, 40, (count, 2)))
    return Wings(shapes[rows], pick(0.7, 1.1), pick(-60, 60), pick(-0.25, 0.25, 2))


def test_a_file_gives_two_states_a_case_and_their_mirror_images(states):
    with h5py.File(FLOWS) as data:
        count = int((data["status"][:] == 0).sum())
        drag = torch.from_numpy(data["history"][:])[:, -12:, 0].mean(1)
    assert states["flow"].shape == (4 * count, 3, 3, 32, 32)
    assert torch.equal(states["force"].reshape(4, count, 2)[:, :, 0], drag.expand(4, -1))
    assert torch.equal(states["force"].reshape(4, count, 2)[2:, :, 1], -states["force"].reshape(4, count, 2)[:2, :, 1])


def test_mirroring_twice_is_nothing_but_for_a_corner(states):
    once = {k: v[:8] for k, v in states.items()}
    twice = mirrored(**mirrored(**once))
    for k in ("body", "force", "reynolds"):
        assert torch.equal(twice[k], once[k])
    assert torch.allclose(twice["flow"][..., :-1, :], once["flow"][..., :-1, :], atol=2e-3)


def test_mirrored_flows_keep_the_laws_and_turn_the_lift(states):
    once = {k: v[:12] for k, v in states.items()}
    turned = mirrored(**once)
    for law in (laws.divergence, laws.pressure_poisson):
        here, there = (law(flow=s["flow"], body=s["body"][:, None]).abs().amax() for s in (once, turned))
        assert there < 1.5 * here + 1e-2
    force = [forces(s["flow"], s["body"][:, None], s["reynolds"]) for s in (once, turned)]
    assert torch.allclose(force[1], force[0] * torch.tensor([1.0, -1.0]), atol=0.02)


def test_a_windows_forces_are_the_solvers(states):
    with h5py.File(FLOWS) as data:
        solver = torch.from_numpy(data["force"][:])[:, 1:5].mean(1)
    count = len(solver)
    found = forces(states["flow"][:count], states["body"][:count, None], states["reynolds"][:count])[:, 0]
    assert (found - solver).square().mean(0).sqrt().max() < 0.05  # 12 pixels a chord; lifts spread by 0.7


def test_an_image_is_a_distance_near_the_surface():
    d = torch.linspace(-0.4, 0.4, 101).double()
    assert torch.allclose(distance(image(d)), d)
    assert float(distance(torch.tensor(1.0))) == pytest.approx(0.2 * math.atanh(0.99))


def test_the_gaussian_has_the_mean_and_a_variance_a_part():
    torch.manual_seed(0)
    rows = torch.randn(4000, 7) * torch.tensor([1.0, 1.0, 1.0, 1.0, 3.0, 3.0, 5.0]) + torch.arange(7.0)
    made = gaussian(rows, [4, 2, 1])
    assert torch.allclose(made.center, torch.arange(7.0), atol=0.3)
    assert torch.allclose(made.variances, torch.tensor([1.0, 1.0, 1.0, 1.0, 9.0, 9.0, 25.0]), rtol=0.1)


def small() -> tuple[Layout, Gaussian, torch.Tensor, torch.Tensor]:
    """A flow and a body that depends on it, Gaussian: the joint of one body, and what it is made of."""
    layout = Layout(flow=Variable((1, 3, 2, 2)), body=Variable((2, 2)), force=Variable((2,)), reynolds=Variable(()))
    torch.manual_seed(1)
    a = torch.randn(13, 13).double()
    flow = a @ a.mT / 13 + torch.eye(13)  # of flow and Reynolds number
    gain = torch.randn(6, 13).double() / 3  # body and force given them, with unit noise
    joint = torch.cat([torch.cat([flow, flow @ gain.mT], 1), torch.cat([gain @ flow, gain @ flow @ gain.mT
                       + torch.eye(6).double()], 1)])
    order = torch.cat([torch.arange(12), torch.arange(13, 19), torch.tensor([12])])
    return layout, Gaussian(torch.zeros(19).double(), joint[order][:, order]), flow, gain


@pytest.mark.parametrize("bodies", [1, 2, 3])
def test_bodies_that_depend_on_the_flow_alone_compose_exactly(bodies):
    layout, one, flow, gain = small()
    many, prior = compose(layout, one, bodies)
    every = gain.repeat(bodies, 1)
    joint = torch.cat([torch.cat([flow, flow @ every.mT], 1), torch.cat(
        [every @ flow, every @ flow @ every.mT + torch.eye(6 * bodies).double()], 1)])
    bodies_first = many["body"].each() & many["force"].each()
    index = torch.cat([many["flow"].rows, many["reynolds"].rows.reshape(-1), bodies_first.rows.reshape(-1)])
    exact = Gaussian(torch.zeros(many.size).double(), joint)
    x = torch.randn(5, many.size).double()
    zero = torch.tensor(0.0).double()
    assert torch.allclose(prior.score(x, zero)[:, index], exact.score(x[:, index], zero), atol=1e-9)
    energy, truth = prior(x, zero), exact(x[:, index], zero)
    assert torch.allclose(energy - energy[0], truth - truth[0], atol=1e-9)


def test_a_prior_of_something_else_is_refused():
    with pytest.raises(ValueError, match="flow, body"):
        enlarge(Layout(a=Variable((3,))), 2)
    assert [v.event for v in parts(prior_layout())] == [(9217,), (64, 64)]


def at_pixels(*bodies) -> torch.Tensor:
    axis = (torch.arange(64).double() + 0.5) / 24 - WINDOW / 2
    points = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
    return torch.stack([body(points) for body in bodies])


@given(st.floats(0.08, 0.3), st.floats(0.08, 0.3), st.floats(0.7, 1.0), st.floats(0, 6.28))
@settings(max_examples=20, deadline=None)
def test_distances_tell_gaps_and_radii(a, b, apart, angle):
    place = torch.tensor([math.cos(angle), math.sin(angle)]).double() * apart / 2
    near = at_pixels(Circle(place, torch.tensor(a).double()), Circle(-place, torch.tensor(b).double()))
    assert float(clearance(near)) == pytest.approx(apart - a - b, abs=0.02)  # the pixels lie off the line between
    assert torch.allclose(radius(near), torch.tensor([a, b]).double(), atol=0.035)


def test_at_its_own_price_a_ratio_costs_nothing():
    drag, lift = torch.tensor([[1.0, 3.0]]), torch.tensor([[2.0, 6.0]])
    assert float(cost(drag, lift, 2.0)) == 0.0
    assert float(cost(drag, lift + 1, 2.0)) == -2.0
    assert float(efficiency(torch.stack([drag, lift], -1))) == 2.0


def taylor_green(n: int) -> torch.Tensor:
    """Vortices of the window's size on staggered cells, ``(1, 1, 3, n, n)``, an exact steady Euler flow."""
    h, k = WINDOW / n, 2 * math.pi / WINDOW
    low, mid = torch.arange(n).double() * h, (torch.arange(n).double() + 0.5) * h
    u = torch.sin(k * low)[:, None] * torch.cos(k * mid)
    v = -torch.cos(k * mid)[:, None] * torch.sin(k * low)
    p = (torch.cos(2 * k * mid)[:, None] + torch.cos(2 * k * mid)) / 4
    return torch.stack([u, v, p])[None, None]


def test_the_pressures_law_holds_to_second_order_and_divergence_to_rounding():
    far = torch.full((1, 1, 128, 128), 0.999).double()
    error = []
    for n in (16, 32, 64):
        flow = taylor_green(n)
        near = far[..., : 2 * n, : 2 * n]
        error.append(float(laws.pressure_poisson(flow=flow, body=near).abs().max()) * (n / WINDOW) ** 2)
    order = [math.log2(a / b) for a, b in zip(error, error[1:])]
    assert all(1.8 < rate < 2.2 for rate in order)
    assert float(laws.divergence(flow=flow).abs().max()) < 1e-12


def test_no_slip_is_asked_inside_of_bodies_only():
    near = image(at_pixels(Circle(torch.zeros(2).double(), torch.tensor(0.4).double())))[None]
    flow = torch.ones(1, 3, 3, 32, 32).double()
    slip = laws.no_slip(flow=flow, body=near).reshape(3, 2, 32, 32)
    axis = (torch.arange(32).double() + 0.5) / 12 - WINDOW / 2
    inside = (axis[:, None] ** 2 + axis**2).sqrt() < 0.4 - 1 / 12
    assert torch.allclose(slip[:, :, inside], torch.tensor(1.0).double())
    assert not slip[:, :, (axis[:, None] ** 2 + axis**2).sqrt() > 0.42].any()


def test_wings_apart_are_as_far_as_their_outlines():
    pair = wings(6, seed=3)
    pair = pair._replace(centre=torch.tensor([[0.0, 0.5], [0.0, -0.5]]).double().expand(6, 2, 2), alpha=pair.alpha / 6)
    loops = pair.outline(201)
    direct = torch.stack([torch.cdist(a, b).min() for a, b in loops])
    assert torch.allclose(gaps(pair)[:, 0], direct, atol=5e-3)
    onto = pair._replace(centre=torch.zeros(6, 2, 2).double())
    assert (gaps(onto) < 0).all()


@given(st.sampled_from(["chord", "alpha", "x", "y", "thickness"]), st.integers(0, 10))
@settings(max_examples=15, deadline=None)
def test_each_limit_is_a_margin(name, seed):
    good = wings(1, seed)
    good = good._replace(centre=torch.tensor([[[0.0, 0.45], [0.0, -0.45]]]).double(), alpha=good.alpha / 6)
    limits = Limits(thickness=0.01)
    assert limits.kept(good).all()
    worse = {"chord": good._replace(chord=good.chord * 0 + 1.2), "alpha": good._replace(alpha=good.alpha * 0 + 61),
             "x": good._replace(centre=good.centre + torch.tensor([0.3, 0.0])),
             "y": good._replace(centre=good.centre * 1.5),
             "thickness": good._replace(shape=good.shape * 0.01)}[name]
    assert not limits.kept(worse).any()


@given(st.integers(0, 30), st.floats(0.5, 4.0))
@settings(max_examples=15, deadline=None)
def test_whatever_is_taken_within_is_within_and_what_was_stays(seed, wild):
    random = np.random.default_rng(seed)
    one = wings(1, seed)
    bent = one._replace(shape=wild * (one.shape + 0.2 * torch.from_numpy(random.normal(size=(1, 2, 18)))),
                        chord=wild * one.chord, alpha=wild * one.alpha, centre=wild * one.centre)
    limits = Limits(gap=-10.0)
    inside = limits.within(bent)
    assert limits.kept(inside).all()
    again = limits.within(inside)
    assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(inside, again))


def test_refining_never_hands_over_worse_and_keeps_the_limits():
    start = Limits().within(wings(1, 5))
    start = start._replace(centre=torch.tensor([[[0.0, 0.5], [0.0, -0.5]]]).double(), alpha=start.alpha / 10)
    judge, limits = Judge(10, 1.0, 0.5, size=(5.0, 4.0)), Limits()
    once, first = refine(start, judge, limits, 1)
    best, most = refine(start, judge, limits, 3)
    assert limits.kept(once).all()
    assert limits.kept(best).all()
    assert float(most) > float(first)
    assert torch.allclose(efficiency(judge(best.outline().float())).double(), most, atol=1e-3)


def test_a_judge_averages_late_forces_and_refuses_what_it_cannot_solve():
    body = ellipse(0.8, 0.3, 40)[None, None]
    judge = Judge(8, 1.0, 0.5, size=(6.0, 4.0))
    force = Flow(8, (6.0, 4.0), 250.0, frame=0.25, frames=4).solve(Outline(body[0, 0]))[1]
    assert torch.allclose(judge(body)[0], force[2:].mean(0), atol=1e-6)
    assert judge(body + torch.tensor([0.0, 1.8])).isnan().all()
