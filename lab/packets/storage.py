"""Where the app of a world keeps its records: Azurite if it is installed, as a storage account would be; else a directory."""

from dataclasses import dataclass
from pathlib import Path

from function_app.adapters.storage.blob import DocumentsInBlobs
from function_app.adapters.storage.local import DocumentsInDirectory
from function_app.reconcile.ports import Documents
from function_app.wiring import CONTAINER
from lab.kit import azurite
from lab.packets.fabric import MGMT
from lab.packets.lab import Lab


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
    if not azurite.AZURITE.exists():
        return _in_directory(lab.directory / "storage")
    connection = await azurite.connection(lab.start("azurite", MGMT, list(azurite.ARGV)))
    return Storage("azurite", connection, DocumentsInBlobs.from_connection_string(connection, CONTAINER))


def _in_directory(path: Path) -> Storage:
    return Storage("directory", f"directory:{path}", DocumentsInDirectory(path))
