// A machine with an agent: its first boot installs the agent from the pinned artefact, and what the lab serves besides.
@description('Region.')
param location string

@description('Name of the machine, and of its speaker in the topology.')
param name string

@description('Its private address.')
param address string

@description('Its availability zone.')
param zone string

@description('Its size.')
param size string

@description('Id of its subnet.')
param subnetId string

@description('Ids of the load balancer\'s pools that it is in.')
param poolIds string[]

@description('Name of the operator\'s user.')
param adminUser string

@description('SSH public key of the operator.')
param sshPublicKey string

@description('Configuration of its agent, with its values still between @ signs.')
param configuration string

@description('Addresses of the Route Server\'s two instances.')
param instances string[]

@description('Address that it serves in the data path; empty: none.')
param serviceAddress string

@description('https address of hopkeeper-agent.pyz.')
param artefactUrl string

@description('SHA-256 of that file.')
param artefactSha256 string

@description('Public keys of the app, PEM.')
param appPublicKeys string

var inConfiguration = {
  NAME: name
  ADDRESS: address
  ROUTE_SERVER_1: instances[0]
  ROUTE_SERVER_2: instances[1]
}
var inCloudInit = {
  NAME: name
  ARTEFACT_URL: artefactUrl
  ARTEFACT_SHA256: artefactSha256
  AGENT_TOML_BASE64: base64(reduce(
    items(inConfiguration),
    configuration,
    (done, each) => replace(done, '@${each.key}@', each.value)
  ))
  APP_KEYS_BASE64: base64(appPublicKeys)
}
var inScript = {
  NAME: name
  SERVICE_ADDRESS: serviceAddress
  ECHO_BASE64: loadFileAsBase64('../../../lab/echo.py')
  WATCHER_BASE64: loadFileAsBase64('../../../lab/packets/watcher.py')
}
var inUserData = {
  CLOUD_INIT: reduce(
    items(inCloudInit),
    loadTextContent('../../../nva_agent/packaging/cloud-init.yaml'),
    (done, each) => replace(done, '@${each.key}@', each.value)
  )
  SCRIPT: reduce(
    items(inScript),
    loadTextContent('machines/data-path.sh'),
    (done, each) => replace(done, '@${each.key}@', each.value)
  )
}

module machine 'machine.bicep' = {
  params: {
    location: location
    name: name
    address: address
    zone: zone
    size: size
    subnetId: subnetId
    poolIds: poolIds
    adminUser: adminUser
    sshPublicKey: sshPublicKey
    userData: reduce(
      items(inUserData),
      loadTextContent('machines/user-data.txt'),
      (done, each) => replace(done, '@${each.key}@', each.value)
    )
  }
}

output id string = machine.outputs.id
