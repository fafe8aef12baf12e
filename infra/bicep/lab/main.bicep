// The documentation's fast-failover lab, with its names and addresses, and two NVAs behind an internal load balancer.
// For measuring, in a resource group of its own; the app that looks after it is ../main.bicep, given this one's outputs.
targetScope = 'resourceGroup'

@description('Region; the documentation\'s is uksouth, where published figures come from.')
param location string = 'uksouth'

@description('SSH public key of the operator. There is no password anywhere, and no machine has a public address.')
param sshPublicKey string

@description('Name of the operator\'s user on every machine.')
param adminUser string = 'hopkeeper'

@description('https address of hopkeeper-agent.pyz, as `make agent` builds it.')
param artefactUrl string

@description('SHA-256 of that file: the machines run nothing else.')
@minLength(64)
@maxLength(64)
param artefactSha256 string

@description('Public keys of the app, PEM: `hopkeeper` commands signed with another one are refused.')
param appPublicKeys string

@description('Size of every machine.')
param machineSize string = 'Standard_B2ms'

@description('Seconds between two probes of the load balancer; Azure takes 5 or more.')
@minValue(5)
param probeSeconds int = 5

// The documentation's table. The VIP is on no network: only the Route Server tells where it is.
var vip = '100.64.0.1'
var names = {
  network: 'next-hop-ip-vnet'
  routeServer: 'next-hop-ip-routeserver'
  routeServerAddress: 'routeserver-ip'
  bastion: 'next-hop-ip-bastion'
  bastionAddress: 'bastion-public-ip'
  routeTable: 'next-hop-ip-rt'
}
var prefixes = {
  network: '10.10.0.0/16'
  machines: '10.10.0.0/24'
  routeServer: '10.10.1.0/24'
  bastion: '10.10.2.0/24'
  app: '10.10.3.0/27'
}
// Ours: what is behind the NVAs, and where the load balancer answers for them.
var behindNvas = '100.64.1.1'
var frontend = '10.10.0.20'
var machines = [
  { name: 'ws1', address: '10.10.0.4', zone: '1', kind: 'server' }
  { name: 'ws2', address: '10.10.0.5', zone: '2', kind: 'server' }
  { name: 'watch1', address: '10.10.0.7', zone: '1', kind: 'injector' }
  { name: 'nva1', address: '10.10.0.10', zone: '1', kind: 'nva' }
  { name: 'nva2', address: '10.10.0.11', zone: '2', kind: 'nva' }
]
var loadTester = { name: 'lt1', address: '10.10.0.6', zone: '1' }

var configurations = {
  server: loadTextContent('machines/server.toml')
  injector: loadTextContent('machines/injector.toml')
  nva: loadTextContent('machines/nva.toml')
}
var serviceAddresses = { server: vip, injector: '', nva: behindNvas }

module network 'network.bicep' = {
  params: {
    location: location
    name: names.network
    prefix: prefixes.network
    machinesPrefix: prefixes.machines
    routeServerPrefix: prefixes.routeServer
    bastionPrefix: prefixes.bastion
    appPrefix: prefixes.app
    serviceAddresses: [vip, behindNvas]
    routeTableName: names.routeTable
    bastionName: names.bastion
    bastionAddressName: names.bastionAddress
  }
}

module routeServer 'route-server.bicep' = {
  params: {
    location: location
    name: names.routeServer
    addressName: names.routeServerAddress
    subnetId: network.outputs.routeServerSubnetId
  }
}

module balancer 'balancer.bicep' = {
  params: {
    location: location
    name: 'lb-nva'
    subnetId: network.outputs.machinesSubnetId
    frontend: frontend
    probeSeconds: probeSeconds
  }
}

module instances 'instances.bicep' = {
  params: { name: names.routeServer }
  dependsOn: [routeServer]
}

module machine 'agent-machine.bicep' = [
  for each in machines: {
    params: {
      location: location
      name: each.name
      address: each.address
      zone: each.zone
      size: machineSize
      subnetId: network.outputs.machinesSubnetId
      poolIds: each.kind == 'nva' ? [balancer.outputs.poolId] : []
      adminUser: adminUser
      sshPublicKey: sshPublicKey
      configuration: configurations[each.kind]
      instances: instances.outputs.addresses
      serviceAddress: serviceAddresses[each.kind]
      artefactUrl: artefactUrl
      artefactSha256: artefactSha256
      appPublicKeys: appPublicKeys
    }
  }
]

module injector 'machine.bicep' = {
  params: {
    location: location
    name: loadTester.name
    address: loadTester.address
    zone: loadTester.zone
    size: machineSize
    subnetId: network.outputs.machinesSubnetId
    poolIds: []
    adminUser: adminUser
    sshPublicKey: sshPublicKey
    userData: replace(
      replace(
        loadTextContent('machines/load-tester.sh'),
        '@PROBER_BASE64@',
        loadFileAsBase64('../../../lab/packets/prober.py')
      ),
      '@CONDUCTOR_BASE64@',
      loadFileAsBase64('../../../lab/packets/fault_runner.py')
    )
  }
}

@description('Of the Route Server: `routeServers` of the app, and of topology.yaml.')
output routeServerId string = routeServer.outputs.id

@description('Of the load balancer before the NVAs: `loadBalancers` of the app, and of topology.yaml.')
output loadBalancerId string = balancer.outputs.id

@description('Of the app\'s subnet: `appSubnetId` of the app.')
output appSubnetId string = network.outputs.appSubnetId

@description('Of the machines: `virtualMachineIds` of the app.')
output machineIds string[] = [for i in range(0, length(machines)): machine[i].outputs.id]

@description('What a watcher loop peers with.')
output routeServerInstances string[] = instances.outputs.addresses
