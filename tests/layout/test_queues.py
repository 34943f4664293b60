"""Both directions of a connection are on the queue of the direction towards the server."""

from ipaddress import ip_address

import numpy as np
import pyarrow as pa
import pytest

from replay.layout import Layout, indirection_equal
from replay.layout.key import SYMMETRIC_KEY
from replay.layout.queues import flow_hashes, queue_of_flows, receive_hashes
from replay.trace.schema import FLOWS
from tests.layout.test_toeplitz import PUBLISHED

_ENDS = ("source", "source_port", "destination", "destination_port")


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
    assert receive_hashes(flows, Layout()).tolist() == [ported, alone, alone]
    assert receive_hashes(flows, Layout(udp_ports=False)).tolist() == [alone, alone, alone]


@pytest.mark.parametrize(
    "layout",
    [
        Layout(key=SYMMETRIC_KEY),
        Layout(transform="symmetric-xor"),
        Layout(transform="symmetric-or-xor"),
    ],
)
def test_symmetric_variants_give_both_directions_one_hash(layout: Layout) -> None:
    there = [(*vector[:4], 6) for vector in PUBLISHED]
    back = [(v[2], v[3], v[0], v[1], 6) for v in PUBLISHED]
    one = flow_hashes(_flows(*there), layout).tolist()
    assert one == flow_hashes(_flows(*back), layout).tolist()
    assert len(set(one)) == len(one)
    plain = flow_hashes(_flows(*there), Layout()).tolist()
    assert plain != one
    assert plain != flow_hashes(_flows(*back), Layout()).tolist()


def test_the_outer_packet_of_a_tunnel_is_hashed_or_the_inner() -> None:
    inner, outer = PUBLISHED[0], PUBLISHED[1]
    flows = _flows((*inner[:4], 6), (*inner[:4], 6)).to_pylist()
    flows[1] |= {"tunnel": "vxlan 5", "outer_version": 4, "outer_protocol": 17}
    for name, value in zip(_ENDS, outer[:4], strict=True):
        wide = bytes(10) + b"\xff\xff" + ip_address(value).packed if type(value) is str else value
        flows[1][f"outer_{name}"] = wide
    table = pa.Table.from_pylist(flows, schema=FLOWS)
    assert flow_hashes(table, Layout()).tolist() == [inner[5], outer[5]]
    assert flow_hashes(table, Layout(udp_ports=False)).tolist() == [inner[5], outer[4]]
    assert flow_hashes(table, Layout(inner=True)).tolist() == [inner[5], inner[5]]
    assert receive_hashes(table, Layout()).tolist() == [inner[5], outer[5]]


def test_no_flows() -> None:
    assert queue_of_flows(FLOWS.empty_table(), Layout(4)).shape == (0,)


def test_sliced_tables() -> None:
    flows = _flows(*((*vector[:4], 6) for vector in PUBLISHED))
    whole = queue_of_flows(flows, Layout(64))
    assert np.array_equal(queue_of_flows(flows[3:], Layout(64)), whole[3:])
