"""Plays recorded exchanges with the genuine Functions host against one that serves the twin app, and says what differs.

An exchange holds placeholders: a key by its name, the host's address, and what no two runs share (dates, ids, paths).
"""

import json
import re
import socket
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

WAIT = 30.0
"""Seconds for an answer, or for a run to end."""
QUIET = 0.2
"""Seconds in which nothing more comes: no further answer, no end of the connection, no run that was accepted (202)."""
LONG = 5.0
"""Seconds in which a connection is closed."""
CLOSED = "closed by the host"
ADDRESS = "127.0.0.1:PORT"
FRAMING = ("content-length", "date", "server", "transfer-encoding")
SHAPES = {
    "<date>": r"\d{4}-\d\d-\d\d[T ][\d:.]+(?:Z|[+-]\d\d:?\d\d)?|\w{3}, \d\d \w{3} \d{4} [\d:]+ GMT",
    "<guid>": r"[0-9a-fA-F-]{36}",
    "<path>": r"/[\w/.\-]+",
    "<pid>": r"\d+",
    "HOSTID": r"[\w\-]+",
}
PLACEHOLDER = re.compile(rf"KEY_\w+|{re.escape(ADDRESS)}|{'|'.join(SHAPES)}")
DERIVED = {
    "_other_case": str.swapcase,
    "_without_its_last_letter": lambda key: key[:-1],
    "_with_one_letter_changed": lambda key: ("b" if key[0] == "a" else "a") + key[1:],
}
"""What a recorded key's name ends in, and what was made of the key."""

type Answer = tuple[int, list[tuple[str, str]], bytes]


@dataclass
class Placeholders:
    netloc: str
    keys: dict[str, str]

    def key(self, name: str) -> str | None:
        ending = next((one for one in DERIVED if name.endswith(one)), None)
        if name in self.keys or ending is None:
            return self.keys.get(name)
        return DERIVED[ending](self.keys[name.removesuffix(ending)])

    def put(self, text: str, *, escaped: bool = False) -> str:
        """What to send; in a target a key is escaped."""

        def value(found: re.Match[str]) -> str:
            if found[0] == ADDRESS:
                return self.netloc
            key = self.key(found[0])
            return found[0] if key is None else quote(key, safe="") if escaped else key

        return PLACEHOLDER.sub(value, text)

    def fits(self, recorded: Any, own: Any) -> bool:
        """The same but for placeholders. A key that is not known yet is known from here on."""
        match recorded, own:
            case dict(), dict():
                same = recorded.keys() == own.keys()
                return same and all(
                    name == "processUptime" or self.fits(one, own[name]) for name, one in recorded.items()
                )
            case list(), list():
                return len(recorded) == len(own) and all(map(self.fits, recorded, own))
            case str(), str():
                return self._fits_text(recorded, own)
        return bool(recorded == own and type(recorded) is type(own))

    def _fits_text(self, recorded: str, own: str) -> bool:
        pattern, at, new = "", 0, ""
        for found in PLACEHOLDER.finditer(recorded):
            key = self.key(found[0])
            pattern, at = pattern + re.escape(recorded[at : found.start()]), found.end()
            if found[0] == ADDRESS:
                pattern += re.escape(self.netloc)
            elif found[0] in SHAPES:
                pattern += f"(?:{SHAPES[found[0]]})"
            elif key is None:
                pattern, new = pattern + r'([^\s"&,<>]+)', found[0]
            else:
                pattern += f"(?:{re.escape(key)}|{re.escape(quote(key, safe=''))})"
        match = re.fullmatch(pattern + re.escape(recorded[at:]), own)
        if match and new:
            self.keys[new] = match[1]
        return match is not None


@dataclass
class Journal:
    """The datagrams of the twin: what each run was given, and its end."""

    file: Path
    _socket: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.file))

    def runs(self, count: int, quiet: float = 0.0) -> list[dict[str, Any]]:
        """Those since the last call: waits until `count` have ended, and then for so long whether another one comes."""
        runs: list[dict[str, Any]] = []
        ended = 0
        while True:
            self._socket.settimeout(WAIT if ended < max(count, len(runs)) else quiet)
            try:
                said = json.loads(self._socket.recv(1 << 20))
            except (TimeoutError, BlockingIOError):
                return runs
            if "ended" in said:
                ended += 1
            else:
                runs.append(said)

    def close(self) -> None:
        self._socket.close()


@dataclass
class Replay:
    places: Placeholders
    journal: Journal

    def differences(self, exchange: Mapping[str, Any]) -> set[str]:
        """What differs in this one: status, header NAME, body, answers (their number), end (of the connection), received."""
        self.places.keys.update(exchange.get("keys", {}))
        received, recorded = exchange.get("received"), exchange["response"]
        expected = list(_parted(recorded["raw"])) if "raw" in recorded else [recorded]
        found, end = self._found(exchange, bool(expected))
        is_same = [one[0] for one in found] == [one["status"] for one in expected]
        runs = self.journal.runs(_count(received) * is_same, QUIET if _is_accepted(received, found) else 0.0)
        checks = {"end": end == recorded.get("end", ""), "answers": len(found) == len(expected)}
        checks["received"] = self._received(received, runs)
        different = {name for name, holds in checks.items() if not holds}
        for number, (theirs, own) in enumerate(zip(expected, found, strict=False)):
            different |= self._compared(theirs, own, runs[number : number + 1])
        return different

    def _found(self, exchange: Mapping[str, Any], answers: bool) -> tuple[list[Answer], str]:
        """What comes for this request, and of a raw one how its connection ends."""
        host, port = self.places.netloc.split(":")
        with socket.create_connection((host, int(port)), timeout=WAIT) as connection:
            # The host may answer before it has read everything.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(self._request(exchange["request"]))
            if "raw" in exchange["response"]:
                return _all_of(connection, answers, exchange["response"]["end"])
            answer = _answer(connection.makefile("rb"), exchange["request"].get("method", ""))
            return [] if answer is None else [answer], ""

    def _request(self, request: Mapping[str, Any]) -> bytes:
        if "raw" in request:
            return self.places.put(request["raw"]).encode("latin-1")
        body = self._body(request.get("body", {}))
        headers = [(name, self.places.put(_joined(value))) for name, value in request.get("headers", [])]
        names = {name.lower() for name, _ in headers}
        if "host" not in names:
            headers.insert(0, ("Host", self.places.netloc))
        if (body or request["method"] in ("POST", "PUT", "PATCH")) and "content-length" not in names:
            headers.append(("Content-Length", str(len(body))))
        target = self.places.put(_joined(request["target"]), escaped="keys_unescaped" not in request)
        first = f"{request['method']} {target} {request.get('version', 'HTTP/1.1')}"
        return "\r\n".join([first, *(f"{name}: {value}" for name, value in headers), "", ""]).encode() + body

    def _body(self, recorded: Mapping[str, Any]) -> bytes:
        match recorded:
            case {"json": document}:
                return self.places.put(json.dumps(document)).encode()
            case {"text": text} | {"parts": text}:
                return self.places.put(_joined(text)).encode()
            case {"hex": digits}:
                return bytes.fromhex(digits)
            case {"length": length}:
                return b"x" * length
        return b""

    def _compared(self, recorded: Mapping[str, Any], own: Answer, run: list[dict[str, Any]]) -> set[str]:
        status, headers, content = own
        different = {"status"} if status != recorded["status"] else set()
        theirs, ours = _by_name(recorded.get("headers", [])), _by_name(headers)
        for name in theirs.keys() | ours.keys():
            if not self.places.fits(theirs.get(name), ours.get(name)):
                different.add(f"header {name}")
        return different if self._same_body(recorded.get("body", {}), content, run) else different | {"body"}

    def _same_body(self, recorded: Mapping[str, Any], content: bytes, run: list[dict[str, Any]]) -> bool:
        document = _json(content)
        is_echo = isinstance(document, dict) and "route_params" in document
        match recorded:
            case {"echo": _} | {"text": "<echo>"}:
                return is_echo and run == [{"function": run[0]["function"], **document}]
            case {"json": expected}:
                return self.places.fits(expected, document)
            case {"text": expected}:
                return self.places.fits(expected, content.decode("utf-8", "backslashreplace"))
            case {"hex": expected}:
                return content.hex() == expected
            case {"sha256": _} if is_echo:
                return run == [{"function": run[0]["function"], **document}]
            case {"sha256": expected}:  # of JSON with ids and times in it a hash says nothing
                return document is not None or sha256(content).hexdigest() == expected
        return not content

    def _received(self, recorded: Any, runs: list[dict[str, Any]]) -> bool:
        if recorded is None:  # it was not noted
            return True
        if not isinstance(recorded, list):
            names = recorded.get("function") if isinstance(recorded, dict) else None
            return len(runs) == _count(recorded) and names in (None, [run["function"] for run in runs])
        left = list(runs)
        for one in recorded:  # the runs of one request begin in any order
            found = next((run for run in left if self.places.fits(_without_host(one), _cut(run, one))), None)
            if found is None:
                return False
            left.remove(found)
        return not left


def _is_accepted(received: Any, found: Sequence[Answer]) -> bool:
    """202, and no run is to follow."""
    return received == "nothing" and [one[0] for one in found] == [202]


def _joined(parts: str | Sequence[Any]) -> str:
    """A text, or what is written as texts and [text, times]."""
    return (
        parts if isinstance(parts, str) else "".join(one if isinstance(one, str) else one[0] * one[1] for one in parts)
    )


def _answer(stream: BinaryIO, method: str) -> Answer | None:
    """The next answer of a connection; None at its end."""
    start = stream.readline().decode("latin-1").split(" ", 2)
    if len(start) < 2:
        return None
    headers = []
    while line := stream.readline().decode("latin-1").rstrip("\r\n"):
        name, _, value = line.partition(":")
        headers.append((name, value.strip()))
    status, framing = int(start[1]), {name.lower(): value for name, value in headers}
    if 100 <= status < 200:
        return _answer(stream, method)
    if framing.get("transfer-encoding", "").lower() == "chunked":
        return status, headers, b"".join(_chunks(stream))
    if method == "HEAD" or status in (204, 304):
        return status, headers, b""
    return status, headers, stream.read(int(framing.get("content-length", -1)))


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while size := int(stream.readline().split(b";")[0].strip() or b"0", 16):
        yield stream.read(size)
        stream.readline()


def _all_of(connection: socket.socket, answers: bool, ends: str) -> tuple[list[Answer], str]:
    """Every answer that comes, where any is expected, and how the connection ended."""
    got, end = b"", CLOSED
    while True:
        connection.settimeout(LONG if ends == CLOSED else QUIET if got or not answers else WAIT)
        try:
            some = connection.recv(1 << 16)
        except TimeoutError:
            end = "connection left open"
            break
        except ConnectionResetError:
            end = "reset by the host"
            break
        if not some:
            break
        got += some
    parted = _parted(got.decode("latin-1"))
    return [(one["status"], one["headers"], one["body"].get("text", "").encode("latin-1")) for one in parted], end


def _parted(text: str) -> Iterator[dict[str, Any]]:
    """The answers in the bytes of a connection; of one chunk what is in it."""
    for part in filter(None, re.split(r"(?=HTTP/1\.[01] \d)", text)):
        head, _, content = part.partition("\r\n\r\n")
        start, *lines = head.split("\r\n")
        headers = [[one.strip() for one in line.split(":", 1)] for line in lines]
        content = re.sub(r"^[0-9a-fA-F]+\r\n(.*)\r\n0\r\n\r\n$", r"\1", content, flags=re.DOTALL)
        status = int(start.split(" ")[1]) if part.startswith("HTTP/") else 0
        yield {"status": status, "headers": headers, "body": {"text": content} if content else {}}


def _by_name(headers: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for name, *value in headers:
        if name.lower() not in FRAMING:
            found[name.lower()] += value
    return dict(found)


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _count(received: Any) -> int:
    """How many runs a recording has."""
    match received:
        case None | "nothing":
            return 0
        case list():
            return len(received)
        case {"runs": int(count)}:
            return count
        case {"function": list(names)}:
            return len(names)
    return 1


def _without_host(recorded: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _portable(one) if name == "headers" else one for name, one in recorded.items()}


def _cut(run: Mapping[str, Any], recorded: Mapping[str, Any]) -> dict[str, Any]:
    """A run's fields as far as they were recorded."""
    headers, params = run.get("headers", {}), run.get("params", {})
    made = {
        "key_headers": {name: value for name, value in headers.items() if name == "x-functions-key"},
        "route_param_lengths": {name: len(value) for name, value in run.get("route_params", {}).items()},
        "headers": _portable(headers),
    }
    if "route_param_lengths" in recorded:
        made["params"] = {name: len(value) for name, value in params.items()}
    return {name: (dict(run) | made).get(name) for name in recorded}


def _portable(headers: Mapping[str, str]) -> dict[str, str]:
    """Without what depends on the length of an address or a key."""
    return {name: value for name, value in headers.items() if name not in ("host", "content-length")}
