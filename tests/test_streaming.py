"""A trace whose columns are in files, read chunk by chunk, has the rows of one in memory."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from replay import mapped, progress
from replay.errors import TraceError
from replay.host import GENERIC
from replay.trace import bundle
from replay.trace.bundle import Trace, open_trace, write_manifest, write_table, write_trace
from replay.trace.schema import PACKETS, TABLES
from replay.whatif import what_if
from tests.tiny import tiny_trace


def recording(folder: Path, *, compress: str | None = None) -> Trace:
    """400 packets, on two queues in turn of two."""
    trace = tiny_trace(folder)
    table = trace.packets
    queue = pa.array([i // 2 % 2 for i in range(len(table))], pa.uint16())
    table = table.set_column(table.schema.get_field_index("queue"), PACKETS.field("queue"), queue)
    tables = {"packets": table, "flows": trace.flows}
    return write_trace(folder / "queues.trace", trace.manifest, tables, compress)


def chunked(patch: pytest.MonkeyPatch) -> None:
    """Lay every array into a file and read seven packets at a time."""
    patch.setattr(mapped, "LARGE", 1)
    for module in (mapped, bundle):
        patch.setattr(module, "CHUNK", 7)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"arrivals": "closed"},
        {"load": 2.0},
        {"load": 3.0, "load_by": "superposition", "queues": 4},
        {"queues": 4, "per_queue": True},
        {"causes": True},
        {"policies": ["threaded-floating", "base:adaptive=dim"]},
    ],
    ids=lambda asked: ",".join(asked) or "open",
)
@pytest.mark.parametrize("compress", [None, "zstd"])
def test_the_rows_do_not_depend_on_where_columns_are(
    tmp_path: Path, asked: dict[str, Any], compress: str | None
) -> None:
    trace = recording(tmp_path, compress=compress)
    asked = {"policies": ["defer20"], "arrivals": "open", **asked}
    whole = what_if(trace, host=GENERIC, **asked)
    with pytest.MonkeyPatch.context() as patch:
        chunked(patch)
        patch.setenv("TMPDIR", str(tmp_path))
        parts = what_if(open_trace(trace.path), host=GENERIC, **asked)
    assert parts == whole


def test_columns_without_a_value_are_not_written(tmp_path: Path) -> None:
    columns = {"arrival_ns": [0, 5, 9], "kind": [0] * 3, "status": [0] * 3, "flow": [None, 2, None]}
    whole = {name: columns.get(name, [None] * 3) for name in PACKETS.names}
    trace = write_trace(tmp_path / "t.trace", {}, {"packets": pa.table(whole, PACKETS)})
    with pa.memory_map(str(trace.path / "packets.arrow")) as source:
        assert set(pa.ipc.open_file(source).schema.names) == set(columns)
    assert trace.packets.schema.names == PACKETS.names
    assert trace.packets["service_ns"].to_pylist() == [None] * 3
    (part,) = trace.packets_by_chunk("flow", "think_ns")
    assert part.to_pydict() == {"flow": [None, 2, None], "think_ns": [None] * 3}
    (part,) = trace.packets_by_chunk("think_ns")
    assert part.to_pydict() == {"think_ns": [None] * 3}


def test_nulls_are_replaced_wherever_a_chunk_begins() -> None:
    values = [None if i % 3 == 0 else i for i in range(40)]
    column = pa.array(values, pa.uint16())
    for start in range(20):
        found = bundle.int64s(column.slice(start, 13), -1)
        assert found.tolist() == [-1 if it is None else it for it in values[start : start + 13]]
    assert bundle.int64s(pa.array([], pa.int64()), -1).tolist() == []


def test_a_cut_bundle_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "cut.trace"
    folder.mkdir()
    for name, schema in TABLES.items():
        write_table(folder, name, schema.empty_table())
    write_manifest(folder, {})
    (folder / "packets.arrow").write_bytes(b"")
    with pytest.raises(TraceError, match=r"cut or not an Arrow file: .*empty"):
        next(open_trace(folder).packets_by_chunk("kind"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_how_far_a_long_run_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "QUIET_S", 0.0)
    monkeypatch.setattr(progress, "TERMINAL_S", 0.001)
    with progress.shown():
        progress.step("reading", 1, 4)
        until(terminal, "reading: 25 %")
        progress.expect(8)
        with progress.running("base", 4):
            progress.watch(lambda: 0.5)
            until(terminal, "replaying base: 25 %")
        until(terminal, "50 %")
    assert terminal.getvalue().endswith("\r\x1b[K")
    progress.step("reading", 1, 4)  # nobody looks
    with progress.running("base", 4):
        progress.watch(lambda: 0.5)


def test_elsewhere_nobody_sees_anything_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    monkeypatch.setattr(progress, "QUIET_S", 0.0)
    monkeypatch.setattr(progress, "ELSEWHERE_S", 0.001)
    with progress.shown():
        progress.step("reading", 1, 4)
    assert file.getvalue() == ""
    with progress.shown(True):
        progress.step("reading", 1, 4)
        until(file, "reading: 25 %, ")
    assert "\r" not in file.getvalue()
    assert file.getvalue().endswith("\n")


def until(file: io.StringIO, text: str) -> None:
    """Wait for `text`, ten seconds at most."""
    import time

    end = time.monotonic() + 10
    while text not in file.getvalue():
        assert time.monotonic() < end, file.getvalue()
        time.sleep(0.001)
