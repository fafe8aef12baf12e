// az deployment group create -g rg-fast-failover -p infra/bicep/lab/lab.bicepparam
using './main.bicep'

param sshPublicKey = readEnvironmentVariable('LAB_SSH_PUBLIC_KEY')
param artefactUrl = readEnvironmentVariable('LAB_ARTEFACT_URL')
param artefactSha256 = readEnvironmentVariable('LAB_ARTEFACT_SHA256')
param appPublicKeys = readEnvironmentVariable('LAB_APP_PUBLIC_KEYS')
