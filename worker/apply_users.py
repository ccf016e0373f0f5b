"""From what a page says of users to contacts: only rows that differ are written and reported as changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import and_, delete

from common.db.bulk import find_rows, insert_rows, put_rows
from common.db.engine import batches
from common.db.scan import rows_of
from common.db.tables import contacts, rechecks
from common.messages import Reason, Stream
from common.phones import read_phone
from common.scope import PROPERTIES
from worker.book import Writer
from worker.mapping import USER_COLUMNS, Item
from worker.reach import reached_among
from worker.removal_guard import held_among, hold_back, hold_back_unseen, let_go

EMPTY: dict[str, Any] = {**dict.fromkeys(USER_COLUMNS), "business_phones": []}
PHONE_INPUTS = ("mobile_phone", "business_phones", "usage_location")
KEPT_PROPERTIES = {"userType": "user_type", "accountEnabled": "account_enabled"}
"""Those of the properties that a scope can name of which contacts have a column."""
COMPARED = (*USER_COLUMNS, "phone", "phone_source", "phone_state")


def apply_users(writer: Writer, items: Sequence[Item]) -> None:
    """Make the contacts say what `items` say.

    Who is not in the tenant's scope is not stored, and erased if he was. A removed user is erased, unless the removal
    guard keeps him for now; the edges to him stay (ids only) for the case that he is restored. A restored user comes
    back with them, and the groups concerned are noted to be read, since Graph reports nothing there. Whom one page
    removes and brings back is a new contact if it tells him whole; if only a part, he stays and is read himself.
    """
    held = _held(writer, [item.object_id for item in items])
    belongs = _belonging(writer, items)
    leaving = [item.object_id for item in items if item.removed]
    outside = [object_id for object_id in belongs if belongs[object_id] is False]
    let_go(writer, Stream.USERS, [object_id for object_id in belongs if belongs[object_id] is not False])
    kept = _held_back(writer, leaving, outside, held)
    gone = [object_id for object_id in leaving if object_id not in kept]
    returned = {item.object_id for item in items if item.returned}
    anew = [item.object_id for item in items if item.returned and item.whole and belongs[item.object_id]]
    writer.recheck_groups_of(returned.intersection(held).difference(anew))
    _remove(writer, [*gone, *anew], held)
    why = Reason.RESCOPED if writer.rescoping else Reason.OUT_OF_SCOPE
    _remove(writer, [object_id for object_id in outside if object_id not in kept], held, why)
    new: list[dict[str, Any]] = []
    differing: list[dict[str, Any]] = []
    doubtful: list[str] = []
    for item in items:
        if item.removed or belongs[item.object_id] is False:
            continue
        old = held.get(item.object_id)
        is_doubted = belongs[item.object_id] is None
        if item.malformed or (old is None and (is_doubted or not item.whole)):
            doubtful.append(item.object_id)  # a part of somebody unknown is no contact
            continue
        row = _row(writer, item, old)
        if old is None:
            new.append(row)
        elif any(old[column] != row[column] for column in COMPARED):
            differing.append(row)
        if old is not None and (is_doubted or _keeps_silently(writer, item, old)):
            doubtful.append(item.object_id)
    _add(writer, new)
    _change(writer, differing, held)
    changed = {row["object_id"] for row in differing}
    _mark_seen(writer, [old for object_id, old in held.items() if object_id not in changed])
    writer.recheck(Stream.USERS, "object", doubtful)
    writer.counts.objects += len(items)


def leave_scope(writer: Writer, object_ids: Sequence[str]) -> None:
    """Erase who is in the book and no longer in the scope, unless there are too many for that."""
    kept = hold_back(writer, Stream.USERS, object_ids)
    gone = [object_id for object_id in object_ids if object_id not in kept]
    _remove(writer, gone, {object_id: {} for object_id in gone}, Reason.OUT_OF_SCOPE)


def sweep_users(writer: Writer) -> None:
    """Erase the contacts that neither the full round that just ended nor an incremental one saw since it began."""
    mine = rows_of(writer.connection, contacts, writer.tenant_id)
    unseen = and_(mine, contacts.c.generation < writer.generation)
    gone = hold_back_unseen(writer, Stream.USERS, unseen)
    writer.remove_rows("contact.removed", contacts, gone, [contacts.c.object_id])


def _belonging(writer: Writer, items: Sequence[Item]) -> dict[str, bool | None]:
    """Return of each who is there whether he is in the scope; None: only he himself can tell."""
    there = [item for item in items if not item.removed]
    if writer.scope.is_everybody:
        return dict.fromkeys((item.object_id for item in there), True)
    reached = reached_among(writer, [item.object_id for item in there])
    return {
        item.object_id: writer.scope.admits(_said(writer, item), is_reached=item.object_id in reached) for item in there
    }


def _said(writer: Writer, item: Item) -> dict[str, Any]:
    """Return what is known of the properties that a scope can name."""
    said = dict.fromkeys(PROPERTIES) if writer.full and item.whole else {}
    kept = {name: item.values[column] for name, column in KEPT_PROPERTIES.items() if column in item.values}
    return {**said, **item.attributes, **kept}


def _held_back(writer: Writer, leaving: list[str], outside: list[str], held: Mapping[str, Any]) -> set[str]:
    """Return who stays for now though he left the directory or the scope: as many as that need an operator's word."""
    if writer.rescoping:  # who is outside now was shown to the operator who changed the scope
        agreed, asked = [object_id for object_id in outside if object_id in held], leaving
        return hold_back(writer, Stream.USERS, [one for one in asked if one in held]) | (
            held_among(writer, Stream.USERS, agreed) if writer.hold_id is not None else set()
        )
    return hold_back(writer, Stream.USERS, [object_id for object_id in (*leaving, *outside) if object_id in held])


def _held(writer: Writer, object_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    keys = [{"object_id": object_id} for object_id in object_ids]
    found = find_rows(writer.connection, contacts, keys, tenant_id=writer.tenant_id)
    return {row["object_id"]: row for row in found}


def _row(writer: Writer, item: Item, old: dict[str, Any] | None) -> dict[str, Any]:
    """Return the row as it should be: what was said, over what was held where silence means no change."""
    silence_means_empty = writer.full and item.whole
    base = EMPTY if old is None or silence_means_empty else {column: old[column] for column in USER_COLUMNS}
    row = {**base, **item.values}
    # A full round reads every number anew: so that it also mends rows that were edited by hand.
    if old is None or writer.full or any(old[column] != row[column] for column in PHONE_INPUTS):
        region = row["usage_location"] or writer.default_region
        phone = read_phone(row["mobile_phone"], row["business_phones"], region=region)
        row |= {"phone": phone.number, "phone_source": phone.source, "phone_state": phone.state}
    else:
        row |= {column: old[column] for column in ("phone", "phone_source", "phone_state")}
    return row | {"tenant_id": writer.tenant_id, "object_id": item.object_id, "generation": writer.generation}


def _keeps_silently(writer: Writer, item: Item, old: dict[str, Any]) -> bool:
    """Whether a value is kept of which the entry says nothing, so that only the object itself can tell."""
    if writer.full and item.whole:
        return False
    return any(column not in item.values and old[column] not in (None, []) for column in USER_COLUMNS)


def _add(writer: Writer, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    insert_rows(writer.connection, contacts, rows)
    ids = [row["object_id"] for row in rows]
    writer.record("contact.added", [{"object_id": object_id} for object_id in ids])
    writer.counts.added += len(rows)
    writer.recheck_groups_of(writer.removed_before("contact.removed", ids))


def _change(writer: Writer, rows: list[dict[str, Any]], held: dict[str, dict[str, Any]]) -> None:
    put_rows(writer.connection, contacts, rows)
    writer.record("contact.changed", [_difference(row, held[row["object_id"]]) for row in rows])
    writer.counts.changed += len(rows)


def _difference(row: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    fields = [column for column in COMPARED if row[column] != old[column]]
    return {"object_id": row["object_id"], "fields": fields}


def _remove(
    writer: Writer, object_ids: list[str], held: dict[str, dict[str, Any]], reason: Reason | None = None
) -> None:
    known = [object_id for object_id in object_ids if held.pop(object_id, None) is not None]
    for batch in batches(object_ids):
        mine = and_(rechecks.c.tenant_id == writer.tenant_id, rechecks.c.stream == Stream.USERS)
        writer.connection.execute(delete(rechecks).where(mine, rechecks.c.object_id.in_(batch)))
    for batch in batches(known):
        mine = contacts.c.tenant_id == writer.tenant_id
        writer.connection.execute(delete(contacts).where(mine, contacts.c.object_id.in_(batch)))
    writer.record("contact.removed", [{"object_id": object_id} for object_id in known], reason)
    writer.counts.removed += len(known)


def _mark_seen(writer: Writer, held: Iterable[dict[str, Any]]) -> None:
    rows = [{**old, "generation": writer.generation} for old in held if old["generation"] != writer.generation]
    put_rows(writer.connection, contacts, rows)
