"""Acknowledgements that the bench's client sends by themselves, without a request to carry them.

Whether it does depends on how requests of one connection overlap, and so on the policy: where
answers are late, several come between two requests, and every second one is acknowledged at once;
each costs the server a packet, which makes answers later.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from replay.units import NEVER

Int64s = npt.NDArray[np.int64]

#: How long an acknowledgement is kept back (TCP_DELACK_MIN, 1/25 s), ns.
DELAYED_NS = 40_000_000


def acknowledgements(connection: Int64s, sent: Int64s, received: Int64s) -> Int64s:
    """Return when acknowledgements leave, ns, ascending; shape (acknowledgements,).

    `connection` of each request, when it was `sent`, and when its answer was `received` (-1: not).
    A request carries what is to be acknowledged. Else the second small answer that waits has it
    sent as soon as it is read (tcp_measure_rcv_mss and tcp_cleanup_rbuf), and a first one after
    DELAYED_NS (tcp_send_delayed_ack).
    """
    answered = received >= 0
    of = np.concatenate([connection, connection[answered]])
    time = np.concatenate([sent, received[answered]])
    answer = np.arange(len(of)) >= len(sent)
    order = np.lexsort((answer, time, of))
    of, time, answer = of[order], time[order], answer[order]
    place = np.arange(len(of))
    # how many answers came since the connection's last request or pause, this one included
    begins = ~answer | np.append(True, (of[1:] != of[:-1]) | (time[1:] - time[:-1] > DELAYED_NS))
    since = place - np.maximum.accumulate(np.where(begins, place, 0))
    since += answer[place - since]
    follows = np.append(np.where(of[1:] == of[:-1], time[1:], NEVER), NEVER)[: len(of)]
    second = answer & (since % 2 == 0)
    late = answer & (since % 2 == 1) & (follows - time > DELAYED_NS)
    return np.sort(np.concatenate([time[second], time[late] + DELAYED_NS]))
