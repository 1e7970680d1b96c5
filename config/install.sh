#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the example as the configuration, unless there is one: `meson install` of a new version must not undo an administrator's work.
# $1: SYSCONFDIR/sensorqd, $2: the example.
set -eu

directory="${DESTDIR:-}$1"
install -d -m 755 "$directory"
install -d -m 700 "$directory/credentials"
if [ -e "$directory/sensorqd.yaml" ]; then
        echo "Keeping $directory/sensorqd.yaml"
else
        install -m 644 "$2" "$directory/sensorqd.yaml"
fi
