"""python -m lab.packets.relay --listen A:P --to B:P: passes TCP connections on.

The host and the simulator listen on 127.0.0.1 only; this is how the other nodes reach them, over the network that the
faults break.
"""

import argparse
import asyncio
import contextlib
import sys

CHUNK = 1 << 16


async def serve(listen: tuple[str, int], to: tuple[str, int]) -> None:
    async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*to)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))

    server = await asyncio.start_server(passed_on, *listen)
    print("ready relay", flush=True)
    await server.serve_forever()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()


def _end(text: str) -> tuple[str, int]:
    host, port = text.rsplit(":", 1)
    return host, int(port)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.packets.relay", description=__doc__)
    parser.add_argument("--listen", type=_end, required=True)
    parser.add_argument("--to", type=_end, required=True)
    given = parser.parse_args()
    asyncio.run(serve(given.listen, given.to))
    return 0


if __name__ == "__main__":
    sys.exit(main())
