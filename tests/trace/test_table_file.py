"""A table's file holds what Arrow gave, and nothing of the room that was allocated for more."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from replay.trace import table_file
from replay.trace.table_file import TableFile, write_pieces


@pytest.mark.parametrize("compress", [None, "zstd"])
def test_batches_are_read_as_they_were_written(tmp_path: Path, compress: str | None) -> None:
    path = tmp_path / "table.arrow"
    values = np.arange(1000)
    batch = pa.record_batch([pa.array(values)], ["value"])
    with table_file.table_file(path, batch.schema, compress) as writer:
        for _ in range(3):
            writer.write_batch(pa.record_batch([pa.array(values)], ["value"]))
    with pa.memory_map(str(path)) as source:
        reader = pa.ipc.open_file(source)
        assert reader.num_record_batches == 3
        assert reader.read_all().to_batches() == [batch] * 3


@pytest.mark.parametrize("allocates", [True, False])
def test_a_file_is_as_long_as_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allocates: bool
) -> None:
    monkeypatch.setattr(table_file, "_ROOM", 10)
    if not allocates:
        monkeypatch.setattr(TableFile, "_allocate", lambda *_: None)
    file = TableFile(tmp_path / "file")
    for piece in (b"a" * 7, b"b" * 7, b"c" * 30):
        file.write(piece)
        file.flush()
    file.write(b"d")
    assert file.tell() == 45
    file.close()
    file.close()
    assert (tmp_path / "file").read_bytes() == b"a" * 7 + b"b" * 7 + b"c" * 30 + b"d"


def test_many_pieces_are_written_before_the_end(tmp_path: Path) -> None:
    file = TableFile(tmp_path / "file")
    for i in range(1300):
        file.write(bytes([i % 256]) * (i % 3))
    file.close()
    expected = b"".join(bytes([i % 256]) * (i % 3) for i in range(1300))
    assert (tmp_path / "file").read_bytes() == expected


def test_a_part_that_is_taken_is_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def part(file: int, pieces: Any) -> int:
        return os.write(file, b"".join(pieces)[:5])

    monkeypatch.setattr(os, "writev", part)
    with (tmp_path / "file").open("wb", buffering=0) as file:
        write_pieces(file.fileno(), [memoryview(b"abc"), memoryview(b"defgh")])
    assert (tmp_path / "file").read_bytes() == b"abcdefgh"


def test_a_full_disk_is_said() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    file = TableFile(Path("/dev/full"))
    file.write(b"more")
    with pytest.raises(OSError) as refused:
        file.close()
    assert refused.value.errno == errno.ENOSPC
