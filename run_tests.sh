#!/usr/bin/env bash
# Builds everything and runs every test that a machine without a GPU can run. Ends with "N passed, N failed". Arguments go to dotnet test (for example --filter NAME).
# TITAN_TEST_TIMEOUT: seconds that one test project may take (900).
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$root"
if ! command -v dotnet >/dev/null 2>&1; then
    echo "run_tests.sh: the .NET 10 SDK is not on PATH; install it (https://dot.net/download) and run this again" >&2
    exit 4
fi
results="$root/artifacts/test-results"
limit=${TITAN_TEST_TIMEOUT:-900}
rm -rf "$results"
mkdir -p "$results"
# Output goes into files, here and below: a build server or a process that a test left behind would keep a pipe open, and whoever reads it waiting, for ever.
export MSBUILDDISABLENODEREUSE=1
if ! dotnet build Titan.Plugins.sln -c Release --nologo -v quiet >"$results/build.log" 2>&1 </dev/null; then
    cat "$results/build.log"
    echo "0 passed, 1 failed"
    exit 1
fi
cat "$results/build.log"
touch artifacts/.built
# Test processes share the cores with the programs that they start: threads that wait must not spin.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}

# The processes that carry a project's mark in their environment: whatever the project started, however deep, and whoever its parent is by now.
marked() {
    local environment
    for environment in /proc/[0-9]*/environ; do
        { tr '\0' '\n' <"$environment"; } 2>/dev/null | grep -qx "TITAN_TEST_RUN=$1" && basename "$(dirname "$environment")"
    done
}
end_marked() {
    local left
    left=$(marked "$1")
    [ -z "$left" ] && return
    echo "run_tests.sh: ends what $2 left running: $(for pid in $left; do printf '%s (%s) ' "$pid" "$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | cut -c1-80)"; done)"
    kill -TERM $left 2>/dev/null
    sleep 2
    left=$(marked "$1")
    [ -z "$left" ] || kill -KILL $left 2>/dev/null
}

killed=()
for project in tests/*/*.Tests.csproj; do
    name=$(basename "$project" .csproj)
    mark="$name.$$"
    # One project at a time: two test processes would share two cores and each other's memory.
    TITAN_TEST_RUN=$mark timeout -k 30 "$limit" dotnet test "$project" -c Release --no-build --nologo --logger "trx;LogFileName=$name.trx" --results-directory "$results" \
        --blame-hang-timeout 6m --blame-hang-dump-type none "$@" >"$results/$name.log" 2>&1 </dev/null
    status=$?
    grep -vE '^(Test run for|VSTest version|Starting test execution|A total of|Results File|Attachments:|The active test run was aborted. Reason: *$)' "$results/$name.log" || true
    end_marked "$mark" "$name"
    if [ "$status" = 124 ] || [ "$status" = 137 ]; then
        killed+=("$name")
        echo "run_tests.sh: $name was killed after $limit s; its output is in $results/$name.log"
    fi
done
passed=0 failed=0
for project in tests/*/*.Tests.csproj; do
    name=$(basename "$project" .csproj)
    trx="$results/$name.trx"
    counters=$(grep -o '<Counters [^>]*>' "$trx" 2>/dev/null)
    if [[ " ${killed[*]-} " = *" $name "* ]]; then failed=$((failed + 1)); fi
    if [ -z "$counters" ]; then
        # A test process that died leaves no result file: that is a failure too.
        [[ " ${killed[*]-} " = *" $name "* ]] || { echo "run_tests.sh: no results from $name: its process died"; failed=$((failed + 1)); }
        continue
    fi
    p=$(sed 's/.* passed="\([0-9]*\)".*/\1/' <<<"$counters")
    t=$(sed 's/.* total="\([0-9]*\)".*/\1/' <<<"$counters")
    passed=$((passed + p)) failed=$((failed + t - p))
    # A test that hung ended its process: the results count what had run, and look complete.
    if grep -qE 'Test host process crashed|Test Run Aborted|aborted the test run|hang timeout' "$results/$name.log" && [ "$p" = "$t" ]; then
        echo "run_tests.sh: $name did not finish: a test hung or ended the process; the last test is named above or in $results/$name.log"
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
