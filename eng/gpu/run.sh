#!/usr/bin/env bash
# On a machine with a GPU and a PyTorch: measures the program beside PyTorch on the same card, and checks it. What is wanted most comes first; a step that does not fit into the time left is skipped, and said so.
# Results: ./results, and one page of them all in the form of benchmarks/, ./results/beside-pytorch_GPU_DATE.md.
# PYTHON (python3): an interpreter that has torch. TORCHAO: a folder that holds torchao's Python sources; without it PyTorch's float8 arms are skipped.
# BUDGET (480): seconds for everything. LAYERS (4): blocks of Llama 3 8B's shapes. STEPS (197): timed steps of each of our arms, after three untimed ones. STEPS_PYTORCH (20).
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here"
PYTHON=${PYTHON:-python3} TORCHAO=${TORCHAO:-} BUDGET=${BUDGET:-480} LAYERS=${LAYERS:-4} STEPS=${STEPS:-197} STEPS_PYTORCH=${STEPS_PYTORCH:-20}
say() { echo "run.sh: $*"; }
for number in BUDGET LAYERS STEPS STEPS_PYTORCH; do
    [[ ${!number} =~ ^[1-9][0-9]*$ ]] || { say "$number=${!number}: expected a whole number, 1 or more" >&2; exit 2; }
done
if ! TITAN_LIBTORCH=$("$PYTHON" -c 'import os, torch; print(os.path.join(os.path.dirname(torch.__file__), "lib"))'); then
    say "$PYTHON has no torch; set PYTHON to an interpreter that has it" >&2
    exit 4
fi
if [ -n "$TORCHAO" ] && [ ! -d "$TORCHAO/torchao" ]; then
    say "TORCHAO=$TORCHAO: expected a folder that holds torchao/, its Python sources; unset it to leave PyTorch's float8 arms out" >&2
    exit 2
fi
export TITAN_LIBTORCH
titan="$here/program/titan"
rm -rf results
mkdir -p results
"$PYTHON" -c 'import torch; print("PyTorch", torch.__version__, "CUDA", torch.version.cuda, torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU")' >results/machine.txt
gpu=$(sed 's/.*CUDA [^ ]* //' results/machine.txt)
driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -1)
page="results/beside-pytorch_$(tr 'A-Z' 'a-z' <<<"$gpu" | sed 's/[^a-z0-9.]\{1,\}/-/g; s/-$//')_$(date +%F).md"
failed=0 skipped=0
record() { echo "| $1 | $2 | $3 |" >>results/steps.md; }
# step NAME NEEDS LIMIT COMMAND...: NEEDS seconds are usual on an H100, LIMIT are too many.
step() {
    local name=$1 needs=$2 limit=$3 left=$((BUDGET - SECONDS)) began=$SECONDS code
    shift 3
    [ "$left" -ge 0 ] || left=0
    if [ "$left" -lt "$needs" ]; then
        skip "$name" "needs about $needs s, $left of $BUDGET s are left (BUDGET)"
        return 1
    fi
    [ "$limit" -le "$left" ] || limit=$left
    say "$name ($SECONDS s of $BUDGET s): $*"
    timeout -k 5 "$limit" "$@" >"results/$name.txt" 2>&1
    code=$?
    if [ "$code" = 0 ]; then
        record "$name" "$((SECONDS - began))" ok
        return 0
    fi
    failed=$((failed + 1))
    [ "$code" != 124 ] && [ "$code" != 137 ] || echo "ended after $limit s" >>"results/$name.txt"
    say "$name FAILED (results/$name.txt): $(tail -n 1 "results/$name.txt")"
    record "$name" "$((SECONDS - began))" "FAILED: $(tail -n 1 "results/$name.txt" | cut -c1-200 | tr '|' '/')"
    return 1
}
skip() {
    skipped=$((skipped + 1))
    say "$1 skipped: $2"
    record "$1" 0 "skipped: $2"
}

# The page. A cell of a table that titan wrote: FILE, the row's first cell, the column's head.
cell() {
    awk -F ' *[|] *' -v row="$2" -v column="$3" '/^\|/ { if (!head) { for (i = 2; i < NF; i++) at[$i] = i; head = 1 } else if ($2 == row && (column in at)) { print $at[column]; exit } }' "$1" 2>/dev/null
}
# The tables of a page that titan wrote, one level deeper; the machine and the command are those of this page.
tables() { [ -f "$1" ] && awk '/^## / { shown = 1; print "#" $0; next } /^\|/ { shown = 1 } /^- / { shown = 0 } shown' "$1"; }
page_of() { find "results/$1" -name '*.md' 2>/dev/null | head -1; }
peer() { grep -h '^RESULT|' "results/pytorch_$1.txt" 2>/dev/null | tail -1; }
peer_field() { peer "$1" | cut -d '|' -f "$2"; }
ratio() { # name, over, under: more is better for us.
    [ -n "$2" ] && [ -n "$3" ] && awk -v n="$1" -v a="$2" -v b="$3" 'BEGIN { printf "| %s | %.3fx |\n", n, a / b }'
}
write_page() {
    local ours four eight name at
    ours=$(page_of step) eight=$(page_of step_8_blocks)
    {
        printf '# On a GPU, beside PyTorch\n\n```bash\nLAYERS=%s STEPS=%s ./run.sh\n```\n\n' "$LAYERS" "$STEPS"
        echo "- hardware: $gpu, driver ${driver:-unknown}"
        echo "- versions: $(grep -h -m 1 '^- versions: ' ${ours:-/dev/null} | sed 's/^- versions: //'), $(sed 's/\(.*CUDA [^ ]*\).*/\1/' results/machine.txt)${TORCHAO:+, torchao $(cat "$TORCHAO/version.txt" 2>/dev/null || echo 'of unknown version')}"
        echo "- measured: every arm in a process of its own, on one card in one run; forward, loss and backward of $LAYERS blocks of Llama 3 8B's shapes, 8192 tokens, vocabulary 128256, nothing recomputed, fp32 weights, bf16 compute, head in bf16; 3 steps untimed"
        printf '\n## Training step\n\n| arm | s/step | s/step, least | tokens/s | device memory, highest, GiB | allocated at most, GiB | loss |\n|---|---|---|---|---|---|---|\n'
        for name in 'bf16 fused' 'float8/tensorwise fused' 'float8/rowwise fused'; do
            [ -n "$ours" ] && [ -n "$(cell "$ours" "$name" s/step)" ] || continue
            echo "| ours, $name | $(cell "$ours" "$name" s/step) | $(cell "$ours" "$name" 's/step, least') | $(cell "$ours" "$name" tokens/s) | $(cell "$ours" "$name" 'device memory, highest, GiB') | | $(cell "$ours" "$name" loss) |"
        done
        for name in eager compiled tensorwise rowwise; do
            [ -z "$(peer "$name")" ] || peer "$name" | awk -F '|' '{ printf "| PyTorch, %s | %s | %s | %s | %s | %s | %s |\n", $2, $3, $4, $5, $6, $7, $8 }'
        done
        printf '\nDevice memory is the driver'"'"'s count, with contexts and libraries. Losses differ between the two programs: their weights are random.\n\n| ours / PyTorch | tokens/s |\n|---|---|\n'
        ratio 'bf16 fused / compiled' "$(cell "$ours" 'bf16 fused' tokens/s)" "$(peer_field compiled 5)"
        ratio 'tensorwise / torchao tensorwise, compiled' "$(cell "$ours" 'float8/tensorwise fused' tokens/s)" "$(peer_field tensorwise 5)"
        ratio 'rowwise / torchao rowwise, compiled' "$(cell "$ours" 'float8/rowwise fused' tokens/s)" "$(peer_field rowwise 5)"
        ratio 'tensorwise / our bf16 fused' "$(cell "$ours" 'float8/tensorwise fused' tokens/s)" "$(cell "$ours" 'bf16 fused' tokens/s)"
        ratio 'tensorwise / our bf16 fused, 8 blocks, the optimizer between the steps' "$(cell "$eight" 'float8/tensorwise fused' tokens/s)" "$(cell "$eight" 'bf16 fused' tokens/s)"
        printf '\n| ours / PyTorch | device memory |\n|---|---|\n'
        ratio 'bf16 fused / compiled' "$(cell "$ours" 'bf16 fused' 'device memory, highest, GiB')" "$(peer_field compiled 6)"
        ratio 'tensorwise / torchao tensorwise, compiled' "$(cell "$ours" 'float8/tensorwise fused' 'device memory, highest, GiB')" "$(peer_field tensorwise 6)"
        ratio 'rowwise / torchao rowwise, compiled' "$(cell "$ours" 'float8/rowwise fused' 'device memory, highest, GiB')" "$(peer_field rowwise 6)"
        [ ! -f "${ours:-}" ] || { printf '\n'; tables "$ours" | sed -n '/^### Device memory/,$p'; }
        [ ! -f results/small_memory.md ] || { printf '\n### Device memory of cpu_small, GiB\n\n'; cat results/small_memory.md; }
        if [ -f "$(page_of step_cpu)" ] || ls results/pytorch_cpu_*.txt >/dev/null 2>&1; then
            printf '\n## On the CPU of this machine\n\n%s\n\n| arm | s/step | s/step, least | tokens/s | loss |\n|---|---|---|---|---|\n' "$(grep -m 1 '^- hardware: ' "$(page_of step_cpu)" 2>/dev/null)"
            for name in 'bf16 fused' 'float8/tensorwise fused'; do
                at=$(page_of step_cpu)
                [ -z "$(cell "$at" "$name" s/step)" ] || echo "| ours, $name | $(cell "$at" "$name" s/step) | $(cell "$at" "$name" 's/step, least') | $(cell "$at" "$name" tokens/s) | $(cell "$at" "$name" loss) |"
            done
            for name in eager tensorwise; do
                [ -z "$(peer "cpu_$name")" ] || peer "cpu_$name" | awk -F '|' '{ printf "| PyTorch, %s | %s | %s | %s | %s |\n", $2, $3, $4, $5, $8 }'
            done
        fi
        for at in linear:'Linear layers' kernels:Kernels; do
            [ ! -f "$(page_of "${at%%:*}")" ] || { printf '\n## %s\n\n' "${at#*:}"; tables "$(page_of "${at%%:*}")"; }
        done
        for name in results/times_*.txt; do
            [ ! -s "$name" ] || { printf '\n## GPU time by kernel: %s\n\n```\n' "$(basename "$name" .txt | sed 's/^times_//')"; head -25 "$name"; printf '```\n'; }
        done
        [ ! -f results/small.md ] || { printf '\n## cpu_small: loss of the last step\n\n| arm | GPU | CPU |\n|---|---|---|\n'; cat results/small.md; }
        printf '\n## What was run\n\n| step | seconds | result |\n|---|---|---|\n'
        cat results/steps.md
    } >"$page"
}
# Whatever ends this script, what was measured until then is on the page.
trap write_page EXIT

blocks=(--dim 4096 --heads 32 --kv-heads 8 --ffn 14336 --vocab 128256 --seq 8192 --rounds 1 --warm-ups 3)
# The step of benchmarks/README.md.
cpu_blocks=(--dim 1024 --layers 4 --heads 16 --kv-heads 8 --ffn 3584 --vocab 8192 --seq 1024)
float8=(--model.converters quantize.linear.float8 --quantize.linear.float8.filter_fqns output)
step doctor 3 30 "$titan" doctor
# 200 steps tell whether memory is flat.
step step 110 200 "$titan" bench step "${blocks[@]}" --layers "$LAYERS" --repetitions "$STEPS" --without-plain --recipe float8/tensorwise,float8/rowwise --quantize.linear.float8.filter_fqns output --out results/step
for arm in compiled tensorwise rowwise eager; do
    case $arm in
        eager | compiled) step "pytorch_$arm" 15 60 "$PYTHON" reference.py --arm $arm --layers "$LAYERS" --steps "$STEPS_PYTORCH" ;;
        *) if [ -z "$TORCHAO" ]; then skip "pytorch_$arm" "torchao's sources are not here (TORCHAO)"
           else step "pytorch_$arm" 25 70 "$PYTHON" reference.py --arm $arm --torchao "$TORCHAO" --layers "$LAYERS" --steps "$STEPS_PYTORCH"; fi ;;
    esac
done
small=(train --job.config_file configs/llama3/cpu_small.toml)
if step small_memory 20 60 env TITAN_DEVICE=cuda "$titan" "${small[@]}" --training.steps 200 --metrics.log_freq 20 --compile.enable "${float8[@]}" --job.dump_folder results/small_memory; then
    # Readings at steps 1, 20, 40, ...: from the second on memory must stay.
    awk '
        function after(key, at) { at = index($0, "\"" key "\":"); return at ? substr($0, at + length(key) + 3) + 0 : -1 }
        after("memory/device_in_use(GiB)") >= 0 { step = after("step"); gib = after("memory/device_in_use(GiB)")
          head = head " step " step " |"; rule = rule "---|"; row = row sprintf(" %.3f |", gib); if (++n == 2) first = gib; if (n > 2 && gib - first > growth) growth = gib - first }
        END { printf "|%s verdict |\n|%s---|\n|%s %s |\n", head, rule, row, n < 3 ? "too few readings" : growth < 0.0625 ? "flat" : "grows" }' results/small_memory/metrics.jsonl >results/small_memory.md
fi
step step_8_blocks 25 90 "$titan" bench step "${blocks[@]}" --layers 8 --repetitions 20 --optimizer --without-plain --recipe float8/tensorwise --quantize.linear.float8.filter_fqns output --out results/step_8_blocks
step linear 15 60 "$titan" bench linear --family float8 --shapes 8192x4096x4096,8192x4096x14336,8192x14336x4096,8192x8192x8192 --minutes 1 --out results/linear
# Each kernel's results first: one that differs from ATen's chain ends the step.
step kernels 40 100 "$titan" bench kernels --sizes 64M --columns 4096 --matmuls none --out results/kernels

# GPU time by the kernels' names, where CUPTI is at hand.
cupti=$("$PYTHON" -c '
import glob, os, site
roots = [p + "/nvidia" for p in site.getsitepackages() + [site.getusersitepackages()]] + ["/usr/local/cuda"]
for name in ("cupti.h", "libcupti.so*"):
    found = sorted(f for r in roots if os.path.isdir(r) for f in glob.glob(r + "/**/" + name, recursive=True))
    print(found[0] if found else "")' 2>/dev/null)
header=$(sed -n 1p <<<"$cupti") library=$(sed -n 2p <<<"$cupti")
newest() { grep -o "CUpti_Activity$1[0-9]*" "$(dirname "$header")/cupti_activity.h" | sort -uV | tail -1; }
if ! command -v g++ >/dev/null 2>&1 || [ -z "$header" ] || [ -z "$library" ]; then skip kernel_times "needs g++ and CUPTI (cupti.h and libcupti.so of the CUDA toolkit, or pip's nvidia-cuda-cupti)"
elif step kernel_times 5 60 g++ -std=c++17 -O1 -fPIC -shared "-DKERNEL=$(newest Kernel)" "-DMEMSET=$(newest Memset)" "-DMEMCPY=$(newest Memcpy)" -I"$(dirname "$header")" -I/usr/local/cuda/include \
    kernel_times.cpp "$library" "-Wl,-rpath,$(dirname "$library")" -o results/kernel_times.so; then
    by_name() { # name, command...
        local name=$1
        shift
        step "profile_$name" 22 60 env CUDA_INJECTION64_PATH="$here/results/kernel_times.so" KERNEL_TIMES="$here/results/times_$name.txt" "$@"
    }
    arm=(bench step --one-arm --dim 4096 --heads 32 --kv-heads 8 --ffn 14336 --vocab 128256 --seq 8192 --layers "$LAYERS" --warm-ups 3 --repetitions 10 --training.seq_len 8192 --training.local_batch_size 1
        --activation_checkpoint.mode none --compile.enable)
    by_name ours_tensorwise "$titan" "${arm[@]}" "${float8[@]}"
    [ -z "$TORCHAO" ] || by_name pytorch_tensorwise "$PYTHON" reference.py --arm tensorwise --torchao "$TORCHAO" --layers "$LAYERS" --steps 10
    by_name ours_rowwise "$titan" "${arm[@]}" "${float8[@]}" --quantize.linear.float8.recipe_name rowwise
    by_name ours_bf16 "$titan" "${arm[@]}"
fi
if command -v compute-sanitizer >/dev/null 2>&1; then
    step sanitizer 15 60 env TITAN_DEVICE=cuda compute-sanitizer --error-exitcode 1 "$titan" "${small[@]}" --training.steps 2 --compile.enable "${float8[@]}" --job.dump_folder results/sanitizer
else skip sanitizer "compute-sanitizer is not on PATH"
fi
# Every recipe at small size on the GPU beside the same on the CPU. MX matmuls run on tensor cores from SM100 on; EMULATE= runs them there, the default emulates them, so that only their casts are the GPU's.
EMULATE=${EMULATE---quantize.linear.mx.emulate}
loss_of() { sed -n 's/.*"loss_metrics\/global_avg_loss": *\([0-9.]*\).*/\1/p' "results/$1/metrics.jsonl" 2>/dev/null | tail -1; }
for recipe in none tensorwise rowwise rowwise_with_gw_hp mxfp8_cublas mxfp8_rceil; do
    case $recipe in
        none) arguments=() ;;
        mx*) arguments=(--model.converters quantize.linear.mx --quantize.linear.mx.recipe_name "$recipe" ${EMULATE:+"$EMULATE"}) ;;
        *) arguments=(--model.converters quantize.linear.float8 --quantize.linear.float8.recipe_name "$recipe") ;;
    esac
    for device in cuda cpu; do
        step "small_${device}_$recipe" 6 40 env TITAN_DEVICE=$device "$titan" "${small[@]}" --training.steps 20 --metrics.log_freq 5 --compile.enable ${arguments[@]+"${arguments[@]}"} \
            --job.dump_folder "results/small_${device}_$recipe"
    done
    echo "| $recipe | $(loss_of "small_cuda_$recipe") | $(loss_of "small_cpu_$recipe") |" >>results/small.md
done
# The same program on the CPU of this machine, beside the same PyTorch, not compiled: its compiler takes more than a minute there.
step cpu_step 20 60 env TITAN_DEVICE=cpu "$titan" bench step "${cpu_blocks[@]}" --without-plain --recipe float8/tensorwise --rounds 1 --repetitions 7 --warm-ups 3 --out results/step_cpu
for arm in eager tensorwise; do
    [ "$arm" != tensorwise ] || [ -n "$TORCHAO" ] || { skip pytorch_cpu_tensorwise "torchao's sources are not here (TORCHAO)"; continue; }
    step "pytorch_cpu_$arm" 15 90 "$PYTHON" reference.py --device cpu --eager --arm "$arm" ${TORCHAO:+--torchao "$TORCHAO"} "${cpu_blocks[@]}" --steps 7
done
write_page
trap - EXIT
cat "$page"
say "$failed steps failed, $skipped skipped, in $SECONDS s; the page is $here/$page"
[ "$failed" = 0 ]
