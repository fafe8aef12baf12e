"""What Azure decides, for every customer alike: each limit once, with its source.

What Azure decides and may raise some day is a setting of the topology (`timing`) with its default from here. How sure each
value is, and where it was read: azure-facts.md section 1 (peerings) and azure-facts.md section 2 (routes).
"""

ROUTE_SERVER_ASN = 65515
"""The AS of every Azure Route Server. It cannot be changed, and a Route Server drops a route whose AS path holds it
("Azure Route Server FAQ"; "multi-region networking with Azure Route Server")."""

ROUTE_SERVER_INSTANCES = 2
"""A Route Server has two instances (ARM `virtualRouterIps`). An NVA peers with both and announces the same to both:
maintenance takes one away without notice ("Azure Route Server FAQ")."""

RESERVED_ASNS = frozenset({8074, 8075, 12076, 23456, ROUTE_SERVER_ASN, *range(65517, 65521), *range(64496, 64512)})
"""AS numbers that Azure or IANA reserve, so that no NVA may have them ("Azure Route Server FAQ": which ASNs can I use?).
65535 and above are excluded by `ASN_MAX`."""

ASN_MAX = 65534
"""A Route Server peers with two-byte AS numbers only ("Azure Route Server FAQ"); 65535 is reserved (RFC 7300)."""

RESERVED_ASN = "is reserved by Azure or IANA: take one of 64512 to 65534 but 65515 and 65517 to 65520"

PEERS_MAX = 8
"""BGP peerings of one Route Server, in any provisioning state ("Azure Route Server limits")."""

PREFIXES_PER_PEER = 4000
"""Prefixes that one peer may announce to a Route Server ("Azure Route Server limits"; 1,000 in the pages of 2023). The
session ends when the prefixes held and those of an incoming UPDATE together are more (measured in a published lab)."""

RESOURCE_NAME_MAX = 80
"""Characters in the name of a resource under Microsoft.Network ("Naming rules for Azure resources")."""
