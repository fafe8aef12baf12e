// What azd deploys with: every value comes from its environment (`azd env set NAME VALUE`, docs/operating.md has the table).
// Lists are separated by commas; spaces and empty entries do not count.
using './main.bicep'

import { listed, textOf } from './ids.bicep'

param location = trim(readEnvironmentVariable('AZURE_LOCATION'))
param name = textOf(readEnvironmentVariable('HOPKEEPER_NAME', ''), 'hopkeeper')
param isDeployed = bool(textOf(readEnvironmentVariable('HOPKEEPER_IS_DEPLOYED', ''), 'false'))
param observeOnly = bool(textOf(readEnvironmentVariable('HOPKEEPER_OBSERVE_ONLY', ''), 'false'))
param sweepMinutes = int(textOf(readEnvironmentVariable('HOPKEEPER_SWEEP_MINUTES', ''), '1'))

// What it looks after.
param routeServers = map(listed(readEnvironmentVariable('HOPKEEPER_ROUTE_SERVERS', '')), id => {
  id: id
  minimumRoutes: int(textOf(readEnvironmentVariable('HOPKEEPER_MINIMUM_ROUTES', ''), '1'))
})
param loadBalancers = map(listed(readEnvironmentVariable('HOPKEEPER_LOAD_BALANCERS', '')), id => {
  id: id
  backends: int(textOf(readEnvironmentVariable('HOPKEEPER_BACKENDS', ''), '2'))
  activePassive: bool(textOf(readEnvironmentVariable('HOPKEEPER_ACTIVE_PASSIVE', ''), 'true'))
  onePool: bool(textOf(readEnvironmentVariable('HOPKEEPER_ONE_POOL', ''), 'true'))
})
param backendNetworkIds = listed(readEnvironmentVariable('HOPKEEPER_BACKEND_NETWORKS', ''))
param interfaceIds = listed(readEnvironmentVariable('HOPKEEPER_INTERFACES', ''))
param peeredNetworkIds = listed(readEnvironmentVariable('HOPKEEPER_PEERED_NETWORKS', ''))
param ownedPeeringNetworkIds = listed(readEnvironmentVariable('HOPKEEPER_OWNED_PEERING_NETWORKS', ''))
param ownedRouteServerIds = listed(readEnvironmentVariable('HOPKEEPER_OWNED_ROUTE_SERVERS', ''))
param applianceGroupIds = listed(readEnvironmentVariable('HOPKEEPER_APPLIANCE_GROUPS', ''))
param virtualMachineIds = listed(readEnvironmentVariable('HOPKEEPER_VIRTUAL_MACHINES', ''))
param scaleSetIds = listed(readEnvironmentVariable('HOPKEEPER_SCALE_SETS', ''))

// The app's network.
param virtualNetworkId = trim(readEnvironmentVariable('HOPKEEPER_VIRTUAL_NETWORK', ''))
param appSubnetPrefix = trim(readEnvironmentVariable('HOPKEEPER_APP_SUBNET_PREFIX', ''))
param natGatewayId = trim(readEnvironmentVariable('HOPKEEPER_NAT_GATEWAY', ''))
param appSubnetId = trim(readEnvironmentVariable('HOPKEEPER_APP_SUBNET_ID', ''))
param appRouteTableId = trim(readEnvironmentVariable('HOPKEEPER_APP_ROUTE_TABLE', ''))

// Who reaches it.
param endpointsSubnetPrefix = trim(readEnvironmentVariable('HOPKEEPER_ENDPOINTS_SUBNET_PREFIX', ''))
param endpointsSubnetId = trim(readEnvironmentVariable('HOPKEEPER_ENDPOINTS_SUBNET_ID', ''))
param privateDnsZones = textOf(readEnvironmentVariable('HOPKEEPER_PRIVATE_DNS_ZONES', ''), 'made')
param privateDnsZoneIds = {
  blob: trim(readEnvironmentVariable('HOPKEEPER_PRIVATE_DNS_BLOB', ''))
  queue: trim(readEnvironmentVariable('HOPKEEPER_PRIVATE_DNS_QUEUE', ''))
  table: trim(readEnvironmentVariable('HOPKEEPER_PRIVATE_DNS_TABLE', ''))
  vault: trim(readEnvironmentVariable('HOPKEEPER_PRIVATE_DNS_VAULT', ''))
  sites: trim(readEnvironmentVariable('HOPKEEPER_PRIVATE_DNS_SITES', ''))
}
param linkedNetworkIds = listed(readEnvironmentVariable('HOPKEEPER_LINKED_NETWORKS', ''))
param agentSubnetIds = listed(readEnvironmentVariable('HOPKEEPER_AGENT_SUBNETS', ''))
param callerPrefixes = listed(readEnvironmentVariable('HOPKEEPER_CALLER_PREFIXES', ''))

param entraClientId = trim(readEnvironmentVariable('HOPKEEPER_ENTRA_CLIENT_ID', ''))
param entraTenantId = trim(readEnvironmentVariable('HOPKEEPER_ENTRA_TENANT', ''))

// How large, and who is alerted.
param alwaysReadyHttp = int(textOf(readEnvironmentVariable('HOPKEEPER_ALWAYS_READY', ''), '1'))
param requestsPerInstance = int(textOf(readEnvironmentVariable('HOPKEEPER_REQUESTS_PER_INSTANCE', ''), '16'))
param maximumInstances = int(textOf(readEnvironmentVariable('HOPKEEPER_MAXIMUM_INSTANCES', ''), '40'))
param storageSku = textOf(readEnvironmentVariable('HOPKEEPER_STORAGE_SKU', ''), 'Standard_ZRS')
param recoverVault = bool(textOf(readEnvironmentVariable('HOPKEEPER_RECOVER_VAULT', ''), 'false'))
param metricsRegion = textOf(
  readEnvironmentVariable('HOPKEEPER_METRICS_REGION', ''),
  trim(readEnvironmentVariable('AZURE_LOCATION'))
)
param alertEmails = listed(readEnvironmentVariable('HOPKEEPER_ALERT_EMAILS', ''))
param createSystemTopic = bool(textOf(readEnvironmentVariable('HOPKEEPER_CREATE_SYSTEM_TOPIC', ''), 'true'))
param systemTopicName = textOf(readEnvironmentVariable('HOPKEEPER_SYSTEM_TOPIC_NAME', ''), 'evgt-hopkeeper-resources')
param systemTopicGroup = textOf(
  readEnvironmentVariable('HOPKEEPER_SYSTEM_TOPIC_GROUP', ''),
  trim(readEnvironmentVariable('AZURE_RESOURCE_GROUP', ''))
)
param publishEvents = bool(textOf(readEnvironmentVariable('HOPKEEPER_PUBLISH_EVENTS', ''), 'true'))
param otlpEndpoint = trim(readEnvironmentVariable('HOPKEEPER_OTLP_ENDPOINT', ''))
param otlpHeadersSecretUri = trim(readEnvironmentVariable('HOPKEEPER_OTLP_HEADERS_SECRET', ''))
param logRetentionDays = int(textOf(readEnvironmentVariable('HOPKEEPER_LOG_RETENTION_DAYS', ''), '30'))
