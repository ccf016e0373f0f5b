"""The webhook's reading of bodies: whatever comes, it is an item or one of two errors."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from common import config
from common.client_state import ClientStates
from common.messages import LifecycleEvent, Stream, decode_lifecycle, decode_request
from tests.support.notifications import SECRET_KEY, TENANT, guid
from tests.support.recording_publisher import RecordingPublisher
from webhook import payload
from webhook.metrics import Metrics
from webhook.payload import Change, ItemRefusedError, Lifecycle, PayloadError
from webhook.reception import Reception

STATES = ClientStates.from_settings(config.load({"ENTRA_SMS_SECRET_KEY": SECRET_KEY}))

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | texts
jsons = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4))
ids = st.sampled_from([guid(), guid().upper(), "me", "", "00000000-0000-0000-0000-00000000000g"]) | jsons
resources = st.builds(lambda kind, name: f"{kind}/{name}", st.sampled_from(["Users", "/groups", "x", ""]), ids) | jsons
states = st.sampled_from([STATES.make(TENANT, stream) for stream in Stream] + ["", "a.b", "."]) | jsons
items = st.fixed_dictionaries(
    {},
    optional={
        "tenantId": st.just(TENANT) | ids,
        "clientState": states,
        "resource": resources,
        "resourceData": st.fixed_dictionaries({}, optional={"id": ids}) | jsons,
        "lifecycleEvent": st.sampled_from([*LifecycleEvent, "new"]) | jsons,
        "subscriptionId": ids,
        "changeType": jsons,
        "sequenceNumber": jsons,
    },
)


@given(st.binary(max_size=200) | jsons.map(orjson.dumps))
def test_a_body_is_a_list_of_items_or_a_payload_error(body: bytes) -> None:
    try:
        collection = payload.read_collection(body)
    except PayloadError:
        return
    assert isinstance(collection, list)


@given(items | jsons)
def test_an_item_is_typed_or_refused(item: object) -> None:
    try:
        read = payload.read_item(item)
    except ItemRefusedError:
        return
    assert isinstance(read, Change | Lifecycle)
    assert all(isinstance(value, str) for value in read)


@given(st.lists(items | jsons, max_size=6))
def test_every_item_is_counted_once_and_every_message_can_be_read(collection: list[object]) -> None:
    publisher, metrics = RecordingPublisher(), Metrics()
    group = Reception(STATES, publisher, metrics).take(orjson.dumps({"value": collection}))
    if group is not None:
        group.wait()
    counted = [sample for family in metrics.items.collect() for sample in family.samples]
    assert sum(sample.value for sample in counted if sample.name.endswith("_total")) == len(collection)
    for message in publisher.sent:
        decode = decode_request if message.type == "sync_request" else decode_lifecycle
        assert decode(message.body).tenant_id == TENANT
