"""python -m lab.packets.data_path --node nva1: what an NVA is there for. Carries packets, and says that it does.

UDP to the VIP or to the NVA's own address goes to the client and back, as a load balancer or a learned route brings
it; HTTP on port 80 answers 200 while the program lives, which is what the baselines' probes and watchers ask.
"""

import argparse
import asyncio
import sys
from ipaddress import IPv4Address

from lab.packets.fabric import ADDRESSES, CLIENT, NVAS, VIP
from lab.packets.prober import PORT
from tools.load_balancer.forwarding import Client, Forwarder

HEALTH = 80
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


async def serve(own: IPv4Address) -> None:
    to_client = ADDRESSES[CLIENT]

    def pick(_: Client) -> IPv4Address:
        return to_client

    for address in (own, VIP):
        Forwarder(address, PORT, pick, lambda _: True)
    server = await asyncio.start_server(_say_ok, str(own), HEALTH)
    print("ready data path", flush=True)
    await server.serve_forever()


async def _say_ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await reader.readline()
        writer.write(_ANSWER)
        await writer.drain()
    except (ConnectionError, ValueError):
        pass
    finally:
        writer.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.packets.data_path", description=__doc__)
    parser.add_argument("--node", choices=NVAS, required=True)
    asyncio.run(serve(ADDRESSES[parser.parse_args().node]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
