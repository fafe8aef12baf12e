// Who the app is in Azure. User-assigned, so that its roles are there before the app first starts.
@description('Name of the managed identity.')
param name string

@description('Region.')
param location string

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
}

output id string = identity.id
output clientId string = identity.properties.clientId
output principalId string = identity.properties.principalId
