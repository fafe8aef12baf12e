// The account of records, wake-ups, dead letters and the deployed package: no shared keys, no public blobs, versions kept.
@description('Name of the storage account.')
@minLength(3)
@maxLength(24)
param name string

@description('Region.')
param location string

@description('Redundancy.')
param skuName string

@description('Object id of the app\'s managed identity, which reads and writes blobs and queues here.')
param appPrincipalId string

@description('Object id of the managed identity that writes the package.')
param deployerPrincipalId string

@description('True: only private endpoints and Azure\'s trusted services (Event Grid\'s dead letters) reach the account.')
param isPrivate bool

// Built-in roles.
var blobOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b' // Storage Blob Data Owner
var blobContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe' // Storage Blob Data Contributor
var accountRoles = {
  queues: '974c5e8b-45b9-4653-ba55-5f855dd0fb88' // Storage Queue Data Contributor
  tables: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3' // Storage Table Data Contributor: the host's diagnostic events
}

// `hopkeeper` holds topologies, records and history, the names are the app's own (wiring.py). The two of the Functions host
// are made here, so that the app needs no right on the whole account.
var packages = 'packages'
var topologies = 'hopkeeper'
var appContainers = [topologies, 'azure-webjobs-hosts', 'azure-webjobs-secrets']
var deadLetters = 'dead-letters'
var historyDays = 400
var queues = ['hopkeeper-wakeups', 'hopkeeper-wakeups-poison']

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: name
  location: location
  sku: { name: skuName }
  kind: 'StorageV2'
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: isPrivate ? 'Deny' : 'Allow'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    isVersioningEnabled: true
    deleteRetentionPolicy: { enabled: true, days: 30 }
    containerDeleteRetentionPolicy: { enabled: true, days: 30 }
  }
}

resource ours 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = [
  for each in appContainers: {
    parent: blobs
    name: each
    properties: { publicAccess: 'None' }
  }
]

resource package 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobs
  name: packages
  properties: { publicAccess: 'None' }
}

resource letters 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobs
  name: deadLetters
  properties: { publicAccess: 'None' }
}

// Every write of a record leaves a version behind: keep a month of them, not all. What passes did is kept for a year and a month.
resource retention 'Microsoft.Storage/storageAccounts/managementPolicies@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'versions-for-a-month'
          type: 'Lifecycle'
          enabled: true
          definition: {
            filters: { blobTypes: ['blockBlob'] }
            actions: { version: { delete: { daysAfterCreationGreaterThan: 30 } } }
          }
        }
        {
          name: 'history-for-a-year'
          type: 'Lifecycle'
          enabled: true
          definition: {
            filters: { blobTypes: ['blockBlob'], prefixMatch: ['${topologies}/history/'] }
            actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: historyDays } } }
          }
        }
      ]
    }
  }
}

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2025-06-01' = {
  parent: account
  name: 'default'
}

resource queue 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' = [
  for each in queues: {
    parent: queueService
    name: each
  }
]

resource containerAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (each, i) in appContainers: {
    name: guid(ours[i].id, appPrincipalId, blobOwner)
    scope: ours[i]
    properties: {
      principalId: appPrincipalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobOwner)
    }
  }
]

resource accountAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in items(accountRoles): {
    name: guid(account.id, appPrincipalId, role.value)
    scope: account
    properties: {
      principalId: appPrincipalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.value)
    }
  }
]

resource packageAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(package.id, deployerPrincipalId, blobContributor)
  scope: package
  properties: {
    principalId: deployerPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobContributor)
  }
}

output accountName string = account.name
output accountId string = account.id
output blobEndpoint string = account.properties.primaryEndpoints.blob
output queueEndpoint string = account.properties.primaryEndpoints.queue
output tableEndpoint string = account.properties.primaryEndpoints.table
output packageContainer string = packages
output topologiesScope string = ours[0].id
output deadLetterContainer string = deadLetters
