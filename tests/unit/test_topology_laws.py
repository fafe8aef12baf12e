"""Every law of a topology: the document that just keeps it is accepted, the next one is refused with path and rule."""

from collections.abc import Callable
from typing import Any

import pytest

from function_app.domain.base.azure_limits import RESERVED_ASNS
from function_app.domain.base.errors import BadInput
from function_app.domain.topology.document import from_plain
from function_app.domain.topology.laws import LAWS, Place
from function_app.domain.topology.laws.reserved import FORBIDDEN
from tests.builders import SUB, document, ranked_document

type Doc = dict[str, Any]
type Change = Callable[[Doc], object]

COMPUTE = SUB.replace("Microsoft.Network", "Microsoft.Compute")
PEM = "-----BEGIN CERTIFICATE-----\nMIIB+/=\n-----END CERTIFICATE-----"
NEIGHBOUR = {"address": "192.0.2.1", "asn": 65200}
OUTWARD = {"neighbours": [NEIGHBOUR], "prefixes": ["10.0.0.0/16"]}


def refusals(doc: Doc, place: Place | None = None) -> list[str]:
    try:
        from_plain(doc, place or Place())
    except BadInput as error:
        return [str(problem) for problem in error.problems]
    return []


def relayed_where_announced(doc: Doc) -> None:
    """nva-a announces its service to the Route Server that the relay leads to."""
    doc["speakers"][0]["peersWith"].append("rs-2")
    doc["speakers"][3]["relays"][0]["prefixes"] = ["0.0.0.0/0"]


def wide() -> Doc:
    """Two Route Servers, a hub speaker, a relay, a scale set, a network peering and a witness: and no law is broken."""
    doc = document()
    doc["routeServers"].append({"name": "rs-2", "id": f"{SUB}/virtualHubs/rs-2"})
    doc["speakers"] += [
        {"name": "hub-a", "address": "10.0.1.84", "asn": 65000, "role": "hub", "peersWith": ["rs"]},
        {
            "name": "relay",
            "address": "10.0.1.20",
            "asn": 65020,
            "peersWith": ["rs", "rs-2"],
            "relays": [{"from": "rs", "to": "rs-2", "prefixes": ["10.9.0.0/16"]}],
            "asOverride": True,
        },
        {
            "name": "watch",
            "address": "10.0.1.30",
            "asn": 65030,
            "role": "witness",
            "peersWith": [],
            "agent": {"port": 1, "certificate": PEM},
        },
        {"name": "behind", "address": "10.0.1.31", "asn": 65031, "peersWith": ["hub-a"]},
    ]
    doc["speakers"][0]["interface"] = f"{SUB}/networkInterfaces/nic"
    doc["speakers"][1]["agent"]["certificate"] = f"\n{PEM}\n"
    doc["scaleSets"] = [
        {"name": "fleet", "id": f"{COMPUTE}/virtualMachineScaleSets/fleet", "asn": 65010, "peersWith": ["rs"]},
        {"name": "other", "id": f"{COMPUTE}/virtualMachineScaleSets/other", "asn": 65010, "peersWith": ["rs-2"]},
    ]
    doc["networkPeerings"] = [
        {"name": "to-hub", "id": f"{SUB}/virtualNetworks/spoke/virtualNetworkPeerings/to-hub"},
        {"name": "to-far", "id": f"{SUB}/virtualNetworks/spoke/virtualNetworkPeerings/to-far"},
    ]
    return doc


def active_active(doc: Doc, **more: Any) -> None:
    doc["services"][0] |= {"mode": "active-active"} | more


def speaker(doc: Doc, i: int, **more: Any) -> None:
    doc["speakers"][i] |= more


def companion(doc: Doc, i: int, **agent: Any) -> None:
    """An agent with an address of its own, at which the load balancer's probe ends."""
    speaker(doc, i, agent={"port": 8443, "probe": 8080} | agent)


def bare(doc: Doc, **more: Any) -> None:
    """A member without an agent."""
    doc["speakers"][1] = {key: value for key, value in doc["speakers"][1].items() if key != "agent"} | more


def second_service(doc: Doc, **more: Any) -> None:
    balancer = {**doc["services"][0]["nextHop"]["loadBalancer"], "backendPool": "others"}
    second = {**doc["services"][0], "name": "other", "nextHop": {"loadBalancer": balancer}, "prefixes": ["10.8.0.0/16"]}
    doc["services"].append(second | more)


PUBLIC = {"id": f"{SUB}/loadBalancers/plb", "backendPool": "outer", "probe": "agent"}


def also_behind(doc: Doc, pools: list[Doc]) -> None:
    doc["services"][0]["nextHop"]["loadBalancer"]["alsoBehind"] = pools


def prefixes(count: int) -> list[str]:
    return [f"172.{16 + n // 256}.{n % 256}.0/24" for n in range(count)]


def test_the_wide_document_keeps_every_law() -> None:
    assert refusals(wide()) == []


BROKEN: list[tuple[str, Change, list[str]]] = [
    # names
    (
        "a Route Server's name is its own",
        lambda d: (
            d["routeServers"][1].update(name="rs")
            or speaker(d, 3, relays=[], asOverride=False, peersWith=["rs"])
            or d["scaleSets"].pop()
        ),
        ["$.routeServers[1].name: the name 'rs' is taken: names are unique"],
    ),
    (
        "a service's name is its own",
        lambda d: second_service(d, name="fw"),
        ["$.services[1].name: the name 'fw' is taken: names are unique"],
    ),
    (
        "a peering's name has at most 80 characters",
        lambda d: speaker(d, 5, name="b" * 63) or d.update(name="t" * 5),
        ["$.speakers[5].name: with the topology's it makes a peering name longer than 80 characters"],
    ),
    (
        "a Route Server is listed once, however its id is spelled",
        lambda d: d["routeServers"][1].update(id=f"{SUB}/virtualHubs/RS"),
        ["$.routeServers[1].id: this Route Server is already listed"],
    ),
    (
        "a Route Server is a virtual hub",
        lambda d: d["routeServers"][1].update(id=f"{SUB}/virtualNetworks/rs-2"),
        ["$.routeServers[1].id: a Route Server's id ends in Microsoft.Network/virtualHubs/{name}"],
    ),
    (
        "what is below a Route Server is none",
        lambda d: d["routeServers"][1].update(id=f"{SUB}/virtualHubs/rs-2/bgpConnections/x"),
        ["$.routeServers[1].id: a Route Server's id ends in Microsoft.Network/virtualHubs/{name}"],
    ),
    (
        "a machine is a virtual machine",
        lambda d: speaker(d, 0, vm=f"{COMPUTE}/virtualMachineScaleSets/x"),
        ["$.speakers[0].vm: a virtual machine's id ends in Microsoft.Compute/virtualMachines/{name}"],
    ),
    (
        "an interface is an interface",
        lambda d: speaker(d, 0, interface=f"{SUB}/networkInterfaces/nic/ipConfigurations/x"),
        ["$.speakers[0].interface: its id ends in Microsoft.Network/networkInterfaces/{name}"],
    ),
    (
        "a network peering is one of a virtual network",
        lambda d: d["networkPeerings"][0].update(id=f"{SUB}/virtualNetworks/spoke"),
        [
            "$.networkPeerings[0].id: its id ends in "
            "Microsoft.Network/virtualNetworks/{network}/virtualNetworkPeerings/{name}"
        ],
    ),
    (
        "a network peering's name is its own",
        lambda d: d["networkPeerings"][1].update(name="to-hub"),
        ["$.networkPeerings[1].name: the name 'to-hub' is taken: names are unique"],
    ),
    (
        "nor is it a Route Server's",
        lambda d: d["networkPeerings"][1].update(name="rs-2"),
        ["$.networkPeerings[1].name: the name 'rs-2' is taken: names are unique"],
    ),
    # speakers
    (
        "every network of the document is meant",
        lambda d: d.update(networks=["10.0.0.0/16", "10.5.0.0/16"]) or speaker(d, 0, address="10.6.0.1"),
        ["$.speakers[0].address: 10.6.0.1 is outside the declared networks (10.0.0.0/16, 10.5.0.0/16)"],
    ),
    (
        "the app connects inside the declared networks, to an agent with an address of its own, too",
        lambda d: companion(d, 0, address="10.6.0.1"),
        ["$.speakers[0].agent.address: 10.6.0.1 is outside the declared networks (10.0.0.0/16)"],
    ),
    (
        "nor is an agent at an address of the platform",
        lambda d: d.update(networks=["0.0.0.0/0"]) or companion(d, 0, address="169.254.169.254"),
        [
            "$.speakers[0].agent.address: "
            "169.254.169.254 is never a speaker: metadata, wire server, link-local or multicast"
        ],
    ),
    (
        "one agent an address",
        lambda d: companion(d, 0, address="10.0.9.4") or companion(d, 1, address="10.0.9.4", port=8444),
        ["$.speakers[1].agent.address: 10.0.9.4 already belongs to the agent of 'nva-a': one agent an address"],
    ),
    (
        "an agent is at no other speaker's address",
        lambda d: companion(d, 0, address="10.0.1.5"),
        ["$.speakers[0].agent.address: 10.0.1.5 already belongs to speaker 'nva-b': one agent an address"],
    ),
    (
        "behind a load balancer, the probe of a member ends at an agent that is elsewhere only by the operator's word",
        lambda d: companion(d, 0, address="10.0.9.4", probe=None),
        [
            "$.speakers[0].agent.probe: a load balancer probes 'nva-a' and not its agent at 10.0.9.4: if one machine has both "
            "addresses, `probe` is the port at each; else leave `agent` out: adminState alone moves it"
        ],
    ),
    *(
        (f"a check of a member is of {kind}", lambda d, w=watch: bare(d, watch=w), [f"$.speakers[1].watch: {rule}"])
        for kind, watch, rule in (
            ("ping without a port", {"port": 443}, "`ping` has no port and no path"),
            ("ping without a path", {"kind": "ping", "path": "/"}, "`ping` has no port and no path"),
            ("tcp with a port", {"kind": "tcp"}, "`tcp` needs a port"),
            ("http with a port", {"kind": "http", "path": "/"}, "`http` needs a port"),
            ("tcp without a path", {"kind": "tcp", "port": 443, "path": "/"}, "`tcp` has no path"),
        )
    ),
    *(
        (
            f"checks are of members without an agent: {whose}",
            lambda d, i=i: speaker(d, i, watch={}),
            [
                f"$.speakers[{i}].watch: is of a member without an agent: others are watched by heartbeats, or not at all"
            ],
        )
        for whose, i in (("one has one", 0), ("it is no member", 5))
    ),
    (
        "a certificate is PEM and nothing else",
        lambda d: speaker(d, 0, agent={"port": 8443, "certificate": PEM + PEM}),
        ["$.speakers[0].agent.certificate: is not one certificate in PEM, as `enroll` prints it"],
    ),
    (
        "a witness has an agent",
        lambda d: d["speakers"][4].pop("agent"),
        ["$.speakers[4].agent: a witness is an agent: it needs one"],
    ),
    (
        "a witness has no peers",
        lambda d: speaker(d, 4, peersWith=["rs"]),
        ["$.speakers[4].peersWith: a witness has no peers"],
    ),
    (
        "a witness announces nothing",
        lambda d: speaker(d, 4, announces=["10.8.0.0/16"]),
        ["$.speakers[4].announces: a witness announces nothing: it has no peers to announce it to"],
    ),
    # peerings
    (
        "a name of a speaker is no Route Server's",
        lambda d: speaker(d, 5, name="rs-2"),
        ["$.routeServers: 'rs-2' is also a speaker's name: `peersWith` would not know which is meant"],
    ),
    (
        "only hubs are peered with in place of a Route Server",
        lambda d: speaker(d, 5, peersWith=["hub-a", "nva-a"]),
        ["$.speakers[5].peersWith[1]: speaker 'nva-a' is no hub: only a hub passes routes on"],
    ),
    (
        "a peer is named once",
        lambda d: speaker(d, 5, peersWith=["hub-a", "hub-a"]),
        ["$.speakers[5].peersWith: a Route Server or hub is named twice"],
    ),
    (
        "a relay leads from a Route Server that its speaker peers with",
        lambda d: d["speakers"][3]["relays"][0].update({"from": "hub-a"}),
        ["$.speakers[3].relays[0].from: 'relay' does not peer with a Route Server named 'hub-a' (there are rs, rs-2)"],
    ),
    (
        "and to one",
        lambda d: speaker(d, 3, peersWith=["rs"]),
        ["$.speakers[3].relays[0].to: 'relay' does not peer with a Route Server named 'rs-2'"],
    ),
    (
        "one connection is adopted for one speaker, however it is spelled",
        lambda d: d["routeServers"][0].update(adopt={"nva-a": "theirs", "nva-b": "THEIRS"}),
        ["$.routeServers[0].adopt: 'theirs' is adopted for more than one speaker"],
    ),
    (
        "a connection of ours is not adopted, however it is spelled",
        lambda d: d["routeServers"][0].update(adopt={"nva-a": "HopKeeper-x_y"}),
        ["$.routeServers[0].adopt.nva-a: 'HopKeeper-x_y' is a connection of Hopkeeper's own"],
    ),
    (
        "who is adopted peers with that Route Server",
        lambda d: d["routeServers"][1].update(adopt={"relay": "a", "nva-a": "b"}),
        ["$.routeServers[1].adopt: no speaker 'nva-a' peers with 'rs-2'"],
    ),
    (
        "only connections of ours are removed",
        lambda d: d["routeServers"][1].update(remove=["hopkeeper-hub_gone", "theirs"]),
        [
            "$.routeServers[1].remove[1]: 'theirs' is not a connection of this topology, and not adopted: "
            "it is never touched"
        ],
    ),
    # scale sets
    (
        "a scale set's name is no other scale set's",
        lambda d: d["scaleSets"][1].update(name="fleet"),
        ["$.scaleSets[1].name: the name 'fleet' is taken: names are unique"],
    ),
    (
        "nor a Route Server's",
        lambda d: d["scaleSets"][1].update(name="rs"),
        ["$.scaleSets[1].name: the name 'rs' is taken: names are unique"],
    ),
    (
        "nor a speaker's",
        lambda d: d["scaleSets"][1].update(name="relay"),
        ["$.scaleSets[1].name: the name 'relay' is taken: names are unique"],
    ),
    (
        "no speaker is named as an instance would be",
        lambda d: speaker(d, 5, name="fleet-12"),
        ["$.scaleSets[0].name: speaker 'fleet-12' has the name of an instance"],
    ),
    (
        "an instance's peering has a name of at most 80 characters",
        lambda d: d["scaleSets"][1].update(name="s" * 58),
        ["$.scaleSets[1].name: with the topology's and an instance's it makes a peering name longer than 80"],
    ),
    (
        "a scale set is one of virtual machines",
        lambda d: d["scaleSets"][1].update(id=f"{COMPUTE}/virtualMachines/x"),
        ["$.scaleSets[1].id: a scale set's id ends in Microsoft.Compute/virtualMachineScaleSets/{name}"],
    ),
    (
        "an instance is no scale set",
        lambda d: d["scaleSets"][1].update(id=f"{COMPUTE}/virtualMachineScaleSets/x/virtualMachines/0"),
        ["$.scaleSets[1].id: a scale set's id ends in Microsoft.Compute/virtualMachineScaleSets/{name}"],
    ),
    (
        "a scale set's ASN is not reserved",
        lambda d: d["scaleSets"][1].update(asn=65515),
        [
            "$.scaleSets[1].asn: ASN 65515 is reserved by Azure or IANA: take one of 64512 to 65534 but 65515 and 65517 to 65520"
        ],
    ),
    (
        "a scale set peers with Route Servers only",
        lambda d: d["scaleSets"][1].update(peersWith=["rs", "hub-a"]),
        ["$.scaleSets[1].peersWith[1]: no Route Server is named 'hub-a' (there are rs, rs-2)"],
    ),
    # services
    (
        "no more members can be healthy than there are",
        lambda d: active_active(d, minHealthy=3),
        ["$.services[0].minHealthy: 3 cannot be healthy among 2 members"],
    ),
    (
        "what is always served by all is never handed over",
        lambda d: active_active(d, handover="exclusive"),
        ["$.services[0].handover: exclusive needs a load balancer that one member at a time is behind"],
    ),
    (
        "a prefix is listed once",
        lambda d: d["services"][0].update(prefixes=["10.1.0.0/16", "10.1.0.0/16"]),
        ["$.services[0].prefixes: a prefix is listed twice"],
    ),
    (
        "a load balancer is a load balancer",
        lambda d: d["services"][0]["nextHop"]["loadBalancer"].update(id=f"{SUB}/virtualHubs/ilb"),
        ["$.services[0].nextHop.loadBalancer.id: a load balancer's id ends in Microsoft.Network/loadBalancers/{name}"],
    ),
    (
        "a backend pool is no load balancer",
        lambda d: d["services"][0]["nextHop"]["loadBalancer"].update(id=f"{SUB}/loadBalancers/x/backendAddressPools/y"),
        ["$.services[0].nextHop.loadBalancer.id: a load balancer's id ends in Microsoft.Network/loadBalancers/{name}"],
    ),
    (
        "a pool of another load balancer is another pool, and this one has one service",
        lambda d: second_service(d, nextHop=d["services"][0]["nextHop"]),
        [
            "$.services[1].nextHop.loadBalancer.backendPool: backend pool 'nvas' already belongs to service 'fw': "
            "one service a pool"
        ],
    ),
    (
        "a service is behind one pool of each load balancer",
        lambda d: also_behind(d, [PUBLIC, PUBLIC | {"backendPool": "more"}]),
        [
            "$.services[0].nextHop.loadBalancer.alsoBehind[1].id: is listed already: a service has one pool of each load "
            "balancer"
        ],
    ),
    (
        "a pool that a service is also behind has no other one",
        lambda d: (
            also_behind(d, [PUBLIC])
            or second_service(d)
            or d["services"][1]["nextHop"]["loadBalancer"].update(alsoBehind=[PUBLIC])
        ),
        [
            "$.services[1].nextHop.loadBalancer.alsoBehind[0].backendPool: backend pool 'outer' already belongs to "
            "service 'fw': one service a pool"
        ],
    ),
    (
        "the addresses of a pool are its members', one each",
        lambda d: also_behind(d, [PUBLIC | {"addresses": {"nva-x": "10.0.3.4", "nva-a": "10.0.1.5"}}]),
        [
            "$.services[0].nextHop.loadBalancer.alsoBehind[0].addresses: 'nva-x' is no member of service 'fw'",
            "$.services[0].nextHop.loadBalancer.alsoBehind[0].addresses: 10.0.1.5 is the address of two members",
        ],
    ),
    (
        "a speaker announces as many prefixes as its Route Server takes",
        lambda d: d["timing"].update(prefixesPerPeer=1) or second_service(d),
        [
            "$.speakers[0]: 2 prefixes: a Route Server takes at most 1 from a peer",
            "$.speakers[1]: 2 prefixes: a Route Server takes at most 1 from a peer",
        ],
    ),
    (
        "a client has another ASN than its hub",
        lambda d: speaker(d, 5, asn=65000),
        ["$.speakers[5].asn: hub 'hub-a' has ASN 65000 too: a client needs another one"],
    ),
    (
        "no more than a quarter of an hour goes without a look",
        lambda d: d["timing"].update(sweep="PT15M1S"),
        ["$.timing.sweep: is longer than 900 s: nothing looks meanwhile"],
    ),
    (
        "agents take the period of their heartbeats",
        lambda d: d["timing"].update(gossipPeriod="PT0.019S"),
        ["$.timing.gossipPeriod: is shorter than 0.02 s, which no agent takes"],
    ),
    (
        "a speaker lists a prefix of its own once",
        lambda d: speaker(
            d, 5, announces=["10.8.0.0/16", {"prefix": "10.8.0.0/16", "nextHop": {"address": "10.0.1.99"}}]
        ),
        ["$.speakers[5].announces[1]: 10.8.0.0/16 is listed twice"],
    ),
    (
        "a next hop is an address or a frontend",
        lambda d: speaker(d, 5, announces=[{"prefix": "10.8.0.0/16", "nextHop": {}}]),
        ["$.speakers[5].announces[0].nextHop: needs exactly one of: address, frontend"],
    ),
    (
        "and not both",
        lambda d: speaker(
            d, 5, announces=[{"prefix": "10.8.0.0/16", "nextHop": {"address": "10.0.1.99", "frontend": "fw"}}]
        ),
        ["$.speakers[5].announces[0].nextHop: needs exactly one of: address, frontend"],
    ),
    (
        "a frontend is that of a service behind a load balancer",
        lambda d: speaker(d, 5, announces=[{"prefix": "10.8.0.0/16", "nextHop": {"frontend": "fe"}}]),
        [
            "$.speakers[5].announces[0].nextHop: no service behind a load balancer is named 'fe': `frontend` means that of "
            "a service"
        ],
    ),
    (
        "an address of the platform is no next hop",
        lambda d: speaker(d, 5, announces=[{"prefix": "10.8.0.0/16", "nextHop": {"address": "168.63.129.16"}}]),
        ["$.speakers[5].announces[0].nextHop: 168.63.129.16 is never a next hop: reserved by the platform or IANA"],
    ),
    (
        "a former name is no other service's",
        lambda d: second_service(d, formerly="fw"),
        ["$.services[1]: 'fw' is, or was formerly, the name of service 'fw'"],
    ),
    (
        "one speaker announces a prefix for one service",
        lambda d: second_service(d, prefixes=["0.0.0.0/0"]),
        [
            *(
                f"$.speakers[{i}]: 0.0.0.0/0 is announced for both 'fw' and 'other': one service a prefix"
                for i in (0, 1)
            ),
            "$.services[0].prefixes: 0.0.0.0/0 is announced to 'rs' by service 'other' too: one source a prefix",
            "$.services[1].prefixes: 0.0.0.0/0 is announced to 'rs' by service 'fw' too: one source a prefix",
        ],
    ),
    *(
        (
            f"a prefix of a service has no other source on a Route Server: {source}",
            change,
            [f"$.services[0].prefixes: 0.0.0.0/0 is announced to {server!r} by {source} too: one source a prefix"],
        )
        for source, server, change in (
            ("`announces` of 'nva-b'", "rs", lambda d: d["speakers"][1].update(announces=["0.0.0.0/0"])),
            ("`announces` of 'behind'", "rs", lambda d: d["speakers"][5].update(announces=["0.0.0.0/0"])),
            ("scale set 'fleet'", "rs", lambda d: d["scaleSets"][0].update(announces=["0.0.0.0/0"])),
        )
    ),
    (
        "a prefix of a service has no other source on a Route Server: a relay",
        lambda d: relayed_where_announced(d),
        ["$.services[0].prefixes: 0.0.0.0/0 is announced to 'rs-2' by a relay of 'relay' too: one source a prefix"],
    ),
    # outward
    (
        "a service is judged although the one before it announces nothing outward",
        lambda d: second_service(d, outward=OUTWARD | {"neighbours": [NEIGHBOUR, NEIGHBOUR]}),
        ["$.services[1].outward.neighbours[1].address: 192.0.2.1 is listed twice"],
    ),
    (
        "what a service announces inward is not announced outward for another that has an outward of its own",
        lambda d: (
            d["services"][0].update(outward=OUTWARD | {"prefixes": ["10.8.0.0/16"]})
            or second_service(d, outward=OUTWARD)
        ),
        ["$.services[0].outward.prefixes: 10.8.0.0/16 is announced for service 'other' by the same members"],
    ),
    (
        "a neighbour on-premises is at no address of the platform",
        lambda d: d["services"][0].update(outward=OUTWARD | {"neighbours": [{"address": "127.0.0.9", "asn": 65200}]}),
        [
            "$.services[0].outward.neighbours[0].address: 127.0.0.9 is never a neighbour: "
            "reserved by the platform or IANA"
        ],
    ),
    (
        "a neighbour on-premises is no speaker",
        lambda d: d["services"][0].update(outward=OUTWARD | {"neighbours": [{"address": "10.0.1.5", "asn": 65200}]}),
        ["$.services[0].outward.neighbours[0].address: 10.0.1.5 is speaker 'nva-b': outward is beyond Azure"],
    ),
    (
        "a neighbour on-premises is no Route Server",
        lambda d: d["services"][0].update(outward=OUTWARD | {"neighbours": [NEIGHBOUR | {"asn": 65515}]}),
        ["$.services[0].outward.neighbours[0].asn: ASN 65515 is a Route Server's: name it in `peersWith`"],
    ),
    (
        "a neighbour is listed once",
        lambda d: d["services"][0].update(outward=OUTWARD | {"neighbours": [NEIGHBOUR, NEIGHBOUR]}),
        ["$.services[0].outward.neighbours[1].address: 192.0.2.1 is listed twice"],
    ),
    (
        "a neighbour has one ASN in the whole document",
        lambda d: (
            d["services"][0].update(outward=OUTWARD)
            or second_service(d, outward={"neighbours": [NEIGHBOUR | {"asn": 65201}], "prefixes": ["10.1.0.0/16"]})
        ),
        ["$.services[1].outward.neighbours[0].asn: 192.0.2.1 has ASN 65200 elsewhere in this document"],
    ),
    (
        "a prefix is announced outward once",
        lambda d: d["services"][0].update(outward=OUTWARD | {"prefixes": ["10.1.0.0/16", "10.1.0.0/16"]}),
        ["$.services[0].outward.prefixes: a prefix is listed twice"],
    ),
    (
        "at most 200 prefixes are announced outward",
        lambda d: d["services"][0].update(outward=OUTWARD | {"prefixes": prefixes(201)}),
        ["$.services[0].outward.prefixes: 201 prefixes: an agent takes at most 200"],
    ),
    (
        "what members announce for one service they do not announce outward for another",
        lambda d: (
            d["services"][0].update(outward=OUTWARD | {"prefixes": ["10.8.0.0/16"]}) or second_service(d, outward=None)
        ),
        ["$.services[0].outward.prefixes: 10.8.0.0/16 is announced for service 'other' by the same members"],
    ),
    (
        "nor outward for both",
        lambda d: d["services"][0].update(outward=OUTWARD) or second_service(d, outward=OUTWARD),
        [
            "$.services[0].outward.prefixes: 10.0.0.0/16 is announced for service 'other' by the same members",
            "$.services[1].outward.prefixes: 10.0.0.0/16 is announced for service 'fw' by the same members",
        ],
    ),
]


@pytest.mark.parametrize(("change", "expected"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_a_broken_law_is_the_only_one_that_is_named(change: Change, expected: list[str]) -> None:
    doc = wide()
    change(doc)
    assert refusals(doc) == expected


KEPT: list[tuple[str, Change]] = [
    ("a peering's name has 80 characters", lambda d: speaker(d, 5, name="b" * 62) or d.update(name="t" * 5)),
    ("an instance's peering has a name of 80 characters", lambda d: d["scaleSets"][1].update(name="s" * 57)),
    ("a speaker's name only begins as an instance's would", lambda d: speaker(d, 5, name="fleet-12x")),
    ("an agent has an address of its own", lambda d: companion(d, 0, address="10.0.9.4")),
    ("an agent names the speaker's own address", lambda d: companion(d, 0, address="10.0.1.4", probe=None)),
    ("an agent that no load balancer probes", lambda d: speaker(d, 4, agent={"port": 1, "address": "10.0.9.4"})),
    ("a member is watched by ping", lambda d: bare(d, watch={"fall": 4})),
    ("a member is watched by http", lambda d: bare(d, watch={"kind": "http", "port": 80, "path": "/up?deep=1"})),
    (
        "a member is watched by the agent beside it",
        lambda d: companion(d, 0, address="10.0.9.4") or speaker(d, 0, watch={"kind": "tcp", "port": 22}),
    ),
    ("a speaker is in the second network", lambda d: d.update(networks=["10.9.0.0/16", "10.0.0.0/16"])),
    ("two members of two are to be healthy", lambda d: active_active(d, minHealthy=2)),
    ("a speaker peers with a hub beside a Route Server", lambda d: speaker(d, 5, peersWith=["rs", "hub-a"])),
    ("a hub peers with a second Route Server", lambda d: speaker(d, 2, peersWith=["rs", "rs-2"])),
    ("another's connection is adopted", lambda d: d["routeServers"][0].update(adopt={"nva-a": "theirs", "nva-b": "b"})),
    (
        "an adopted connection may be removed",
        lambda d: d["routeServers"][0].update(adopt={"nva-a": "theirs"}, remove=["THEIRS"]),
    ),
    (
        "what a speaker announces by itself may have next hops of its own",
        lambda d: speaker(
            d,
            5,
            announces=[
                "10.7.0.0/16",
                {"prefix": "10.8.0.0/16", "nextHop": {"frontend": "fw"}},
                {"prefix": "10.6.0.0/16", "nextHop": {"address": "10.0.1.99"}},
            ],
        ),
    ),
    ("sweeps a quarter of an hour apart", lambda d: d["timing"].update(sweep="PT15M", gossipPeriod="PT0.02S")),
    ("600 prefixes fit into a command", lambda d: d["services"][0].update(prefixes=prefixes(600))),
    ("as many prefixes as a Route Server takes", lambda d: d["timing"].update(prefixesPerPeer=2) or second_service(d)),
    (
        "200 prefixes are announced outward",
        lambda d: d["services"][0].update(outward=OUTWARD | {"prefixes": prefixes(200)}),
    ),
    (
        "one neighbour is two services'",
        lambda d: (
            d["services"][0].update(outward=OUTWARD)
            or second_service(d, outward={"neighbours": [NEIGHBOUR], "prefixes": ["10.1.0.0/16"]})
        ),
    ),
    (
        "one pool name in two load balancers",
        lambda d: (
            second_service(d)
            or d["services"][1]["nextHop"]["loadBalancer"].update(id=f"{SUB}/loadBalancers/two", backendPool="nvas")
        ),
    ),
    (
        "other members announce for a service what these announce outward",
        lambda d: (
            d["speakers"].append(
                {"name": "nva-x", "address": "10.0.1.99", "asn": 65001, "agent": {"port": 1}, "peersWith": ["rs-2"]}
            )
            or d["services"][0].update(outward=OUTWARD | {"prefixes": ["10.8.0.0/16"]})
            or second_service(d, members=[{"speaker": "nva-x"}], outward=None)
        ),
    ),
    (
        "on another Route Server the prefix of a service may have other sources",
        lambda d: d["scaleSets"][1].update(announces=["0.0.0.0/0"]),
    ),
    (
        "other members announce the same outward",
        lambda d: (
            d["speakers"].append(
                {"name": "nva-x", "address": "10.0.1.99", "asn": 65001, "agent": {"port": 1}, "peersWith": ["rs-2"]}
            )
            or d["services"][0].update(outward=OUTWARD)
            or second_service(d, members=[{"speaker": "nva-x"}], outward=OUTWARD)
        ),
    ),
]


@pytest.mark.parametrize("change", [row[1] for row in KEPT], ids=[row[0] for row in KEPT])
def test_what_just_keeps_the_laws_is_accepted(change: Change) -> None:
    doc = wide()
    change(doc)
    assert refusals(doc) == []


@pytest.mark.parametrize("network", FORBIDDEN, ids=str)
def test_no_speaker_is_at_an_address_of_the_platform(network: Any) -> None:
    doc = wide()
    doc["networks"] = ["0.0.0.0/0"]
    for address in (network[0], network[-1]):
        speaker(doc, 0, address=str(address))
        rule = f"{address} is never a speaker: metadata, wire server, link-local or multicast"
        assert f"$.speakers[0].address: {rule}" in refusals(doc, Place(allow_loopback=True))


def test_these_networks_and_asns_are_reserved() -> None:
    assert [str(network) for network in FORBIDDEN] == [
        "0.0.0.0/8", "169.254.0.0/16", "168.63.129.16/32", "224.0.0.0/4", "240.0.0.0/4",
    ]  # fmt: skip
    assert sorted(RESERVED_ASNS) == [8074, 8075, 12076, 23456, *range(64496, 64512), 65515, *range(65517, 65521)]


def test_only_a_lab_lets_speakers_and_neighbours_use_loopback_addresses() -> None:
    doc = document(networks=["127.0.0.0/8"])
    speaker(doc, 0, address="127.0.0.1")
    speaker(doc, 1, address="127.255.255.255")
    doc["services"][0]["outward"] = OUTWARD | {"neighbours": [{"address": "127.0.0.9", "asn": 65200}]}
    assert refusals(doc, Place(allow_loopback=True)) == []
    assert [refusal.split(":")[0] for refusal in refusals(doc)] == [
        "$.speakers[0].address",
        "$.speakers[1].address",
        "$.services[0].outward.neighbours[0].address",
    ]


RANKED: list[tuple[str, Change, list[str]]] = [
    (
        "ranked services have one holder",
        active_active,
        ["$.services[0].mode: only behind a load balancer can a service be active-active"],
    ),
    (
        "a best path changes at once",
        lambda d: d["services"][0].update(handover="seamless"),
        ["$.services[0].handover: seamless needs a load balancer that one member at a time is behind"],
    ),
    (
        "an announcer is a speaker",
        lambda d: d["services"][0]["nextHop"]["member"].update(announcers=["ws1", "gone"]),
        ["$.services[0].nextHop.member.announcers: no speaker is named 'gone' (there are nva-a, nva-b, ws1)"],
    ),
    (
        "an announcer peers with a Route Server",
        lambda d: speaker(d, 2, peersWith=[]),
        ["$.services[0].nextHop.member.announcers: 'ws1' peers with no Route Server: it cannot announce"],
    ),
    (
        "an announcer has an agent",
        lambda d: d["speakers"][2].pop("agent"),
        ["$.services[0].nextHop.member.announcers: speaker 'ws1' has no agent: an announcer is commanded through one"],
    ),
    (
        "an announcer is listed once",
        lambda d: d["services"][0]["nextHop"]["member"].update(announcers=["ws1", "ws1"]),
        ["$.services[0].nextHop.member.announcers: an announcer is listed twice"],
    ),
]


@pytest.mark.parametrize(("change", "expected"), [row[1:] for row in RANKED], ids=[row[0] for row in RANKED])
def test_a_law_of_announcers_is_the_only_one_that_is_named(change: Change, expected: list[str]) -> None:
    doc = ranked_document(2, ("ws1",))
    assert refusals(doc) == []
    change(doc)
    assert refusals(doc) == expected


def test_services_of_every_kind_are_judged_whatever_stands_before_them() -> None:
    doc = wide()
    second_service(doc, nextHop={"member": {"announcers": ["gone"]}})
    second_service(doc, name="third", prefixes=["10.7.0.0/16"], nextHop=doc["services"][0]["nextHop"])
    assert [refusal.split(":")[0] for refusal in refusals(doc)] == [
        "$.services[1].nextHop.member.announcers",
        "$.services[2].nextHop.loadBalancer.backendPool",
    ]


@pytest.mark.parametrize(("bare", "refused"), [((0,), True), ((1,), False), ((0, 1), True)])
def test_what_would_never_return_is_refused_to_return_by_itself(bare: tuple[int, ...], refused: bool) -> None:
    """Without an agent nothing shows that a member is ready; the one of lowest priority has no one to return from."""
    doc = document()
    for number in bare:
        del doc["speakers"][number]["agent"]
    assert refusals(doc) == []
    doc["services"][0]["failover"] = {"preempt": "ready"}
    rule = (
        "$.services[0].failover.preempt: 'nva-a' has no agent, and nothing shows that it is ready: it would never return. Leave "
        "it `never`, and `switchover` to it once it is well"
    )
    assert refusals(doc) == [rule] * refused


@pytest.mark.parametrize(("members", "expected"), [(8, 0), (9, 1)])
def test_at_most_eight_members_announce_themselves(members: int, expected: int) -> None:
    doc = ranked_document(members)
    doc["routeServers"][0]["slots"] = "byPriority"
    rule = "$.services[0].members: at most 8 announcers have AS paths of distinct length"
    assert refusals(doc) == [rule] * expected


def test_no_law_stops_at_the_first_that_breaks_it() -> None:
    doc = wide()
    for i in range(len(doc["speakers"])):
        speaker(doc, i, asn=65515 if i != 5 else 65517)
    assert [refusal.split(":")[0] for refusal in refusals(doc)] == [f"$.speakers[{i}].asn" for i in range(6)]


def test_each_law_is_held_once() -> None:
    assert len(set(LAWS)) == len(LAWS)
