"""The algebra of energies, and what every energy owes its users."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import sciencegen.energy
from conformance import CASES, CHECKS, bowl, decay, denoised, gaussian, missing, mixture
from oracles import close, normal
from sciencegen.energy import At, Denoised, Energy, On, Potential, Residual, Sum, terms_of
from sciencegen.layout import Layout


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_conformance(case, check):
    check(case)


def test_no_energy_of_the_package_is_left_out():
    assert missing() == [], "give each a Case in tests/conformance.py"


def test_an_energy_that_is_left_out_would_be_found(monkeypatch):
    class Forgotten(Potential):
        """Nobody made a case of it."""

        __module__ = "sciencegen.energy"

    assert "Forgotten" in missing()


# --- the algebra -------------------------------------------------------------------------------------------------

ATOMS = [gaussian(3), mixture(3), bowl(), denoised()]
numbers = st.floats(-3, 3)


def leaf(index):
    return ATOMS[index], {index: lambda sigma: 1.0}, 1


def plus(a, b, sign=1.0):
    """The sum, or the difference, of two (energy, coefficient of each atom as a function of sigma, terms)."""
    coefficients = {i: lambda s, i=i: sum(k * e[1][i](s) for k, e in ((1, a), (sign, b)) if i in e[1])
                    for i in a[1] | b[1]}
    return (a[0] + b[0] if sign > 0 else a[0] - b[0]), coefficients, a[2] + b[2]


def times(weight, a, left):
    at = weight if callable(weight) else lambda sigma: weight
    coefficients = {i: (lambda s, f=f: at(s) * f(s)) for i, f in a[1].items()}
    return (weight * a[0] if left else a[0] * weight), coefficients, a[2]


expressions = st.recursive(
    st.integers(0, 3).map(leaf),
    lambda inner: st.one_of(
        st.builds(plus, inner, inner, st.sampled_from([1.0, -1.0])),
        st.builds(times, st.one_of(numbers, st.just(decay)), inner, st.booleans()),
        inner.map(lambda a: (-a[0], times(-1, a, True)[1], a[2])),
    ),
    max_leaves=6,
)


@given(expressions)
def test_an_expression_is_the_linear_combination_that_it_reads_as(expression):
    energy, coefficients, count = expression
    x, sigma = normal(4, 3), torch.tensor([[0.1], [0.5], [1.0], [4.0]], dtype=torch.float64)
    score = sum(c(sigma) * ATOMS[i].score(x, sigma) for i, c in coefficients.items())
    close(energy.score(x, sigma), torch.zeros_like(x) + score)
    assert energy.exact == all(ATOMS[i].exact for i in coefficients)
    if energy.exact:
        parts = [c(sigma) * ATOMS[i](x, sigma)[:, None] for i, c in coefficients.items()]
        close(energy(x, sigma), sum(parts)[:, 0])
    else:
        with pytest.raises(TypeError, match="only the score of Denoised is known"):
            energy(x, sigma)
    assert len(terms_of(energy)) <= count
    numbers = [id(term) for weight, term in terms_of(energy) if not callable(weight)]
    assert len(numbers) == len(set(numbers)), "the same energy is never there twice"
    assert not any(isinstance(term, Sum) for _, term in terms_of(energy)), "a sum of sums is flat"


def test_linearity_in_one_line():
    a, b, x = gaussian(3), mixture(3), normal(5, 3)
    close((a + 2 * b - 0.5 * b).score(x, 1.0), a.score(x, 1.0) + 1.5 * b.score(x, 1.0))


def test_python_sums_energies():
    parts = [gaussian(3), mixture(3), bowl()]
    x = normal(5, 3)
    close(sum(parts).score(x, 0.5), parts[0].score(x, 0.5) + parts[1].score(x, 0.5) + parts[2].score(x, 0.5))
    assert sum(parts[:1]) is parts[0]


def test_energies_do_not_multiply_and_numbers_do_not_add():
    with pytest.raises(TypeError, match=r"^energies add .*: got Gaussian \* Mixture; expected a \+ b"):
        gaussian(3) * mixture(3)
    for wrong in (lambda: gaussian(3) + 1.0, lambda: 1.0 + gaussian(3), lambda: gaussian(3) - 1.0):
        with pytest.raises(TypeError, match="unsupported operand"):
            wrong()


def test_exactness_propagates():
    exact, score_only = gaussian(2), Denoised(lambda x, sigma: x / 2)
    view = Layout(u=(4,))["u"].windows(2, 1)
    assert (exact + 2 * exact.on(Layout(u=(2,))["u"])).exact
    assert exact.on(view).exact
    assert not score_only.on(view).exact
    assert not (exact.on(view) - 0.0 * score_only.on(view)).exact


def test_on_sums_copies():
    pair, u, x = gaussian(2), Layout(u=(5,))["u"], normal(3, 5)
    windows = pair.on(u.windows(2, 1))
    close(windows(x, 0.3), sum(pair(x[:, i: i + 2], 0.3) for i in range(4)))
    pairs = pair.on(u.pairs())
    close(pairs(x, 0.3), sum(pair(x[:, [i, j]], 0.3) for i in range(5) for j in range(i + 1, 5)))


def test_on_wants_a_state_of_its_layout():
    energy = gaussian(2).on(Layout(u=(4,))["u"].windows(2, 1))
    for ask in (energy, energy.score):
        with pytest.raises(ValueError, match=r"got a state of 5 numbers; expected 4, as 'u.windows\(2,1\)' has"):
            ask(torch.zeros(3, 5), 1.0)


# --- formulas ----------------------------------------------------------------------------------------------------

def test_the_repr_of_an_energy_is_its_formula():
    u = Layout(u=(6,))["u"]
    two, one = gaussian(2), gaussian(1)
    formula = "1.0·Gaussian(u.windows(2,1)) + -1.0·Gaussian(u[1:5].windows(1,1))"
    assert repr(two.on(u.windows(2, 1)) - one.on(u[1:5].windows(1, 1))) == formula
    assert repr(2 * (two + 0.5 * mixture(2))) == "2.0·Gaussian + 1.0·Mixture"
    assert repr((two + mixture(2)).on(u[:2])) == "(1.0·Gaussian + 1.0·Mixture)(u[:2])"
    assert repr(decay * two) == "decay·Gaussian"
    assert repr(bowl() - 0.5 * (decay * two)) == "1.0·Potential + -1.0·0.5·decay·Gaussian"


# --- terms -------------------------------------------------------------------------------------------------------

def test_a_residual_is_loose_where_the_state_is_uncertain():
    law, x = Residual(lambda x: 2 * x, noise=0.3, gain=2.0), normal(5, 3)
    for sigma in (0.0, 0.1, 10.0):
        close(law(x, sigma), ((2 * x) ** 2).sum(-1) / (2 * (0.3**2 + 4 * sigma**2)))
    each = Residual(lambda x: x, noise=torch.tensor([0.1, 0.2, 0.3]), gain=torch.tensor([0.0, 1.0, 2.0]))
    variance = torch.tensor([0.01, 0.04 + 0.25, 0.09 + 1.0], dtype=torch.float64)
    close(each(x, 0.5), (x**2 / (2 * variance)).sum(-1), 1e-7)


def test_a_potential_is_the_same_at_every_level():
    x = normal(5, 3)
    assert torch.equal(bowl()(x, 0.01), bowl()(x, 10.0))


def test_the_mean_of_a_denoised_network_is_the_network():
    net, x = lambda x, sigma: torch.tanh(x) / (1 + sigma), normal(5, 3)
    for sigma in (0.01, 1.0, 50.0):
        close(Denoised(net).mean(x, sigma), net(x, sigma))


@pytest.mark.parametrize(
    "function, error, text",
    [
        (lambda x: x.sum(), ValueError, r"got energies of shape \(\) for a state of shape \(5, 3\)"),
        (lambda x: x.sum(-1, keepdim=True), ValueError, r"expected one number per row, \(5,\)"),
        (lambda x: x.detach().sum(-1), TypeError, "got an energy without a gradient"),
        (lambda x: torch.as_tensor(x.detach().numpy().sum(-1)), TypeError, "no numpy, detach or no_grad inside"),
    ],
)
def test_a_potential_that_cannot_be_one_is_refused(function, error, text):
    with pytest.raises(error, match=text):
        Potential(function).score(torch.zeros(5, 3), 1.0)


def test_an_unknown_marginal_says_what_has_one():
    with pytest.raises(TypeError, match="the marginal of Potential on 'u' is not known; expected a Gaussian or"):
        bowl().marginal(Layout(u=(3,))["u"])


def test_the_public_names():
    kinds = [getattr(sciencegen.energy, name) for name in sciencegen.energy.__all__]
    energies = {kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Energy)}
    assert energies == {At, Denoised, Energy, On, Potential, Residual, Sum}
