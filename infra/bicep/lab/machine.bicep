// One machine with a fixed private address and no public one. Keys only; its first boot does the rest.
@description('Region.')
param location string

@description('Name of the machine, and of what is its own.')
param name string

@description('Its private address.')
param address string

@description('Its availability zone.')
param zone string

@description('Its size.')
param size string

@description('Id of its subnet.')
param subnetId string

@description('Ids of the load balancer\'s pools that it is in.')
param poolIds string[]

@description('Name of the operator\'s user.')
param adminUser string

@description('SSH public key of the operator.')
param sshPublicKey string

@description('What cloud-init is given. It holds no secret.')
param userData string

var pools = [for id in poolIds: { id: id }]

resource card 'Microsoft.Network/networkInterfaces@2025-05-01' = {
  name: '${name}-nic'
  location: location
  properties: {
    enableIPForwarding: true // what it sends and gets carries addresses that are not its own
    ipConfigurations: [
      {
        name: 'ipconfig1'
        properties: {
          privateIPAllocationMethod: 'Static'
          privateIPAddress: address
          subnet: { id: subnetId }
          loadBalancerBackendAddressPools: pools
        }
      }
    ]
  }
}

resource machine 'Microsoft.Compute/virtualMachines@2026-04-01' = {
  name: name
  location: location
  zones: [zone]
  properties: {
    hardwareProfile: { vmSize: size }
    securityProfile: {
      securityType: 'TrustedLaunch'
      uefiSettings: { secureBootEnabled: true, vTpmEnabled: true }
    }
    storageProfile: {
      imageReference: {
        publisher: 'Canonical'
        offer: 'ubuntu-24_04-lts'
        sku: 'server'
        version: 'latest'
      }
      osDisk: {
        createOption: 'FromImage'
        deleteOption: 'Delete'
        managedDisk: { storageAccountType: 'StandardSSD_LRS' }
      }
    }
    osProfile: {
      computerName: name
      adminUsername: adminUser
      customData: base64(userData)
      linuxConfiguration: {
        disablePasswordAuthentication: true
        ssh: {
          publicKeys: [
            {
              path: '/home/${adminUser}/.ssh/authorized_keys'
              keyData: sshPublicKey
            }
          ]
        }
      }
    }
    networkProfile: {
      networkInterfaces: [
        {
          id: card.id
          properties: { deleteOption: 'Delete' }
        }
      ]
    }
  }
}

output id string = machine.id
