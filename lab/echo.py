"""python -m lab.echo --address A --port P --name N: a UDP service that stands for an NVA's data path.

Answers every datagram with its payload, a space and its name. Prints `ready ADDRESS:PORT`; ends on SIGTERM or SIGINT.
"""

import argparse
import asyncio
import signal
import socket

DATAGRAM_MAX = 65_507  # what UDP over IPv4 can carry


class Echo(asyncio.DatagramProtocol):
    def __init__(self, name: str) -> None:
        self._suffix = b" " + name.encode()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport)
        self._transport = transport

    def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
        """The name is never cut off: of a datagram that leaves it no room, the end is."""
        if self._transport is not None:
            self._transport.sendto(data[: DATAGRAM_MAX - len(self._suffix)] + self._suffix, sender)


async def serve(address: str, port: int, name: str) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    transport, _ = await loop.create_datagram_endpoint(lambda: Echo(name), (address, port), family=socket.AF_INET)
    bound = transport.get_extra_info("sockname")
    print(f"ready {bound[0]}:{bound[1]}", flush=True)
    await stopped.wait()
    transport.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.echo", description="Answer UDP datagrams with a name.")
    parser.add_argument("--address", required=True, help="the IPv4 address to listen on")
    parser.add_argument("--port", type=int, required=True, help="0 takes any free one")
    parser.add_argument("--name", required=True)
    given = parser.parse_args()
    asyncio.run(serve(given.address, given.port, given.name))


if __name__ == "__main__":
    main()
