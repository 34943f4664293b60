"""Both directions of a connection are on the queue of the direction towards the server."""

from ipaddress import ip_address

import numpy as np
import pyarrow as pa

from replay.layout import Layout, indirection_equal
from replay.layout.queues import queue_of_flows, receive_hashes
from replay.trace.schema import FLOWS
from tests.layout.test_toeplitz import PUBLISHED


def _flows(*rows: tuple[str, int, str, int, int]) -> pa.Table:
    """A flows table of (source, port, destination, port, protocol)."""

    def wide(text: str) -> bytes:
        address = ip_address(text)
        return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed

    return pa.Table.from_pylist(
        [
            {
                "source": wide(source),
                "destination": wide(destination),
                "source_port": port,
                "destination_port": other,
                "protocol": protocol,
                "version": ip_address(source).version,
                "first_ns": 0,
                "last_ns": 0,
                "packets": 0,
                "bytes": 0,
            }
            for source, port, destination, other, protocol in rows
        ],
        schema=FLOWS,
    )


def test_hash_chooses_the_table_entry() -> None:
    flows = _flows(*((*vector[:4], 6) for vector in PUBLISHED))
    layout = Layout(8, indirection_equal(8))
    expected = [(vector[5] & 127) % 8 for vector in PUBLISHED]
    assert queue_of_flows(flows, layout).tolist() == expected


def test_answers_share_the_queue_of_their_requests() -> None:
    there = [(*vector[:4], 6) for vector in PUBLISHED]
    back = [(v[2], v[3], v[0], v[1], 6) for v in PUBLISHED]
    both = queue_of_flows(_flows(*there, *back), Layout(16))
    assert both[:8].tolist() == both[8:].tolist()
    assert len(set(both.tolist())) > 2


def test_addresses_alone_for_udp_without_ports_fragments_and_the_rest() -> None:
    source, port, destination, other, alone, ported = PUBLISHED[0]
    flows = _flows(
        (source, port, destination, other, 17),
        (source, 0, destination, 0, 6),
        (source, 0, destination, 0, 1),
    )
    key = Layout().key
    assert receive_hashes(flows, key).tolist() == [ported, alone, alone]
    assert receive_hashes(flows, key, udp_ports=False).tolist() == [alone, alone, alone]


def test_no_flows() -> None:
    assert queue_of_flows(FLOWS.empty_table(), Layout(4)).shape == (0,)


def test_sliced_tables() -> None:
    flows = _flows(*((*vector[:4], 6) for vector in PUBLISHED))
    whole = queue_of_flows(flows, Layout(64))
    assert np.array_equal(queue_of_flows(flows[3:], Layout(64)), whole[3:])
