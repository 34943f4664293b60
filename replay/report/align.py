"""Lines of words in aligned columns."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(lines: Sequence[Sequence[str]], left: Sequence[bool]) -> str:
    """Return `lines` with every column as wide as its longest word; `left` says where it stands."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(left))]
    text = []
    for line in lines:
        words = [
            word.ljust(width) if at_left else word.rjust(width)
            for word, width, at_left in zip(line, widths, left, strict=True)
        ]
        text.append("  ".join(words).rstrip() + "\n")
    return "".join(text)
