from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from replay.errors import PolicyError
from replay.host import GENERIC, Cost, Host, read_host, write_host
from replay.host.toml import host_text

TEXT = host_text(GENERIC)


def read(folder: Path, text: str) -> Host:
    place = folder / "host.toml"
    place.write_text(text)
    return read_host(place)


def test_every_field_survives(tmp_path: Path) -> None:
    host = replace(
        GENERIC,
        coalescing="gap",
        adaptive="itr",
        napi_thread="floating",
        cstates=((2_000, 2_000), (600_000, 133_000)),
        repost_every=0,
        repost_above=31,
        extra_irq=True,
        costs={
            "irq_ns": Cost(800, 1_000.5, 40, "irq"),
            "poll_ns": Cost(80, 100, 40, "fitted", {"irq_ns": -0.9}),
        },
    )
    write_host(tmp_path / "host.toml", host)
    again = read_host(tmp_path / "host.toml")
    assert (again, again.costs) == (host, host.costs)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("coalescing", '"cqa"', "coalescing = 'cqa' is none of timer, cqe, gap"),
        ("napi_thread", "1", "napi_thread = 1 is not one of fifo, pinned, floating"),
        ("irq_ns", "1.5", "irq_ns = 1.5 is not a whole number from 0 to 10000000000 ns"),
        ("irq_ns", "true", "irq_ns = True is not a whole number"),
        ("irq_ns", "-1", "irq_ns = -1 is outside 0 to 10000000000 ns"),
        ("rx_usecs", "70000", "rx_usecs = 70000 is outside 0 to 65535 us"),
        ("ring", "0", "ring = 0 is outside 1 to 1073741824 descriptors"),
        ("gro_batch", "0", "gro_batch = 0 is outside 1 to 65535 packets"),
        ("name", "3", "name = 3 is not text in quotes"),
        ("threaded", "0", "threaded = 0 is not true or false"),
        ("rt_runtime_ns", "2000000000", "outside 0 to rt_period_ns = 1000000000 ns"),
        ("cstates", "3", "cstates: 3 is no pair of whole numbers"),
        ("cstates", "[3]", "cstates: 3 is no pair of whole numbers"),
        ("cstates", "[[1, 2, 3]]", r"cstates: \[1, 2, 3\] is no pair"),
        ("cstates", "[[1, 2.5]]", r"cstates: \[1, 2.5\] is no pair"),
        ("cstates", "[[1, -2]]", r"cstates: \[1, -2\] is no pair of target residency .* ns"),
        ("cstates", "[[5, 2], [1, 1]]", "cstates are not in order of target residency"),
        ("cstates", "[" + "[1, 1]," * 11 + "]", "cstates has 11 entries, outside 0 to 10"),
        ("repost_above", "-1", None),
        ("repost_every", "0", None),
        ("costs", "3", r"costs is no table: \[costs.NAME\] is expected"),
    ],
)
def test_a_key_that_cannot_be_used(
    tmp_path: Path, key: str, value: str, message: str | None
) -> None:
    lines = [line for line in TEXT.splitlines() if not line.startswith(f"{key} =")]
    text = "\n".join([*lines, f"{key} = {value}"])
    if message is None:
        assert read(tmp_path, text).name == GENERIC.name
        return
    with pytest.raises(PolicyError, match=message) as told:
        read(tmp_path, text)
    assert str(told.value).startswith(f"{tmp_path}/host.toml: ")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[costs.irq]\nq1 = 1", r"\[costs.irq\]: unknown key 'irq'; did you mean irq_ns?"),
        ("[costs.coalescing]\nq1 = 1", r"\[costs.coalescing\]: unknown key 'coalescing'"),
        ("[costs.irq_ns.together]\nname = 0.5", r"together\]: name: unknown key"),
        ("[costs]\nirq_ns = 4", r"costs.irq_ns is no table: \[costs.irq_ns\] is expected"),
        ("[costs.irq_ns]\nq2 = 1", r"\[costs.irq_ns\]: unknown key 'q2'; did you mean q[13]?"),
        ("[costs.irq_ns]\nq1 = 1\nq3 = 2", r"\[costs.irq_ns\]: lacks samples, source"),
        ("[costs.irq_ns]\ntogether = 1", r"\[costs.irq_ns\]: together is no table"),
        (
            "[costs.irq_ns.together]\npoll_ns = 1.5",
            r"\[costs.irq_ns.together\]: poll_ns = 1.5 is outside -1 to 1",
        ),
        ("[costs.irq_ns.together]\npol = 1", r"pol: unknown key; did you mean poll_ns"),
        (
            '[costs.irq_ns]\nq1 = "1"\nq3 = 2\nsamples = 1\nsource = ""',
            r"\[costs.irq_ns\]: q1 = '1' is not a number of 0 or more",
        ),
        (
            "[costs.irq_ns]\nq1 = 1\nq3 = 2\nsamples = 1\nsource = 1",
            r"\[costs.irq_ns\]: source = 1 is not text in quotes",
        ),
        (
            '[costs.irq_ns]\nq1 = 1\nq3 = nan\nsamples = 1\nsource = ""',
            r"\[costs.irq_ns\]: q3 = nan is outside 0 to 4611686018427387904",
        ),
        (
            '[costs.irq_ns]\nq1 = 1\nq3 = 1e308\nsamples = 1\nsource = "fitted"',
            r"\[costs.irq_ns\]: q3 = 1e\+308 is outside 0 to 4611686018427387904",
        ),
        (
            f'[costs.irq_ns]\nq1 = 1\nq3 = 1{"0" * 400}\nsamples = 1\nsource = "fitted"',
            r"\[costs.irq_ns\]: q3 = 10+ is outside 0 to 4611686018427387904",
        ),
    ],
)
def test_a_spread_that_cannot_be_used(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        read(tmp_path, f"{TEXT}\n{table}\n")


def test_a_host_that_lacks_something_or_has_too_much(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="lacks name, irq_latency_ns, irq_ns, "):
        read(tmp_path, "")
    with pytest.raises(PolicyError, match=r"unknown key 'irk_ns'; did you mean irq_ns\?"):
        read(tmp_path, TEXT + "irk_ns = 3\n")
    with pytest.raises(PolicyError, match="no descriptor of 1024 ever comes back"):
        read(
            tmp_path,
            TEXT.replace("repost_every = 1", "repost_every = 2000").replace(
                "repost_above = 0", "repost_above = -1"
            ),
        )
    with pytest.raises(PolicyError, match="not TOML"):
        read(tmp_path, "name =")


def test_a_word_is_checked_where_no_text_was() -> None:
    with pytest.raises(PolicyError, match="host generic-3ghz: adaptive = 'dimm' is none of off"):
        replace(GENERIC, adaptive="dimm")  # type: ignore[arg-type]
