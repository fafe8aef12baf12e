// Log Analytics and Application Insights, without keys: the app writes with its identity.
@description('Suffix of the names.')
param name string

@description('Region.')
param location string

@description('Object id of the app\'s managed identity.')
param appPrincipalId string

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param retentionDays int

var metricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb' // Monitoring Metrics Publisher

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: 'log-${name}'
  location: location
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: retentionDays
    features: { disableLocalAuth: true }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-${name}'
  location: location
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
  }
}

resource access 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, appPrincipalId, metricsPublisher)
  scope: insights
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', metricsPublisher)
  }
}

output workspaceResourceId string = workspace.id
output workspaceId string = workspace.properties.customerId
output insightsId string = insights.id
output connectionString string = insights.properties.ConnectionString
