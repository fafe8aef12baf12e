// What the app may do with one scale set whose instances are speakers.
@description('Name of the scale set, in this module\'s resource group.')
param name string

@description('Object id of the app\'s managed identity.')
param appPrincipalId string

@description('Name of the role definition, a GUID.')
param roleName string

resource scaleSet 'Microsoft.Compute/virtualMachineScaleSets@2026-04-01' existing = {
  name: name
}

resource access 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(toLower(scaleSet.id), appPrincipalId, roleName) // an id is one in any case
  scope: scaleSet
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleName)
  }
}
