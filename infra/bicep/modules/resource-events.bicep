// Writes in the subscription that concern the app's networks, from Azure's own topic to the app's function. In the resource
// group of the topic, which may be another team's.
@description('Name of the system topic, in this module\'s resource group.')
param topicName string

@description('Name of the event subscription: two Hopkeepers share the topic.')
param subscriptionName string

@description('Name of the Function App.')
param functionAppName string

@description('Resource group of the Function App.')
param functionAppGroup string

@description('Name of the function that receives the events.')
param functionName string

@description('True once the function is deployed: Event Grid refuses a subscription to one that is not there.')
param isDeployed bool

@description('Ids that an event\'s subject may begin with: resource groups or resources. Empty: the whole subscription.')
@maxLength(4)
param subjectPrefixes string[]

@description('Id of the storage account of dead letters.')
param storageAccountId string

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

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: topicName
}

resource app 'Microsoft.Web/sites@2025-03-01' existing = {
  name: functionAppName
  scope: resourceGroup(functionAppGroup)

  resource function 'functions' existing = {
    name: functionName
  }
}

resource events 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = if (isDeployed) {
  parent: topic
  name: subscriptionName
  properties: {
    eventDeliverySchema: 'EventGridSchema'
    destination: {
      endpointType: 'AzureFunction'
      properties: {
        resourceId: app::function.id
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
        empty(subjectPrefixes) ? [] : [{ operatorType: 'StringBeginsWith', key: 'subject', values: subjectPrefixes }]
      )
    }
    deadLetterWithResourceIdentity: {
      identity: { type: 'SystemAssigned' }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: storageAccountId
          blobContainerName: deadLetterContainer
        }
      }
    }
    retryPolicy: {
      eventTimeToLiveInMinutes: 60
      maxDeliveryAttempts: 10
    }
  }
}
