"""Which platform metrics a resource type has, and what Azure Monitor refuses of a request for them.

Names, units and dimensions from the pages "Supported metrics for Microsoft.Network/..." (generated, 2026-07-13; stored copies
55736612636 for virtualHubs, 4384633577 for loadBalancers). Refusals: a wrong metric (7436174818, 39551572992), interval
(2661872653) and dimension (304791203), each 400 with a flat body (54714476669).
"""

from dataclasses import dataclass

from simulator.state import FlatError

GRAINS = {
    "PT1M": "00:01:00",
    "PT5M": "00:05:00",
    "PT15M": "00:15:00",
    "PT30M": "00:30:00",
    "PT1H": "01:00:00",
    "PT6H": "06:00:00",
    "PT12H": "12:00:00",
    "P1D": "1.00:00:00",
}


@dataclass(frozen=True, slots=True)
class Definition:
    name: str
    label: str
    description: str
    unit: str = "Count"
    dimensions: tuple[str, ...] = ()


_PATH = ("FrontendIPAddress", "FrontendPort")
_PEER = ("routeserviceinstance", "bgppeerip", "bgppeertype")
_SNAT = ("FrontendIPAddress", "BackendIPAddress", "ProtocolType")
_FLOW = (*_PATH, "Direction")

DEFINITIONS: dict[str, tuple[Definition, ...]] = {
    "microsoft.network/loadbalancers": (
        Definition(
            *("VipAvailability", "Data Path Availability"),
            "Average Load Balancer data path availability per time duration",
            dimensions=_PATH,
        ),
        Definition(
            *("DipAvailability", "Health Probe Status"),
            "Average Load Balancer health probe status per time duration",
            dimensions=("ProtocolType", "BackendPort", *_PATH, "BackendIPAddress"),
        ),
        Definition(
            "ByteCount", "Byte Count", "Total number of Bytes transmitted within time period", "Bytes", dimensions=_FLOW
        ),
        Definition(
            "PacketCount", "Packet Count", "Total number of Packets transmitted within time period", dimensions=_FLOW
        ),
        Definition(
            "SYNCount", "SYN Count", "Total number of SYN Packets transmitted within time period", dimensions=_FLOW
        ),
        Definition(
            *("SnatConnectionCount", "SNAT Connection Count"),
            "Total number of new SNAT connections created within time period",
            dimensions=(*_SNAT, "ConnectionState"),
        ),
        Definition(
            *("AllocatedSnatPorts", "Allocated SNAT Ports"),
            "Total number of SNAT ports allocated within time period",
            dimensions=_SNAT,
        ),
        Definition(
            "UsedSnatPorts", "Used SNAT Ports", "Total number of SNAT ports used within time period", dimensions=_SNAT
        ),
    ),
    "microsoft.network/virtualhubs": (
        Definition("BgpPeerStatus", "Bgp Peer Status", "1 - Connected, 0 - Not connected", dimensions=_PEER),
        Definition(
            *("CountOfRoutesAdvertisedToPeer", "Count Of Routes Advertised To Peer"),
            "Total number of routes advertised to peer",
            dimensions=_PEER,
        ),
        Definition(
            *("CountOfRoutesLearnedFromPeer", "Count Of Routes Learned From Peer"),
            "Total number of routes learned from peer",
            dimensions=_PEER,
        ),
    ),
}


def demand_metric(resource_type: str, name: str, known: tuple[Definition, ...]) -> Definition:
    """Raises FlatError for a name that none of them has."""
    for one in known:
        if one.name.lower() == name.lower():
            return one
    provider, _, kind = resource_type.partition("/")
    raise FlatError(
        400,
        "BadRequest",
        f"Failed to find metric configuration for provider: {provider}, resource Type: {kind}, metric: {name}, "
        f"Valid metrics: {','.join(one.name for one in known)}",
    )


def demand_grain(interval: str) -> None:
    """Raises FlatError for an interval that is none of Azure Monitor's."""
    if interval not in GRAINS:
        words = f"Invalid time grain duration: {interval}, supported ones are: {','.join(GRAINS.values())}"
        raise FlatError(400, "BadRequest", words)


def demand_dimensions(definition: Definition, names: tuple[str, ...]) -> None:
    """Raises FlatError for a dimension that the metric has not."""
    known = {one.lower() for one in definition.dimensions}
    wrong = [name for name in names if name.lower() not in known]
    if wrong:
        raise FlatError(
            400,
            "BadRequest",
            f"Metric: {definition.name} does not support requested dimension combination: {','.join(wrong)}, "
            f"supported ones are: {','.join(definition.dimensions)}",
        )
