// The Function App on Flex Consumption: inside the network, one identity, no keys.
@description('Name of the Function App.')
param name string

@description('Region.')
param location string

@description('Id of the app\'s user-assigned managed identity.')
param identityId string

@description('Id of the user-assigned managed identity that writes the package.')
param deployerId string

@description('Container that the package is deployed to, as a URL.')
param packageContainerUrl string

@description('Subnet delegated to Microsoft.App/environments that the app leaves through.')
param subnetId string

@description('Instances that always run for HTTP: an agent\'s report of a failure must not wait for a cold start.')
@minValue(0)
@maxValue(20)
param alwaysReadyHttp int

@description('Requests that one instance serves at a time; 1 is the platform\'s default for Python.')
@minValue(2)
@maxValue(1000)
param requestsPerInstance int

@description('Most instances at once.')
@minValue(1)
@maxValue(1000)
param maximumInstances int

@description('Prefixes that may call the app besides Event Grid, action groups and private endpoints, e.g. agents and operators.')
param callerPrefixes string[]

@description('Ids of subnets that may call the app, each with the service endpoint Microsoft.Web: agents without a private endpoint, and the app itself.')
param callerSubnetIds string[]

@description('Client id of the registration in Entra ID whose tokens the platform\'s authentication takes; empty: it is off, and function keys alone open the app.')
param entraClientId string

@description('Tenant of the registration.')
param entraTenantId string

@description('All app settings.')
param settings { *: string }

// Event Grid and action groups come from public addresses only: they are let in by service tag.
var services = ['AzureEventGrid', 'ActionGroup']
var serviceRules = [
  for (tag, i) in services: {
    name: tag
    tag: 'ServiceTag'
    ipAddress: tag
    action: 'Allow'
    priority: 100 + i
  }
]
var subnetRules = [
  for (id, i) in callerSubnetIds: {
    name: 'subnet-${i}'
    vnetSubnetResourceId: id
    action: 'Allow'
    priority: 150 + i
  }
]
var callerRules = [
  for (prefix, i) in callerPrefixes: {
    name: 'caller-${i}'
    tag: 'Default'
    ipAddress: prefix
    action: 'Allow'
    priority: 300 + i
  }
]

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: 'plan-${name}'
  location: location
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  kind: 'functionapp,linux'
  tags: { 'azd-service-name': 'app' }
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {}, '${deployerId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageContainerUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: deployerId
          }
        }
      }
      runtime: { name: 'python', version: '3.13' }
      scaleAndConcurrency: {
        instanceMemoryMB: 2048
        maximumInstanceCount: maximumInstances
        alwaysReady: alwaysReadyHttp > 0 ? [{ name: 'http', instanceCount: alwaysReadyHttp }] : []
        triggers: { http: { perInstanceConcurrency: requestsPerInstance } }
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      http20Enabled: true
      ipSecurityRestrictions: concat(serviceRules, subnetRules, callerRules)
      ipSecurityRestrictionsDefaultAction: 'Deny'
      scmIpSecurityRestrictionsUseMain: true // deployment and Kudu are as closed as the app
    }
  }
}

resource appSettings 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: app
  name: 'appsettings'
  properties: settings
}

// Whom it does not know it lets through, without the headers that only it may set: agents, action groups and Event Grid show keys,
// and the functions below api/entra/ refuse who has no role. Nothing is excluded by its path, as its headers might pass as they came.
// Browsers sign in by an ID token: there is no secret, and no store of tokens.
resource authentication 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: app
  name: 'authsettingsV2'
  properties: {
    platform: { enabled: !empty(entraClientId), runtimeVersion: '~1' }
    globalValidation: { requireAuthentication: false, unauthenticatedClientAction: 'AllowAnonymous' }
    httpSettings: { requireHttps: true }
    identityProviders: empty(entraClientId)
      ? {}
      : {
          azureActiveDirectory: {
            enabled: true
            registration: {
              clientId: entraClientId
              openIdIssuer: '${environment().authentication.loginEndpoint}${entraTenantId}/v2.0'
            }
            validation: { allowedAudiences: [entraClientId, 'api://${entraClientId}'] }
          }
        }
    login: {
      tokenStore: { enabled: false }
      cookieExpiration: { convention: 'FixedTime', timeToExpiration: '08:00:00' }
    }
  }
  dependsOn: [appSettings]
}

// Deployment by identity only. FTP is closed by this, too: Flex Consumption refuses `ftpsState`.
resource noFtpPasswords 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'ftp'
  properties: { allow: false }
}

resource noScmPasswords 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'scm'
  properties: { allow: false }
}

output id string = app.id
output name string = app.name
output uri string = 'https://${app.properties.defaultHostName}'
