// Custom roles with exactly the actions that the app's code uses; tests/infra/test_role.py holds both together.
targetScope = 'subscription'

@description('Suffix of the roles\' names.')
param name string

@description('Subscriptions of every Route Server and load balancer, as `/subscriptions/{id}`; the roles may be assigned there.')
@minLength(1)
param subscriptions string[]

// One role per kind of scope, so that none is granted where it is of no use.
var roles = [
  {
    key: 'route-server'
    description: 'Reads a Route Server, its peerings, learned and advertised routes; creates and deletes peerings.'
    actions: [
      'Microsoft.Network/virtualHubs/read'
      // The published operations do not name the reading of learned and advertised routes, and a role that names it
      // could be refused.
      'Microsoft.Network/virtualHubs/bgpConnections/*'
    ]
  }
  {
    key: 'load-balancer'
    description: 'Reads a load balancer and its backends\' health; writes their admin state and one tag.'
    actions: [
      'Microsoft.Network/loadBalancers/read'
      'Microsoft.Network/loadBalancers/write'
      'Microsoft.Network/loadBalancers/backendAddressPools/read'
      'Microsoft.Network/loadBalancers/backendAddressPools/write'
      'Microsoft.Network/loadBalancers/backendAddressPools/join/action'
      'Microsoft.Network/loadBalancers/loadBalancingRules/health/action'
    ]
  }
  {
    key: 'backend-network'
    description: 'Names a network\'s addresses in a backend pool that holds addresses and not interfaces.'
    actions: [
      'Microsoft.Network/virtualNetworks/joinLoadBalancer/action'
      // Asked for where an address of the pool names its subnet.
      'Microsoft.Network/virtualNetworks/subnets/joinLoadBalancer/action'
    ]
  }
  {
    key: 'subscription'
    description: 'Reads metrics and the state of long-running operations, which Azure serves at subscription scope only.'
    actions: [
      'Microsoft.Insights/metrics/read'
      'Microsoft.Network/locations/operationResults/read'
      'Microsoft.Network/locations/operations/read'
    ]
  }
  {
    key: 'appliance-network'
    description: 'Reads the NVAs\' network interfaces, their virtual networks and route tables, for preflight.'
    actions: [
      'Microsoft.Network/networkInterfaces/read'
      'Microsoft.Network/virtualNetworks/read'
      'Microsoft.Network/routeTables/read'
    ]
  }
  {
    key: 'health-logs'
    description: 'Queries the load balancers\' health events in one workspace.'
    actions: [
      'Microsoft.OperationalInsights/workspaces/query/read'
      // Not every table's action is published, and a role that names one that is not is refused.
      'Microsoft.OperationalInsights/workspaces/query/*/read'
    ]
  }
  {
    key: 'interface'
    description: 'Reads the effective routes of a network interface.'
    actions: ['Microsoft.Network/networkInterfaces/effectiveRouteTable/action']
  }
  {
    key: 'network-peering'
    description: 'Reads the peerings of a virtual network.'
    actions: ['Microsoft.Network/virtualNetworks/virtualNetworkPeerings/read']
  }
  {
    key: 'network-peering-flags'
    description: 'Repairs the flags of a virtual network\'s peerings; needed at both ends of each.'
    actions: [
      'Microsoft.Network/virtualNetworks/virtualNetworkPeerings/write'
      'Microsoft.Network/virtualNetworks/peer/action'
    ]
  }
  {
    key: 'route-server-flags'
    description: 'Repairs branch-to-branch and the routing preference of a Route Server.'
    actions: ['Microsoft.Network/virtualHubs/write']
  }
  {
    key: 'scale-set'
    description: 'Lists the network interfaces of a scale set\'s instances.'
    actions: ['Microsoft.Compute/virtualMachineScaleSets/networkInterfaces/read']
  }
  {
    key: 'app-subnet'
    description: 'Reads the app\'s own subnet and its route table: whether its way to Azure leads through the NVAs.'
    actions: [
      'Microsoft.Network/virtualNetworks/subnets/read'
      'Microsoft.Network/routeTables/read'
    ]
  }
]

resource definition 'Microsoft.Authorization/roleDefinitions@2022-04-01' = [
  for role in roles: {
    name: guid(subscription().id, 'hopkeeper', name, role.key)
    properties: {
      roleName: 'Hopkeeper ${role.key} (${name})'
      description: role.description
      type: 'CustomRole'
      assignableScopes: subscriptions
      permissions: [{ actions: role.actions, notActions: [], dataActions: [], notDataActions: [] }]
    }
  }
]

// Names, not ids: an id is written differently in each subscription.
output routeServerRole string = definition[0].name
output loadBalancerRole string = definition[1].name
output backendNetworkRole string = definition[2].name
output subscriptionRole string = definition[3].name
output applianceNetworkRole string = definition[4].name
output healthLogsRole string = definition[5].name
output interfaceRole string = definition[6].name
output networkPeeringRole string = definition[7].name
output networkPeeringFlagsRole string = definition[8].name
output routeServerFlagsRole string = definition[9].name
output scaleSetRole string = definition[10].name
output appSubnetRole string = definition[11].name
