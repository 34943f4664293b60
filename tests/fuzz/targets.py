"""The fuzz targets: a parser each, its seeds and what must hold of any input."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.fuzz import capture_files, kernel_events, packet_headers, perf_files, streams


class Target(NamedTuple):
    """One parser."""

    seeds: Callable[[], list[bytes]]  # inputs that it reads
    seeds_of: Callable[[bytes], list[bytes]]  # those in a real file; none in one of another kind
    run: Callable[[bytes], str]  # raises for what must not be; returns how the input ended


TARGETS = {
    "pcap": Target(capture_files.pcaps, capture_files.pcap_of, capture_files.run_pcap),
    "pcapng": Target(capture_files.pcapngs, capture_files.pcapng_of, capture_files.run_pcapng),
    "perf": Target(perf_files.recordings, perf_files.recordings_of, perf_files.run),
    "text": Target(kernel_events.texts, kernel_events.texts_of, kernel_events.run_text),
    "trace.dat": Target(
        kernel_events.trace_dats, kernel_events.trace_dat_of, kernel_events.run_trace_dat
    ),
    "retis": Target(kernel_events.retis_lines, kernel_events.retis_of, kernel_events.run_retis),
    "stream": Target(streams.streams, streams.stream_of, streams.run),
    "headers": Target(packet_headers.packets, packet_headers.packets_of, packet_headers.run),
}
