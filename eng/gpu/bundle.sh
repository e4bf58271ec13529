#!/usr/bin/env bash
# Makes a bundle for a machine with a GPU and an existing PyTorch: the program with its own .NET, the plugins, jobs and sample text, but no libtorch (under 60 MB).
# Usage: eng/gpu/bundle.sh [OUTPUT.tar.xz]. On the GPU machine: unpack it and run ./run.sh.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
output=${1:-"$root/artifacts/titan-gpu.tar.xz"}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A build tree of its own: the default one has the CPU's libtorch.
dotnet publish "$root/src/Host/titan.csproj" -c Release -r linux-x64 --self-contained -p:TorchBackend=none -p:ArtifactsPath="$work/build" -o "$work/titan/program" --nologo -v quiet
for project in "$root"/plugins/*/*.csproj; do dotnet build "$project" -c Release -p:ArtifactsPath="$work/build" --nologo -v quiet; done
cp -r "$work/build/plugins" "$work/titan/program/plugins"
cp -r "$root/configs" "$root/assets" "$root/eng/gpu/run.sh" "$root/eng/gpu/reference.py" "$root/eng/gpu/kernel_times.cpp" "$work/titan/"
find "$work/titan" -name '*.pdb' -delete
mkdir -p "$(dirname "$output")"
tar -C "$work" -cf - titan | xz -T0 -9 > "$output"
size=$(stat -c %s "$output")
echo "$output: $((size / 1000000)) MB"
[ "$size" -lt 60000000 ] || { echo "bundle.sh: larger than 60 MB" >&2; exit 1; }
