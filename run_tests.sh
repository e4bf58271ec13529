#!/usr/bin/env bash
# Builds everything and runs every test that a machine without a GPU can run. Ends with "N passed, N failed". Arguments go to dotnet test (for example --filter NAME).
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$root"
if ! command -v dotnet >/dev/null 2>&1; then
    echo "run_tests.sh: the .NET 10 SDK is not on PATH; install it (https://dot.net/download) and run this again" >&2
    exit 4
fi
results="$root/artifacts/test-results"
rm -rf "$results"
dotnet build Titan.Plugins.sln -c Release --nologo -v quiet || { echo "0 passed, 1 failed"; exit 1; }
mkdir -p artifacts && touch artifacts/.built
# Test processes share the cores with the programs that they start: threads that wait must not spin.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
for project in tests/*/*.Tests.csproj; do
    name=$(basename "$project" .csproj)
    # One project at a time: two test processes would share two cores and each other's memory.
    dotnet test "$project" -c Release --no-build --nologo --logger "trx;LogFileName=$name.trx" --results-directory "$results" "$@" 2>&1 |
        grep -vE '^(Test run for|VSTest version|Starting test execution|A total of|Results File)' || true
done
passed=0 failed=0
for trx in "$results"/*.trx; do
    [ -f "$trx" ] || continue
    counters=$(grep -o '<Counters [^>]*>' "$trx")
    p=$(sed 's/.* passed="\([0-9]*\)".*/\1/' <<<"$counters")
    t=$(sed 's/.* total="\([0-9]*\)".*/\1/' <<<"$counters")
    passed=$((passed + p)) failed=$((failed + t - p))
done
# A test process that died leaves no result file: that is a failure too.
for project in tests/*/*.Tests.csproj; do
    name=$(basename "$project" .csproj)
    [ -f "$results/$name.trx" ] || { echo "no results from $name: its process died"; failed=$((failed + 1)); }
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
