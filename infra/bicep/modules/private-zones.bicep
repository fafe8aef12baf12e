// The private DNS zones of the private endpoints, linked to the networks that must find them by name.
@description('Ids of the virtual networks. A network can be linked to one zone of a name only: where another is linked, name that one.')
param networkIds string[]

// Names: "Azure Private Endpoint private DNS zone values"; of the three that `environment()` does not hold, one table.
var clouds = {
  AzureCloud: { vault: 'vaultcore.azure.net', sites: 'azurewebsites.net' }
  AzureUSGovernment: { vault: 'vaultcore.usgovcloudapi.net', sites: 'azurewebsites.us' }
  AzureChinaCloud: { vault: 'vaultcore.azure.cn', sites: 'chinacloudsites.cn' }
}
var storageSuffix = environment().suffixes.storage
var parts = [
  { part: 'blob', name: 'privatelink.blob.${storageSuffix}' }
  { part: 'queue', name: 'privatelink.queue.${storageSuffix}' }
  { part: 'table', name: 'privatelink.table.${storageSuffix}' }
  { part: 'vault', name: 'privatelink.${clouds[environment().name].vault}' }
  { part: 'sites', name: 'privatelink.${clouds[environment().name].sites}' }
]
var linked = flatten(map(range(0, length(parts)), zone => map(networkIds, network => { zone: zone, network: network })))

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for each in parts: {
    name: each.name
    location: 'global'
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for each in linked: {
    parent: zones[each.zone]
    name: 'hopkeeper-${uniqueString(toLower(each.network))}'
    location: 'global'
    properties: {
      registrationEnabled: false
      #disable-next-line use-resource-id-functions // a parameter's, by way of a list of pairs
      virtualNetwork: { id: each.network }
    }
  }
]

output ids { blob: string, queue: string, table: string, vault: string, sites: string } = {
  blob: zones[0].id
  queue: zones[1].id
  table: zones[2].id
  vault: zones[3].id
  sites: zones[4].id
}
