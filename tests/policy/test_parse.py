from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.errors import PolicyError
from replay.policy import Policy, parse_policies, parse_policy
from replay.policy.keys import KEYS, NOT_SET_BY_KEY, settings_of, text_of
from replay.policy.model import CHOICES, RANGES

FLAGS = ("prefer_busy_poll", "threaded")


@st.composite
def settings(draw: st.DrawFn) -> Policy:
    """Any policy that keys can say."""
    values: dict[str, object] = {}
    for name in KEYS.values():
        if not draw(st.booleans()):
            continue
        if name in CHOICES:
            values[name] = draw(st.sampled_from(CHOICES[name]))
        elif name in FLAGS:
            values[name] = draw(st.booleans())
        else:
            low, high, _ = RANGES[name]
            values[name] = draw(st.one_of(st.sampled_from([low, high]), st.integers(low, high)))
    return replace(Policy("drawn"), **values)  # type: ignore[arg-type]


@given(settings())
def test_every_setting_survives_its_text(policy: Policy) -> None:
    told = ",".join(f"{key}={value}" for key, value in settings_of(policy).items())
    text = f"base:{told}" if told else "base"
    assert parse_policy(text) == replace(policy, name=text)
    assert parse_policies(f"{text}+base") == (replace(policy, name=text), Policy("base"))


def test_there_is_a_key_for_each_field() -> None:
    assert {*KEYS.values(), *NOT_SET_BY_KEY} == {field.name for field in fields(Policy)}


def test_every_kind_of_value() -> None:
    text = (
        "base:coalescing=cqe,adaptive=dim,tx-usecs=8,netdev-budget=300,threaded=on,"
        "napi-thread=floating,busy-read-usecs=50,max-events=64,ring=512,pollers=2,"
        "gro_flush_timeout_ns=1.5ms,epoll-timeout=-1"
    )
    assert parse_policy(text) == Policy(
        text,
        coalescing="cqe",
        adaptive="dim",
        tx_usecs=8,
        threaded=True,
        napi_thread="floating",
        busy_read_usecs=50,
        max_events=64,
        ring=512,
        pollers=2,
        gro_flush_timeout_ns=1_500_000,
    )
    assert text_of("ring", None) == "host"


def test_one_policy_a_nic() -> None:
    first, second = parse_policies("base:weight=64+base:weight=16")
    assert (first.weight, second.weight) == (64, 16)
    assert [policy.name for policy in parse_policies("suspend20")] == ["suspend20"]
    with pytest.raises(PolicyError, match="one kind of costs, not free, host"):
        parse_policies("base+zero-cost")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bsae", "unknown policy 'bsae'; did you mean base?"),
        ("base+", "unknown policy ''"),
        ("base:wieght=1", "unknown key 'wieght'; did you mean weight?"),
        ("base:costs=free", "unknown key 'costs'"),
        ("base:", None),
        ("base:,", "unknown key ''"),
        ("base:weight", "weight lacks its value: weight=..., 1 to 65,535 packets"),
        ("base:rx_usecs=", "rx_usecs = '' is no number from 0 to 65,535 us"),
        ("base:rx_usecs=70000", "rx_usecs = 70000 is outside 0 to 65,535 us"),
        ("base:gro-flush-timeout=70s", "gro-flush-timeout = 70s is outside 0 to 60s"),
        ("base:epoll-timeout=-2", "epoll-timeout = '-2' is no number from -1, 0 to 3600s"),
        ("base:coalescing=cqa", "coalescing = 'cqa' is none of timer, cqe, gap; did you mean cqe?"),
        ("base:weight=1,weight=2", "weight is set twice"),
        ("base:threaded=perhaps", "threaded is on or off, not 'perhaps'"),
    ],
)
def test_what_is_wrong_is_named_as_typed(text: str, message: str | None) -> None:
    if message is None:
        assert parse_policies(text) == (Policy("base"),)
        return
    with pytest.raises(PolicyError) as told:
        parse_policies(text)
    assert message in str(told.value)
    assert "\n" not in str(told.value)


def test_a_word_is_checked_where_no_text_was() -> None:
    with pytest.raises(PolicyError, match="adaptive = 'dimm' is none of off, dim, itr"):
        Policy("mine", adaptive="dimm")  # type: ignore[arg-type]
    with pytest.raises(PolicyError, match="policy mine: weight = 0 is outside 1 to 65535 packets"):
        Policy("mine", weight=0)
