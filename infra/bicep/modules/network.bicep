// New subnets in a virtual network that is there already: one delegated to the app, one for private endpoints.
@description('Name of the virtual network, in this module\'s resource group.')
param virtualNetworkName string

@description('Name of the app\'s subnet; that of private endpoints has it with `-endpoints`.')
param subnetName string

@description('Prefix of the app\'s subnet, /27 or larger; empty: none is made.')
param appPrefix string

@description('Prefix of the subnet of private endpoints; empty: none is made.')
param endpointsPrefix string

@description('Id of the app subnet\'s route table.')
param routeTableId string

@description('Id of the app subnet\'s NAT gateway.')
param natGatewayId string

resource network 'Microsoft.Network/virtualNetworks@2025-05-01' existing = {
  name: virtualNetworkName
}

resource app 'Microsoft.Network/virtualNetworks/subnets@2025-05-01' = if (!empty(appPrefix)) {
  parent: network
  name: subnetName
  properties: {
    addressPrefix: appPrefix
    routeTable: { id: routeTableId }
    natGateway: { id: natGatewayId }
    serviceEndpoints: [{ service: 'Microsoft.Web' }] // how the app's own restrictions know it
    delegations: [
      {
        name: 'flex-consumption'
        properties: { serviceName: 'Microsoft.App/environments' }
      }
    ]
  }
}

// A virtual network takes one subnet write at a time.
resource endpoints 'Microsoft.Network/virtualNetworks/subnets@2025-05-01' = if (!empty(endpointsPrefix)) {
  parent: network
  name: '${subnetName}-endpoints'
  properties: {
    addressPrefix: endpointsPrefix
    privateEndpointNetworkPolicies: 'Enabled'
  }
  dependsOn: [app]
}

output appSubnetId string = empty(appPrefix) ? '' : app.id
output endpointsSubnetId string = empty(endpointsPrefix) ? '' : endpoints.id
