"""A short part of the table of robustness: of hostile models none runs anything, and all are refused in words."""

from itertools import islice

from benchmarks.robustness import WORDS, part
from benchmarks.robustness.runs import BAD, judged


def test_forty_hostile_models():
    models = part("models")
    chosen = list(islice(models.cases(5), 80))[25:65]
    found = {str(case): judged(models, case) for case in chosen}
    assert {case: said for case, said in found.items() if said[0] in BAD} == {}
    words = {word for word, _ in found.values()}
    assert {"refused", "equal"} <= words <= set(WORDS)


def test_the_same_seed_gives_the_same_models():
    first, second, other = (list(islice(part("models").cases(seed), 100)) for seed in (5, 5, 6))
    assert first == second != other
