"""Loads and saves a service's record by compare-and-swap. One that cannot be read is replaced by an unknown state."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

import msgspec

from function_app.domain.service.record import SCHEMA, Record, unknown
from function_app.domain.topology.model import Service, Topology
from function_app.reconcile.ports import Documents
from function_app.reconcile.store import kept, keys


class _Schema(msgspec.Struct, frozen=True):
    schema: int


def _unreadable(body: bytes, nothing: Record) -> Record:
    """What stands for a body that is no record of ours: nothing, or one of a newer schema, which is only observed."""
    try:
        schema = msgspec.json.decode(body, type=_Schema).schema
    except kept.UNREADABLE:
        return nothing
    return msgspec.structs.replace(nothing, schema=schema) if schema > SCHEMA else nothing


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record and the etag that its next write must carry; the etag is None where nothing is stored yet."""

    record: Record
    etag: str | None


class Records:
    """The records of one topology's services."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def load(self, topology: Topology, service: Service, now: datetime) -> StoredRecord:
        """The stored record; where it is missing, corrupt or another service's, one that knows nothing (phase `learn`). Raises
        Unavailable."""
        stored = await self._documents.load(keys.record(topology.name, service.key))
        nothing = unknown(service.key, frozenset(service.names), now)
        if stored is None:
            return StoredRecord(nothing, None)
        try:
            record = msgspec.json.decode(stored.body, type=Record)
        except kept.UNREADABLE:
            return StoredRecord(_unreadable(stored.body, nothing), stored.etag)
        return StoredRecord(record if record.service == service.key else nothing, stored.etag)

    async def load_all(self, topology: Topology, now: datetime) -> dict[str, Record]:
        """The records of all its services, by name."""
        found = await asyncio.gather(*(self.load(topology, s, now) for s in topology.services))
        return {s.name: held.record for s, held in zip(topology.services, found, strict=True)}

    async def save(self, topology: Topology, record: Record, etag: str | None) -> StoredRecord:
        """Raises Superseded when another pass or order wrote first."""
        body = msgspec.json.format(msgspec.json.encode(record, order="sorted"), indent=1)
        return StoredRecord(record, await self._documents.save(keys.record(topology.name, record.service), body, etag))

    async def etag(self, topology: Topology, service: Service) -> str | None:
        stored = await self._documents.load(keys.record(topology.name, service.key))
        return stored.etag if stored else None
