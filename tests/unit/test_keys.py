"""The idempotency key: exactly uuid5, since a key that money knows must be made again years later by any program."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from bulkpoint.rules.keys import idempotency_key


@given(st.uuids(), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_key_is_the_version_5_uuid_of_the_member(namespace: uuid.UUID, member_id: str) -> None:
    key = idempotency_key(namespace, member_id)
    assert key == uuid.uuid5(namespace, member_id)
    assert key.version == 5
    assert key.variant == uuid.RFC_4122


def test_members_that_look_alike_have_different_keys() -> None:
    namespace = uuid.UUID(int=1)
    members = ["A1", "a1", "A1 ", "\u00e9", "e\u0301", "1", "01"]
    assert len({idempotency_key(namespace, member) for member in members}) == len(members)
