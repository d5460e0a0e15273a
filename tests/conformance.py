"""What every energy owes its users, as checks that run over every Energy class of the package.

A :class:`Case` is one energy; a check is a function of a case. To add an energy, add a case to ``CASES``: its class may
not be left out (:func:`missing`). ``tests/test_energy.py`` runs every check on every case.
"""

import copy
import importlib
import inspect
import io
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

import sciencegen
from oracles import close, covariance, normal
from sciencegen.constrain import Affine
from sciencegen.coupling import couple, solved
from sciencegen.energy import At, Denoised, Energy, Potential, Residual
from sciencegen.exact import Gaussian, Mixture
from sciencegen.guide import Moments, Projected, Tweedie
from sciencegen.layout import Layout, Variable
from sciencegen.nets.mlp import MLP, ScalarMLP
from sciencegen.priors import Denoiser, EnergyNet
from sciencegen.priors.stepper import Stepper
from sciencegen.studies.microstructure.steer import Steered
from sciencegen.studies.nbody.prior import FlightDenoiser
from sciencegen.tasks import Problem, Terms

LEVELS = [0.05, 0.7, 5.0]


@dataclass(frozen=True)
class Case:
    """An energy of states of ``size`` numbers, made anew by ``make``; ``graph``: its score can be differentiated."""

    name: str
    make: Callable[[], Energy]
    size: int
    graph: bool = True


# --- the cases ---------------------------------------------------------------------------------------------------

def awake(net: nn.Module) -> nn.Module:
    """A network with random weights everywhere, in float64; fresh ones are zero at the end."""
    for index, parameter in enumerate(net.parameters()):
        parameter.data = 0.3 * normal(*parameter.shape, seed=index)
    return net.double()


def gaussian(d: int) -> Gaussian:
    return Gaussian(normal(d), covariance(d))


def diagonal(d: int) -> Gaussian:
    return Gaussian(normal(d), normal(d, seed=3).exp())


def scalar(d: int) -> Gaussian:
    return Gaussian(normal(d), torch.tensor(0.7, dtype=torch.float64))


def low_rank(d: int, rank: int = 1) -> Gaussian:
    axes = torch.linalg.qr(normal(d, rank, seed=3)).Q
    return Gaussian(normal(d), torch.linspace(3, 0.3, rank + 1, dtype=torch.float64), axes)


def mixture(d: int) -> Mixture:
    return Mixture(torch.tensor([1.0, 2.0, 1.0]), normal(3, d, seed=2), torch.tensor([0.4, 0.7, 0.5]))


def bowl() -> Potential:
    return Potential(lambda x: (x**4).sum(-1) / 12 + x.prod(-1).tanh())


def law() -> Residual:
    return Residual(lambda x: x[..., 1:] - x[..., :-1] ** 2, noise=0.3, gain=torch.tensor([1.0, 2.0]))


def denoised() -> Denoised:
    return Denoised(lambda x, sigma: torch.tanh(x) / (1 + sigma))


def denoiser() -> Denoiser:
    return Denoiser(awake(MLP(3, 8, 1)), gaussian(3), marginals=[[0, 2], [1]], given=[[0, 1], [0, 2]])


def guided() -> Energy:
    alone = denoiser().marginal(THREE[1]).on(THREE[1])
    return alone + 2.5 * (denoiser().given(THREE[::2]) - alone)


def energynet() -> EnergyNet:
    return EnergyNet(awake(ScalarMLP(3, 8, 1)), gaussian(3), marginals=[[0, 2], [1]], given=[[0, 1]])


def decay(sigma: Tensor) -> Tensor:
    """A weight."""
    return 1 / (1 + sigma**2)


STATE = Layout(u=(4, 2), p=(3,))
U, P = STATE["u"], STATE["p"]
THREE = Layout(x=(3,))["x"]
PARTS = Layout(u=Variable((2,), loc=1.0, scale=3.0), c=())
MATRIX = torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, -1.0]], dtype=torch.float64)
SEEN = torch.tensor([0.3, -0.2], dtype=torch.float64)
COUPLED = Layout(u=(2,), v=())


def coupled(other: Problem | None = None) -> Energy:
    made = couple(u=Problem(COUPLED, gaussian(3)), v=other or Problem(COUPLED, gaussian(3))).prior
    made.tolerance = 1e-12
    return made


def halved() -> Problem:
    return solved(COUPLED, v=lambda u: u.sum(-1) / 4)


CASES = [
    Case("Gaussian", lambda: gaussian(3), 3),
    Case("Gaussian.marginal", lambda: gaussian(3).marginal(THREE[::2]), 2),
    Case("Gaussian, diagonal", lambda: diagonal(3), 3),
    Case("Gaussian, one variance", lambda: scalar(3), 3),
    Case("Gaussian of low rank", lambda: low_rank(5, 2), 5),
    Case("Gaussian of low rank.marginal", lambda: low_rank(4).marginal(Layout(x=(4,))["x"][:3]), 3),
    Case("Gaussian, given", lambda: gaussian(3).given(THREE[1:2]), 3),
    Case("Gaussian of low rank, given", lambda: low_rank(5, 2).given(Layout(x=(5,))["x"][1:4]), 5),
    Case("Gaussian, given and known", lambda: gaussian(3).given(THREE[::2]).at(THREE[::2], normal(2, seed=4)), 1),
    Case("At, with a law", lambda: At(gaussian(3).given(THREE[:1]) + bowl(), THREE[:1], normal(1)), 2),
    Case("Mixture", lambda: mixture(3), 3),
    Case("Mixture of one width", lambda: Mixture(torch.ones(2), normal(2, 3), 0.5), 3),
    Case("Mixture.marginal", lambda: mixture(3).marginal(THREE[1:]), 2),
    Case("Potential", bowl, 3),
    Case("Residual", law, 3),
    Case("Denoised", denoised, 3),
    Case("Denoiser", denoiser, 3),
    Case("Denoiser.marginal", lambda: denoiser().marginal(THREE[::2]), 2),
    Case("Denoiser, diagonal", lambda: Denoiser(awake(MLP(3, 8, 1)), diagonal(3)), 3),
    Case("Denoiser, one variance", lambda: Denoiser(awake(MLP(3, 8, 1)), scalar(3)), 3),
    Case("Denoiser of flights", lambda: FlightDenoiser(awake(MLP(3, 8, 1)), gaussian(3)), 3),
    Case("Denoiser of low rank", lambda: Denoiser(awake(MLP(5, 8, 1)), low_rank(5, 2)), 5),
    Case("Denoiser, given", lambda: denoiser().given(THREE[:2]), 3),
    Case("Denoiser of low rank, given", lambda: Denoiser(awake(MLP(5, 8, 1)), low_rank(5, 2),
                                                         given=[[3, 1]]).given(Layout(x=(5,))["x"][1:4:2]), 5),
    Case("Denoiser, guided without a classifier", guided, 3),
    Case("EnergyNet", energynet, 3),
    Case("EnergyNet, given", lambda: energynet().given(THREE[:2]), 3),
    Case("EnergyNet, given and known", lambda: energynet().given(THREE[:2]).at(THREE[:2], normal(2, seed=4)), 1),
    Case("EnergyNet, diagonal", lambda: EnergyNet(awake(ScalarMLP(3, 8, 1)), diagonal(3)), 3),
    Case("EnergyNet, one variance", lambda: EnergyNet(awake(ScalarMLP(3, 8, 1)), scalar(3)), 3),
    Case("EnergyNet of low rank", lambda: EnergyNet(awake(ScalarMLP(5, 8, 1)), low_rank(5, 2), [[0, 1, 4]]), 5),
    Case("EnergyNet.marginal", lambda: energynet().marginal(THREE[1:2]), 1),
    Case("Sum", lambda: 2 * gaussian(3) + mixture(3) - 0.5 * law() + decay * bowl(), 3),
    Case("Sum, score only", lambda: energynet() + decay * denoised() - 0.5 * gaussian(3), 3),
    Case("On a part", lambda: gaussian(3).on(P), 11),
    Case("On copies", lambda: (mixture(4) + decay * gaussian(4)).on(U.windows(2, 1)), 11),
    Case("On copies of copies", lambda: gaussian(2).on(U.windows(2, 2).pairs()[0]), 11),
    Case("On, a network", lambda: energynet().on(U[:, 0].each() & P[:2]) - energynet().on(P), 11),
    Case("On, score only", lambda: denoiser().on(P & U[0].each()[None][..., :0]) + gaussian(2).on(P[:2]), 11),
    Case("Conditionals", coupled, 3),
    Case("Conditionals with a solver", lambda: coupled(halved()), 3),
    Case("Solved", lambda: halved().prior, 3),
    Case("Tweedie", lambda: Tweedie(mixture(3), 0.5 * bowl() + law()), 3),
    Case("Tweedie, a network", lambda: Tweedie(energynet(), law()), 3),
    Case("Tweedie, a score-only prior", lambda: Tweedie(denoiser(), law()), 3),
    Case("Tweedie without backprop", lambda: Tweedie(mixture(3), bowl(), backprop=False), 3),
    Case("Moments", lambda: Moments(gaussian(3), MATRIX, SEEN, 0.2), 3, graph=False),
    Case("Moments, a network", lambda: Moments(denoiser(), lambda x: x[..., :2] - 1, SEEN, 0.2), 3, graph=False),
    Case("Moments around", lambda: Moments(denoiser(), MATRIX, SEEN, 0.2, around=gaussian(3)), 3, graph=False),
    Case("Moments, closed", lambda: Moments(denoiser(), MATRIX, SEEN, 0.2, 0, around=gaussian(3)), 3),
    Case("Moments in a sum", lambda: bowl() + Moments(mixture(3), MATRIX, SEEN, 0.2, 1), 3, graph=False),
    Case("Projected", lambda: Projected(mixture(3), Affine(MATRIX, SEEN)), 3),
    Case("Terms", lambda: Terms(Problem(PARTS, mixture(3), law()), lambda u, c: u.sum(-1) * c, decay, ()), 3),
]


def missing() -> list[str]:
    """The concrete Energy classes of the package that no case is of, nor has inside."""
    covered = {type(module) for case in CASES for module in case.make().modules()}
    for module in pkgutil.walk_packages(sciencegen.__path__, "sciencegen."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    apart = {Stepper,  # knows no density and no score, and says so: tests/test_priors_stepper.py
             Steered}  # of one study, one level for all rows: tests/test_studies_microstructure.py
    return [c.__name__ for c in _subclasses(Energy) if not inspect.isabstract(c) and c not in covered | apart]


def _subclasses(cls: type) -> Iterator[type]:
    for child in cls.__subclasses__():
        if child.__module__.startswith("sciencegen."):
            yield child
        yield from _subclasses(child)


# --- the checks --------------------------------------------------------------------------------------------------

def states(case: Case, *batch: int) -> Tensor:
    return 1.5 * normal(*batch, case.size, seed=5)


def score_is_minus_the_gradient_of_the_energy(case: Case) -> None:
    energy = case.make()
    for sigma in LEVELS:
        x = states(case, 5)
        if energy.exact:
            x.requires_grad_()
            (gradient,) = torch.autograd.grad(energy(x, torch.tensor(sigma, dtype=torch.float64)).sum(), x)
            close(energy.score(x.detach(), sigma), -gradient)
        else:
            with pytest.raises(TypeError, match="only the score of .* is known"):
                energy(x, torch.tensor(sigma, dtype=torch.float64))


def evaluate_agrees_with_forward_score_and_mean(case: Case) -> None:
    energy, x = case.make(), states(case, 5)
    for sigma in LEVELS:
        value, score, _ = energy.evaluate(x, sigma)
        assert (value is not None) == energy.exact
        close(energy.score(x, sigma), score)
        close(energy.mean(x, sigma), x + sigma**2 * score)
        if energy.exact:
            close(energy(x, torch.tensor(sigma, dtype=torch.float64)), value)


def batch_axes_are_free(case: Case) -> None:
    energy, x = case.make(), states(case, 6)
    value, score, _ = energy.evaluate(x, 0.7)
    for batch in ((2, 3), (1, 6), (6, 1, 1)):
        some_value, some_score, _ = energy.evaluate(x.reshape(*batch, case.size), 0.7)
        close(some_score, score.reshape(*batch, case.size))
        if energy.exact:
            close(some_value, value.reshape(batch))
    lone_value, lone, _ = energy.evaluate(x[2], 0.7)
    close(lone, score[2])
    if energy.exact:
        close(lone_value, value[2])


def sigma_may_be_a_number_or_one_per_row(case: Case) -> None:
    energy, x = case.make(), states(case, 3)
    levels = torch.tensor(LEVELS, dtype=torch.float64)
    value, score, _ = energy.evaluate(x, levels[:, None])
    for row, level in enumerate(levels):
        for sigma in (level, float(level), level[None], level.expand(3, 1)):
            some_value, some_score, _ = energy.evaluate(x, sigma)
            close(some_score[row], score[row])
            if energy.exact:
                close(some_value[row], value[row])
                close(energy(x, sigma)[row], value[row])
    grid_value, grid, _ = energy.evaluate(x.expand(2, 3, case.size), levels[:, None].expand(2, 3, 1))
    close(grid, score.expand(2, 3, case.size))
    if energy.exact:
        close(grid_value, value.expand(2, 3))


def rows_are_independent(case: Case) -> None:
    energy, x = case.make(), states(case, 5)
    value, score, _ = energy.evaluate(x, 0.7)
    for row in range(5):
        close(energy.score(x[row: row + 1], 0.7)[0], score[row])
        broken = x.clone()
        broken[row] = torch.nan
        others = torch.arange(5) != row
        bad_value, bad_score, _ = energy.evaluate(broken, 0.7)
        close(bad_score[others], score[others])
        if energy.exact:
            close(bad_value[others], value[others])


def an_energy_is_a_function(case: Case) -> None:
    energy, x = case.make(), states(case, 5)
    first = energy.score(x, 0.7)
    energy.score(-2 * x, 3.0)
    assert torch.equal(energy.score(x, 0.7), first), "it remembers the call before"
    assert torch.equal(copy.deepcopy(energy).score(x, 0.7), first)


def arguments_are_left_alone(case: Case) -> None:
    energy, x, sigma = case.make(), states(case, 5), torch.full((5, 1), 0.7, dtype=torch.float64)
    before = x.clone(), sigma.clone()
    for grad_mode in (True, False):
        with torch.set_grad_enabled(grad_mode):
            energy.evaluate(x, sigma)
            energy.mean(x, sigma)
            if energy.exact:
                energy(x, sigma)
        assert torch.equal(x, before[0])
        assert torch.equal(sigma, before[1])
        assert not x.requires_grad
        assert x.grad is None
    assert all(p.grad is None for p in energy.parameters())


def no_graph_without_grad_mode(case: Case) -> None:
    energy, x = case.make(), states(case, 5)
    for wants in (False, True):
        with torch.no_grad():
            value, score, _ = energy.evaluate(x.requires_grad_(wants), 0.7)
            assert not score.requires_grad
            assert not energy.mean(x, 0.7).requires_grad
            if energy.exact:
                assert not value.requires_grad
                assert not energy(x, torch.tensor(0.7, dtype=torch.float64)).requires_grad


def a_whole_graph_in_grad_mode(case: Case) -> None:
    energy, x, v, w = case.make(), states(case, 4).requires_grad_(), states(case, 4).cos(), states(case, 4).sin()
    if not case.graph:
        with pytest.raises(TypeError, match="which has none; put Moments outermost"):
            energy.score(x, 0.7)
        return
    (pulled,) = torch.autograd.grad((energy.score(x, 0.7) * v).sum(), x)
    step = 1e-5
    with torch.no_grad():
        pushed = (energy.score(x + step * w, 0.7) - energy.score(x - step * w, 0.7)) / (2 * step)
        close((pulled * w).sum(-1), (pushed * v).sum(-1), 1e-7)


def single_precision(case: Case) -> None:
    energy, x = case.make(), states(case, 5)
    value, score, _ = energy.evaluate(x, 0.7)
    some_value, some_score, _ = energy.float().evaluate(x.float(), 0.7)
    assert some_score.dtype == torch.float32
    assert energy.mean(x.float(), 0.7).dtype == torch.float32
    close(some_score.double(), score, 1e-4)
    if energy.exact:
        assert some_value.dtype == torch.float32
        close(some_value.double(), value, 1e-4)


def the_state_of_an_energy_can_be_saved(case: Case) -> None:
    energy, x = case.make(), states(case, 5)
    file = io.BytesIO()
    torch.save(energy.state_dict(), file)
    file.seek(0)
    other = copy.deepcopy(energy)
    for tensor in other.state_dict().values():
        tensor.add_(1)
    if energy.state_dict():
        assert not torch.equal(other.score(x, 0.7), energy.score(x, 0.7))
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other.score(x, 0.7), energy.score(x, 0.7))


def cpu(case: Case) -> None:
    _moves_to(case, "cpu")


def cuda(case: Case) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    _moves_to(case, "cuda")


def _moves_to(case: Case, device: str) -> None:
    energy, x = case.make(), states(case, 5)
    value, score, _ = energy.evaluate(x, 0.7)
    some_value, some_score, _ = energy.to(device).evaluate(x.to(device), 0.7)
    assert some_score.device.type == device
    close(some_score.cpu(), score)
    if energy.exact:
        close(some_value.cpu(), value)


CHECKS = [
    score_is_minus_the_gradient_of_the_energy, evaluate_agrees_with_forward_score_and_mean, batch_axes_are_free,
    sigma_may_be_a_number_or_one_per_row, rows_are_independent, an_energy_is_a_function, arguments_are_left_alone,
    no_graph_without_grad_mode, a_whole_graph_in_grad_mode, single_precision, the_state_of_an_energy_can_be_saved,
    cpu, cuda,
]  # fmt: skip
