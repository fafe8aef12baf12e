// Hopkeeper in one resource group: the app, its storage, its key, its eyes and its rights. The Route Servers, load
// balancers and networks that it looks after are there already; nothing here creates or changes one.
targetScope = 'resourceGroup'

import { distinct, groupOf, networkOf, problemsOf, problemsOfGroups, problemsOfPrefixes, subscriptionOf } from 'ids.bicep'

@description('Base name of every resource: lower-case letters and digits.')
@minLength(3)
@maxLength(9)
param name string = 'hopkeeper'

@description('Region; take the one of the Route Server.')
param location string = resourceGroup().location

@description('The app\'s signing key (PEM, EC P-256), where it is not made by azd\'s hook: the first time and to rotate it; empty keeps the one in the vault.')
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

@description('Virtual network that the app joins: it must reach the agents. Used with appSubnetPrefix and endpointsSubnetPrefix.')
param virtualNetworkId string = ''

@description('Prefix of a new subnet for the app (/27 or larger) in virtualNetworkId, with a route table and a NAT gateway: the app\'s way to Azure must not lead through the NVAs. The subnet is written again at every deployment.')
param appSubnetPrefix string = ''

@description('Id of a NAT gateway that is there already, in the region, for the new subnet; empty: one is made.')
param natGatewayId string = ''

@description('A subnet that is there already, delegated to Microsoft.App/environments and with a way to Azure of its own (docs/operating.md); instead of appSubnetPrefix.')
param appSubnetId string = ''

@description('Id of the route table of appSubnetId: preflight reads it. Empty: preflight says that it could not.')
param appRouteTableId string = ''

@description('Prefix of a new subnet for private endpoints in virtualNetworkId; empty: no private endpoints there.')
param endpointsSubnetPrefix string = ''

@description('A subnet that is there already for private endpoints; instead of endpointsSubnetPrefix.')
param endpointsSubnetId string = ''

@description('Private DNS zones of the private endpoints: `made` here and linked to the app\'s network and linkedNetworkIds, `named` in privateDnsZoneIds, or `elsewhere` (an Azure Policy or a DNS team writes the records).')
param privateDnsZones string = 'made'

@description('Ids of the private DNS zones that are there already, by part; all five, with privateDnsZones `named`.')
param privateDnsZoneIds { blob: string, queue: string, table: string, vault: string, sites: string } = {
  blob: ''
  queue: ''
  table: ''
  vault: ''
  sites: ''
}

@description('Ids of further virtual networks that must find the private endpoints by name, e.g. those of the agents.')
param linkedNetworkIds string[] = []

@description('Ids of subnets that may call the app without a private endpoint, the agents\' first of all. Each needs the service endpoint Microsoft.Web.')
param agentSubnetIds string[] = []

@description('Prefixes that may call the app (and deploy it) from outside: operators, the machine that deploys. Agents inside use a private endpoint or agentSubnetIds.')
param callerPrefixes string[] = []

@description('Instances that always run for HTTP: a report of a failure must not wait for a cold start.')
@minValue(0)
@maxValue(20)
param alwaysReadyHttp int = 1

@description('Requests that one instance serves at a time. One is the platform\'s default for Python: a report would wait for whatever else is served.')
@minValue(2)
@maxValue(1000)
param requestsPerInstance int = 16

@description('Most instances at once.')
@minValue(1)
@maxValue(1000)
param maximumInstances int = 40

@description('Redundancy of the storage account. Standard_ZRS keeps records through the loss of a zone; regions without zones refuse it and take Standard_LRS.')
param storageSku string = 'Standard_ZRS'

@description('True: the vault of an earlier deployment into this group was deleted and is recovered (its name stays taken for 90 days).')
param recoverVault bool = false

@description('Region of the load balancers and Route Servers whose metrics are read.')
param metricsRegion string = location

@description('Minutes between two sweeps: a look at every topology even when no event came.')
@allowed([1, 2, 5, 10])
param sweepMinutes int = 1

@description('Passes look and say what they would do, and write nothing: for an upgrade, and before existing peerings are adopted.')
param observeOnly bool = false

@description('Client id of the registration in Entra ID whose application roles say who may (docs/operating.md): the platform\'s authentication is on with it. Empty: function keys alone.')
param entraClientId string = ''

@description('Tenant of that registration; empty: the subscription\'s.')
param entraTenantId string = ''

@description('Mail addresses that alerts go to.')
param alertEmails string[] = []

@description('False: this subscription has its system topic of resource events already (it can have one only): systemTopicName in systemTopicGroup, with a system-assigned identity.')
param createSystemTopic bool = true

@description('Resource group of the system topic that is there already; in this subscription.')
param systemTopicGroup string = resourceGroup().name

@description('Name of the system topic of resource events.')
param systemTopicName string = 'evgt-${name}-resources'

@description('True: Hopkeeper tells what it does on an Event Grid topic of its own.')
param publishEvents bool = true

@description('OpenTelemetry collector that traces and metrics are sent to (OTLP over HTTP, JSON), without a path; empty: nothing is sent.')
param otlpEndpoint string = ''

@description('URI of a Key Vault secret, which the app\'s identity may read, with headers for the collector: name=value,...')
param otlpHeadersSecretUri string = ''

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

var isPrivate = !empty(endpointsSubnetId) || !empty(endpointsSubnetPrefix)
var makesAppSubnet = !empty(appSubnetPrefix)
var makesSubnets = makesAppSubnet || !empty(endpointsSubnetPrefix)
var characters = map(range(0, length(name)), i => substring(name, i, 1))
var strangers = filter(characters, each => !contains('abcdefghijklmnopqrstuvwxyz0123456789', each))
// How the names of the zones begin in every cloud.
var zoneNames = {
  blob: 'privatelink.blob.'
  queue: 'privatelink.queue.'
  table: 'privatelink.table.'
  vault: 'privatelink.vaultcore.'
  sites: 'privatelink.'
}
var namedZones = filter(items(privateDnsZoneIds), zone => !empty(zone.value))

// What Azure would refuse late, in other words or never. Each says which parameter, and which variable of azd sets it.
var problems = concat(
  empty(routeServers)
    ? ['routeServers (HOPKEEPER_ROUTE_SERVERS) is empty: name at least one Route Server by its resource id']
    : [],
  problemsOf(
    'routeServers (HOPKEEPER_ROUTE_SERVERS)',
    'Microsoft.Network/virtualHubs',
    map(routeServers, each => each.id)
  ),
  problemsOf(
    'loadBalancers (HOPKEEPER_LOAD_BALANCERS)',
    'Microsoft.Network/loadBalancers',
    map(loadBalancers, each => each.id)
  ),
  map(
    filter(loadBalancers, each => each.backends < 2),
    each => 'loadBalancers: "${each.id}" has ${each.backends} backends: a failover needs 2 or more'
  ),
  problemsOf('backendNetworkIds (HOPKEEPER_BACKEND_NETWORKS)', 'Microsoft.Network/virtualNetworks', backendNetworkIds),
  problemsOf('interfaceIds (HOPKEEPER_INTERFACES)', 'Microsoft.Network/networkInterfaces', interfaceIds),
  problemsOf('peeredNetworkIds (HOPKEEPER_PEERED_NETWORKS)', 'Microsoft.Network/virtualNetworks', peeredNetworkIds),
  problemsOf(
    'ownedPeeringNetworkIds (HOPKEEPER_OWNED_PEERING_NETWORKS)',
    'Microsoft.Network/virtualNetworks',
    ownedPeeringNetworkIds
  ),
  problemsOf(
    'ownedRouteServerIds (HOPKEEPER_OWNED_ROUTE_SERVERS)',
    'Microsoft.Network/virtualHubs',
    ownedRouteServerIds
  ),
  problemsOfGroups('applianceGroupIds (HOPKEEPER_APPLIANCE_GROUPS)', applianceGroupIds),
  problemsOf('virtualMachineIds (HOPKEEPER_VIRTUAL_MACHINES)', 'Microsoft.Compute/virtualMachines', virtualMachineIds),
  problemsOf('scaleSetIds (HOPKEEPER_SCALE_SETS)', 'Microsoft.Compute/virtualMachineScaleSets', scaleSetIds),
  problemsOf('linkedNetworkIds (HOPKEEPER_LINKED_NETWORKS)', 'Microsoft.Network/virtualNetworks', linkedNetworkIds),
  problemsOf('agentSubnetIds (HOPKEEPER_AGENT_SUBNETS)', 'Microsoft.Network/virtualNetworks/subnets', agentSubnetIds),
  problemsOf('privateDnsZoneIds', 'Microsoft.Network/privateDnsZones', map(namedZones, zone => zone.value)),
  problemsOf(
    'virtualNetworkId (HOPKEEPER_VIRTUAL_NETWORK)',
    'Microsoft.Network/virtualNetworks',
    empty(virtualNetworkId) ? [] : [virtualNetworkId]
  ),
  problemsOf(
    'appSubnetId (HOPKEEPER_APP_SUBNET_ID)',
    'Microsoft.Network/virtualNetworks/subnets',
    empty(appSubnetId) ? [] : [appSubnetId]
  ),
  problemsOf(
    'endpointsSubnetId (HOPKEEPER_ENDPOINTS_SUBNET_ID)',
    'Microsoft.Network/virtualNetworks/subnets',
    empty(endpointsSubnetId) ? [] : [endpointsSubnetId]
  ),
  problemsOf(
    'natGatewayId (HOPKEEPER_NAT_GATEWAY)',
    'Microsoft.Network/natGateways',
    empty(natGatewayId) ? [] : [natGatewayId]
  ),
  problemsOf(
    'appRouteTableId (HOPKEEPER_APP_ROUTE_TABLE)',
    'Microsoft.Network/routeTables',
    empty(appRouteTableId) ? [] : [appRouteTableId]
  ),
  makesAppSubnet == empty(appSubnetId)
    ? []
    : [
        'give exactly one of appSubnetPrefix (HOPKEEPER_APP_SUBNET_PREFIX: a new subnet for the app) and appSubnetId (HOPKEEPER_APP_SUBNET_ID: one that is there already)'
      ],
  empty(endpointsSubnetPrefix) || empty(endpointsSubnetId)
    ? []
    : [
        'give at most one of endpointsSubnetPrefix (HOPKEEPER_ENDPOINTS_SUBNET_PREFIX) and endpointsSubnetId (HOPKEEPER_ENDPOINTS_SUBNET_ID)'
      ],
  makesSubnets && empty(virtualNetworkId)
    ? ['a new subnet needs virtualNetworkId (HOPKEEPER_VIRTUAL_NETWORK), the virtual network that it is made in']
    : [],
  privateDnsZones == 'named' && length(namedZones) < length(items(privateDnsZoneIds))
    ? [
        'privateDnsZones (HOPKEEPER_PRIVATE_DNS_ZONES) is "named": privateDnsZoneIds must name all of ${join(map(items(privateDnsZoneIds), zone => zone.key), ', ')} (HOPKEEPER_PRIVATE_DNS_BLOB and so on), or every name still leads to a public address that is closed'
      ]
    : [],
  privateDnsZones != 'named' && !empty(namedZones)
    ? [
        'privateDnsZoneIds are given, and privateDnsZones (HOPKEEPER_PRIVATE_DNS_ZONES) is "${privateDnsZones}": set it to "named" or leave the ids out'
      ]
    : [],
  makesSubnets && !empty(virtualNetworkId) && toLower(subscriptionOf(virtualNetworkId)) != toLower(subscription().subscriptionId)
    ? [
        'virtualNetworkId (HOPKEEPER_VIRTUAL_NETWORK) is in another subscription, where a new subnet could have no route table of this deployment: deploy into that subscription, or bring the subnets (HOPKEEPER_APP_SUBNET_ID, HOPKEEPER_ENDPOINTS_SUBNET_ID)'
      ]
    : [],
  contains(['made', 'named', 'elsewhere'], privateDnsZones)
    ? []
    : ['privateDnsZones (HOPKEEPER_PRIVATE_DNS_ZONES) is "${privateDnsZones}": made, named or elsewhere'],
  contains(['Standard_ZRS', 'Standard_GZRS', 'Standard_LRS'], storageSku)
    ? []
    : ['storageSku (HOPKEEPER_STORAGE_SKU) is "${storageSku}": Standard_ZRS, Standard_GZRS or Standard_LRS'],
  empty(strangers)
    ? []
    : ['name (HOPKEEPER_NAME) is "${name}": lower-case letters and digits only, as the storage account is named by it'],
  problemsOfPrefixes('appSubnetPrefix (HOPKEEPER_APP_SUBNET_PREFIX)', makesAppSubnet ? [appSubnetPrefix] : []),
  makesAppSubnet && int(split(appSubnetPrefix, '/')[?1] ?? '0') > 27
    ? ['appSubnetPrefix (HOPKEEPER_APP_SUBNET_PREFIX) is ${appSubnetPrefix}: Flex Consumption needs /27 or larger']
    : [],
  problemsOfPrefixes(
    'endpointsSubnetPrefix (HOPKEEPER_ENDPOINTS_SUBNET_PREFIX)',
    empty(endpointsSubnetPrefix) ? [] : [endpointsSubnetPrefix]
  ),
  makesAppSubnet && appSubnetPrefix == endpointsSubnetPrefix
    ? [
        'appSubnetPrefix and endpointsSubnetPrefix are both ${appSubnetPrefix}: the app\'s subnet is delegated and holds nothing else'
      ]
    : [],
  problemsOfPrefixes('callerPrefixes (HOPKEEPER_CALLER_PREFIXES)', callerPrefixes),
  map(
    filter(namedZones, zone => !startsWith(toLower(last(split(zone.value, '/'))), zoneNames[zone.key])),
    zone =>
      'privateDnsZoneIds.${zone.key} (HOPKEEPER_PRIVATE_DNS_${toUpper(zone.key)}): "${zone.value}" is no zone ${zoneNames[zone.key]}...'
  ),
  alwaysReadyHttp > maximumInstances
    ? [
        'alwaysReadyHttp (HOPKEEPER_ALWAYS_READY) is ${alwaysReadyHttp}, and maximumInstances (HOPKEEPER_MAXIMUM_INSTANCES) ${maximumInstances}'
      ]
    : [],
  !isPrivate && !empty(linkedNetworkIds)
    ? [
        'linkedNetworkIds (HOPKEEPER_LINKED_NETWORKS) go with private endpoints: give endpointsSubnetPrefix or endpointsSubnetId, too'
      ]
    : [],
  !makesAppSubnet && !empty(natGatewayId)
    ? ['natGatewayId (HOPKEEPER_NAT_GATEWAY) goes with appSubnetPrefix; a subnet that is there already has its own']
    : [],
  makesAppSubnet && !empty(appRouteTableId)
    ? ['appRouteTableId (HOPKEEPER_APP_ROUTE_TABLE) goes with appSubnetId; a new subnet gets a route table of its own']
    : [],
  empty(entraClientId) || (length(entraClientId) == 36 && length(split(entraClientId, '-')) == 5)
    ? []
    : [
        'entraClientId (HOPKEEPER_ENTRA_CLIENT_ID) is "${entraClientId}": the appId of a registration in Entra ID, a GUID (az ad app list)'
      ],
  empty(entraTenantId) || !empty(entraClientId)
    ? []
    : ['entraTenantId (HOPKEEPER_ENTRA_TENANT) goes with entraClientId (HOPKEEPER_ENTRA_CLIENT_ID)'],
  isPrivate || !empty(agentSubnetIds) || !empty(callerPrefixes)
    ? []
    : [
        'nothing lets an agent call the app: give endpointsSubnetPrefix (HOPKEEPER_ENDPOINTS_SUBNET_PREFIX, private endpoints), agentSubnetIds (HOPKEEPER_AGENT_SUBNETS) or callerPrefixes (HOPKEEPER_CALLER_PREFIXES)'
      ]
)
var suffix = empty(problems)
  ? '${name}-${uniqueString(resourceGroup().id)}'
  : fail('this combination of parameters is refused: ${join(problems, '; ')}')
// Each resource once: a second grant for the same one, written in another case, is refused.
var servers = filter(
  routeServers,
  (server, i) => indexOf(map(routeServers, each => toLower(each.id)), toLower(server.id)) == i
)
var balancers = filter(
  loadBalancers,
  (balancer, i) => indexOf(map(loadBalancers, each => toLower(each.id)), toLower(balancer.id)) == i
)
var networkIds = union(map(servers, server => server.id), map(balancers, balancer => balancer.id))
var verifiedIds = union(interfaceIds, peeredNetworkIds, ownedPeeringNetworkIds, ownedRouteServerIds)
var subscriptions = union(
  map(union(networkIds, verifiedIds, scaleSetIds), id => '/subscriptions/${toLower(subscriptionOf(id))}'),
  ['/subscriptions/${toLower(subscription().subscriptionId)}']
)
// A custom role is refused at a scope that its assignable scopes do not reach.
var grantedIds = filter(union(backendNetworkIds, applianceGroupIds, [appSubnet, appRouteTableId]), id => !empty(id))
var assignableScopes = union(subscriptions, map(grantedIds, id => '/subscriptions/${toLower(subscriptionOf(id))}'))
// A scope is computed even where its module is left out: with no network named, this group stands in.
var newSubnetsNetworkId = empty(virtualNetworkId) ? resourceGroup().id : virtualNetworkId
var appSubnet = makesAppSubnet ? '${virtualNetworkId}/subnets/snet-${name}' : appSubnetId
// The topic has the events of this subscription only; those of others are found by the sweep.
var watchedIds = filter(
  union(networkIds, verifiedIds, virtualMachineIds, scaleSetIds, applianceGroupIds),
  id => toLower(subscriptionOf(id)) == toLower(subscription().subscriptionId)
)
var watchedGroups = distinct(map(watchedIds, id => '${join(take(split(id, '/'), 5), '/')}/'))
var groupsMax = 4 // Event Grid allows 25 filter values, and the operations take 21
var resourceManager = 'https://${split(environment().resourceManager, '/')[2]}'
// `environment()` names neither. Sources: "Azure Monitor Logs API endpoints" and "Metrics batch API" of each cloud.
var monitorEndpoints = {
  AzureCloud: { logs: 'https://api.loganalytics.io', metrics: 'metrics.monitor.azure.com' }
  AzureUSGovernment: { logs: 'https://api.loganalytics.us', metrics: 'metrics.monitor.azure.us' }
  AzureChinaCloud: { logs: 'https://api.loganalytics.azure.cn', metrics: 'metrics.monitor.azure.cn' }
}[environment().name]

module identity 'modules/identity.bicep' = {
  params: { name: 'id-${suffix}', location: location }
}

// Writes the package and nothing else; the app's own identity cannot replace the code that it runs.
module deployer 'modules/identity.bicep' = {
  params: { name: 'id-${suffix}-deploy', location: location }
}

module egress 'modules/egress.bicep' = if (makesAppSubnet) {
  params: {
    name: suffix
    location: location
    natGatewayId: natGatewayId
  }
}

module network 'modules/network.bicep' = if (makesSubnets) {
  scope: resourceGroup(subscriptionOf(newSubnetsNetworkId), groupOf(newSubnetsNetworkId))
  params: {
    virtualNetworkName: last(split(newSubnetsNetworkId, '/'))
    subnetName: 'snet-${name}'
    appPrefix: appSubnetPrefix
    endpointsPrefix: endpointsSubnetPrefix
    routeTableId: makesAppSubnet ? egress!.outputs.routeTableId : ''
    natGatewayId: makesAppSubnet ? egress!.outputs.natGatewayId : ''
  }
}

module storage 'modules/storage.bicep' = {
  params: {
    name: take('st${name}${uniqueString(resourceGroup().id)}', 24)
    location: location
    skuName: storageSku
    appPrincipalId: identity.outputs.principalId
    deployerPrincipalId: deployer.outputs.principalId
    isPrivate: isPrivate
  }
}

module vault 'modules/key-vault.bicep' = {
  params: {
    name: take('kv-${suffix}', 24)
    location: location
    appPrincipalId: identity.outputs.principalId
    signingKey: signingKey
    hasKey: isDeployed || !empty(signingKey)
    isPrivate: isPrivate
    recover: recoverVault
  }
}

module monitoring 'modules/monitoring.bicep' = {
  params: {
    name: suffix
    location: location
    appPrincipalId: identity.outputs.principalId
    retentionDays: logRetentionDays
  }
}

module queries 'modules/queries.bicep' = {
  params: {
    name: suffix
    location: location
    workspaceId: monitoring.outputs.workspaceResourceId
    insightsId: monitoring.outputs.insightsId
  }
}

module published 'modules/published-events.bicep' = if (publishEvents) {
  params: {
    name: 'evgt-${suffix}'
    location: location
    appPrincipalId: identity.outputs.principalId
  }
}

var appNetworks = distinct(concat([networkOf(appSubnet)], linkedNetworkIds))

module zones 'modules/private-zones.bicep' = if (isPrivate && privateDnsZones == 'made') {
  params: { networkIds: appNetworks }
}

var noZones = { blob: '', queue: '', table: '', vault: '', sites: '' }
var zoneIds = !isPrivate || privateDnsZones == 'elsewhere'
  ? noZones
  : privateDnsZones == 'named' ? privateDnsZoneIds : zones!.outputs.ids
var endpointsSubnet = empty(endpointsSubnetPrefix) ? endpointsSubnetId : network!.outputs.endpointsSubnetId

// Before the app: its host gives up for good where it cannot reach its storage at the start.
module stores 'modules/private-endpoint.bicep' = [
  for part in ['blob', 'queue', 'table', 'vault']: if (isPrivate) {
    params: {
      name: 'pe-${part}-${suffix}'
      location: location
      subnetId: endpointsSubnet
      targetId: part == 'vault' ? vault.outputs.id : storage.outputs.accountId
      part: part
      zoneId: zoneIds[part]
    }
  }
]

module app 'modules/function-app.bicep' = {
  params: {
    name: 'func-${suffix}'
    location: location
    identityId: identity.outputs.id
    deployerId: deployer.outputs.id
    packageContainerUrl: '${storage.outputs.blobEndpoint}${storage.outputs.packageContainer}'
    subnetId: makesAppSubnet ? network!.outputs.appSubnetId : appSubnetId
    alwaysReadyHttp: alwaysReadyHttp
    requestsPerInstance: requestsPerInstance
    maximumInstances: maximumInstances
    callerPrefixes: callerPrefixes
    entraClientId: entraClientId
    entraTenantId: empty(entraTenantId) ? tenant().tenantId : entraTenantId
    // The app calls itself when the platform reads its triggers.
    callerSubnetIds: distinct(concat(isPrivate && !makesAppSubnet ? [] : [appSubnet], agentSubnetIds))
    settings: {
      PYTHON_SCRIPT_FILE_NAME: 'main.py'
      // Addresses and not the account's name, of which the host makes addresses of the public cloud.
      AzureWebJobsStorage__blobServiceUri: storage.outputs.blobEndpoint
      AzureWebJobsStorage__queueServiceUri: storage.outputs.queueEndpoint
      AzureWebJobsStorage__tableServiceUri: storage.outputs.tableEndpoint
      AzureWebJobsStorage__credential: 'managedidentity'
      AzureWebJobsStorage__clientId: identity.outputs.clientId
      APPLICATIONINSIGHTS_CONNECTION_STRING: monitoring.outputs.connectionString
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.outputs.clientId};Authorization=AAD'
      HOPKEEPER_SIGNING_KEY: '@Microsoft.KeyVault(SecretUri=${vault.outputs.secretUri})'
      HOPKEEPER_CLIENT_ID: identity.outputs.clientId
      HOPKEEPER_ARM_ENDPOINT: resourceManager
      HOPKEEPER_ARM_AUDIENCE: resourceManager
      HOPKEEPER_METRICS_ENDPOINT: 'https://${metricsRegion}.${monitorEndpoints.metrics}'
      HOPKEEPER_LOGS_ENDPOINT: monitorEndpoints.logs
      HOPKEEPER_LOGS_WORKSPACE: monitoring.outputs.workspaceId
      HOPKEEPER_EVENTS_ENDPOINT: publishEvents ? published!.outputs.endpoint : ''
      OTEL_EXPORTER_OTLP_ENDPOINT: otlpEndpoint
      OTEL_EXPORTER_OTLP_HEADERS: empty(otlpHeadersSecretUri)
        ? ''
        : '@Microsoft.KeyVault(SecretUri=${otlpHeadersSecretUri})'
      HOPKEEPER_APP_SUBNET_ID: appSubnet
      HOPKEEPER_ENTRA_CLIENT_ID: entraClientId
      HOPKEEPER_OBSERVE_ONLY: observeOnly ? 'true' : 'false'
      HOPKEEPER_SWEEP_SCHEDULE: '0 */${sweepMinutes} * * * *'
    }
  }
  dependsOn: [stores]
}

module entrance 'modules/private-endpoint.bicep' = if (isPrivate) {
  params: {
    name: 'pe-sites-${suffix}'
    location: location
    subnetId: endpointsSubnet
    targetId: app.outputs.id
    part: 'sites'
    zoneId: zoneIds.sites
  }
}

module roles 'modules/roles.bicep' = {
  scope: subscription()
  params: { name: suffix, subscriptions: assignableScopes }
}

module routeServerGrants 'modules/grant-route-server.bicep' = [
  for (server, i) in servers: {
    scope: resourceGroup(subscriptionOf(server.id), groupOf(server.id))
    params: {
      name: last(split(server.id, '/'))
      appPrincipalId: identity.outputs.principalId
      roleName: roles.outputs.routeServerRole
    }
  }
]

module loadBalancerGrants 'modules/grant-load-balancer.bicep' = [
  for (balancer, i) in balancers: {
    scope: resourceGroup(subscriptionOf(balancer.id), groupOf(balancer.id))
    params: {
      name: last(split(balancer.id, '/'))
      appPrincipalId: identity.outputs.principalId
      roleName: roles.outputs.loadBalancerRole
      workspaceResourceId: monitoring.outputs.workspaceResourceId
      suffix: suffix
    }
  }
]

module backendNetworkGrants 'modules/grant-backend-network.bicep' = [
  for (id, i) in distinct(backendNetworkIds): {
    scope: resourceGroup(subscriptionOf(id), groupOf(id))
    params: {
      name: last(split(id, '/'))
      appPrincipalId: identity.outputs.principalId
      roleName: roles.outputs.backendNetworkRole
    }
  }
]

module scaleSetGrants 'modules/grant-scale-set.bicep' = [
  for (id, i) in distinct(scaleSetIds): {
    scope: resourceGroup(subscriptionOf(id), groupOf(id))
    params: {
      name: last(split(id, '/'))
      appPrincipalId: identity.outputs.principalId
      roleName: roles.outputs.scaleSetRole
    }
  }
]

module interfaceGrants 'modules/grant-interface.bicep' = [
  for (id, i) in distinct(interfaceIds): {
    scope: resourceGroup(subscriptionOf(id), groupOf(id))
    params: {
      name: last(split(id, '/'))
      appPrincipalId: identity.outputs.principalId
      roleName: roles.outputs.interfaceRole
    }
  }
]

module networkPeeringGrants 'modules/grant-network-peerings.bicep' = [
  for (id, i) in distinct(peeredNetworkIds): {
    scope: resourceGroup(subscriptionOf(id), groupOf(id))
    params: {
      name: last(split(id, '/'))
      appPrincipalId: identity.outputs.principalId
      roleName: roles.outputs.networkPeeringRole
    }
  }
]

module networkPeeringFlagsGrants 'modules/grant-network-peerings.bicep' = [
  for (id, i) in distinct(ownedPeeringNetworkIds): {
    scope: resourceGroup(subscriptionOf(id), groupOf(id))
    params: {
      name: last(split(id, '/'))
      appPrincipalId: identity.outputs.principalId
      roleName: roles.outputs.networkPeeringFlagsRole
    }
  }
]

module routeServerFlagsGrants 'modules/grant-route-server.bicep' = [
  for (id, i) in distinct(ownedRouteServerIds): {
    scope: resourceGroup(subscriptionOf(id), groupOf(id))
    params: {
      name: last(split(id, '/'))
      appPrincipalId: identity.outputs.principalId
      roleName: roles.outputs.routeServerFlagsRole
    }
  }
]

module applianceNetworkGrants 'modules/grant-appliance-network.bicep' = [
  for (id, i) in distinct(applianceGroupIds): {
    scope: resourceGroup(subscriptionOf(id), groupOf(id))
    params: {
      appPrincipalId: identity.outputs.principalId
      roleName: roles.outputs.applianceNetworkRole
    }
  }
]

module subscriptionGrants 'modules/grant-subscription.bicep' = [
  for (id, i) in subscriptions: {
    scope: subscription(subscriptionOf(id))
    params: {
      appPrincipalId: identity.outputs.principalId
      roleName: roles.outputs.subscriptionRole
    }
  }
]

module appSubnetGrant 'modules/grant-app-subnet.bicep' = {
  scope: resourceGroup(subscriptionOf(appSubnet), groupOf(appSubnet))
  params: {
    networkName: last(split(networkOf(appSubnet), '/'))
    subnetName: last(split(appSubnet, '/'))
    appPrincipalId: identity.outputs.principalId
    roleName: roles.outputs.appSubnetRole
  }
  dependsOn: [network]
}

var routeTable = makesAppSubnet ? egress!.outputs.routeTableId : appRouteTableId
var routeTableScope = makesAppSubnet
  ? resourceGroup().id
  : empty(appRouteTableId) ? resourceGroup().id : appRouteTableId

module appRouteTableGrant 'modules/grant-route-table.bicep' = if (makesAppSubnet || !empty(appRouteTableId)) {
  scope: resourceGroup(subscriptionOf(routeTableScope), groupOf(routeTableScope))
  params: {
    name: last(split(routeTable, '/'))
    appPrincipalId: identity.outputs.principalId
    roleName: roles.outputs.appSubnetRole
  }
}

module healthLogsGrant 'modules/grant-health-logs.bicep' = {
  params: {
    name: last(split(monitoring.outputs.workspaceResourceId, '/'))
    appPrincipalId: identity.outputs.principalId
    roleName: roles.outputs.healthLogsRole
  }
}

module topic 'modules/system-topic.bicep' = if (createSystemTopic) {
  params: { name: systemTopicName }
}

module resourceEvents 'modules/resource-events.bicep' = {
  scope: resourceGroup(createSystemTopic ? resourceGroup().name : systemTopicGroup)
  params: {
    topicName: systemTopicName
    subscriptionName: suffix
    functionAppName: app.outputs.name
    functionAppGroup: resourceGroup().name
    functionName: 'on_resource_event'
    isDeployed: isDeployed
    subjectPrefixes: length(watchedGroups) > groupsMax ? [] : watchedGroups
    storageAccountId: storage.outputs.accountId
    deadLetterContainer: storage.outputs.deadLetterContainer
  }
  dependsOn: [topic, deadLetters]
}

resource othersTopic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = if (!createSystemTopic) {
  name: systemTopicName
  scope: resourceGroup(systemTopicGroup)
}

module deadLetters 'modules/grant-dead-letters.bicep' = {
  params: {
    topicPrincipalId: createSystemTopic ? topic!.outputs.principalId : othersTopic!.identity.principalId
    storageAccountName: storage.outputs.accountName
    container: storage.outputs.deadLetterContainer
  }
}

module alerts 'modules/alerts.bicep' = {
  params: {
    name: suffix
    location: location
    emails: alertEmails
    functionAppId: app.outputs.id
    functionName: 'on_alert'
    functionAppUri: app.outputs.uri
    isDeployed: isDeployed
    insightsId: monitoring.outputs.insightsId
    sweepMinutes: sweepMinutes
    loadBalancers: map(filter(balancers, each => each.onePool), each => {
      id: each.id
      backends: each.backends
      activePassive: each.activePassive
    })
    routeServers: servers
    virtualMachineIds: distinct(virtualMachineIds)
  }
}

@description('What `func azure functionapp publish` is given.')
output FUNCTION_APP_NAME string = app.outputs.name

@description('Where agents and operators call the app.')
output FUNCTION_APP_URI string = app.outputs.uri

@description('Where topologies are applied to.')
output STORAGE_ACCOUNT_NAME string = storage.outputs.accountName

@description('Scope of the role Storage Blob Data Contributor for whoever applies topologies: az role assignment create --role ... --scope ...')
output TOPOLOGIES_SCOPE string = storage.outputs.topologiesScope

@description('Where the signing key is kept and rotated.')
output KEY_VAULT_NAME string = vault.outputs.name

@description('Id of the vault\'s secret, for Azure Resource Manager: it is written so in a private vault, too.')
output SIGNING_KEY_ID string = vault.outputs.secretId

@description('Object id of the app in Azure.')
output APP_PRINCIPAL_ID string = identity.outputs.principalId
