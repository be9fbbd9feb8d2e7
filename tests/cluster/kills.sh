#!/usr/bin/env bash
# Three nodes under a probe that writes to every partition; nodes are killed (-9) and started again, a third of the
# kills hit the controller. Nothing acknowledged may be lost or doubled, views must be right, and the pause from a kill
# to the next acknowledgement is measured per partition that the killed node led.
#
#   tests/cluster/kills.sh --kills N [--seed S] [--rate EVENTS-PER-SECOND-AND-PARTITION]
#
# Fails on loss, doubling, disorder, difference and missing progress; a missed time is printed as missed.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

start_cluster 3
quietly evgrid stream create Probe
tests/cluster/probe.py --view >"$work/probe.yaml"
quietly evgrid view apply "$work/probe.yaml"
python3 tests/cluster/kills.py --dir "$work" "$@"
