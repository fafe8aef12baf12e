"""Where the app of a world keeps its records: Azurite if it is installed, as a storage account would be; else a directory."""

import asyncio
import re
import time
from dataclasses import dataclass
from pathlib import Path

from function_app.adapters.storage.blob import DocumentsInBlobs
from function_app.adapters.storage.local import DocumentsInDirectory
from function_app.reconcile.ports import Documents
from function_app.wiring import CONTAINER
from lab.packets.fabric import MGMT
from lab.packets.lab import Lab
from lab.stack import ROOT
from tools.processes import READY_WITHIN, ToolError

AZURITE = ROOT / "build" / "node" / "node_modules" / ".bin" / "azurite"
_ACCOUNT = "devstoreaccount1"
# The well-known account key of the storage emulators; published, and good for nothing else.
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_LISTENING = re.compile(r"Azurite (Blob|Queue|Table) service is successfully listening at (http://\S+)")


@dataclass(frozen=True, slots=True)
class Storage:
    """`connection` is the value of AzureWebJobsStorage; `documents` reads what the app wrote."""

    kind: str
    connection: str
    documents: Documents

    async def close(self) -> None:
        if isinstance(self.documents, DocumentsInBlobs):
            await self.documents.close()


async def start(lab: Lab) -> Storage:
    """Raises ToolError when Azurite is there but does not start."""
    if not AZURITE.exists():
        return _in_directory(lab.directory / "storage")
    argv = [str(AZURITE), "--disableTelemetry", "--skipApiVersionCheck", "--inMemoryPersistence", "--silent"]
    program = lab.start("azurite", MGMT, argv)
    until = time.monotonic() + READY_WITHIN
    while time.monotonic() < until:
        urls = dict(_LISTENING.findall(program.log.read_text()))
        if len(urls) == 3:
            connection = (
                f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};"
                f"BlobEndpoint={urls['Blob']}/{_ACCOUNT};QueueEndpoint={urls['Queue']}/{_ACCOUNT};"
            )
            return Storage("azurite", connection, DocumentsInBlobs.from_connection_string(connection, CONTAINER))
        await asyncio.sleep(0.05)
    raise ToolError(f"Azurite did not start:\n{program.last_words()}")


def _in_directory(path: Path) -> Storage:
    return Storage("directory", f"directory:{path}", DocumentsInDirectory(path))
