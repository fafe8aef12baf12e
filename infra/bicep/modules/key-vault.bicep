// The vault of one secret: the app's signing key. The app may read that secret and nothing else in the vault.
@description('Name of the vault.')
@minLength(3)
@maxLength(24)
param name string

@description('Region.')
param location string

@description('Object id of the app\'s managed identity.')
param appPrincipalId string

@description('The app\'s signing key (PEM, EC P-256). Empty: the vault keeps the one it has.')
@secure()
param signingKey string

@description('True once the vault has the key: a role on a secret that is not there is not assigned.')
param hasKey bool

@description('True: only private endpoints and Azure\'s trusted services reach the vault.')
param isPrivate bool

@description('True: a deleted vault of this name is recovered instead of made. Purge protection keeps the name for 90 days.')
param recover bool

var secretsUser = '4633458b-17de-408a-b874-0445c86b69e6' // Key Vault Secrets User
var secretName = 'signing-key'

resource vault 'Microsoft.KeyVault/vaults@2026-05-15' = {
  name: name
  location: location
  properties: {
    createMode: recover ? 'recover' : 'default'
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
    enablePurgeProtection: true
    softDeleteRetentionInDays: 90
    publicNetworkAccess: isPrivate ? 'disabled' : 'enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: isPrivate ? 'Deny' : 'Allow'
    }
  }
}

// Written through Azure Resource Manager, which a private vault admits too.
resource written 'Microsoft.KeyVault/vaults/secrets@2026-05-15' = if (!empty(signingKey)) {
  parent: vault
  name: secretName
  properties: {
    value: signingKey
    contentType: 'application/x-pem-file'
    attributes: { enabled: true }
  }
}

resource secret 'Microsoft.KeyVault/vaults/secrets@2026-05-15' existing = {
  parent: vault
  name: secretName
}

resource access 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (hasKey) {
  name: guid(vault.id, secretName, appPrincipalId, secretsUser)
  scope: secret
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', secretsUser)
  }
  dependsOn: [written]
}

output id string = vault.id
output name string = vault.name
output secretId string = secret.id
// Without a version: after a rotation the platform takes up the newest within a day, at a restart at once.
output secretUri string = '${vault.properties.vaultUri}secrets/${secretName}'
