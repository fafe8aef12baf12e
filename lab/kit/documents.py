"""The app's documents in memory, with the compare-and-swap that a storage account gives, and its outages."""

from collections.abc import Callable, Iterable, Mapping

from function_app.domain.base.errors import Superseded, Unavailable
from function_app.reconcile.ports import Stored

type Listener = Callable[[str, bytes], None]


def directly_below(folder: str, keys: Iterable[str]) -> tuple[str, ...]:
    """What a storage answers that lists a folder (`Documents.below`), of all the keys in it."""
    rests = (key[len(folder) :].partition("/") for key in keys if key.startswith(folder))
    return tuple(sorted({folder + name + slash for name, slash, _ in rests}))


class DocumentsInMemory:
    """`stored` is there from the beginning. `listeners` are called at every write, with its key and its body."""

    def __init__(self, stored: Mapping[str, bytes] | None = None) -> None:
        self._stored: dict[str, Stored] = {}
        self._writes = 0
        self.listeners: list[Listener] = []
        self.is_away = False
        """Whether every request of the app's fails."""
        for key, body in (stored or {}).items():
            self._write(key, body)

    def read(self, key: str) -> bytes | None:
        """The body now, for tests and for laws; None where nothing is stored."""
        stored = self._stored.get(key)
        return stored.body if stored is not None else None

    async def load(self, key: str) -> Stored | None:
        self._reach()
        return self._stored.get(key)

    async def save(self, key: str, body: bytes, etag: str | None) -> str:
        """Raises Superseded where the stored etag is another one."""
        self._reach()
        there = self._stored.get(key)
        if (there.etag if there else None) != etag:
            raise Superseded(f"document {key!r} changed since it was read")
        return self._write(key, body)

    async def put(self, key: str, body: bytes) -> None:
        self._reach()
        self._write(key, body)

    async def remove(self, key: str, etag: str) -> None:
        """Raises Superseded where the stored etag is another one."""
        self._reach()
        there = self._stored.get(key)
        if there is None or there.etag != etag:
            raise Superseded(f"document {key!r} changed since it was read")
        del self._stored[key]

    async def keys(self, prefix: str) -> tuple[str, ...]:
        self._reach()
        return tuple(sorted(key for key in self._stored if key.startswith(prefix)))

    async def below(self, folder: str) -> tuple[str, ...]:
        return directly_below(folder, await self.keys(folder))

    async def versions(self, prefix: str) -> Mapping[str, str]:
        return {key: self._stored[key].etag for key in await self.keys(prefix)}

    def _reach(self) -> None:
        if self.is_away:
            raise Unavailable("storage does not answer")

    def _write(self, key: str, body: bytes) -> str:
        self._writes += 1
        self._stored[key] = Stored(body, f"e{self._writes}")
        for listener in self.listeners:
            listener(key, body)
        return self._stored[key].etag
