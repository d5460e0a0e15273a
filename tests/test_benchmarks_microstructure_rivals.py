"""The rivals' table: a kept decoder is the one that was trained, and its rows have the columns of ours."""

import torch

from benchmarks.microstructure.families import rows
from benchmarks.microstructure.families.decoder import Decoder
from benchmarks.microstructure.families.mixing import drawn, mixed
from oracles import close
from sciencegen.physics.microstructure import Style


def kept(folder):
    torch.manual_seed(0)
    weights = Decoder().half().state_dict()
    torch.save({"weights": weights, "told": {"seconds": 3.0}}, folder / "GAN_mixed_batches_7.pt")
    return weights


def test_a_kept_decoder_is_read_and_not_trained(tmp_path):
    weights = kept(tmp_path)
    decoder, told = rows.rival("GAN, mixed batches", tmp_path, 7)
    assert told == {"seconds": 3.0}
    for name, value in decoder.state_dict().items():
        close(value, weights[name].float(), 0)
    assert [file.name for file in tmp_path.iterdir()] == ["GAN_mixed_batches_7.pt"]


def test_an_image_is_the_same_in_any_batch(tmp_path):
    kept(tmp_path)
    draw = drawn(rows.rival("GAN, mixed batches", tmp_path, 7)[0])
    style, family = Style([3.0, 4.0], 0.0, 1.0, 0.4), torch.tensor([1, 2])
    both, one = draw(style, family, 32, 5), draw(style[:1], family[:1], 32, 5)
    assert (both[:1] != one).float().mean() < 0.01


def test_what_no_block_is_told_has_no_slope(tmp_path):
    """Without the weights of the style, images know nothing of it; with all blocks of the second, none of the first."""
    kept(tmp_path)
    decoder, _ = rows.rival("GAN, mixed batches", tmp_path, 7)
    for block in decoder.blocks:
        block.style.weight.zero_()
    slopes = mixed(decoder, 1, count=64)
    assert abs(slopes["fraction"][0]) < 0.1
    assert abs(slopes["fraction"][1]) < 0.1
