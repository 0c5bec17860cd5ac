"""Lives of seeds, from the decisions about their slots."""

from _runs import RunFolder, life

from kasmina.report.lives import KEPT, OPEN, PRUNED, first_blending, lives_of
from kasmina.report.runs import read_run


def lives(tmp_path, moves):
    return lives_of(read_run(RunFolder(tmp_path, ticks=60, moves=moves).write()).events)


def test_a_slot_holds_one_seed_after_the_other(tmp_path):
    moves = [*life("stages.0", "norm", 2, keep=False), *life("stages.0", "se", 20)]
    first, second = lives(tmp_path, moves)
    assert (first.blueprint, first.fate, first.ended.tick) == ("norm", PRUNED, 13)
    assert (second.blueprint, second.fate, second.germinated.tick) == ("se", KEPT, 20)
    assert first.parameters > 0


def test_a_seed_without_a_fate_is_open(tmp_path):
    (only,) = lives(tmp_path, life("stages.0", "norm", 2)[:3])
    assert (only.fate, only.ended, only.blended.tick) == (OPEN, None, 5)


def test_the_first_blending_is_that_of_any_slot(tmp_path):
    found = lives(tmp_path, [*life("stages.0", "norm", 9), *life("stages.1", "se", 4)])
    assert first_blending(found).tick == 7
    assert first_blending(lives(tmp_path, life("stages.0", "norm", 2)[:2])) is None
