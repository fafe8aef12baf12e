"""Azurite, Azure's storage emulator, as a program of a run: in memory, on free loopback ports."""

import asyncio
import re
import time
from pathlib import Path

from tools.processes import READY_WITHIN, Program, Programs, ToolError

AZURITE = Path(__file__).resolve().parents[2] / "build" / "node" / "node_modules" / ".bin" / "azurite"
"""`make azurite` installs it."""
ARGV = (str(AZURITE), "--disableTelemetry", "--skipApiVersionCheck", "--inMemoryPersistence", "--silent")
FREE_PORTS = ("--blobPort", "0", "--queuePort", "0", "--tablePort", "0")
ACCOUNT = "devstoreaccount1"
# The well-known account key of the storage emulators; published, and good for nothing else.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
LISTENING = re.compile(r"Azurite (Blob|Queue|Table) service is successfully listening at (http://\S+)")


def connection_string(blobs: str, queues: str) -> str:
    """The value of AzureWebJobsStorage, of the two services' addresses with the account in them."""
    return (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
        f"BlobEndpoint={blobs};QueueEndpoint={queues};"
    )


async def running(programs: Programs) -> str:
    """Starts it; its connection string. Raises ToolError when it does not start."""
    return await connection(programs.start("azurite", [*ARGV, *FREE_PORTS], "azurite"))


async def connection(program: Program) -> str:
    """The value of AzureWebJobsStorage, once it listens. Raises ToolError when it does not."""
    until = time.monotonic() + READY_WITHIN
    while time.monotonic() < until:
        urls = dict(LISTENING.findall(program.log.read_text()))
        if len(urls) == 3:
            return connection_string(f"{urls['Blob']}/{ACCOUNT}", f"{urls['Queue']}/{ACCOUNT}")
        await asyncio.sleep(0.05)
    raise ToolError(f"Azurite did not start:\n{program.last_words()}")
