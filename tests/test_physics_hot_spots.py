"""Hot spots: what is conserved, exact solutions of uniform states, orders, symmetries, and drawn microstructures."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from oracles import close, normal, order
from sciencegen.physics import HotSpots, Stored

D = torch.float64
SMALL = HotSpots(16, frames=4)
LIVELY = SMALL.draw(3, 5) | {"load": torch.tensor([0.4, 1.0, 1.6], dtype=D)}
FIELDS = SMALL.solve(**LIVELY)


def test_what_is_drawn_and_solved_has_the_shapes_and_ranges_of_the_parts():
    found = LIVELY | FIELDS
    assert list(found) == list(SMALL.parts)
    for name, part in SMALL.parts.items():
        assert found[name].shape == (3, *part.shape)
        assert all(len(part.coords[dim]) == size for dim, size in zip(part.dims, part.shape, strict=True))
        assert bool(((found[name] >= part.low) & (found[name] <= part.high)).all())


def test_what_burns_rises_stays_below_one_and_never_burns_a_void():
    burnt, solid = FIELDS["burnt"], LIVELY["microstructure"]
    assert bool((burnt.diff(dim=1) >= 0).all())
    assert bool((burnt <= 1).all())
    assert float(burnt[2].max()) > 0.9, "nothing would be shown where nothing burns"
    assert float((burnt * (1 - solid[:, None])).abs().max()) == 0


def test_heat_is_what_has_burnt_where_nothing_is_lost():
    closed = replace(SMALL, loss=0.0)
    found, start = closed.solve(**LIVELY), closed.start(**LIVELY)
    gained = found["temperature"].mean((-2, -1)) - start.mean((-2, -1))[:, None]
    close(gained, closed.heat_release * found["burnt"].mean((-2, -1)), 1e-12)
    assert float(gained[2, -1]) > 0.1


def test_heat_balance_of_a_step():
    """d<T>/dt = Q <r> - c <T - T0>, with the mean temperature of both ends of Heun's step."""
    one = replace(SMALL, frame=0.25, frames=1, steps=1)
    temperature, burnt = FIELDS["temperature"][:, 1], FIELDS["burnt"][:, 1]
    after, later = one.advance(temperature, burnt, LIVELY["microstructure"])
    first = -torch.expm1(-0.25 * one.kinetics(temperature, LIVELY["microstructure"]))
    near = temperature + 0.25 * one.spread(temperature) + one.heat_release * (1 - burnt) * first
    means = [v.mean((-2, -1)) for v in ((temperature + near) / 2 - one.ambient, later - burnt, after - temperature)]
    close(means[2], one.heat_release * means[1] - 0.25 * one.loss * means[0], 1e-14)


def test_voids_alone_cool_as_the_scheme_says_and_nearly_exponentially():
    system, empty = replace(SMALL, collapse=0.0), torch.zeros(1, 16, 16, dtype=D)
    start, z = system.start(empty, torch.tensor([1.0], dtype=D)), -system.loss / 4
    found = system.solve(empty, torch.tensor([1.0], dtype=D))["temperature"] - system.ambient
    times = torch.arange(1, 5, dtype=D)
    close(found[0, :, 3, 3], (start[0, 3, 3] - system.ambient) * (1 + z + z**2 / 2) ** (24 * times))
    close(found[0, :, 3, 3], (start[0, 3, 3] - system.ambient) * torch.exp(-system.loss * 6 * times), 1e-6)


def test_a_uniform_solid_solves_its_ordinary_equation():
    system, solid = replace(SMALL, n=4, frame=2.4, frames=1), torch.ones(1, 4, 4, dtype=D)

    def slope(_: float, state: list[float]) -> list[float]:
        rate = (1 - state[1]) * system.rate * math.exp(-system.activation / state[0])
        return [system.heat_release * rate - system.loss * (state[0] - system.ambient), rate]

    load = torch.tensor([5.0], dtype=D)
    exact = solve_ivp(slope, (0, 2.4), [system.ambient + 0.5, 0.0], rtol=1e-10, atol=1e-12).y[:, -1]
    assert 0.2 < exact[1] < 0.999
    errors = []
    for steps in (12, 24, 48):
        found = replace(system, steps=steps).solve(solid, load)
        errors.append(abs(float(found["burnt"][0, -1, 0, 0]) - exact[1]))
    assert order(errors, [12, 24, 48]) == pytest.approx(2, abs=0.25)
    assert errors[-1] < 1e-3


def test_halving_the_step_is_of_second_order():
    burnt = [replace(SMALL, steps=steps).solve(**LIVELY)["burnt"] for steps in (24, 48, 96)]
    errors = [float((a - b).square().mean().sqrt()) for a, b in zip(burnt, burnt[1:])]
    assert order(errors, [24, 48]) == pytest.approx(2, abs=0.4)
    assert errors[0] < 2e-3


@given(st.integers(0, 15), st.integers(0, 15), st.integers(0, 8))
def test_what_is_moved_burns_as_much_elsewhere(down, right, index):
    symmetry = SMALL.symmetries[index]
    moved = {k: v.roll((down, right), (-2, -1)) if v.ndim > 1 else v for k, v in symmetry(LIVELY | FIELDS).items()}
    again = SMALL.solve(moved["microstructure"], moved["load"])
    for name in again:
        close(again[name], moved[name], 1e-9)
    assert not torch.equal(symmetry(FIELDS)["temperature"], FIELDS["temperature"])


def test_the_residual_is_rounding_for_a_solution_and_about_one_for_none():
    assert float(SMALL.residual(**LIVELY, **FIELDS).norm(dim=-1).max()) < 1e-12
    nothing = SMALL.residual(**LIVELY, **{k: torch.zeros_like(v) for k, v in FIELDS.items()}).norm(dim=-1)
    assert ((nothing > 0.2) & (nothing < 3)).all()
    folded = {k: v.unflatten(0, (3, 1)) for k, v in (LIVELY | FIELDS).items()}
    close(SMALL.residual(**folded)[:, 0], SMALL.residual(**LIVELY, **FIELDS), 1e-12)


def test_a_run_is_differentiable_in_load_and_microstructure():
    solid = (LIVELY["microstructure"][:1] * 0.9).requires_grad_()
    load = torch.tensor([0.9], dtype=D, requires_grad=True)
    short = replace(SMALL, frames=1, steps=6, frame=1.5)
    total = short.solve(solid, load)["burnt"].sum()
    for leaf, way in ((solid, normal(1, 16, 16)), (load, torch.ones(1, dtype=D))):
        slope = float((torch.autograd.grad(total, leaf, retain_graph=True)[0] * way).sum())
        with torch.no_grad():
            ends = [short.solve(*((v + s * 1e-5 * way if v is leaf else v) for v in (solid, load)))["burnt"].sum()
                    for s in (1, -1)]
        assert slope == pytest.approx(float(ends[0] - ends[1]) / 2e-5, rel=1e-5)


def test_drawn_voids_are_discs_apart_and_a_sample_is_the_same_whatever_the_count():
    system = HotSpots(64)
    some = system.draw(6, 3)
    close(system.draw(2, 3, first=4)["microstructure"], some["microstructure"][4:], 0)
    assert set(some["microstructure"].unique().tolist()) == {0.0, 1.0}
    assert bool(((some["load"] > 0.35) & (some["load"] < 1)).all())
    porosity = 1 - system.draw(200, 1)["microstructure"].mean((1, 2))
    radius2 = (5.0**3 - 1.5**3) / (3 * 3.5)
    assert float(porosity.mean()) == pytest.approx(8.5 * math.pi * radius2 / 64**2, rel=0.12)


def test_a_run_is_judged_by_what_has_burnt_of_the_solid():
    judged = SMALL.judged(**FIELDS, microstructure=LIVELY["microstructure"])
    assert judged["ignited"].tolist() == [False, True, True]
    solid = LIVELY["microstructure"] > 0
    close(judged["burnt"][2], FIELDS["burnt"][2, -1][solid[2]].mean(), 1e-12)
    assert judged["area"].shape == judged["front"].shape == judged["mean"].shape == (3, 4)
    ones = torch.ones_like(FIELDS["burnt"])
    whole = SMALL.judged(2 * ones, ones, LIVELY["microstructure"])
    assert float(whole["front"].max()) == 0
    assert float(whole["area"].min()) == 1
    assert SMALL.read(Stored(3.0, 7, {}))["frame = 3"] == replace(SMALL, frame=3.0, frames=7, steps=12)
