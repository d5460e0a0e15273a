"""Designs of microstructures: slopes of goals are right, what is judged is what was asked for, and words are plain."""

import sys

import numpy as np
import pytest
import torch
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles import close
from sciencegen import cli, io
from sciencegen.exact import Gaussian
from sciencegen.physics.homogenise import conductivity
from sciencegen.physics.microstructure import LevelSet, Style
from sciencegen.priors import Denoiser, Model
from sciencegen.sample import Multistep, karras
from sciencegen.studies.microstructure.adam import descend
from sciencegen.studies.microstructure.goals import Goals, slack
from sciencegen.studies.microstructure.images import Limits, cut, opened, pieces
from sciencegen.studies.microstructure.level_set import LevelSets
from sciencegen.studies.microstructure.newton import misses, newton
from sciencegen.studies.microstructure.patches import Patches
from sciencegen.studies.microstructure.prior import network, prior_layout
from sciencegen.studies.microstructure.steer import Steered, steered
from sciencegen.studies.microstructure.study import MicrostructureStudy
from sciencegen.studies.microstructure.styles import by_patch, painted, shades, styles
from sciencegen.studies.microstructure.swayed import Grown, distance
from sciencegen.studies.microstructure.words import goals
from sciencegen.studies.study import run

ONE = Style(*(torch.tensor([v]) for v in (3.0, 0.0, 1.0, 0.5)))


def sets(n=24, limits=None, **more):
    return LevelSets((n, n), ONE, limits=limits or Limits(), **more)


# --- goals --------------------------------------------------------------------------------------------------------

def test_rows_are_the_derivatives_weighted_by_what_a_whole_pixel_does():
    phase = (torch.rand(2, 12, 12, generator=torch.Generator().manual_seed(0)) > 0.5).double()
    asked = Goals({"kx": 3.0, "ky": 2.5, "fraction": 0.5})
    value, rows = asked.rows(phase)
    step = 1e-4 * torch.eye(144, dtype=torch.float64)[[7, 100]].reshape(2, 12, 12)
    for pixel in step:
        up, down = (asked.of(phase + s * pixel, 1e-9) for s in (1, -1))
        slope = (up - down) / 2e-4
        weight = torch.where((phase * pixel).sum((1, 2)) > 0, 20 / 11, 2 / 11)[:, None] * torch.tensor([1.0, 1.0, 0.0])
        weight[:, 2] = 1
        close((rows * pixel / 1e-4).sum((-2, -1)), slope * weight, 2e-3)
    close(value, asked.of(phase), 2e-3)


def test_a_flipped_pixel_changes_the_conductivity_about_as_its_row_says():
    """Over all pixels of a phase, up to a factor of 1.7; without the weights it would be 5 to 8 in phase 0."""
    phase = (LevelSet().field(ONE, torch.randn(1, 16, 16, generator=torch.Generator().manual_seed(1))) > 0).double()
    asked = Goals({"kx": 3.0})
    value, rows = asked.rows(phase)
    flips = phase[0] + torch.eye(256, dtype=torch.float64).reshape(-1, 16, 16) * (1 - 2 * phase)
    came = asked.of(flips, 1e-6)[:, 0] - value[0, 0]
    promised = rows[0, 0].flatten() * (1 - 2 * phase.flatten())
    for kind in (0, 1):
        some = phase.flatten() == kind
        assert 1 / 1.7 < float(came[some].sum() / promised[some].sum()) < 1.7


def test_conductivity_has_axes_x_and_y_of_images_with_rows_y():
    layers = torch.zeros(8, 8, dtype=torch.float64)
    layers[:4] = 1.0  # layers along x: phase 1 in the lower rows
    close(Goals(contrast=10.0).conductivity(layers).diagonal(), torch.tensor([5.5, 2 / 1.1]).double(), 1e-6)


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.7])
def test_layers_are_at_the_bounds_and_all_else_inside(fraction):
    mean, other = 10 * fraction + 1 - fraction, 1 / (fraction / 10 + 1 - fraction)
    corner = slack(torch.tensor([mean, other], dtype=torch.float64), 10.0, fraction)
    assert float(corner.abs().max()) < 1e-9
    assert float(slack(torch.tensor([mean, mean]).double(), 10.0, fraction).min()) < 0
    image = (LevelSet().field(ONE, torch.randn(6, 16, 16, generator=torch.Generator().manual_seed(2)))).flatten(1)
    phase = (image.argsort(-1).argsort(-1) >= round((1 - fraction) * 256)).double().reshape(-1, 16, 16)
    pair = conductivity(1 + 9 * phase).diagonal(dim1=-2, dim2=-1)
    shares = phase.mean((-2, -1))
    assert all(float(slack(p, 10.0, float(s)).min()) > 0 for p, s in zip(pair, shares))


# --- images -------------------------------------------------------------------------------------------------------

def test_slopes_add_up_to_the_share_of_pixels_that_change():
    field = torch.randn(400, 400, generator=torch.Generator().manual_seed(3)).double().requires_grad_()
    (slope,) = torch.autograd.grad(cut(field, 0.1).mean(), field)
    change = float(((field + 0.05 > 0).double() - (field - 0.05 > 0).double()).mean()) / 0.1
    assert float(slope.sum()) == pytest.approx(change, rel=0.05)


@settings(max_examples=25)
@given(seed=st.integers(0, 999), dy=st.integers(0, 11), dx=st.integers(0, 11))
def test_pieces_do_not_depend_on_where_the_image_begins(seed, dy, dx):
    image = (np.random.default_rng(seed).random((12, 12)) < 0.5).astype(int)
    numbers, count = pieces(image)
    moved, again = pieces(np.roll(image, (dy, dx), (0, 1)))
    assert count == again
    assert ((numbers > 0) == (image > 0)).all()
    assert sorted(np.bincount(numbers.ravel())[1:]) == sorted(np.bincount(moved.ravel())[1:])


def test_a_piece_round_the_sides_is_one():
    image = np.zeros((6, 6), int)
    image[0, 0] = image[-1, 0] = image[0, -1] = 1
    assert pieces(image)[1] == 1
    assert pieces(np.eye(6, dtype=int))[1] == 6
    assert pieces(np.ones((4, 4)))[1] == 1


def test_what_is_kept_is_in_one_piece_and_nowhere_finer():
    phase = (sets(32).height(sets(32).draw(torch.arange(4))) > 0).float()
    kept = Limits(connected=True, feature=3).kept(phase)
    assert [pieces(image.numpy())[1] for image in kept] == [1] * 4
    assert list(Limits(feature=3).broken(Limits(feature=3).kept(phase))) == [""] * 4
    assert (opened(opened(phase, 3), 3) == opened(phase, 3)).all()
    assert (opened(phase, 3) <= phase).all()


# --- level sets ---------------------------------------------------------------------------------------------------

def test_a_painted_field_has_unit_variance_in_every_pixel():
    both = Style(*(torch.tensor(v) for v in ((2.0, 5.0), (0.0, 90.0), (1.0, 2.0), (0.5, 0.5))))
    shade = torch.zeros(16, 16)
    shade[:, 8:] = 1.0
    style, weights = painted(styles(["size=2", "size=5,angle=90,aspect=2"]), shade)
    close(style.power(0.5), both.power(0.5), 1e-6)
    close(weights.sum(0), torch.ones(16, 16), 1e-5)
    made = LevelSets((16, 16), style, weights)
    unit = torch.eye(256, dtype=torch.float64).reshape(-1, 16, 16)
    close(made.field(unit).square().sum(0), torch.ones(16, 16).double(), 1e-5)


def test_designs_meet_their_goals_and_stay_as_diverse():
    structures, asked = sets(), Goals({"kx": 3.6, "ky": 2.5})
    start = structures.draw(torch.arange(8))
    found = newton(start, structures.phase, asked, 30)
    phase = structures.phase(found.x, 0.1)
    assert float(misses(asked.of(phase.double()) / asked.target(phase.double())).median()) < 0.006
    assert float(found.solves.max()) <= 30
    assert float((found.x - start).norm(dim=-1).max()) < 15  # of 24 standard deviations from the centre
    apart = [torch.pdist(structures.phase(x, 0.1).flatten(1), p=1).mean() for x in (found.x, start)]
    assert float(apart[0] / apart[1]) > 0.9


@pytest.mark.parametrize("family, fraction", [("grains", 0.5), ("discs", 0.3), ("spinodal", 0.5)])
def test_interfaces_of_other_families_move_a_little(family, fraction):
    style = Style(*(torch.tensor([v]) for v in (3.0, 0.0, 1.0, fraction)))
    structures = Grown((24, 24), style, family)
    asked = Goals({"kx": 3.2 if fraction == 0.5 else 1.8})
    start, solves, calls = structures.begin(torch.arange(4), asked)
    before = structures.phase(start, 0.1)
    assert (before == (start[:, 576:].reshape(-1, 24, 24) > 0)).all()
    found = newton(start, structures.phase, asked, 20)
    after = structures.phase(found.x, 0.1)
    assert float(misses(asked.of(after.double()) / asked.target(after.double())).median()) < 0.01
    assert (solves, calls) == (8, 0)
    assert family != "spinodal" or bool((after.sum((1, 2)) == before.sum((1, 2))).all())
    assert float((after != before).float().mean()) < 0.06


def test_distances_are_periodic_and_half_a_pixel_at_the_interface():
    phase = torch.zeros(1, 8, 8, dtype=torch.bool)
    phase[0, 0, :3] = phase[0, -1, :3] = True
    found = distance(phase)
    assert float(found[phase].max()) == 0.5
    close(distance(phase.roll((3, 2), (1, 2))), found.roll((3, 2), (1, 2)))
    close(distance(~phase), -found)


def test_a_steered_sample_is_near_its_goals_at_a_solve_a_steered_level(monkeypatch):
    rows, solves = Goals.rows, []
    monkeypatch.setattr(Goals, "rows", lambda goals, phase: solves.append(len(phase)) or rows(goals, phase))
    structures, asked = sets(), Goals({"kx": 4.2, "ky": 2.4})
    prior = Gaussian(torch.zeros(structures.layout.size), torch.tensor(1.0))
    led, sampler = Steered(prior, structures.phase, asked), Multistep(karras(16, 0.05, 40.0))
    start = sampler.start(6, structures.layout.size, torch.arange(6))
    off = [misses(asked.of(structures.phase(sampler(energy, start), 0.1)) / asked.target(start)).median()
           for energy in (prior, led)]
    assert float(off[1]) < 0.4 * float(off[0])
    assert solves == [6] * sum(map(steered, sampler.levels[:-1]))


def untrained() -> Model:
    """A prior of patches that knows their Gaussian alone."""
    layout = prior_layout()
    phase, style = layout["phase"], layout["style"]
    strips = [(part & style, style) for part in (phase[:, :16], phase[:16], phase[:16, :16])]
    unit, net = Gaussian(torch.zeros(layout.size), torch.ones(layout.size)), network()
    return Model(layout, Denoiser(net.build(), unit, (), 2e-2, [style], within=strips).eval(), net)


def test_patches_are_led_where_a_mean_is_an_image():
    sampler = Multistep(karras(4, 0.5, 8.0))
    made = Patches((32, 32), ONE, "grains", model=untrained(), sampler=sampler)
    asked = Goals({"kx": 4.0, "ky": 2.4})
    (free, *spent), (led, solves, _) = (made.bases(torch.arange(2), goals) for goals in (Goals(), asked))
    assert (free.shape, spent[0], solves) == ((2, 32, 32), 0, sum(level <= 1.5 for level in sampler.levels[:-1]))
    off = [misses(asked.of((base > 0).double()) / asked.target(base.double())).mean() for base in (free, led)]
    assert float(off[1]) < 0.75 * float(off[0])
    with pytest.raises(ValueError, match="got --size 40; expected a multiple of 16"):
        Patches((40, 40), ONE, "grains", model=made.model)


def test_a_patch_has_the_style_of_its_middle():
    shade = torch.zeros(64, 64)
    shade[:, 32:] = 1.0
    style, weights = painted(styles(["size=2", "size=5,angle=90,aspect=2"]), shade)
    found = by_patch(style, weights, 32, 16)
    close(found.length.reshape(4, 4)[0], torch.tensor([2.0, 5.0, 5.0, 2.0]).double(), 0.9)
    assert len(found) == 16


def test_a_design_does_not_depend_on_the_others():
    structures, asked = sets(16), Goals({"kx": 3.0})
    start = structures.draw(torch.arange(3))
    all_, alone = (newton(x, structures.phase, asked, 6).x for x in (start, start[1:2]))
    close(all_[1:2], alone, 1e-3)


def test_adam_comes_nearer_too():
    structures, asked = sets(16), Goals({"kx": 3.6, "ky": 2.5})
    start = structures.draw(torch.arange(4))
    off = [misses(asked.of(structures.phase(x, 0.1).double()) / torch.tensor([3.6, 2.5]).double()).median()
           for x in (start, descend(start, structures.height, asked, 30))]
    assert float(off[1]) < 0.5 * float(off[0])


def test_lattices_are_in_one_piece_and_inside_the_bounds():
    asked = Goals({"C11": 0.5, "C66": 0.13})
    study = MicrostructureStudy(sets(16, Limits(connected=True)), asked, solves=16)
    result = run(study, 2, torch.arange(2), progress=False)
    assert [pieces(image)[1] for image in result.samples.phase.values] == [1, 1]
    low, high = result.samples["bulk_hashin_shtrikman"].values.T
    assert ((low < result.samples["bulk"].values) & (result.samples["bulk"].values < high)).all()
    assert np.median(result.fun) < 0.05


def test_a_result_has_what_is_promised():
    asked = Goals({"kx": 3.0, "fraction": 0.5})
    result = run(MicrostructureStudy(sets(16, loose=False), asked), 3, torch.arange(3), progress=False)
    found = result.samples
    assert (found.phase.dims, set(np.unique(found.phase))) == (("sample", "y", "x"), {0, 1})
    assert (found.conductivity.dims, list(found.axis.values)) == (("sample", "axis"), ["x", "y"])
    k = conductivity(1 + 9 * torch.tensor(found.phase.values).double().mT)
    close(torch.tensor(found.conductivity.values), k.diagonal(dim1=-2, dim2=-1), 1e-6)
    assert (found.wiener.values[:, :1] < found.conductivity.values).all()
    assert (found.conductivity.values < found.wiener.values[:, 1:]).all()
    np.testing.assert_allclose(result.fun, np.abs(found.reached.values / [3.0, 0.5] - 1).max(-1))


# --- words --------------------------------------------------------------------------------------------------------

def test_styles_are_read_as_they_are_written():
    asked = styles(["size=3, angle=30,aspect=2"], fraction=0.3)
    values = [float(getattr(asked.style, name)) for name in ("length", "angle", "aspect", "fraction")]
    assert values == pytest.approx([3.0, 30.0, 2.0, 0.3])
    assert (asked.family, asked.told, styles([]).told) == ("level-set", True, False)


def test_the_lowest_row_of_a_map_is_the_first(tmp_path):
    from matplotlib import pyplot

    pyplot.imsave(tmp_path / "map.png", np.array([[1.0, 1.0], [0.0, 0.0]]), cmap="gray", vmin=0, vmax=1)
    close(shades(tmp_path / "map.png", (4, 4))[:, 0], torch.tensor([0.0, 0.0, 1.0, 1.0]), 1e-6)


@pytest.fixture
def called(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder; status, output, errors."""
    monkeypatch.chdir(tmp_path)

    def call(*words) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sciencegen", *map(str, words)])
        try:
            cli.main()
            status = 0
        except SystemExit as ended:
            status = int(ended.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err
    return call


@pytest.mark.parametrize("words, text", [
    (["--kx", 40], "got --kx 40; expected a number between 1 and 10"),
    (["--kx", 4, "--ky", 4, "--fraction", 0.45], "no material of these phases conducts so"),
    (["--modulus", "C11"], "got --modulus C11; expected one of C11, C22, C12, C66"),
    (["--modulus", "C11=3"], "got --modulus C11=3; expected a number between 0 and 1.35"),
    (["--style", "size=-4"], "got 'size=-4' in --style"), (["--style", "4"], "got '4' in --style"),
    (["--style", "size=4", "--style", "size=8"], "without --paint"), (["--paint", "no.png"], "got no.png"),
    (["--style", "family=discs,fraction=0.8"], "got fractions from 0.8 to 0.8 of discs"),
    (["--style", "family=discs", "--prior", "adam"], "got family=discs in --style with --prior adam"),
    (["--feature", 0], "got --feature 0"), (["--size", 4], "got --size 4"), (["--contrast", 1], "got --contrast 1")])
def test_what_cannot_be_meant_is_refused_in_one_line(called, words, text):
    status, _, errors = called("design", "microstructure", *words)
    assert (status, text in " ".join(errors.split()), errors.count("\n")) == (2, True, 1), errors


def test_a_command_leaves_images_that_other_tools_read(called, tmp_path):
    words = ("--kx", 3.2, "--size", 16, "--style", "size=3", "--count", 2, "--out", "run")
    assert called("design", "microstructure", *words)[0] == 0
    assert {"best.dream3d", "best.png", "designs.png", "report.html", "result.nc"} <= {
        p.name for p in (tmp_path / "run").iterdir()}
    image, result = io.open(tmp_path / "run" / "best.dream3d"), xarray.open_dataset(tmp_path / "run" / "result.nc")
    np.testing.assert_array_equal(image.Phases.values.T - 1, result.phase.values[0])
    assert image.FeatureIds.values.min() == 1


def test_goals_are_read_as_they_are_written():
    asked = goals(4.0, None, 0.4, ["C11=0.3,C12=0.1", "C66=0.1"], 20.0, 1e-3)
    assert dict(asked.wanted) == {"kx": 4.0, "fraction": 0.4, "C11": 0.3, "C12": 0.1, "C66": 0.1}
    assert (asked.contrast, asked.void, asked.elastic) == (20.0, 1e-3, True)
