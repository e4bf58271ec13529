#!/usr/bin/env bash
# On a machine with a GPU and a PyTorch: checks that the program fits this PyTorch's libtorch, then measures. Results go to ./results. No GPU has run this yet.
# PYTHON: the interpreter that has torch (default python3). LAYERS: blocks of Llama 3 8B's shapes (default 4). STEPS: steps per arm (default 20).
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here"
PYTHON=${PYTHON:-python3} LAYERS=${LAYERS:-4} STEPS=${STEPS:-20}
if ! TITAN_LIBTORCH=$("$PYTHON" -c 'import os, torch; print(os.path.join(os.path.dirname(torch.__file__), "lib"))'); then
    echo "run.sh: $PYTHON has no torch; set PYTHON to an interpreter that has it" >&2
    exit 4
fi
export TITAN_LIBTORCH
titan="$here/program/titan"
mkdir -p results
"$PYTHON" -c 'import torch; print("PyTorch", torch.__version__, "CUDA", torch.version.cuda, torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU")' | tee results/machine.txt
failed=0
step() { # name, command...
    local name=$1
    shift
    echo "== $name: $*"
    if "$@" > "results/$name.txt" 2>&1; then tail -n 3 "results/$name.txt"; else failed=$((failed + 1)); echo "FAILED (results/$name.txt):"; tail -n 5 "results/$name.txt"; fi
}
step doctor "$titan" doctor
# Every layer's numbers at small size, with every kernel: loss and precision of the casts (float8 stats: SQNR) of each recipe on the GPU beside the same on the CPU.
# MX matmuls run on tensor cores from SM100 on; EMULATE= runs them there, the default emulates them, so that only their casts are the GPU's.
EMULATE=${EMULATE---quantize.linear.mx.emulate}
small=(train --job.config_file configs/llama3/cpu_small.toml --training.steps 20 --metrics.log_freq 5)
for device in cpu cuda; do
    for recipe in none tensorwise rowwise rowwise_with_gw_hp mxfp8_cublas mxfp8_rceil; do
        arguments=("${small[@]}" --job.dump_folder "results/small_${device}_$recipe")
        case $recipe in
            none) ;;
            mx*) arguments+=(--model.converters quantize.linear.mx --quantize.linear.mx.recipe_name "$recipe" ${EMULATE:+"$EMULATE"} --metrics.float8_stats_freq 5) ;;
            *) arguments+=(--model.converters quantize.linear.float8 --quantize.linear.float8.recipe_name "$recipe" --metrics.float8_stats_freq 5) ;;
        esac
        step "small_${device}_$recipe" env TITAN_DEVICE=$device "$titan" "${arguments[@]}"
        step "small_${device}_${recipe}_fused" env TITAN_DEVICE=$device "$titan" "${arguments[@]}" --compile.enable
    done
done
# Every kernel against ATen's chain (first its results: casts byte for byte, on every bf16 number too; one that differs ends the step) and against the copy bandwidth of this device.
step kernels "$titan" bench kernels --matmuls none --out results
# One layer in every recipe that this GPU multiplies, with what the roofline says for it.
step linear "$titan" bench linear --family float8 --generator llama --minutes 5 --out results
# Llama 3 8B's layer shapes, as many blocks as LAYERS, in plain and fused bf16 and in the recipes; then the same model in PyTorch, eager and compiled.
step step_8b "$titan" bench step --dim 4096 --layers "$LAYERS" --heads 32 --kv-heads 8 --ffn 14336 --vocab 128256 --seq 8192 --recipe float8/tensorwise,float8/rowwise --repetitions "$STEPS" --out results
step pytorch "$PYTHON" reference.py --layers "$LAYERS" --steps "$STEPS"
echo "$failed steps failed; results are in $here/results"
[ "$failed" = 0 ]
