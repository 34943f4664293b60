from __future__ import annotations

import pytest

from replay.policy import BOUNDS, PRESETS, Policy, preset
from replay.policy.presets import KNOWN_NAMES, about


def test_every_known_name_is_a_policy_of_that_name_with_a_line_of_its_own() -> None:
    assert set(PRESETS) <= set(KNOWN_NAMES)
    assert KNOWN_NAMES[0] == "base"
    found = {name: preset(name) for name in KNOWN_NAMES}
    assert all(policy is not None and policy.name == name for name, policy in found.items())
    told = [about(name) for name in KNOWN_NAMES]
    assert len(set(told)) == len(told)
    assert all("\n" not in line and len(line) < 90 for line in told)


def test_bounds_are_what_no_host_can_run() -> None:
    assert set(BOUNDS) == {"zero-cost", "free-busy", "unbounded-ring", "onload"}
    assert all(policy.costs != "host" or policy.ring == 1 << 30 for policy in BOUNDS.values())
    others = set(PRESETS) - set(BOUNDS)
    assert all(PRESETS[name].costs == "host" for name in others)
    for name in ("free-busy", "onload"):
        assert BOUNDS[name].defers
        assert BOUNDS[name].prefer_busy_poll


@pytest.mark.parametrize("name", ["defer0", "defer", "suspend1234567", "tapi2", "Base"])
def test_what_is_no_preset(name: str) -> None:
    assert preset(name) is None


def test_any_number_of_microseconds() -> None:
    assert preset("defer7") == Policy("defer7", defer_hard_irqs=100, gro_flush_timeout_ns=7_000)
    assert "defer7 while idle" in about("suspend7")
