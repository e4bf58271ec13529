#!/usr/bin/env bash
# Builds everything and runs every test that a machine without a GPU can run; usage says how.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$root"
# Test projects that start ranks and programs: one at a time, since they would share two cores and each other's memory. All others run two at a time.
alone="Distributed Host Plugins"
# What --quick leaves out, parts of full names: whatever starts ranks, kills programs, builds with g++ or trains for long.
left_out=".Cuda. .Signals. .Ranks. .Launch. .ManyRanksTests. .FaultTests. .BadInputTests. .ResumeTests. .RunFolderTests. .BenchTests. .GpuPathTests. .TrainerTests. .Tokenizers.ReferenceTests. .NamedPluginTests. .PluginInARunTests. .OutsidePluginTests. .CheckpointCommandTests. .ExpertRecipeTests. .EveryKeyTests. .FineTuningTests. .LoraTests. .ModelFamilyTests. .LargeFolderTests. .HuggingFaceRunTests."
usage() {
    cat <<END
usage: ./run_tests.sh [--quick] [ARGUMENTS OF dotnet test]
Builds everything and runs every test that a machine without a GPU can run: Distributed, Host and Plugins, whose tests start ranks and programs, one after
the other, then the other projects two at a time.
Ends with "N passed, N failed", and ", N skipped" where a test's tools are missing.

  --quick   Builds everything too, then runs every project, two at a time, without the tests that start ranks, kill programs, build kernels with g++
            or train for long. Left out is each test whose full name contains one of
            $left_out
  --help    This text.
  Other arguments go to dotnet test, for example --filter FullyQualifiedName~Tokenizer; --quick has a filter of its own.

As root it first installs the tools that some tests start (g++, Open MPI, MPICH, procps) with apt-get; --quick needs none of them.
TITAN_INSTALL=0         installs nothing
TITAN_TEST_TIMEOUT=1800 seconds that one test project may take
END
}
quick=
arguments=()
for argument in "$@"; do
    case $argument in
        --help | -h) usage; exit 0 ;;
        --quick) quick=1 ;;
        *) arguments+=("$argument") ;;
    esac
done
if [ -n "$quick" ]; then
    case " ${arguments[*]-} " in *" --filter"*) echo "run_tests.sh: --quick has a filter of its own; give --quick or --filter" >&2; exit 2 ;; esac
    filter=
    for part in $left_out; do filter+="&FullyQualifiedName!~$part"; done
    arguments+=(--filter "${filter#&}")
fi
if ! command -v dotnet >/dev/null 2>&1; then
    echo "run_tests.sh: the .NET 10 SDK is not on PATH; install it (https://dot.net/download) and run this again" >&2
    exit 4
fi
say() { echo "run_tests.sh: $*"; }
results="$root/artifacts/test-results"
limit=${TITAN_TEST_TIMEOUT:-1800}
rm -rf "$results"
mkdir -p "$results"
# What some tests start: g++ builds the CUDA kernels for the CPU, ranks run under both launchers, and run_train.sh finds its ranks with pgrep.
missing_packages() {
    local tool
    for tool in g++:g++ mpirun.openmpi:openmpi-bin mpiexec.mpich:mpich pgrep:procps; do
        command -v "${tool%:*}" >/dev/null 2>&1 || echo "${tool#*:}"
    done
}
install() { DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >>"$results/setup.log" 2>&1 </dev/null; }
set_up() {
    local packages package reason=
    packages=$(missing_packages)
    [ -n "$packages" ] || return 0
    packages=$(tr '\n' ' ' <<<"$packages") packages=${packages% }
    if [ "${TITAN_INSTALL:-1}" = 0 ]; then reason="TITAN_INSTALL=0"
    elif ! command -v apt-get >/dev/null 2>&1; then reason="there is no apt-get here"
    elif [ "$(id -u)" != 0 ]; then reason="this is not root"
    fi
    if [ -n "$reason" ]; then
        say "not installed, since $reason: $packages. The tests that need these packages are skipped and listed at the end"
        return 0
    fi
    say "installs with apt-get: $packages"
    DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=1 -o Acquire::http::Timeout=30 update >"$results/setup.log" 2>&1 </dev/null
    # One by one after a failure: one package that cannot be had must not take the others along.
    # shellcheck disable=SC2086
    install $packages || for package in $packages; do install "$package"; done
    hash -r
    packages=$(missing_packages | tr '\n' ' ')
    [ -z "$packages" ] || say "apt-get could not install ${packages% }: $(grep '^E:' "$results/setup.log" | tail -1). The tests that need them are skipped and listed at the end; the whole log: $results/setup.log"
}
[ -n "$quick" ] || set_up
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
    say "ends what $2 left running: $(for pid in $left; do printf '%s (%s) ' "$pid" "$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | cut -c1-80)"; done)"
    kill -TERM $left 2>/dev/null
    sleep 2
    left=$(marked "$1")
    [ -z "$left" ] || kill -KILL $left 2>/dev/null
}

run_project() {
    local project=$1 name mark status
    name=$(basename "$project" .csproj)
    mark="$name.$$"
    TITAN_TEST_RUN=$mark timeout -k 30 "$limit" dotnet test "$project" -c Release --no-build --nologo --logger "trx;LogFileName=$name.trx" --results-directory "$results" \
        --blame-hang-timeout 6m --blame-hang-dump-type none ${arguments[@]+"${arguments[@]}"} >"$results/$name.log" 2>&1 </dev/null
    status=$?
    grep -vE '^(Test run for|VSTest version|Starting test execution|A total of|Results File|Attachments:|The active test run was aborted. Reason: *$)' "$results/$name.log" || true
    end_marked "$mark" "$name"
    if [ "$status" = 124 ] || [ "$status" = 137 ]; then
        touch "$results/$name.killed"
        say "$name was killed after $limit s; its output is in $results/$name.log"
    fi
}
is_alone() { [ -z "$quick" ] && [[ " $alone " = *" $(basename "$(dirname "$1")") "* ]]; }
for project in tests/*/*.Tests.csproj; do
    if is_alone "$project"; then run_project "$project"; fi
done
for project in tests/*/*.Tests.csproj; do
    if is_alone "$project"; then continue; fi
    while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
    run_project "$project" &
done
wait
# The tests that a project skipped, one a line: reason, tab, name. Rows of a theory are one name.
skipped_in() {
    awk -v RS='<UnitTestResult ' '
        function plain(s) { gsub(/&lt;/, "<", s); gsub(/&gt;/, ">", s); gsub(/&quot;/, "\"", s); gsub(/&#x[DA];|\n/, " ", s); gsub(/&amp;/, "\\&", s); return s }
        NR > 1 && /outcome="NotExecuted"/ {
            match($0, /testName="[^"]*"/); name = substr($0, RSTART + 10, RLENGTH - 11); sub(/\(.*/, "", name)
            reason = "no reason given"
            if (match($0, /<(Message|StdOut)>[^<]*</)) { reason = substr($0, RSTART, RLENGTH - 1); sub(/^<[^>]*>/, "", reason) }
            print plain(reason) "\t" plain(name)
        }' "$1"
}
passed=0 failed=0 skipped=0
for project in tests/*/*.Tests.csproj; do
    name=$(basename "$project" .csproj)
    trx="$results/$name.trx"
    counters=$(grep -o '<Counters [^>]*>' "$trx" 2>/dev/null)
    if [ -e "$results/$name.killed" ]; then failed=$((failed + 1)); fi
    if [ -z "$counters" ]; then
        # A test process that died leaves no result file: that is a failure too.
        [ -e "$results/$name.killed" ] || { say "no results from $name: its process died"; failed=$((failed + 1)); }
        continue
    fi
    p=$(sed 's/.* passed="\([0-9]*\)".*/\1/' <<<"$counters")
    t=$(sed 's/.* total="\([0-9]*\)".*/\1/' <<<"$counters")
    s=$(skipped_in "$trx" | tee -a "$results/skipped" | wc -l)
    passed=$((passed + p)) skipped=$((skipped + s)) failed=$((failed + t - p - s))
    # A test that hung ended its process: the results count what had run, and look complete.
    if grep -qE 'Test host process crashed|Test Run Aborted|aborted the test run|hang timeout' "$results/$name.log" && [ $((p + s)) = "$t" ]; then
        say "$name did not finish: a test hung or ended the process; the last test is named above or in $results/$name.log"
        failed=$((failed + 1))
    fi
done
# Nothing is skipped silently: each reason once, then the names.
[ "$skipped" = 0 ] || sort -u "$results/skipped" | awk -F '\t' '$1 != reason { reason = $1; print "skipped: " reason } { print "  " $2 }'
echo "$passed passed, $failed failed$([ "$skipped" = 0 ] || echo ", $skipped skipped")"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
