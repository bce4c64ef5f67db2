"""Which cells are left, and in which order."""

from loadline_bench import models, peers
from loadline_bench.cells import Cell, Selection, cells, left, starts
from loadline_bench.peers import Encoding


def selection(rounds: int = 2) -> Selection:
    return Selection(
        peers=(peers.RAW, peers.LOADLINE, peers.FASTAPI),
        models=(models.BY_NAME["mlp"],),
        encodings=(Encoding.JSON, Encoding.BINARY),
        concurrencies=(1, 8),
        rounds=rounds,
    )


def test_a_peer_is_measured_only_in_encodings_that_it_speaks_and_that_are_asked_for() -> None:
    found = {(cell.peer, cell.encoding) for cell in cells(selection())}
    assert found == {
        ("raw", Encoding.NONE),
        ("loadline", Encoding.JSON),
        ("loadline", Encoding.BINARY),
        ("fastapi", Encoding.JSON),
    }


def test_all_of_one_round_comes_before_the_next() -> None:
    rounds = [cell.round for cell in cells(selection())]
    assert rounds == sorted(rounds)


def test_each_round_begins_with_another_peer() -> None:
    firsts = {cell.round: cell.peer for cell in reversed(list(cells(selection(rounds=3))))}
    assert firsts == {1: "raw", 2: "loadline", 3: "fastapi"}


def test_what_is_done_is_not_measured_again() -> None:
    done = [cell for cell in cells(selection()) if cell.round == 1]
    assert [cell.round for cell in left(selection(), done)] == [2] * len(done)


def test_a_run_that_was_cut_off_goes_on_with_the_next_cell() -> None:
    order = list(cells(selection()))
    assert left(selection(), order[:4]) == order[4:]


def test_cells_of_one_server_and_model_share_a_start() -> None:
    groups = list(starts(list(cells(selection(rounds=1)))))
    assert [(group[0].peer, len(group)) for group in groups] == [("raw", 1), ("loadline", 4), ("fastapi", 2)]


def test_a_cell_is_the_same_cell_after_it_was_written_and_read() -> None:
    cell = Cell(1, "mlp", "loadline", Encoding.JSON, 8)
    assert left(selection(), [Cell(1, "mlp", "loadline", Encoding("json"), 8)]) == left(selection(), [cell])
