"""What reads inputs from outside: each with samples of good ones, and the errors by which it may refuse one."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import azure.functions as func
import msgspec
from hopkeeper_agent import config as agent_config
from hopkeeper_agent import maintenance, messages, warrants
from hopkeeper_agent.decoding import ConfigError
from hopkeeper_agent.jws import Unauthentic, parse_object
from hopkeeper_agent.speakers import bird_text, frr_text

from function_app.adapters.agents.jws import claimed_sender
from function_app.adapters.agents.messages import decode_report, decode_status
from function_app.adapters.arm import balancer_document, learned_routes
from function_app.adapters.arm.document import plain
from function_app.domain.base.errors import BadInput, HopkeeperError
from function_app.domain.service.decide import decide
from function_app.domain.service.look import Look
from function_app.domain.service.observation import Observed, Unreachable
from function_app.domain.service.orders import VERBS, order_from
from function_app.domain.service.record import Record, unknown
from function_app.domain.topology.document import decode
from function_app.domain.topology.laws import Place
from function_app.domain.topology.model import Topology
from function_app.reconcile.store import kept
from function_app.reconcile.use_cases import ids_in
from function_app.triggers.requests import json_body, lenient_text

TREE = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Target:
    """`read` takes any bytes; it may raise `refused` and nothing else."""

    name: str
    read: Callable[[bytes], object]
    corpus: tuple[bytes, ...]
    refused: tuple[type[Exception], ...]


def _files(*patterns: str) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for pattern in patterns for path in sorted(TREE.glob(pattern)))


def _request(body: bytes) -> func.HttpRequest:
    return func.HttpRequest("POST", "https://app/api/x", body=body)


def _topology(data: bytes) -> object:
    return decode(data.decode("utf-8", "surrogateescape"), Place())


def _order(data: bytes) -> object:
    given = json_body(_request(data))
    return order_from(sorted(VERBS)[len(data) % len(VERBS)], given)


def _alert(data: bytes) -> object:
    try:
        return list(ids_in(json_body(_request(data))))
    except BadInput:
        return list(ids_in(lenient_text(_request(data))))


@cache
def _example() -> Topology:
    return decode((TREE / "examples/active-passive.yaml").read_text(), Place())


def _record(data: bytes) -> object:
    """Also what is decided on it: a value may be possible in shape and impossible in sense."""
    topology = _example()
    record = msgspec.json.decode(data, type=Record)
    service = topology.services[0]
    readings = {name: Unreachable("no answer") for name in service.names}
    return decide(Look(service, topology.timing, Observed(NOW, readings, "not read"), record, NOW))


def _records() -> tuple[bytes, ...]:
    service = _example().services[0]
    nothing = unknown(service.key, frozenset(service.names), NOW)
    return (msgspec.json.encode(nothing), *_files("proving/fuzz/samples/record.json"))


def _claims(read: Callable[[Any], object]) -> Callable[[bytes], object]:
    return lambda data: read(parse_object(data))


def _command(claims: dict[str, Any]) -> object:
    return messages.decode_command(claims.get("command"))


def _heartbeat(claims: dict[str, Any]) -> object:
    heard = claims.get("heard", {})
    return (
        messages.decode_heartbeat_services(claims.get("services")),
        [messages.decode_epochs(each) for each in (heard.values() if isinstance(heard, dict) else [heard])],
        messages.decode_echo(claims.get("echo"), "nva-a"),
        messages.decode_failing(claims.get("failing")),
        messages.decode_back_within(claims.get("back_within")),
    )


def _arm(data: bytes) -> object:
    body = plain(json.loads(data))
    return (
        balancer_document.balancer_of(body),
        balancer_document.addresses_of(body),
        balancer_document.health_rows(body),
        balancer_document.noticed_within(body, "probe"),
    )


def _bird(data: bytes) -> object:
    lines = bird_text.answer(data).lines if bird_text.is_whole(data) else data.decode("utf-8", "replace").splitlines()
    bird_text.was_read_before(NOW, lines)
    return (
        bird_text.routes(lines, ()),
        bird_text.sent(lines),
        bird_text.protocols(lines, NOW),
        bird_text.prefixes(lines),
    )


def _frr(data: bytes) -> object:
    text = data.decode("utf-8", "replace")
    if not text.lstrip().startswith("{"):
        return frr_text.parse_running(text, 65001)
    return frr_text.peers(text, [IPv4Address("10.0.0.36")]), frr_text.sent(text), frr_text.neighbours(text)


def _of(topology: str, agent: str) -> Callable[[dict[str, Any]], object]:
    return lambda claims: decode_status(claims, topology, agent)


def _warrant(data: bytes) -> object:
    return warrants.commanded(data, {}, "hub-uksouth")


def _events(claims: dict[str, Any]) -> object:
    return maintenance.decode(claims, "nva-a")


def _toml(data: bytes) -> object:
    return agent_config.decode(data.decode("utf-8", "replace"))


def _routes(data: bytes) -> object:
    return learned_routes.routes(json.loads(data))


ORDERS = (b'{"by": "a", "to": "nva-b"}', b'{"minutes": 5, "reason": "x", "member": "nva-a"}')
TOKENS = (b"e30.e30.e30", b'{"iss": "nva-a"}')
SAMPLES, CONTRACTS, FIXTURES = "proving/fuzz/samples", "contracts/examples", "tests/fixtures"
STRICT = (HopkeeperError,)
JSON = (ValueError, *STRICT)
OF_AN_AGENT = (ValueError, Unauthentic)
ANYTHING = (Exception,)
"""`DaemonSpeaker` takes any error for a daemon that cannot be understood: here reading only must not hang."""


def targets() -> tuple[Target, ...]:
    """All of them."""
    return (
        Target("topology", _topology, _files("examples/*.yaml"), STRICT),
        Target("order", _order, ORDERS, STRICT),
        Target("alert or event", _alert, _files(f"{FIXTURES}/alerts/*.json", f"{FIXTURES}/eventgrid/*.json"), ()),
        Target("record", _record, _records(), (*kept.UNREADABLE, *STRICT)),
        Target("status", _claims(_of("hub-uksouth", "nva-a")), _files(f"{CONTRACTS}/status-*.json"), JSON),
        Target("report", _claims(decode_report), _files(f"{CONTRACTS}/report-*.json"), JSON),
        Target("sender", lambda data: claimed_sender(data.decode("latin-1")), TOKENS, STRICT),
        Target("command", _claims(_command), _files(f"{CONTRACTS}/command-*.json"), OF_AN_AGENT),
        Target("heartbeat", _claims(_heartbeat), _files(f"{CONTRACTS}/heartbeat-*.json"), OF_AN_AGENT),
        Target("warrant", _warrant, TOKENS, OF_AN_AGENT),
        Target("scheduled events", _claims(_events), _files(f"{SAMPLES}/events.json"), OF_AN_AGENT),
        Target("agent.toml", _toml, _files("nva_agent/agent.example.toml"), (ConfigError,)),
        Target("ARM", _arm, _files(f"{FIXTURES}/recordings/*.json"), JSON),
        Target("learned routes", _routes, _files(f"{SAMPLES}/routes.json"), JSON),
        Target("BIRD", _bird, _files(f"{SAMPLES}/bird-*"), ANYTHING),
        Target("FRR", _frr, _files(f"{SAMPLES}/frr-*"), ANYTHING),
    )
