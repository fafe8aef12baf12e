// What the app may do with one Route Server: a role on that resource alone.
@description('Name of the Route Server (Microsoft.Network/virtualHubs), in this module\'s resource group.')
param name string

@description('Object id of the app\'s managed identity.')
param appPrincipalId string

@description('Name of the role definition, a GUID.')
param roleName string

resource server 'Microsoft.Network/virtualHubs@2025-05-01' existing = {
  name: name
}

resource access 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(toLower(server.id), appPrincipalId, roleName) // an id is one in any case
  scope: server
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleName)
  }
}
