"""Priors over pairs: recipes, the square's symmetries, the two kinds of Gaussian, and what the shipped ones know."""

import sys
from dataclasses import replace
from functools import cache

import pytest
import torch

from oracles import close, normal
from sciencegen import cli
from sciencegen.layout import Layout
from sciencegen.nets.suited import suited
from sciencegen.physics import SYSTEMS, Fourier, Heat, Helmholtz, Poisson, resolve
from sciencegen.priors import Model, zoo
from sciencegen.studies.pde.pairs import orders, pair_layout, pairs
from sciencegen.studies.pde.prior import Turned, gaussian, setup, train

D = torch.float64
every = pytest.mark.parametrize("name", SYSTEMS)


def turned(grid: int) -> torch.Tensor:
    """The eight symmetries of a pair of fields on the square, as orders."""
    return setup("poisson", grid).orders


@cache
def some(name: str, count: int, seed: int = 0) -> tuple[Layout, torch.Tensor]:
    system = resolve(name, 8)
    made = pairs(system, count, seed)
    layout = pair_layout(system, made)
    return layout, layout.pack(**made)


# --- recipes and pairs --------------------------------------------------------------------------------------------

def test_an_unknown_system_or_grid_is_refused():
    with pytest.raises(KeyError, match="no system 'stokes'; there are poisson"):
        setup("stokes")


def test_a_grid_that_cannot_be_halved_has_a_network_that_suits_it():
    assert setup("darcy", 16).network(pair_layout(resolve("darcy", 16), pairs(resolve("darcy", 16), 3))).path.endswith(
        "GridUNet")
    layout = pair_layout(resolve("heat", 10), pairs(resolve("heat", 10), 3))
    assert setup("heat", 10).network(layout) == suited(layout, periodic=["x", "y"])


@every
def test_pairs_solve_their_equation_and_do_not_depend_on_how_many_are_drawn(name):
    system = resolve(name, 8)
    made = pairs(system, 5)
    assert float(system.residual(**made).norm(dim=-1).max()) < 1e-9
    for part, value in pairs(system, 3, chunk=2).items():
        close(value, made[part][:3], 1e-12)


@every
def test_a_state_has_unit_scale_and_leads_back_to_its_pair(name):
    layout, rows = some(name, 64)
    for part in layout.variables:
        values = layout[part](rows)
        assert float(values.mean()) == pytest.approx(0, abs=1e-10)
        assert float(values.std()) == pytest.approx(1)
    for part, value in pairs(resolve(name, 8), 64).items():
        close(layout.unpack(rows)[part], value)


# --- symmetries ---------------------------------------------------------------------------------------------------

def test_the_eight_symmetries_are_a_group_that_begins_with_none():
    orders = turned(4)
    every_one = {tuple(order.tolist()) for order in orders}
    assert len(every_one) == 8
    assert orders[0].tolist() == list(range(32))
    assert {tuple(a[b].tolist()) for a in orders for b in orders} == every_one


def test_a_symmetry_that_changes_numbers_is_refused():
    parts = resolve("poisson", 4).parts
    with pytest.raises(ValueError, match="puts the numbers of the parts in another order"):
        orders(parts, [lambda parts: {k: -v for k, v in parts.items()}])


def test_turned_rows_are_every_row_in_every_order():
    rows, orders = normal(3, 32), turned(4)
    data = Turned(rows, orders)
    assert len(data) == 24
    close(torch.stack([data[i] for i in range(24)]), torch.cat([rows[:, order] for order in orders]))


# --- the Gaussian -------------------------------------------------------------------------------------------------

def test_a_gaussian_of_a_linear_system_knows_the_equation():
    """Whatever the noise and however few the axes, Tweedie's mean is a pair."""
    layout, rows = some("poisson", 64)
    data = gaussian(rows, turned(8), [64, 64], [20])
    mean = layout.unpack(data.mean(normal(16, 128), torch.tensor(0.5, dtype=D)))
    assert float(resolve("poisson", 8).residual(**mean).norm(dim=-1).max()) < 1e-6


@pytest.mark.parametrize("ranks", [[40], [30, 20]])
def test_a_gaussian_is_the_same_seen_from_every_side(ranks):
    rows = some("darcy", 200)[1]
    data, x, sigma = gaussian(rows, turned(8), [64, 64], ranks), normal(4, 128), torch.tensor(0.3, dtype=D)
    for order in turned(8):
        close(data.mean(x[:, order], sigma), data.mean(x, sigma)[:, order], 1e-8)


def test_a_split_gaussian_keeps_variances_and_what_the_leading_axes_share():
    rows, orders = some("darcy", 200)[1], turned(8)
    data = gaussian(rows, orders, [64, 64], [20, 10])
    cov = sum(torch.cov(rows.mT)[order][:, order] for order in orders) / 8
    got = data.back(data.variances * data.modes(torch.eye(128, dtype=D)))
    parts = (slice(0, 64), slice(64, 128))
    for part in parts:
        assert float(got.diagonal()[part].sum()) == pytest.approx(float(cov.diagonal()[part].sum()))
    leading = torch.block_diag(*(torch.linalg.eigh(cov[p, p]).eigenvectors[:, -k:] for p, k in zip(parts, (20, 10))))
    close(leading.mT @ got @ leading, leading.mT @ cov @ leading)


# --- training -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", [name for name in SYSTEMS if name != "darcy"])  # whose prior is of a level
def test_a_trained_prior_leads_through_the_disk_and_back(name, tmp_path):
    recipe = replace(setup(name, 8), channels=(8, 8), blocks=(1, 1), count=40, steps=3, batch=8)
    model = train(recipe, tmp_path)
    model.save(tmp_path / "model")
    again = Model.load(tmp_path / "model")
    assert again.training["steps"] == 3
    x = again.layout.pack(**pairs(recipe.system, 5, seed=1)).float()
    close(again.energy.mean(x, torch.tensor(0.4)), model.energy.mean(x, torch.tensor(0.4)), 1e-5)


@pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")
def test_the_command_line_trains_and_refuses(monkeypatch, capsys, tmp_path):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["sciencegen", "train", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, "".join(capsys.readouterr())

    code, said = run("stokes", "--out", str(tmp_path / "stokes"))
    assert code == 2
    assert "no system 'stokes'" in said
    assert not (tmp_path / "stokes").exists()
    code, said = run("poisson", "--grid", "8", "--steps", "2", "--out", str(tmp_path / "poisson"))
    assert not code, said
    model = Model.load(tmp_path / "poisson" / "model")
    assert model.layout.size == 128
    assert model.training["steps"] == 2


# --- what is shipped ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["poisson", "helmholtz", "heat", "wells"])
def test_a_shipped_prior_is_of_the_layout_it_says(name):
    model = zoo(name)
    a, u = (model.layout.variables[part] for part in ("a", "u"))
    assert model.training["system"] == name
    assert list(model.layout.variables) == ["a", "u"]
    assert a.shape == u.shape[-2:] == (32, 32)
    assert a.dims == u.dims[-2:] == ("x", "y")
    rows = model.layout.pack(**pairs(resolve(name), 50, seed=3))
    for part in ("a", "u"):
        assert float(model.layout[part](rows).std()) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("sigma", [0.02, 0.2, 2.0, 20.0])
@pytest.mark.parametrize("name, system, share", [("poisson", Poisson(32), 5e-3), ("helmholtz", Helmholtz(32), 1e-2),
                                                 ("heat", Heat(Fourier(32)), 1.5e-2)])
def test_a_linear_prior_is_the_closed_form(name, system, share, sigma):
    """Tweedie's mean is that of the true law, to a ``share`` of the data's spread.

    20,000 pairs know a leading variance, of several hundred here, to 1 %, which is felt where sigma is as large.
    """
    model = zoo(name)
    scale = [model.layout.variables[part].scale for part in ("a", "u")]
    factor = (system.starts() if name == "heat" else system.sources()).factor()
    solved = system.solve(factor.mT.unflatten(-1, (32, 32))).reshape(1024, 1024).mT
    root = torch.cat([factor / scale[0], solved / scale[1]])
    clean = model.layout.pack(**pairs(resolve(name), 32, seed=1))
    x = clean + sigma * normal(32, 2048)
    # (C + s^2)^{-1} by Woodbury, C = root root^T; the shipped mean is the law's, zero, to the sampling error
    inner = root.mT @ root + sigma**2 * torch.eye(1024, dtype=D)
    wanted = torch.linalg.solve(inner, (x @ root).mT).mT @ root.mT
    with torch.no_grad():
        got = model.energy.mean(x.float(), torch.tensor(sigma))
    assert float((got - wanted).square().mean().sqrt()) < share


def test_the_shipped_law_of_rocks_is_the_one_that_they_are_drawn_by():
    """Correlations of the level to .03, of which 20,000 rocks in eight positions know each to a standard error of .005.

    They are those that a level of the law has, whose sign is the rock.
    """
    model = zoo("darcy")
    law, factor = model.energy.gaussian(), resolve("darcy").fields().factor()
    unit = factor / factor.square().sum(-1, keepdim=True).sqrt()
    got = (law.axes * law.variances[: law.axes.shape[1]]) @ law.axes.mT
    assert model.training["system"] == "darcy"
    assert float((got - unit @ unit.mT).abs().max()) < 0.03
    assert float(law.center.abs().max()) < 0.02
