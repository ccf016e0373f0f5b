"""From what a page says of groups to groups and memberships.

Memberships are edges between ids: direct members of every type, also of people who are not known (yet). Who is visible
through them, and through nested groups, is decided when reading.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import and_, bindparam, delete, exists, or_, select, update

from common.db.bulk import find_rows, insert_rows, put_rows
from common.db.engine import batches
from common.db.scan import rows_of
from common.db.tables import changes, groups, memberships, rechecks, streams
from common.db.visible import USER, is_visible
from common.messages import Stream
from worker.book import RECYCLE_BIN_DAYS, SCOPED_OUT, Writer
from worker.mapping import GROUP_COLUMNS, Edge, Item
from worker.removal_guard import hold_back, hold_back_unseen, is_held, let_go


def apply_groups(writer: Writer, items: Sequence[Item]) -> None:
    """Make groups and memberships say what `items` say.

    A removed group goes with its edges, unless the removal guard keeps it for now. The members of a group that appears
    (again) are noted to be read, since Graph may not list all of them for a restored one.
    """
    held = _held(writer, [item.object_id for item in items])
    leaving = [item.object_id for item in items if item.removed]
    kept = hold_back(writer, Stream.GROUPS, [object_id for object_id in leaving if object_id in held])
    let_go(writer, Stream.GROUPS, [item.object_id for item in items if not item.removed])
    gone = [object_id for object_id in leaving if object_id not in kept]
    _remove(writer, [*gone, *(item.object_id for item in items if item.returned)], held)
    present = [item for item in items if not item.removed]
    doubtful = [item.object_id for item in present if item.object_id not in held and not item.whole]
    present = [item for item in present if item.object_id in held or item.whole]
    empty = _add(writer, [item for item in present if item.object_id not in held])
    _change(writer, [item for item in present if item.object_id in held], held)
    doubtful += [item.object_id for item in present if item.object_id in held and _keeps_silently(writer, item, held)]
    _keep_edges(writer, [item.object_id for item in items if item.malformed])
    apply_edges(writer, {item.object_id: item.edges.values() for item in items if not item.removed}, empty)
    writer.recheck(Stream.GROUPS, "object", doubtful)
    writer.counts.objects += len(items)


def apply_edges(
    writer: Writer, edges_by_group: dict[str, Iterable[Edge]], empty: Collection[str] = frozenset()
) -> None:
    """Add and remove memberships; those that are there already are marked as seen, with their type.

    Of the groups `empty` it is known that the book has no memberships: none are looked for.
    """
    said = {(group_id, edge.member_id): edge for group_id, edges in edges_by_group.items() for edge in edges}
    held = _held_edges(writer, [key for key in said if key[0] not in empty])
    gone = [key for key, edge in said.items() if edge.removed and key in held]
    new = [key for key, edge in said.items() if not edge.removed and key not in held]
    there = [key for key, edge in said.items() if not edge.removed and key in held]
    retyped = [key for key in there if held[key][1] != said[key].member_type]
    stale = [key for key in there if held[key] != (writer.generation, said[key].member_type)]
    remove_edges(writer, gone)
    same = {"tenant_id": writer.tenant_id, "generation": writer.generation}
    insert_rows(writer.connection, memberships, [_edge_row(said[key], key) for key in new], **same)
    writer.record("membership.added", [_edge_entry(key) for key in new])
    writer.counts.added += len(new)
    put_rows(writer.connection, memberships, [_edge_row(said[key], key) for key in stale], **same)
    _tell_types(writer, retyped)


def _tell_types(writer: Writer, keys: list[tuple[str, str]]) -> None:
    """Tell memberships anew of which the member's type was not known: whether they show depends on it."""
    for kind in ("membership.removed", "membership.added"):
        writer.record(kind, [_edge_entry(key) for key in keys])


def _keep_edges(writer: Writer, group_ids: list[str]) -> None:
    """Mark all members of these groups as seen, and note them to be read: the page cannot tell who they are."""
    for batch in batches(group_ids):
        mine = and_(memberships.c.tenant_id == writer.tenant_id, memberships.c.group_id.in_(batch))
        writer.connection.execute(update(memberships).where(mine).values(generation=writer.generation))
    writer.recheck(Stream.GROUPS, "members", group_ids)


def remove_edges(writer: Writer, keys: Sequence[tuple[str, str]]) -> None:
    """Remove memberships, given as (group id, member id)."""
    if not keys:
        return
    writer.connection.execute(delete(memberships).where(*_edge_key(writer)), [_edge_values(key) for key in keys])
    writer.record("membership.removed", [_edge_entry(key) for key in keys])
    writer.counts.removed += len(keys)


def sweep_groups(writer: Writer) -> None:
    """Remove groups and memberships that no round saw since the full one that just ended began.

    Edges to people and groups that left within the time in which they can be restored are spared: Graph lists them no
    longer, and says nothing when they come back. The same holds for those whose removal waits for a decision, and for
    everybody who is unknown before the people have been read in full: he may be in the directory, or come back to it.
    """
    mine = rows_of(writer.connection, groups, writer.tenant_id)
    unseen = and_(mine, groups.c.generation < writer.generation)
    gone = hold_back_unseen(writer, Stream.GROUPS, unseen)
    remove_groups(writer, list(writer.connection.scalars(select(groups.c.object_id).where(gone))))
    _sweep_edges(writer)


def remove_groups(writer: Writer, object_ids: list[str]) -> None:
    """Remove groups that are in the book, with their edges."""
    _remove(writer, object_ids, {object_id: {} for object_id in object_ids})


def _sweep_edges(writer: Writer) -> None:
    mine = rows_of(writer.connection, memberships, writer.tenant_id)
    restorable = exists().where(
        changes.c.tenant_id == writer.tenant_id,
        changes.c.object_id == memberships.c.member_id,
        changes.c.kind.in_(("contact.removed", "group.removed")),
        changes.c.reason.not_in(SCOPED_OUT),
        changes.c.at >= writer.now - timedelta(days=RECYCLE_BIN_DAYS),
    )
    nobody_read = exists().where(
        streams.c.tenant_id == writer.tenant_id, streams.c.stream == Stream.USERS, streams.c.last_full_at.is_(None)
    )
    unknown = and_(memberships.c.member_type == USER, nobody_read)
    kept = or_(*(is_held(column, writer.tenant_id) for column in (memberships.c.group_id, memberships.c.member_id)))
    unseen = and_(
        mine, memberships.c.generation < writer.generation, or_(is_visible(), ~or_(restorable, unknown)), ~kept
    )
    # Who was away just while the group was listed is missing there, and nothing tells of his return: the list does.
    doubtful = select(memberships.c.group_id).where(unseen, is_visible()).distinct()
    writer.recheck(Stream.GROUPS, "members", list(writer.connection.scalars(doubtful)))
    ids = [memberships.c.group_id, memberships.c.member_id]
    writer.remove_rows("membership.removed", memberships, unseen, ids)


def _held(writer: Writer, object_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    keys = [{"object_id": object_id} for object_id in object_ids]
    found = find_rows(writer.connection, groups, keys, tenant_id=writer.tenant_id)
    return {row["object_id"]: row for row in found}


def _held_edges(writer: Writer, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, str]]:
    """Return generation and member type of those edges among `keys` that are in the book."""
    names = ("group_id", "member_id", "generation", "member_type")
    rows = find_rows(writer.connection, memberships, [_edge(key) for key in keys], *names, tenant_id=writer.tenant_id)
    return {(row["group_id"], row["member_id"]): (row["generation"], row["member_type"]) for row in rows}


def _add(writer: Writer, items: list[Item]) -> set[str]:
    """Add groups; return those of them of which there are no memberships."""
    if not items:
        return set()
    empty = dict.fromkeys(GROUP_COLUMNS)
    rows = [{**empty, **item.values, "object_id": item.object_id} for item in items]
    insert_rows(writer.connection, groups, rows, tenant_id=writer.tenant_id, generation=writer.generation)
    ids = [item.object_id for item in items]
    writer.record("group.added", [{"object_id": object_id} for object_id in ids])
    # Of a group that was only a part so far there are memberships; nobody was told of them while it was not there.
    edges = _edges_of(writer, ids)
    writer.record("membership.added", [_edge_entry(key) for key in edges])
    writer.counts.added += len(items)
    # Between full rounds a restored group looks like a new one, also one that was deleted before it was ever known.
    restored = writer.removed_before("group.removed", ids)
    writer.recheck(Stream.GROUPS, "members", sorted(restored if writer.full else ids))
    writer.recheck_groups_of(restored)
    return set(ids) - {group_id for group_id, _ in edges}


def _change(writer: Writer, items: list[Item], held: dict[str, dict[str, Any]]) -> None:
    rows: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    for item in items:
        old = held[item.object_id]
        silence_means_empty = writer.full and item.whole
        base = dict.fromkeys(GROUP_COLUMNS) if silence_means_empty else {name: old[name] for name in GROUP_COLUMNS}
        new = {**base, **item.values}
        fields = [name for name in GROUP_COLUMNS if new[name] != old[name]]
        if fields:
            entries.append({"object_id": item.object_id, "fields": fields})
        if fields or old["generation"] != writer.generation:
            rows.append({**new, "object_id": item.object_id})
    put_rows(writer.connection, groups, rows, tenant_id=writer.tenant_id, generation=writer.generation)
    writer.record("group.changed", entries)
    writer.counts.changed += len(entries)


def _keeps_silently(writer: Writer, item: Item, held: dict[str, dict[str, Any]]) -> bool:
    """Whether a value is kept of which the entry says nothing, so that only the object itself can tell."""
    if item.malformed:
        return True
    if writer.full:
        return False  # a slice of the members without the properties: another entry of the round has them
    old = held[item.object_id]
    return any(name not in item.values and old[name] is not None for name in GROUP_COLUMNS)


def _remove(writer: Writer, object_ids: list[str], held: dict[str, dict[str, Any]]) -> None:
    known = [object_id for object_id in object_ids if held.pop(object_id, None) is not None]
    unknown = set(object_ids) - set(known)  # no word in the feed will tell that their memberships go with them
    remove_edges(writer, _edges_of(writer, sorted(unknown)))
    for batch in batches(object_ids):
        mine = memberships.c.tenant_id == writer.tenant_id
        writer.connection.execute(delete(memberships).where(mine, memberships.c.group_id.in_(batch)))
        noted = and_(rechecks.c.tenant_id == writer.tenant_id, rechecks.c.stream == Stream.GROUPS)
        writer.connection.execute(delete(rechecks).where(noted, rechecks.c.object_id.in_(batch)))
    for batch in batches(known):
        mine = groups.c.tenant_id == writer.tenant_id
        writer.connection.execute(delete(groups).where(mine, groups.c.object_id.in_(batch)))
    writer.record("group.removed", [{"object_id": object_id} for object_id in known])
    writer.counts.removed += len(known)


def _edges_of(writer: Writer, group_ids: list[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for batch in batches(group_ids):
        mine = memberships.c.tenant_id == writer.tenant_id
        query = select(memberships.c.group_id, memberships.c.member_id).where(mine, memberships.c.group_id.in_(batch))
        found += [(row.group_id, row.member_id) for row in writer.connection.execute(query)]
    return found


def _edge_key(writer: Writer) -> tuple[Any, ...]:
    return (
        memberships.c.tenant_id == writer.tenant_id,
        memberships.c.group_id == bindparam("in_group"),
        memberships.c.member_id == bindparam("of_member"),
    )


def _edge_values(key: tuple[str, str]) -> dict[str, str]:
    return {"in_group": key[0], "of_member": key[1]}


def _edge_row(edge: Edge, key: tuple[str, str]) -> dict[str, str]:
    return {**_edge(key), "member_type": edge.member_type}


def _edge(key: tuple[str, str]) -> dict[str, str]:
    return {"group_id": key[0], "member_id": key[1]}


def _edge_entry(key: tuple[str, str]) -> dict[str, str]:
    return {"object_id": key[0], "member_id": key[1]}
