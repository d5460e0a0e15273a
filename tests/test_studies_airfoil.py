"""The airfoil study: its question against independent roads, its composition against the joint built by hand.

What needs numbers from a prior takes the shipped one where it is there, else an untrained network, which is the data's
Gaussian: every law here holds for both.
"""

import itertools
import json
import math
import os
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray
from matplotlib import pyplot

import sciencegen
from oracles import Counted, close, normal, order
from sciencegen.airfoil import NeuralFoil, Search, cst, drag_at_lift, read_dat, solve_alpha, write_dat
from sciencegen.airfoil.conditions import DEFAULT_POINTS, Point, Requirements, at_lift, near_lift
from sciencegen.exact import Gaussian
from sciencegen.layout import Layout
from sciencegen.nets.mlp import ScalarMLP
from sciencegen.priors import EnergyNet, zoo
from sciencegen.result import Result
from sciencegen.solvers import XFOIL
from sciencegen.solvers.at_lift import verify
from sciencegen.studies import report as reports
from sciencegen.studies import runs
from sciencegen.studies.airfoil import choice, report
from sciencegen.studies.airfoil.picture import draw
from sciencegen.studies.airfoil.prior import blends, condition_layout, polars, recorded
from sciencegen.studies.airfoil.study import (
    COLDEST,
    JUDGE,
    MARGINS,
    WARMEST,
    AirfoilStudy,
    compose,
    mean_drag,
    temperatures,
    with_margins,
)
from sciencegen.studies.ensemble import Ensemble
from sciencegen.studies.objective import load_objective
from sciencegen.studies.stages import Decode

pytest.importorskip("neuralfoil")
DATA = Path(__file__).parents[1] / "datasets" / "airfoils.nc"
D = torch.float64
FOIL = torch.tensor([0.18] + [0.2] * 7 + [-0.14] + [-0.1] * 7 + [0.05, 0.003], dtype=D)  # one that can be built


@cache
def rows() -> dict[str, torch.Tensor]:
    return recorded(DATA, "test")


@cache
def tiny(dtype=torch.float32) -> tuple:
    """Layout and untrained energy of one operating condition, with a network that counts its calls."""
    layout = condition_layout(rows(), torch.linspace(-6, 18, 25))
    x = layout.pack(**{k: v.double() for k, v in rows().items()})
    data = Gaussian(x.mean(0).to(dtype), (torch.cov(x.mT) + 1e-4 * torch.eye(layout.size)).to(dtype))
    net = Counted(ScalarMLP(layout.size, width=8, depth=1).to(dtype))
    return layout, EnergyNet(net, data, marginals=[layout["shape"]], lowest=1e-8), net


# --- the question -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("text, cl, reynolds", [
    ("0.4@3e6", 0.4, 3e6), ("-0.3@100000", -0.3, 1e5), ("1.5@1e7", 1.5, 1e7),
])
def test_a_point_is_read_and_written_alike(text, cl, reynolds):
    point = Point.parse(text)
    assert point == Point(cl, reynolds)
    assert Point.parse(str(point)) == point


@pytest.mark.parametrize("text, message", [
    ("3@1e6", "got a lift coefficient of 3; expected -0.3 to 1.5"),
    ("-0.31@1e6", "got a lift coefficient of -0.31"),
    ("0.5@1e3", r"got a Reynolds number of 1000; expected 100000 to 1e\+07"),
    ("0.5@2e7", "got a Reynolds number"),
    ("nan@1e6", "got a lift coefficient of nan"),
    ("0.5@inf", "got a Reynolds number of inf"),
    ("nonsense", "got the operating point 'nonsense'; expected CL@RE, as in 0.8@1.5e6"),
    ("0.5", "expected CL@RE"), ("0.5@1e6@2", "expected CL@RE"), ("@", "expected CL@RE"), ("", "expected CL@RE"),
])
def test_a_point_out_of_reach_or_in_other_words_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        Point.parse(text)


def test_margins_are_the_geometry_less_what_is_required():
    shape = rows()["shape"][::97].double()
    need = Requirements(thickness=0.1, aft_thickness=0.02, trailing_edge_angle=8.0)
    got = need.shape_margins(shape)
    x = torch.linspace(0, 1, 20001, dtype=D)
    upper, lower = cst.surfaces(shape, x)
    close(got[:, 0], (upper - lower).amax(-1) - 0.1, 3e-5)
    close(got[:, 1], (upper - lower)[:, 18000] - 0.02, 1e-10)
    inside = (x >= 0.005) & (x <= 0.995)
    assert (got[:, 2] - (upper - lower)[:, inside].amin(-1)).abs().max() < 1e-4
    slopes = [torch.atan((s[:, -1] - s[:, -2]) / (x[-1] - x[-2])) for s in (upper, lower)]
    close(got[:, 3], slopes[1] - slopes[0] - math.radians(8.0), 3e-3)
    close(got[:, 4], shape[:, 17] - 0.001)
    opened = need.opened(shape)
    close(opened[:, :17], shape[:, :17], 0)
    assert (need.shape_margins(opened)[:, 4] >= 0).all()


def test_flow_margins_are_those_of_the_worst_point():
    cm, confidence = torch.tensor([[-0.1, -0.2], [0.0, 0.1]]), torch.tensor([[0.99, 0.8], [0.95, 0.97]])
    slope = torch.tensor([[0.11, 0.09], [0.1, 0.05]])
    wanted = torch.tensor([[-0.067, -0.1, 0.0], [0.133, 0.05, -0.04]])
    close(Requirements().flow_margins(cm, confidence, slope), wanted, 1e-6)


@pytest.mark.parametrize("slack", [-0.1, 5.1, float("nan")])
def test_a_slack_that_says_nothing_is_refused(slack):
    with pytest.raises(ValueError, match="got a slack of the angle of .* expected 0 to 5"):
        Requirements(slack=slack)


def test_borne_drag_is_that_of_an_angle_off_either_way():
    log_cd, slope = torch.full((3,), -5.0, dtype=D), torch.tensor([0.2, -0.2, 0.0], dtype=D)
    got = Requirements(slack=0.5).borne(log_cd, slope)
    close(got, torch.tensor([-4.9, -4.9, -5.0], dtype=D), 1.1e-3)  # of 5: rounded at the lowest drag
    assert (got > log_cd).all()
    close(Requirements(slack=0.0).borne(log_cd, slope), log_cd, 0)


@pytest.mark.parametrize("thickness", [0.0, -0.1, 0.4, float("nan")])
def test_a_thickness_that_no_airfoil_has_is_refused(thickness):
    with pytest.raises(ValueError, match="got a least thickness of .* expected 0 to 0.4 chords"):
        Requirements(thickness=thickness)


def test_at_lift_is_linear_interpolation():
    alpha = torch.tensor([-2.0, 0.0, 3.0, 5.0], dtype=D)
    cl = torch.tensor([-0.1, 0.2, 0.7, 0.9], dtype=D)
    others = normal(4, 3)
    polar = torch.cat([cl[:, None], others], -1).expand(5, 3, 4, 4)
    asked = torch.tensor([0.0, 0.35, 0.8], dtype=D)
    got = at_lift(polar, alpha, asked)
    for name, column in zip(got._fields, (alpha, *others.T)):
        wanted = torch.tensor(np.interp(asked, cl, column)).expand(5, 3)
        close(getattr(got, name), wanted, 1e-12)


def test_at_lift_takes_the_first_climb_and_reaches_out_of_range_by_extending():
    alpha = torch.arange(6.0, dtype=D)
    dented = torch.tensor([0.0, 1.0, 0.4, 0.2, 0.9, 1.4], dtype=D)  # climbs through 0.6 twice
    polar = torch.stack([dented, *normal(3, 6)], -1)[None]
    close(at_lift(polar, alpha, torch.tensor([0.6], dtype=D)).alpha, torch.tensor([0.6], dtype=D))
    close(at_lift(polar, alpha, torch.tensor([1.5], dtype=D)).alpha, torch.tensor([5.2], dtype=D))
    close(at_lift(polar, alpha, torch.tensor([-0.5], dtype=D)).alpha, torch.tensor([-0.5], dtype=D))
    close(at_lift(polar, alpha, torch.tensor([0.6], dtype=D)).lift_slope, torch.tensor([1.0], dtype=D))
    flat = torch.stack([torch.zeros(6, dtype=D), *normal(3, 6)], -1)[None].requires_grad_()
    got = at_lift(flat, alpha, torch.tensor([0.5], dtype=D))
    (gradient,) = torch.autograd.grad(sum(v.sum() for v in got), flat)
    assert all(v.isfinite().all() for v in (*got, gradient))  # an imagined polar may be anything


@pytest.mark.parametrize("step, tolerance", [(0.1, 2e-3), (1.0, 0.06)])
def test_at_lift_on_a_polar_is_neuralfoil_at_that_lift(step, tolerance):
    """Linear in the angle: to 0.2 % of the drag on a fine polar, to 6 % on the one-degree polars of the data."""
    shape = rows()["shape"].double().unique(dim=0)[::12]
    alpha = torch.arange(-6.0, 18.0 + step / 2, step, dtype=D)
    cl, reynolds = torch.tensor([0.2, 0.5, 0.8], dtype=D), torch.tensor([3e6, 1.5e6, 1e6], dtype=D)
    polar = torch.stack([polars(shape, torch.full((len(shape),), math.log10(re)), alpha) for re in reynolds], 1)
    polar = polar.requires_grad_()
    got, aero = at_lift(polar, alpha, cl), NeuralFoil()
    with torch.no_grad():
        exact = drag_at_lift(aero, shape[:, None], cl, reynolds)
    carried = ((exact.cl - cl).abs() < 1e-3) & (exact.alpha > -6) & (exact.confidence > 0.9)
    assert carried.double().mean() > 0.8
    assert (got.log_cd - exact.log_cd)[carried].abs().max() < tolerance
    assert (got.alpha - exact.alpha)[carried].abs().max() < 0.1 * step + 0.01
    (gradient,) = torch.autograd.grad(got.log_cd.sum(), polar)
    assert gradient.isfinite().all()
    assert gradient[carried].abs().amax((-1, -2)).min() > 0


# --- one Newton step ----------------------------------------------------------------------------------------------

def trimmed():
    aero, cl, reynolds = NeuralFoil(), torch.tensor([0.3, 0.7], dtype=D), torch.tensor([3e6, 1e6], dtype=D)
    shape = torch.stack([FOIL, FOIL * 0.9, FOIL * 1.1])
    alpha = solve_alpha(aero, shape[:, None], cl, reynolds, Search(steps=8))
    return aero, shape, alpha, cl, reynolds


def test_near_lift_is_exact_where_the_gap_is_zero():
    aero, shape, alpha, cl, reynolds = trimmed()
    at, gap, slope = near_lift(aero, shape, alpha, cl, reynolds)
    flow = aero(shape[:, None], alpha, reynolds)
    close(gap, torch.zeros(3, 2, dtype=D), 1e-7)
    for got, wanted in zip(at, (alpha, flow.log_cd, flow.cm, flow.confidence)):
        close(got, wanted, 1e-6)
    above, below = (aero(shape[:, None], alpha + side, reynolds).log_cd for side in (1e-4, -1e-4))
    close(slope, (above - below) / 2e-4, 1e-6)
    above, below = (aero(shape[:, None], alpha + side, reynolds).cl for side in (1e-4, -1e-4))
    close(at.lift_slope, (above - below) / 2e-4, 1e-6)


def test_near_lift_is_off_by_the_square_of_the_gap():
    aero, shape, alpha, cl, reynolds = trimmed()
    flow = aero(shape[:, None], alpha, reynolds)
    exact = torch.stack([alpha, flow.log_cd, flow.cm], -1)
    halvings, errors = [1, 2, 4, 8], []
    for n in halvings:
        at, gap, _ = near_lift(aero, shape, alpha + 0.4 / n, cl, reynolds)
        assert (gap < 0).all()
        errors.append((torch.stack(at[:3], -1) - exact).abs().mean((0, 1)))
    for of_one in torch.stack(errors, 1):
        assert order(of_one.tolist(), halvings) == pytest.approx(2, abs=0.3)


def test_near_lift_has_the_gradient_at_constant_lift():
    aero, shape, alpha, cl, reynolds = trimmed()
    shape = shape.requires_grad_()
    at, *_ = near_lift(aero, shape, alpha.detach(), cl, reynolds)
    (got,) = torch.autograd.grad(at.log_cd.sum(), shape)
    exact = drag_at_lift(aero, shape[:, None], cl, reynolds, Search(steps=8))
    (wanted,) = torch.autograd.grad(exact.log_cd.sum(), shape)
    close(got, wanted, 1e-4)
    far, *_ = near_lift(aero, shape, torch.full_like(alpha, 60.0), cl, reynolds)
    assert all(v.isfinite().all() for v in far)
    assert (far.alpha - 60).abs().max() <= 1  # beyond a degree the slopes tell nothing


# --- composition --------------------------------------------------------------------------------------------------

def test_one_condition_needs_no_subtraction():
    layout, energy, _ = tiny()
    many, prior = compose(layout, energy, 1)
    assert " + " not in repr(prior)
    x = torch.randn(3, layout.size, generator=torch.Generator().manual_seed(0))
    assert many.size == layout.size
    close(prior.score(x, 0.5), energy.score(x, 0.5), 1e-6)


def test_a_composition_reads_as_its_formula():
    layout, energy, _ = tiny()
    text = repr(compose(layout, energy, 3)[1])
    assert text.count("·") == 2
    assert text.startswith("1.0·")
    assert " + -2.0·" in text
    assert "each()" in text


@pytest.mark.parametrize("count", [1, 3, 8])
def test_a_composition_is_the_joint_of_conditions_that_are_independent_given_the_shape(count):
    """``cov(y_i, y_j) = cov(y, s) cov(s)^{-1} cov(s, y)`` for two conditions, built block by block."""
    layout, energy, _ = tiny(D)
    many, prior = compose(layout, energy, count)
    mean, cov = energy.data.center, energy.data.cov
    s, y = slice(0, 18), slice(18, layout.size)
    shared = cov[y, s] @ torch.linalg.solve(cov[s, s], cov[s, y])
    blocks = [[cov[s, s]] + [cov[s, y]] * count]
    blocks += [[cov[y, s]] + [cov[y, y] if i == j else shared for j in range(count)] for i in range(count)]
    joint = torch.cat([torch.cat(row, 1) for row in blocks])
    center = torch.cat([mean[s]] + [mean[y]] * count)
    x = torch.cat([mean[s] + normal(4, 18)] + [mean[y] + normal(4, 101, seed=k + 1) for k in range(count)], -1)
    wanted = -torch.linalg.solve(joint, (x - center).mT).mT
    polar, log_re = x[:, 18:].unflatten(-1, (count, 101)).split([100, 1], -1)
    state = torch.cat([x[:, :18], polar.flatten(1), log_re.flatten(1)], -1)  # the layout's order: all polars, all Re
    got = prior.score(state, 1e-7)
    polar, log_re = wanted[:, 18:].unflatten(-1, (count, 101)).split([100, 1], -1)
    close(got, torch.cat([wanted[:, :18], polar.flatten(1), log_re.flatten(1)], -1), 1e-6)
    assert many.size == joint.shape[0]


@pytest.mark.parametrize("count", [1, 3, 8])
def test_a_score_costs_one_call_of_the_network_whatever_the_number_of_conditions(count):
    layout, energy, net = tiny()
    many, prior = compose(layout, energy, count)
    net.rows.clear()
    prior.score(torch.zeros(5, many.size), 1.0)
    assert net.rows == [5 * count + 5 * (count > 1)]


# --- the prior's data ---------------------------------------------------------------------------------------------

def test_blends_keep_mean_and_covariance():
    spread = 0.01 * normal(400, 18)
    shapes = FOIL + spread - torch.cat([torch.zeros(17, dtype=D), torch.tensor([-0.05], dtype=D)])  # no side crosses
    new = blends(shapes, 60_000)
    assert len(new) == 60_000
    own = torch.cov(shapes.mT) * (len(shapes) - 1) / len(shapes)  # of drawing from them
    assert ((new.mean(0) - shapes.mean(0)) / own.diagonal().sqrt()).abs().max() < 0.02
    width = own.diagonal().sqrt()
    assert ((torch.cov(new.mT) - own) / (width[:, None] * width)).abs().max() < 0.025


def test_blends_have_no_crossing_sides_and_are_the_same_for_a_seed():
    shapes = rows()["shape"].unique(dim=0)
    new = blends(shapes, 3000, seed=3)
    assert 2000 < len(new) <= 3000
    assert (cst.least_thickness(new) > 0).all()
    assert (new[:, -1] >= 0).all()
    close(blends(shapes, 3000, seed=3), new, 0)


def test_recorded_rows_are_neuralfoils_polars():
    some = {k: v[5::3001] for k, v in rows().items()}
    close(polars(some["shape"], some["log_re"], torch.linspace(-6, 18, 25)), some["polar"], 2e-3)


# --- a study ------------------------------------------------------------------------------------------------------

@cache
def study() -> AirfoilStudy:
    if (Path(sciencegen.__file__).parent / "zoo" / "airfoil" / "config.json").is_file():
        trained = zoo("airfoil")
        return AirfoilStudy(trained.layout, trained.energy)
    return AirfoilStudy(*tiny()[:2])


@cache
def result() -> Result:
    return study().run(4, torch.arange(4), progress=False)


@cache
def compared() -> dict:
    return report.baselines(study(), count=8)


def test_a_run_is_judged_by_neuralfoil_at_the_lifts_and_sorted():
    ours, asked = result(), study()
    assert len(ours) == 4
    assert ours.success.any()
    shape = torch.tensor(ours.samples["shape"].values)
    for k, point in enumerate(DEFAULT_POINTS):
        flow = NeuralFoil(JUDGE)(shape, torch.tensor(ours.samples.alpha.values[:, k]), point.reynolds)
        np.testing.assert_allclose(ours.samples.cd[:, k], flow.cd, rtol=1e-4)
        np.testing.assert_allclose(ours.samples.cl[:, k][ours.success], point.cl, atol=2e-3)
    np.testing.assert_allclose(ours.fun, ours.samples.cd.mean("point"), rtol=1e-6)
    good = ours.fun[ours.success]
    assert (np.diff(good) >= 0).all()
    assert ours.success.tolist() == sorted(ours.success.tolist(), reverse=True)
    assert ((asked.requirements.shape_margins(shape)[ours.success] > -6e-3).all())
    assert ours.nfev > 0
    assert ((ours.samples["reason"].values == "") == ours.success).all()
    assert ours.config["points"] == ["0.4@3e6", "0.8@1.5e6", "1.2@1e6"]
    assert {"objective", "limits of the shape", "limits of the flow", "lift", "acceptance"} <= set(ours.history)
    json.dumps(ours.config)


def test_a_run_again_is_the_same_run():
    again = study().run(4, torch.arange(4), progress=False)
    xarray.testing.assert_identical(again.samples, result().samples)
    np.testing.assert_array_equal(again.seeds, result().seeds)


class Stops(ScalarMLP):
    """A network that is interrupted from the keyboard at one of its calls."""

    def __init__(self, calls: int, size: int) -> None:
        super().__init__(size, width=8, depth=1)
        self.calls = calls

    def forward(self, *inputs):
        self.calls -= 1
        if not self.calls:
            raise KeyboardInterrupt
        return super().forward(*inputs)


@pytest.mark.parametrize("calls", [1, 30, 130, 180])  # before the first step, in each of the three stages
def test_an_interrupted_run_is_judged_as_it_is(calls):
    layout, energy, _ = tiny()
    stopped = AirfoilStudy(layout, EnergyNet(Stops(calls, layout.size), energy.data, marginals=[layout["shape"]]))
    found = stopped.run(3, torch.arange(3), progress=False)
    assert found.status == 1
    assert found.message.startswith("interrupted ")
    assert len(found) == len(found.seeds) == len(found.success) == 3
    assert found.samples.cd.shape == (3, 3)
    again = stopped.judge(torch.tensor(found.samples["shape"].values))
    np.testing.assert_allclose(again.fun, found.fun)


def test_a_prior_of_something_else_is_refused():
    layout, energy, _ = tiny()
    for other in (Layout(u=(4,)), Layout(shape=(18,), polar=(25, 3), log_re=()), compose(layout, energy, 2)[0]):
        with pytest.raises(ValueError, match=r"got a prior over \{.*\}; expected one of airfoils at one condition"):
            AirfoilStudy(other, energy)


def test_judged_designs_that_cross_are_never_feasible():
    crossed = FOIL.clone().float()
    crossed[7], crossed[15] = -0.2, 0.2
    judged = study().judge(torch.stack([FOIL.float(), crossed]))
    assert not bool(judged.feasible[1])
    assert "its sides cross" in str(judged.reason.values[1])
    assert judged.fun.dims == ("sample",)


def test_a_run_survives_a_file(tmp_path):
    loaded = Result.load(result().save(tmp_path / "result.nc"))
    xarray.testing.assert_identical(loaded.samples, result().samples)
    assert loaded.config == json.loads(json.dumps(result().config))


def test_half_of_the_samples_are_the_coldest():
    for count in (1, 2, 5, 64):
        ladder = temperatures(count)
        assert ladder.shape == (count,)
        assert (ladder <= 1.0001 * COLDEST).all()
        assert (ladder >= 0.9999 * WARMEST).all()
        assert (ladder > 0.9999 * COLDEST).sum() >= count / 2


def test_margins_go_in_turn_and_stay_what_they_are():
    assert set(np.unique(result().samples["n_crit"].values).tolist()) <= set(MARGINS)
    turns = with_margins(xarray.Dataset({"fun": ("sample", np.zeros(7))}))["n_crit"].values
    assert turns.tolist() == [*MARGINS, *MARGINS, MARGINS[0]]


def test_a_design_is_refined_in_the_stream_of_its_margin():
    asked = study()
    shape, alpha = FOIL.float().expand(2, -1), torch.full((2, 3), 4.0)
    found = asked._near(shape, alpha, torch.tensor([9.0, 7.0]))
    for row, n_crit in enumerate((9.0, 7.0)):
        own = near_lift(NeuralFoil(n_crit=n_crit), shape[:1], alpha[:1], asked.lifts, asked.reynolds)[0]
        close(found["angle"][row], own.alpha[0], 1e-4)
        close(found["lift_slope"][row], own.lift_slope[0], 1e-4)


def test_baselines_are_judged_alike_and_take_a_reference(tmp_path):
    data = compared()["samples of the prior"]
    assert data.sizes["sample"] == 8
    assert data.shape.dtype == np.float32
    assert (cst.max_thickness(torch.tensor(data["shape"].values)) > 0).all()
    again = report.baselines(study(), count=8)["samples of the prior"]
    xarray.testing.assert_identical(data, again)
    file = tmp_path / "mine.dat"
    write_dat(file, "my airfoil", cst.outline(FOIL).numpy())
    mine = report.baselines(replace(study(), reference=report.read_reference(file)), count=2)["my airfoil"]
    x = cst.cosine(51, FOIL)  # fitted along its own chord, which is turned a little
    for got, wanted in zip(cst.surfaces(torch.tensor(mine["shape"].values[0]).double(), x), cst.surfaces(FOIL, x)):
        assert (got - wanted).abs().max() < 5e-3
    np.testing.assert_allclose(mine.thickness, cst.max_thickness(FOIL), rtol=5e-3)
    assert 0 < mine.attrs["fit_rms"] < 1e-3
    stepped = cst.outline(FOIL).numpy()
    stepped[20:60, 1] += 0.1
    write_dat(file, "my airfoil", stepped)
    with pytest.raises(ValueError, match=r"mine.dat: got an outline 0\.\d+ chords \(rms\) from the nearest shape"):
        report.read_reference(file)


# --- verification -------------------------------------------------------------------------------------------------

def test_without_the_program_nothing_is_verified_and_the_message_says_so():
    shape = torch.stack([FOIL, FOIL])
    found = verify(shape, torch.zeros(2, 3), DEFAULT_POINTS, XFOIL(program="no-such-program"), progress=False)
    for name in ("cl", "cd", "cm", "alpha", "mean_cd"):
        assert np.isnan(found[name]).all()
    assert found.attrs["message"].startswith("nothing was verified")
    assert "install XFOIL" in found.attrs["message"]
    assert (found.status == "missing").all()
    assert found.cd.dims == ("sample", "point")
    with pytest.raises(ValueError, match=r"got shape \(2, 18\), alpha \(2, 2\) and 3 points"):
        verify(shape, torch.zeros(2, 2), DEFAULT_POINTS)


def told(cds: dict[int, float], calls: list[list[int]] | None = None):
    """A program with these drags of the designs of :func:`judged`, by number; NaN, and none, are no answer."""
    known = judged(64)["shape"].values

    def verify(shape, alpha, points, progress):
        numbers = [int(np.abs(known - row).sum(-1).argmin()) for row in shape.numpy()]
        if calls is not None:
            calls.append(numbers)
        cd = np.array([np.full(3, cds.get(number, np.nan)) for number in numbers])
        blank = xarray.Dataset(dict.fromkeys(("cl", "cd", "cm", "alpha"), (("sample", "point"), cd)))
        status = np.where(np.isfinite(cd), "converged", "unconverged").astype(object)
        return blank.assign(status=(("sample", "point"), status)).assign_attrs(message="told")

    return verify


def judged(count: int, margins: tuple[float, ...] = (9.0,)) -> xarray.Dataset:
    """Designs of two counts of drag, then a little more each, refined with these margins in turn."""
    shape = normal(64, 18, seed=3).numpy()[:count] * 0.001 + FOIL.numpy()
    points = {k: (("sample", "point"), np.ones((count, 3))) for k in ("alpha", "confidence")}
    fun = 0.02 * (1 + 1e-3 * np.arange(count))
    return xarray.Dataset({"shape": (("sample", "weight"), shape), **points,
                           "cm": (("sample", "point"), np.full((count, 3), -0.1)),
                           "cd": (("sample", "point"), np.repeat(fun, 3).reshape(-1, 3)),
                           "n_crit": ("sample", np.resize(margins, count)), "fun": ("sample", fun)})


def test_a_design_is_confirmed_where_every_lift_costs_little_more_than_promised(monkeypatch):
    monkeypatch.setattr(choice, "verify", told({0: 0.0205, 2: 0.0215, 3: 0.019}))
    found = choice.confirm(study(), judged(4), best=3, progress=False)
    np.testing.assert_allclose(found.xfoil_fun, [0.0205, np.nan, 0.0215, 0.019])
    assert found.confirmed.values.tolist() == [True, False, False, True]
    assert sorted(found.place.values[[0, 3]].tolist()) == [0, 1]
    assert found.place.values[[1, 2]].tolist() == [2000, 2000]
    assert found.xfoil_status.values[1].tolist() == ["unconverged"] * 3
    assert "4 designs asked for, 3 verified" in found.xfoil_cd.attrs["message"]


def test_more_are_asked_for_until_enough_are_confirmed_and_what_was_not_asked_goes_before_what_was_refuted(monkeypatch):
    calls = []
    monkeypatch.setattr(choice, "verify", told(dict.fromkeys((8, 9, 10), 0.02), calls))
    stage = Decode(lambda samples: choice.confirm(study(), samples, 2, progress=False))
    samples = judged(16).assign(seed=("sample", np.arange(16)), reason=("sample", np.full(16, "", dtype=object)))
    found = stage(Ensemble(16, samples))
    asked = [number for call in calls for number in call]
    sure, refuted = sorted({8, 9, 10} & set(asked)), sorted(set(asked) - {8, 9, 10})
    assert all(len({8, 9, 10} & set(sum(calls[:i], []))) < 2 for i in range(3, len(calls)))  # or it would have stopped
    assert np.flatnonzero(found.samples["confirmed"].values).tolist() == sure
    best = found.best(16).tolist()
    assert sorted(best[: len(sure)]) == sure
    assert best[len(sure):] == [*sorted(set(range(16)) - set(asked)), *refuted]


def test_the_best_of_each_margin_are_asked_for_in_turn_and_then_those_that_promise_least(monkeypatch):
    calls = []
    cds = {i: 0.02 * (1.2 if i in (3, 4) else 1.0) for i in range(9)}
    monkeypatch.setattr(choice, "verify", told(cds, calls))
    choice.confirm(study(), judged(9, (9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 8.0, 7.0, 7.0)), best=3, progress=False)
    assert calls[0] == [0, 6, 7]
    assert sorted(sum(calls, [])) == list(range(9))


def test_what_is_promised_is_corrected_by_what_was_said_of_the_other_designs(monkeypatch):
    """A program that finds every drag four per cent higher is believed of the next design too, but for 1 / 10 n."""
    samples = judged(24)
    monkeypatch.setattr(choice, "verify", told(dict(enumerate(1.04 * samples.fun.values))))
    found = choice.confirm(study(), samples, best=4, progress=False)
    assert np.isfinite(found.xfoil_fun).sum() == 12
    np.testing.assert_allclose(found.promised, 1.04 * samples.fun, rtol=0.04 / (choice.CANDIDATES * 4))


def test_without_the_program_the_order_is_that_of_the_objective(monkeypatch):
    nothing = lambda shape, alpha, points, progress: verify(
        shape, alpha, points, XFOIL(program="no-such-program"), progress=False)
    monkeypatch.setattr(choice, "verify", nothing)
    found = choice.confirm(study(), judged(40), best=2, progress=False)
    assert not found.confirmed.any()
    assert (found.xfoil_status.values != "").any(-1).sum() == 2  # then it is known to be missing
    assert found.xfoil_cd.attrs["message"].startswith("nothing was verified")


@pytest.mark.parametrize("seed", range(3))
def test_a_portfolio_holds_the_best_and_is_as_far_apart_as_half_of_what_is_possible(seed):
    """The greedy rule is within a factor of two of the largest least distance there is (Gonzalez, 1985)."""
    shape = normal(9, 18, seed=seed).numpy() * 0.01 + FOIL.numpy()
    fun = 0.01 * (1 + 0.029 * np.random.default_rng(seed).random(9))
    chosen, apart = choice.portfolio(fun, shape, 4), choice.distances(shape)
    least = lambda some: min(apart[i, j] for i, j in itertools.combinations(some, 2))
    assert fun[chosen[0]] == fun.min()
    assert (np.diff(fun[chosen]) >= 0).all()
    assert least(chosen) >= 0.5 * max(map(least, itertools.combinations(range(9), 4)))


def test_a_portfolio_takes_only_what_is_as_good_unless_that_is_too_few():
    shape, fun = normal(5, 18).numpy(), np.array([1.02, 1.0, np.nan, 1.5, 1.2])
    assert choice.portfolio(fun, shape, 2).tolist() == [1, 0]
    assert choice.portfolio(fun, shape, 3).tolist() == [1, 0, 4]
    assert choice.portfolio(fun, shape, 10).tolist() == [1, 0, 4, 3]
    assert choice.portfolio(np.full(5, np.nan), shape, 3).tolist() == []


def test_distances_are_root_mean_squares_over_the_outline():
    shape = torch.stack([FOIL, 1.1 * FOIL]).numpy()
    first, second = (cst.outline(row).numpy() for row in torch.tensor(shape))
    wanted = np.sqrt(((first - second) ** 2).sum(-1).mean())
    np.testing.assert_allclose(choice.distances(shape), [[0, wanted], [wanted, 0]], atol=1e-9)


# --- the run directory --------------------------------------------------------------------------------------------

FILES = ["config.json", "design_01.dat", "design_02.dat", "design_03.dat", "design_04.dat", "designs.png",
         "report.html", "result.nc"]


@cache
def few() -> AirfoilStudy:
    """The study with few baselines, which take the time of a picture."""
    return study()


def test_a_run_directory_holds_what_it_says(tmp_path):
    open_figures, out = pyplot.get_fignums(), tmp_path / "out"
    assert reports.write(out, few(), result(), {"command": "design airfoil"}) == FILES
    assert sorted(os.listdir(out)) == FILES
    assert os.listdir(tmp_path) == ["out"]
    for i in range(4):
        name, outline = read_dat(out / f"design_{i + 1:02d}.dat")
        assert name == f"sciencegen design {i + 1}"
        shape = torch.tensor(result().samples["shape"].values[i], dtype=D)
        np.testing.assert_array_equal(outline, cst.outline(shape).numpy())
    np.testing.assert_array_equal(Result.load(out / "result.nc").fun, result().fun)
    record = json.loads((out / "config.json").read_text())
    assert record["files"] == FILES
    assert record["status"] == "finished"
    assert record["made"]["points"] == ["0.4@3e6", "0.8@1.5e6", "1.2@1e6"]
    assert " at 0x" not in (out / "config.json").read_text()
    assert (out / "designs.png").read_bytes().startswith(b"\x89PNG")
    assert pyplot.get_fignums() == open_figures


def test_a_run_directory_with_verification_and_without_a_feasible_design(tmp_path):
    ours, shape = result(), result().samples["shape"].values.copy()
    shape[2, 7], shape[2, 15] = -0.3, 0.3  # a design whose sides cross: there is no outline to write
    nothing = {f"xfoil_{k}": (("sample", "point"), np.full((4, 3), np.nan), {"message": "nothing was verified"})
               for k in ("cl", "cd", "cm", "alpha")}
    samples = ours.samples.assign(shape=(("sample", "weight"), shape), xfoil_fun=("sample", np.full(4, np.nan)),
                                  xfoil_status=(("sample", "point"), np.full((4, 3), "missing")), **nothing)
    bad = replace(ours, samples=samples, success=np.zeros(4, dtype=bool))
    names = reports.write(tmp_path / "out", few(), bad, {})
    assert names == sorted(os.listdir(tmp_path / "out"))
    assert set(FILES) - set(names) == {"design_03.dat"}
    with xarray.open_dataset(tmp_path / "out" / "verified.nc", engine="h5netcdf") as stored:
        assert np.isnan(stored.cd).all()
        assert stored.attrs["message"] == "nothing was verified"
    assert "XFOIL: nothing was verified" in study().judged(bad)
    reports.table(study(), bad)


def test_the_picture_tells_designs_apart_and_has_all_that_they_are_compared_with_on_its_axis():
    ours, foil = result(), study().judge(FOIL.float()[None]).assign_attrs(fit_rms=2e-4)
    figure, (polar, drag) = draw(ours, study().points, {"mine": foil}, None)
    figure.canvas.draw()
    titles = [axis.get_title() for axis in figure.axes if ":  " in axis.get_title()]
    assert titles[0].startswith(f"1:  {1e4 * ours.fun[0]:.2f}")
    assert len(titles) == len(ours)
    key = [text.get_text() for text in polar.get_legend().get_texts()]
    assert key[:3] == ["Re 3e6", "Re 1.5e6", "Re 1e6"]
    labels = [label.get_text() for label in drag.get_yticklabels()]
    assert labels[1].startswith("mine, fitted to 0.0002 chords")
    assert f"{1e4 * float(foil.fun[0]):.2f}" in labels[1]
    dots = np.concatenate([each.get_offsets().filled(np.nan)[:, 0] for each in drag.collections])
    low, high = drag.get_xlim()
    assert ((dots > low) & (dots < high)).all()
    assert len(dots) == len(ours) + 1
    pyplot.close(figure)


@pytest.mark.parametrize("broken", ["figure", "json", "dat", "nc"])
def test_a_run_is_whole_or_as_it_was(tmp_path, monkeypatch, broken):
    out = tmp_path / "out"
    out.mkdir()
    (out / "config.json").write_text("{}")
    (out / "verified.nc").write_text("of an older run")

    def fail(*args, **kwargs):
        raise OSError("no space left on device")

    target = {"figure": (pyplot.Figure, "savefig"), "json": (runs.json, "dumps"), "dat": (report, "write_dat"),
              "nc": (xarray.Dataset, "to_netcdf")}[broken]
    monkeypatch.setattr(*target, fail)
    monkeypatch.setattr(AirfoilStudy, "draw", lambda self, result: pyplot.subplots())
    with pytest.raises(OSError, match="no space"):
        reports.write(out, few(), result(), {}, overwrite=True)
    pyplot.close("all")
    assert os.listdir(tmp_path) == ["out"]
    assert sorted(os.listdir(out)) == ["config.json", "verified.nc"]


# --- an objective of the user's own -------------------------------------------------------------------------------

def objective_of(path: Path):
    return load_objective(path, report.trial(3), "objective(shape, cd, cm, confidence)", positive=True)


def objective_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "objective.py"
    path.write_text(text)
    return path


def test_an_objective_is_read_from_a_file(tmp_path):
    path = objective_file(tmp_path, "import torch\nweights = torch.tensor([3., 1., 1.]) / 5\n"
                                    "def objective(shape, cd, cm, confidence):\n    return (cd * weights).sum(-1)\n")
    function = objective_of(path)
    cd = torch.tensor([[0.01, 0.02, 0.03]])
    close(function(shape=None, cd=cd, cm=None, confidence=None), torch.tensor([0.016]), 1e-6)
    weighted = replace(study(), objective=function)
    judged = weighted.judge(FOIL.float()[None])
    np.testing.assert_allclose(judged.fun, judged.cd.values @ [0.6, 0.2, 0.2], rtol=1e-5)
    close(mean_drag(cd), torch.tensor([0.02]), 1e-6)


@pytest.mark.parametrize("text, error, message", [
    ("x = 1", ValueError, "without a function 'objective'; expected objective"),
    ("objective = 3", ValueError, "without a function 'objective'"),
    ("def objective(", ValueError, "SyntaxError"),
    ("import no_such_package", ValueError, "no_such_package"),
    ("def objective(cd): return cd.mean(-1)", ValueError, "TypeError"),
    ("def objective(cd, **_): return cd", ValueError, r"got \(2, 3\) from the objective"),
    ("def objective(cd, **_): return 1.0", ValueError, "got float from the objective"),
    ("def objective(cd, **_): return -cd.mean(-1)", ValueError, "expected numbers above 0"),
    ("def objective(cd, **_): return cd.detach().mean(-1)", TypeError, "without a gradient"),
    ("import numpy as np\ndef objective(cd, **_): return np.mean(cd.numpy(), -1)", ValueError, "RuntimeError"),
    ("def objective(cd, **_): return typo", ValueError, "NameError"),
])
def test_an_objective_that_is_none_is_refused_at_once(tmp_path, text, error, message):
    with pytest.raises(error, match=message) as caught:
        objective_of(objective_file(tmp_path, text))
    assert "objective.py" in str(caught.value)
    assert "expected" in str(caught.value)
