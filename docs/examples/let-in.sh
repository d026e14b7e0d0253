#!/bin/sh
# Lets devices in for ten minutes: whoever stands at a device types the code that it shows. Needs curl
# and jq.
#
#   TOKEN=slu_… sh let-in.sh https://gw.local:8443 ca.crt
#
# ACCOUNT may be set, too. Ends with the end of its input (Ctrl-D), and then lets nobody in any more.
set -eu
umask 077
joining=$1/gateway/joining ca=$2

# In a file, because the arguments of a running program can be seen by all.
headers=$(mktemp)
printf 'Authorization: Bearer %s\nContent-Type: application/json\n' "${TOKEN:?}" > "$headers"
call() { curl --silent --show-error --fail-with-body --cacert "$ca" --header @"$headers" "$@"; }
trap 'call -X DELETE "$joining"; rm "$headers"' EXIT
trap 'exit 143' INT TERM

call -X PUT "$joining" -d '{"seconds": 600, "account": "'"${ACCOUNT:-site}"'"}' |
  jq -r '"devices can ask until \(.closes_at); type the code that one shows"'
while read -r code; do
  device=$(call "$joining/requests?limit=100" | jq -c --arg code "$code" \
    '[.data[] | select(.status == "pending" and .code == $code)] | if length == 1 then .[0] else empty end')
  if [ -z "$device" ]; then
    printf 'no device shows %s\n' "$code"
    continue
  fi
  printf '%s' "$device" | jq -r '"\(.name), from \(.address)"'
  call -X POST "$joining/requests/$(printf '%s' "$device" | jq -r .id)/approve" | jq -r '
    if .status == "approved" then "let in: Thing \(.thing) of \(.account), user \(.username)"
    else "not let in: \(.detail)" end'
done
