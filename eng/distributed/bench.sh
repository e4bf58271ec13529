#!/usr/bin/env bash
# Measures training on many ranks and prints markdown: losses against one rank, float8 and bf16 gathers over a link of 1 Gbit/s between two "hosts" (root, iproute2),
# what is hidden, a link that is cut, and collectives against the MPI library's own. Run it on a quiet machine, after ./run_tests.sh has built everything. Arguments: which of
# losses, link, cut, collectives (all). STEPS: steps of the link runs (25).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
here=eng/distributed
out=$(mktemp -d)
trap '$here/link.sh down; rm -rf "$out"' EXIT
export TITAN_NO_BUILD=1 LOG_RANK=0 OMP_WAIT_POLICY=PASSIVE
steps=${STEPS:-25}
parts=" ${*:-losses link cut collectives} "
f8="--model.converters quantize.linear.float8 --quantize.linear.float8.filter_fqns output"
gather="--quantize.linear.float8.enable_fsdp_float8_all_gather"
wants() { [[ $parts = *" $1 "* ]]; }
common=(--debug.seed 42 --metrics.log_freq 1 --lr_scheduler.warmup_steps 5)

# The median over steps 5 and later of a metric in a run's metrics.jsonl.
median() { sed -n '5,$p' "$out/$1/metrics.jsonl" | grep -o "\"$2\":[-0-9.eE]*" | sed 's/.*://' | sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
losses() { grep -o '"loss_metrics/global_avg_loss":[0-9.eE-]*' "$out/$1/metrics.jsonl" | sed 's/.*://'; }
# The largest relative difference of two runs' losses.
difference() { paste <(losses "$1") <(losses "$2") | awk '{ d = ($2 - $1) / $1; d = d < 0 ? -d : d; if (d > m) m = d } END { if (NR != 20) exit 1; printf m ? "%.1e" : "equal", m }'; }

echo "# Many ranks: $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1), $(nproc) cores, $(date +%F)"
echo
echo "\`eng/distributed/bench.sh\`; $(mpirun.openmpi --version | head -1), .NET $(dotnet --version), $(git rev-parse --short HEAD)"
if wants losses; then
echo
echo "## Losses against one rank"
echo
echo "cpu_small, global batch 8, sequences of 128 tokens, 20 steps, the same seed; the largest relative difference of a step's loss from that of one rank which runs the same micro-batches one after the"
echo "other. For comparison, what other micro-batches alone change: one rank with two of 4 against one rank with four of 2 (a dynamic scale is that of a micro-batch)."
echo
echo "| run | 2 ranks | 4 ranks | one rank, other micro-batches |"
echo "|---|---|---|---|"
job() { # name, ranks, micro-batches of a step, flags
    local name=$1 n=$2 micro=$3
    shift 3
    NGPU=$n ./run_train.sh "${common[@]}" --job.dump_folder "$out/$name" --training.steps 20 --training.global_batch_size 8 --training.local_batch_size $((8 / micro)) "$@" >"$out/$name.log" 2>&1 || { tail -5 "$out/$name.log" >&2; exit 1; }
}
against_one() { # title, flags of all, flags of several
    local title=$1 several=$3 n
    local -a all
    read -ra all <<<"$2"
    for n in 2 4; do
        job one$n 1 $n "${all[@]}"
        # shellcheck disable=SC2086
        job many$n $n $n "${all[@]}" $several
    done
    echo "| $title | $(difference one2 many2) | $(difference one4 many4) | $(difference one2 one4) |"
    rm -rf "$out"/one* "$out"/many*
}
against_one "fp32 compute and communication" "--training.mixed_precision_param float32" ""
against_one "bf16" "--training.mixed_precision_param bfloat16" ""
against_one "tensorwise, bf16 gathers" "$f8" ""
against_one "tensorwise, float8 gathers" "$f8" "$gather"
against_one "tensorwise, float8 gathers, precomputed scales" "$f8" "$gather --quantize.linear.float8.precompute_float8_dynamic_scale_for_fsdp"
against_one "rowwise, float8 gathers" "$f8 --quantize.linear.float8.recipe_name rowwise" "$gather"
against_one "rowwise_with_gw_hp, float8 gathers" "$f8 --quantize.linear.float8.recipe_name rowwise_with_gw_hp" "$gather"
against_one "mxfp8_cublas, float8 gathers" "--model.converters quantize.linear.mx --quantize.linear.mx.recipe_name mxfp8_cublas" "--quantize.linear.mx.enable_fsdp_float8_all_gather"
against_one "mxfp8_rceil, float8 gathers" "--model.converters quantize.linear.mx --quantize.linear.mx.recipe_name mxfp8_rceil" "--quantize.linear.mx.enable_fsdp_float8_all_gather"
fi

if wants link; then
echo
echo "## Two hosts, 1 Gbit/s each way"
echo
echo "debugmodel, one rank on each host, $steps steps, medians over steps 5 and later. Gather: time per step in which an all-gather of weights was under way. Late: the part of it before the last rank had come. Exposed: time that the computation waited for communication."
echo
echo "| run | step ms | gather ms | late ms | gather bytes | reduce-scatter ms | under way ms | exposed ms | hidden |"
echo "|---|---|---|---|---|---|---|---|---|"
$here/link.sh down
$here/link.sh up 1gbit
export OMP_NUM_THREADS=1
over_link() { # name, title, flags
    local name=$1 title=$2
    shift 2
    $here/link.sh run "$root/artifacts/bin/titan/release/titan" train --job.config_file "$root/configs/llama3/debug_model.toml" "${common[@]}" --job.dump_folder "$out/$name" --training.steps "$steps" \
        --training.local_batch_size "${BATCH:-2}" --training.seq_len 256 --activation_checkpoint.mode none --metrics.no-enable_tensorboard --profiling.no-enable_profiling "$@" >"$out/$name.log" 2>&1 || { tail -5 "$out/$name.log" >&2; exit 1; }
    local step gathered late bytes scattered way exposed
    step=$(median "$name" 'time_metrics/end_to_end(s)') gathered=$(median "$name" 'communication/dp_shard.all_gather_into_tensor(s)') late=$(median "$name" 'communication/dp_shard.all_gather_into_tensor(late s)') bytes=$(median "$name" 'communication/dp_shard.all_gather_into_tensor(bytes)')
    scattered=$(median "$name" 'communication/dp_shard.reduce_scatter_tensor(s)') way=$(median "$name" 'time_metrics/communication(s)') exposed=$(median "$name" 'time_metrics/communication_exposed(s)')
    awk -v t="$title" -v s="$step" -v g="$gathered" -v l="$late" -v b="$bytes" -v r="$scattered" -v w="$way" -v e="$exposed" \
        'BEGIN { printf "| %s | %.0f | %.1f | %.1f | %d | %.1f | %.1f | %.1f | %.0f %% |\n", t, s * 1e3, g * 1e3, l * 1e3, b, r * 1e3, w * 1e3, e * 1e3, 100 * (1 - e / w) }'
}
all8="--model.converters quantize.linear.float8 --quantize.linear.float8.filter_fqns="
# shellcheck disable=SC2086
{
    over_link a "tensorwise, bf16 gathers" $all8
    over_link b "tensorwise, float8 gathers" $all8 $gather
    over_link c "tensorwise, float8 gathers, precomputed scales" $all8 $gather --quantize.linear.float8.precompute_float8_dynamic_scale_for_fsdp
    over_link d "tensorwise, bf16 gathers, no prefetch" $all8 --parallelism.no-fsdp_prefetch
    over_link e "tensorwise, float8 gathers, no prefetch" $all8 $gather --parallelism.no-fsdp_prefetch
    over_link f "MX, float8 gathers" --model.converters quantize.linear.mx --quantize.linear.mx.filter_fqns= --quantize.linear.mx.enable_fsdp_float8_all_gather
}
echo
echo "The step's collectives by themselves (\`titan bench communication\`):"
echo
TRAIN_COMMAND="bench communication" $here/link.sh train --model.flavor debugmodel --training.local_batch_size "${BATCH:-2}" --training.seq_len 256 --repetitions 25 --out "$out/alone" $all8 | sed -n '/^| group/,/^$/p; /^- float8/p'
$here/link.sh down
ratio() { awk -v a="$(median "$1" "$3")" -v b="$(median "$2" "$3")" 'BEGIN { printf "%.3f", a / b }'; }
echo
echo "Within a step, float8 gathers against bf16: $(ratio b a 'communication/dp_shard.all_gather_into_tensor(s)') of the time, $(ratio b a 'communication/dp_shard.all_gather_into_tensor(bytes)') of the bytes; step $(ratio a b 'time_metrics/end_to_end(s)')x as fast with prefetch, $(ratio d e 'time_metrics/end_to_end(s)')x without."
fi

if wants cut; then
echo
echo "## A link that goes down for good"
echo
echo "run_train.sh over the two hosts, \`--comm.train_timeout_seconds 10\`, checkpoints every 5 steps; the link is cut after step 6."
echo
echo '```'
$here/link.sh down
$here/link.sh up 1gbit
: >"$out/cut.log"
$here/link.sh train "${common[@]}" --model.flavor debugmodel --job.dump_folder "$out/cut" --training.steps 1000 --training.local_batch_size 2 --training.seq_len 128 \
    --comm.train_timeout_seconds 10 --checkpoint.enable --checkpoint.interval 5 >"$out/cut.log" 2>&1 &
job=$!
until grep -q 'step:  6' "$out/cut.log"; do kill -0 $job; sleep 0.2; done
$here/link.sh cut
began=$(date +%s)
wait $job && code=0 || code=$?
grep -E 'has waited|outlive|ended' "$out/cut.log"
echo "ended $(($(date +%s) - began)) s after the cut with exit code $code; checkpoints: $(cd "$out/cut/checkpoint" && echo step-*)"
echo '```'
$here/link.sh down
fi

if wants collectives; then
echo
echo "## Collectives against the library's own"
echo
echo '```'
worker=artifacts/bin/Titan.Distributed.Worker/release/Titan.Distributed.Worker
for what in bench-reduce-scatter bench-all-gather bench-all-reduce; do
    for n in 2 4; do timeout 300 mpirun.openmpi --allow-run-as-root --bind-to none --oversubscribe --mca plm isolated -x TERM=dumb -np $n "$worker" $what 64 2>/dev/null | grep -v ok; done
done
echo '```'
fi
