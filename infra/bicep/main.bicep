// Hopkeeper in one resource group: the app, its storage, its key, its eyes and its rights. The Route Servers, load
// balancers and networks that it looks after are there already; nothing here creates or changes one.
targetScope = 'resourceGroup'

@description('Base name of every resource: lower-case letters and digits.')
@minLength(3)
@maxLength(9)
param name string = 'hopkeeper'

@description('Region; take the one of the Route Server.')
param location string = resourceGroup().location

@description('The app\'s signing key (PEM, EC P-256). Needed the first time and to rotate it; empty keeps the one in the vault.')
@secure()
param signingKey string = ''

@description('False until the package is deployed for the first time, then true: what refers to functions is made only then.')
param isDeployed bool = false

@description('Route Servers to look after: resource id, and the fewest routes that each peer should send (for an alert).')
param routeServers { id: string, minimumRoutes: int }[]

@description('Load balancers in front of NVAs: resource id, number of backends (2 or more), whether exactly one serves, and whether one pool alone uses it (else no alert is made on its average).')
param loadBalancers { id: string, backends: int, activePassive: bool, onePool: bool }[] = []

@description('Ids of the virtual networks whose addresses stand in the load balancers\' pools; none where pools hold interfaces.')
param backendNetworkIds string[] = []

@description('Ids of network interfaces whose effective routes are verified: the `interface` of speakers.')
param interfaceIds string[] = []

@description('Ids of the virtual networks whose peerings stand in a topology: their flags are read.')
param peeredNetworkIds string[] = []

@description('Ids of the virtual networks at both ends of peerings that a topology owns: their flags are repaired.')
param ownedPeeringNetworkIds string[] = []

@description('Ids of the Route Servers that a topology owns: branch-to-branch and routing preference are repaired.')
param ownedRouteServerIds string[] = []

@description('Ids of the resource groups with the NVAs\' interfaces, networks and route tables, for preflight; in subscriptions of a Route Server or load balancer above.')
param applianceGroupIds string[] = []

@description('Ids of the NVAs\' virtual machines, for alerts on their resource health.')
param virtualMachineIds string[] = []

@description('Ids of the scale sets whose instances are speakers (`scaleSets` of a topology).')
param scaleSetIds string[] = []

@description('Virtual network that the app joins: it must reach the agents. Used with appSubnetPrefix.')
param virtualNetworkId string = ''

@description('Prefix of a new subnet for the app (/27 or larger) in virtualNetworkId.')
param appSubnetPrefix string = ''

@description('Prefix of a new subnet for private endpoints in virtualNetworkId; empty: no private endpoints there.')
param endpointsSubnetPrefix string = ''

@description('A subnet that is there already, delegated to Microsoft.App/environments; instead of appSubnetPrefix.')
param appSubnetId string = ''

@description('A subnet that is there already for private endpoints; instead of endpointsSubnetPrefix.')
param endpointsSubnetId string = ''

@description('Private DNS zones for the private endpoints, by part; empty: names are somebody else\'s business.')
param privateDnsZoneIds { blob: string, queue: string, vault: string, sites: string } = {
  blob: ''
  queue: ''
  vault: ''
  sites: ''
}

@description('Prefixes that may call the app from outside a private endpoint, e.g. operators. Agents inside use the private endpoint.')
param callerPrefixes string[] = []

@description('Instances that always run for HTTP: a report of a failure must not wait for a cold start.')
@minValue(0)
@maxValue(20)
param alwaysReadyHttp int = 1

@description('Most instances at once.')
@minValue(40)
@maxValue(1000)
param maximumInstances int = 40

@description('Minutes between two sweeps: a look at every topology even when no event came.')
@allowed([1, 2, 5, 10])
param sweepMinutes int = 1

@description('Passes look and say what they would do, and write nothing: for an upgrade, and before existing peerings are adopted.')
param observeOnly bool = false

@description('Mail addresses that alerts go to.')
param alertEmails string[] = []

@description('False: this subscription has its system topic of resource events already, in this resource group, named by systemTopicName.')
param createSystemTopic bool = true

@description('Name of the system topic of resource events.')
param systemTopicName string = 'evgt-${name}-resources'

@description('True: Hopkeeper tells what it does on an Event Grid topic of its own.')
param publishEvents bool = true

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

var suffix = '${name}-${uniqueString(resourceGroup().id)}'
var isPrivate = !empty(endpointsSubnetId) || !empty(endpointsSubnetPrefix)
var makesSubnets = empty(appSubnetId)
var networkIds = union(map(routeServers, server => server.id), map(loadBalancers, balancer => balancer.id))
var verifiedIds = union(interfaceIds, peeredNetworkIds, ownedPeeringNetworkIds, ownedRouteServerIds)
var subscriptions = union(
  map(union(networkIds, verifiedIds, scaleSetIds), id => '/subscriptions/${toLower(split(id, '/')[2])}'),
  ['/subscriptions/${toLower(subscription().subscriptionId)}']
)
// A scope is computed even where its module is left out: with no network named, this group stands in.
var networkParts = split(empty(virtualNetworkId) ? resourceGroup().id : virtualNetworkId, '/')
var watchedIds = union(networkIds, virtualMachineIds, scaleSetIds)
var watchedGroups = union(map(watchedIds, id => '${join(take(split(id, '/'), 5), '/')}/'), [])
var groupsMax = 4 // Event Grid allows 25 filter values, and the operations take 21
var resourceManager = 'https://${split(environment().resourceManager, '/')[2]}'

module identity 'modules/identity.bicep' = {
  name: 'identity'
  params: { name: 'id-${suffix}', location: location }
}

module network 'modules/network.bicep' = if (makesSubnets) {
  name: 'network'
  scope: resourceGroup(networkParts[2], networkParts[4])
  params: {
    virtualNetworkName: last(networkParts)
    appPrefix: appSubnetPrefix
    endpointsPrefix: endpointsSubnetPrefix
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  params: {
    name: take('st${name}${uniqueString(resourceGroup().id)}', 24)
    location: location
    appPrincipalId: identity.outputs.principalId
    isPrivate: isPrivate
  }
}

module vault 'modules/key-vault.bicep' = {
  name: 'key-vault'
  params: {
    name: take('kv-${suffix}', 24)
    location: location
    appPrincipalId: identity.outputs.principalId
    signingKey: signingKey
    isPrivate: isPrivate
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  params: {
    name: suffix
    location: location
    appPrincipalId: identity.outputs.principalId
    retentionDays: logRetentionDays
  }
}

module published 'modules/published-events.bicep' = if (publishEvents) {
  name: 'published-events'
  params: {
    name: 'evgt-${suffix}'
    location: location
    appPrincipalId: identity.outputs.principalId
  }
}

module app 'modules/function-app.bicep' = {
  name: 'function-app'
  params: {
    name: 'func-${suffix}'
    location: location
    identityId: identity.outputs.id
    packageContainerUrl: '${storage.outputs.blobEndpoint}${storage.outputs.packageContainer}'
    subnetId: makesSubnets ? network!.outputs.appSubnetId : appSubnetId
    alwaysReadyHttp: alwaysReadyHttp
    maximumInstances: maximumInstances
    callerPrefixes: callerPrefixes
    settings: {
      PYTHON_SCRIPT_FILE_NAME: 'main.py'
      AzureWebJobsStorage__accountName: storage.outputs.accountName
      AzureWebJobsStorage__credential: 'managedidentity'
      AzureWebJobsStorage__clientId: identity.outputs.clientId
      APPLICATIONINSIGHTS_CONNECTION_STRING: monitoring.outputs.connectionString
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.outputs.clientId};Authorization=AAD'
      HOPKEEPER_SIGNING_KEY: '@Microsoft.KeyVault(SecretUri=${vault.outputs.secretUri})'
      HOPKEEPER_CLIENT_ID: identity.outputs.clientId
      HOPKEEPER_ARM_ENDPOINT: resourceManager
      HOPKEEPER_ARM_AUDIENCE: resourceManager
      HOPKEEPER_METRICS_ENDPOINT: 'https://${location}.metrics.monitor.azure.com'
      HOPKEEPER_LOGS_ENDPOINT: 'https://api.loganalytics.io'
      HOPKEEPER_LOGS_WORKSPACE: monitoring.outputs.workspaceId
      HOPKEEPER_EVENTS_ENDPOINT: publishEvents ? published!.outputs.endpoint : ''
      HOPKEEPER_APP_SUBNET_ID: makesSubnets ? network!.outputs.appSubnetId : appSubnetId
      HOPKEEPER_OBSERVE_ONLY: observeOnly ? 'true' : 'false'
      HOPKEEPER_SWEEP_SCHEDULE: '0 */${sweepMinutes} * * * *'
    }
  }
}

var endpointsSubnet = makesSubnets ? network!.outputs.endpointsSubnetId : endpointsSubnetId

module endpoints 'modules/private-endpoint.bicep' = [
  for part in ['blob', 'queue', 'vault', 'sites']: if (isPrivate) {
    name: 'private-endpoint-${part}'
    params: {
      name: 'pe-${part}-${suffix}'
      location: location
      subnetId: endpointsSubnet
      targetId: part == 'vault' ? vault.outputs.id : part == 'sites' ? app.outputs.id : storage.outputs.accountId
      part: part
      zoneId: privateDnsZoneIds[part]
    }
  }
]

module roles 'modules/roles.bicep' = {
  name: 'roles-${uniqueString(resourceGroup().id)}'
  scope: subscription()
  params: { name: suffix, subscriptions: subscriptions }
}

module routeServerGrants 'modules/grant-route-server.bicep' = [
  for (server, i) in routeServers: {
    name: 'route-server-${i}-${uniqueString(suffix)}'
    scope: resourceGroup(split(server.id, '/')[2], split(server.id, '/')[4])
    params: {
      name: last(split(server.id, '/'))
      appPrincipalId: identity.outputs.principalId
      roleName: roles.outputs.routeServerRole
    }
  }
]

module loadBalancerGrants 'modules/grant-load-balancer.bicep' = [
  for (balancer, i) in loadBalancers: {
    name: 'load-balancer-${i}-${uniqueString(suffix)}'
    scope: resourceGroup(split(balancer.id, '/')[2], split(balancer.id, '/')[4])
    params: {
      name: last(split(balancer.id, '/'))
      appPrincipalId: identity.outputs.principalId
      roleName: roles.outputs.loadBalancerRole
      workspaceResourceId: monitoring.outputs.workspaceResourceId
    }
  }
]

module backendNetworkGrants 'modules/grant-backend-network.bicep' = [
  for (id, i) in backendNetworkIds: {
    name: 'backend-network-${i}-${uniqueString(suffix)}'
    scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
    params: {
      name: last(split(id, '/'))
      appPrincipalId: identity.outputs.principalId
      roleName: roles.outputs.backendNetworkRole
    }
  }
]

module scaleSetGrants 'modules/grant-scale-set.bicep' = [
  for (id, i) in scaleSetIds: {
    name: 'scale-set-${i}-${uniqueString(suffix)}'
    scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
    params: {
      name: last(split(id, '/'))
      appPrincipalId: identity.outputs.principalId
      roleName: roles.outputs.scaleSetRole
    }
  }
]

module interfaceGrants 'modules/grant-interface.bicep' = [
  for (id, i) in interfaceIds: {
    name: 'interface-${i}-${uniqueString(suffix)}'
    scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
    params: {
      name: last(split(id, '/'))
      appPrincipalId: identity.outputs.principalId
      roleName: roles.outputs.interfaceRole
    }
  }
]

module networkPeeringGrants 'modules/grant-network-peerings.bicep' = [
  for (id, i) in peeredNetworkIds: {
    name: 'network-peering-${i}-${uniqueString(suffix)}'
    scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
    params: {
      name: last(split(id, '/'))
      appPrincipalId: identity.outputs.principalId
      roleName: roles.outputs.networkPeeringRole
    }
  }
]

module networkPeeringFlagsGrants 'modules/grant-network-peerings.bicep' = [
  for (id, i) in ownedPeeringNetworkIds: {
    name: 'network-peering-flags-${i}-${uniqueString(suffix)}'
    scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
    params: {
      name: last(split(id, '/'))
      appPrincipalId: identity.outputs.principalId
      roleName: roles.outputs.networkPeeringFlagsRole
    }
  }
]

module routeServerFlagsGrants 'modules/grant-route-server.bicep' = [
  for (id, i) in ownedRouteServerIds: {
    name: 'route-server-flags-${i}-${uniqueString(suffix)}'
    scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
    params: {
      name: last(split(id, '/'))
      appPrincipalId: identity.outputs.principalId
      roleName: roles.outputs.routeServerFlagsRole
    }
  }
]

module applianceNetworkGrants 'modules/grant-appliance-network.bicep' = [
  for (id, i) in applianceGroupIds: {
    name: 'appliance-network-${i}-${uniqueString(suffix)}'
    scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
    params: {
      appPrincipalId: identity.outputs.principalId
      roleName: roles.outputs.applianceNetworkRole
    }
  }
]

module subscriptionGrants 'modules/grant-subscription.bicep' = [
  for (id, i) in subscriptions: {
    name: 'subscription-${i}-${uniqueString(suffix)}'
    scope: subscription(split(id, '/')[2])
    params: {
      appPrincipalId: identity.outputs.principalId
      roleName: roles.outputs.subscriptionRole
    }
  }
]

module healthLogsGrant 'modules/grant-health-logs.bicep' = {
  name: 'health-logs'
  params: {
    name: last(split(monitoring.outputs.workspaceResourceId, '/'))
    appPrincipalId: identity.outputs.principalId
    roleName: roles.outputs.healthLogsRole
  }
}

module resourceEvents 'modules/resource-events.bicep' = {
  name: 'resource-events'
  params: {
    topicName: systemTopicName
    createTopic: createSystemTopic
    functionAppId: app.outputs.id
    functionName: 'on_resource_event'
    isDeployed: isDeployed
    subjectPrefixes: length(watchedGroups) > groupsMax ? [] : watchedGroups
    storageAccountName: storage.outputs.accountName
    deadLetterContainer: storage.outputs.deadLetterContainer
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  params: {
    name: suffix
    location: location
    emails: alertEmails
    functionAppId: app.outputs.id
    functionAppUri: app.outputs.uri
    isDeployed: isDeployed
    insightsId: monitoring.outputs.insightsId
    sweepMinutes: sweepMinutes
    loadBalancers: map(filter(loadBalancers, each => each.onePool), each => {
      id: each.id
      backends: each.backends
      activePassive: each.activePassive
    })
    routeServers: routeServers
    virtualMachineIds: virtualMachineIds
  }
}

@description('What `func azure functionapp publish` is given.')
output FUNCTION_APP_NAME string = app.outputs.name

@description('Where agents and operators call the app.')
output FUNCTION_APP_URI string = app.outputs.uri

@description('Where topologies are applied to.')
output STORAGE_ACCOUNT_NAME string = storage.outputs.accountName

@description('Where the signing key is rotated.')
output KEY_VAULT_NAME string = vault.outputs.name

@description('Object id of the app in Azure.')
output APP_PRINCIPAL_ID string = identity.outputs.principalId
