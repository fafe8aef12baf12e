"""Documents in a local directory: the twin of Blob Storage for one machine, with the same compare-and-swap.

    PATH/{key}                  the body as it is, for an operator to read (and to edit: that changes its etag too)
    PATH/{folder}/.lock         locked (flock) during a write in that folder
    PATH/{folder}/.{name}.tmp   a draft; one of a writer that died is ignored, and overwritten by the next

Readers take no lock: a document appears by a rename, so an open file is one whole version. Its etag is that version's
modification time, which every write moves forward, and a digest of its body.

One difference to Blob Storage: `a` and `a/b` cannot both be documents here. Not for network file systems.
"""

import asyncio
import errno
import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from function_app.adapters.storage.names import check_key, check_prefix, is_key
from function_app.domain.base.errors import Superseded, Unavailable
from function_app.reconcile.ports import Stored

# A write holds the lock for milliseconds; only a writer that was stopped in the middle keeps others waiting so long.
LOCK_TIMEOUT = timedelta(seconds=3)
LOCK_RETRY = timedelta(milliseconds=5)
# File systems store modification times as coarsely as this; a version's must differ from its predecessor's.
COARSEST_TIME_NS = 2_000_000_000

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO})


class DocumentsInDirectory:
    """Documents under `path`, which is created on first use."""

    def __init__(self, path: Path) -> None:
        self._root = path

    async def load(self, key: str) -> Stored | None:
        path = self._root / check_key(key)
        return await self._in_thread(f"load {key!r}", lambda: _read(path))

    async def save(self, key: str, body: bytes, etag: str | None) -> str:
        path = self._root / check_key(key)

        def swap() -> str:
            with _locked(path.parent):
                stored = _read(path)
                if (stored.etag if stored else None) != etag:
                    raise Superseded(f"document {key!r} changed since it was read")
                return _write(path, body)

        return await self._in_thread(f"save {key!r}", swap)

    async def put(self, key: str, body: bytes) -> None:
        path = self._root / check_key(key)

        def overwrite() -> None:
            with _locked(path.parent):
                _write(path, body)

        await self._in_thread(f"put {key!r}", overwrite)

    async def remove(self, key: str, etag: str) -> None:
        path = self._root / check_key(key)

        def unlink() -> None:
            with _locked(path.parent):
                stored = _read(path)
                if stored is None or stored.etag != etag:
                    raise Superseded(f"document {key!r} changed since it was read")
                path.unlink()

        await self._in_thread(f"remove {key!r}", unlink)

    async def keys(self, prefix: str) -> tuple[str, ...]:
        check_prefix(prefix)
        return tuple(sorted(await self._in_thread(f"list {prefix!r}", lambda: list(self._found(prefix)))))

    async def below(self, folder: str) -> tuple[str, ...]:
        check_prefix(folder)
        listed = await self._in_thread(f"list {folder!r}", lambda: list(_entries(self._root, self._root / folder)))
        return tuple(sorted(key + "/" if entry.is_dir(follow_symlinks=False) else key for key, entry in listed))

    async def versions(self, prefix: str) -> Mapping[str, str]:
        """By the times of the files: none is opened."""
        check_prefix(prefix)

        def stamps() -> dict[str, str]:
            return {key: f"{_modified_ns(self._root / key):x}" for key in self._found(prefix)}

        return await self._in_thread(f"list {prefix!r}", stamps)

    def _found(self, prefix: str) -> Iterator[str]:
        folder = self._root / prefix.rpartition("/")[0]
        return (key for key in _walk(self._root, folder) if key.startswith(prefix))

    async def _in_thread[T](self, what: str, work: Callable[[], T]) -> T:
        def guarded() -> T:
            self._root.mkdir(parents=True, exist_ok=True)
            return work()

        try:
            return await asyncio.to_thread(guarded)
        except OSError as error:
            raise Unavailable(f"cannot {what} in {self._root}: {error.strerror or error}") from error


def _read(path: Path) -> Stored | None:
    """The document, or None where there is none or anything but a regular file (a link, a pipe, a folder)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    version = os.fstat(descriptor)
    if not stat.S_ISREG(version.st_mode):
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as file:
        body = file.read()
    return Stored(body, _etag(version.st_mtime_ns, body))


def _etag(modified_ns: int, body: bytes) -> str:
    return f"{modified_ns:x}-{hashlib.sha256(body).hexdigest()[:16]}"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the folder's lock: against other processes, and against other threads of this one. Raises Unavailable."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        deadline = time.monotonic() + LOCK_TIMEOUT.total_seconds()
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                seconds = LOCK_TIMEOUT.total_seconds()
                raise Unavailable(f"another process has been writing in {folder} for more than {seconds:.0f} s")
            time.sleep(LOCK_RETRY.total_seconds())
        yield
    finally:
        os.close(descriptor)  # lets the lock go


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(path: Path, body: bytes) -> str:
    """Replaces the document durably; the caller holds the folder's lock."""
    draft = path.with_name(f".{path.name}.tmp")
    draft.unlink(missing_ok=True)
    with draft.open("xb") as file:
        file.write(body)
        file.flush()
        modified_ns = _stamp_after(file.fileno(), _modified_ns(path))
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return _etag(modified_ns, body)


def _modified_ns(path: Path) -> int:
    try:
        return path.stat(follow_symlinks=False).st_mtime_ns
    except FileNotFoundError:
        return 0


def _stamp_after(descriptor: int, previous_ns: int) -> int:
    """Gives the draft a modification time later than its predecessor's, also where the clock went back; in ns, as stored."""
    for ahead_ns in (1, COARSEST_TIME_NS):
        wanted_ns = max(time.time_ns(), previous_ns + ahead_ns)
        os.utime(descriptor, ns=(wanted_ns, wanted_ns))
        stored_ns = os.fstat(descriptor).st_mtime_ns
        if stored_ns > previous_ns:
            return stored_ns
    raise OSError(errno.EINVAL, "the file system stores modification times too coarsely")


def _walk(root: Path, folder: Path) -> Iterator[str]:
    """Keys of the regular files below `folder`."""
    for key, entry in _entries(root, folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, Path(entry.path))
        else:
            yield key


def _entries(root: Path, folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Regular files and folders directly below `folder`, by their keys; drafts, locks, links and foreign names are left out."""
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        if error.errno in _ABSENT:
            return
        raise
    above = folder.relative_to(root).as_posix() + "/" if folder != root else ""
    for entry in entries:
        is_ours = entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)
        if is_ours and is_key(above + entry.name):
            yield above + entry.name, entry
