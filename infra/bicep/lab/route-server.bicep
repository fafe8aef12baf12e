// The Route Server. Its peerings are the app's to make: none is made here.
@description('Region.')
param location string

@description('Name of the Route Server.')
param name string

@description('Name of its public address.')
param addressName string

@description('Id of RouteServerSubnet.')
param subnetId string

resource address 'Microsoft.Network/publicIPAddresses@2025-05-01' = {
  name: addressName
  location: location
  sku: { name: 'Standard' }
  properties: { publicIPAllocationMethod: 'Static' }
}

resource server 'Microsoft.Network/virtualHubs@2025-05-01' = {
  name: name
  location: location
  properties: {
    sku: 'Standard'
    allowBranchToBranchTraffic: false
  }
}

resource place 'Microsoft.Network/virtualHubs/ipConfigurations@2025-05-01' = {
  parent: server
  name: 'ipconfig1'
  properties: {
    subnet: { id: subnetId }
    publicIPAddress: { id: address.id }
  }
}

output id string = server.id
