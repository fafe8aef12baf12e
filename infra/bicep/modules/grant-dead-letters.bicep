// Lets the system topic write what could not be delivered, and nothing else, into the app's storage account.
@description('Object id of the system topic\'s managed identity.')
param topicPrincipalId string

@description('Name of the storage account, in this module\'s resource group.')
param storageAccountName string

@description('Container of dead letters.')
param container string

var blobContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe' // Storage Blob Data Contributor

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageAccountName

  resource blobs 'blobServices' existing = {
    name: 'default'

    resource letters 'containers' existing = {
      name: container
    }
  }
}

resource access 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account::blobs::letters.id, topicPrincipalId, blobContributor)
  scope: account::blobs::letters
  properties: {
    principalId: topicPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobContributor)
  }
}
