// Lets the system topic write what could not be delivered, and nothing else, into the app's storage account.
@description('Name of the system topic.')
param topicName string

@description('Resource group of the system topic.')
param topicGroup string

@description('Name of the storage account, in this module\'s resource group.')
param storageAccountName string

@description('Container of dead letters.')
param container string

var blobContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe' // Storage Blob Data Contributor

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: topicName
  scope: resourceGroup(topicGroup)
}

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
  name: guid(account::blobs::letters.id, topic.id, blobContributor)
  scope: account::blobs::letters
  properties: {
    principalId: topic.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobContributor)
  }
}
