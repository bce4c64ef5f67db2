"""Which processes and threads count as the server, in a /proc that is made for the purpose."""

from pathlib import Path

from loadline_bench.usage import memory, processes, spent, thread_times


def process(proc: Path, pid: int, *, parent: int, session: int = 1, threads: dict[int, int] | None = None) -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    (folder / "stat").write_text(f"{pid} (a (very) odd name) S {parent} {pid} {session} 0 -1 0")
    (folder / "smaps_rollup").write_text(
        "00-ff ---p 0 00:00 0 [rollup]\nRss:     2048 kB\nPss:     1024 kB\nPss_Anon: 7 kB\n"
    )
    for thread, nanoseconds in (threads or {pid: 0}).items():
        (folder / "task" / str(thread)).mkdir(parents=True)
        (folder / "task" / str(thread) / "schedstat").write_text(f"{nanoseconds} 5 7\n")


def test_a_server_is_its_process_and_all_below_it(tmp_path: Path) -> None:
    process(tmp_path, 10, parent=1)
    process(tmp_path, 11, parent=10)
    process(tmp_path, 12, parent=11)
    process(tmp_path, 20, parent=1)
    assert processes(10, tmp_path) == [10, 11, 12]


def test_a_process_whose_parent_ended_still_belongs_to_its_session(tmp_path: Path) -> None:
    process(tmp_path, 10, parent=1, session=10)
    process(tmp_path, 11, parent=1, session=10)
    assert processes(10, tmp_path) == [10, 11]


def test_the_time_of_every_thread_of_every_process_counts(tmp_path: Path) -> None:
    process(tmp_path, 10, parent=1, threads={10: 100, 13: 30})
    process(tmp_path, 11, parent=10, threads={11: 7})
    assert thread_times(10, tmp_path) == {(10, 10): 100, (10, 13): 30, (11, 11): 7}


def test_only_what_was_run_between_two_looks_is_spent() -> None:
    assert spent({(1, 1): 100, (1, 2): 50}, {(1, 1): 180, (1, 3): 5}) == 85


def test_memory_is_that_of_all_processes(tmp_path: Path) -> None:
    process(tmp_path, 10, parent=1)
    process(tmp_path, 11, parent=10)
    held = memory(10, tmp_path)
    assert (held.resident, held.proportional, held.processes) == (4 * 2**20, 2 * 2**20, 2)
