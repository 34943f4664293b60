"""What headers say, in the numbers they say it with: link types, ether types, protocols, marks.

The functions that read headers (link_headers, network_headers, ip_headers, transport_headers,
tunnels) take the bytes, where a header starts and where the captured bytes end, read nothing
beyond that, and say SHORT where a header does not fit.
"""

from __future__ import annotations

from replay.trace.schema import PacketStatus

OK, MALFORMED = int(PacketStatus.OK), int(PacketStatus.MALFORMED)
SHORT = -1

#: Link types (the numbers that capture files hold).
NULL, ETHERNET, PPP, PPP_SERIAL, PPP_ETHER, RAW, CISCO_HDLC, LOOP = 0, 1, 9, 50, 51, 101, 104, 108
SLL, IPV4, IPV6, SLL2 = 113, 228, 229, 276
RAW_ALSO = (12, 14)  # what some BSDs write for RAW

#: Ether types.
TYPE_UNKNOWN, TYPE_IPV4, TYPE_IPV6 = 0, 0x0800, 0x86DD
TYPE_MPLS, TYPE_MPLS_MULTICAST, TYPE_PPPOE = 0x8847, 0x8848, 0x8864
TYPES_VLAN = (0x8100, 0x88A8, 0x9100)

#: IP protocols.
IPV4_INSIDE, TCP, UDP, DCCP, IPV6_INSIDE, GRE = 4, 6, 17, 33, 41, 47
AUTHENTICATION, ETHERIP, SCTP, UDP_LITE, MPLS_INSIDE, ETHERNET_INSIDE = 51, 97, 132, 136, 137, 143

#: What a packet says about itself: TCP's own bits, and ours above them.
FIN, SYN, RST, END_OF_MESSAGE, ACK = 1, 2, 4, 8, 16  # PSH ends a message; so does every datagram
TRANSPORT, REPEATED, OUTGOING = 32, 64, 128  # TCP or UDP; seen before; sent by the capturing host
