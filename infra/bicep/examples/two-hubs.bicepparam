// Two hubs in two subscriptions, NVAs that announce themselves (no load balancer), one app that reaches both networks.
using '../main.bicep'

param location = 'uksouth'
param signingKey = readEnvironmentVariable('HOPKEEPER_SIGNING_KEY', '')
param isDeployed = readEnvironmentVariable('HOPKEEPER_IS_DEPLOYED', 'false') == 'true'
// Passes only say what they would do, until this is false.
param observeOnly = bool(readEnvironmentVariable('HOPKEEPER_OBSERVE_ONLY', 'true'))
param routeServers = [
  {
    id: '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-hub-1/providers/Microsoft.Network/virtualHubs/rs-hub-1'
    minimumRoutes: 1
  }
  {
    id: '/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-hub-2/providers/Microsoft.Network/virtualHubs/rs-hub-2'
    minimumRoutes: 1
  }
]
param virtualNetworkId = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-hub-1/providers/Microsoft.Network/virtualNetworks/vnet-hub-1'
param appSubnetPrefix = '10.1.9.0/27'
// The agents call the app's public address from these subnets: each has the service endpoint Microsoft.Web.
param agentSubnetIds = [
  '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-hub-1/providers/Microsoft.Network/virtualNetworks/vnet-hub-1/subnets/snet-nva'
  '/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-hub-2/providers/Microsoft.Network/virtualNetworks/vnet-hub-2/subnets/snet-nva'
]
param callerPrefixes = ['192.0.2.0/24']
param alwaysReadyHttp = 2
param alertEmails = ['network-operations@example.com']
