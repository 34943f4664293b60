from __future__ import annotations

import json as standard
from pathlib import Path

import pytest

from replay.errors import ReplayError
from replay.inspection import Inspection, Section, inspect
from replay.report.inspection import FORMATS, inspection_report, json, markdown, table
from tests.tiny import tiny_trace

FOUND = Inspection(
    "mine",
    {"policy": "base"},
    (
        Section(
            "polls",
            "polls by cause",
            [
                {"cause": "irq", "polls": 1234, "polls_per_s": 0.5, "empty_pct": None},
                {"cause": "timer", "polls": 7, "polls_per_s": 1234.5, "empty_pct": 12.34},
            ],
        ),
    ),
)


def test_a_table_a_section() -> None:
    assert table(FOUND) == (
        "# trace     mine\n"
        "# policy    base\n"
        "\n"
        "# polls by cause\n"
        "cause  polls  polls/s  empty%\n"
        "irq    1,234      0.5       -\n"
        "timer      7    1,234    12.3\n"
    )


def test_markdown_has_the_same_cells() -> None:
    assert markdown(FOUND).splitlines()[-4:] == [
        "| cause | polls | polls/s | empty% |",
        "| :-- | --: | --: | --: |",
        "| irq | 1,234 | 0.5 | - |",
        "| timer | 7 | 1,234 | 12.3 |",
    ]


def test_json_is_unrounded(tmp_path: Path) -> None:
    told = standard.loads(json(FOUND))
    assert told["polls"][1]["polls_per_s"] == 1234.5
    whole = standard.loads(json(inspect(tiny_trace(tmp_path))))
    assert {"trace", "about", "packets", "intervals", "flows"} <= set(whole)


def test_unknown_format() -> None:
    assert inspection_report("md") is FORMATS["md"]
    with pytest.raises(ReplayError, match="none of table, json, md"):
        inspection_report("xml")
