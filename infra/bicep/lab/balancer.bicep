// The internal load balancer before the NVAs: every port and protocol, and the agents' own probe.
@description('Region.')
param location string

@description('Name of the load balancer.')
param name string

@description('Id of the machines\' subnet.')
param subnetId string

@description('Where it answers: the next hop of what the NVAs announce.')
param frontend string

@description('Seconds between two probes.')
@minValue(5)
param probeSeconds int

resource balancer 'Microsoft.Network/loadBalancers@2025-05-01' = {
  name: name
  location: location
  sku: { name: 'Standard' }
  properties: {
    frontendIPConfigurations: [
      {
        name: 'fe'
        zones: ['1', '2', '3']
        properties: {
          privateIPAllocationMethod: 'Static'
          privateIPAddress: frontend
          subnet: { id: subnetId }
        }
      }
    ]
    backendAddressPools: [{ name: 'nvas' }]
    probes: [
      {
        name: 'hopkeeper'
        properties: {
          protocol: 'Http'
          port: 8080
          requestPath: '/probe/egress'
          intervalInSeconds: probeSeconds
          probeThreshold: 1
        }
      }
    ]
    loadBalancingRules: [
      {
        name: 'all-ports'
        properties: {
          protocol: 'All'
          frontendPort: 0
          backendPort: 0
          frontendIPConfiguration: {
            id: resourceId('Microsoft.Network/loadBalancers/frontendIPConfigurations', name, 'fe')
          }
          backendAddressPool: { id: resourceId('Microsoft.Network/loadBalancers/backendAddressPools', name, 'nvas') }
          probe: { id: resourceId('Microsoft.Network/loadBalancers/probes', name, 'hopkeeper') }
        }
      }
    ]
  }
}

output id string = balancer.id
output poolId string = resourceId('Microsoft.Network/loadBalancers/backendAddressPools', balancer.name, 'nvas')
