from __future__ import annotations

from pathlib import Path

import pytest

from replay.calibration.cells import MOST_BYTES, cells_of, read_cells
from replay.errors import TraceError
from tests.tiny import BASE, tiny_trace


def written(folder: Path, text: str) -> Path:
    path = folder / "cells.csv"
    path.write_text(text)
    return path


def test_cells_of_a_csv_with_its_own_words(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "policy, load ,qps,p99,p99_q1,p99_q3,irqs,kernel\n"
        "base,200000,199990,415,400,431,155000,6.13\n"
        "\n"
        "suspend20,400000,,167,,,,6.13\n",
    )
    first, second = read_cells(path)
    assert (first.policy.name, first.offered_per_s) == ("base", 200_000)
    assert str(second) == "suspend20 at 400,000/s"
    assert set(first.figures) == {"requests", "latency_p99", "irqs"}
    spread = first.figures["latency_p99"]
    assert (spread.median, spread.q1, spread.q3) == (415, 400, 431)
    assert set(second.figures) == {"latency_p99"}
    assert second.figures["latency_p99"].q3 == 167


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "needs one column 'policy', it has: none"),
        ("load,p99\n1,2\n", "needs one column 'policy', it has: load, p99"),
        ("policy,p99\nbase,2\n", "needs one column 'load'"),
        ("policy,load,load,p99\nbase,1,1,2\n", "needs one column 'load'"),
        ("policy,load,colour\nbase,1,2\n", "holds no metric: a column of qps, avg"),
        ("policy,load,p99\n", "holds no cells below its head"),
        ("policy,load,p99\nbase,1\n", "line 2 has 2 fields, its head has 3"),
        ("policy,load,p99\nbse,1,2\n", "line 2: unknown policy 'bse', nearest is base"),
        ("policy,load,p99\nbase,0,2\n", "line 2: load = 0 is outside 1 to 1e9 requests/s"),
        ("policy,load,p99\nbase,ten,2\n", "line 2: load = 'ten' is no number from 0 on"),
        ("policy,load,p99\nbase,1,-2\n", "line 2: p99 = '-2' is no number from 0 on"),
        ("policy,load,p99\nbase,1,nan\n", "line 2: p99 = 'nan' is no number from 0 on"),
        ('policy,load,p99\n"base,1,2\n', "cannot be read"),
    ],
)
def test_what_is_no_table_of_cells_is_said_in_one_line(
    tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(TraceError) as error:
        read_cells(written(tmp_path, text))
    told = str(error.value)
    assert says.split(", nearest")[0] in told
    assert "\n" not in told


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "cells.csv").write_bytes(b"\xff\xfe\x00\x00")
    with pytest.raises(TraceError, match="cannot be read"):
        read_cells(tmp_path / "cells.csv")
    with (tmp_path / "big.csv").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(TraceError, match="is larger than"):
        read_cells(tmp_path / "big.csv")
    with pytest.raises(TraceError, match="No such file"):
        read_cells(tmp_path / "absent.csv")


def test_cells_of_a_bundle(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path)
    cells = cells_of(trace.outcomes.to_pylist())
    assert [cell.policy.name for cell in cells] == ["base", "suspend20"]
    assert cells[0].figures["irqs"].median == BASE["irqs"][0]
    busy = cells[0].figures["cpu_busy"]
    assert (busy.median, busy.q1, busy.q3) == (14, 13, 15)
