// Lets the app read the effective routes of one network interface.
@description('Name of the network interface, in this module\'s resource group.')
param name string

@description('Object id of the app\'s managed identity.')
param appPrincipalId string

@description('Name of the role definition, a GUID.')
param roleName string

resource interface 'Microsoft.Network/networkInterfaces@2025-05-01' existing = {
  name: name
}

resource access 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(toLower(interface.id), appPrincipalId, roleName) // an id is one in any case
  scope: interface
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleName)
  }
}
