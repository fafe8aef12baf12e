// Alerts for people, and a wake-up for the app: an alert decides nothing, it makes Hopkeeper look.
@description('Suffix of the names.')
param name string

@description('Region of the app.')
param location string

@description('Mail addresses of those who are told.')
param emails string[]

@description('Id of the Function App.')
param functionAppId string

@description('Name of the function that alerts call.')
param functionName string

@description('Address of the Function App.')
param functionAppUri string

@description('True once the app is deployed: its key for alerts exists only then.')
param isDeployed bool

@description('Id of the Application Insights component.')
param insightsId string

@description('Minutes between two sweeps.')
@allowed([1, 2, 5, 10])
param sweepMinutes int

@description('Load balancers whose backends are watched: their id, how many backends the pool has (2 or more), and whether exactly one of them serves. Leave out a load balancer that several pools use: the average says nothing there.')
param loadBalancers { id: string, backends: int, activePassive: bool }[]

@description('Route Servers that are watched: their id, and the fewest routes that each peer should send.')
param routeServers { id: string, minimumRoutes: int }[]

@description('Ids of the NVAs\' virtual machines.')
param virtualMachineIds string[]

var everyMinute = 'PT1M'
var fiveMinutes = 'PT5M'
var ingestionMinutes = 5 // that telemetry may be late

resource group 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-${name}'
  location: 'global'
  properties: {
    enabled: true
    groupShortName: 'hopkeeper'
    emailReceivers: [
      for (address, i) in emails: {
        name: 'mail-${i}'
        emailAddress: address
        useCommonAlertSchema: true
      }
    ]
    azureFunctionReceivers: isDeployed
      ? [
          {
            name: 'wake'
            functionAppResourceId: functionAppId
            functionName: functionName
            // The URL can be read by whoever reads the action group: the key of this function alone, which opens no other.
            httpTriggerUrl: '${functionAppUri}/api/alerts?code=${listKeys(resourceId('Microsoft.Web/sites/functions', last(split(functionAppId, '/')), functionName), '2025-03-01').default}'
            useCommonAlertSchema: true
          }
        ]
      : []
  }
}

// Averaged over the load balancer and not split: split by backend, the standby of an active-passive pair would alert for
// ever. With n backends each healthy one gives 100/n, so 50/n lies between nobody and one, 150/n between one and two.
resource nobody 'Microsoft.Insights/metricAlerts@2026-01-01' = [
  for (lb, i) in loadBalancers: {
    name: 'nobody-serves-${i}-${name}'
    location: 'global'
    properties: {
      description: 'No backend of ${last(split(lb.id, '/'))} answers its probe.'
      enabled: true
      severity: 0
      scopes: [lb.id]
      targetResourceType: 'Microsoft.Network/loadBalancers'
      evaluationFrequency: everyMinute
      windowSize: fiveMinutes
      autoMitigate: true
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: 'nobody'
            metricNamespace: 'Microsoft.Network/loadBalancers'
            metricName: 'DipAvailability'
            timeAggregation: 'Average'
            operator: 'LessThan'
            threshold: 50 / lb.backends
          }
        ]
      }
      actions: [{ actionGroupId: group.id }]
    }
  }
]

resource two 'Microsoft.Insights/metricAlerts@2026-01-01' = [
  for (lb, i) in loadBalancers: if (lb.activePassive) {
    name: 'two-serve-${i}-${name}'
    location: 'global'
    properties: {
      description: 'More than one backend of ${last(split(lb.id, '/'))} answers its probe, where one should.'
      enabled: true
      severity: 1
      scopes: [lb.id]
      targetResourceType: 'Microsoft.Network/loadBalancers'
      evaluationFrequency: everyMinute
      windowSize: fiveMinutes
      autoMitigate: true
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: 'two'
            metricNamespace: 'Microsoft.Network/loadBalancers'
            metricName: 'DipAvailability'
            timeAggregation: 'Average'
            operator: 'GreaterThan'
            threshold: 150 / lb.backends
          }
        ]
      }
      actions: [{ actionGroupId: group.id }]
    }
  }
]

// Split by peer and not by instance: maintenance takes one instance's session down, a lost peer both.
resource sessionDown 'Microsoft.Insights/metricAlerts@2026-01-01' = [
  for (server, i) in routeServers: {
    name: 'session-down-${i}-${name}'
    location: 'global'
    properties: {
      description: 'A peer of ${last(split(server.id, '/'))} has no BGP session with either instance.'
      enabled: true
      severity: 1
      scopes: [server.id]
      targetResourceType: 'Microsoft.Network/virtualHubs'
      evaluationFrequency: everyMinute
      windowSize: fiveMinutes
      autoMitigate: true
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: 'session'
            metricNamespace: 'Microsoft.Network/virtualHubs'
            metricName: 'BgpPeerStatus'
            timeAggregation: 'Maximum'
            dimensions: [{ name: 'bgppeerip', operator: 'Include', values: ['*'] }]
            operator: 'LessThan'
            threshold: 1
          }
        ]
      }
      actions: [{ actionGroupId: group.id }]
    }
  }
]

resource routesGone 'Microsoft.Insights/metricAlerts@2026-01-01' = [
  for (server, i) in routeServers: {
    name: 'routes-gone-${i}-${name}'
    location: 'global'
    properties: {
      description: 'A peer of ${last(split(server.id, '/'))} sends fewer routes than it should.'
      enabled: true
      severity: 2
      scopes: [server.id]
      targetResourceType: 'Microsoft.Network/virtualHubs'
      evaluationFrequency: everyMinute
      windowSize: fiveMinutes
      autoMitigate: true
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: 'routes'
            metricNamespace: 'Microsoft.Network/virtualHubs'
            metricName: 'CountOfRoutesLearnedFromPeer'
            timeAggregation: 'Maximum'
            dimensions: [{ name: 'bgppeerip', operator: 'Include', values: ['*'] }]
            operator: 'LessThan'
            threshold: server.minimumRoutes
          }
        ]
      }
      actions: [{ actionGroupId: group.id }]
    }
  }
]

resource machines 'Microsoft.Insights/activityLogAlerts@2026-01-01' = if (!empty(virtualMachineIds)) {
  name: 'nva-health-${name}'
  location: 'global'
  properties: {
    description: 'Azure says that the virtual machine of an NVA is degraded or unavailable.'
    enabled: true
    scopes: virtualMachineIds
    condition: {
      allOf: [
        { field: 'category', equals: 'ResourceHealth' }
        {
          anyOf: [
            { field: 'properties.currentHealthStatus', equals: 'Degraded' }
            { field: 'properties.currentHealthStatus', equals: 'Unavailable' }
          ]
        }
      ]
    }
    actions: { actionGroups: [{ actionGroupId: group.id }] }
  }
}

// Absence cannot be seen in a metric that nobody writes, so this one counts rows: none in three periods (and the time
// that telemetry may be late) means that nothing sweeps.
resource deadMan 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = if (isDeployed) {
  name: 'sweep-missing-${name}'
  location: location
  kind: 'LogAlert'
  properties: {
    displayName: 'Hopkeeper does not sweep'
    description: 'The sweep has not succeeded for three periods: nothing would notice a missed event.'
    enabled: true
    severity: 1
    scopes: [insightsId]
    evaluationFrequency: fiveMinutes
    windowSize: 'PT45M'
    autoMitigate: true
    criteria: {
      allOf: [
        {
          // `success` is text in a component's tables and a bool in a workspace's.
          query: 'requests | where name == "sweep" and tobool(success) and timestamp > ago(${3 * sweepMinutes + ingestionMinutes}m)'
          timeAggregation: 'Count'
          operator: 'LessThan'
          threshold: 1
          failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
        }
      ]
    }
    actions: { actionGroups: [group.id] }
  }
}

output actionGroupId string = group.id
