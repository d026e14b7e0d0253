#!/bin/sh
# A device with nothing but a shell and Debian's mosquitto-clients. It reports the load of this
# machine, and answers the action "identify". Its Thing is station.json.
#
#   MQTT_USER=… MQTT_PASSWORD=… sh device.sh
#
# MQTT_HOST, MQTT_PORT, ACCOUNT, THING and EVERY (seconds between readings) may be set, too.
# On a machine with other users put -u and -P into ~/.config/mosquitto_pub and mosquitto_sub: the
# arguments of a running program can be seen by all.
set -eu
: "${MQTT_USER:?}" "${MQTT_PASSWORD:?}"
account=${ACCOUNT:-site} thing=${THING:-station} every=${EVERY:-10}

become() {
  program=$1
  shift
  exec "$program" -h "${MQTT_HOST:-127.0.0.1}" -p "${MQTT_PORT:-1883}" \
    -u "$MQTT_USER" -P "$MQTT_PASSWORD" -q 1 "$@"
}

# Returns once it is on disk, or fails.
publish() { (become mosquitto_pub -t "set/$account/things/$thing/$1" -m "$2"); }
insist() { until publish "$@"; do sleep 5; done; }

# Reads what the gateway says, which is one line of compact JSON a message: no jq is needed.
answer_actions() {
  while read -r request; do
    case $request in
      '{"identify":'*'"status":"pending"'*) ;;
      *) continue ;; # A change of a request: our own reports come back, too.
    esac
    href=$(printf '%s' "$request" | sed 's/.*"href":"\([^"]*\)".*/\1/')
    seconds=$(printf '%s' "$request" | sed 's/.*"seconds":\([0-9]*\).*/\1/')
    insist actions/identify "{\"identify\":{\"href\":\"$href\",\"status\":\"running\"}}"
    printf 'here I am, for %s s\n' "$seconds"
    sleep "$seconds"
    insist actions/identify \
      "{\"identify\":{\"href\":\"$href\",\"status\":\"completed\",\"output\":\"$(uname -n)\"}}"
  done
}

scratch=$(mktemp -d)
mkfifo "$scratch/requests"
# A persistent session (-c, and a client id that stays): requests made meanwhile wait for the device.
become mosquitto_sub -c -i "$thing" -k 60 -t "status/$account/things/$thing/actions/+" \
  > "$scratch/requests" &
subscriber=$! pause=
trap 'kill "$subscriber" $pause 2> /dev/null || true; rm -r "$scratch"' EXIT
trap 'exit 143' INT TERM
answer_actions < "$scratch/requests" &

insist events/started '{"started":{}}'
while :; do
  load=$(cut -d ' ' -f 1 /proc/loadavg)
  publish properties/load "{\"load\":$load}" || echo "not acknowledged: $load is lost" >&2
  sleep "$every" &
  pause=$!
  wait "$pause"
done
