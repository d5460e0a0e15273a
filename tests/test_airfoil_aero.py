"""NeuralFoil in torch against the package it comes from and the laws it obeys; trimming against exact solutions."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

import sciencegen.airfoil.aero
from sciencegen.airfoil import Aero, Counted, NeuralFoil, Search, cst, drag_at_lift, solve_alpha
from test_airfoil_cst import shapes

pytest.importorskip("neuralfoil")


def cases(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    uniform = torch.rand(2, count, generator=generator, dtype=torch.float64)
    return shapes(count, generator), 26 * uniform[0] - 8, 10 ** (4.5 + 3 * uniform[1])


@pytest.fixture(scope="module")
def aero() -> NeuralFoil:
    return NeuralFoil()


# --- the network ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize(
    "size, settings",
    [
        ("xlarge", {}),
        ("xxsmall", {"n_crit": 4.0}),
        ("medium", {"n_crit": 12.0, "xtr_upper": 0.2, "xtr_lower": 0.7}),
    ],
)
def test_equals_neuralfoil(generator, size, settings, dtype, tolerance):
    import neuralfoil

    shape, alpha, reynolds = cases(300, generator)
    upper, lower, bend, tail = cst.split(shape)
    kulfan = {
        "upper_weights": upper.T.numpy(),
        "lower_weights": lower.T.numpy(),
        "leading_edge_weight": bend.numpy(),
        "TE_thickness": tail.numpy(),
    }
    theirs = neuralfoil.get_aero_from_kulfan_parameters(
        kulfan, alpha.numpy(), reynolds.numpy(), model_size=size, **settings
    )
    ours = NeuralFoil(size, **settings)(shape.to(dtype), alpha.to(dtype), reynolds.to(dtype))
    names = {
        "cl": "CL", "cd": "CD", "cm": "CM", "confidence": "analysis_confidence",
        "upper_transition": "Top_Xtr", "lower_transition": "Bot_Xtr",
    }  # fmt: skip
    for name, key in names.items():
        value = getattr(ours, name)
        assert value.dtype == dtype
        torch.testing.assert_close(value.double(), torch.from_numpy(theirs[key]), atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(ours.log_cd.exp(), ours.cd)


def test_an_airfoil_upside_down_flies_upside_down(generator):
    shape, alpha, reynolds = cases(50, generator)
    upper, lower, bend, tail = cst.split(shape)
    up = NeuralFoil(xtr_upper=0.3, xtr_lower=0.9)(shape, alpha, reynolds)
    down = NeuralFoil(xtr_upper=0.9, xtr_lower=0.3)(cst.join(-lower, -upper, -bend, tail), -alpha, reynolds)
    mirrored = Aero(
        -down.cl, down.cd, -down.cm, down.confidence, down.log_cd, down.lower_transition, down.upper_transition
    )
    torch.testing.assert_close(mirrored, up)


def test_gradients(aero, generator):
    shape, alpha, reynolds = cases(3, generator)
    inputs = (shape.requires_grad_(), alpha.requires_grad_(), reynolds.log().requires_grad_())
    for name in ("cl", "cd", "cm", "confidence", "log_cd"):
        assert gradcheck(lambda s, a, r, name=name: getattr(aero(s, a, r.exp()), name), inputs)


def test_everything_broadcasts_and_rows_are_independent(aero, generator):
    shape, alpha, reynolds = cases(4, generator)
    grid = aero(shape[:, None, None], alpha[:, None], reynolds)
    assert grid.cl.shape == (4, 4, 4)
    for i, j, k in [(0, 1, 2), (3, 0, 3), (2, 2, 1)]:
        alone = aero(shape[i], alpha[j], reynolds[k])
        torch.testing.assert_close(Aero(*(field[i, j, k] for field in grid)), alone)
    numbers = aero(shape[0], 3.0, 1e6)
    torch.testing.assert_close(numbers, aero(shape[0], torch.tensor(3.0).double(), torch.tensor(1e6).double()))


def test_confidence_is_lost_far_from_the_training_data(aero, generator):
    shape = shapes(20, generator)
    near, far = aero(shape, 2.0, 1e6), aero(shape + 1.0, 2.0, 1e6)
    assert near.confidence.median() > 0.8
    assert far.confidence.max() < 0.01


def test_gradients_stay_finite_for_absurd_inputs(aero):
    shape = torch.full((3, 18), 30.0, requires_grad=True)
    alpha = torch.tensor([-180.0, 0.0, 90.0], requires_grad=True)
    flow = aero(shape, alpha, torch.tensor([1.0, 1e6, 1e12]))
    for grad in torch.autograd.grad(flow.log_cd.sum() + flow.confidence.sum() + flow.cl.sum(), (shape, alpha)):
        assert grad.isfinite().all()


def test_nothing_is_trained_and_nothing_is_saved(aero):
    assert list(aero.parameters()) == []
    assert aero.state_dict() == {}
    assert repr(aero) == "NeuralFoil(xlarge, n_crit=9, xtr_upper=1, xtr_lower=1)"


def test_counted_counts_points_and_changes_nothing(aero, generator):
    shape, alpha, reynolds = cases(4, generator)
    counted = Counted(aero)
    torch.testing.assert_close(counted(shape[:, None], alpha, reynolds), aero(shape[:, None], alpha, reynolds))
    counted(shape, 3.0, 1e6)
    assert counted.rows == 16 + 4


def test_an_unknown_size_names_the_known_ones():
    with pytest.raises(ValueError, match=r"got size='huge'; expected one of \['large', .*'xxxlarge'\]"):
        NeuralFoil("huge")


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(sciencegen.airfoil.aero, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "sciencegen\[aero\]"'):
        NeuralFoil()


def test_the_optional_packages_are_not_imported():
    code = (
        "import sys, sciencegen.airfoil as a; a.NeuralFoil(); a.uiuc.names();"
        "print(sorted({'aerosandbox', 'neuralfoil'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


# --- trimming ---------------------------------------------------------------------------------------------------


def bent(shape: Tensor, alpha: Tensor, reynolds: Tensor) -> Aero:
    """A lift curve with known answers: cl = 1.5 - (alpha - 15)^2 / 150 + camber, and cd = alpha^2 + Re."""
    cl = 1.5 - (alpha - 15) ** 2 / 150 + shape[..., 0]
    other = torch.zeros_like(cl)
    drag = (alpha**2 + reynolds).expand_as(cl)
    return Aero(cl, drag, other, other + 1, drag.log(), other, other)


@pytest.fixture
def shape() -> Tensor:
    return torch.linspace(-0.1, 0.1, 5, dtype=torch.float64)[:, None] * torch.eye(18, dtype=torch.float64)[0]


def test_trim_of_a_parabola_is_its_lower_root(shape):
    alpha = solve_alpha(bent, shape, 0.7, 1.0, Search(steps=6))
    torch.testing.assert_close(alpha, 15 - (150 * (0.8 + shape[:, 0])).sqrt(), atol=1e-9, rtol=0)


def test_trim_out_of_reach_is_the_peak(shape):
    shape.requires_grad_()
    trim = drag_at_lift(bent, shape, 2.5, 1.0)
    torch.testing.assert_close(trim.alpha, torch.full((5,), 15.0, dtype=torch.float64))
    torch.testing.assert_close(trim.cl, 1.5 + shape[:, 0])
    # The envelope theorem: the largest lift grows with the shape as the lift at a fixed angle does.
    torch.testing.assert_close(torch.autograd.grad(trim.cl.sum(), shape)[0][:, 0], torch.ones(5).double())


def test_trim_just_below_the_peak_is_found_between_the_coarse_angles(shape):
    # The coarse angles are 4 degrees apart, at 14 and 18: the lift there is at most 1.4934.
    trim = drag_at_lift(bent, torch.zeros(18, dtype=torch.float64), 1.499, 1.0, Search(steps=8))
    torch.testing.assert_close(trim.cl.item(), 1.499)
    assert trim.alpha < 15


def test_trim_derivatives_are_those_of_the_implicit_function(shape):
    target = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    flow = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    trim = drag_at_lift(bent, shape.requires_grad_(), target, flow, Search(steps=8))
    root = (150 * (1.5 + shape[:, 0] - target)).sqrt()
    expected = ((15 - root) ** 2 + flow).sum()
    wanted = torch.autograd.grad(expected, (shape, target, flow))
    torch.testing.assert_close(torch.autograd.grad(trim.cd.sum(), (shape, target, flow)), wanted)


@pytest.mark.parametrize("reynolds", [3e5, 3e6])
@pytest.mark.parametrize("cl", [0.2, 0.7])
def test_trim_reaches_the_lift_below_stall(aero, generator, cl, reynolds):
    trim = drag_at_lift(aero, shapes(100, generator), cl, reynolds)
    assert ((trim.cl - cl).abs() < 1e-3).double().mean() > 0.97
    torch.testing.assert_close(trim.cl.median().item(), cl, atol=1e-6, rtol=0)
    torch.testing.assert_close(trim.log_cd.exp(), trim.cd)


def test_trim_gradient_is_that_of_drag_at_constant_lift(aero, generator):
    shape, target = shapes(3, generator).requires_grad_(), torch.tensor([0.3, 0.5, 0.8]).double().requires_grad_()

    def drag(shape, target):
        return drag_at_lift(aero, shape, target, 1e6, Search(steps=12)).log_cd

    assert gradcheck(drag, (shape, target))


def test_trim_counts_its_rows_and_broadcasts(aero, generator):
    counted = Counted(aero)
    trim = drag_at_lift(counted, shapes(4, generator)[:, None], torch.tensor([0.3, 0.6, 0.9]).double(), 1e6)
    assert trim.alpha.shape == (4, 3)
    assert counted.rows == 8 * 4 + (3 + 3) * 12


def test_trim_builds_no_graph_where_none_is_wanted(aero, generator):
    shape = shapes(2, generator).requires_grad_()
    with torch.no_grad():
        trim = drag_at_lift(aero, shape, 0.5, 1e6)
    assert not any(field.requires_grad for field in trim)
    assert shape.grad is None
    attached = drag_at_lift(aero, shape, 0.5, 1e6)
    torch.testing.assert_close(tuple(field.detach() for field in attached), tuple(trim))


@pytest.mark.parametrize("wrong", [{"low": 5.0, "high": 5.0}, {"coarse": 2}])
def test_trim_refuses_angles_that_bracket_nothing(shape, wrong):
    with pytest.raises(ValueError, match="expected low < high and at least 3"):
        Search(**wrong)
