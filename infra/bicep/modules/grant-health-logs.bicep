// Lets the app query the load balancers' health events in one workspace.
@description('Name of the workspace, in this module\'s resource group.')
param name string

@description('Object id of the app\'s managed identity.')
param appPrincipalId string

@description('Name of the role definition, a GUID.')
param roleName string

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' existing = {
  name: name
}

resource access 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(toLower(workspace.id), appPrincipalId, roleName) // an id is one in any case
  scope: workspace
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleName)
  }
}
