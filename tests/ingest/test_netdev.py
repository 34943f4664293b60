"""Answers of netdev-genl: Python's notation and JSON, NAPI instances and their queues."""

from __future__ import annotations

import pytest

from replay.errors import TraceError
from replay.ingest.netdev import document_of, is_netdev, read_netdev

PRINTED = """\
[{'defer-hard-irqs': 100,
  'gro-flush-timeout': 20000,
  'id': 8194,
  'ifindex': 2,
  'irq': 43,
  'irq-suspend-timeout': 20000000,
  'threaded': 'disabled'},
 {'defer-hard-irqs': 0, 'gro-flush-timeout': 0, 'id': 8193, 'ifindex': 2, 'irq': 42}]
"""
OLD = "[{'id': 145, 'ifindex': 2, 'irq': 50}]\n"
QUEUES = """\
[{'id': 0, 'ifindex': 2, 'napi-id': 8193, 'type': 'rx'},
 {'id': 0, 'ifindex': 2, 'napi-id': 8194, 'type': 'tx'},
 {'id': 1, 'ifindex': 2, 'type': 'rx'}]
"""


def test_napi_instances_as_printed_and_as_json() -> None:
    (found,) = read_netdev("n", document_of(PRINTED))
    assert found.napis == [
        {
            "id": 8194,
            "irq": 43,
            "defer-hard-irqs": 100,
            "gro-flush-timeout": 20_000,
            "irq-suspend-timeout": 20_000_000,
            "threaded": False,
        },
        {"id": 8193, "irq": 42, "defer-hard-irqs": 0, "gro-flush-timeout": 0},
    ]
    json = PRINTED.replace("'", '"')
    assert read_netdev("n", document_of(json))[0].napis == found.napis
    (old,) = read_netdev("n", document_of(OLD))
    assert old.napis == [{"id": 145, "irq": 50}]
    alone = "{'defer-hard-irqs': 0, 'id': 66, 'ifindex': 2, 'pid': 258, 'threaded': 'busy-poll'}"
    assert read_netdev("n", document_of(alone))[0].napis[0]["threaded"] is True


def test_queues_name_their_napi_instances() -> None:
    (found,) = read_netdev("n", document_of(QUEUES))
    assert found.links == [
        {"queue": 0, "type": "rx", "napi": 8193},
        {"queue": 0, "type": "tx", "napi": 8194},
        {"queue": 1, "type": "rx"},
    ]


@pytest.mark.parametrize("text", ["", "x", "[", "{'a'", "[" * 5_000, "[f()]", "[]", "{}", "[1]"])
def test_other_documents_are_none(text: str) -> None:
    document = document_of(text)
    assert document is None or not is_netdev(document)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PRINTED.replace("100", "'many'"), "defer-hard-irqs = 'many' is no number"),
        (PRINTED.replace("100", "-1"), "defer-hard-irqs = -1 is no number"),
        (PRINTED.replace("'ifindex': 2, 'irq': 42", "'ifindex': 3, 'irq': 42"), "2 devices"),
        (PRINTED.replace("'disabled'", "'maybe'"), "threaded = 'maybe' is not known"),
        (PRINTED.replace("'disabled'", "[1]"), r"threaded = \[1\] is not known"),
    ],
)
def test_what_is_damaged_is_refused_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(TraceError, match=reason) as caught:
        read_netdev("n", document_of(text))
    assert "\n" not in str(caught.value)
