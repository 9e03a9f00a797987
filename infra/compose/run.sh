#!/bin/sh
# Runs a command of the image. Its secrets are in the container's own part of the secrets' volume, and its name
# is that of the container: a restarted replica keeps it, and no two that live share one.
set -eu
if [ -f /run/secrets/environment ]; then
    set -a
    . /run/secrets/environment
    set +a
fi
export PROCESS_NAME="${SERVICE:+$SERVICE-}$HOSTNAME"
exec "$@"
