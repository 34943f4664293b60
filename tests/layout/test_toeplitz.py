"""The Toeplitz hash against its sixteen published vectors, and against its definition."""

from ipaddress import IPv4Address, ip_address

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.layout.key import TRANSFORMS
from replay.layout.toeplitz import VERIFICATION_KEY, toeplitz

#: source, its port, destination, its port, hash of the addresses, hash with the ports
PUBLISHED = [
    ("66.9.149.187", 2794, "161.142.100.80", 1766, 0x323E8FC2, 0x51CCC178),
    ("199.92.111.2", 14230, "65.69.140.83", 4739, 0xD718262A, 0xC626B0EA),
    ("24.19.198.95", 12898, "12.22.207.184", 38024, 0xD2D0A5DE, 0x5C2B394A),
    ("38.27.205.30", 48228, "209.142.163.6", 2217, 0x82989176, 0xAFC7327F),
    ("153.39.163.191", 44251, "202.188.127.2", 1303, 0x5D1809C5, 0x10E828A2),
    ("3ffe:2501:200:1fff::7", 2794, "3ffe:2501:200:3::1", 1766, 0x2CC18CD5, 0x40207D3D),
    ("3ffe:501:8::260:97ff:fe40:efab", 14230, "ff02::1", 4739, 0x0F0C461C, 0xDDE51BBF),
    (
        "3ffe:1900:4545:3:200:f8ff:fe21:67cf",
        44251,
        "fe80::200:f8ff:fe21:67cf",
        38024,
        0x4B61E985,
        0x02D1FEEF,
    ),
]


def _hash(
    flows: list[tuple[str, int, str, int]], key: bytes, ports: bool, transform: str = "none"
) -> list[int]:
    """Hash flows given as text, all at once."""

    def wide(text: str) -> bytes:
        address = ip_address(text)
        return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed

    def bytes_of(column: int) -> np.ndarray:
        return np.frombuffer(b"".join(wide(str(f[column])) for f in flows), np.uint8).reshape(
            -1, 16
        )

    version = np.array([ip_address(flow[0]).version for flow in flows], dtype=np.uint8)
    return toeplitz(
        key,
        bytes_of(0),
        bytes_of(2),
        np.array([flow[1] for flow in flows], dtype=np.uint16),
        np.array([flow[3] for flow in flows], dtype=np.uint16),
        version,
        np.full(len(flows), ports),
        transform,
    ).tolist()


@pytest.mark.parametrize("ports", [False, True])
def test_published_vectors(ports: bool) -> None:
    flows = [vector[:4] for vector in PUBLISHED]
    expected = [vector[5 if ports else 4] for vector in PUBLISHED]
    assert _hash(flows, VERIFICATION_KEY, ports) == expected


@given(st.sampled_from(TRANSFORMS), st.ip_addresses(v=4), st.ip_addresses(v=4))
def test_transforms_are_those_of_the_kernel(transform: str, source, destination) -> None:
    one, other, port, other_port = int(source), int(destination), 7, 40_000
    hashed = {  # as Documentation/networking/scaling.rst has them
        "none": (one, other, port, other_port),
        "symmetric-xor": (one ^ other, one ^ other, port ^ other_port, port ^ other_port),
        "symmetric-or-xor": (one | other, one ^ other, port | other_port, port ^ other_port),
    }[transform]
    first, second = str(IPv4Address(hashed[0])), str(IPv4Address(hashed[1]))
    expected = _hash([(first, hashed[2], second, hashed[3])], VERIFICATION_KEY, True)
    flow = [(str(source), port, str(destination), other_port)]
    assert _hash(flow, VERIFICATION_KEY, True, transform) == expected


@given(st.binary(min_size=40, max_size=60), st.ip_addresses(v=4), st.ip_addresses(v=4))
def test_hash_is_the_xor_of_the_windows_of_set_bits(key: bytes, source, destination) -> None:
    data = source.packed + destination.packed + (7).to_bytes(2, "big") + (40_000).to_bytes(2, "big")
    expected = 0
    for bit in range(len(data) * 8):
        if data[bit // 8] & (0x80 >> bit % 8):
            expected ^= (int.from_bytes(key, "big") >> (len(key) * 8 - 32 - bit)) & 0xFFFF_FFFF
    assert _hash([(str(source), 7, str(destination), 40_000)], key, True) == [expected]
