#!/usr/bin/env bash
# Runs the tests twice at once in this checkout, both of them under `nice`, and one in the background, where Ctrl-C is ignored:
#     tools/anyhow.sh COMMAND...
# Prints the last line of each, and all lines of one that fails. The exit status is 1 where one fails.
set -euo pipefail

logs="$(mktemp -d)"
background=
finish() {
    [ -z "$background" ] || kill "$background" 2>/dev/null || true
    rm -rf "$logs"
}
trap finish EXIT

(
    trap "" INT
    exec nice "$@"
) >"$logs/background" 2>&1 </dev/null &
background=$!
failed=
nice "$@" >"$logs/foreground" 2>&1 </dev/null || failed+=" foreground"
wait "$background" || failed+=" background"
background=

for run in $failed; do
    cat "$logs/$run"
done
for run in foreground background; do
    echo "$run: $(tail -n 1 "$logs/$run")"
done
[ -z "$failed" ]
