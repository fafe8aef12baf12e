// Lets the app read one route table: its own subnet's.
@description('Name of the route table, in this module\'s resource group.')
param name string

@description('Object id of the app\'s managed identity.')
param appPrincipalId string

@description('Name of the role definition, a GUID.')
param roleName string

resource table 'Microsoft.Network/routeTables@2025-05-01' existing = {
  name: name
}

resource access 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(toLower(table.id), appPrincipalId, roleName) // an id is one in any case
  scope: table
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleName)
  }
}
