// The network of the lab, its ways out and in, and what may pass.
@description('Region.')
param location string

@description('Name of the virtual network.')
param name string

@description('The network\'s only prefix. No service address is in it: the platform would route it to nobody.')
param prefix string

@description('Prefix of the machines\' subnet.')
param machinesPrefix string

@description('Prefix of RouteServerSubnet.')
param routeServerPrefix string

@description('Prefix of AzureBastionSubnet.')
param bastionPrefix string

@description('Prefix of the app\'s subnet.')
param appPrefix string

@description('Addresses that only the Route Server tells of: traffic with them passes.')
param serviceAddresses string[]

@description('Name of the route table.')
param routeTableName string

@description('Name of the bastion, the only way in.')
param bastionName string

@description('Name of the bastion\'s public address.')
param bastionAddressName string

var mine = concat([prefix], map(serviceAddresses, address => '${address}/32'))

// Empty, as in the documentation; what matters is that the Route Server's routes are not kept from the subnet.
resource routes 'Microsoft.Network/routeTables@2025-05-01' = {
  name: routeTableName
  location: location
  properties: { disableBgpRoutePropagation: false }
}

// The app leaves past the machines, whatever they announce (ADR 11).
resource appRoutes 'Microsoft.Network/routeTables@2025-05-01' = {
  name: '${routeTableName}-app'
  location: location
  properties: {
    disableBgpRoutePropagation: false
    routes: [
      {
        name: 'past-the-nvas'
        properties: { addressPrefix: '0.0.0.0/0', nextHopType: 'Internet' }
      }
    ]
  }
}

// The service tag VirtualNetwork does not hold the service addresses: the default rules would drop their packets.
resource rules 'Microsoft.Network/networkSecurityGroups@2025-05-01' = {
  name: 'nsg-${name}'
  location: location
  properties: {
    securityRules: [
      {
        name: 'lab-in'
        properties: {
          direction: 'Inbound'
          priority: 100
          access: 'Allow'
          protocol: '*'
          sourceAddressPrefixes: mine
          sourcePortRange: '*'
          destinationAddressPrefixes: mine
          destinationPortRange: '*'
        }
      }
      {
        name: 'lab-out'
        properties: {
          direction: 'Outbound'
          priority: 100
          access: 'Allow'
          protocol: '*'
          sourceAddressPrefixes: mine
          sourcePortRange: '*'
          destinationAddressPrefixes: mine
          destinationPortRange: '*'
        }
      }
    ]
  }
}

// The machines fetch their packages and the agent through it; a new subnet has no way out of its own.
resource exitAddress 'Microsoft.Network/publicIPAddresses@2025-05-01' = {
  name: 'nat-ip'
  location: location
  sku: { name: 'Standard' }
  properties: { publicIPAllocationMethod: 'Static' }
}

resource exit 'Microsoft.Network/natGateways@2025-05-01' = {
  name: 'nat-${name}'
  location: location
  sku: { name: 'Standard' }
  properties: { publicIpAddresses: [{ id: exitAddress.id }] }
}

resource network 'Microsoft.Network/virtualNetworks@2025-05-01' = {
  name: name
  location: location
  properties: {
    addressSpace: { addressPrefixes: [prefix] }
    subnets: [
      {
        name: 'default'
        properties: {
          addressPrefix: machinesPrefix
          defaultOutboundAccess: false
          routeTable: { id: routes.id }
          networkSecurityGroup: { id: rules.id }
          natGateway: { id: exit.id }
        }
      }
      {
        name: 'RouteServerSubnet'
        properties: { addressPrefix: routeServerPrefix }
      }
      {
        name: 'AzureBastionSubnet'
        properties: { addressPrefix: bastionPrefix }
      }
      {
        name: 'snet-hopkeeper'
        properties: {
          addressPrefix: appPrefix
          defaultOutboundAccess: false
          routeTable: { id: appRoutes.id }
          natGateway: { id: exit.id }
          serviceEndpoints: [{ service: 'Microsoft.Web' }]
          delegations: [
            {
              name: 'flex-consumption'
              properties: { serviceName: 'Microsoft.App/environments' }
            }
          ]
        }
      }
    ]
  }
}

resource bastionAddress 'Microsoft.Network/publicIPAddresses@2025-05-01' = {
  name: bastionAddressName
  location: location
  sku: { name: 'Standard' }
  properties: { publicIPAllocationMethod: 'Static' }
}

// Tunnelling is what `az network bastion ssh` needs.
resource bastion 'Microsoft.Network/bastionHosts@2025-05-01' = {
  name: bastionName
  location: location
  sku: { name: 'Standard' }
  properties: {
    enableTunneling: true
    ipConfigurations: [
      {
        name: 'bastion'
        properties: {
          subnet: { id: '${network.id}/subnets/AzureBastionSubnet' }
          publicIPAddress: { id: bastionAddress.id }
        }
      }
    ]
  }
}

output machinesSubnetId string = '${network.id}/subnets/default'
output routeServerSubnetId string = '${network.id}/subnets/RouteServerSubnet'
output appSubnetId string = '${network.id}/subnets/snet-hopkeeper'
