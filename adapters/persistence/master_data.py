"""Master data: upserted entry by entry, each under the version that last said it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from adapters.persistence.columns import Columns, run, to_json
from domain.model.master_data import Entry, FieldType, MasterKind, Place

_PLACES: Final = Columns("c", merchant="text", kind="text", key="text")
_FIND: Final = f"""
SELECT m.merchant, m.kind, m.key, m.type, m.options FROM {_PLACES.table}
JOIN master_data m ON m.merchant = c.merchant AND m.kind = c.kind AND m.key = c.key
"""
# Who screens bills, and who changes what they are screened by, wait for one another: so the change sees what was
# rejected without it, and tries that again. A merchant's changes come one after another.
_SCREENING: Final = """
SELECT pg_advisory_xact_lock_shared(7207, hashtext(merchant)) FROM unnest(%(merchants)s::text[]) AS c(merchant)
"""
_CHANGING: Final = "SELECT pg_advisory_xact_lock(7207, hashtext(%(merchant)s))"
_NEXT_VERSION: Final = """
SELECT coalesce(max(version), 0) + 1 FROM master_data_versions WHERE merchant = %(merchant)s AND kind = %(kind)s
"""
_ENTRIES: Final = Columns("c", key="text", type="text", options="jsonb")
# What is said again as it stands is not written, so that a version holds what it has changed.
_PUT: Final = f"""
INSERT INTO master_data AS m (merchant, kind, key, type, options, version, changed_by, changed_at)
SELECT %(merchant)s, %(kind)s, c.key, c.type, ARRAY(SELECT jsonb_array_elements_text(c.options::jsonb)),
       %(version)s, %(actor)s, %(now)s
FROM {_ENTRIES.table} ORDER BY c.key
ON CONFLICT (merchant, kind, key) DO UPDATE SET type = excluded.type, options = excluded.options,
    version = excluded.version, changed_by = excluded.changed_by, changed_at = excluded.changed_at
    WHERE (m.type, m.options) IS DISTINCT FROM (excluded.type, excluded.options)
RETURNING m.key
"""
_NOTE: Final = """
INSERT INTO master_data_versions (merchant, kind, version, entries, actor, trace, at)
VALUES (%(merchant)s, %(kind)s, %(version)s, %(entries)s::jsonb, %(actor)s, %(trace)s, %(now)s)
"""


class SqlMasterData:
    def __init__(self, connection: Connection, now: datetime, trace: str | None) -> None:
        self._connection = connection
        self._now = now
        self._trace = trace

    def find(self, places: Iterable[Place]) -> Mapping[Place, Entry]:
        wanted = set(places)
        if not wanted:
            return {}
        run(self._connection, _SCREENING, {"merchants": sorted({merchant for merchant, _, _ in wanted})})
        rows = run(self._connection, _FIND, _PLACES.parameters(wanted))
        return {(row[0], MasterKind(row[1]), row[2]): _entry(row) for row in rows}

    def put(self, merchant: str, kind: MasterKind, entries: Sequence[Entry], *, actor: str) -> Sequence[Entry]:
        last = {entry.key: entry for entry in entries}
        of_kind = {"merchant": merchant, "kind": kind}
        run(self._connection, _CHANGING, of_kind)
        version = run(self._connection, _NEXT_VERSION, of_kind).scalar_one()
        about = {**of_kind, "version": version, "actor": actor, "now": self._now}
        rows = [(entry.key, entry.type, to_json(entry.options)) for entry in last.values()]
        changed = [last[row[0]] for row in run(self._connection, _PUT, _ENTRIES.parameters(rows, **about))]
        if changed:
            said = to_json([{"key": e.key, "type": e.type, "options": e.options} for e in changed])
            run(self._connection, _NOTE, {**about, "entries": said, "trace": self._trace})
        return changed


def _entry(row: Any) -> Entry:
    return Entry(key=row[2], type=None if row[3] is None else FieldType(row[3]), options=tuple(row[4]))
