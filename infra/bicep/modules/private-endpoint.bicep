// One private endpoint and its record in a private DNS zone.
@description('Name of the private endpoint.')
param name string

@description('Region.')
param location string

@description('Subnet of the endpoint.')
param subnetId string

@description('Resource that the endpoint leads to.')
param targetId string

@description('Which part of it.')
@allowed(['blob', 'queue', 'table', 'vault', 'sites'])
param part string

@description('Id of the private DNS zone for that part; empty: names are somebody else\'s business.')
param zoneId string

resource endpoint 'Microsoft.Network/privateEndpoints@2025-05-01' = {
  name: name
  location: location
  properties: {
    subnet: { id: subnetId }
    privateLinkServiceConnections: [
      {
        name: part
        properties: {
          privateLinkServiceId: targetId
          groupIds: [part]
        }
      }
    ]
  }
}

resource zone 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01' = if (!empty(zoneId)) {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: part
        properties: { privateDnsZoneId: zoneId }
      }
    ]
  }
}
