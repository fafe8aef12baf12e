// Saved queries of the workspace, and a workbook of the same: what the app's lines `pass {...}` and `state {...}` say.
// Their keys are those of function_app/reconcile/documents/lines.py, which a test compares.
@description('Suffix of the names.')
param name string

@description('Region.')
param location string

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

@description('Resource id of the Application Insights component.')
param insightsId string

var states = 'AppTraces | where Message startswith "state {" | extend line = parse_json(substring(Message, 6))'
var passes = 'AppTraces | where Message startswith "pass {" | extend line = parse_json(substring(Message, 5))'
var ofService = 'service = strcat(tostring(line.topology), "/", tostring(line.service))'

// Each: what it is called, the query, and how a workbook draws it.
var queries = [
  {
    name: 'Who serves'
    draws: 'table'
    query: '${states} | extend ${ofService} | summarize arg_max(TimeGenerated, line) by service | project service, seconds = datetime_diff("second", now(), TimeGenerated), holder = tostring(line.holder), epoch = tolong(line.epoch), phase = tostring(line.phase), serving = toint(line.serving), spares = toint(line.spares), outcome = tostring(line.outcome), reasons = tostring(line.reasons)'
  }
  {
    name: 'Serving members'
    draws: 'timechart'
    query: '${states} | extend ${ofService} | summarize serving = max(toint(line.serving)) by bin(TimeGenerated, 1m), service'
  }
  {
    name: 'Changes of holder'
    draws: 'table'
    query: '${states} | extend ${ofService}, holder = tostring(line.holder) | sort by service asc, TimeGenerated asc | extend before = prev(holder), same = prev(service) == service | where same and before != holder | project TimeGenerated, service, before, holder, epoch = tolong(line.epoch), operation = tostring(line.operation), reasons = tostring(line.reasons), trace = tostring(line.trace)'
  }
  {
    name: 'Held'
    draws: 'timechart'
    query: '${states} | extend ${ofService} | where tobool(line.held) | summarize minutes = dcount(bin(TimeGenerated, 1m)) by bin(TimeGenerated, 5m), service'
  }
  {
    name: 'Redundancy'
    draws: 'timechart'
    query: '${states} | extend ${ofService} | summarize spares = min(toint(line.spares)) by bin(TimeGenerated, 5m), service'
  }
  {
    name: 'How long changes take'
    draws: 'timechart'
    query: '${states} | extend ${ofService} | summarize seconds = max(todouble(line.operationSeconds)) by bin(TimeGenerated, 1m), service'
  }
  {
    name: 'Age of evidence, and write tokens left'
    draws: 'timechart'
    query: '${states} | summarize evidence = max(todouble(line.evidenceSeconds)), tokens = min(toint(line.writeTokensLeft)) by bin(TimeGenerated, 5m)'
  }
  {
    name: 'Failovers in a row'
    draws: 'timechart'
    query: '${states} | extend ${ofService} | summarize failovers = max(toint(line.automaticFailovers)) by bin(TimeGenerated, 5m), service'
  }
  {
    name: 'How passes end'
    draws: 'timechart'
    query: '${passes} | summarize passes = count() by bin(TimeGenerated, 5m), outcome = tostring(line.outcome)'
  }
  {
    name: 'Passes that were not well'
    draws: 'table'
    query: '${passes} | where tostring(line.outcome) in ("held", "refused", "failed") | project TimeGenerated, topology = tostring(line.topology), pace = tostring(line.pace), trigger = tostring(line.trigger), outcome = tostring(line.outcome), reasons = tostring(line.reasons), trace = tostring(line.trace)'
  }
]

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' existing = {
  name: last(split(workspaceId, '/'))
}

resource saved 'Microsoft.OperationalInsights/workspaces/savedSearches@2025-02-01' = [
  for (each, i) in queries: {
    parent: workspace
    name: 'hopkeeper-${i}-${name}'
    properties: {
      category: 'Hopkeeper'
      displayName: each.name
      query: each.query
    }
  }
]

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(workspaceId, 'hopkeeper')
  location: location
  kind: 'shared'
  properties: {
    displayName: 'Hopkeeper ${name}'
    category: 'workbook'
    sourceId: insightsId
    serializedData: string({
      version: 'Notebook/1.0'
      items: map(queries, each => {
        type: 3
        name: each.name
        content: {
          version: 'KqlItem/1.0'
          title: each.name
          query: each.query
          queryType: 0
          resourceType: 'microsoft.operationalinsights/workspaces'
          crossComponentResources: [workspaceId]
          timeContext: { durationMs: 86400000 }
          visualization: each.draws
          size: 0
        }
      })
    })
  }
}
