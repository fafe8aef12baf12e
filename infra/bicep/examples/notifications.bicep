// Mail, and a webhook for a chat (Teams, Slack), for what Hopkeeper publishes: the topic's events become alerts of an action group.
// Deploy it beside main.bicep, into the same resource group, with publishEvents:
//   az deployment group create -g rg-hopkeeper -f notifications.bicep -p topicName=... emails='["noc@example.com"]'
@description('Name of the topic that the app publishes to.')
param topicName string

@description('Mail addresses.')
param emails string[]

@description('Where a chat takes posts: the address that a Teams workflow "When a Teams webhook request is received" shows; empty: none.')
@secure()
param chatUri string = ''

@description('What wakes somebody; the others are on the topic for programs.')
param types string[] = [
  'Hopkeeper.FailoverStarted'
  'Hopkeeper.Verified'
  'Hopkeeper.Held'
  'Hopkeeper.FenceUndone'
  'Hopkeeper.RedundancyLost'
  'Hopkeeper.RedundancyBack'
  'Hopkeeper.SlotRefused'
  'Hopkeeper.TopologyRejected'
]

resource topic 'Microsoft.EventGrid/topics@2025-02-15' existing = {
  name: topicName
}

resource group 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-news-${topicName}'
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
    webhookReceivers: empty(chatUri)
      ? []
      : [
          {
            name: 'chat'
            serviceUri: chatUri
            useCommonAlertSchema: true
          }
        ]
  }
}

resource subscription 'Microsoft.EventGrid/topics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'people'
  properties: {
    eventDeliverySchema: 'CloudEventSchemaV1_0'
    filter: { includedEventTypes: types }
    destination: {
      endpointType: 'MonitorAlert'
      properties: {
        severity: 'Sev2'
        description: 'Hopkeeper: the subject is the service, data.reasons say why.'
        actionGroups: [group.id]
      }
    }
    retryPolicy: { maxDeliveryAttempts: 30, eventTimeToLiveInMinutes: 1440 }
  }
}
