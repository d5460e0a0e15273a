"""The CST shape against closed forms, against the polygon it draws, and against another implementation."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

from sciencegen.airfoil import Fit, cst, fit, normalize


def shapes(count: int, generator: torch.Generator) -> torch.Tensor:
    """Plausible random shapes (count, 18): an airfoil of some thickness and camber, its weights shaken."""
    base = torch.tensor([0.2] * 8 + [-0.12] * 8 + [0.0, 0.004], dtype=torch.float64)
    noise = torch.randn(count, 18, generator=generator, dtype=torch.float64)
    return base + noise * torch.tensor([0.03] * 16 + [0.05, 0.001], dtype=torch.float64)


def symmetric(weights: list[float], tail: float = 0.0) -> torch.Tensor:
    upper = torch.tensor(weights, dtype=torch.float64)
    return cst.join(upper, -upper, upper.new_zeros(()), upper.new_tensor(tail))


def naca4(thickness: float, camber: float, place: float, points: int) -> np.ndarray:
    """The outline of a NACA 4-digit airfoil from its defining formula, in Selig order."""
    x = (1 - np.cos(np.linspace(0, np.pi, points))) / 2
    half = 5 * thickness * (0.2969 * x**0.5 - 0.126 * x - 0.3516 * x**2 + 0.2843 * x**3 - 0.1015 * x**4)
    front = x <= place
    line = np.where(front, (2 * place * x - x**2) / place**2, (1 - 2 * place + 2 * place * x - x**2) / (1 - place) ** 2)
    slope = np.where(front, 2 * (place - x) / place**2, 2 * (place - x) / (1 - place) ** 2)
    turn = np.arctan(camber * slope)
    upper = np.stack([x - half * np.sin(turn), camber * line + half * np.cos(turn)], axis=1)
    lower = np.stack([x + half * np.sin(turn), camber * line - half * np.cos(turn)], axis=1)
    return np.concatenate([upper[::-1], lower[1:]])


def shoelace(loop: torch.Tensor) -> torch.Tensor:
    x, y = loop.unbind(-1)
    return (x * y.roll(-1, -1) - y * x.roll(-1, -1)).sum(-1) / 2


# --- the surface ------------------------------------------------------------------------------------------------


def test_equal_weights_are_the_class_function():
    # The Bernstein polynomials sum to 1, so equal weights w give w sqrt(x) (1 - x).
    x = torch.linspace(0, 1, 101, dtype=torch.float64)
    upper, lower = cst.surfaces(symmetric([0.3] * 8, tail=0.02), x)
    expected = 0.3 * x.sqrt() * (1 - x) + 0.01 * x
    torch.testing.assert_close(upper, expected)
    torch.testing.assert_close(lower, -expected)


def test_surface_equals_aerosandbox(generator):
    asb = pytest.importorskip("aerosandbox")
    for shape in shapes(5, generator):
        upper, lower, bend, tail = (part.numpy() for part in cst.split(shape))
        theirs = asb.KulfanAirfoil(
            upper_weights=upper, lower_weights=lower, leading_edge_weight=float(bend), TE_thickness=float(tail)
        )
        x = cst.cosine(51, shape)
        ours = cst.surfaces(shape, x)
        # Their stations come through a square root that loses digits at the nose; their formula has no such loss.
        np.testing.assert_allclose(ours[0], theirs.upper_coordinates(x.numpy()[::-1])[::-1, 1], atol=1e-12)
        np.testing.assert_allclose(ours[1], theirs.lower_coordinates(x.numpy())[:, 1], atol=1e-12)
        np.testing.assert_allclose(cst.area(shape), theirs.area(), rtol=1e-12)


@given(st.integers(0, 10**6), st.floats(-2, 2), st.floats(-2, 2))
def test_the_surface_is_linear_in_the_shape(seed, a, b):
    one, two = shapes(2, torch.Generator().manual_seed(seed))
    x = cst.cosine(31, one)
    for side in (0, 1):
        left = cst.surfaces(a * one + b * two, x)[side]
        torch.testing.assert_close(left, a * cst.surfaces(one, x)[side] + b * cst.surfaces(two, x)[side])


def test_split_and_join_are_inverse(generator):
    shape = shapes(6, generator).reshape(2, 3, 18)
    assert torch.equal(cst.join(*cst.split(shape)), shape)


def test_rows_are_independent_and_stations_may_differ_by_row(generator):
    shape, x = shapes(6, generator).reshape(2, 3, 18), torch.rand(2, 3, 7, generator=generator, dtype=torch.float64)
    upper, lower = cst.surfaces(shape, x)
    for i, j in np.ndindex(2, 3):
        alone = cst.surfaces(shape[i, j], x[i, j])
        torch.testing.assert_close((upper[i, j], lower[i, j]), alone)


def test_gradients_are_right_inside_and_finite_at_the_ends(generator):
    shape = shapes(2, generator).requires_grad_()
    inside = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64, requires_grad=True)
    assert gradcheck(cst.surfaces, (shape, inside))
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64, requires_grad=True)
    for grad in torch.autograd.grad(sum(side.sum() for side in cst.surfaces(shape, ends)), (shape, ends)):
        assert grad.isfinite().all()


@pytest.mark.parametrize("size", [(), (17,), (3, 16)])
def test_a_wrong_size_says_what_a_shape_is(size):
    with pytest.raises(ValueError, match=r"8 upper weights, 8 lower weights.*cst\.join"):
        cst.surfaces(torch.zeros(size), torch.zeros(3))


# --- what is measured on it -------------------------------------------------------------------------------------


def test_outline_runs_in_selig_order(generator):
    shape = shapes(4, generator)
    loop = cst.outline(shape, 41)
    assert loop.shape == (4, 81, 2)
    tail = cst.split(shape).trailing_edge
    torch.testing.assert_close(loop[:, 0], torch.stack([torch.ones_like(tail), tail / 2], -1))
    torch.testing.assert_close(loop[:, -1], torch.stack([torch.ones_like(tail), -tail / 2], -1))
    torch.testing.assert_close(loop[:, 40], torch.zeros(4, 2, dtype=torch.float64))
    assert (shoelace(loop) > 0).all()


def test_area_is_the_polygon_of_the_outline(generator):
    shape = shapes(4, generator)
    torch.testing.assert_close(cst.area(shape), shoelace(cst.outline(shape, 4001)), atol=1e-7, rtol=0)


def test_area_of_the_class_function_is_eight_fifteenths():
    # The integral of sqrt(x) (1 - x) is 4/15.
    torch.testing.assert_close(cst.area(symmetric([0.5] * 8)).item(), 0.5 * 8 / 15)


def test_thickness_and_camber_make_the_sides(generator):
    shape = shapes(4, generator)
    x = cst.cosine(21, shape)
    thickness, camber = cst.thickness(shape, x), cst.camber(shape, x)
    torch.testing.assert_close((camber + thickness / 2, camber - thickness / 2), cst.surfaces(shape, x))


def test_largest_thickness_of_the_class_function():
    # sqrt(x) (1 - x) is largest at x = 1/3.
    expected = 2 * 0.2 * (1 / 3) ** 0.5 * (2 / 3)
    assert abs(cst.max_thickness(symmetric([0.2] * 8)).item() - expected) < 2e-5


def test_largest_camber_keeps_its_sign(generator):
    shape = shapes(4, generator)
    upper, lower, bend, tail = cst.split(shape)
    torch.testing.assert_close(cst.max_camber(cst.join(-lower, -upper, -bend, tail)), -cst.max_camber(shape))


def test_least_thickness_tells_crossing_sides(generator):
    shape = shapes(4, generator)
    assert (cst.least_thickness(shape) > 0).all()
    upper, lower, bend, tail = cst.split(shape)
    dent = torch.tensor([0, 0, 0, 2.0, 0, 0, 0, 0], dtype=torch.float64)
    crossed = cst.join(upper - dent, lower, bend, tail)
    assert (cst.least_thickness(crossed) < 0).all()
    torch.testing.assert_close(
        cst.least_thickness(crossed), cst.thickness(crossed, torch.linspace(0.005, 0.995, 4001).double()).amin(-1),
        atol=1e-4, rtol=0,
    )  # fmt: skip


def test_leading_edge_radius_is_the_curvature_of_the_nose():
    shape = symmetric([0.21, 0.1, 0.3, 0.2, 0.2, 0.2, 0.2, 0.2])
    x = torch.tensor([1e-9], dtype=torch.float64)
    # The circle through the nose and a point (x, y) of a symmetric nose has the radius (x^2 + y^2) / 2x.
    y = cst.surfaces(shape, x)[0]
    torch.testing.assert_close(cst.leading_edge_radius(shape), ((x**2 + y**2) / (2 * x)).squeeze(), rtol=1e-6, atol=0)


def test_leading_edge_radius_of_naca_0012():
    # 1.1019 thickness^2, from the defining formula's square-root term. Near the nose that formula goes on with x, which
    # eight polynomials under a square root follow only roughly: 6 % of the radius, 3 % of the first weight.
    radius = cst.leading_edge_radius(fit(naca4(0.12, 0.0, 0.4, 200)).shape).item()
    assert abs(radius - 1.1019 * 0.12**2) < 0.07 * radius


def test_trailing_edge_angle_is_that_of_the_last_edges(generator):
    shape = shapes(4, generator)
    x = torch.tensor([1 - 1e-6, 1.0], dtype=torch.float64)
    rise = [torch.atan2(side[:, 1] - side[:, 0], x[1] - x[0]) for side in cst.surfaces(shape, x)]
    expected = torch.rad2deg(rise[1] - rise[0])
    torch.testing.assert_close(cst.trailing_edge_angle(shape), expected, atol=1e-3, rtol=0)


def test_measures_are_differentiable(generator):
    shape = shapes(2, generator).requires_grad_()
    smooth = (cst.area, cst.leading_edge_radius, cst.trailing_edge_angle, cst.max_thickness, cst.least_thickness)
    for measure in smooth:
        assert gradcheck(measure, (shape,)), measure.__name__


# --- the fit ----------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**6), st.floats(0.01, 1e3), st.floats(-0.6, 0.6), st.floats(-5, 5), st.floats(-5, 5))
def test_fit_finds_the_shape_wherever_the_outline_lies(seed, scale, turn, right, up):
    shape = shapes(1, torch.Generator().manual_seed(seed))[0]
    upper, lower, bend, tail = cst.split(shape)
    # A symmetric airfoil: with camber the point farthest from the tail is not 0, and the chord rightly another one.
    shape = cst.join(upper, -upper, 0 * bend, tail)
    loop = cst.outline(shape, 61).numpy()
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    found = fit(scale * loop @ rotation.T + np.array([right, up]))
    torch.testing.assert_close(found.shape, shape, atol=1e-7, rtol=0)
    assert found.largest < 2e-5


def test_fit_of_naca_2412():
    found = fit(naca4(0.12, 0.02, 0.4, 100))
    assert isinstance(found, Fit)
    assert found.rms < 5e-5
    assert found.largest < 1e-4
    assert abs(cst.max_thickness(found.shape).item() - 0.12) < 2e-4
    # A little less than 0.02: the leading edge, farthest from the tail, is above the start of the camber line.
    assert abs(cst.max_camber(found.shape).item() - 0.02) < 1e-3


def test_fit_error_is_the_distance_from_the_outline(generator):
    shape = symmetric([0.2] * 8)
    loop = cst.outline(shape, 401).numpy()
    loop[100, 1] += 0.003
    found = fit(loop)
    # The one raised point hardly moves the fit; the surface's slope there is small.
    assert abs(found.largest - 0.003) < 1.5e-4
    assert abs(found.rms - found.largest / len(loop) ** 0.5) < 5e-5


def test_fit_never_gives_a_negative_trailing_edge():
    loop = cst.outline(symmetric([0.2] * 8), 81).numpy()
    loop[:, 1] *= 1 - 0.8 * np.exp(-(((loop[:, 0] - 0.98) / 0.01) ** 2))  # pinched before the tail
    found = fit(loop)
    assert found.shape[-1] == 0
    assert found.largest > 1e-4


def test_normalize_puts_the_nose_at_zero_and_the_tail_at_one(generator):
    points = normalize(3.0 * cst.outline(shapes(1, generator)[0], 61).numpy() + 2.0)
    np.testing.assert_allclose((points[0] + points[-1]) / 2, [1, 0], atol=1e-12)
    assert np.hypot(*points.T).min() < 1e-3


@pytest.mark.parametrize("points", [40, 99, 200])
def test_the_chord_does_not_depend_on_which_points_are_given(points):
    # The nose of a cambered airfoil lies between points; the nearest of them would turn the chord by up to 0.2 degrees.
    def turned(points):
        x, y = np.subtract(*normalize(naca4(0.12, 0.02, 0.4, points))[[0, -1]])
        return np.degrees(np.arctan2(y, x))

    assert abs(turned(points) - turned(2000)) < 0.01
    found = fit(naca4(0.12, 0.02, 0.4, points)).shape
    assert abs(cst.max_camber(found).item() - 0.0191) < 1e-4


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda loop: loop[:9], "at least 10"),
        (lambda loop: loop * np.nan, "not finite"),
        (lambda loop: loop[:, :1], r"\(n, 2\)"),
    ],
)
def test_fit_refuses_what_is_no_outline(spoil, message):
    with pytest.raises(ValueError, match=message):
        fit(spoil(naca4(0.12, 0.02, 0.4, 30)))


def test_fit_leaves_its_argument_alone():
    points = naca4(0.12, 0.02, 0.4, 30)
    before = points.copy()
    fit(points)
    assert np.array_equal(points, before)
