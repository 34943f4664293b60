"""ethtool's outputs, as text of old and new versions and as JSON."""

from __future__ import annotations

import json

import pytest

from replay.errors import TraceError
from replay.ingest.ethtool import is_ethtool, read_ethtool, read_ethtool_json
from replay.ingest.settings import Settings, merged
from replay.layout import VERIFICATION_KEY

COALESCE = """\
Coalesce parameters for eth0:
Adaptive RX: on  TX: off
stats-block-usecs:\tn/a
sample-interval:\tn/a
pkt-rate-low:\t\tn/a
pkt-rate-high:\t\tn/a

rx-usecs:\t8
rx-frames:\t128
rx-usecs-irq:\tn/a
rx-frames-irq:\tn/a

tx-usecs:\t16
tx-frames:\t32
tx-usecs-irq:\tn/a
tx-frames-irq:\tn/a

rx-usecs-high:\tn/a

CQE mode RX: on  TX: off

tx-aggr-max-bytes:\tn/a
tx-aggr-time-usecs\tn/a
"""
RING = """\
Ring parameters for eth0:
Pre-set maximums:
RX:\t\t\t8192
RX Mini:\t\tn/a
TX:\t\t\t8192
Current hardware settings:
RX:\t\t\t1024
RX Mini:\t\tn/a
TX:\t\t\t512
RX Buf Len:\t\tn/a
TX Push:\t\toff
"""
CHANNELS = """\
Channel parameters for eth0:
Pre-set maximums:
RX:\t\tn/a
TX:\t\tn/a
Other:\t\t1
Combined:\t63
Current hardware settings:
RX:\t\tn/a
TX:\t\tn/a
Other:\t\t1
Combined:\t4
"""
KEY = VERIFICATION_KEY.hex(":")
INDIRECTION = f"""\
RX flow hash indirection table for eth0 with 4 RX ring(s):
    0:      0     1     2     3     0     1     2     3
    8:      3     3     2     2     1     1     0     0
RSS hash key:
{KEY}
RSS hash function:
    toeplitz: on
    xor: off
    crc32: off
"""
DRIVER = "driver: mlx5_core\nversion: 6.18.0\nfirmware-version: 16.35\nbus-info: 0000:3b:00.0\n"


def whole(text: str, device: str | None = None) -> Settings:
    found = merged(read_ethtool("e.txt", text), device)
    assert found is not None
    return found


def test_each_output_and_all_in_one_file() -> None:
    found = whole(COALESCE + RING + CHANNELS + INDIRECTION + DRIVER)
    assert found.device == "eth0"
    assert found.driver == "mlx5_core"
    assert found.coalescing == {
        "rx-usecs": 8,
        "rx-frames": 128,
        "tx-usecs": 16,
        "tx-frames": 32,
        "adaptive-rx": True,
        "cqe-mode-rx": True,
    }
    assert found.ring == 1024
    assert found.queues == 4
    assert found.indirection == (0, 1, 2, 3, 0, 1, 2, 3, 3, 3, 2, 2, 1, 1, 0, 0)
    assert found.key == VERIFICATION_KEY
    assert found.hash_function == "toeplitz"
    assert found.transform is None


def test_what_is_not_available_is_not_there() -> None:
    bare = whole(COALESCE.replace("rx-usecs:\t8", "rx-usecs:\tn/a").replace("RX: on", "RX: n/a"))
    assert "rx-usecs" not in bare.coalescing
    assert "adaptive-rx" not in bare.coalescing
    refused = (
        "RX flow hash indirection table for eth0 with 1 RX ring(s):\nOperation not supported\n"
        "RSS hash key:\nOperation not supported\n"
    )
    single = whole(refused)
    assert (single.queues, single.indirection, single.key) == (1, (), None)
    symmetric = whole(INDIRECTION + "RSS input transformation:\n    symmetric-xor: on\n")
    assert symmetric.transform == "symmetric-xor"


def test_json_says_the_same() -> None:
    document = json.loads(
        json.dumps(
            [
                {"ifname": "eth0", "adaptive-rx": True, "rx-usecs": 8, "cqe-mode-rx": False},
                {"ifname": "eth0", "rx-max": 8192, "tx-max": 8192, "rx": 1024, "tx": 512},
                {"ifname": "eth0", "other-max": 1, "combined-max": 63, "combined": 4},
                {
                    "ifname": "eth0",
                    "rss-indirection-table": [0, 1, 2, 3],
                    "rss-hash-key": list(VERIFICATION_KEY),
                    "rss-hash-function": {"toeplitz": "on", "xor": "off"},
                },
            ]
        )
    )
    assert is_ethtool(document)
    found = merged(read_ethtool_json("e.json", document), None)
    assert found is not None
    assert found.coalescing == {"rx-usecs": 8, "adaptive-rx": True, "cqe-mode-rx": False}
    assert (found.ring, found.queues, found.indirection) == (1024, 4, (0, 1, 2, 3))
    assert (found.key, found.hash_function) == (VERIFICATION_KEY, "toeplitz")
    for other in ([], [{"ifname": "eth0", "rx-checksumming": {}}], {"ifname": "eth0"}, [3]):
        assert not is_ethtool(other)


def test_devices_are_not_mixed() -> None:
    two = RING + RING.replace("eth0", "eth1").replace("1024", "256")
    with pytest.raises(TraceError, match=r"2 devices \(eth0, eth1\): choose one with --device"):
        whole(two)
    assert whole(two, "eth1").ring == 256
    with pytest.raises(TraceError, match="its ring is not that of another file"):
        whole(RING + RING.replace("1024", "256"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (COALESCE[:60], "without rx-usecs"),
        (COALESCE.replace("\t8\n", "\tmany\n"), "eth0 rx-usecs = 'many' is no number"),
        (RING[: RING.index("Current")], "no current settings of eth0"),
        (RING.replace("1024", "n/a"), "has no receive descriptors"),
        (CHANNELS.replace("Combined:\t4", "Combined:\t9999999"), "9999999 receive queues"),
        (INDIRECTION.replace("with 4", "with 0"), "0 receive queues"),
    ],
)
def test_what_is_cut_or_damaged_is_refused_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(TraceError, match=reason) as caught:
        read_ethtool("e.txt", text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "damage",
    [
        {"rss-hash-key": [256]},
        {"rss-hash-key": "no"},
        {"rss-indirection-table": ["x"]},
        {"rx-usecs": -1},
        {"rx-usecs": 10**30},
        {"rx-usecs": None},
        {"rss-indirection-table": [99_999]},
    ],
)
def test_damaged_json_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(TraceError, match=r"e\.json"):
        read_ethtool_json("e.json", [{"ifname": "eth0", **damage}])
