"""The key of the Toeplitz hash: how long it must be, and the one of the published vectors."""

from typing import Final

#: The key of the published test vectors. Linux drivers fill in a random one instead: read the
#: host's with ethtool -x.
VERIFICATION_KEY: Final = bytes.fromhex(
    "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa"
)

#: The longest input: two IPv6 addresses and two ports.
INPUT_BYTES: Final = 36
#: A key must hold 32 bits more than the input.
KEY_BYTES: Final = INPUT_BYTES + 4
