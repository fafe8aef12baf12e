#!/bin/sh
# After every `azd provision`: the app's signing key is in the vault, and its public half is at hand.
#
# The private half is made here, once, and goes by a pipe to the vault: it is in no file, no argument, no environment and no
# output, and nobody but the app can read it back. It is written through Azure Resource Manager, as a private vault admits
# nothing else from here, and as that takes no right to read secrets. The public half is a tag of the secret.
set -eu
export MSYS_NO_PATHCONV=1              # Git's shell on Windows would take what begins with /subscriptions for a path
export AZURE_LOGGING_ENABLE_LOG_FILE=no # az writes the bodies of its requests into its log, where one is kept
unset private value                    # a variable that came from the environment would hand the key on to every tool

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

group="/subscriptions/$AZURE_SUBSCRIPTION_ID/resourceGroups/$AZURE_RESOURCE_GROUP/providers"
vault="$group/Microsoft.KeyVault/vaults/$KEY_VAULT_NAME"
references="$group/Microsoft.Web/sites/$FUNCTION_APP_NAME/config/configreferences/appsettings"
version="api-version=2024-11-01"
ours="value[?name=='signing-key']"

# Of the list, as the question for one secret fails alike when there is none and when nobody answers.
look() {
  az rest --method get --url "$vault/secrets?$version" --query "$1" --output tsv | tr -d '\r'
}

there=$(look "length($ours)")
case $there in
  0)
    private=$(openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:named_curve)
    public=$(printf '%s\n' "$private" | openssl pkey -pubout | sed '/^-----/d' | tr -d '\n')
    value=$(printf '%s\n' "$private" | awk '{ printf "%s\\n", $0 }')
    [ -n "$public" ] || fail "openssl made no key"
    printf '{"properties": {"value": "%s", "contentType": "application/x-pem-file", "attributes": {"enabled": true}},
      "tags": {"publicKey": "%s"}}' "$value" "$public" |
      az rest --method put --url "$vault/secrets/signing-key?$version" --body @- --output none ||
      fail "the signing key could not be written to $KEY_VAULT_NAME; nothing is kept of it, run azd provision again"
    unset private value
    ;;
  1) ;;
  *) fail "what secrets $KEY_VAULT_NAME has could not be read; run azd provision again" ;;
esac

# The app keeps for a day what it once read, or failed to read: "Key Vault references", Understand rotation.
az rest --method post --url "$references/refresh?api-version=2022-03-01" --output none ||
  fail "$FUNCTION_APP_NAME did not refresh its reference to the signing key; run azd provision again"

public=$(look "$ours | [0].tags.publicKey")
if [ -z "$public" ]; then
  echo "The signing key in $KEY_VAULT_NAME was made elsewhere: agents need the public half that belongs to it."
  exit 0
fi
file=".azure/$AZURE_ENV_NAME/app.pub"
mkdir -p ".azure/$AZURE_ENV_NAME"
{
  echo "-----BEGIN PUBLIC KEY-----"
  printf '%s\n' "$public" | fold -w 64
  echo "-----END PUBLIC KEY-----"
} >"$file"
azd env set -- HOPKEEPER_PUBLIC_KEY "$(cat "$file")"
echo "Every agent needs the app's public key: $file (also: azd env get-value HOPKEEPER_PUBLIC_KEY)"
