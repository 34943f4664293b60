from __future__ import annotations

from dataclasses import replace

from replay.host import GENERIC, NICS, Cost
from replay.policy import parse_policy
from replay.policy.keys import KEYS
from replay.policy.presets import KNOWN_NAMES
from replay.report.host import host_table
from replay.report.policies import key_table, policy_list


def test_every_preset_with_its_line_and_then_the_settings_that_make_it() -> None:
    presets, settings, keys, about, nics = policy_list(KNOWN_NAMES).split("\n\n")
    assert [line.split()[0] for line in presets.splitlines()] == ["policy", *KNOWN_NAMES]
    for name, line in zip(KNOWN_NAMES, settings.splitlines()[1:], strict=True):
        first, *told = line.split()
        assert first == name
        said = [] if told == ["-"] else [word for word in told if "=" in word]
        again = parse_policy(f"base:{','.join(said)}" if said else "base")
        policy = parse_policy(name)
        assert replace(again, name=name, costs=policy.costs) == policy
        assert (f"(costs: {policy.costs})" in line) == (policy.costs != "host")
    assert [line.split()[0] for line in keys.splitlines()] == ["key", *KEYS]
    for table in (about, nics):
        assert [line.split()[0] for line in table.splitlines()] == ["nic", *NICS]
    assert all(len(line) < 150 for line in policy_list(KNOWN_NAMES).splitlines())


def test_a_key_has_its_values_what_it_is_unsaid_and_its_meaning() -> None:
    (line,) = (line for line in key_table().splitlines() if line.startswith("gro-flush-timeout"))
    assert "0 to 60s" in line
    (line,) = (line for line in key_table().splitlines() if line.startswith("coalescing"))
    assert line.split()[1:5] == ["timer", "cqe", "gap", "host"]


def test_a_constant_has_its_spread_and_the_number_of_its_samples() -> None:
    host = replace(GENERIC, irq_ns=1_200, costs={"irq_ns": Cost(1_100.4, 1_300, 2_000, "irq")})
    lines = host_table(host).splitlines()
    assert lines[0].startswith("# generic-3ghz (")
    (line,) = (line for line in lines if line.startswith("irq_ns"))
    assert line.split() == ["irq_ns", "1,200", "1,100", "1,300", "2,000", "irq"]
    (line,) = (line for line in lines if line.startswith("threaded"))
    assert line.split() == ["threaded", "off"]
    deep = host_table(replace(host, cstates=((2_000, 1_000), (600_000, 133_000)))).splitlines()
    (line,) = (line for line in deep if line.startswith("cstates"))
    assert line.split() == ["cstates", "2000/1000", "600000/133000"]
    assert ["cstates", "none"] in [line.split() for line in lines]
    assert ["coalescing", "timer"] in [line.split() for line in lines]
    assert "# " + host_table(replace(host, about="")).splitlines()[0][2:] == "# generic-3ghz"
