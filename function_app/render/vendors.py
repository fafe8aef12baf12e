"""The languages that a configuration can be written in. Pure: the templates are read, nothing else.

The templates hold words and order; every decision is made in `implied`. An operator reviews what is rendered and merges it
into the existing configuration: it names no interface, no password and no gateway.
"""

from enum import StrEnum

from jinja2 import Environment, PackageLoader, StrictUndefined

from function_app.domain.base.azure_limits import ROUTE_SERVER_ASN
from function_app.domain.base.errors import BadInput
from function_app.domain.topology.model import Topology
from function_app.render.implied import Frontends, InstanceAddresses, implied


class Vendor(StrEnum):
    """Whose language. For FRR and BIRD it is the operator's part, to which the agent adds its own at run time."""

    CISCO_IOSXE = "cisco-iosxe"
    JUNOS = "junos"
    FRR = "frr"
    BIRD = "bird"
    EXABGP = "exabgp"
    VYOS = "vyos"


AGENT_ANNOUNCES = frozenset({Vendor.FRR, Vendor.BIRD})
"""Where the agent sets next hops and prepending in the running daemon, so that no address of a frontend is needed."""

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
    """The BGP configuration of a speaker at rest, the same text for the same input.

    Raises BadInput naming the path and the rule, as `implied` does, and for a vendor that is not known.
    """
    if vendor not in set(Vendor):
        raise BadInput.of("vendor", f"{vendor!r} is none of {', '.join(Vendor)}")
    context = implied(topology, speaker_name, instances, frontends or {}, vendor not in AGENT_ANNOUNCES)
    return _TEMPLATES.get_template(f"{vendor}.j2").render(it=context, me=context.speaker, azure=ROUTE_SERVER_ASN)
