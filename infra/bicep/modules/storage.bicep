// The account of records, wake-ups, dead letters and the deployed package: no shared keys, no public blobs, versions kept.
@description('Name of the storage account.')
@minLength(3)
@maxLength(24)
param name string

@description('Region.')
param location string

@description('Object id of the app\'s managed identity, which reads and writes blobs and queues here.')
param appPrincipalId string

@description('True: only private endpoints and Azure\'s trusted services (Event Grid\'s dead letters) reach the account.')
param isPrivate bool

// Built-in roles that AzureWebJobsStorage__accountName needs: blobs (and leases), queues.
var appRoles = {
  blobs: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b' // Storage Blob Data Owner
  queues: '974c5e8b-45b9-4653-ba55-5f855dd0fb88' // Storage Queue Data Contributor
}

// `hopkeeper` holds topologies, records and history; the names are the app's own (wiring.py).
var containers = ['packages', 'hopkeeper', 'dead-letters']
var queues = ['hopkeeper-wakeups', 'hopkeeper-wakeups-poison']

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: name
  location: location
  sku: { name: 'Standard_ZRS' }
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

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = [
  for each in containers: {
    parent: blobs
    name: each
    properties: { publicAccess: 'None' }
  }
]

// Every write of a record leaves a version behind: keep a month of them, not all.
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

resource access 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in items(appRoles): {
    name: guid(account.id, appPrincipalId, role.value)
    scope: account
    properties: {
      principalId: appPrincipalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.value)
    }
  }
]

output accountName string = account.name
output accountId string = account.id
output blobEndpoint string = account.properties.primaryEndpoints.blob
output packageContainer string = containers[0]
output deadLetterContainer string = containers[2]
