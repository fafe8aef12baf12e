#!/bin/sh
# Before every `azd provision`: what a deployment needs and azd does not look for.
set -eu

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

command -v az >/dev/null || fail "az is not on the PATH; the signing key is written with it, and the deployment checked:" \
  "https://learn.microsoft.com/cli/azure/install-azure-cli"
command -v openssl >/dev/null || fail "openssl is not on the PATH; the signing key is made with it"
az account show --subscription "$AZURE_SUBSCRIPTION_ID" --output none ||
  fail "az does not know subscription $AZURE_SUBSCRIPTION_ID: az login (it does not share azd's login), then run this again"

# The app's subnet is delegated to Microsoft.App/environments, and no resource of the template is of that provider: nothing
# else registers it, and without it the subnet is answered with an error 500.
az provider register --subscription "$AZURE_SUBSCRIPTION_ID" --namespace Microsoft.App --wait ||
  fail "resource provider Microsoft.App is not registered; it takes Contributor on the subscription, once:" \
    "az provider register --subscription $AZURE_SUBSCRIPTION_ID --namespace Microsoft.App --wait"
