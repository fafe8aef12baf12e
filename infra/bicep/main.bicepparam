// What azd deploys with: every value comes from its environment (`azd env set NAME VALUE`, docs/operating.md has the table).
// Lists are separated by commas; spaces and empty entries do not count.
using './main.bicep'

import { listed } from './ids.bicep'

param location = readEnvironmentVariable('AZURE_LOCATION')
param name = readEnvironmentVariable('HOPKEEPER_NAME', 'hopkeeper')
param isDeployed = bool(readEnvironmentVariable('HOPKEEPER_IS_DEPLOYED', 'false'))
param observeOnly = bool(readEnvironmentVariable('HOPKEEPER_OBSERVE_ONLY', 'false'))
param sweepMinutes = int(readEnvironmentVariable('HOPKEEPER_SWEEP_MINUTES', '1'))

// What it looks after.
param routeServers = map(listed(readEnvironmentVariable('HOPKEEPER_ROUTE_SERVERS', '')), id => {
  id: id
  minimumRoutes: int(readEnvironmentVariable('HOPKEEPER_MINIMUM_ROUTES', '1'))
})
param loadBalancers = map(listed(readEnvironmentVariable('HOPKEEPER_LOAD_BALANCERS', '')), id => {
  id: id
  backends: int(readEnvironmentVariable('HOPKEEPER_BACKENDS', '2'))
  activePassive: bool(readEnvironmentVariable('HOPKEEPER_ACTIVE_PASSIVE', 'true'))
  onePool: bool(readEnvironmentVariable('HOPKEEPER_ONE_POOL', 'true'))
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
param privateDnsZones = readEnvironmentVariable('HOPKEEPER_PRIVATE_DNS_ZONES', 'made')
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

// How large, and who is alerted.
param alwaysReadyHttp = int(readEnvironmentVariable('HOPKEEPER_ALWAYS_READY', '1'))
param requestsPerInstance = int(readEnvironmentVariable('HOPKEEPER_REQUESTS_PER_INSTANCE', '16'))
param maximumInstances = int(readEnvironmentVariable('HOPKEEPER_MAXIMUM_INSTANCES', '40'))
param storageSku = readEnvironmentVariable('HOPKEEPER_STORAGE_SKU', 'Standard_ZRS')
param recoverVault = bool(readEnvironmentVariable('HOPKEEPER_RECOVER_VAULT', 'false'))
param metricsRegion = readEnvironmentVariable('HOPKEEPER_METRICS_REGION', readEnvironmentVariable('AZURE_LOCATION'))
param alertEmails = listed(readEnvironmentVariable('HOPKEEPER_ALERT_EMAILS', ''))
param createSystemTopic = bool(readEnvironmentVariable('HOPKEEPER_CREATE_SYSTEM_TOPIC', 'true'))
param systemTopicName = readEnvironmentVariable('HOPKEEPER_SYSTEM_TOPIC_NAME', 'evgt-hopkeeper-resources')
param systemTopicGroup = readEnvironmentVariable(
  'HOPKEEPER_SYSTEM_TOPIC_GROUP',
  readEnvironmentVariable('AZURE_RESOURCE_GROUP', '')
)
param publishEvents = bool(readEnvironmentVariable('HOPKEEPER_PUBLISH_EVENTS', 'true'))
param logRetentionDays = int(readEnvironmentVariable('HOPKEEPER_LOG_RETENTION_DAYS', '30'))
