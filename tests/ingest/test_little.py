"""Little input is interpreted, by the same functions, and becomes the same bundle."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from replay.ingest.ingest import ingest
from replay.ingest.little import LITTLE, is_little
from replay.trace.bundle import open_trace
from replay.trace.schema import TABLES
from tests.ingest.captures import ACK, PSH, Conversation, Packet, pcap

START = 1_700_000_000 * 10**9
TEXT = b"  a-1 [000] d..1 5.000001: irq_handler_entry: irq=1 name=eth0\n"
#: The command, and on stderr whether it loaded the compiler.
COMMAND = """
import sys
from replay.cli import main
try:
    main()
finally:
    print("numba" in sys.modules, file=sys.stderr)
"""


def _capture(packets: int) -> bytes:
    talk = Conversation()
    return pcap(
        [Packet(START + i * 1000, talk.segment(i % 2 == 0, 10, ACK | PSH)) for i in range(packets)]
    )


@pytest.mark.parametrize(
    ("content", "little"),
    [
        (_capture(10), True),
        (TEXT, True),
        (_capture(10) + bytes(LITTLE), False),
        (gzip.compress(_capture(10)), False),
        (b"PERFILE2" + bytes(100), False),
        (b"no recording", False),
        (b"", False),
    ],
)
def test_what_is_little(tmp_path: Path, content: bytes, little: bool) -> None:
    source = tmp_path / "source"
    source.write_bytes(content)
    assert is_little([source]) == little


def test_only_a_file_is_little_and_nothing_else_is_opened(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # to open it would wait for a writer
    for other in (pipe, tmp_path, tmp_path / "absent", Path("-"), Path("\0")):
        assert not is_little([other])


def test_sources_that_are_joined_are_not_little(tmp_path: Path) -> None:
    # What is looked at for each packet of one are the packets of the other.
    text, capture = tmp_path / "some.txt", tmp_path / "some.pcap"
    text.write_bytes(TEXT)
    capture.write_bytes(_capture(10))
    assert is_little([text])
    assert is_little([capture])
    assert not is_little([text, capture])


@pytest.mark.parametrize(
    ("packets", "loaded"),
    [(10, False), (2_000, True)],
)
def test_the_command_makes_the_same_bundle_either_way(
    tmp_path: Path, packets: int, loaded: bool
) -> None:
    source = tmp_path / "some.pcap"
    source.write_bytes(_capture(packets))
    command = [sys.executable, "-c", COMMAND, "ingest", str(source), "-o", str(tmp_path / "a")]
    environment = {name: value for name, value in os.environ.items() if "DISABLE_JIT" not in name}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert run.stderr == f"{loaded}\n"
    ingest([source], tmp_path / "b")
    one, other = open_trace(tmp_path / "a"), open_trace(tmp_path / "b")
    assert all(getattr(one, name).equals(getattr(other, name)) for name in TABLES)
    assert one.manifest == other.manifest
