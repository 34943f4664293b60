"""What was measured: the letter's table and results files."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from replay.backtest.reference import letter, results
from replay.errors import TraceError

RESULTS = Path(__file__).parents[3] / "shared" / "reference" / "irqsuspend-v6.csv"

ROW = {
    **{"load": "200000", "policy": "base", "qps": "200000", "cyc_pq": "39000", "mean_ret": "2"},
    **{"lat_avg_us": "112", "lat_p50_us": "96", "lat_p95_us": "237", "lat_p99_us": "415"},
    **{"cpu": "26", "irq_per_s": "150000", "polls_pq": "0.85", "polls_zero_pq": "0.15"},
    **{"epolls_pq": "0.5"},
    **{f"cov_{name}": "0.01" for name in ("qps", "lat_avg", "lat_p50", "lat_p95", "lat_p99")},
    **{f"cov_{name}": "0.02" for name in ("cpu", "cyc_pq", "irq_per_s", "polls_pq")},
    "cov_epolls_pq": "NaN",
}


def write(path: Path, *rows: dict[str, str]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_the_letter_has_twelve_policies_at_six_loads() -> None:
    cells = letter()
    assert len({(cell.load, cell.policy) for cell in cells}) == len(cells) == 72
    assert {cell.load for cell in cells} == {"200K", "400K", "600K", "800K", "1000K", "MAX"}
    (base,) = (cell for cell in cells if (cell.load, cell.policy) == ("600K", "base"))
    assert base.figures == {
        **{"qps": 600_064, "avg": 148, "p95": 265, "p99": 576, "cpu": 61},
        "kcycles": pytest.approx(3 * 9.276),
    }


def test_background_polls_and_the_machines_own_interrupts_are_no_figures(tmp_path: Path) -> None:
    quiet = {**ROW, "irq_per_s": "200", "mean_ret": "1.5"}
    first, second = results(write(tmp_path / "cells.csv", ROW, quiet))
    assert first.load == "200K"
    assert first.figures["polls"] == pytest.approx(0.85 - 0.15 - 0.06)
    assert first.figures["kcycles"] == 39
    assert first.spread["p99"] == 0.01
    assert {"irqs", "epolls"} <= set(first.figures)
    assert not {"irqs", "epolls"} & set(second.figures)  # own; histogram cut off


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"cpu": "much"}, "line 2: cpu = 'much' is no number"),
        ({"cpu": "-1"}, "line 2: cpu = -1.0 is outside 0 to any number"),
        ({"load": "300000"}, "line 2: load = 300000 is none of 200000, 400000"),
    ],
)
def test_a_value_that_cannot_be_used(tmp_path: Path, change: dict[str, str], told: str) -> None:
    with pytest.raises(TraceError, match=told):
        results(write(tmp_path / "cells.csv", {**ROW, **change}))


def test_files_that_are_no_results(tmp_path: Path) -> None:
    lacking = {name: value for name, value in ROW.items() if name not in ("cpu", "cov_qps")}
    with pytest.raises(TraceError, match=r"lacks the columns cov_qps, cpu"):
        results(write(tmp_path / "cells.csv", lacking))
    with pytest.raises(TraceError, match="cannot be read"):
        results(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TraceError, match="is no text"):
        results(tmp_path / "binary.csv")
    write(tmp_path / "cells.csv", ROW).write_text(",".join(ROW) + "\n")
    with pytest.raises(TraceError, match="has no cells"):
        results(tmp_path / "cells.csv")


@pytest.mark.skipif(not RESULTS.exists(), reason="the reference measurements are not here")
def test_the_letter_rounds_the_results() -> None:
    measured = {(cell.load, cell.policy): cell for cell in results(RESULTS)}
    for cell in letter():
        found = measured[cell.load, cell.policy].figures
        for name in ("qps", "avg", "p95", "p99", "cpu"):
            assert found[name] == pytest.approx(cell.figures[name], abs=0.51)
        assert found["kcycles"] == pytest.approx(
            cell.figures["kcycles"], rel=0.005
        )  # by queries of 30 s
