#!/bin/sh
# After every `azd deploy`: the app that was deployed is the one that runs. On the platform an app without functions looks
# well: its state is Running, and its root page answers 200.
set -eu
export MSYS_NO_PATHCONV=1 # as in postprovision.sh

functions="apply diff entra_apply entra_diff entra_events entra_explain entra_history entra_lint entra_lint_document entra_on_alert entra_on_report entra_openapi entra_order entra_plan entra_plan_document entra_reconcile entra_remove entra_status entra_topologies entra_topology entra_verify events explain history lint lint_document on_alert on_report on_resource_event on_wakeup openapi order page plan plan_document reconcile remove status sweep topologies topology verify"
tries=20 # fifteen seconds apart: triggers are synchronised within a minute of a deployment, roles within five

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

missing_functions() {
  listed=$(az functionapp function list --subscription "$AZURE_SUBSCRIPTION_ID" --resource-group "$AZURE_RESOURCE_GROUP" \
    --name "$FUNCTION_APP_NAME" --query "[].name" --output tsv | tr -d '\r' | tr '\n' ' ')
  for name in $functions; do
    case " $listed" in *"/$name "*) ;; *) printf ' %s' "$name" ;; esac
  done
}

key_status() {
  az rest --method get --output tsv --query properties.status --url "/subscriptions/$AZURE_SUBSCRIPTION_ID/resourceGroups/\
$AZURE_RESOURCE_GROUP/providers/Microsoft.Web/sites/$FUNCTION_APP_NAME/config/configreferences/appsettings/\
HOPKEEPER_SIGNING_KEY?api-version=2024-11-01" | tr -d '\r'
}

# until_is WANTED COMMAND: prints what COMMAND says last; status 1 where that never is WANTED.
until_is() {
  left=$tries
  while said=$("$2") && [ "$said" != "$1" ] && [ "$left" -gt 1 ]; do
    left=$((left - 1))
    sleep 15
  done
  printf '%s' "$said"
  [ "$said" = "$1" ]
}

missing=$(until_is "" missing_functions) ||
  fail "$FUNCTION_APP_NAME does not have these of its functions:$missing. Its log (Application Insights, traces) says why;" \
    "a package without its libraries has none at all: make package, azd deploy"

# Event Grid and the action group only take functions that are there, which is why there are two provisions.
if [ "${HOPKEEPER_IS_DEPLOYED:-}" != true ]; then
  azd env set HOPKEEPER_IS_DEPLOYED true
  azd provision --no-prompt || {
    azd env set HOPKEEPER_IS_DEPLOYED false
    fail "the app is deployed, and what calls it is not; the reason stands above, then azd deploy again"
  }
fi

status=$(until_is Resolved key_status) ||
  fail "$FUNCTION_APP_NAME cannot read its signing key from $KEY_VAULT_NAME: '$status' (of the reference in its setting" \
    "HOPKEEPER_SIGNING_KEY). The vault's network and the app's role on the secret decide that; then azd deploy again"

echo "Hopkeeper serves as $FUNCTION_APP_NAME at $FUNCTION_APP_URI, with all its functions and its key."
echo "Whether it also sweeps, from a machine that it lets in:"
echo "  az functionapp keys list --resource-group $AZURE_RESOURCE_GROUP --name $FUNCTION_APP_NAME --query masterKey \\"
echo "    --output tsv | hopkeeper check --app $FUNCTION_APP_URI --key-file - --wait 600"
