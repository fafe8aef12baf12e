"""python -m lab.packets.endpoint: the client behind the NVAs. Answers every datagram, adding the NVA it came through.

The NVA is known by the address the datagram came from. Arrivals of the prober's packets are filed, one line each:
`number arrived server`, so that a loss on the way back differs from one on the way there.
"""

import argparse
import asyncio
import sys
import time
from typing import TextIO

from lab.packets.fabric import ADDRESSES, CLIENT
from lab.packets.prober import MARK, PORT

_NAMES = {str(address): name for name, address in ADDRESSES.items()}


class Endpoint(asyncio.DatagramProtocol):
    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport)
        self._transport = transport

    def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
        name = _NAMES.get(sender[0], sender[0])
        if data.startswith(MARK.encode()):
            self._out.write(f"{data.split()[1].decode()} {time.monotonic():.6f} {name}\n")
        if self._transport is not None:
            self._transport.sendto(data + b" " + name.encode(), sender)


async def serve(out: TextIO) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: Endpoint(out), (str(ADDRESSES[CLIENT]), PORT))
    print("ready endpoint", flush=True)
    await asyncio.Event().wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.packets.endpoint", description=__doc__)
    parser.add_argument("--out", required=True)
    given = parser.parse_args()
    with open(given.out, "w", buffering=1) as out:
        asyncio.run(serve(out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
