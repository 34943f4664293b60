"""The settings of one NAPI, read and written by generic netlink."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pyroute2.netlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, genlmsg
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.generic import GenericNetlinkSocket

from replay.lab.network import inside
from replay.policy import Policy

NAPI_GET, NAPI_SET = 11, 14  # commands of the family "netdev"


class _NapiMessage(genlmsg):  # type: ignore[misc]  # pyroute2 is untyped
    """netdev's napi attributes, by number as in linux/netdev.h."""

    prefix = "NAPI_"
    nla_map = (
        ("NAPI_UNSPEC", "none"),
        ("NAPI_IFINDEX", "uint32"),
        ("NAPI_ID", "uint32"),
        ("NAPI_IRQ", "uint32"),
        ("NAPI_PID", "uint32"),
        ("NAPI_DEFER_HARD_IRQS", "uint32"),
        ("NAPI_GRO_FLUSH_TIMEOUT", "cdata"),
        ("NAPI_IRQ_SUSPEND_TIMEOUT", "cdata"),
        ("NAPI_THREADED", "uint32"),
    )


@dataclass(frozen=True)
class Napi:
    """One NAPI as the kernel describes it; irq_suspend_timeout_ns is None before Linux 6.13."""

    identity: int
    thread: int | None
    threaded: int | None
    defer_hard_irqs: int | None
    gro_flush_timeout_ns: int | None
    irq_suspend_timeout_ns: int | None


def read(namespace: int, interface: int) -> list[Napi]:
    """Every NAPI of the device with that interface index."""
    question = _NapiMessage()
    question["attrs"] = [("NAPI_IFINDEX", interface)]
    answers = _ask(namespace, question, NAPI_GET, NLM_F_REQUEST | NLM_F_DUMP)
    return [
        Napi(
            identity=answer.get_attr("NAPI_ID"),
            thread=answer.get_attr("NAPI_PID"),
            threaded=answer.get_attr("NAPI_THREADED"),
            defer_hard_irqs=answer.get_attr("NAPI_DEFER_HARD_IRQS"),
            gro_flush_timeout_ns=_number(answer.get_attr("NAPI_GRO_FLUSH_TIMEOUT")),
            irq_suspend_timeout_ns=_number(answer.get_attr("NAPI_IRQ_SUSPEND_TIMEOUT")),
        )
        for answer in answers
    ]


def apply(namespace: int, identity: int, policy: Policy) -> None:
    """Give one NAPI the policy's deferral and suspension."""
    order = _NapiMessage()
    order["attrs"] = [
        ("NAPI_ID", identity),
        ("NAPI_DEFER_HARD_IRQS", policy.defer_hard_irqs),
        ("NAPI_GRO_FLUSH_TIMEOUT", struct.pack("=I", policy.gro_flush_timeout_ns)),
        ("NAPI_IRQ_SUSPEND_TIMEOUT", struct.pack("=I", policy.irq_suspend_timeout_ns)),
    ]
    _ask(namespace, order, NAPI_SET, NLM_F_REQUEST | NLM_F_ACK)


def _ask(namespace: int, message: _NapiMessage, command: int, flags: int) -> list[_NapiMessage]:
    message["cmd"], message["version"] = command, 1
    try:
        with inside(namespace), GenericNetlinkSocket() as netlink:
            netlink.bind("netdev", _NapiMessage)
            return list(netlink.nlm_request(message, msg_type=netlink.prid, msg_flags=flags))
    except NetlinkError as error:
        raise OSError(f"the netlink family netdev refused: {error}") from error


def _number(value: bytes | None) -> int | None:
    # The kernel writes these as 4 bytes where they fit and as 8 where they do not.
    return None if value is None else int.from_bytes(value, "little")
