from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from replay import mapped
from replay.arrivals import offered
from replay.errors import PolicyError
from replay.service import DISTRIBUTIONS, LONGEST_NS, ServiceTimes, parse_service, with_service
from replay.whatif import what_if
from tests.tiny import HOST, tiny_trace

FORMS = ["constant:20us", "exponential:20us", "lognormal:20us,cv=1.5", "pareto:20us,shape=2.5"]


@pytest.mark.parametrize("text", FORMS)
def test_text_there_and_back(text: str) -> None:
    assert str(parse_service(text)) == text
    assert text.partition(":")[0] in DISTRIBUTIONS
    assert len(FORMS) == len(DISTRIBUTIONS)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gaussian:20us", "no distribution 'gaussian'"),
        ("exponentail:20us", "exponential"),
        ("exponential", "mean '' is no duration"),
        ("exponential:2s", "mean 2s is outside 0 to 1s"),
        ("exponential:20us,cv=2", "'cv=2' is too much"),
        ("lognormal:20us", "cv=X is expected"),
        ("lognormal:20us,shape=2", "cv=X is expected"),
        ("lognormal:20us,cv=2,cv=3", "cv=X is expected"),
        ("lognormal:20us,cv=much", "cv=X is expected"),
        ("lognormal:20us,cv=nan", "X from 0.01 to 100"),
        ("pareto:20us,shape=1", "X from 1.05 to 100"),
    ],
)
def test_what_is_no_distribution_is_said_in_one_line(text: str, says: str) -> None:
    with pytest.raises(PolicyError) as error:
        parse_service(text)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_moments_and_tails_are_those_of_the_distributions() -> None:
    count, mean = 400_000, 20_000
    random = np.random.default_rng(7)
    drawn = {text: parse_service(text).draw(random, count) / mean for text in FORMS}
    constant, exponential, lognormal, pareto = drawn.values()
    assert (constant == 1).all()
    for times in drawn.values():
        assert times.mean() == pytest.approx(1, abs=0.01)
    assert exponential.std() == pytest.approx(1, abs=0.02)
    assert np.mean(exponential > 3) == pytest.approx(np.exp(-3), rel=0.03)
    assert lognormal.std() == pytest.approx(1.5, rel=0.05)
    assert np.median(lognormal) == pytest.approx(1 / np.sqrt(1 + 1.5**2), rel=0.01)
    assert pareto.min() == pytest.approx(0.6, rel=1e-3)
    assert np.mean(pareto > 2) == pytest.approx((0.6 / 2) ** 2.5, rel=0.03)


def test_no_service_is_longer_than_the_longest() -> None:
    wild = ServiceTimes("pareto", LONGEST_NS, 1.05)
    times = wild.draw(np.random.default_rng(1), 10_000)
    assert times.max() == LONGEST_NS
    assert times.min() >= 0


def test_only_requests_get_one_and_always_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer = offered(tiny_trace(tmp_path), HOST, load=1.0, arrivals="open")
    times = parse_service("exponential:20us")
    drawn = with_service(offer, times)
    recorded, mine = offer.workload.service_ns, drawn.workload.service_ns
    assert ((recorded < 0) == (mine < 0)).all()
    assert len(set(mine[mine >= 0].tolist())) > 1
    assert replace(drawn.workload, service_ns=recorded) == replace(
        offer.workload, service_ns=recorded
    )
    monkeypatch.setattr(mapped, "CHUNK", 3)
    assert np.array_equal(with_service(offer, times).workload.service_ns, mine)


def test_longer_service_waits_longer_and_the_model_stays_as_recorded(tmp_path: Path) -> None:
    trace = tiny_trace(tmp_path, manifest={"policy": "base"})
    plain = what_if(trace, ["defer20"], host=HOST)
    short, long = (
        what_if(trace, ["defer20"], host=HOST, service=f"constant:{us}us") for us in (5, 50)
    )
    rows = [{(row.kind, row.policy): row for row in result.rows} for result in (plain, short, long)]
    model = ("model", "base")
    assert rows[0][model] == rows[1][model] == rows[2][model]
    alternative = ("alternative", "defer20")
    means = [it[alternative].latency_us["mean"] for it in rows[1:]]
    assert means[1] - means[0] >= 45
    assert any("constant:50us" in note for note in long.notes)
    assert not any("service times are drawn" in note for note in plain.notes)
