from __future__ import annotations

import os
from pathlib import Path

import pytest

from replay.errors import ReplayError
from replay.files import require_place, write_whole


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    place = tmp_path / "page.html"
    write_whole(place, "one")
    write_whole(place, "two µs")
    assert place.read_text(encoding="utf-8") == "two µs"
    assert list(tmp_path.iterdir()) == [place]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match=r"none/page: cannot be written: No such file"):
        write_whole(tmp_path / "none" / "page", "text")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="Is a directory"):
        write_whole(tmp_path, "text")


def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="/dev/full: cannot be written: No space left"):
        write_whole("/dev/full", "text")
    assert not Path("/dev/full").is_file()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, "text")
    assert os.read(reader, 10) == b"text"
    os.close(reader)
    assert pipe.is_fifo()


def test_a_place_where_nothing_can_be_written_is_known_before(tmp_path: Path) -> None:
    require_place(tmp_path / "page")
    require_place("/dev/full")
    assert not list(tmp_path.iterdir())
    for place, says in (
        (tmp_path, "is a folder"),
        (tmp_path / "none" / "page", "there is no folder"),
    ):
        with pytest.raises(ReplayError, match=says):
            require_place(place)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ReplayError, match="Permission denied"):
        require_place(tmp_path / "page")
