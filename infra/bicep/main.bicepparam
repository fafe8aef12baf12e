// What azd deploys with: every value comes from its environment (`azd env set NAME VALUE`); lists are comma-separated.
using './main.bicep'

param location = readEnvironmentVariable('AZURE_LOCATION')
param signingKey = readEnvironmentVariable('HOPKEEPER_SIGNING_KEY', '')
param isDeployed = readEnvironmentVariable('HOPKEEPER_IS_DEPLOYED', 'false') == 'true'
param routeServers = map(
  split(readEnvironmentVariable('HOPKEEPER_ROUTE_SERVERS'), ','),
  id => { id: id, minimumRoutes: 1 }
)
param loadBalancers = map(
  filter(split(readEnvironmentVariable('HOPKEEPER_LOAD_BALANCERS', ''), ','), id => !empty(id)),
  id => { id: id, backends: 2, activePassive: true, onePool: true }
)
param backendNetworkIds = filter(
  split(readEnvironmentVariable('HOPKEEPER_BACKEND_NETWORKS', ''), ','),
  id => !empty(id)
)
param applianceGroupIds = filter(
  split(readEnvironmentVariable('HOPKEEPER_APPLIANCE_GROUPS', ''), ','),
  id => !empty(id)
)
param virtualNetworkId = readEnvironmentVariable('HOPKEEPER_VIRTUAL_NETWORK')
param appSubnetPrefix = readEnvironmentVariable('HOPKEEPER_APP_SUBNET_PREFIX')
param endpointsSubnetPrefix = readEnvironmentVariable('HOPKEEPER_ENDPOINTS_SUBNET_PREFIX', '')
param callerPrefixes = filter(
  split(readEnvironmentVariable('HOPKEEPER_CALLER_PREFIXES', ''), ','),
  prefix => !empty(prefix)
)
param alertEmails = filter(split(readEnvironmentVariable('HOPKEEPER_ALERT_EMAILS', ''), ','), mail => !empty(mail))
