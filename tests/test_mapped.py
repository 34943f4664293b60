from __future__ import annotations

import gc
import mmap
import os
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from replay import mapped
from replay.errors import TraceError
from replay.mapped import changed, forget, read_only, require_memory, zeros


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Arrays from a page on are in files, chunks hold 1,000 items, no page stays."""
    monkeypatch.setattr(mapped, "LARGE", mmap.PAGESIZE)
    monkeypatch.setattr(mapped, "CHUNK", 1_000)
    monkeypatch.setattr(mapped, "RESIDENT", 0)
    monkeypatch.setattr(mapped, "LOOK_S", 0.001)
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def test_a_small_array_is_in_memory() -> None:
    assert zeros(10).base is None
    assert zeros(10, np.uint8).tolist() == [0] * 10


@pytest.mark.usefixtures("large")
def test_what_was_written_is_there_after_its_pages_were_taken(tmp_path: Path) -> None:
    column = zeros(100_000)
    assert isinstance(column.base, memoryview | mmap.mmap)
    assert not list(tmp_path.iterdir())  # the file has no name
    column[:] = np.arange(100_000)
    forget()
    assert np.array_equal(column, np.arange(100_000))
    twice = changed(column, lambda it: 2 * it)
    forget()
    assert np.array_equal(twice, 2 * np.arange(100_000))


def test_columns_are_in_memory_while_there_is_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(mapped, "SMALL_COLUMN", mmap.PAGESIZE)
    gc.collect()
    monkeypatch.setattr(mapped, "COLUMNS", mapped._columns + 4 * mmap.PAGESIZE)
    assert mapped.column(100).base is None
    items = mmap.PAGESIZE // 8

    def in_file() -> bool:
        before = len(mapped._maps)
        kept.append(mapped.column(3 * items))
        assert not kept[-1].any()
        kept[-1][:] = 7
        return len(mapped._maps) > before

    kept: list[np.ndarray] = []
    assert [in_file(), in_file()] == [False, True]
    kept[0] = kept[1]
    gc.collect()  # what is given back makes room
    assert not in_file()


@pytest.mark.parametrize("constants", [False, True])
def test_libraries_work_when_their_code_was_unmapped(constants: bool) -> None:
    before = mapped._resident()
    mapped.forget_code(constants=constants)
    if Path("/proc/self/maps").exists():
        assert mapped._resident() < before
    assert np.linalg.norm(np.sort(np.arange(4, 2, -1.0))) == 5
    assert pa.array([1, None]).null_count == 1


@pytest.mark.parametrize("constants", [False, True])
def test_a_mapped_file_may_have_a_name_that_is_no_text(tmp_path: Path, constants: bool) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9\r.data")
    path.write_bytes(bytes(mapped.SMALL_COLUMN))
    kept = read_only(path)
    mapped.forget_code(constants=constants)
    assert kept[:] == bytes(mapped.SMALL_COLUMN)


def test_constants_that_were_relocated_stay() -> None:
    rest = "Size: 4 kB\nAnonymous: {} kB\nVmFlags: rd\n"
    lines = ["1000-2000 r-xp 0 08:01 7 /lib/a.so.1.2", "2000-3000 r--p 0 08:01 7 /lib/a.so.1.2"]
    lines += ["3000-4000 rw-p 0 08:01 7 /lib/a.so.1.2", "4000-5000 r--p 0 08:01 7 /etc/other"]
    anonymous = (0, 4, 0, 0)
    smaps = "".join(f"{line}\n{rest.format(n)}" for line, n in zip(lines, anonymous, strict=True))
    assert [it.group(1) for it in mapped._READ.finditer(smaps.encode())] == [b"1000"]
    assert [it.group(1) for it in mapped._CODE.finditer("\n".join(lines).encode())] == [b"1000"]


@pytest.mark.usefixtures("large")
def test_pages_are_counted_for_as_long_as_an_array_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(mapped, "forget", lambda: calls.append(1))
    column = zeros(100_000)
    keeper = mapped._keeper
    assert keeper is not None
    until = time.monotonic() + 10
    while not calls and time.monotonic() < until:
        time.sleep(0.001)
    assert calls
    del column
    gc.collect()
    if not mapped._maps:  # nothing that another test left
        keeper.join(10)
        assert not keeper.is_alive()


@pytest.mark.usefixtures("large")
def test_a_full_disk_is_said_before_it_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    room = SimpleNamespace(f_bavail=1, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda _: room)
    with pytest.raises(TraceError, match=r"needs room for 0.008 GB of .* has 4.1e-06 GB: set TMP"):
        zeros(1_000_000)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    with pytest.raises(TraceError, match="none: cannot be written: No such file or directory"):
        zeros(1_000_000)


def test_temporary_files_are_on_disk_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(os, "access", lambda *_: True)
    assert mapped.folder() == "/var/tmp"


@pytest.mark.usefixtures("large")
def test_a_file_is_mapped_to_be_read(tmp_path: Path) -> None:
    path = tmp_path / "some"
    path.write_bytes(b"x" * 10_000)
    assert bytes(read_only(path)) == b"x" * 10_000
    path.write_bytes(b"")
    with pytest.raises(OSError, match="empty"):
        read_only(path)


def test_what_does_not_fit_into_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mapped.available() > 1 << 20
    monkeypatch.setattr(mapped, "available", lambda: 2_000_000_000)
    require_memory(10, 100, "sorting", "do not")
    with pytest.raises(TraceError) as error:
        require_memory(100_000_000, 100, "sorting", "do not")
    assert str(error.value) == (
        "sorting of 100,000,000 packets need 10 GB of memory, and 2 GB are available:"
        " 20,000,000 packets fit; do not"
    )


def test_without_proc_the_memory_is_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> str:
        raise OSError

    monkeypatch.setattr(Path, "read_text", absent)
    assert mapped.available() > 1 << 20
