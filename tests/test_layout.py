"""Layouts are bijections with units; a view is a linear map with its adjoint, and means what its words say."""

import itertools
import json
import math

import numpy
import pytest
import torch
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles import close, normal
from sciencegen.layout import Layout, Variable

SHAPES = st.lists(st.integers(1, 4), max_size=3).map(tuple)
positive = st.floats(0.01, 100.0)
finite = st.floats(-100.0, 100.0)


@st.composite
def layouts(draw):
    """One to three variables, numbers or tensors as offsets and units."""
    variables = {}
    for name in ["u", "theta", "c"][: draw(st.integers(1, 3))]:
        shape = draw(SHAPES)
        loc, scale = draw(finite), draw(positive)
        if draw(st.booleans()):
            loc, scale = loc + normal(*shape, seed=1), scale * torch.exp(normal(*shape, seed=2))
        variables[name] = Variable(shape, loc, scale)
    return Layout(**variables)


# --- units -------------------------------------------------------------------------------------------------------

@given(layouts(), st.lists(st.integers(1, 3), max_size=2))
def test_pack_and_unpack_are_inverse(layout, batch):
    x = normal(*batch, layout.size)
    parts = layout.unpack(x)
    close(layout.pack(**parts), x, 1e-9)
    again = layout.unpack(layout.pack(**parts))
    for name, variable in layout.variables.items():
        assert parts[name].shape == (*batch, *variable.shape)
        close(again[name], parts[name])


@given(layouts())
def test_units_are_affine(layout):
    parts = layout.unpack(torch.zeros(layout.size, dtype=torch.float64))
    unit = layout.unpack(torch.ones(layout.size, dtype=torch.float64))
    for name, variable in layout.variables.items():
        close(parts[name], torch.as_tensor(variable.loc, dtype=torch.float64).expand(variable.shape))
        scale = torch.as_tensor(variable.scale, dtype=torch.float64).expand(variable.shape)
        close(unit[name] - parts[name], scale, 1e-9)


def test_parts_lie_in_the_order_of_the_layout_whatever_the_order_they_are_given_in():
    layout = Layout(u=Variable((2, 2), loc=1.0, scale=2.0), p=())
    x = layout.pack(p=torch.tensor(7.0), u=torch.tensor([[1.0, 3.0], [5.0, 7.0]]))
    assert x.tolist() == [0, 1, 2, 3, 7]


def test_batch_axes_of_parts_broadcast():
    layout = Layout(u=(3,), c=())
    u, c = normal(5, 1, 3), normal(4)
    x = layout.pack(u=u, c=c)
    assert x.shape == (5, 4, 4)
    for i, j in itertools.product(range(5), range(4)):
        assert torch.equal(x[i, j], layout.pack(u=u[i, 0], c=c[j]))


def test_numpy_lists_and_integers_are_taken_and_precision_is_kept():
    layout = Layout(u=(2,), c=())
    assert layout.pack(u=numpy.array([1.0, 2.0]), c=3.0).dtype == torch.float64
    assert layout.pack(u=torch.tensor([1.0, 2.0], dtype=torch.float32), c=torch.tensor(3)).dtype == torch.float32
    assert layout.pack(u=[1, 2], c=3).tolist() == [1, 2, 3]
    assert layout.unpack(torch.zeros(3, dtype=torch.float32))["u"].dtype == torch.float32


def test_packing_is_differentiable():
    layout = Layout(u=Variable((2,), scale=4.0), c=Variable((), scale=0.5))
    u, c = torch.ones(2, dtype=torch.float64, requires_grad=True), torch.ones((), dtype=torch.float64)
    layout.pack(u=u, c=c).sum().backward()
    assert u.grad.tolist() == [0.25, 0.25]


# --- xarray and config -------------------------------------------------------------------------------------------

LAYOUT = Layout(
    u=Variable((2, 3), loc=1.0, scale=torch.tensor([1.0, 2.0, 4.0]), dims=("time", "x"), units="m/s",
               coords={"time": [0.0, 0.5], "x": torch.tensor([1.0, 2.0, 3.0])}),
    alpha=Variable((), scale=5.0, units="deg"),
    shape=(4,),
)


def test_a_dataset_has_the_names_units_coordinates_and_physical_values():
    x = normal(7, LAYOUT.size)
    data, parts = LAYOUT.to_xarray(x), LAYOUT.unpack(x)
    assert isinstance(data, xarray.Dataset)
    assert data["u"].dims == ("sample", "time", "x")
    assert data["alpha"].dims == ("sample",)
    assert data["shape"].dims == ("sample", "shape_0")
    assert data["u"].attrs["units"] == "m/s"
    assert data["alpha"].attrs["units"] == "deg"
    assert data["time"].values.tolist() == [0.0, 0.5]
    assert float(data["u"].sel(sample=3, time=0.5, x=2.0)) == float(parts["u"][3, 1, 1])
    for name in parts:
        assert numpy.array_equal(data[name].values, parts[name].numpy())


def test_a_dataset_of_one_state_of_many_axes_and_of_a_state_with_a_graph():
    assert LAYOUT.to_xarray(normal(LAYOUT.size))["u"].dims == ("time", "x")
    x = normal(2, 3, LAYOUT.size).requires_grad_()
    assert LAYOUT.to_xarray(x, ("run", "sample"))["u"].dims == ("run", "sample", "time", "x")
    with pytest.raises(ValueError, match="got 2 batch axes; expected names for all of them"):
        LAYOUT.to_xarray(x)


def test_a_dataset_does_not_share_memory_with_the_state():
    layout = Layout(u=(3,))
    x = normal(2, 3)
    before = x.clone()
    layout.to_xarray(x)["u"].values[:] = 0
    assert torch.equal(x, before)


@given(layouts())
def test_the_config_of_a_layout_is_json_and_comes_back(layout):
    again = Layout.from_config(json.loads(json.dumps(layout.config())))
    assert repr(again) == repr(layout)
    x = normal(2, layout.size)
    for name, part in layout.unpack(x).items():
        assert torch.equal(again.unpack(x)[name], part)


def test_the_config_keeps_dims_units_and_coordinates():
    again = Layout.from_config(json.loads(json.dumps(LAYOUT.config())))
    assert again.config() == LAYOUT.config()
    x = normal(2, LAYOUT.size)
    xarray.testing.assert_identical(again.to_xarray(x), LAYOUT.to_xarray(x))


# --- views: S, its adjoint, and the meaning of the words ---------------------------------------------------------

class Reference:
    """The same words as a View's on a numpy array of values ``(*copies, *event)``."""

    def __init__(self, values, copies=0):
        self.values, self.copies = values, copies

    def take(self, picks, axis):
        """One more copies axis: for each pick, these entries of an event axis."""
        rows = [numpy.take(self.values, pick, axis=self.copies + axis) for pick in picks]
        return Reference(numpy.stack(rows, axis=self.copies), self.copies + 1)

    def join(self, other):
        parts = [r.values.reshape(*r.values.shape[: r.copies], -1) for r in (self, other)]
        lead = max((p.shape[:-1] for p in parts), key=len)
        parts = [numpy.broadcast_to(p, (*lead, p.shape[-1])) for p in parts]
        return Reference(numpy.concatenate(parts, axis=-1), len(lead))


@st.composite
def slices(draw, length):
    start = draw(st.integers(0, length - 1))
    return slice(start, draw(st.integers(start + 1, length)), draw(st.sampled_from([None, 1, 2])))


@st.composite
def words(draw, view, reference):
    """One more word on a view, and the same on its reference; a word that does not fit is left out."""
    event = view.event
    axis = draw(st.integers(0, max(len(event) - 1, 0)))
    options = ["slice", "each", "windows"] * bool(event) + ["pairs"] * bool(event and event[axis] > 1)
    word = draw(st.sampled_from(options or ["none"]))
    if word == "slice":
        key = tuple(draw(st.one_of(slices(n), st.integers(-n, n - 1))) for n in event[: draw(st.integers(1, 2))])
        values = reference.values[(slice(None),) * reference.copies + key]
        return view[key], Reference(values, reference.copies)
    if word == "windows":
        length = draw(st.integers(1, event[axis]))
        stride = draw(st.sampled_from([s for s in range(1, event[axis] + 1) if (event[axis] - length) % s == 0]))
        picks = [range(k, k + length) for k in range(0, event[axis] - length + 1, stride)]
        return view.windows(length, stride, axis), reference.take(picks, axis)
    if word == "pairs":
        return view.pairs(axis), reference.take([list(p) for p in itertools.combinations(range(event[axis]), 2)], axis)
    return (view.each(axis), reference.take(range(event[axis]), axis)) if word == "each" else (view, reference)


@st.composite
def views(draw):
    """A layout, a state, and a nest of up to four words on one variable, perhaps joined with another's."""
    layout = draw(layouts())
    x = normal(layout.size, seed=3)
    parts = {k: (x[o: o + v.size].reshape(v.shape)).numpy()
             for (k, v), o in zip(layout.variables.items(), layout.offsets.values())}

    def nest(depth):
        name = draw(st.sampled_from(list(parts)))
        view, reference = layout[name], Reference(parts[name])
        for _ in range(draw(st.integers(0, depth))):
            view, reference = draw(words(view, reference))
        return view, reference

    view, reference = nest(4)
    if draw(st.booleans()):
        other, its = nest(2)
        if not view.copies or not other.copies or view.rows.shape[:-1] == other.rows.shape[:-1]:
            view, reference = view & other, reference.join(its)
            view, reference = draw(words(view, reference))
    return layout, x, view, reference


@settings(max_examples=200)
@given(views())
def test_a_view_means_what_its_words_say(case):
    layout, x, view, reference = case
    wanted = torch.tensor(reference.values.tolist(), dtype=torch.float64)
    copies = wanted.shape[: reference.copies]
    assert (view.copies, view.event) == (reference.copies, tuple(wanted.shape[reference.copies:]))
    assert torch.equal(view(x), wanted.reshape(*copies, math.prod(view.event)))


@settings(max_examples=200)
@given(views(), st.lists(st.integers(1, 3), max_size=2))
def test_the_adjoint_of_a_view(case, batch):
    layout, _, view, _ = case
    x = normal(*batch, layout.size)
    seen = view(x)
    v = normal(*seen.shape, seed=4)
    left = (seen * v).flatten(len(batch)).sum(-1)
    close(left, (x * view.adjoint(v)).sum(-1), 1e-12)


def test_the_adjoint_counts_overlaps():
    u = Layout(u=(6,))["u"].windows(3, 1)
    assert u.adjoint(torch.ones(4, 3)).tolist() == [1, 2, 3, 3, 2, 1]


def test_views_read_as_they_are_written():
    layout = Layout(u=(24, 2), body=(3, 4), c=(2,))
    u, body, c = layout["u"], layout["body"], layout["c"]
    assert repr(u[4:-4].windows(4, 4)) == "u[4:-4].windows(4,4)"
    assert repr(u[::2, 1]) == "u[::2, 1]"
    assert repr(c & body.each()) == "c & body.each()"
    assert repr((c & body.each())[:3]) == "(c & body.each())[:3]"
    assert repr(body.pairs()) == "body.pairs()"
    assert repr(u.windows(6, 6).pairs(axis=1)) == "u.windows(6,6).pairs(axis=1)"


# --- errors ------------------------------------------------------------------------------------------------------

def test_an_unknown_variable_is_named_with_the_known_ones():
    with pytest.raises(KeyError) as error:
        Layout(u=(3,), theta=(2,))["thta"]
    assert error.value.args[0] == "no variable 'thta'; this layout has ['u', 'theta']"


U = Layout(u=(8, 2))["u"]


@pytest.mark.parametrize(
    "wrong, text",
    [
        (lambda: U.windows(3, 2), r"got windows\(3, 2\) of 8 frames; expected .* divisible by stride"),
        (lambda: U.windows(9, 1), r"got windows\(9, 1\) of 8 frames; expected 0 < length <= 8"),
        (lambda: U.windows(0, 1), r"got windows\(0, 1\)"),
        (lambda: U.windows(4, 0), r"got windows\(4, 0\)"),
        (lambda: U[:1].pairs(), "got pairs of 1 entries; expected at least 2"),
        (lambda: U[0, 0].each(), r"got each of axis 0 of 'u\[0, 0\]', whose copies have 0 axes"),
        (lambda: U.pairs(axis=2), "got pairs of axis 2 of 'u', whose copies have 2 axes"),
        (lambda: U & Layout(u=(3,))["u"], "got views of states of 16 and 3 numbers; expected one layout"),
        (lambda: U.each() & U.windows(4, 4), r"got \(8,\) and \(2,\) copies .*; expected equal copies"),
        (lambda: U(torch.zeros(3)), "got a state of 3 numbers; expected 16, the layout of 'u'"),
        (lambda: Layout(u=(3,)).unpack(torch.zeros(4)), r"got a state of 4 numbers; expected 3 for Layout\(u=\(3,\)\)"),
        (lambda: Layout(u=(3,)).pack(u=torch.zeros(4)), r"got u of shape \(4,\); expected \(\*batch, \*\(3,\)\)"),
        (lambda: Layout(u=(3,)).pack(u=torch.tensor(0.0)), r"got u of shape \(\)"),
        (lambda: Layout(), "got no variables"),
        (lambda: Variable((2,), scale=0.0), "got scale 0.0; expected positive finite numbers"),
        (lambda: Variable((2,), scale=torch.tensor([1.0, math.inf])), "expected positive finite numbers"),
        (lambda: Variable((2,), scale=math.nan), "expected positive finite numbers"),
        (lambda: Variable((2,), dims=("x", "y")), r"got dims \('x', 'y'\) for shape \(2,\); expected one name"),
        (lambda: Variable((2,), dims=("x",), coords={"x": [1.0]}), "got 1 coordinates of 'x'"),
        (lambda: Variable((2,), coords={"x": [1.0, 2.0]}), "got 2 coordinates of 'x'"),
    ],
)
def test_what_is_wrong_is_said(wrong, text):
    with pytest.raises(ValueError, match=text):
        wrong()


def test_parts_that_miss_or_that_nobody_knows_are_named():
    with pytest.raises(KeyError, match=r"got parts \['theta', 'v'\]; expected exactly \['u', 'theta'\]"):
        Layout(u=(3,), theta=(2,)).pack(v=torch.zeros(3), theta=torch.zeros(2))
