#!/bin/sh
# infra/compose/roll.sh SERVICE: replaces the replicas of a service, one by one, by new ones of the current image
# and settings. The new ones are ready before the first old one goes, so nobody waits for a service.
set -eu
service=${1:?usage: infra/compose/roll.sh order|payment|inventory|orchestrator}
compose() { docker compose "$@"; }
replicas() { compose up --detach --no-deps --no-build --no-recreate --wait --scale "$service=$1" "$service"; }

old=$(compose ps --quiet "$service")
count=$(echo "$old" | wc -l)
replicas $((2 * count))
for container in $old; do
    docker stop "$container" >/dev/null
    docker rm "$container" >/dev/null
done
replicas "$count"
