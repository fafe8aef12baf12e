"""The simulated documents: compare-and-swap by etag, and what storage and other writers do to them."""

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from function_app.domain.base.errors import Superseded, Unavailable
from function_app.domain.service.record import SCHEMA, Phase, Record
from function_app.reconcile.ports import Stored
from proving.storm.calls import Call

if TYPE_CHECKING:
    from proving.storm.world import World


class Documents:
    """See the module. `record` is what the stored record says, None where there is none that can be read."""

    def __init__(self, world: "World", record_key: str) -> None:
        self._world = world
        self._key = record_key
        self._stored: dict[str, Stored] = {}
        self._etags = 0
        self.records: dict[str, Record | None] = {}
        """What each etag of the record's document said."""
        self.record: Record | None = None
        self.versions: list[bytes] = []
        self.down = False
        self.filed: dict[str, bytes] | None = None
        """What the product writes for people (history, status), kept where it is asked for."""

    # --- requests

    def load(self, call: Call, key: str) -> None:
        call.answer(Unavailable("storage answers 503") if self.down else self._load(key))

    def _load(self, key: str) -> Stored | None:
        stored = self._stored.get(key)
        return self._shown(stored) if key == self._key else stored

    def save(self, call: Call, key: str, body: bytes, etag: str | None, decided: tuple[float, float]) -> None:
        """`decided`: when the pass that sent this had looked, and when it sent it; it may arrive much later."""
        if self.down:
            call.answer(Unavailable("storage answers 503"))
            return
        there = self._stored.get(key)
        if (there.etag if there else None) != etag and not self._world.bugs.ignores_etag:
            call.answer(Superseded(f"{key} has changed"))
            return
        call.answer(self._write(key, body, decided))

    def put(self, call: Call, key: str, body: bytes) -> None:
        call.answer(Unavailable("storage answers 503") if self.down else self._write(key, body))

    def keys(self, call: Call, prefix: str) -> None:
        call.answer(tuple(sorted(key for key in self._stored if key.startswith(prefix))))

    def _write(self, key: str, body: bytes, decided: tuple[float, float] = (0.0, 0.0)) -> str:
        self._etags += 1
        etag = f"e{self._etags}"
        if key == self._key:
            record = msgspec.json.decode(body, type=Record)
            bent = self._bent(record)
            if bent is not record:
                record, body = bent, msgspec.json.encode(bent)
            if self._world.bugs.loses_records:
                return etag
            before, self.record = self.record, record
            self.records[etag] = record
            self.versions.append(body)
            self._world.checks.record_written(before, record, decided)
            self._world.dirty = True
        self._stored[key] = Stored(body, etag)
        return etag

    def _bent(self, record: Record) -> Record:
        """What a planted bug makes of a record; itself where there is none."""
        bugs, target = self._world.bugs, record.target
        if bugs.grants_at_once and record.phase is Phase.FENCING and target:
            return replace(record, phase=Phase.GRANTED, may_serve=record.may_serve | {target})
        if bugs.forgets_members:
            return replace(record, may_serve=frozenset())
        if record.phase is Phase.GRANTED and bugs.rewinds_epochs:
            return replace(record, epoch=record.epoch - 2)
        if record.phase is Phase.GRANTED and bugs.swaps_targets:
            return replace(record, target=min(self._world.agents.keys() - {target}))
        if bugs.hides_pauses and self.record is not None and self.record.pause is not None:
            return replace(record, pause=self.record.pause)
        return record

    def _shown(self, stored: Stored | None) -> Stored | None:
        bugs = self._world.bugs
        if stored is None or not (bugs.hides_pauses or bugs.hides_newness):
            return stored
        record = msgspec.json.decode(stored.body, type=Record)
        shown = replace(record, schema=SCHEMA) if bugs.hides_newness else replace(record, pause=None)
        return Stored(msgspec.json.encode(shown), stored.etag)

    # --- what others do

    def begin(self, record: Record) -> None:
        self.record = record
        body = msgspec.json.encode(record)
        self._etags += 1
        self._stored[self._key] = Stored(body, f"e{self._etags}")
        self.records[f"e{self._etags}"] = record
        self.versions.append(body)

    def lay(self, key: str, body: bytes) -> None:
        """An operator stores a document by hand."""
        self._etags += 1
        self._stored[key] = Stored(body, f"e{self._etags}")

    def laid(self, key: str) -> bytes | None:
        """What is stored under a key."""
        stored = self._stored.get(key)
        return stored.body if stored is not None else None

    def overwrite(self, body: bytes | None) -> None:
        """Somebody else puts `body` in the record's place, or deletes it."""
        self._etags += 1
        if body is None:
            self._stored.pop(self._key, None)
            self.record = None
        else:
            etag = f"e{self._etags}"
            self._stored[self._key] = Stored(body, etag)
            try:
                self.record = msgspec.json.decode(body, type=Record)
            except msgspec.MsgspecError:
                self.record = None
            self.records[etag] = self.record
        self._world.dirty = True

    def touch(self) -> None:
        """Somebody writes the record as it is: only its etag changes."""
        there = self._stored.get(self._key)
        if there is not None:
            self.overwrite(there.body)

    def forget(self, key: str) -> None:
        self._stored.pop(key, None)

    def body(self) -> bytes | None:
        there = self._stored.get(self._key)
        return there.body if there else None
