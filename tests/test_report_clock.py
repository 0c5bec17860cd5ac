"""Positions on the axes: epochs trained and FLOPs spent."""

import pytest
from _runs import RunFolder

from kasmina.report.clock import Clock, epochs_trained
from kasmina.report.records import Moment
from kasmina.report.runs import read_run


def metrics(tmp_path, **options):
    return read_run(RunFolder(tmp_path, **options).write()).metrics


def test_the_end_of_the_first_epoch_is_one(tmp_path):
    assert epochs_trained(metrics(tmp_path, ticks=3)) == [1, 2, 3]


def test_ticks_within_an_epoch_divide_it_evenly_also_in_one_that_was_cut_short(tmp_path):
    done = epochs_trained(metrics(tmp_path, ticks=6, ticks_per_epoch=4))
    assert done == [0.25, 0.5, 0.75, 1.0, 1.25, 1.5]


def test_moments_lie_where_their_step_is(tmp_path):
    rows = metrics(tmp_path, ticks=3)
    clock = Clock(rows)
    assert [clock.epochs(row.when) for row in rows] == clock.all_epochs()
    assert [clock.flops(row.when) for row in rows] == clock.all_flops()
    assert clock.epochs(Moment(tick=1, epoch=0, step=0)) == 0
    assert clock.epochs(Moment(tick=1, epoch=0, step=10)) == pytest.approx(0.5)
    assert clock.epochs(Moment(tick=9, epoch=9, step=999)) == clock.end == 3


def test_a_clock_without_validations_stands_still():
    clock = Clock(())
    assert clock.end == clock.epochs(Moment(1, 1, 5)) == clock.flops(Moment(1, 1, 5)) == 0
