"""Public captures, where they are at hand: packet counts equal those of capinfos."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from replay.errors import TraceError
from replay.ingest.pcap import read_capture

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"


def test_counts_are_those_of_capinfos() -> None:
    catalogue = SAMPLES / "CATALOG.tsv"
    if not catalogue.exists():
        pytest.skip(f"no public samples at {SAMPLES}")
    wrong, refused, counted = [], [], 0
    with catalogue.open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            expected = row["capinfos_packets"] or row["tcpdump_packets"]
            try:
                found = str(len(read_capture(SAMPLES / row["file"]).tables["packets"]))
            except TraceError as error:
                found = ""
                refused.append(str(error))
            counted += bool(expected)
            if found != expected:
                wrong.append((row["file"], found, expected))
    assert not wrong
    assert counted > 1000
    assert [reason for reason in refused if "\n" in reason or ": " not in reason] == []
