// Writes in the subscription that concern the app's networks, from Azure's own topic to the app's function.
@description('Name of the system topic. A subscription has one topic of this kind at most.')
param topicName string

@description('False: the topic is there already, in this resource group, with a system-assigned identity.')
param createTopic bool

@description('Id of the Function App.')
param functionAppId string

@description('Name of the function that receives the events.')
param functionName string

@description('True once the function is deployed: Event Grid refuses a subscription to one that is not there.')
param isDeployed bool

@description('Ids that an event\'s subject may begin with: resource groups or resources. Empty: the whole subscription.')
@maxLength(4)
param subjectPrefixes string[]

@description('Name of the storage account of dead letters, in this resource group.')
param storageAccountName string

@description('Container of dead letters.')
param deadLetterContainer string

// The operations on the networks' resource types that can change what a topology looks at, and no others.
var operations = [
  'Microsoft.Network/virtualHubs/write'
  'Microsoft.Network/virtualHubs/delete'
  'Microsoft.Network/virtualHubs/bgpConnections/write'
  'Microsoft.Network/virtualHubs/bgpConnections/delete'
  'Microsoft.Network/loadBalancers/write'
  'Microsoft.Network/loadBalancers/delete'
  'Microsoft.Network/loadBalancers/backendAddressPools/write'
  'Microsoft.Network/loadBalancers/backendAddressPools/delete'
  'Microsoft.Network/virtualNetworks/virtualNetworkPeerings/write'
  'Microsoft.Network/virtualNetworks/virtualNetworkPeerings/delete'
  'Microsoft.Network/networkInterfaces/write'
  'Microsoft.Network/networkInterfaces/delete'
  'Microsoft.Compute/virtualMachines/write'
  'Microsoft.Compute/virtualMachines/delete'
  'Microsoft.Compute/virtualMachines/deallocate/action'
  'Microsoft.Compute/virtualMachines/powerOff/action'
  'Microsoft.Compute/virtualMachines/restart/action'
  'Microsoft.Compute/virtualMachines/start/action'
  'Microsoft.Compute/virtualMachineScaleSets/write'
  'Microsoft.Compute/virtualMachineScaleSets/delete/action'
  'Microsoft.Compute/virtualMachineScaleSets/virtualMachines/delete'
]

var blobContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe' // Storage Blob Data Contributor

resource created 'Microsoft.EventGrid/systemTopics@2025-02-15' = if (createTopic) {
  name: topicName
  location: 'global'
  identity: { type: 'SystemAssigned' }
  properties: {
    source: subscription().id
    topicType: 'Microsoft.Resources.Subscriptions'
  }
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: topicName
}

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageAccountName
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' existing = {
  parent: account
  name: 'default'
}

resource letters 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' existing = {
  parent: blobs
  name: deadLetterContainer
}

resource access 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (createTopic) {
  name: guid(letters.id, topicName, blobContributor)
  scope: letters
  properties: {
    principalId: created!.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobContributor)
  }
}

resource events 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = if (isDeployed) {
  parent: topic
  name: 'hopkeeper'
  properties: {
    eventDeliverySchema: 'EventGridSchema'
    destination: {
      endpointType: 'AzureFunction'
      properties: {
        resourceId: '${functionAppId}/functions/${functionName}'
        maxEventsPerBatch: 1
        preferredBatchSizeInKilobytes: 64
      }
    }
    filter: {
      includedEventTypes: [
        'Microsoft.Resources.ResourceWriteSuccess'
        'Microsoft.Resources.ResourceDeleteSuccess'
        'Microsoft.Resources.ResourceActionSuccess'
      ]
      subjectBeginsWith: subscription().id
      isSubjectCaseSensitive: false
      advancedFilters: concat(
        [{ operatorType: 'StringIn', key: 'data.operationName', values: operations }],
        empty(subjectPrefixes)
          ? []
          : [{ operatorType: 'StringBeginsWith', key: 'subject', values: subjectPrefixes }]
      )
    }
    deadLetterWithResourceIdentity: {
      identity: { type: 'SystemAssigned' }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: account.id
          blobContainerName: letters.name
        }
      }
    }
    retryPolicy: {
      eventTimeToLiveInMinutes: 60
      maxDeliveryAttempts: 10
    }
  }
  dependsOn: [created, access]
}
