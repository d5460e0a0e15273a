"""Fields of one model each: their joint density, where deterministic ones agree, and structures of like components."""

import pytest
import torch

import sciencegen as sg
from sciencegen.coupling import Conditionals, components, couple, residuals, solved
from sciencegen.coupling.agreement import agree, contraction

N = 6
LAYOUT = sg.Layout(u=(N,), v=(N,))
U, V = torch.arange(N), torch.arange(N, 2 * N)


class Hidden(sg.Energy):
    """A Gaussian that says its score and nothing else, as a network does; it counts its calls."""

    exact = False

    def __init__(self, energy, calls):
        super().__init__()
        self.energy, self.calls = energy, calls

    def forward(self, x, sigma):
        raise TypeError

    def plan(self, x, sigma):
        self.calls.append(len(x))
        return self.energy.plan(x, sigma)

    def takes(self, rows):
        return self.energy.takes(rows)

    def given(self, view):
        return Hidden(self.energy.given(view), self.calls)


def covariance(rho, seed=0):
    """Of both fields, whose largest canonical correlation is ``rho``."""
    generator = torch.Generator().manual_seed(seed)
    one, two = (torch.linalg.qr(torch.randn(N, N, generator=generator, dtype=torch.float64))[0] for _ in range(2))
    spread = torch.linspace(0.5, 1.5, N, dtype=torch.float64)
    across = one * (spread**2 * rho * torch.linspace(1, 0.1, N)) @ two.mT
    top = torch.cat([one * spread**2 @ one.mT, across], 1)
    return torch.cat([top, torch.cat([across.mT, two * spread**2 @ two.mT], 1)])


def decoupled(cov, own, other, spread=4.0):
    """The Gaussian of a field and of conditions that were drawn from elsewhere: the conditional is right."""
    gain = torch.linalg.solve(cov[other][:, other], cov[other][:, own]).mT
    rest = cov[own][:, own] - gain @ cov[other][:, own]
    made = torch.zeros_like(cov)
    made[other[:, None], other] = spread * torch.eye(N, dtype=torch.float64)
    made[own[:, None], own], made[own[:, None], other] = rest + spread * gain @ gain.mT, spread * gain
    made[other[:, None], own] = spread * gain.mT
    return sg.Gaussian(cov.new_zeros(2 * N), made)


def pair(cov, calls=None, **options):
    wrap = (lambda e: e) if calls is None else (lambda e: Hidden(e, calls))
    return couple(u=sg.Problem(LAYOUT, wrap(decoupled(cov, U, V))), v=sg.Problem(LAYOUT, wrap(decoupled(cov, V, U))),
                  **options)


@pytest.mark.parametrize("rho", [0.3, 0.95, 0.99])
@pytest.mark.parametrize("sigma", [30.0, 1.0, 0.05])
def test_agreeing_means_are_the_joint_densitys(rho, sigma):
    cov = covariance(rho)
    joint = sg.Gaussian(cov.new_zeros(2 * N), cov)
    white = torch.randn(5, 2 * N, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x, calls = joint.coloured(white, 0.5, sigma), []
    found = pair(cov, calls, sweeps=60).prior.evaluate(x, sigma)
    spread = sigma / (1 + sigma**2) ** 0.5
    off = (sigma**2 * (found.score - joint.score(x, sigma))).square().mean().sqrt() / spread
    assert off < 1e-3 / (1 - rho**2)  # a change of 1e-3 a sweep, and what is still to come
    assert found.told["sweeps"].mean() <= 15
    assert torch.allclose(pair(cov).prior.score(x, sigma), joint.score(x, sigma), rtol=1e-8, atol=1e-9)


def test_the_gaussian_of_conditionals_is_the_joint_one():
    cov = covariance(0.9)
    found = pair(cov).prior.gaussian()
    assert torch.allclose(found.cov, cov, atol=1e-9)
    assert pair(cov, []).prior.gaussian() is None


def test_units_of_each_model_are_its_own():
    cov = covariance(0.8)
    other = sg.Layout(u=sg.Variable((N,), loc=1.0, scale=2.0), v=(N,))  # 2 u' + 1 = u
    moved = torch.cat([torch.full((N,), 0.5), torch.ones(N)]).double()
    scaled = decoupled(cov, V, U)
    center = torch.cat([torch.full((N,), -0.5), torch.zeros(N)]).double()
    scaled = sg.Gaussian(center, moved[:, None] * scaled.cov * moved)
    found = couple(u=sg.Problem(LAYOUT, decoupled(cov, U, V)), v=sg.Problem(other, scaled)).prior.gaussian()
    assert torch.allclose(found.cov, cov, atol=1e-9)
    assert found.center.abs().max() < 1e-9


def test_rows_are_independent():
    cov = covariance(0.95)
    energy = pair(cov, []).prior
    x = torch.randn(4, 2 * N, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    sigma = torch.tensor([[0.1], [1.0], [3.0], [10.0]], dtype=torch.float64)
    alone = torch.cat([energy.score(x[k:k + 1], sigma[k:k + 1]) for k in range(4)])
    assert torch.allclose(energy.score(x, sigma), alone, rtol=1e-9, atol=1e-12)


def test_gradients_are_of_the_means_that_agree():
    cov = covariance(0.9)
    joint, x = sg.Gaussian(cov.new_zeros(2 * N), cov), torch.linspace(-1, 1, 2 * N, dtype=torch.float64)[None]
    energy = pair(cov, [], sweeps=60).prior
    energy.tolerance = 1e-9
    slope = lambda e: torch.autograd.functional.jacobian(lambda y: e.mean(y, 0.7)[0], x)[:, 0]
    assert torch.allclose(slope(energy), slope(joint), atol=1e-7)


def test_conditionals_of_no_density_are_refused():
    cov = covariance(0.5)
    strong = decoupled(cov, U, V)
    gain = 3 * torch.eye(N, dtype=torch.float64)
    made = strong.cov.clone()
    made[:N, :N], made[:N, N:], made[N:, :N] = torch.eye(N) + 4 * gain @ gain.mT, 4 * gain, 4 * gain.mT
    swapped = made.roll((N, N), (0, 1))
    swapped[:N, N:], swapped[N:, :N] = -swapped[:N, N:], -swapped[N:, :N]
    problem = couple(u=sg.Problem(LAYOUT, sg.Gaussian(cov.new_zeros(2 * N), made)),
                     v=sg.Problem(LAYOUT, sg.Gaussian(cov.new_zeros(2 * N), swapped)))
    with pytest.raises(ValueError, match="no joint density has them"):
        problem.prior.score(torch.ones(3, 2 * N, dtype=torch.float64), 10.0)


def test_samples_have_the_joint_covariance():
    cov, count = covariance(0.95), 4000
    found = sg.draw(pair(cov), sg.Multistep(sg.karras(12, 0.02, 40.0, dtype=torch.float64)), count,
                    torch.arange(count), progress=False).samples
    x = torch.cat([torch.as_tensor(found[k].values) for k in ("u", "v")], 1)
    assert (torch.cov(x.mT) - cov).norm() / cov.norm() < 3 * (2 * N / count) ** 0.5


def test_a_task_takes_coupled_fields():
    cov = covariance(0.9)
    problem, joint = pair(cov), sg.Problem(LAYOUT, sg.Gaussian(cov.new_zeros(2 * N), cov))
    measure, data = sg.Entries("u", slice(0, 2)), torch.tensor([1.0, -1.0], dtype=torch.float64)
    sampler = sg.Multistep(sg.karras(16, 0.02, 40.0, dtype=torch.float64))
    ask = lambda p: sg.invert(p, measure, data, 0.1, sampler, 8, torch.arange(8), progress=False).samples
    assert abs(ask(problem) - ask(joint)).max().to_array().max() < 1e-6


def test_a_design_of_one_field_for_the_other():
    cov = covariance(0.9)
    problem, joint = pair(cov), sg.Problem(LAYOUT, sg.Gaussian(cov.new_zeros(2 * N), cov))
    sampler = sg.Multistep(sg.karras(12, 0.02, 40.0, dtype=torch.float64))
    ask = lambda p: sg.design(p, lambda u, v: (v[..., 0] - 2) ** 2, 5.0, sampler, 4, seeds=torch.arange(4),
                              progress=False).samples
    assert abs(ask(problem) - ask(joint)).max().to_array().max() < 1e-2  # the adjoint is solved to a thousandth


def test_a_forecast_of_coupled_fields():
    step = torch.tensor([[0.8, 0.3], [-0.2, 0.7]], dtype=torch.float64)
    kick = torch.tensor([[0.3, 0.1], [0.1, 0.2]], dtype=torch.float64)
    still = kick.clone()
    for _ in range(300):
        still = step @ still @ step.mT + kick
    ahead = [torch.linalg.matrix_power(step, k) @ still for k in range(N)]
    blocks = [[ahead[i - j] if i >= j else ahead[j - i].mT for j in range(N)] for i in range(N)]
    cov = torch.cat([torch.cat(row, 1) for row in blocks])[:, [*range(0, 2 * N, 2), *range(1, 2 * N, 2)]]
    cov = cov[[*range(0, 2 * N, 2), *range(1, 2 * N, 2)]]
    time = sg.Variable((N,), dims=("time",), coords={"time": range(N)})
    layout = sg.Layout(u=time, v=time)
    models = {name: sg.Problem(layout, decoupled(cov, *rows)) for name, rows in {"u": (U, V), "v": (V, U)}.items()}
    history = {name: torch.ones(1, 1, 2, dtype=torch.float64) for name in models}
    ask = lambda p: sg.forecast(p, history, 9, 5, memory=2, seeds=torch.arange(5), progress=False).frames
    joint = sg.Problem(layout, sg.Gaussian(cov.new_zeros(2 * N), cov))
    assert abs(ask(couple(**models)) - ask(joint)).max().to_array().max() < 1e-6


def test_a_part_that_no_model_is_of_has_to_be_given():
    layout = sg.Layout(u=(N,), v=(N,), load=())
    cov = torch.eye(2 * N + 1, dtype=torch.float64) + 0.3
    prior = sg.Gaussian(cov.new_zeros(2 * N + 1), cov)
    problem = couple(u=sg.Problem(layout, prior), v=sg.Problem(layout, prior))
    x = torch.zeros(2, 2 * N + 1, dtype=torch.float64)
    with pytest.raises(ValueError, match="given"):
        problem.prior.score(x, 1.0)
    told = problem.given(load=torch.tensor(2.0, dtype=torch.float64))
    exact = prior.given(layout["load"]).at(layout["load"], torch.tensor([2.0], dtype=torch.float64))
    assert torch.allclose(told.energy().score(x[:, 1:], 0.5), exact.score(x[:, 1:], 0.5), atol=1e-9)
    with pytest.raises(TypeError, match="no joint energy"):
        told.energy()(x[:, 1:], 1.0)


def test_one_name_is_one_thing():
    kelvin = sg.Layout(u=(N,), v=sg.Variable((N,), units="K"))
    celsius = sg.Layout(u=(N,), v=sg.Variable((N,), units="degC"))
    prior = sg.Gaussian(torch.zeros(2 * N), torch.ones(2 * N))
    with pytest.raises(ValueError, match="units"):
        couple(u=sg.Problem(kelvin, prior), v=sg.Problem(celsius, prior))
    with pytest.raises(ValueError, match="two or more"):
        couple(u=sg.Problem(kelvin, prior))
    with pytest.raises(ValueError, match="the part 'w'"):
        couple(u=sg.Problem(kelvin, prior), w=sg.Problem(kelvin, prior))


def test_a_solver_is_one_of_the_fields():
    cov = covariance(0.7)
    gain = torch.diag(torch.linspace(-0.5, 0.5, N, dtype=torch.float64))
    problem = couple(u=sg.Problem(LAYOUT, decoupled(cov, U, V)), v=solved(LAYOUT, v=lambda u: u @ gain), gibbs=0)
    found = sg.draw(problem, sg.Multistep(sg.karras(16, 0.02, 40.0, dtype=torch.float64)), 6, torch.arange(6),
                    progress=False).samples
    assert abs(found.v.values - found.u.values @ gain.numpy()).max() < 1e-2


def accelerated(slope, most=60):
    start = torch.ones(3, len(slope), dtype=torch.float64)
    return agree(lambda z: z @ slope.mT + 1, start, start.new_full((3,), 1e-10), most)


@pytest.mark.parametrize("scale", [0.5, 0.99, -1.5, 3.0])
def test_fixed_points_of_linear_maps(scale):
    slope = scale * torch.diag(torch.linspace(0.2, 1, 6, dtype=torch.float64))
    found = accelerated(slope)
    exact = torch.linalg.solve(torch.eye(6) - slope, torch.ones(6, dtype=torch.float64))
    assert torch.allclose(found.value[0], exact, atol=1e-6)
    assert found.sweeps.max() <= 10  # as many changes as directions, and a few
    assert abs(float(found.ritz[0]) - abs(scale)) < 1e-3
    radius = contraction(lambda z: z @ slope.mT, torch.zeros(2, 6, dtype=torch.float64), torch.full((2,), 0.1).double())
    assert abs(float(radius[0]) / abs(scale) - 1) < 0.05


M = 12
STATE = sg.Layout(u=(M,), q=(M,))
GREEN = torch.linalg.inv((M + 1) ** 2 * (2 * torch.eye(M) - torch.diag(torch.ones(M - 1), 1) -
                                         torch.diag(torch.ones(M - 1), -1)).double())


def conduction(source, noise=1e-4, gradients=True):
    """1-D conduction with a source that depends on the temperature: u = G q, q = source(u)."""
    hide = (lambda f: f) if gradients else (lambda f: lambda **k: f(**{n: v.detach() for n, v in k.items()}).detach())
    return residuals(STATE, noise, u=hide(lambda q: q @ GREEN.mT), q=hide(lambda u: source(u)))


@pytest.mark.parametrize("strength", [-6.0, -12.0, -19.0])  # sweeps contract, and diverge
@pytest.mark.parametrize("gradients", [True, False])
def test_settle_finds_the_coupled_solution(strength, gradients):
    found = sg.settle(conduction(lambda u: 5 + strength * u, gradients=gradients), 6, STATE, iterations=60)
    exact = torch.linalg.solve(torch.eye(M) - strength * GREEN, GREEN @ torch.full((M,), 5.0, dtype=torch.float64))
    assert len(found) == 1
    assert found.success.all()
    assert torch.allclose(torch.as_tensor(found.samples.u.values[0]), exact, atol=1e-7)
    assert "1 coupled solution" in found.message


def test_settle_finds_both_branches_of_bratu():
    high = torch.linspace(0, 8, 40, dtype=torch.float64)[:, None]
    bump = torch.sin(torch.pi * torch.arange(1, M + 1, dtype=torch.float64) / (M + 1))
    u = high * bump
    found = sg.settle(conduction(lambda u: 2 * torch.exp(u.clamp_max(20))), {"u": u, "q": 2 * u.exp().clamp_max(50)},
                      STATE, iterations=80)
    peaks = found.samples.u.max("u_0").values[found.success]
    assert len(peaks) == 2
    assert peaks.min() < 0.5
    assert peaks.max() > 2
    for peak in found.samples.u.values[found.success]:
        u = torch.as_tensor(peak)
        assert (u - GREEN @ (2 * u.exp())).abs().max() < 1e-8


def test_settle_says_that_there_is_no_solution():
    found = sg.settle(conduction(lambda u: 5 * torch.exp(u.clamp_max(20))), 20, STATE, iterations=80)
    assert not found.success.any()
    assert found.message.startswith("no coupled solution")


def test_settle_adds_data_and_holds_what_is_known():
    layout = sg.Layout(u=(M,), q=(M,), load=())
    law = residuals(layout, 1e-4, u=lambda q, load: q @ GREEN.mT, q=lambda u, load: load[..., None] - 6 * u)
    unit = torch.linalg.solve(torch.eye(M) + 6 * GREEN, GREEN @ torch.ones(M, dtype=torch.float64))
    reading = sg.Residual(lambda x: x[..., 4:5] - 3 * unit[4], 1e-4)
    found = sg.settle(law + reading, 4, layout)
    assert abs(float(found.samples["load"][0]) - 3) < 1e-3
    held = sg.settle(law, 4, layout, known={"load": 2.0})
    assert torch.allclose(torch.as_tensor(held.samples.u.values[0]), 2 * unit, atol=1e-7)
    assert float(held.samples["load"][0]) == 2


def test_settle_holds_another_value_for_each_start():
    layout = sg.Layout(u=(M,), q=(M,), load=())
    law = residuals(layout, 1e-4, u=lambda q, load: q @ GREEN.mT, q=lambda u, load: load[..., None] - 6 * u)
    unit = torch.linalg.solve(torch.eye(M) + 6 * GREEN, GREEN @ torch.ones(M, dtype=torch.float64))
    loads = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    found = sg.settle(law, 3, layout, known={"load": loads})
    close = torch.as_tensor(found.samples["load"].values)[:, None] * unit
    assert sorted(found.samples["load"].values) == loads.tolist()
    assert torch.allclose(torch.as_tensor(found.samples["u"].values), close, atol=1e-7)


def test_settle_refuses_what_hides_its_condition():
    prior = sg.Gaussian(torch.zeros(2 * M).double(), torch.eye(2 * M).double() + 0.1).given(STATE["u"])
    with pytest.raises(TypeError, match="score is zero along 12 numbers"):
        sg.settle(prior, 4, STATE)
    with pytest.raises(TypeError, match="only a score"):
        sg.settle(pair(covariance(0.5)).prior, 4, LAYOUT)
    with pytest.raises(ValueError, match="no layout"):
        sg.settle(conduction(lambda u: u), 4)


@pytest.fixture(scope="module")
def row():
    """Seven components in a row of a Gaussian chain, and the chain's own covariance."""
    cells, nodes = 4, 7
    chain = lambda n: 2.2 * torch.eye(n).double() - torch.diag(torch.ones(n - 1), 1) - torch.diag(torch.ones(n - 1), -1)
    cov = torch.linalg.inv(chain(cells))
    gain = cov[:, [0, -1]]
    sides = 3 * torch.eye(2).double()
    joint = torch.cat([torch.cat([cov + gain @ sides @ gain.mT, gain @ sides], 1),
                       torch.cat([sides @ gain.mT, sides], 1)])
    layout = sg.Layout(t=sg.Variable((cells,), loc=3.0, scale=2.0), west=sg.Variable((), loc=3.0, scale=2.0),
                       east=sg.Variable((), loc=3.0, scale=2.0))
    graph = {"west": [-1, *range(nodes - 1)], "east": [*range(1, nodes), -1]}
    shared = {"west": layout["t"][-1:], "east": layout["t"][:1]}
    return layout, sg.Gaussian(torch.zeros(cells + 2).double(), joint), graph, shared, torch.linalg.inv(
        chain(cells * nodes))


@pytest.mark.parametrize("sigma", [20.0, 1.0, 0.1])
def test_components_are_the_structure(row, sigma):
    layout, prior, graph, shared, cov = row
    exact = sg.Gaussian(cov.new_zeros(len(cov)), cov)
    x, calls = exact.coloured(torch.randn(3, len(cov)).double(), 0.5, sigma), []
    edge = {name: torch.tensor([3.0]).double() for name in graph}
    for energy, limit in ((prior, 1e-8), (Hidden(prior, calls), 0.05)):
        problem = components(sg.Problem(layout, energy), graph, shared).given(**edge)
        found = problem.energy().evaluate(x, sigma)
        off = sigma**2 * (found.score - exact.score(x, sigma)) / (sigma / (1 + sigma**2) ** 0.5)
        assert off.abs().max() < limit
    assert len(calls) <= 2 * (float(found.told["sweeps"].max()) + 1)  # two colours, whatever the nodes


def test_components_refuse_what_does_not_fit(row):
    layout, prior, graph, shared, _ = row
    problem = sg.Problem(layout, prior)
    with pytest.raises(ValueError, match="sides"):
        components(problem, graph, {"west": shared["west"]})
    with pytest.raises(ValueError, match="neighbours from"):
        components(problem, graph | {"east": [1, 2, 3, 4, 5, 6, 9]}, shared)
    with pytest.raises(ValueError, match="strip"):
        components(problem, graph, shared | {"west": layout["t"][-2:]})
    assert isinstance(components(problem, graph, shared).prior, Conditionals)


def test_settle_takes_as_many_residuals_as_unknowns_in_any_order():
    layout = sg.Layout(u=(M,), q=(M,), load=())
    law = residuals(layout, 1e-4, u=lambda q, load: q @ GREEN.mT, q=lambda u, load: load[..., None] - 6 * u)
    unit = torch.linalg.solve(torch.eye(M) + 6 * GREEN, GREEN @ torch.ones(M, dtype=torch.float64))
    reading = sg.Residual(lambda x: x[..., 4:5] - 3 * unit[4], 1e-4)
    for energy in (law + reading, reading + law):  # 2 M + 1 of both
        found = sg.settle(energy, 6, layout)
        assert abs(float(found.samples["load"][0]) - 3) < 1e-3
        assert len(found) == 1
