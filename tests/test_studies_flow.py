"""Laws of the flow job: states, composition, what is asked, what is judged."""

import math
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles import close
from sciencegen.airfoil import cst
from sciencegen.airfoil.wing_fit import pixels
from sciencegen.airfoil.wings import Limits, Wings, areas, gaps, noses
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout, Variable
from sciencegen.physics import Circle, Flow, Outline, ellipse, placed
from sciencegen.physics.mean_forces import BLOCKAGE, FreeAir, MeanForces, efficiency
from sciencegen.studies.flow import laws
from sciencegen.studies.flow.compose import enlarge, shared, stream, superposed, turned
from sciencegen.studies.flow.constraints import (
    ANY,
    WINDOW,
    clearance,
    constraints,
    cost,
    covered,
    derived,
    forces,
    missing,
    radius,
)
from sciencegen.studies.flow.descent import descend
from sciencegen.studies.flow.openfoam import ByOpenFOAM
from sciencegen.studies.flow.prior import distance, gaussian, image, mirrored, parts, prior_layout, read
from sciencegen.studies.flow.surrogate import raised

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
    made = shared(layout, one, bodies)
    many, prior = made.layout, made.prior
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


@pytest.mark.parametrize("bodies", [1, 2, 3])
def test_superposed_bodies_are_independent_under_the_prior(bodies):
    layout, one, *_ = small()
    made = superposed(layout, one, bodies)
    x = [torch.randn(5, layout.size).double() for _ in range(bodies)]
    parts = [layout.unpack(row) for row in x]
    packed = made.layout.pack(**{k: torch.stack([p[k] for p in parts], 1) for k in layout.variables})
    sigma = torch.tensor(0.7).double()
    assert torch.allclose(made.prior(packed, sigma), sum(one(row, sigma) for row in x), atol=1e-9)
    scores = made.layout.unpack(made.prior.score(packed, sigma))
    for k, row in enumerate(x):
        alone = layout.unpack(one.score(row, sigma))
        assert all(torch.allclose(scores[part][:, k], alone[part], atol=1e-9) for part in layout.variables)


def pair(states) -> dict[str, torch.Tensor]:
    """Two cases of the file as bodies of one stream, ``(4, 2, ...)``, a window apart."""
    return {k: torch.stack([v[:4], v[4:8]], 1).double() for k, v in states.items()}


def test_without_a_disturbance_superposed_forces_are_those_alone(states):
    parts, made = pair(states), superposed(prior_layout(), Gaussian(torch.zeros(1), torch.ones(1)), 1)
    one = {k: v[:, :1] for k, v in parts.items()}
    alone = forces(one["flow"][:, 0], one["body"], one["reynolds"][:, 0])
    assert torch.allclose(made.forces(**one), alone)
    assert torch.allclose(made.inflow(**one), torch.tensor([1.0, 0.0]).double().expand(4, 1, 2))


@pytest.mark.parametrize(("u", "v"), [(0.25, 0.0), (0.0, -0.3), (-0.2, 0.1), (0.1, 0.2)])
def test_in_a_uniform_disturbance_a_body_flies_in_the_sum(states, u, v):
    """The other one's flow is the free stream and a constant: forces turn by its angle and grow by the square."""
    parts = pair(states)
    made = superposed(prior_layout(), Gaussian(torch.zeros(1), torch.ones(1)), 1)
    alone = forces(parts["flow"][:, 0], parts["body"][:, :1], parts["reynolds"][:, 0])[:, 0]
    added = torch.tensor([u, v, 0.0], dtype=torch.float64)[:, None, None]
    parts["flow"][:, 1] = added + torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    drag, lift = made.forces(**parts)[:, 0].unbind(-1)
    assert torch.allclose(made.inflow(**parts)[:, 0], torch.tensor([1 + u, v], dtype=torch.float64).expand(4, 2))
    speed, angle = math.hypot(1 + u, v), math.atan2(v, 1 + u)
    assert torch.allclose(torch.hypot(drag, lift), speed**2 * alone.norm(dim=-1))
    turn = torch.atan2(lift, drag) - torch.atan2(alone[:, 1], alone[:, 0]) - angle
    assert torch.allclose(torch.exp(1j * turn), torch.ones(4, dtype=torch.complex128))
    assert torch.allclose(stream(parts["flow"]), parts["flow"][:, 0] + added)


def test_superposed_forces_are_nearer_to_the_solvers_than_without_interference():
    """Two ellipses, one above the other and behind, solved alone and together, the latter turned by their inflows."""
    shapes = [ellipse(0.8, 0.2, 40).double(), ellipse(0.9, 0.15, 40).double()]
    places, angles = [(0.15, -0.35), (-0.2, 0.4)], [12.0, 8.0]
    judge = MeanForces(12, 6.0, 0.4, size=(6.0, 5.0))
    outlines = [placed(shape, angle, place) for shape, angle, place in zip(shapes, angles, places)]
    grid, flows, alone = Flow(12, judge.size, 250.0, frames=24), [], []
    for outline in outlines:
        frames, force = grid.solve(Outline(outline), start=grid.start(torch.float64))
        low = [round((place + size * origin) * 12) for place, size, origin in
               zip((-29 / 30, -4 / 3), judge.size, grid.origin)]
        flows.append(frames[-1:, :, low[0]:low[0] + 32, low[1]:low[1] + 32])
        alone.append(force[-10:].mean(0)[0])
    flow, body = torch.stack(flows), torch.stack([image(Outline(outline)(pixels(outline))) for outline in outlines])
    made = superposed(prior_layout(), Gaussian(torch.zeros(1), torch.ones(1)), 1)
    inflow = made.inflow(flow, body)
    angle = torch.rad2deg(torch.atan2(inflow[:, 1], inflow[:, 0])).tolist()
    assert angle[0] < 0 < angle[1]  # downwash behind the upper one, upwash before the lower one
    solved = judge(torch.stack([placed(*row) for row in zip(shapes, [a - b for a, b in zip(angles, angle)], places)]
                               )[None])[0].sum(0)
    plain, said = torch.stack(alone).sum(0), turned(torch.stack(alone), inflow).sum(0)
    assert float((said - solved).norm()) < 0.5 * float((plain - solved).norm())


def test_what_is_wanted_is_zero_where_it_is_kept_and_grows_where_not(states):
    parts = pair(states)
    made = superposed(prior_layout(), Gaussian(torch.zeros(1), torch.ones(1)), 1)
    seen = parts | derived(made.forces)(**parts)
    total = seen["force"].sum(1)[:, 1]
    kept = constraints(Limits(area=0.05), 2, (float(total.min()), float(total.max())))
    assert len(kept) == 5
    assert float(kept[2].function(**seen).max()) == pytest.approx(0.0, abs=1e-12)
    asked = constraints(Limits(), 2, (3.0, 3.0))[1].function(**seen)
    assert torch.allclose(asked, (3.0 - total).abs())
    assert torch.equal(missing(seen["force"], ANY), torch.zeros(4).double())


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
    assert torch.allclose(covered(near), math.pi * torch.tensor([a, b]).double() ** 2, rtol=0.02, atol=2e-3)


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


@given(st.sampled_from(["chord", "alpha", "x", "y", "thickness", "area", "nose"]), st.integers(0, 10))
@settings(max_examples=15, deadline=None)
def test_each_limit_is_a_margin(name, seed):
    good = wings(1, seed)
    good = good._replace(centre=torch.tensor([[[0.0, 0.45], [0.0, -0.45]]]).double(), alpha=good.alpha / 6)
    limits = Limits(thickness=0.01, nose=0.0)
    assert limits.kept(good).all()
    worse = {"chord": good._replace(chord=good.chord * 0 + 1.2), "alpha": good._replace(alpha=good.alpha * 0 + 61),
             "x": good._replace(centre=good.centre + torch.tensor([0.3, 0.0])),
             "y": good._replace(centre=good.centre * 1.5),
             "thickness": good._replace(shape=good.shape * 0.01), "area": good, "nose": good}[name]
    limits = replace(limits, area=float(areas(good).min()) + 0.01) if name == "area" else limits
    limits = replace(limits, nose=float(noses(good).min()) + 0.01) if name == "nose" else limits
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


def test_a_nose_is_as_round_as_the_circle_that_fits_its_outline():
    """The circle through the nose and two points of the mean thickness near it, as they come to it."""
    shape = cst.join(*(torch.tensor(side).double().expand(1, 1, -1) for side in ([0.2] * 8, [-0.1] * 8)),
                     *torch.zeros(2, 1, 1).double().unbind(0))
    wing = wings(1, 0)._replace(shape=shape)
    x = torch.tensor([1e-6]).double()
    half = cst.thickness(shape, x) / 2
    close(noses(wing), ((half**2 + x**2) / (2 * x))[..., 0], 1e-5)


def test_refining_never_hands_over_worse_and_keeps_the_limits():
    start = Limits().within(wings(1, 5))
    start = start._replace(centre=torch.tensor([[[0.0, 0.5], [0.0, -0.5]]]).double(), alpha=start.alpha / 10)
    judge, limits = MeanForces(10, 1.0, 0.5, size=(5.0, 4.0)), Limits()
    once, first = descend(start, judge, limits, 1)
    best, most = descend(start, judge, limits, 3)
    assert limits.kept(once).all()
    assert limits.kept(best).all()
    assert float(most) > float(first)
    assert torch.allclose(efficiency(judge(best.outline().float())).double(), most, atol=1e-3)


def test_a_judge_averages_late_forces_and_refuses_what_it_cannot_solve():
    body = ellipse(0.8, 0.3, 40)[None, None]
    judge = MeanForces(8, 1.0, 0.5, size=(6.0, 4.0))
    force = Flow(8, (6.0, 4.0), 250.0, frame=0.25, frames=4).solve(Outline(body[0, 0]))[1]
    assert torch.allclose(judge(body)[0], force[2:].mean(0), atol=1e-6)
    assert judge(body + torch.tensor([0.0, 1.8])).isnan().all()


def test_forces_in_free_air_are_those_of_the_box_less_what_its_height_adds():
    pair = torch.stack([ellipse(0.6, 0.2, 40) + torch.tensor([0.0, y]) for y in (-0.4, 0.4)])[None]
    box = MeanForces(8, 0.5, 0.5, 100.0, size=(5.0, 4.0))
    confined, free = box(pair), FreeAir(100.0, box)(pair)
    drag = confined[..., 0].sum()
    assert torch.allclose(free, confined * (1 - torch.tensor(BLOCKAGE) * drag / 4))
    assert (free[..., 0] < confined[..., 0]).all()
    assert FreeAir(100.0, box)(pair + torch.tensor([0.0, 1.4])).isnan().all()


def test_where_openfoam_is_missing_there_are_no_forces(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    pair = torch.stack([ellipse(0.6, 0.2, 40) + torch.tensor([0.0, y]) for y in (-0.4, 0.4)])
    found = ByOpenFOAM()(pair.expand(3, -1, -1, -1))
    assert found.shape == (3, 2, 2)
    assert found.isnan().all()
    with pytest.raises(ValueError, match="apt install openfoam"):
        ByOpenFOAM.here()


@pytest.mark.parametrize("bodies", [1, 2, 3, 4])
def test_what_is_expected_is_raised_only_after_a_descent(bodies):
    assert raised(bodies, 0).tolist() == [1.0, 1.0]
    assert raised(bodies, 20)[1] > 1  # the lift is not believed
