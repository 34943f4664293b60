"""/proc/interrupts: which lines are a device's, and what they counted between two snapshots."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.errors import TraceError
from replay.ingest.interrupts import read_interrupts, vectors

BEFORE = Path(__file__).with_name("outputs").joinpath("interrupts.txt").read_text()


def after(**grown: tuple[int, int, int]) -> str:
    """BEFORE with more interrupts on some lines."""
    lines = BEFORE.splitlines()
    for place, line in enumerate(lines):
        label, _, rest = line.partition(":")
        more = grown.get(f"irq{label.strip()}")
        if more:
            counts, name = rest.split()[:3], rest.split(maxsplit=3)[3]
            added = [str(int(count) + it) for count, it in zip(counts, more, strict=True)]
            lines[place] = f"{label}: {' '.join(added)}  {name}"
    return "\n".join(lines) + "\n"


def seen(text: str, device: str | None, *irqs: int) -> list[tuple[int, str, int, int | None]]:
    found = vectors(read_interrupts("b", BEFORE), read_interrupts("a", text), device, irqs)
    return [(it.irq, it.name, it.fired, it.cpu) for it in found]


def test_lines_named_after_the_device_by_queue() -> None:
    more = after(irq24=(1, 0, 0), irq25=(10, 30, 0), irq26=(0, 0, 8), irq8=(5, 5, 5))
    assert seen(more, "eth0") == [(25, "eth0-TxRx-0", 40, 1), (26, "eth0-TxRx-1", 8, 3)]
    assert seen(BEFORE, "eth0") == [(25, "eth0-TxRx-0", 0, None), (26, "eth0-TxRx-1", 0, None)]
    assert seen(BEFORE, "eth1") == seen(BEFORE, None) == []


def test_numbers_of_napi_instances_go_before_names() -> None:
    more = after(irq28=(0, 5, 0), irq29=(1, 0, 0), irq38=(0, 44, 0))
    assert seen(more, "eth0", 29, 28, 27) == [
        (28, "mlx5_comp0@pci:0000:3b:00.0", 5, 1),
        (29, "mlx5_comp1@pci:0000:3b:00.0", 1, 0),
    ]
    assert seen(more, None, 38, 39) == [(38, "virtio2-input.0", 44, 1)]


@pytest.mark.parametrize(
    ("name", "received"),
    [
        ("eth0", True),
        ("eth0-rx-0", True),
        ("eth0-Tx-Rx-0", True),
        ("i40e-eth0-TxRx-0", True),
        ("eth0-tx-0", False),
        ("eth0-config", False),
        ("veth0-rx-0", False),
        ("eth01-rx-0", False),
    ],
)
def test_names_of_drivers(name: str, received: bool) -> None:
    text = f"   CPU0\n 7:  3  PCI-MSI 1-edge  {name}\n"
    snapshot = read_interrupts("s", text)
    assert bool(vectors(snapshot, snapshot, "eth0", ())) is received


def test_a_restart_in_between_is_refused() -> None:
    with pytest.raises(TraceError, match=r"interrupt 25 \(eth0-TxRx-0\) counts less"):
        vectors(
            read_interrupts("b", after(irq25=(1, 0, 0))), read_interrupts("a", BEFORE), "eth0", ()
        )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "names no CPUs"),
        ("hello\n", "names no CPUs"),
        ("  CPU0 CPU1\n", "holds no interrupt"),
        ("  CPU0 CPU1\n 24:  1\n", "cut or damaged in line 2"),
        (f"  CPU0\n 24:  {'9' * 5_000}  x\n", "cut or damaged in line 2"),
        ("  CPU0 CPU1\n 24:  1  x  IO-APIC\n", "cut or damaged in line 2"),
        (BEFORE[:180], "cut or damaged in line 4"),
        (" ".join(f"CPU{i}" for i in range(9_000)), "9,000 CPUs"),
    ],
)
def test_what_is_cut_or_damaged_is_refused_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(TraceError, match=reason) as caught:
        read_interrupts("s", text)
    assert "\n" not in str(caught.value)


@given(st.text(alphabet="CPU 0123:-\nedgethRx", max_size=80))
def test_no_text_is_a_crash(text: str) -> None:
    try:
        snapshot = read_interrupts("s", "  CPU0 CPU1\n" + text)
    except TraceError:
        return
    assert all(len(line.counts) == 2 for line in snapshot.lines.values())
