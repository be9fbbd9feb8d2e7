#!/usr/bin/env bash
# The README's first command, smaller: it ends well and leaves nothing running.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

deploy/quickstart.sh --no-install --events 20000 --rate 2000 --seconds 10
