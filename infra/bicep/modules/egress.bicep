// The app's way to Azure. A default route that NVAs announce is programmed in every subnet of the Route Server's network and
// its peers, the app's too: without a route of its own the app would reach Azure through the NVA that it fails over.
@description('Suffix of the names.')
param name string

@description('Region of the subnet.')
param location string

@description('Id of a NAT gateway that is there already; empty: one is made. New networks have no default outbound access.')
param natGatewayId string

resource routes 'Microsoft.Network/routeTables@2025-05-01' = {
  name: 'rt-${name}'
  location: location
  properties: {
    // Routes to the agents come from the Route Server, too.
    disableBgpRoutePropagation: false
    routes: [
      {
        name: 'past-the-nvas'
        properties: { addressPrefix: '0.0.0.0/0', nextHopType: 'Internet' }
      }
    ]
  }
}

resource address 'Microsoft.Network/publicIPAddresses@2025-05-01' = if (empty(natGatewayId)) {
  name: 'pip-${name}'
  location: location
  sku: { name: 'Standard' }
  properties: { publicIPAllocationMethod: 'Static' }
}

resource gateway 'Microsoft.Network/natGateways@2025-05-01' = if (empty(natGatewayId)) {
  name: 'ng-${name}'
  location: location
  sku: { name: 'Standard' }
  properties: { publicIpAddresses: [{ id: address.id }] }
}

output routeTableId string = routes.id
output natGatewayId string = empty(natGatewayId) ? gateway.id : natGatewayId
