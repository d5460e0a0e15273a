"""Symmetries are groups: exact laws of their elements, and vectors that turn with their grid."""

import pytest
import torch

from oracles import normal
from sciencegen.symmetries import Mirror, Shift, Turn

DIMS = {"u": ("time", "x", "y"), "v": ("time", "x", "y"), "flow": ("which", "x", "y"), "force": ("which",), "nu": ()}
PARTS = {"u": normal(3, 4, 4), "v": normal(3, 4, 4, seed=1), "flow": normal(2, 4, 4, seed=2),
         "force": normal(2, seed=3), "nu": normal(1, seed=4)[0]}
SHIFT = Shift(("x", "y"))
MIRROR = Mirror("y", odd=("v", ("flow", "which", 1), ("force", "which", 1)))
TURN = Turn(("x", "y"), (("u", "v"), (("flow", "which", 0), ("flow", "which", 1)),
                         (("force", "which", 0), ("force", "which", 1))))


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_shifts_add():
    there = SHIFT.moved(SHIFT.moved(PARTS, (1, 3), DIMS), (2, 2), DIMS)
    assert same(there, SHIFT.moved(PARTS, (3, 1), DIMS))
    assert same(SHIFT.moved(PARTS, (4, 0), DIMS), PARTS)
    assert torch.equal(SHIFT.moved(PARTS, (1, 0), DIMS)["u"][:, 1], PARTS["u"][:, 0])


def test_two_mirrors_are_none():
    assert not same(MIRROR.moved(PARTS, 1, DIMS), PARTS)
    assert same(MIRROR.moved(MIRROR.moved(PARTS, 1, DIMS), 1, DIMS), PARTS)


def test_four_quarter_turns_are_none():
    for times in range(5):
        there = TURN.moved(TURN.moved(PARTS, times, DIMS), 4 - times, DIMS)
        assert same(there, PARTS)
    assert same(TURN.moved(TURN.moved(PARTS, 1, DIMS), 2, DIMS), TURN.moved(PARTS, 3, DIMS))


def test_a_mirror_turns_turns_round():
    """The relation of the group of the square: mirror, turn, mirror is the turn back."""
    around = MIRROR.moved(TURN.moved(MIRROR.moved(PARTS, 1, DIMS), 1, DIMS), 1, DIMS)
    assert same(around, TURN.moved(PARTS, 3, DIMS))


@pytest.mark.parametrize("move", [lambda p: TURN.moved(p, 1, DIMS), lambda p: MIRROR.moved(p, 1, DIMS)])
def test_the_velocity_of_a_rigid_rotation_is_seen_as_one_from_everywhere(move):
    """(u, v) = (-y, x) turns into itself, in a mirror into its opposite; the field (x, y) into itself in both."""
    x, y = torch.meshgrid(*2 * [torch.arange(4.0) - 1.5], indexing="ij")
    parts = {**PARTS, "u": x.expand(3, 4, 4), "v": y.expand(3, 4, 4), "flow": torch.stack([-y, x])}
    seen = move(parts)
    assert torch.equal(seen["u"], parts["u"])
    assert torch.equal(seen["v"], parts["v"])
    assert torch.equal(seen["flow"].abs(), parts["flow"].abs())
    assert torch.equal(TURN.moved(parts, 1, DIMS)["flow"], parts["flow"])
    assert torch.equal(MIRROR.moved(parts, 1, DIMS)["flow"], -parts["flow"])


@pytest.mark.parametrize("symmetry, elements", [(SHIFT, 16), (MIRROR, 2), (TURN, 4)])
def test_random_numbers_choose_every_element_and_change_no_argument(symmetry, elements):
    before = {k: v.clone() for k, v in PARTS.items()}
    draws = torch.cartesian_prod(*2 * [(torch.arange(4) + 0.5) / 4])
    found = {tuple(symmetry(PARTS, draw, DIMS)["u"].flatten().tolist()) for draw in draws}
    assert len(found) == elements
    assert same(PARTS, before)


def test_symmetries_that_do_not_fit_are_refused():
    narrow = {"u": normal(3, 4, 6)}
    with pytest.raises(ValueError, match="of equal size"):
        Turn(("x", "y"))(narrow, torch.rand(8), {"u": ("time", "x", "y")})
    with pytest.raises(ValueError, match="no sizes of the axis 'z'"):
        Shift(("z",))(PARTS, torch.rand(8), DIMS)
    with pytest.raises(ValueError, match="got the entry w"):
        Mirror("y", ("w",)).moved(PARTS, 1, DIMS)
    with pytest.raises(ValueError, match=r"got the entry \('nu', 'which', 0\)"):
        Mirror("y", (("nu", "which", 0),)).moved(PARTS, 1, DIMS)
