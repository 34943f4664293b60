"""The columns of a bundle's tables, declared once: name, type and meaning.

Times are nanoseconds since the trace's start; a null says "not seen", never a guess.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import pyarrow as pa

#: A bundle of another major version is refused; of another minor version, read.
FORMAT_MAJOR: Final = 1
#: 1: columns without a value are left out; 2: the ends of tunnels; 3: an event's CPU may lack.
FORMAT_MINOR: Final = 3


class PacketKind(IntEnum):
    """What a packet makes the host do."""

    REQUEST = 0  # the last packet of a message: the application works on it
    ACK = 1  # costs the kernel time, wakes nobody
    CONTROL = 2  # connection set-up and end, or not of an IP flow
    TX = 3  # sent by the host itself
    DATA = 4  # a part of a message that a later packet completes


class PacketStatus(IntEnum):
    """How well a packet could be read."""

    OK = 0
    CUT = 1  # shorter than its headers: the capture's snap length
    MALFORMED = 2
    UNKNOWN = 3  # of a link type or protocol that is not decoded: it has no flow


class EventKind(IntEnum):
    """What the kernel did."""

    IRQ = 0  # device interrupt handler; value: irq number; duration: handler
    SOFTIRQ = 1  # one NET_RX pass; duration: entry to exit
    POLL = 2  # end of a poll; value: packets; budget; cause; duration where its start is known
    TIMER = 3  # napi_watchdog fired
    TIMER_START = 4  # napi_watchdog armed; value: nanoseconds until it expires
    WAKE = 5  # tid was made runnable; value: the cpu it goes to; cause, for a NAPI thread
    RUN = 6  # tid got the cpu; value: the tid before; duration: until it lost the cpu
    EPOLL_WAIT = 7  # tid entered epoll_wait; value: timeout
    EPOLL_RETURN = 8  # tid left epoll_wait; value: events
    RECEIVE = 9  # a packet entered the stack; value: its length
    XMIT = 10  # a packet was given to the device; value: its length
    RAISE = 11  # NET_RX was raised


class Cause(IntEnum):
    """Why a poll, or the wake-up of a NAPI thread, took place."""

    UNKNOWN = 0
    IRQ = 1
    TIMER = 2
    RESUME = 3  # epoll_wait found nothing and ended a suspension
    REPOLL = 4  # the poll before used its whole weight
    BUSY = 5  # busy polling inside epoll_wait
    STOP = 6  # the extra poll that ends every busy loop
    THREAD = 7  # a NAPI thread that nobody was seen to wake


PACKETS: Final = pa.schema(
    [
        pa.field("arrival_ns", pa.int64(), nullable=False),  # complete in NIC memory; sorted
        pa.field("earliest_ns", pa.int64()),  # bounds, where the arrival was inferred
        pa.field("latest_ns", pa.int64()),
        pa.field("flow", pa.uint32()),  # row of the flows table
        pa.field("device", pa.uint16()),  # index into the manifest's devices
        pa.field("queue", pa.uint16()),  # as recorded
        pa.field("length", pa.uint32()),  # bytes on the wire
        pa.field("payload", pa.uint32()),  # bytes above the transport header
        pa.field("kind", pa.uint8(), nullable=False),  # PacketKind
        pa.field("tid", pa.int32()),  # the thread that served it
        pa.field("service_ns", pa.int64()),  # application time seen
        pa.field("reply_to", pa.int64()),  # row of the request this answers or acknowledges
        pa.field("think_ns", pa.int64()),  # from the connection's previous response to this
        pa.field("status", pa.uint8(), nullable=False),  # PacketStatus
    ]
)

FLOWS: Final = pa.schema(
    [
        pa.field("source", pa.binary(16), nullable=False),  # IPv4 as ::ffff:a.b.c.d
        pa.field("destination", pa.binary(16), nullable=False),
        pa.field("source_port", pa.uint16(), nullable=False),
        pa.field("destination_port", pa.uint16(), nullable=False),
        pa.field("protocol", pa.uint8(), nullable=False),  # 6 TCP, 17 UDP
        pa.field("version", pa.uint8(), nullable=False),  # 4 or 6
        pa.field("vlan", pa.uint16()),
        pa.field("tunnel", pa.string()),  # kind and key, the outermost first: vxlan 5/gre
        pa.field("rss_hash", pa.uint32()),  # Toeplitz, with the manifest's rss_key
        pa.field("first_ns", pa.int64(), nullable=False),
        pa.field("last_ns", pa.int64(), nullable=False),
        pa.field("packets", pa.int64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("outer_source", pa.binary(16)),  # of the tunnel, as its first packet had them
        pa.field("outer_destination", pa.binary(16)),
        pa.field("outer_source_port", pa.uint16()),
        pa.field("outer_destination_port", pa.uint16()),
        pa.field("outer_protocol", pa.uint8()),
        pa.field("outer_version", pa.uint8()),
    ]
)

EVENTS: Final = pa.schema(
    [
        pa.field("time_ns", pa.int64(), nullable=False),  # sorted
        pa.field("cpu", pa.uint16()),  # null where the recorder did not name it
        pa.field("kind", pa.uint8(), nullable=False),  # EventKind
        pa.field("device", pa.uint16()),
        pa.field("napi", pa.uint32()),  # napi id where known, else a small number a pointer
        pa.field("tid", pa.int32()),
        pa.field("value", pa.int64()),
        pa.field("budget", pa.int32()),
        pa.field("cause", pa.uint8()),  # Cause
        pa.field("duration_ns", pa.int64()),
    ]
)

OUTCOMES: Final = pa.schema(
    [
        pa.field("policy", pa.string(), nullable=False),  # a name that replay.policy reads
        pa.field("offered_per_s", pa.float64(), nullable=False),  # requests
        pa.field("metric", pa.string(), nullable=False),  # see METRICS
        pa.field("median", pa.float64(), nullable=False),
        pa.field("q1", pa.float64(), nullable=False),  # the middle half of the repetitions
        pa.field("q3", pa.float64(), nullable=False),
        pa.field("min", pa.float64(), nullable=False),
        pa.field("max", pa.float64(), nullable=False),
        pa.field("repetitions", pa.int32(), nullable=False),
        pa.field("method", pa.string(), nullable=False),  # how it was measured
    ]
)

#: Metrics of the outcomes table and their units. Rates are per second of the measured window.
METRICS: Final[dict[str, str]] = {
    "requests": "1/s",  # served
    "packets": "1/s",  # received
    "tx_packets": "1/s",
    "dropped": "1/s",
    "irqs": "1/s",
    "timers": "1/s",
    "polls": "1/s",  # all: interrupt, timer, resume, busy
    "polls_empty": "1/s",
    "busy_polls": "1/s",  # loop and stop polls, inside epoll_wait
    "resumes": "1/s",
    "epoll_returns": "1/s",  # with at least one event
    "cpu_softirq": "%",
    "cpu_thread": "%",  # the server thread, user and system together
    "cpu_idle": "%",
    "latency_mean": "us",
    "latency_p50": "us",
    "latency_p90": "us",
    "latency_p95": "us",
    "latency_p99": "us",
    "latency_p99.9": "us",
    "latency_p99.99": "us",
    "latency_max": "us",
}

GAPS: Final = pa.schema(
    [
        pa.field("start_ns", pa.int64()),
        pa.field("end_ns", pa.int64()),
        pa.field("source", pa.uint16(), nullable=False),  # index into the manifest's sources
        pa.field("cause", pa.string(), nullable=False),  # lost, cut, clock, unrecorded
        pa.field("lost", pa.int64()),  # records, where they were counted
    ]
)

TABLES: Final[dict[str, pa.Schema]] = {
    "packets": PACKETS,
    "flows": FLOWS,
    "events": EVENTS,
    "outcomes": OUTCOMES,
    "gaps": GAPS,
}
