#!/bin/sh
# Makes a Thing and an MQTT credential for each line of a CSV file, and prints the credentials as
# CSV: the passwords are shown this once. Needs curl only.
#
#   TOKEN=slu_… sh bulk-credentials.sh station.json devices.csv > credentials.csv
#
# devices.csv has the columns thing,user. A Thing that exists stays as it is; a user name that is
# taken is reported, the others are made, and the exit code is 1. HTTP and ACCOUNT may be set, too.
set -eu
umask 077
description=$1 devices=$2
url=${HTTP:-http://127.0.0.1:8080}/${ACCOUNT:-site}

# In files, because the arguments of a running program can be seen by all.
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT
printf 'Authorization: Bearer %s\n' "${TOKEN:?}" > "$scratch/headers"

# Prints the status of the answer, whose body is then in "$scratch/answer".
call() {
  curl --silent --show-error --header @"$scratch/headers" --header 'Content-Type: application/json' \
    --output "$scratch/answer" --write-out '%{http_code}' "$@"
}

member() { sed 's/.*"'"$1"'":"\([^"]*\)".*/\1/' "$scratch/answer"; }

complain() {
  printf '%s: %s\n' "$1" "$(cat "$scratch/answer")" >&2
  failed=1
}

failed=0
printf 'thing,user,password\n'
sed 1d "$devices" | tr -d '\r' > "$scratch/rows"
while IFS=, read -r thing user || [ -n "$thing" ]; do
  status=$(call -X PUT --header 'If-None-Match: *' --data @"$description" "$url/things/$thing")
  case $status in
    201 | 412) ;; # Made; or there already.
    *) complain "$thing" && continue ;;
  esac
  status=$(call "$url/mqtt" --data \
    '{"resources": [{"entity": "things", "id": ["'"$thing"'"]}], "user": "'"$user"'"}')
  case $status in
    201) printf '%s,%s,%s\n' "$thing" "$user" "$(member password)" ;;
    *) complain "$thing" ;;
  esac
done < "$scratch/rows"
exit "$failed"
