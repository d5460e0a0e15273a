"""The controls of microstructures: the laws themselves follow their style, what does not is found, and so is a seam."""

import torch

from benchmarks.microstructure.controls import followed, held_out, seam, styles, two_point_error
from sciencegen.physics.microstructure import Style


def test_the_laws_follow_and_what_ignores_the_style_does_not(monkeypatch):
    monkeypatch.setattr("benchmarks.microstructure.controls.READINGS", 64)
    scores = followed(held_out, count=24, repeats=2, side=48)
    assert min(scores.values()) > 0.9

    def deaf(style, family, side, seed):
        return held_out(style[torch.arange(len(style)).flip(0)], family.flip(0), side, seed)

    assert max(followed(deaf, count=24, repeats=2, side=48).values()) < 0.6


def test_two_point_functions_of_another_length_are_wrong():
    style = Style(3.0, 30.0, 2.0, 0.4)
    stretched = lambda s: Style(1.5 * s.length, s.angle, s.aspect, s.fraction)
    long = lambda s, *others: held_out(stretched(s), *others)
    right, wrong = (two_point_error(draw, style, 0, count=32, side=48) for draw in (held_out, long))
    assert right < 0.05
    assert wrong > 1.5 * right


def test_a_seam_is_found():
    images = held_out(*styles(12), 64, 0)
    clean = seam(images)
    images[:, :, 15] = images[:, :, 16]
    assert clean < 0.06
    assert seam(images) > 2 * clean
