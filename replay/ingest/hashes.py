"""The RSS hash of every flow, written into a bundle's flows where the NIC's key is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from replay.layout import Layout, hash_of
from replay.trace.bundle import Trace, write_table


def hash_flows(folder: Path, manifest: Mapping[str, Any], compress: str | None) -> None:
    """Write each flow's own hash into the bundle being made at `folder`.

    Nothing is written where the manifest names no key, nor over the hash of a flow whose addresses
    are not known. Raises PolicyError for a key that is none.
    """
    known = hash_of(manifest)
    flows = Trace(folder, {}).flows
    if "key" not in known or not len(flows):
        return
    import pyarrow.compute as pc  # slow to import, and only keys need it

    from replay.layout.queues import flow_hashes

    place = flows.schema.get_field_index("rss_hash")
    hashes = pa.array(flow_hashes(flows, Layout(**known))).cast(pa.uint32())
    unknown = pc.equal(flows["source"], pa.scalar(bytes(16), pa.binary(16)))
    kept = pc.if_else(unknown, flows["rss_hash"], hashes)
    whole = flows.set_column(place, flows.schema.field(place), kept)
    (folder / "flows.arrow").unlink()  # it is mapped: a new file takes its place
    write_table(folder, "flows", whole, compress)
