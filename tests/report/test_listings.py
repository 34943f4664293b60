from __future__ import annotations

from dataclasses import replace

from replay.host import GENERIC, Cost
from replay.policy import PRESETS, parse_policy
from replay.policy.presets import KNOWN_NAMES
from replay.report.host import host_table
from replay.report.policies import policy_table


def test_every_preset_with_its_settings_under_the_keys_that_change_them() -> None:
    head, *lines = policy_table(KNOWN_NAMES).splitlines()
    assert {line.split()[0] for line in lines} >= set(PRESETS)
    keys = head.split()[1:]
    for line in lines:
        name, *values = line.split()
        settings = [
            f"{key}={value}" for key, value in zip(keys, values, strict=True) if value != "recorded"
        ]
        again = parse_policy(f"{name}:{','.join(settings)}")
        assert replace(again, name=name) == parse_policy(name)


def test_a_constant_has_its_spread_and_the_number_of_its_samples() -> None:
    host = replace(GENERIC, irq_ns=1_200, costs={"irq_ns": Cost(1_100.4, 1_300, 2_000, "irq")})
    lines = host_table(host).splitlines()
    assert lines[0].startswith("# generic-3ghz (")
    (line,) = (line for line in lines if line.startswith("irq_ns"))
    assert line.split() == ["irq_ns", "1,200", "1,100", "1,300", "2,000", "irq"]
    (line,) = (line for line in lines if line.startswith("threaded"))
    assert line.split() == ["threaded", "off"]
    assert "# " + host_table(replace(host, about="")).splitlines()[0][2:] == "# generic-3ghz"
