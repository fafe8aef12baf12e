// Hopkeeper's Function App and its storage. Keyless: the app's managed identity reads and writes its own account only.
targetScope = 'resourceGroup'

@description('Base name of every resource: lower-case letters and digits.')
@minLength(3)
@maxLength(11)
param name string = 'hopkeeper'

@description('Region; take the one of the Route Server.')
param location string = resourceGroup().location

@description('Schedule of the sweep, six fields: a look at every topology even when no event came.')
param sweepSchedule string = '0 * * * * *'

@description('URI of the Key Vault secret with the app\'s signing key (PEM, EC P-256).')
param signingKeySecretUri string

@description('Metrics endpoint of the region; empty: metrics are not read.')
param metricsEndpoint string = 'https://${location}.metrics.monitor.azure.com'

module storage 'modules/storage.bicep' = {
  name: 'storage'
  params: {
    name: 'st${name}${uniqueString(resourceGroup().id)}'
    location: location
  }
}

module app 'modules/function-app.bicep' = {
  name: 'function-app'
  params: {
    name: 'func-${name}-${uniqueString(resourceGroup().id)}'
    location: location
    storageAccountName: storage.outputs.accountName
    packageContainer: storage.outputs.packageContainer
    settings: {
      PYTHON_SCRIPT_FILE_NAME: 'main.py'
      HOPKEEPER_SIGNING_KEY: '@Microsoft.KeyVault(SecretUri=${signingKeySecretUri})'
      HOPKEEPER_SWEEP_SCHEDULE: sweepSchedule
      HOPKEEPER_METRICS_ENDPOINT: metricsEndpoint
    }
  }
}

output functionAppName string = app.outputs.name
output functionAppPrincipalId string = app.outputs.principalId
output storageAccountName string = storage.outputs.accountName
