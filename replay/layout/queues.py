"""The RX queue of every flow under a layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.layout.model import Layout
from replay.layout.toeplitz import toeplitz

_TCP, _UDP = 6, 17
_ENDS = ("source", "destination", "source_port", "destination_port", "protocol", "version")
_NO_VLAN = 0xFFFF


def queue_of_flows(flows: pa.Table, layout: Layout) -> npt.NDArray[np.int64]:
    """Return the RX queue of each row of a bundle's flows table, int64 of shape (flows,).

    A connection has one queue: that of the direction towards the server, whose row stands before
    the row of the answers. A row without a partner is taken as it stands.
    """
    return queue_of_hashes(receive_hashes(flows, layout), layout)


def queue_of_hashes(hashes: npt.NDArray[np.int64], layout: Layout) -> npt.NDArray[np.int64]:
    """Return the queue that the indirection table gives each hash, same shape."""
    table = np.array(layout.indirection, dtype=np.int64)
    queues: npt.NDArray[np.int64] = table[hashes & (len(table) - 1)]
    return queues


def hashes_of_copies(
    hashes: npt.NDArray[np.int64], copy: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the hashes of the flows that stand for `hashes` in copies of a recording, same shape.

    Copy 0 is the recording. Other users have other addresses, so their hashes have nothing to do
    with the recorded ones: the finalizer of splitmix64 draws them, the same ones every time.
    """
    mixed = (hashes.astype(np.uint64) << np.uint64(16)) + copy.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    drawn = (mixed >> np.uint64(32)).astype(np.int64)
    return np.where(copy == 0, hashes, drawn)


def receive_hashes(flows: pa.Table, layout: Layout) -> npt.NDArray[np.int64]:
    """Return the hash of each flow's connection in the receive direction, int64 of shape (flows,).

    It is that of the connection's first row, in which packets go to the server.
    """
    return flow_hashes(flows, layout)[receive_rows(flows)]


def flow_hashes(flows: pa.Table, layout: Layout) -> npt.NDArray[np.int64]:
    """Return the hash of each flow's own packets, int64 of shape (flows,).

    TCP, and UDP with the layout's udp_ports, hash addresses and ports; all else, and fragments,
    whose ports are 0, addresses alone. Of packets in tunnels the outermost is hashed, or, with the
    layout's inner, that of the flow.
    """
    columns = [_column(flows, name, layout.inner) for name in _ENDS]
    source, destination, source_port, destination_port, protocol, version = columns
    ported = (protocol == _TCP) | ((protocol == _UDP) if layout.udp_ports else False)
    with_ports = ported & ((source_port != 0) | (destination_port != 0))
    return toeplitz(
        layout.key,
        source,
        destination,
        source_port,
        destination_port,
        version,
        with_ports,
        layout.transform,
    ).astype(np.int64)


def _column(flows: pa.Table, name: str, inner: bool) -> npt.NDArray[Any]:
    """Return one of the flows' ends: the tunnel's, where there is one and not `inner` is asked."""
    own, outer = flows[name], flows[f"outer_{name}"]
    if inner or outer.null_count == len(outer):
        return _values(own)
    tunnelled = outer.is_valid().to_numpy()
    values = _values(own)
    known = tunnelled[:, None] if values.ndim == 2 else tunnelled
    return np.where(known, _values(outer), values)


def _values(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return a column's values, any where there are none."""
    if pa.types.is_fixed_size_binary(column.type):
        return _addresses(column)
    values: npt.NDArray[Any] = (column.fill_null(0) if column.null_count else column).to_numpy()
    return values


def receive_rows(flows: pa.Table) -> npt.NDArray[np.int64]:
    """Return for each flow the first row of its connection: its own, or its reverse's."""
    there = _endpoints(flows, "source")
    back = _endpoints(flows, "destination")
    order = [np.ascontiguousarray(ends).view(">u8") for ends in (there, back)]
    reverse = np.zeros(len(flows), dtype=np.bool_)
    for word in (2, 1, 0):  # the highest decides last
        one, other = order[0][:, word], order[1][:, word]
        reverse = (one > other) | ((one == other) & reverse)
    vlan = flows["vlan"].fill_null(_NO_VLAN).to_numpy()
    rest = np.stack([flows["protocol"].to_numpy(), vlan, _tunnels(flows)], axis=-1).astype(">u4")
    keys = np.concatenate(
        [
            np.where(reverse[:, None], back, there),
            np.where(reverse[:, None], there, back),
            rest.view(np.uint8).reshape(len(flows), 12),
        ],
        axis=1,
    )
    whole = keys.view(f"V{keys.shape[1]}")[:, 0]
    _, first, connection = np.unique(whole, return_index=True, return_inverse=True)
    rows: npt.NDArray[np.int64] = first[connection]
    return rows


def _tunnels(flows: pa.Table) -> npt.NDArray[np.int64]:
    """Return a number for each flow, equal where the tunnels are; 0 without."""
    tunnels = flows["tunnel"]
    if tunnels.null_count == len(tunnels):
        return np.zeros(len(tunnels), dtype=np.int64)
    coded = tunnels.combine_chunks().dictionary_encode().indices.fill_null(-1)
    numbers: npt.NDArray[np.int64] = coded.to_numpy().astype(np.int64) + 1
    return numbers


def _endpoints(flows: pa.Table, side: str) -> npt.NDArray[np.uint8]:
    """Return address and port of one side as bytes of shape (flows, 24), in order of size."""
    ends = np.zeros((len(flows), 24), dtype=np.uint8)
    ends[:, :16] = _addresses(flows[side])
    ports = flows[f"{side}_port"].to_numpy().astype(">u2")
    ends[:, 16:18] = ports.view(np.uint8).reshape(len(flows), 2)
    return ends


def _addresses(column: pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    """Return a column of 16-byte addresses as bytes of shape (flows, 16)."""
    array = column.combine_chunks()
    buffer = array.buffers()[1]
    start = array.offset * 16
    whole = np.frombuffer(buffer, dtype=np.uint8)[start : start + len(array) * 16]
    return whole.reshape(len(array), 16)
