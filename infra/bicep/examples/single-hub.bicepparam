// One Route Server, two NVAs behind one internal load balancer, new subnets in the hub's network, all private.
using '../main.bicep'

param location = 'uksouth'
param signingKey = readEnvironmentVariable('HOPKEEPER_SIGNING_KEY', '')
param isDeployed = readEnvironmentVariable('HOPKEEPER_IS_DEPLOYED', 'false') == 'true'
// Passes only say what they would do, until this is false.
param observeOnly = bool(readEnvironmentVariable('HOPKEEPER_OBSERVE_ONLY', 'true'))
param routeServers = [
  {
    id: '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-hub/providers/Microsoft.Network/virtualHubs/rs-hub'
    minimumRoutes: 1
  }
]
param loadBalancers = [
  {
    id: '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-hub/providers/Microsoft.Network/loadBalancers/lb-nva'
    backends: 2
    activePassive: true
    onePool: true
  }
]
param backendNetworkIds = [
  '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-hub/providers/Microsoft.Network/virtualNetworks/vnet-hub'
]
param applianceGroupIds = ['/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-hub']
param virtualMachineIds = [
  '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-hub/providers/Microsoft.Compute/virtualMachines/nva-a'
  '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-hub/providers/Microsoft.Compute/virtualMachines/nva-b'
]
param virtualNetworkId = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-hub/providers/Microsoft.Network/virtualNetworks/vnet-hub'
param appSubnetPrefix = '10.0.9.0/27'
param endpointsSubnetPrefix = '10.0.9.32/28'
param alertEmails = ['network-operations@example.com']
// Operators, and the machine that deploys.
param callerPrefixes = ['192.0.2.0/24']
