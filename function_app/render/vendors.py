"""The languages that a configuration can be written in. Pure: the templates are read, nothing else.

The templates hold words and order; every decision is made in `implied`. An operator reviews what is rendered and merges it
into the existing configuration: it names no interface, no password and no gateway.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from enum import StrEnum

from jinja2 import Environment, PackageLoader, StrictUndefined

from function_app.domain.base.azure_limits import ROUTE_SERVER_ASN
from function_app.domain.base.errors import BadInput, Problem
from function_app.domain.topology.model import Speaker, Topology
from function_app.render.agents import agent_file
from function_app.render.implied import Frontends, InstanceAddresses, implied


class Vendor(StrEnum):
    """Whose language. For FRR and BIRD it is the operator's part, to which the agent adds its own at run time."""

    CISCO_IOSXE = "cisco-iosxe"
    JUNOS = "junos"
    FRR = "frr"
    BIRD = "bird"
    EXABGP = "exabgp"
    VYOS = "vyos"
    FORTIOS = "fortios"
    PANOS = "panos"
    F5_IMISH = "f5-imish"
    OPNSENSE_FRR = "opnsense-frr"


AGENT = "agent"
"""No language of BGP: the whole configuration of the agent, agent.toml."""

LANGUAGES = (*map(str, Vendor), AGENT)
"""All that can be rendered."""

AGENT_ANNOUNCES = frozenset({Vendor.FRR, Vendor.BIRD, AGENT})
"""Where the agent sets next hops and prepending in the running daemon, so that no address of a frontend is needed."""

PASSES_NOTHING_ON = frozenset({Vendor.FORTIOS, Vendor.PANOS, Vendor.F5_IMISH})
"""Firewalls, whose languages we render for what they announce themselves: no hub speaker, no relay."""

KNOWN_AS = {
    "juniper": Vendor.JUNOS,
    "fortinet": Vendor.FORTIOS,
    "fortigate": Vendor.FORTIOS,
    "paloalto": Vendor.PANOS,
    "pan-os": Vendor.PANOS,
    "f5": Vendor.F5_IMISH,
    "big-ip": Vendor.F5_IMISH,
    "tmsh": Vendor.F5_IMISH,
    "opnsense": Vendor.OPNSENSE_FRR,
}
"""Names that people give to a language that has another one here."""

_TEMPLATES = Environment(
    loader=PackageLoader("function_app.render"),
    autoescape=False,  # noqa: S701 - a router's configuration, not HTML; every value is a checked name or an address
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def render(
    topology: Topology, speaker_name: str, vendor: str, instances: InstanceAddresses, frontends: Frontends | None = None
) -> str:
    """The BGP configuration of a speaker at rest, or its agent's, the same text for the same input.

    Raises BadInput naming the path and the rule, as `implied` does, and for a vendor that is not known.
    """
    if vendor not in LANGUAGES:
        raise BadInput.of("vendor", f"{vendor!r} is none of {', '.join(LANGUAGES)}{did_you_mean(vendor)}")
    context = implied(topology, speaker_name, instances, frontends or {}, vendor not in AGENT_ANNOUNCES)
    speaker, path = context.speaker, f"$.speakers[{topology.speakers.index(context.speaker)}]"
    if problems := tuple(_unsayable(vendor, speaker, path)):
        raise BadInput(problems)
    about = agent_file(topology, speaker)
    return _TEMPLATES.get_template(f"{vendor}.j2").render(it=context, me=speaker, azure=ROUTE_SERVER_ASN, agent=about)


def _unsayable(vendor: str, speaker: Speaker, path: str) -> Iterator[Problem]:
    if vendor == AGENT and speaker.agent is None:
        yield Problem(f"{path}.agent", f"{speaker.name!r} has no agent")
    if vendor != AGENT and not speaker.peers_with:
        yield Problem(f"{path}.peersWith", f"{speaker.name!r} has no peers: nothing to configure")
    if vendor in PASSES_NOTHING_ON and (speaker.role == "hub" or speaker.relays):
        able = ", ".join(each for each in Vendor if each not in PASSES_NOTHING_ON)
        yield Problem("vendor", f"{speaker.name!r} passes on routes of others: that is rendered for {able}")


def did_you_mean(vendor: str) -> str:
    """The end of a sentence that refuses a vendor: the nearest name, if there is one; else empty."""
    near = get_close_matches(vendor.casefold(), [*LANGUAGES, *KNOWN_AS], n=1)
    return f"; did you mean {KNOWN_AS.get(near[0], near[0])}?" if near else ""
