// What the app may do with one load balancer, and the health events that the balancer logs for it.
@description('Name of the load balancer, in this module\'s resource group.')
param name string

@description('Object id of the app\'s managed identity.')
param appPrincipalId string

@description('Name of the role definition, a GUID.')
param roleName string

@description('Log Analytics workspace that health events go to.')
param workspaceResourceId string

@description('Suffix of the diagnostic setting\'s name: two Hopkeepers may look after one load balancer.')
param suffix string

resource balancer 'Microsoft.Network/loadBalancers@2025-05-01' existing = {
  name: name
}

resource access 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(toLower(balancer.id), appPrincipalId, roleName) // an id is one in any case
  scope: balancer
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleName)
  }
}

// Its only stable version, of 2016, has neither log categories by name nor dedicated tables.
#disable-next-line use-recent-api-versions
resource healthEvents 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'health-events-${suffix}'
  scope: balancer
  properties: {
    workspaceId: workspaceResourceId
    logAnalyticsDestinationType: 'Dedicated'
    logs: [{ category: 'LoadBalancerHealthEvent', enabled: true }]
  }
}
