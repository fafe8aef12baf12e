// Two subnets in a virtual network that is there already: one delegated to the app, one for private endpoints.
@description('Name of the virtual network, in this module\'s resource group.')
param virtualNetworkName string

@description('Prefix of the app\'s subnet, /27 or larger; the app leaves through it to agents and storage.')
param appPrefix string

@description('Prefix of the subnet of private endpoints; empty: none is made.')
param endpointsPrefix string

resource network 'Microsoft.Network/virtualNetworks@2025-05-01' existing = {
  name: virtualNetworkName
}

resource app 'Microsoft.Network/virtualNetworks/subnets@2025-05-01' = {
  parent: network
  name: 'snet-hopkeeper'
  properties: {
    addressPrefix: appPrefix
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
  name: 'snet-hopkeeper-endpoints'
  properties: {
    addressPrefix: endpointsPrefix
    privateEndpointNetworkPolicies: 'Enabled'
  }
  dependsOn: [app]
}

output appSubnetId string = app.id
output endpointsSubnetId string = empty(endpointsPrefix) ? '' : endpoints.id
