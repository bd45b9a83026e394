from __future__ import annotations

from analytics.warehouse.evidence import Folded
from analytics.warehouse.folded_files import FoldedFiles
from analytics.warehouse.near_files import NearFiles
from tests.fakes.gate_rows import NOW, WINDOW, gate_row
from tests.fakes.handmade_lake import LATER_US


def test_nothing_new_folds_nothing(lake, opening):
    lake.put([gate_row(1)])
    evidence = opening()

    assert evidence.fold() == Folded(files=1, requests=1)
    assert evidence.fold() == Folded()


def test_a_compacted_file_of_rows_that_were_folded_brings_none(lake, opening):
    evidence = opening()
    lake.put([gate_row(1), gate_row(3)])
    evidence.fold()
    lake.put([gate_row(2)])
    evidence.fold()
    lake.compact(NOW)

    assert evidence.fold() == Folded(files=1)
    assert evidence.look(WINDOW).quality.base_rows == 3


def test_what_came_and_was_compacted_between_two_folds_is_folded(lake, opening):
    evidence = opening()
    evidence.look(WINDOW)
    lake.put([gate_row(1), gate_row(4)])
    evidence.fold()
    lake.put([gate_row(2), gate_row(3), gate_row(5)])
    lake.compact(LATER_US)
    lake.compact(LATER_US + 700_000_000)

    assert evidence.fold().requests == 3
    assert evidence.look(WINDOW).quality.base_rows == 5


def test_names_of_files_that_are_gone_are_forgotten(lake, opening):
    evidence = opening()
    for number in range(1, 4):
        lake.put([gate_row(number)])
    evidence.fold()
    lake.compact(LATER_US)
    lake.compact(LATER_US + 700_000_000)
    evidence.fold()

    [(files,)] = evidence.connection.execute("SELECT count(*) FROM evidence_file").fetchall()
    assert files == 1


def test_files_that_compacted_ones_replaced_do_not_wait(lake, opening):
    evidence = opening(clock=lambda: NOW)
    for number in range(1, 4):
        lake.put([gate_row(number, outcome="timeout")])
    lake.compact(NOW)
    assert evidence.look(WINDOW).quality.base_rows == 3
    lake.put([gate_row(4, outcome="timeout")])
    files = FoldedFiles(evidence.connection, lake.lake.store, NearFiles(lake.lake.store))
    files.news()
    waiting = files.waiting()

    assert waiting is not None
    assert len(waiting) == 1
    evidence.keep_up()
    assert evidence.failing(WINDOW)[0].base == 4
