"""Coupled systems: components against their equations, the referee, what is drawn elsewhere, and the laws of each."""

import math

import pytest
import torch

from oracles import close, normal
from sciencegen.fixed_points import Relaxed, fixed_point
from sciencegen.physics.coupled import Conduction, Elements, Elsewhere, ReactionDiffusion, Reactor, Round
from sciencegen.physics.coupled.reactor import overlap
from sciencegen.physics.system import Part

SMALL = {"conduction": Conduction(50.0, n=12), "pair": ReactionDiffusion(n=8, frames=4, substeps=2),
         "reactor": Reactor(m=4, n=6, l=8), "elements": Elements(2, 2, n=4)}
every = pytest.mark.parametrize("system", SMALL.values(), ids=SMALL)
X = torch.arange(1, 33, dtype=torch.float64) / 33


# --- what every system promises -----------------------------------------------------------------------------------

@every
def test_the_referee_is_the_fixed_point_of_all_components(system):
    given = system.draw(3)
    fields = system.referee(**given)
    assert list(fields) == list(system.fields)
    assert system.defect(fields, given).abs().max() < 1e-9
    folded = {k: v[None] for k, v in given.items()}
    for name, field in system.referee(**folded).items():
        close(field[0], fields[name], 1e-9)


@every
def test_decoupled_data_solve_one_physics_and_lie_elsewhere(system):
    for name in list(system.fields)[:3]:
        data = system.decoupled(name, 5, seed=2)
        others = {k: v for k, v in data.items() if k != name}
        close(system.component(name)(**others), data[name], 1e-12)
        later = system.decoupled(name, 2, seed=2, first=3)
        for key, value in data.items():
            close(later[key], value[3:], 1e-12)
            assert not torch.equal(value[0], value[1]) or key == "load"
        parts = {**system.fields, **system.given}
        assert all(v.shape == (5, *parts[k].shape) for k, v in data.items())


@every
def test_components_are_differentiable_and_stay_single(system):
    given = system.draw(2)
    fields = {k: v.requires_grad_() for k, v in system.referee(**given).items()}
    matrix = system.jacobian({k: v.detach() for k, v in fields.items()}, given)
    probe = normal(2, matrix.shape[-1])
    (system.defect(fields, given) * probe).sum().backward()
    close(system.packed({k: v.grad for k, v in fields.items()}), (matrix.mT @ probe[..., None])[..., 0], 1e-9)
    single = [{k: v.detach().float() for k, v in parts.items()} for parts in (fields, given)]
    assert system.defect(*single).dtype == torch.float32
    assert system.defect(*single).abs().max() < 1e-3


# --- what is drawn elsewhere --------------------------------------------------------------------------------------

def test_a_field_from_elsewhere_has_the_range_and_the_covariance_that_were_stated():
    part = Part((3, 4), ("time", "x"), {"time": [1, 2, 3], "x": [0, 0.25, 0.5, 0.75]}, periodic=("x",))
    drawn = Elsewhere(1.0, 3.0, (0.0, 0.2), shared=0.3).sample(part, 4000).flatten(1)
    apart = torch.sin(math.pi * torch.tensor([0.0, 0.25, 0.5])) / math.pi
    near = torch.exp(-(apart.double() ** 2) / (2 * 0.2**2))
    around = torch.stack([near[[0, 1, 2, 1]].roll(k) for k in range(4)])
    wanted = 0.25 * (0.3 + 0.7 * torch.kron(torch.eye(3).double(), around))
    assert (drawn.mean(0) - 2).abs().max() < 4 * 0.5 / math.sqrt(4000)
    assert (drawn.T.cov() - wanted).abs().max() < 5 * 0.25 * math.sqrt(2 / 4000)
    positive = Elsewhere(1.0, 100.0, (0.0, 0.2), positive=True)
    assert positive.middle == pytest.approx(10)
    assert abs(positive.sample(part, 4000).log10().std() - 0.5) < 0.03


def test_a_law_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="above zero"):
        Elsewhere(0.0, 1.0, (0.1,), positive=True)
    with pytest.raises(ValueError, match="one each"):
        Elsewhere(0.0, 1.0, (0.1,)).sample(Part((2, 2), ("x", "y"), {}), 1)


# --- conduction ---------------------------------------------------------------------------------------------------

def extreme(system: Conduction, fields, given) -> float:
    """The eigenvalue of a round that is largest in size."""
    matrix = torch.eye(64).double() - system.jacobian(fields, given)[0]
    values = torch.linalg.eigvals(matrix[:32, 32:] @ matrix[32:, :32]).real
    return float(values[values.abs().argmax()])


def hump(height: float, system: Conduction, given):
    u = height * (math.pi * X).sin()[None]
    return {"u": u, "v": system.source(u, given["load"])}


@pytest.mark.parametrize("load, feedback, height, wanted", [(10, -1, 0, -0.55), (50, -1, 0, -1.24), (200, -1, 0, -1.95),
                                                            (3.45, 1, 0, 0.82), (1, 1, 5, 3.67), (2, 1, 4, 2.54)])
def test_a_round_of_conduction_has_the_eigenvalues_that_are_stated(load, feedback, height, wanted):
    system = Conduction(load, feedback)
    given = system.draw(1)
    fields = system.referee(hump(height, system, given), **given)
    assert extreme(system, fields, given) == pytest.approx(wanted, abs=0.01)


@pytest.mark.parametrize("height", [0, 5])
def test_both_branches_of_bratu_are_the_closed_form_to_second_order(height):
    """``u = -2 log(cosh(t (x - 1/2) / 2) / cosh(t / 4))`` with ``t = sqrt(2 load) cosh(t / 4)``."""
    errors = []
    for n in (15, 31):
        system = Conduction(1.0, 1.0, n=n)
        given, at = system.draw(1), torch.arange(1, n + 1, dtype=torch.float64) / (n + 1)
        u = height * (math.pi * at).sin()[None]
        found = system.referee({"u": u, "v": system.source(u, given["load"])}, **given)["u"][0]
        t = 12.0 if height else 1.5
        for _ in range(60):
            t -= (t - math.sqrt(2) * math.cosh(t / 4)) / (1 - math.sqrt(2) * math.sinh(t / 4) / 4)
        exact = -2 * (torch.cosh(t * (at - 0.5) / 2) / math.cosh(t / 4)).log()
        errors.append(float((found - exact).abs().max()))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("height", [0, 2, 5])
def test_beyond_the_fold_there_is_no_solution(height):
    system = Conduction(4.0, 1.0)
    given = system.draw(1)
    with pytest.raises(ValueError, match="no coupled solution in .* for 1 of 1 rows"):
        system.referee(hump(height, system, given), **given)


def test_loads_are_drawn_about_the_stated_one():
    loads = Conduction(10.0, spread=0.2).draw(200)["load"]
    assert 8 <= loads.min() < 8.5
    assert 11.5 < loads.max() <= 12


# --- the reaction-diffusion pair ----------------------------------------------------------------------------------

def test_the_coupled_pair_is_that_of_one_solver_for_both_to_second_order_in_the_time_between_frames():
    """The same steps of time, but both fields in each of them."""
    errors, fine = [], ReactionDiffusion(n=6)
    given = fine.draw(1)
    (keep, solve), (hold, free) = (fine.matrices(diffusion / 32) for diffusion in fine.diffusion)
    u, v = given["a"], given["b"]
    for _ in range(32):
        first = fine.react_u(u, v) / 32, fine.react_v(v, u) / 32
        guess = (u @ keep + first[0]) @ solve, (v @ hold + first[1]) @ free
        second = fine.react_u(*guess) / 32, fine.react_v(guess[1], guess[0]) / 32
        u, v = (u @ keep + (first[0] + second[0]) / 2) @ solve, (v @ hold + (first[1] + second[1]) / 2) @ free
    for frames in (2, 4, 8):
        system = ReactionDiffusion(n=6, frames=frames, frame=1 / frames, substeps=32 // frames)
        both = Round(system, given)
        found = both.fields(fixed_point(both, torch.zeros(1, 6 * frames).double(), Relaxed(), 1e-12).point)
        errors.append(float((found["u"][0, -1] - u[0]).norm() + (found["v"][0, -1] - v[0]).norm()))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.2)


def test_a_wave_diffuses_as_the_second_difference_says():
    system = ReactionDiffusion(n=16, frames=1, frame=0.1, substeps=64, rate=0.0)
    wave = torch.cos(2 * math.pi * torch.arange(16, dtype=torch.float64) / 16)[None]
    decay = math.exp(0.1 * 0.05 * 16**2 * (2 * math.cos(2 * math.pi / 16) - 2))
    close(system.inhibitor(u=wave[:, None], a=wave, b=wave)[:, 0], decay * wave, 1e-6)


# --- three fields -------------------------------------------------------------------------------------------------

def test_all_heat_that_neutrons_release_goes_through_the_wall_and_is_carried_off():
    for system in (Reactor(m=5, n=6, l=7), Reactor(m=4, n=8, l=6, heat=16.0, mixing=0.3)):
        found = system.referee(**system.draw(2))
        released = system.power(found["flux"]).mean((-1, -2)) * system.width
        close(system.through_wall(found["fuel"], found["coolant"]), released, 1e-9)
        close(system.carried(found["coolant"]), released, 1e-9)


def test_a_source_that_makes_a_sine_of_neutrons_is_solved_to_second_order():
    """Without absorption that varies: ``(D pi^2 + Sigma) sin(pi y)`` makes ``sin(pi y)``."""
    errors = []
    for m in (8, 16):
        system = Reactor(m=m, n=4)
        wave = (math.pi * (torch.arange(m, dtype=torch.float64) + 0.5) / m).sin()
        scale = system.diffusion * math.pi**2 + system.absorption
        found = system.neutrons(torch.zeros(4, 4, dtype=torch.float64), scale * wave)
        errors.append(float((found - wave).abs().max()))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.15)


def test_conduction_across_the_fuel_is_kirchhoffs_parabola():
    """Even power q: theta falls as q x^2 / 2 from the middle, and what leaves at the wall is q times the width."""
    system = Reactor()
    flux, coolant = torch.full((12, 12), 0.25).double(), torch.full((4, 24), 0.5).double()
    theta = (1 + system.softening * system.conduct(flux, coolant)).log() / system.softening
    q, at = 0.25 * system.heat, (torch.arange(16, dtype=torch.float64) + 0.5) / 16 * system.width
    last = math.log1p(system.softening * (0.5 + q * system.width / system.wall)) / system.softening
    close(theta, (last + q * (at[-1] ** 2 - at**2) / 2)[:, None].expand(16, 16), 1e-12)


def test_a_round_of_the_reactor_has_the_eigenvalues_that_are_stated():
    for system, wanted in ((Reactor(m=6, n=8, l=12), -0.8), (Reactor(m=6, n=8, l=12, heat=16.0, mixing=0.3), -1.1)):
        given = system.draw(1)
        matrix = torch.eye(148).double() - system.jacobian(system.referee(**given), given)[0]
        lower, upper = matrix[36:, 36:].clone(), matrix[36:, :36] @ matrix[:36, 36:]
        fuel, coolant = slice(0, 64), slice(64, 112)
        first = upper[fuel] + lower[fuel]
        values = torch.linalg.eigvals(torch.cat([first, lower[coolant, fuel] @ first])).real
        assert float(values[values.abs().argmax()]) == pytest.approx(wanted, abs=0.05)


def test_means_over_other_cells_keep_the_total():
    for to, of in ((12, 16), (16, 12), (3, 7)):
        field = normal(of)
        assert float((overlap(to, of) @ field).mean()) == pytest.approx(float(field.mean()))
        close(overlap(to, of) @ torch.ones(of).double(), torch.ones(to).double(), 1e-12)


# --- elements -----------------------------------------------------------------------------------------------------

def test_elements_between_their_walls_are_the_whole_grid():
    """The sparse solution of all cells against Newton's method on the elements."""
    system = Elements(2, 3, n=4)
    given = system.draw(2)
    whole, found = system.referee(**given), super(Elements, system).referee(**given)
    for name in system.names:
        close(found[name], whole[name], 1e-9)


def test_one_element_alone_is_what_the_structure_asks_for():
    system = Elements(3, 3)
    data = system.alone(4)
    assert {k: tuple(v.shape) for k, v in data.items()} == {"source": (4, 8, 8), "walls": (4, 4, 8), "u": (4, 8, 8)}
    given = system.draw(1)
    fields = system.referee(**given)
    assert system.neighbours("e4") == ["e1", "e7", "e3", "e5"]
    assert system.neighbours("e0") == [None, "e3", None, "e1"]
    walls = system.walls("e4", fields, given["source"])
    close(walls[0, 0], fields["e1"][0, -1], 1e-12)
    close(walls[0, 3], fields["e5"][0, :, 0], 1e-12)
    close(system.solve(system.source_of("e4", given["source"]), walls), fields["e4"], 1e-10)


def test_heat_that_is_released_is_lost_above_or_at_the_outer_walls():
    system = Elements(2, 2)
    given = system.draw(1)
    whole = torch.cat([torch.cat([system.referee(**given)[f"e{2 * i + j}"] for j in (0, 1)], -1) for i in (0, 1)], -2)
    out = sum(whole[0, i].sum() + whole[0, :, i].sum() for i in (0, -1)) * 64
    close((system.loss * whole).sum() + out, given["source"].sum(), 1e-9)
