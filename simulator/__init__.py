"""A small Azure for the demo, the lab and tests: wire formats over a world. It imports nothing of the product.

`world` and what it is made of hold state and behaviour over an injected clock (`kinds` says what a resource type is,
`documents` and `children` where children are, `refusals` what is not even tried); `arm`, with `verbs`, `extensions`,
`directory` and `long_running`, `monitor`, `event_grid`, `webhooks`, `identity` and `control` are wire formats over it;
`bgp` lets the Route Server instances receive real BGP, `scripted` the seed's peers speak; `server` and `__main__` run it
all, `clients` says how it is found; `seed_file` with `template` makes a seed of what people have (docs/simulator.md). Held to
recorded Azure traffic by tests/contract/test_simulator_*.

A seed is a JSON object; every key is optional:

    resources         ARM documents; `id` is required, `name` and `type` follow from it. One of the network resource
                      provider without an etag is completed: ids of children, back references, what ARM fills in
                      (`kinds.py`). Subscriptions and resource groups are there that one of them is in
    resourceGroups    [id], others that are there
    alerts            [{name, resourceId, metric: DipAvailability, threshold: 90, windowSeconds: 300, severity: 1}]
                      fires while the average is below the threshold
    bgp               [{peer: address, routes: [{network, nextHop, asPath}]}], what peers without a machine announce
    vnetPrefixes      {Route Server id: [prefix]}, what the Route Server itself advertises to its peers
    gateways          {virtual network gateway id: {learnedRoutes, advertisedRoutes, bgpPeerStatus: [row]}}
    effectiveRoutes   {network interface id: [row of the effective route table]}
    metrics           [{resourceId, name, localizedName, unit, values: [{timeStamp, total, …}]}], fixed data points
    permissions       [{scope: resource id, actions: [Microsoft.Network/virtualHubs/read, …]}], what the client may do;
                      without it everything. What is not granted is answered 403, as Azure does
    randomSeed        where ids and etags start from

All durations are Azure's seconds and shrink by the time factor; timestamps are real.
"""
