"""From images to wings: what was drawn is found again, and what is no wing is turned down with the reason."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import xarray
from torch import Tensor

from sciencegen.airfoil import cst, wing_fit
from sciencegen.airfoil.wing_fit import SPREAD, fit_wings, pixels
from sciencegen.airfoil.wings import Limits, Wings
from sciencegen.physics import Circle, Outline, ellipse, placed
from sciencegen.studies.flow.prior import image

DATASETS = Path(__file__).parents[1] / "datasets"


def airfoils(split: str) -> Tensor:
    with xarray.open_dataset(DATASETS / "airfoils.nc") as data:
        shapes = torch.from_numpy(data["shape"].values[(data["split"] == split).values]).double()
    return shapes[cst.max_thickness(shapes) >= 0.1]


def wings(count: int, seed: int = 0) -> Wings:
    """Drawn evenly within the limits, from the held-out airfoils."""
    limits, generator = Limits(), torch.Generator().manual_seed(seed)
    even = lambda low, high: low + (high - low) * torch.rand(count, generator=generator, dtype=torch.float64)
    shapes = airfoils("test")
    centre = torch.stack([even(-limits.x, limits.x), even(-limits.y, limits.y)], -1)
    return Wings(shapes[torch.randint(len(shapes), (count,), generator=generator)], even(*limits.chord),
                 even(-limits.alpha, limits.alpha), centre)


def seen(outlines: Tensor) -> Tensor:
    """The images ``(*B, 64, 64)`` of bodies with ``outlines (*B, n, 2)``."""
    return image(Outline(outlines)(pixels(outlines)))


def noisy(images: Tensor, noise: float) -> Tensor:
    return images + noise * torch.randn(images.shape, generator=torch.Generator().manual_seed(1), dtype=images.dtype)


def apart(one: Tensor, other: Tensor) -> Tensor:
    """The root mean square distance of the corners of either outline ``(*B, n, 2)`` to the other: ``(*B,)``."""
    pairs = [(Outline(a)(b).square().mean() + Outline(b)(a).square().mean()) / 2
             for a, b in zip(one.reshape(-1, *one.shape[-2:]), other.reshape(-1, *other.shape[-2:]))]
    return torch.stack(pairs).sqrt().reshape(one.shape[:-2])


def mirrored(wing: Wings) -> Wings:
    """Upside down, in a stream that knows no up."""
    upper, lower, leading, trailing = cst.split(wing.shape)
    return Wings(cst.join(-lower, -upper, -leading, trailing), wing.chord, -wing.alpha,
                 wing.centre * wing.centre.new_tensor([1.0, -1.0]))


@pytest.mark.parametrize("noise, distance, angle", [(0.0, 0.002, 0.5), (0.02, 0.004, 1.5)])
def test_a_wing_is_found_in_its_image(noise, distance, angle):
    drawn = wings(4)
    found = fit_wings(noisy(seen(drawn.outline(201)), noise))
    assert (found.reason == "").all()
    assert apart(found.wings.outline(), drawn.outline()).max() < distance
    assert (found.wings.alpha - drawn.alpha).abs().max() < angle
    assert (found.error < distance / 4 + 0.25 * noise).all()


def test_the_flows_bodies_are_found_in_their_distances():
    """Airfoils and ellipses as the solver saw them, with noise as a network leaves it."""
    with h5py.File(DATASETS / "flows_test.h5") as data:
        distance, outlines = (torch.from_numpy(data[key][:5]).double() for key in ("distance", "outline"))
    found = fit_wings(noisy(image(distance), 0.05))
    assert (found.reason == "").all()
    assert apart(found.wings.outline(), outlines).max() < 0.01
    assert Limits().kept(Wings(*(part[:, None] for part in found.wings))).all()


def test_a_mirrored_image_gives_the_mirrored_wing():
    drawn = seen(wings(1, seed=3).outline())
    up, down = fit_wings(drawn).wings, fit_wings(drawn.flip(-1)).wings
    assert apart(mirrored(up).outline(), down.outline()).max() < 1e-3
    torch.testing.assert_close(up.alpha, -down.alpha, atol=0.1, rtol=0)


@pytest.mark.parametrize("aspect", [0.2, 0.5])
def test_an_ellipse_is_an_airfoil_to_a_hundredth(aspect):
    outline = placed(ellipse(torch.tensor(0.9).double(), 0.9 * aspect), 30.0, (0.1, -0.2))
    found = fit_wings(seen(outline))
    assert found.reason.item() == ""
    assert apart(found.wings.outline(), outline) < 0.01


def test_what_is_no_single_body_is_turned_down_and_says_why():
    grid, centre = pixels(torch.zeros((), dtype=torch.float64)), torch.tensor([0.2, 0.1], dtype=torch.float64)
    disc = lambda x, y, r: Circle(centre.new_tensor([x, y]), centre.new_tensor(r))(grid)
    pictures = {
        "no body": torch.ones(64, 64), "touches the edge of the image": -torch.ones(64, 64),
        "several bodies": torch.minimum(disc(0, 0.6, 0.3), disc(0, -0.6, 0.3)),
        "a hole in it": disc(0.2, 0.1, 0.5).abs() - 0.1,
        "not finite": torch.full((64, 64), torch.nan),
    }
    for reason, distance in pictures.items():
        found = fit_wings(image(distance.double()))
        assert found.reason.item() == reason
        assert found.wings.shape.isnan().all()
        assert found.error.isnan()
    off = fit_wings(image(disc(0.0, 0.0, 0.8)))
    assert off.reason.item().startswith("no wing within limits is like it")
    assert f"{off.error:.3f} chords off" in off.reason.item()
    assert torch.isfinite(off.wings.shape).all()


def test_specks_are_no_bodies_and_a_body_at_the_edge_is_not_whole():
    outline = wings(1).outline()
    corner = outline.new_tensor([-1.1, -0.5])  # the image begins at -0.967
    whole, cut = seen(outline), seen(outline - outline.amin(-2, keepdim=True) + corner)
    whole[0, :2, 3:5] = -0.5
    assert fit_wings(whole).reason.item() == ""
    assert fit_wings(cut).reason.item() == "touches the edge of the image"


def test_limits_hold_whatever_the_image_shows():
    narrow = Limits(chord=(0.8, 0.85), alpha=10.0, x=0.05, y=0.1, thickness=0.14)
    drawn = wings(2, seed=5)
    near, strict = (fit_wings(seen(drawn.outline()), narrow, tolerance) for tolerance in (1.0, 0.04))
    for found in (near, strict):
        assert narrow.kept(Wings(*(part[:, None] for part in found.wings))).all()
    assert (near.reason == "").all()
    assert all("within limits" in reason for reason in strict.reason)


def test_rows_are_independent_and_batches_have_any_shape():
    images = seen(wings(4).outline()).reshape(2, 2, 64, 64).float()
    found, alone = fit_wings(images), fit_wings(images[1, 0])
    assert found.wings.shape.dtype == torch.float32
    assert [tuple(part.shape) for part in found.wings] == [(2, 2, 18), (2, 2), (2, 2), (2, 2, 2)]
    assert found.error.shape == found.reason.shape == (2, 2)
    torch.testing.assert_close([part[1, 0] for part in found.wings], list(alone.wings))
    none = fit_wings(torch.empty(0, 3, 64, 64))
    assert none.wings.outline().shape == (0, 3, 201, 2)
    assert none.reason.shape == (0, 3)


def test_the_jacobian_is_that_of_the_misfits():
    """But for pixels whose nearest point of the polygon changes its edge, or is a corner."""
    random = np.random.default_rng(0)
    theta = np.concatenate([wing_fit.MEAN + 0.3 * SPREAD * random.standard_normal(18), [0.9, 20.0, 0.1, 0.2]])
    theta[17] = 0.01
    fit = wing_fit._Fit.of(seen(wing_fit._wing(theta).outline()).numpy(), 0.3)
    step = 1e-5 * np.eye(22)
    numeric = np.stack([(fit.misfits(theta + e) - fit.misfits(theta - e)) / 2e-5 for e in step], 1)
    error = np.abs(fit.jacobian(theta) - numeric) / np.abs(numeric).max(0)
    assert np.quantile(error, 0.99) < 0.02


def test_the_mean_airfoil_is_that_of_the_data():
    upper, lower, leading, _ = cst.split(airfoils("train"))
    half, bend = (upper - lower) / 2, (upper + lower) / 2
    np.testing.assert_allclose(wing_fit.MEAN[:8], half.mean(0), atol=1e-3)
    np.testing.assert_allclose(SPREAD[:8], half.std(0), atol=1e-3)
    np.testing.assert_allclose(SPREAD[8:16], bend.square().mean(0).sqrt(), atol=1e-3)
    np.testing.assert_allclose(SPREAD[16], leading.square().mean().sqrt(), atol=1e-3)
