from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from replay.errors import ReplayError
from replay.report.html import html, write_page
from replay.result import Result
from replay.whatif import what_if
from tests.tiny import HOST, answer_by_rule, tiny_trace

LIBRARY = 'window.vegaEmbed = "</p>";'


@pytest.fixture
def result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.setattr("replay.whatif.replay_island", answer_by_rule)
    return what_if(tiny_trace(tmp_path), ["base", "suspend20", "defer50"], host=HOST)


@pytest.fixture
def page(result: Result, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda _: LIBRARY)
    return html(result)


class Elements(HTMLParser):
    """Collects a page's elements with their attributes, and the text of its cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


def test_the_page_asks_the_network_for_nothing(page: str) -> None:
    elements = Elements(page).elements
    assert {tag for tag, _ in elements} >= {"html", "table", "script", "style"}
    for tag, attributes in elements:
        assert tag not in ("link", "img", "iframe", "object", "base")
        assert not {"src", "href", "data", "action"} & set(attributes)
    assert "http:" not in page
    assert "https:" not in page
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_the_real_library_is_in_the_page_and_does_not_end_its_script(result: Result) -> None:
    page = html(result)
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 3
    assert "vegaEmbed=" in scripts[0].replace(" ", "")
    assert len(scripts[0]) > 500_000
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", page.replace(scripts[0], ""))


def test_four_charts_each_with_its_place(page: str) -> None:
    (text,) = re.findall(r'<script type="application/json" id="charts">(.*?)</script>', page)
    charts = json.loads(text)
    assert set(charts) == {"latency", "rates", "polls", "cpu"}
    for place in charts:
        assert f'<div id="{place}">' in page
        assert "$schema" not in charts[place]


def test_causes_have_a_chart_where_they_were_asked_for(
    page: str, result: Result, tmp_path: Path
) -> None:
    asked = what_if(tiny_trace(tmp_path, name="a.trace"), ["suspend20"], host=HOST, causes=True)
    text = html(asked)
    places = re.findall(r'<div id="(\w+)">', text)
    assert places == ["latency", "causes", "rates", "polls", "cpu"]
    assert '"part": "queueing"' in text


def test_interrupts_without_work_have_a_column_where_there_were_some(
    page: str, result: Result
) -> None:
    assert "no work" not in page
    rows = (result.rows[0], replace(result.rows[1], irqs_no_work=37))
    text = html(replace(result, rows=rows))
    assert "<th>irqs</th><th>irqs,<br>no work</th><th>timers</th>" in text
    assert "<td>37</td>" in text
    assert '<th colspan="7">per second</th>' in text


def test_values_stand_over_their_error_or_their_spread(page: str) -> None:
    rows = re.findall(r'<tr class="(\w+)">(.*?)</tr>', page)
    assert [kind for kind, _ in rows] == [
        "group",
        "measured",
        "model",
        "alternative",
        "measured",
        "alternative",
        "bound",
    ]
    assert "<td>46.0<small>45–47</small></td>" in rows[1][1]
    assert '<td>400<small class="far">+167%</small></td>' in rows[2][1]
    assert "<td>200<small>+0%</small></td>" in rows[2][1]
    assert "small" not in rows[5][1]


def test_large_spreads_are_short(page: str, result: Result) -> None:
    for low, high, text in (
        (1_234.0, 1_299_999.0, "1.23k–1.3M"),
        (1_234.0, 1_299.0, "1.23–1.3k"),
        (5.0, 5.0, "5"),
        (5.0, 71.25, "5–71.2"),
    ):
        row = replace(result.rows[0], intervals={"irqs": (low, high)})
        assert f"<small>{text}</small>" in html(replace(result, rows=(row,)))


def test_a_queue_has_its_line(page: str, result: Result) -> None:
    row = replace(result.rows[1], queue=3)
    assert '<tr class="queue"><td class="left">queue 3</td>' in html(replace(result, rows=(row,)))


def test_names_are_text_wherever_they_stand(page: str, result: Result) -> None:
    odd = "</script><b>&"
    rows = tuple(replace(row, policy=odd) for row in result.rows)
    named = html(replace(result, rows=rows, trace=odd, notes=(odd,), about={odd: odd}))
    assert len(re.findall("</script>", named)) == len(re.findall("</script>", page))
    assert "<b>" not in named


def test_the_same_result_is_the_same_page(page: str, result: Result, tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", result)
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page


def test_without_the_extra_one_line_says_how_to_get_it(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(ReplayError, match=r"pip install 'replay\[report\]'"):
        write_page(tmp_path / "page.html", result)
    assert not (tmp_path / "page.html").exists()
