"""An HDR histogram: three significant digits from 1 ns to 39 hours, merged by addition.

Values below 2048 have a bucket each; above, each doubling is cut into 1024 buckets. The layout is
that of HdrHistogram with 3 digits (hdrhistogram.org).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SUB_BITS = 11  # 2048 buckets in the first stretch: three decimal digits
MAX_BITS = 47  # values from 2^47 ns on are counted in the last bucket
BUCKETS = (1 << SUB_BITS) + (MAX_BITS - SUB_BITS) * (1 << (SUB_BITS - 1))


def bucket_bounds(index: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], ...]:
    """Return the lowest and the highest value of each bucket."""
    half = 1 << (SUB_BITS - 1)
    shift = np.maximum(index // half - 1, 0)
    low = (index - shift * half) << shift
    return low, low + (np.int64(1) << shift) - 1


def bucket_of(value: int) -> int:
    """Return the bucket of one value, 0 ns or more."""
    clipped = min(value, (1 << MAX_BITS) - 1)
    shift = max(clipped.bit_length() - SUB_BITS, 0)
    return (shift << (SUB_BITS - 1)) + (clipped >> shift)


@dataclass(frozen=True)
class Histogram:
    """Counts a bucket, with the exact sum, lowest and highest value."""

    counts: npt.NDArray[np.int64]  # shape (BUCKETS,)
    total: int  # sum of all values
    low: int
    high: int

    @classmethod
    def of(cls, values: npt.NDArray[np.int64]) -> Histogram:
        """Return the histogram of `values`, int64 >= 0."""
        if not len(values):
            return cls(np.zeros(BUCKETS, np.int64), 0, 0, 0)
        clipped = np.minimum(values, (1 << MAX_BITS) - 1)
        bits = np.frexp(clipped.astype(np.float64))[1].astype(np.int64)  # exact below 2^53
        shift = np.maximum(bits - SUB_BITS, 0)
        index = shift * (1 << (SUB_BITS - 1)) + (clipped >> shift)
        counts = np.bincount(index, minlength=BUCKETS).astype(np.int64)
        return cls(counts, int(values.sum()), int(values.min()), int(values.max()))

    @property
    def count(self) -> int:
        """Number of values."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float | None:
        """Mean of the values, exact; None where there is none."""
        return self.total / self.count if self.count else None

    def quantile(self, q: float) -> float | None:
        """Return the value below which the share `q` (0 to 1) of the values lies.

        Within 0.1 %: the middle of its bucket, never beyond the highest value seen. None where
        there is no value.
        """
        count = self.count
        if not count:
            return None
        rank = max(1, int(np.ceil(q * count)))
        index = np.searchsorted(np.cumsum(self.counts), rank)
        low, high = bucket_bounds(np.asarray(index, np.int64))
        return float(min(max((int(low) + int(high)) / 2, self.low), self.high))

    def __add__(self, other: Histogram) -> Histogram:
        if not other.count:
            return self
        if not self.count:
            return other
        return Histogram(
            self.counts + other.counts,
            self.total + other.total,
            min(self.low, other.low),
            max(self.high, other.high),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        same = (self.total, self.low, self.high) == (other.total, other.low, other.high)
        return same and bool(np.array_equal(self.counts, other.counts))

    __hash__ = None  # type: ignore[assignment]
