#!/usr/bin/env bash
# Trains. CONFIG_FILE: the job (default: a small Llama 3 that learns within a minute on two cores). NGPU: number of ranks. LOG_RANK: whose output to show.
# Any further argument overrides the job file, for example: --training.steps 50 --model.converters="quantize.linear.float8"
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CONFIG_FILE=${CONFIG_FILE:-"$root/configs/llama3/cpu_small.toml"}
NGPU=${NGPU:-1}
if [ "$NGPU" != 1 ]; then
    echo "run_train.sh: NGPU=$NGPU: this version trains on one rank; use NGPU=1" >&2
    exit 2
fi
exec "$root/titan" train --job.config_file "$CONFIG_FILE" "$@"
