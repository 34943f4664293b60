"""ethtool -S: which counter says what, of the whole device or of its queues together."""

from __future__ import annotations

import pytest

from replay.errors import TraceError
from replay.ingest.device_counters import metrics_between, read_counters

INTEL = """\
NIC statistics:
     rx_packets: 1000
     tx_packets: 900
     rx_bytes: 64000
     rx_missed_errors: 5
     rx_no_dma_resources: 5
     rx_queue_0_packets: 600
     rx_queue_1_packets: 400
     [0]: unreadable
"""
QUEUES = """\
NIC statistics:
     rx0_packets: 10
     rx0_drops: 1
     rx1_packets: 20
     rx1_drops: 2
     tx0_packets: 7
"""


def grown(text: str, by: dict[str, int]) -> dict[str, tuple[int, str]]:
    before = read_counters("b", text)
    return metrics_between(before, {name: it + by.get(name, 0) for name, it in before.items()})


def test_a_device_s_own_counters_go_before_its_queues() -> None:
    by = {"rx_packets": 50, "tx_packets": 40, "rx_missed_errors": 3, "rx_queue_0_packets": 999}
    assert grown(INTEL, by) == {
        "packets": (50, "rx_packets"),
        "tx_packets": (40, "tx_packets"),
        "dropped": (3, "rx_missed_errors"),
    }


def test_queues_are_added_up() -> None:
    by = {"rx0_packets": 5, "rx1_packets": 6, "rx1_drops": 1}
    assert grown(QUEUES, by) == {
        "packets": (11, "rx0_packets to rx1_packets"),
        "tx_packets": (0, "tx0_packets"),
        "dropped": (1, "rx0_drops to rx1_drops"),
    }


def test_mlx5_counts_its_polls_and_events() -> None:
    text = "NIC statistics:\n     ch_events: 10\n     ch_poll: 30\n     rx_out_of_buffer: 1\n"
    found = grown(text, {"ch_events": 4, "ch_poll": 9})
    assert found == {
        "dropped": (0, "rx_out_of_buffer"),
        "polls": (9, "ch_poll"),
        "irqs": (4, "ch_events"),
    }


def test_a_counter_that_falls_is_refused() -> None:
    with pytest.raises(TraceError, match="rx_packets falls by 1 between"):
        grown(INTEL, {"rx_packets": -1})


@pytest.mark.parametrize("text", ["", "NIC statistics:\n", "NIC statistics:\n  a: b\n"])
def test_no_counters_are_refused(text: str) -> None:
    with pytest.raises(TraceError, match=r"no ethtool -S|no counter follows"):
        read_counters("s", text)
