"""Service times drawn from a distribution, in place of the recorded ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import log1p, sqrt

import numpy as np
import numpy.typing as npt

from replay.arrivals import Int64s, Offered
from replay.errors import PolicyError, nearest
from replay.mapped import chunks, zeros
from replay.units import SECOND, duration_text, parse_duration

#: One request's service time, ns, at most; of a mean, too.
LONGEST_NS = SECOND
#: Every run draws the same times, so that policies are compared on the same requests.
SEED = 20_260_101

Floats = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int, float], Floats]  # count values of mean 1

#: Of a shape parameter: its name, least and most.
_CV = ("cv", 0.01, 100.0)  # standard deviation over mean
_SHAPE = ("shape", 1.05, 100.0)  # the tail's exponent; from 1 down there is no mean


def _constant(_: np.random.Generator, count: int, __: float) -> Floats:
    return np.ones(count)


def _exponential(random: np.random.Generator, count: int, _: float) -> Floats:
    return random.standard_exponential(count)


def _lognormal(random: np.random.Generator, count: int, cv: float) -> Floats:
    variance = log1p(cv * cv)
    drawn: Floats = np.exp(sqrt(variance) * random.standard_normal(count) - variance / 2)
    return drawn


def _pareto(random: np.random.Generator, count: int, shape: float) -> Floats:
    """By inversion, from (shape - 1) / shape on: -ln U is exponential."""
    drawn: Floats = (1 - 1 / shape) * np.exp(random.standard_exponential(count) / shape)
    return drawn


#: Each distribution's way to draw, and the parameter that it needs besides the mean.
DISTRIBUTIONS: dict[str, tuple[Draw, tuple[str, float, float] | None]] = {
    "constant": (_constant, None),
    "exponential": (_exponential, None),
    "lognormal": (_lognormal, _CV),
    "pareto": (_pareto, _SHAPE),
}
FORMS = "constant:MEAN, exponential:MEAN, lognormal:MEAN,cv=X, pareto:MEAN,shape=X"


@dataclass(frozen=True)
class ServiceTimes:
    """A distribution of service times; `parameter` is cv or shape, 0 where it has none."""

    distribution: str
    mean_ns: int
    parameter: float = 0.0

    def __str__(self) -> str:
        """The text that `parse_service` reads."""
        needs = DISTRIBUTIONS[self.distribution][1]
        more = f",{needs[0]}={self.parameter:g}" if needs else ""
        return f"{self.distribution}:{duration_text(self.mean_ns)}{more}"

    def draw(self, random: np.random.Generator, count: int) -> Int64s:
        """Return `count` service times, ns, of at most LONGEST_NS each."""
        times = DISTRIBUTIONS[self.distribution][0](random, count, self.parameter) * self.mean_ns
        return np.minimum(np.rint(times), LONGEST_NS).astype(np.int64)


def parse_service(text: str) -> ServiceTimes:
    """Return the distribution that `text` names, see FORMS. Raises PolicyError."""
    name, _, rest = text.partition(":")
    if name not in DISTRIBUTIONS:
        raise PolicyError(
            f"service {text!r}: no distribution {name!r}{nearest(name, list(DISTRIBUTIONS))}"
            f" ({FORMS}; without --service, as recorded)"
        )
    mean, *settings = rest.split(",")
    try:
        mean_ns = parse_duration(mean)
    except PolicyError as error:
        raise PolicyError(f"service {text!r}: mean {error}") from None
    if not 0 <= mean_ns <= LONGEST_NS:
        raise PolicyError(
            f"service {text!r}: mean {mean} is outside 0 to {duration_text(LONGEST_NS)}"
        )
    needs = DISTRIBUTIONS[name][1]
    return ServiceTimes(name, mean_ns, _parameter(text, needs, settings))


def _parameter(text: str, needs: tuple[str, float, float] | None, settings: list[str]) -> float:
    """Read the one setting that a distribution needs besides its mean; 0 where it needs none."""
    if needs is None:
        if settings:
            raise PolicyError(f"service {text!r}: {','.join(settings)!r} is too much ({FORMS})")
        return 0.0
    key, low, high = needs
    wanted = f"service {text!r}: {key}=X is expected after the mean, X from {low:g} to {high:g}"
    given = [setting.partition("=") for setting in settings]
    if [name.strip() for name, _, _ in given] != [key]:
        raise PolicyError(wanted)
    try:
        value = float(given[0][2])
    except ValueError:
        raise PolicyError(wanted) from None
    if not low <= value <= high:
        raise PolicyError(wanted)
    return value


def with_service(offer: Offered, times: ServiceTimes) -> Offered:
    """Return `offer` with every request's service time drawn; the same ones at each call."""
    random = np.random.default_rng(SEED)
    recorded = offer.workload.service_ns
    drawn = zeros(len(recorded))
    for part in chunks(len(recorded)):
        request = recorded[part] >= 0
        drawn[part] = -1
        drawn[part][request] = times.draw(random, int(np.count_nonzero(request)))
    return replace(offer, workload=replace(offer.workload, service_ns=drawn))
