"""Azurite, Azure's storage emulator, as a program of a run: in memory, on free loopback ports."""

import asyncio
import re
import time
from pathlib import Path

from tools.processes import READY_WITHIN, Program, ToolError

AZURITE = Path(__file__).resolve().parents[2] / "build" / "node" / "node_modules" / ".bin" / "azurite"
"""`make azurite` installs it."""
ARGV = (str(AZURITE), "--disableTelemetry", "--skipApiVersionCheck", "--inMemoryPersistence", "--silent")
FREE_PORTS = ("--blobPort", "0", "--queuePort", "0", "--tablePort", "0")
_ACCOUNT = "devstoreaccount1"
# The well-known account key of the storage emulators; published, and good for nothing else.
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_LISTENING = re.compile(r"Azurite (Blob|Queue|Table) service is successfully listening at (http://\S+)")


async def connection(program: Program) -> str:
    """The value of AzureWebJobsStorage, once it listens. Raises ToolError when it does not."""
    until = time.monotonic() + READY_WITHIN
    while time.monotonic() < until:
        urls = dict(_LISTENING.findall(program.log.read_text()))
        if len(urls) == 3:
            return (
                f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};"
                f"BlobEndpoint={urls['Blob']}/{_ACCOUNT};QueueEndpoint={urls['Queue']}/{_ACCOUNT};"
            )
        await asyncio.sleep(0.05)
    raise ToolError(f"Azurite did not start:\n{program.last_words()}")
