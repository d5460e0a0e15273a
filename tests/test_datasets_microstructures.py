"""The set of microstructures: the same however it is made, never half-written; the shipped one."""

from pathlib import Path

import h5py
import make_microstructures
import pytest
import torch

from oracles import close
from sciencegen.physics.microstructure import FAMILIES
from sciencegen.studies.microstructure.prior import Crops, decoded, encoded, prior_layout, read

FOLDER = Path(__file__).parents[1] / "datasets"
SHIPPED = FOLDER / "microstructures_64.h5"


def make(out: Path, samples: int = 6, seed: int = 3) -> bytes:
    make_microstructures.main(["--samples", str(samples), "--grid", "32", "--seed", str(seed), "--out", str(out)])
    return out.read_bytes()


def test_the_shipped_set_is_small_and_is_what_the_script_makes():
    assert SHIPPED.stat().st_size <= 1e6
    assert "`microstructures_64.h5`" in (FOLDER / "README.md").read_text()
    with h5py.File(SHIPPED) as file:
        said = dict(file.attrs)
        assert file["family"].attrs["flag_meanings"].split() == list(FAMILIES)
        made = make_microstructures.batch(0, 8, said["grid"].item(), said["seed"].item())
        for key, values in made.items():
            close(torch.from_numpy(file[key][:8]), torch.from_numpy(values), 1e-6)
        assert len(file["phase"]) == said["done"] == 1200


def test_an_interrupted_run_goes_on_to_the_same_file(tmp_path, monkeypatch):
    monkeypatch.setattr(make_microstructures, "BATCH", 4)
    whole, batch = make(tmp_path / "whole.h5", 6), make_microstructures.batch

    def once(first, *others):
        if first:
            raise KeyboardInterrupt
        return batch(first, *others)

    monkeypatch.setattr(make_microstructures, "batch", once)
    with pytest.raises(SystemExit, match="goes on from there"):
        make(tmp_path / "broken.h5", 6)
    assert not (tmp_path / "broken.h5").exists()
    monkeypatch.setattr(make_microstructures, "batch", batch)
    assert make(tmp_path / "broken.h5", 6) == whole
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["broken.h5", "whole.h5"]
    with pytest.raises(SystemExit, match="is there already"):
        make(tmp_path / "whole.h5", 6, seed=4)


def test_what_is_read_of_it_are_images_and_styles(tmp_path):
    make(tmp_path / "some.h5", 4)
    images, numbers = read(tmp_path / "some.h5")
    style, family = decoded(numbers)
    assert images.shape == (4, 32, 32)
    assert family.tolist() == [0, 1, 2, 3]
    close(encoded(style, family), numbers, 1e-12)
    (tmp_path / "other.h5").write_bytes((FOLDER / "nbody_2.h5").read_bytes())
    with pytest.raises(ValueError, match="a file that datasets/make_microstructures.py wrote"):
        read(tmp_path / "other.h5")


def test_patches_are_cut_anywhere_and_the_style_turns_with_them():
    """Of an image of waves at 30 degrees: the structure's own direction is that of the numbers, in all positions."""
    from sciencegen.physics.microstructure import LevelSet, Style, style_of

    style, layout = Style(torch.full((4,), 3.0), 30.0, 3.0, 0.5), prior_layout()
    crops = Crops(layout, LevelSet().draw(style, (64, 64)).byte(), encoded(style, 0))
    parts = layout.unpack(crops.rows().double())
    angle, seen = decoded(parts["style"])[0].angle.round(), style_of(parts["phase"])
    assert sorted(angle.unique().tolist()) == [30.0, 60.0, 120.0, 150.0]
    for wanted in (30.0, 60.0, 120.0, 150.0):
        found = Style.stretched(torch.ones(1), seen.stretch[angle == wanted].mean(0)[None], torch.tensor([0.5]))
        assert abs(float(found.angle) - wanted) < 5
    assert torch.equal(crops[7], crops.rows()[7])
