"""The network that suits a layout: every coordinate is heard, rows are alone, symmetries are exact, and it learns."""

import json

import numpy as np
import pytest
import torch
import xarray

from conformance import awake
from datasets.make_mesh import disc, poisson, write
from oracles import close, normal
from sciencegen import io
from sciencegen.layout import Layout, Variable
from sciencegen.nets import suited
from sciencegen.nets.places import Places
from sciencegen.recipe import Recipe
from sciencegen.states import States

D = torch.float64
POINTS, CELLS = disc(60)


def along(**sizes):
    return {dim: list(range(n)) for dim, n in sizes.items()}


def on_nodes(points=POINTS, cells=CELLS):
    coords = {"x": xarray.Variable("node", points[:, 0]), "y": xarray.Variable("node", points[:, 1])}
    coords |= {} if cells is None else {"cells": xarray.Variable(("cell", "corner"), cells)}
    return Layout(u=Variable((2, len(points)), dims=("time", "node"), coords=coords),
                  a=Variable((len(points),), dims=("node",), coords=coords), k=())


LAYOUTS = {
    "numbers": (Layout(a=(3,), b=()), {}),
    "a table": (Layout(polar=Variable((9, 2), dims=("alpha", "which"), coords=along(alpha=9)), re=()), {}),
    "1-D": (Layout(u=Variable((4, 33), dims=("time", "x")), nu=(), force=Variable((4,), dims=("time",))), {}),
    "1-D, periodic": (Layout(u=Variable((4, 48), dims=("time", "x")), nu=()), {"periodic": ("x",)}),
    "1-D, periodic, odd": (Layout(u=Variable((4, 33), dims=("time", "x")), nu=()), {"periodic": ("x",)}),
    "2-D": (Layout(u=Variable((2, 2, 20, 33), dims=("time", "c", "x", "y")), a=Variable((20, 33), dims=("x", "y")),
                   inlet=Variable((20,), dims=("x",)), nu=()), {}),
    "2-D, periodic": (Layout(u=Variable((3, 24, 16), dims=("time", "x", "y")), nu=()), {"periodic": ("x", "y")}),
    "2-D, a channel": (Layout(u=Variable((16, 13), dims=("x", "y")), p=()), {"periodic": ("x",)}),
    "3-D": (Layout(u=Variable((2, 8, 6, 5), dims=("c", "x", "y", "z")), nu=()), {"periodic": ("z",)}),
    "a finer part": (Layout(flow=Variable((3, 8, 8), dims=("c", "x", "y")), force=(2,),
                            body=Variable((16, 16), dims=("x_body", "y_body"))), {}),
    "a mesh": (on_nodes(), {}),
    "a cloud": (on_nodes(cells=None), {}),
    "a set": (Layout(path=Variable((3, 5, 4), dims=("time", "body", "c")), mass=Variable((5,), dims=("body",)),
                     g=()), {"sets": ("body",)}),
}
every = pytest.mark.parametrize("kind", LAYOUTS)
WIDTH = 16


def built(kind, random=True):
    layout, options = LAYOUTS[kind]
    net = suited(layout, WIDTH, **options).build()
    return layout, (awake(net) if random else net.double())


def told(layout, count=3, seed=0):
    u = normal(count, layout.size, seed=seed)
    return u, normal(count, 1, seed=seed + 1), torch.ones_like(u)


# --- what every network of the package is -------------------------------------------------------------------------

@every
def test_an_untrained_network_is_zero_and_can_learn(kind):
    layout, net = built(kind, random=False)
    out = net(*told(layout))
    assert out.shape == (3, layout.size)
    assert out.dtype == D
    assert bool((out == 0).all())


@every
def test_a_gradient_reaches_every_coordinate_from_every_part(kind):
    layout, net = built(kind)
    u, c, keep = told(layout)
    u.requires_grad_()
    out = net(u, c, keep)
    for name in layout.variables:
        (pull,) = torch.autograd.grad((out[0, layout[name].rows] * normal(layout[name].rows.numel())).sum(), u,
                                      retain_graph=True)
        assert bool((pull[0] != 0).all())
        assert not bool(pull[1:].any()), "rows are independent"


@every
@torch.no_grad()
def test_rows_do_not_depend_on_their_batch(kind):
    layout, net = built(kind)
    whole = net(*told(layout))
    for row in range(3):
        close(net(*(v[row: row + 1] for v in told(layout)))[0], whole[row], 1e-10)


@every
@torch.no_grad()
def test_it_hears_the_level_what_is_missing_and_what_is_given(kind):
    layout, net = built(kind)
    u, c, keep = told(layout)
    first = layout[next(iter(layout.variables))].rows
    before = net(u, c, keep)
    assert bool((net(u, c + 0.1, keep) != before).any(1).all())
    for state in (0.0, -1.0):
        other = keep.clone()
        other[:, first] = state
        assert bool((net(u, c, other) != before).any(1).all())


@every
def test_a_few_steps_on_one_row_lower_the_loss(kind):
    layout, options = LAYOUTS[kind]
    torch.manual_seed(0)
    net = suited(layout, WIDTH, **options).build()
    u, c, keep = (v[:1].float() for v in told(layout))
    goal = torch.randn_like(u)
    optimizer, losses = torch.optim.Adam(net.parameters(), 2e-3), []
    for _ in range(20):
        losses.append((net(u, c, keep) - goal).square().mean())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1].item() < 0.9 * losses[0].item()


@every
def test_its_recipe_goes_through_json(kind):
    layout, options = LAYOUTS[kind]
    recipe = suited(layout, WIDTH, **options)
    again = Recipe.from_config(json.loads(json.dumps(recipe.config())))
    states = [r.build().state_dict() for r in (recipe, again)]
    assert {k: v.shape for k, v in states[0].items()} == {k: v.shape for k, v in states[1].items()}
    twin = again.build()
    twin.load_state_dict(states[0])
    u, c, keep = (v.float() for v in told(layout))
    net = recipe.build()
    net.load_state_dict(states[0])
    assert torch.equal(twin(u, c, keep), net(u, c, keep))


@every
def test_no_tensor_is_left_behind_when_it_moves(kind):
    """On a device without numbers, one tensor of another would be an error."""
    layout, net = built(kind, random=False)
    out = net.to("meta")(*(v.to("meta") for v in told(layout)))
    assert out.device.type == "meta"
    assert out.shape == (3, layout.size)


# --- symmetries ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind, steps", [("1-D, periodic", {"x": 4}), ("1-D, periodic, odd", {"x": 1}),
                                         ("2-D, periodic", {"x": 4, "y": 8}), ("2-D, a channel", {"x": 4}),
                                         ("3-D", {"z": 1})])
@torch.no_grad()
def test_shifts_along_periodic_axes_commute(kind, steps):
    layout, net = built(kind)
    order = []
    for name, variable in layout.variables.items():
        shift = {variable.dims.index(dim): n for dim, n in steps.items() if dim in variable.dims}
        index = layout[name].index
        order.append((index.roll(tuple(shift.values()), tuple(shift)) if shift else index).flatten())
    order = torch.cat(order)
    u, c, keep = told(layout)
    close(net(u[:, order], c, keep), net(u, c, keep)[:, order], 1e-9)
    assert float((net(u[:, order], c, keep) - net(u, c, keep)).abs().max()) > 1e-3


@torch.no_grad()
def test_walls_are_seen():
    layout, net = built("2-D")
    u = torch.ones(1, layout.size, dtype=D)
    field = net(u, u[:, :1], u)[:, layout["a"].rows].unflatten(1, (20, 33))
    assert float((field[:, 4:8] - field[:, 8:12]).abs().max()) > 1e-3


@torch.no_grad()
def test_members_of_a_set_have_no_order():
    layout, net = built("a set")
    order = torch.tensor([3, 0, 4, 1, 2])
    index = torch.cat([layout["path"].index[:, order].flatten(), layout["mass"].index[order],
                       layout["g"].index.flatten()])
    u, c, keep = told(layout)
    close(net(u[:, index], c, keep), net(u, c, keep)[:, index], 1e-10)


@torch.no_grad()
def test_who_is_missing_in_a_set_is_not_heard():
    layout, net = built("a set")
    u, c, keep = told(layout)
    gone = torch.cat([layout["path"].index[:, 4].flatten(), layout["mass"].index[4:]])
    keep[:, gone] = 0
    out = net(u, c, keep)
    u[:, gone] = 9
    rest = torch.ones(layout.size, dtype=torch.bool)
    rest[gone], rest[layout["g"].rows] = False, False
    close(net(u, c, keep)[:, rest], out[:, rest], 1e-12)


@pytest.mark.parametrize("cells", [True, False])
@torch.no_grad()
def test_nodes_may_be_numbered_anew(cells):
    order = np.random.default_rng(3).permutation(len(POINTS))
    place = np.argsort(order)
    layouts = [on_nodes(cells=CELLS if cells else None), on_nodes(POINTS[order], place[CELLS] if cells else None)]
    nets = [awake(suited(layout, WIDTH).build()) for layout in layouts]
    layout = layouts[0]
    index = torch.cat([layout["u"].index[:, order].flatten(), layout["a"].index[order], layout["k"].index.flatten()])
    u, c, keep = told(layout)
    close(nets[1](u[:, index], c, keep), nets[0](u, c, keep)[:, index], 1e-6)


# --- choices ------------------------------------------------------------------------------------------------------

def test_what_suits_what():
    chosen = {kind: suited(layout, **options).path.rpartition(".")[-1] for kind, (layout, options) in LAYOUTS.items()}
    assert [kind for kind, net in chosen.items() if net == "MLP"] == ["numbers", "a table"]
    assert chosen["a mesh"] == chosen["a cloud"] == "MeshNet"
    assert chosen["a set"] == "SetNet"
    assert {net for kind, net in chosen.items() if "-D" in kind or kind == "a finer part"} == {"FieldUNet"}


def test_long_axes_have_more_levels_where_rings_can_be_halved():
    def depth(size, periodic):
        layout = Layout(u=Variable((size,), dims=("x",)))
        return len(suited(layout, periodic=("x",) if periodic else ()).arguments["channels"])
    assert [depth(n, False) for n in (48, 128, 256, 1000)] == [3, 4, 5, 6]
    assert [depth(n, True) for n in (256, 1000, 1024)] == [5, 3, 6]


@pytest.mark.parametrize("layout, options, said", [
    (Layout(u=(3,)), {"periodic": ("x",)}, "got the axis 'x'"),
    (Layout(u=(9000,)), {}, "9000 numbers on no grid"),
    (Layout(u=Variable((8, 8), dims=("x", "y")), v=Variable((99, 99), dims=("lat", "lon"))), {}, "got 'v' over"),
    (Layout(u=Variable((5, 4), dims=("a", "b")), v=Variable((3,), dims=("c",))), {"sets": ("a", "c")}, r"\['a', 'c'\]"),
])
def test_what_suits_none_is_said(layout, options, said):
    with pytest.raises(ValueError, match=said):
        suited(layout, **options)


def test_places_lose_nothing():
    shapes, axes = [(2, 3, 8, 4), (2,), (8, 12), (4,), ()], [(-1, -1, 0, 1), (-1,), (0, 1), (1,), ()]
    places, u = Places(shapes, axes, (8, 4)), normal(3, 2 * 3 * 32 + 2 + 96 + 4 + 1)
    fields, numbers = places.apart(u)
    assert fields.shape == (3, 6 + 3 + 1, 8, 4)
    assert numbers.shape == (3, 3)
    assert torch.equal(places.together(fields, numbers), u)
    with pytest.raises(ValueError, match="multiples of the structure's"):
        Places([(9, 4)], [(0, 1)], (8, 4))


# --- a mesh of somebody's -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("form", ["netCDF", "HDF5"])
def test_a_file_on_a_mesh_becomes_states_and_a_network(form, tmp_path):
    data = poisson(80, 20)
    if form == "netCDF":
        data.to_netcdf(tmp_path / "disc.nc", engine="h5netcdf")
        found = io.open(tmp_path / "disc.nc")
    else:
        found = io.open(tmp_path / "disc.h5", dims=write(tmp_path / "disc.h5", data))
    states = States(found, ["f", "u", "k"])
    coords = states.layout.variables["u"].coords
    assert "left out" not in repr(states)
    assert np.array_equal(coords["x"].values, data.x.values)
    assert np.array_equal(coords["cells"].values, data.cells.values)
    assert states.layout.to_xarray(states.train[0]).y.dims == ("node",)
    again = Layout.from_config(json.loads(json.dumps(states.layout.config())))
    recipe = suited(again)
    assert recipe.path == "sciencegen.nets.mesh.MeshNet"
    assert recipe == suited(states.layout)
    row = states.train[0][None]
    assert recipe.build()(row, row[:, :1], torch.ones_like(row)).shape == row.shape


@pytest.mark.parametrize("change", ["counted from 1", "an edge list", "UGRID"])
def test_cells_come_in_several_forms(change):
    data = poisson(60, 4)
    cells = data.cells.values
    if change == "counted from 1":
        data["cells"] = (("cell", "corner"), cells + 1, {"start_index": 1})
    elif change == "UGRID":
        data = data.rename(cells="topology")
        data.topology.attrs["cf_role"] = "face_node_connectivity"
    else:
        data = data.drop_vars("cells").assign(edges=(("end", "edge"), cells[:, :2].T))
    wanted = cells[:, :2] if change == "an edge list" else cells
    assert np.array_equal(States(data, ["u"]).layout.variables["u"].coords["cells"].values, wanted)


def test_a_window_on_a_mesh_grows_in_time():
    data = poisson(60, 4)
    moving = data.assign(u=(("sample", "time", "node"), np.stack(3 * [data.u.values], 1))).assign_coords(
        time=("time", [0, 0.5, 1], {"units": "s"}))
    variable = States(moving, ["u"], length=2).layout.grown("u", length=5).variables["u"]
    assert variable.coords["time"].values.tolist() == [0, 0.5, 1, 1.5, 2]
    assert variable.coords["time"].attrs == {"units": "s"}
    assert np.array_equal(variable.coords["x"].values, data.x.values)


def test_cells_of_nodes_that_are_not_there_are_refused():
    data = poisson(60, 4)
    data["cells"] = data.cells + 5
    with pytest.raises(ValueError, match="counts nodes 5 to 64; expected 0 to 59, or the attribute start_index"):
        States(data, ["u"])


def test_the_solutions_of_the_mesh_solve_the_equation():
    """A constant source has the solution (1 - r^2) / 4, to the size of an element."""
    points, cells = disc(400)
    from datasets.make_mesh import elements
    stiff, mass = elements(points, cells)
    exact = (1 - np.square(points).sum(-1)) / 4
    inside = exact > 1e-9
    assert np.abs((stiff @ exact - mass)[inside]).max() < 0.3 * mass.max()
    assert mass.sum() == pytest.approx(np.pi, rel=0.02)
