"""Formats are told by their first bytes; everything else is refused in one line."""

import gzip
from pathlib import Path

import pytest

from replay.errors import TraceError
from replay.ingest.sniff import sniff


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        ("d4c3b2a1", "pcap"),
        ("a1b2c3d4", "pcap"),
        ("4d3cb2a1", "pcap"),
        ("a1b23c4d", "pcap"),
        ("34cdb2a1", "pcap"),
        ("0a0d0d0a", "pcapng"),
        (b"PERFILE2\x68".hex() + "00" * 7, "perf"),
        (b"2ELIFREP".hex() + "00" * 7 + "68", "perf"),
        (b"PERFILE2".hex() + "10" + "00" * 7, "perf"),
        (b"\x17\x08\x44tracing6".hex(), "trace.dat"),
        (b"  a-1 [000] d..1 5.000001: irq_handler_entry: irq=1\n".hex(), "text"),
    ],
)
def test_formats_are_known_by_their_magic_whatever_their_name(
    tmp_path: Path, head: str, kind: str
) -> None:
    path = tmp_path / "lie.txt"
    path.write_bytes(bytes.fromhex(head) + (b"" if kind == "text" else bytes(40)))
    assert sniff(path) == kind


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\x1f\x8b\x08\x00", "is empty"),
        (b"\x28\xb5\x2f\xfd\x00", "is empty"),
        (gzip.compress(b"%PDF-1.4", mtime=0), r"is no pcap.*25 50 44 46"),
        (b"\x04\x22\x4d\x18\x00", "unlz4"),
        (b"PERFFILE\x00\x00", "version 1"),
        (b"\xd4\xc3", "is cut after 2 bytes"),
        (b"%PDF-1.4", r"is no pcap.*25 50 44 46"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "source"
    path.write_bytes(content)
    with pytest.raises(TraceError, match=reason) as caught:
        sniff(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "#type       avg     std     min     5th    10th    90th    95th    99th\n",
        "Running 30s test @ http://127.0.0.1:80/\n",
        "ALL STATS\n=====\nType         Ops/sec     Hits/sec\n",
        '{"configuration": {}, "ALL STATS": {}}',
        "           CPU0       CPU1\n 24:  1  0  IO-APIC   5-edge      eth0\n",
        "1700000000.5\n           CPU0\n",
        "NIC statistics:\n     rx_packets: 1\n",
        "Coalesce parameters for eth0:\nAdaptive RX: off  TX: n/a\n",
        '[ {\n "ifname": "eth0",\n "rx-usecs": 8 } ]',
        "[{'id': 1, 'ifindex': 2, 'irq': 3}]",
        "/sys/class/net/eth0/gro_flush_timeout:20000\n",
    ],
)
def test_what_stands_beside_a_recording_is_known_by_content(tmp_path: Path, text: str) -> None:
    path = tmp_path / "any.name"
    path.write_text(text)
    assert sniff(path) == "attachment"


@pytest.mark.parametrize("text", ["[1, 2]", "{'a': 1}", "[" * 100_000, "{}", "plain text\n"])
def test_other_texts_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "any.txt"
    path.write_text(text)
    with pytest.raises(TraceError, match="is no pcap"):
        sniff(path)


def test_folders_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="No such file"):
        sniff(tmp_path / "absent")
    with pytest.raises(TraceError, match="is a folder"):
        sniff(tmp_path)
    (tmp_path / "data").write_bytes(b"")
    with pytest.raises(TraceError, match="is empty"):
        sniff(tmp_path)
    (tmp_path / "data").write_bytes(b"PERFILE2" + (104).to_bytes(8, "little"))
    assert sniff(tmp_path) == "perf"
    (tmp_path / "manifest.json").write_text("{}")
    assert sniff(tmp_path) == "bundle"
    with pytest.raises(TraceError, match="/dev/null: is empty"):
        sniff("/dev/null")
