"""What the receiving ExaBGP of `bgp_receiver` runs: appends the JSON it is given to a file until ExaBGP is gone."""

from __future__ import annotations

import os
import select
import sys


def main(path: str) -> None:
    with open(path, "ab", buffering=0) as file:
        while True:
            # Standard input is non-blocking in an ExaBGP helper.
            if not select.select([0], [], [], 5)[0]:
                continue
            data = os.read(0, 1 << 16)
            if not data:
                return
            file.write(data)


if __name__ == "__main__":
    main(sys.argv[1])
