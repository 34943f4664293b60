"""The key of the Toeplitz hash, and what NICs do to its input first."""

from typing import Final

from replay.errors import PolicyError

#: The key of the published test vectors. Linux drivers fill in a random one instead: read the
#: host's with ethtool -x.
VERIFICATION_KEY: Final = bytes.fromhex(
    "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa"
)

#: The longest input: two IPv6 addresses and two ports.
INPUT_BYTES: Final = 36
#: A key must hold 32 bits more than the input.
KEY_BYTES: Final = INPUT_BYTES + 4
#: Bytes of the longest key a kernel hands to a driver (netdev_rss_key).
MAX_KEY_BYTES: Final = 256

#: A key of equal 16-bit words: it gives both directions of a connection the same hash, as source
#: and destination lie a multiple of 16 bits apart.
SYMMETRIC_KEY: Final = bytes.fromhex("6d5a") * (KEY_BYTES // 2)

_NAMES: Final = {"microsoft": VERIFICATION_KEY, "symmetric": SYMMETRIC_KEY}

#: What is made of the input first, as ethtool -X xfrm names it (RXH_XFRM_SYM_XOR and
#: RXH_XFRM_SYM_OR_XOR): source and destination both become their XOR, or their OR and their XOR.
TRANSFORMS: Final = ("none", "symmetric-xor", "symmetric-or-xor")


def parse_key(text: str) -> bytes:
    """Return the key that `text` names: hexadecimal as ethtool -x prints it, or a name of ours.

    `microsoft` is that of the published vectors, `symmetric` the one that repeats 6d5a. Raises
    PolicyError.
    """
    words = text.strip().lower()
    try:
        key = _NAMES.get(words) or bytes.fromhex(words.replace(":", ""))
    except ValueError:
        raise PolicyError(
            f"RSS key {text!r} is neither hexadecimal, as ethtool -x prints it, nor one of"
            f" {', '.join(_NAMES)}"
        ) from None
    check_key(key)
    return key


def check_key(key: bytes) -> None:
    """Raise PolicyError where `key` is too short or too long."""
    if not KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        raise PolicyError(
            f"RSS key of {len(key)} bytes is outside {KEY_BYTES} to {MAX_KEY_BYTES} bytes"
        )


def check_transform(transform: str) -> None:
    """Raise PolicyError where there is no such transformation."""
    if transform not in TRANSFORMS:
        raise PolicyError(f"RSS transform {transform!r} is none of {', '.join(TRANSFORMS)}")
