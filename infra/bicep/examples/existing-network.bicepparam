// The network team made the subnets and keeps the private DNS zones; the system topic of the subscription is there too.
using '../main.bicep'

param location = 'westeurope'
param signingKey = readEnvironmentVariable('HOPKEEPER_SIGNING_KEY', '')
param isDeployed = readEnvironmentVariable('HOPKEEPER_IS_DEPLOYED', 'false') == 'true'
// Passes only say what they would do, until this is false.
param observeOnly = bool(readEnvironmentVariable('HOPKEEPER_OBSERVE_ONLY', 'true'))
param routeServers = [
  {
    id: '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-connectivity/providers/Microsoft.Network/virtualHubs/rs-weu'
    minimumRoutes: 2
  }
]
param appSubnetId = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-connectivity/providers/Microsoft.Network/virtualNetworks/vnet-weu/subnets/snet-functions'
param endpointsSubnetId = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-connectivity/providers/Microsoft.Network/virtualNetworks/vnet-weu/subnets/snet-endpoints'
param privateDnsZoneIds = {
  blob: '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-dns/providers/Microsoft.Network/privateDnsZones/privatelink.blob.core.windows.net'
  queue: '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-dns/providers/Microsoft.Network/privateDnsZones/privatelink.queue.core.windows.net'
  vault: '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-dns/providers/Microsoft.Network/privateDnsZones/privatelink.vaultcore.azure.net'
  table: '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-dns/providers/Microsoft.Network/privateDnsZones/privatelink.table.core.windows.net'
  sites: '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-dns/providers/Microsoft.Network/privateDnsZones/privatelink.azurewebsites.net'
}
param privateDnsZones = 'named'
param appRouteTableId = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-connectivity/providers/Microsoft.Network/routeTables/rt-functions'
param createSystemTopic = false
param systemTopicName = 'evgt-subscription'
param systemTopicGroup = 'rg-governance'
param publishEvents = false
param sweepMinutes = 5
// Operators, and the machine that deploys.
param callerPrefixes = ['192.0.2.0/24']
