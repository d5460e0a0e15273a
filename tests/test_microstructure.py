"""Families of microstructures have the statistics that they say, and descriptors those of hand-made images."""

import math

import numpy as np
import pytest
import torch

from oracles import close
from sciencegen.physics.microstructure import (
    FAMILIES,
    Discs,
    Grains,
    LevelSet,
    Spinodal,
    Style,
    chords,
    connected,
    fraction,
    lineal_path,
    orientation,
    percolates,
    style_of,
    two_point,
)  # fmt: skip

D = torch.float64
every = pytest.mark.parametrize("name", FAMILIES)


def styles(count: int, length: float = 4.0, angle: float = 30.0, aspect: float = 2.0, share: float = 0.4) -> Style:
    return Style(torch.full((count,), length), angle, aspect, share)


def disc(side: int = 16) -> torch.Tensor:
    """A square of 6 x 6 that lies across two sides."""
    image = torch.zeros(side, side, dtype=D)
    image[:6, :6] = 1
    return image.roll((-3, 5), (0, 1))


# --- styles --------------------------------------------------------------------------------------------------------

def test_a_stretch_keeps_areas_and_lengths_along_it_are_the_aspect_times_those_across():
    style = Style(3.0, 30.0, 2.5, 0.4)
    close(torch.linalg.det(style.power(1.0)), torch.ones(1, dtype=D), 1e-12)
    along = torch.tensor([math.sin(math.pi / 6), math.cos(math.pi / 6)], dtype=D)
    across = torch.tensor([along[1], -along[0]], dtype=D)
    close(style.distance(torch.stack([2.5 * along, across]))[:, :1], style.distance(across)[:, None], 1e-12)
    again = Style.stretched(style.length, style.stretch, style.fraction)
    for name in ("length", "angle", "aspect", "fraction"):
        close(getattr(again, name), getattr(style, name), 1e-12)


@pytest.mark.parametrize("wrong", [(0.0, 0, 1, 0.5), (2.0, 0, 0.9, 0.5), (2.0, 0, 1, 1.0), (math.nan, 0, 1, 0.5)])
def test_styles_that_are_none(wrong):
    with pytest.raises(ValueError, match="expected a length above 0, an aspect of at least 1"):
        Style(*wrong)


# --- families ------------------------------------------------------------------------------------------------------

@every
def test_images_have_the_style_that_was_asked_for(name):
    """Means of 8 images; the grid hides the finest corners, so that lengths come out 0 to 10 % long."""
    found = style_of(FAMILIES[name].draw(styles(8), (96, 96), seed=3))
    mean = Style.stretched(found.length.mean()[None], found.stretch.mean(0)[None], found.fraction.mean()[None])
    assert 0.96 < float(mean.length) / 4 < 1.1
    assert abs(float(mean.angle) - 30) < 4
    assert 1.75 < float(mean.aspect) < 2.15
    assert abs(float(mean.fraction) - 0.4) < 0.03


@every
def test_an_image_is_the_same_whatever_is_drawn_with_it(name):
    family = FAMILIES[name]
    two = family.draw(styles(3)[1:], (32, 48), seed=5, first=1)
    assert torch.equal(two, family.draw(styles(3), (32, 48), seed=5)[1:])
    assert two.shape == (2, 32, 48)
    assert set(two.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(two, family.draw(styles(2), (32, 48), seed=6, first=1))
    assert family.draw(styles(3)[:0], (32, 48)).shape == (0, 32, 48)


@every
def test_fractions_that_a_family_has_not(name):
    with pytest.raises(ValueError, match="got fractions from 0.9 to 0.9; expected"):
        FAMILIES[name].draw(styles(1, share=0.9))
    with pytest.raises(ValueError, match="got a grid of"):
        FAMILIES[name].draw(styles(1), (2, 64))


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_the_two_point_function_of_level_sets_is_its_closed_form(share):
    """Over 200 images; standard errors of means over images, at every lag."""
    law, style = LevelSet(), styles(200, length=3.0, share=share)
    found, exact = two_point(law.draw(style, (48, 40)).double()), law.two_point(style[:1], (48, 40))[0]
    error = found.std(0) / 200**0.5
    assert ((found.mean(0) - exact).abs() / error).max() < 4
    close(exact[0, 0], torch.tensor(share, dtype=D), 1e-7)


def test_at_one_half_it_is_the_arcsine_law():
    law, style = LevelSet(), styles(1, share=0.5)
    rho = law.correlation(style, (32, 32))
    close(rho[:, 0, 0], torch.ones(1, dtype=D), 1e-12)
    close(law.two_point(style, (32, 32)), 0.25 + torch.asin(rho.clamp(-1, 1)) / (2 * math.pi), 1e-6)


def test_every_pixel_is_of_the_nearest_grain():
    style, grid = styles(1, length=5.0, aspect=1.5), (24, 30)
    (cells,) = Grains().cells(style, grid, seed=2)
    rng = np.random.default_rng((2, 0, 0))
    count = max(int(rng.poisson(float(Grains().count(style, grid)))), 2)
    points = torch.from_numpy(rng.random((count, 2)) * grid)
    pixels = torch.cartesian_prod(torch.arange(24), torch.arange(30)).to(D)
    off = pixels[:, None] - points
    shifts = torch.cartesian_prod(torch.tensor([-24, 0, 24]), torch.tensor([-30, 0, 30])).to(D)
    nearest = style.distance(off[:, :, None] + shifts)[0].amin(-1).argmin(-1)
    assert torch.equal(cells.flatten(), nearest)


def test_grains_of_unequal_weights_vary_more_in_size():
    sizes = [torch.cat([c.flatten().bincount().double() for c in Grains(spread).cells(styles(6), (64, 64))])
             for spread in (0.0, 1.0)]
    spreads = [float(s[s > 0].std() / s[s > 0].mean()) for s in sizes]
    assert spreads[1] > 1.2 * spreads[0]


def test_discs_do_not_overlap_and_fill_their_share(monkeypatch):
    style, law, grid = styles(4, aspect=1.7, share=0.35), Discs(), (64, 64)
    for i, (places, radii) in enumerate(law.discs(style, grid)):
        off = torch.from_numpy(places[:, None] - places)
        shifts = torch.cartesian_prod(torch.tensor([-64, 0, 64]), torch.tensor([-64, 0, 64])).to(D)
        apart = style[i: i + 1].distance(off[:, :, None] + shifts)[0].amin(-1)
        gaps = apart - torch.from_numpy(radii[:, None] + radii)
        assert gaps[~torch.eye(len(radii), dtype=torch.bool)].min() > -1e-9
        assert math.pi * (radii**2).sum() == pytest.approx(0.35 * 64 * 64)
    assert (law.draw(style, grid).mean((1, 2)) - 0.35).abs().max() < 0.01
    monkeypatch.setattr("sciencegen.physics.microstructure.discs.TURNS", 1)
    with pytest.raises(ValueError, match="found room"):
        law.draw(styles(1, share=0.45), grid)


def test_spinodal_structures_keep_their_mass():
    style = Style(4.0, 0.0, 1.0, torch.tensor([0.35, 0.5, 0.65]))
    close(Spinodal().draw(style, (40, 40)).double().mean((1, 2)), style.fraction, 1 / 1600)


# --- descriptors ---------------------------------------------------------------------------------------------------

def test_the_two_point_function_counts_pairs():
    phase = (torch.rand(2, 6, 9, generator=torch.Generator().manual_seed(0)) > 0.6).to(D)
    lags = [(0, 0), (1, 0), (2, 5), (5, 8)]
    wanted = torch.stack([fraction(phase * phase.roll((-y, -x), (1, 2))) for y, x in lags], -1)
    close(torch.stack([two_point(phase)[:, y, x] for y, x in lags], -1), wanted, 1e-12)


def test_lineal_path_and_chords_of_a_square():
    path = lineal_path(disc(), longest=8) * 256
    close(path, torch.tensor([36.0, 30, 24, 18, 12, 6, 0, 0, 0], dtype=D), 1e-12)
    close(chords(disc(), axis=-2, longest=8) * 256, torch.tensor([0.0, 0, 0, 0, 0, 6, 0], dtype=D), 1e-12)
    phase = (torch.rand(5, 20, 20, generator=torch.Generator().manual_seed(0)) > 0.5).to(D)
    runs = fraction(phase * (1 - phase.roll(1, -1)))
    close(chords(phase, longest=20).sum(-1), runs, 1e-12)


@pytest.mark.parametrize("angle", [0.0, 30.0, 135.0])
def test_the_orientation_of_waves(angle):
    y, x = torch.meshgrid(torch.arange(40, dtype=D), torch.arange(40, dtype=D), indexing="ij")
    a = math.radians(angle)
    turns = round(-6 * math.sin(a)), round(6 * math.cos(a))  # whole waves across: perpendicular to the angle
    wave = torch.cos(2 * math.pi * (turns[0] * x + turns[1] * y) / 40)
    found, spread = orientation(wave)
    exact = math.degrees(math.atan2(-turns[0], turns[1])) % 180
    assert abs((float(found) - exact + 90) % 180 - 90) < 2.0
    assert spread > 0.999


def test_components_are_joined_across_the_sides():
    image = torch.stack([disc(), torch.zeros(16, 16, dtype=D), disc(), disc()])
    image[2, 8:10, 0:4] = 1
    image[3, :, 9] = 1  # through the square, from side to side
    close(connected(image), torch.tensor([1.0, 1.0, 36 / 44, 1.0], dtype=D), 1e-12)
    assert percolates(image, 0).tolist() == [False, False, False, True]
    assert percolates(image, 1).tolist() == [False] * 4
    assert percolates(image.mT, 1).tolist() == [False, False, False, True]
    assert connected(image[0]).shape == ()
