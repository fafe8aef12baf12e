"""What only the directory twin promises: processes, power cuts, and operators with an editor."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from function_app.adapters.storage.local import DocumentsInDirectory
from function_app.domain.base.errors import Superseded, Unavailable

ADD_ONE_AT_A_TIME = """
import asyncio, sys
from pathlib import Path
from function_app.adapters.storage.local import DocumentsInDirectory
from function_app.domain.base.errors import Superseded

async def add(times):
    documents = DocumentsInDirectory(Path(sys.argv[1]))
    while times:
        stored = await documents.load("count.json")
        try:
            await documents.save("count.json", str(int(stored.body) + 1).encode(), stored.etag)
        except Superseded:
            continue
        times -= 1

asyncio.run(add(50))
"""


async def test_nothing_is_lost_between_processes(tmp_path: Path) -> None:
    documents = DocumentsInDirectory(tmp_path)
    await documents.save("count.json", b"0", None)

    writers = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", ADD_ONE_AT_A_TIME, str(tmp_path)) for _ in range(3)
    ]
    ends = [await writer.wait() for writer in writers]

    stored = await documents.load("count.json")
    assert ends == [0, 0, 0]
    assert stored is not None
    assert stored.body == b"150"


async def test_body_lies_there_as_it_is(tmp_path: Path) -> None:
    await DocumentsInDirectory(tmp_path).put("topologies/hub.yaml", b"schema: hopkeeper/v1\n")

    assert (tmp_path / "topologies" / "hub.yaml").read_bytes() == b"schema: hopkeeper/v1\n"


async def test_operators_edit_changes_the_etag(tmp_path: Path) -> None:
    documents = DocumentsInDirectory(tmp_path)
    etag = await documents.save("hub.yaml", b"old", None)

    (tmp_path / "hub.yaml").write_bytes(b"new")

    with pytest.raises(Superseded):
        await documents.save("hub.yaml", b"ours", etag)


async def test_edit_in_the_same_instant_changes_the_etag(tmp_path: Path) -> None:
    """File times may be as coarse as two seconds: the body counts as well."""
    documents = DocumentsInDirectory(tmp_path)
    etag = await documents.save("hub.yaml", b"old", None)
    time = (tmp_path / "hub.yaml").stat().st_mtime_ns

    (tmp_path / "hub.yaml").write_bytes(b"new")
    os.utime(tmp_path / "hub.yaml", ns=(time, time))

    with pytest.raises(Superseded):
        await documents.save("hub.yaml", b"ours", etag)


async def test_etag_moves_on_although_the_clock_went_back(tmp_path: Path) -> None:
    documents = DocumentsInDirectory(tmp_path)
    await documents.put("fw.json", b"same")
    in_an_hour = (tmp_path / "fw.json").stat().st_mtime_ns + 3_600_000_000_000
    os.utime(tmp_path / "fw.json", ns=(in_an_hour, in_an_hour))
    before = await documents.load("fw.json")
    assert before is not None

    after = await documents.save("fw.json", b"same", before.etag)

    assert after != before.etag
    assert (tmp_path / "fw.json").stat().st_mtime_ns > in_an_hour


async def test_what_a_dead_writer_left_is_ignored_and_overwritten(tmp_path: Path) -> None:
    documents = DocumentsInDirectory(tmp_path)
    (tmp_path / ".fw.json.tmp").write_bytes(b'{"torn')

    assert await documents.load("fw.json") is None
    assert await documents.keys("") == ()
    await documents.save("fw.json", b"{}", None)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "fw.json"]


async def test_links_pipes_and_folders_are_no_documents(tmp_path: Path) -> None:
    root = tmp_path / "documents"
    root.mkdir()
    secret = tmp_path / "secret"
    secret.write_text("outside")
    (root / "link.json").symlink_to(secret)
    (root / "folder.json").mkdir()
    (root / "outside").symlink_to(tmp_path)
    os.mkfifo(root / "pipe.json")
    documents = DocumentsInDirectory(root)

    assert [await documents.load(key) for key in ("link.json", "folder.json", "pipe.json")] == [None, None, None]
    assert await documents.keys("") == ()
    await documents.put("link.json", b"ours")
    assert secret.read_text() == "outside"


async def test_document_below_a_document_is_unavailable(tmp_path: Path) -> None:
    """The one difference to Blob Storage."""
    documents = DocumentsInDirectory(tmp_path)
    await documents.put("a", b"x")

    assert await documents.load("a/b") is None
    with pytest.raises(Unavailable):
        await documents.put("a/b", b"x")


async def test_writer_that_was_stopped_while_writing_makes_others_say_so(tmp_path: Path) -> None:
    documents = DocumentsInDirectory(tmp_path)
    await documents.put("fw.json", b"{}")
    hold = "import fcntl, sys; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_EX); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path / ".lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"

        stored = await documents.load("fw.json")
        with pytest.raises(Unavailable, match="another process"):
            await documents.put("fw.json", b"ours")
        holder.stdin.write("\n")

    assert stored is not None, "readers do not wait"
    await documents.put("fw.json", b"ours")
