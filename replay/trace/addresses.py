"""IP addresses as a bundle holds them (16 bytes, IPv4 as ::ffff:a.b.c.d), written for people."""

from __future__ import annotations

from ipaddress import ip_address


def address_text(address: bytes) -> str:
    """Return an address of 16 bytes as people write it."""
    whole = ip_address(address)
    return str(getattr(whole, "ipv4_mapped", None) or whole)
