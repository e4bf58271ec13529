#!/usr/bin/env bash
# Trains. CONFIG_FILE, or --job.config_file: the job (default: a small Llama 3 that learns within a minute on two cores). NGPU: number of ranks, started with mpirun. LOG_RANK: whose output to
# show (0; a list: 0,3; all). Several hosts: HOSTFILE=FILE or TITAN_HOSTS=host1:4,host2:4. TITAN_MPIRUN_FLAGS: more flags for mpirun.
# TITAN_LAUNCHER_GRACE_SECONDS (20): how long a launcher may outlive its ranks here. Under srun, or already under an MPI
# launcher, it is one rank and just runs. TITAN_INSTALL=1: may install Open MPI with apt-get. docs/distributed.md has the rest.
# Any further argument overrides the job file, for example: --training.steps 50 --model.converters="quantize.linear.float8"
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# A job file among the arguments takes the place of the default. Where CONFIG_FILE names another one, the program says so.
named=
for argument in "$@"; do
    case ${argument//-/_} in __job.config_file | __job.config_file=*) named=1 ;; esac
done
job=()
if [ -n "${CONFIG_FILE:-}" ]; then job=(--job.config_file "$CONFIG_FILE")
elif [ -z "$named" ]; then job=(--job.config_file "$root/configs/llama3/cpu_small.toml")
fi
ranks=${NGPU:-1}
export LOG_RANK=${LOG_RANK:-0}

# On a full disk nothing is said, and the run goes on.
say() { echo "run_train.sh: $*" >&2 || true; }
# The program of this checkout; TITAN_PROGRAM is for whoever runs another build of it.
program=${TITAN_PROGRAM:-"$root/titan"}
# What the ranks run: train, or 'bench communication'.
read -ra command <<<"${TRAIN_COMMAND:-train}"
train=("$program" "${command[@]}" ${job[@]+"${job[@]}"} "$@")

cores() { getconf _NPROCESSORS_ONLN 2>/dev/null || nproc; }
# Ranks of one machine share its cores.
share_cores() {
    local each=$(($(cores) / $1))
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((each > 0 ? each : 1))}
}

if ! [[ $ranks =~ ^[1-9][0-9]*$ ]]; then
    say "NGPU=$ranks: expected the number of ranks, 1 or more"
    exit 2
fi
if ! [[ $LOG_RANK =~ ^(all|[0-9]+(,[0-9]+)*)$ ]]; then
    say "LOG_RANK=$LOG_RANK: expected a rank (0), ranks separated by commas (0,3), or all"
    exit 2
fi
grace=${TITAN_LAUNCHER_GRACE_SECONDS:-20}
if ! [[ $grace =~ ^[1-9][0-9]{0,8}$ ]]; then
    say "TITAN_LAUNCHER_GRACE_SECONDS=$grace: expected whole seconds, 1 or more, without a unit; unset it for 20"
    exit 2
fi

# One rank of a job that somebody else launched. In a batch script, which is one process, SLURM_PROCID and SLURM_NTASKS are set too: only srun sets SLURM_STEP_NUM_TASKS.
launcher=
if [ -n "${OMPI_COMM_WORLD_SIZE:-}" ]; then launcher="mpirun" launched=$OMPI_COMM_WORLD_SIZE here=${OMPI_COMM_WORLD_LOCAL_SIZE:-1}
elif [ -n "${SLURM_PROCID:-}" ] && [ "${SLURM_STEP_NUM_TASKS:-1}" -gt 1 ]; then
    launched=$SLURM_STEP_NUM_TASKS
    # "4(x2),3": tasks of each node; the first number will do.
    launcher="srun" here=${SLURM_STEP_TASKS_PER_NODE:-1} here=${here%%[!0-9]*}
elif [ -n "${PMI_SIZE:-}" ] && [ "$PMI_SIZE" -gt 1 ]; then launcher="mpiexec" launched=$PMI_SIZE here=${MPI_LOCALNRANKS:-1}
elif [ -n "${PMIX_RANK:-}" ]; then launcher="a PMIx launcher" launched="" here=1
fi
if [ -n "$launcher" ]; then
    rank=${OMPI_COMM_WORLD_RANK:-${PMIX_RANK:-${PMI_RANK:-${SLURM_PROCID:-0}}}}
    if [ -n "${NGPU:-}" ] && [ "$NGPU" != "$launched" ] && [ "$rank" = 0 ]; then say "note: NGPU=$NGPU is ignored: $launcher started ${launched:-the} ranks"; fi
    [ "$launcher" = srun ] && [ -n "${SLURM_CPUS_PER_TASK:-}" ] && export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$SLURM_CPUS_PER_TASK}
    share_cores "${here:-1}"
    exec "${train[@]}"
fi

hosts=()
if [ -n "${HOSTFILE:-}" ] && [ -n "${TITAN_HOSTS:-}" ]; then
    say "HOSTFILE and TITAN_HOSTS are both set; keep one"
    exit 2
fi
if [ -n "${HOSTFILE:-}" ]; then
    [ -r "$HOSTFILE" ] || { say "HOSTFILE=$HOSTFILE cannot be read; expected lines such as 'host1 slots=4'"; exit 2; }
    [ -n "${NGPU:-}" ] || { say "HOSTFILE needs NGPU: the number of ranks on all hosts together"; exit 2; }
elif [ -n "${TITAN_HOSTS:-}" ]; then
    IFS=, read -ra hosts <<<"$TITAN_HOSTS"
    slots=0
    for host in "${hosts[@]}"; do
        [[ $host =~ ^[^:]+:[1-9][0-9]*$ ]] || { say "TITAN_HOSTS: '$host': expected host:ranks, for example TITAN_HOSTS=host1:4,host2:4"; exit 2; }
        slots=$((slots + ${host##*:}))
    done
    if [ -z "${NGPU:-}" ]; then ranks=$slots; fi
    if [ "$ranks" -gt "$slots" ]; then
        say "NGPU=$ranks, but TITAN_HOSTS=$TITAN_HOSTS has room for $slots ranks; raise the numbers after the colons or lower NGPU"
        exit 2
    fi
fi

if [ "$ranks" = 1 ] && [ -z "${HOSTFILE:-}${TITAN_HOSTS:-}" ]; then exec "${train[@]}"; fi

# Open MPI where there is a choice: MPICH's ranks never yield the cores that they wait on.
find_launcher() {
    local name text
    for name in mpirun.openmpi mpirun mpiexec.hydra mpiexec; do
        command -v "$name" >/dev/null 2>&1 || continue
        text=$("$name" --version 2>/dev/null || true)
        case $text in
            *"Open MPI"* | *OpenRTE* | *PRRTE*)
                kind=openmpi mpirun=$name major=4
                if [[ $text =~ [[:space:]]([0-9]+)\.[0-9] ]]; then major=${BASH_REMATCH[1]}; fi
                return 0 ;;
            *HYDRA* | *MPICH* | *"Intel(R) MPI"*) kind=mpich mpirun=$name; return 0 ;;
        esac
    done
    return 1
}

# Debian 12 and Ubuntu 24.04 have libopenmpi3; newer releases libopenmpi40.
apt_library() { if apt-cache show libopenmpi40 >/dev/null 2>&1; then echo libopenmpi40; else echo libopenmpi3; fi; }
missing() {
    say "NGPU=$ranks needs an MPI launcher, and neither mpirun nor mpiexec is on PATH. Install one:"
    cat >&2 <<TEXT
  Debian, Ubuntu   apt-get install openmpi-bin libopenmpi3     (libopenmpi40 on Debian 13 and newer)
  Fedora, RHEL     dnf install openmpi && module load mpi/openmpi-x86_64
  conda            conda install -c conda-forge openmpi
or run on one rank: NGPU=1
TEXT
    exit 4
}
if ! find_launcher; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        install=${TITAN_INSTALL:-}
        if [ -z "$install" ] && [ -t 0 ] && [ -t 2 ]; then
            read -rp "run_train.sh: NGPU=$ranks needs MPI. Install openmpi-bin (about 7 MB) with apt-get? [y/N] " answer
            case $answer in y | Y | yes) install=1 ;; esac
        fi
        if [ "$install" = 1 ]; then
            say "installing Open MPI"
            { apt-get update -qq && apt-get install -y -qq --no-install-recommends openmpi-bin "$(apt_library)"; } >&2 || { say "apt-get failed"; missing; }
            hash -r
        fi
    fi
    find_launcher || missing
fi

# Once, before many ranks would do it at the same time. Where a signal comes nothing has begun, and it ends as it would end any program.
set -m
"$program" --help >/dev/null </dev/null &
building=$!
set +m
leave() {
    kill -TERM -- "-$building" 2>/dev/null || true
    say "SIG$1: nothing had begun"
    exit $((128 + $2))
}
trap 'leave HUP 1' HUP
trap 'leave INT 2' INT
trap 'leave QUIT 3' QUIT
trap 'leave TERM 15' TERM
wait "$building" || exit $?
export TITAN_NO_BUILD=1
# UCX, which MPICH and many clusters' Open MPI use, would turn every null reference of .NET into a crash.
export UCX_HANDLE_ERRORS=${UCX_HANDLE_ERRORS:-none}
# Open MPI's reductions allocate and free temporaries; without this every call faults their pages in again.
export MALLOC_MMAP_THRESHOLD_=${MALLOC_MMAP_THRESHOLD_:-1073741824} MALLOC_TRIM_THRESHOLD_=${MALLOC_TRIM_THRESHOLD_:-4294967296}
# mpirun gives ranks a terminal of their own, to which .NET would write control sequences.
export TERM=dumb
if [ ${#hosts[@]} -gt 0 ]; then share_cores "${hosts[0]##*:}"
elif [ -z "${HOSTFILE:-}" ]; then share_cores "$ranks"
fi
passed=(LOG_RANK TITAN_NO_BUILD UCX_HANDLE_ERRORS MALLOC_MMAP_THRESHOLD_ MALLOC_TRIM_THRESHOLD_ TERM)
[ -n "${OMP_NUM_THREADS:-}" ] && passed+=(OMP_NUM_THREADS)
for name in $(compgen -e); do
    case $name in TITAN_MPIRUN_FLAGS | TITAN_HOSTS | TITAN_INSTALL | TITAN_NO_BUILD | TITAN_PROGRAM | TITAN_LAUNCHER_GRACE_SECONDS) ;;
        TITAN_* | NCCL_* | UCX_TLS | UCX_NET_DEVICES | CUDA_VISIBLE_DEVICES | OMP_WAIT_POLICY | MPI_LIBRARY | DOTNET_ROOT | PATH | LD_LIBRARY_PATH) passed+=("$name") ;;
    esac
done

read -ra more <<<"${TITAN_MPIRUN_FLAGS:-}"
if [ "$kind" = openmpi ]; then
    # Not bound: with one or two ranks each would be bound to a single core, its compute and communication threads together.
    flags=(--bind-to none)
    if [ "$(id -u)" = 0 ]; then flags+=(--allow-run-as-root); fi
    if [ -n "${HOSTFILE:-}" ]; then flags+=(--hostfile "$HOSTFILE")
    elif [ ${#hosts[@]} -gt 0 ]; then flags+=(--host "$TITAN_HOSTS")
    else
        # One machine needs no ssh. Open MPI 5 has no such component, and in an allocation of Slurm's mpirun starts its ranks by Slurm.
        if [ "$major" -lt 5 ] && [ -z "${SLURM_JOB_ID:-}" ]; then flags+=(--mca plm isolated); fi
        if [ "$ranks" -gt "$(cores)" ]; then flags+=(--oversubscribe); fi
    fi
    # Between machines: two sockets for each pair of ranks, one for each direction, and waiting ranks that leave the core to those that compute.
    if [ -n "${HOSTFILE:-}${TITAN_HOSTS:-}" ]; then flags+=(--mca mpi_yield_when_idle 1 --mca btl_tcp_links 2); fi
    for name in "${passed[@]}"; do flags+=(-x "$name"); done
else
    # Passes the whole environment on by itself.
    flags=()
    if [ -n "${HOSTFILE:-}" ]; then flags+=(-f "$HOSTFILE")
    elif [ ${#hosts[@]} -gt 0 ]; then flags+=(-hosts "$TITAN_HOSTS")
    fi
fi
ranks_can_be_found=1
if ! command -v pgrep >/dev/null 2>&1; then
    ranks_can_be_found=
    say "warning: pgrep is not on PATH (it is in the package procps or procps-ng), so the ranks cannot be found here: SIGTERM and Ctrl-C go to $mpirun, which ends the ranks without a checkpoint," \
        "and $mpirun is not ended when another host stops answering"
fi
# A launcher that is told to end reports failure, and gives its ranks a second; so does one that gets Ctrl-C with its group. So it has a group of its own, and the ranks are
# told: they agree, save, and all end by themselves. A signal that comes before a rank listens is kept for it.
launched=
signal=
asker=
# Until when ranks are waited for; a second signal does not wait.
patience=0
ask() {
    if [ -z "$signal" ]; then patience=$((SECONDS + grace)); fi
    signal=$1
    [ -z "$launched" ] || pass_on
}
# In a group of its own, which Ctrl-C does not reach: it would end pgrep in the middle of a look.
pass_on() {
    [ -z "$asker" ] || kill -KILL -- "-$asker" 2>/dev/null || true
    set -m
    tell_all </dev/null &
    asker=$!
    disown "$asker"
    set +m
    patience=0
}
ranks_of() {
    local child
    [ -n "$ranks_can_be_found" ] || return 0
    for child in $(pgrep -P "$1"); do
        if [ "$(cat "/proc/$child/comm" 2>/dev/null)" = titan ]; then echo "$child"; else ranks_of "$child"; fi
    done
}
# The program catches SIGUSR1 last, and nothing but the program does. Before, a signal would end the rank, and with it the job.
listens() {
    local caught
    # Not by read: in a process that a trap has started it may stop at once.
    caught=$(cat "/proc/$1/status" 2>/dev/null) || return 1
    case $caught in *SigCgt:*) ;; *) return 1 ;; esac
    caught=${caught##*SigCgt:}
    caught=${caught%%$'\n'*}
    [ $((0x${caught//[[:space:]]/} & 0x200)) != 0 ]
}
# Tells the ranks of this host; where none listens in time, or none can be found, the launcher.
tell_all() {
    local rank told=" "
    while kill -0 "$launched" 2>/dev/null; do
        for rank in $(ranks_of "$launched"); do
            case $told in *" $rank "*) continue ;; esac
            if listens "$rank" && kill -"$signal" "$rank" 2>/dev/null; then
                if [ "$told" = " " ]; then say "SIG$signal: passed on to the ranks"; fi
                told="$told$rank "
            fi
        done
        if [ "$told" = " " ] && { [ -z "$ranks_can_be_found" ] || [ "$SECONDS" -ge "$patience" ]; }; then
            told=" launcher "
            say "SIG$signal: passed on to $mpirun, since no rank here listens"
            kill -"$signal" "$launched" 2>/dev/null || true
        fi
        sleep 0.2 </dev/null >/dev/null 2>&1
    done
}
trap 'ask HUP' HUP
trap 'ask INT' INT
trap 'ask QUIT' QUIT
trap 'ask TERM' TERM
set -m
"$mpirun" ${flags[@]+"${flags[@]}"} ${more[@]+"${more[@]}"} -np "$ranks" "${train[@]}" </dev/null &
launched=$!
set +m
# One that came meanwhile.
[ -z "$signal" ] || pass_on
script=$$
# Killed, or a zombie whose parent does not look.
script_is_gone() {
    local text=
    { read -r text <"/proc/$script/stat"; } 2>/dev/null || return 0
    case ${text##*) } in [ZX]*) return 0 ;; esac
    return 1
}
# Looks after what nobody else would end. A launcher that waits for another host: when a link is down for good the ranks give up, each by itself, but it waits without end.
# And all of them when this script was killed: they save and end.
watch_launcher() {
    local seen= gone=0
    trap - HUP INT QUIT TERM
    while [ "$gone" -lt "$grace" ]; do
        sleep 1 </dev/null >/dev/null 2>&1   # outlives a killed watcher by a moment, and must not keep the pipes open
        kill -0 "$launched" 2>/dev/null || return 0
        if script_is_gone; then
            say "was killed: the ranks are told to save and stop"
            signal=TERM patience=$((SECONDS + grace))
            tell_all
            return 0
        fi
        if [ -n "$(ranks_of "$launched")" ]; then seen=1 gone=0
        elif [ -n "$seen" ]; then gone=$((gone + 1))
        fi
    done
    say "the ranks of this host ended $grace s ago and $mpirun has not: a host does not answer. Ending $mpirun; look for processes named titan and orted on the other hosts"
    # shellcheck disable=SC2046
    kill -KILL $(pgrep -P "$launched") "$launched" 2>/dev/null || true
    return 9
}
set -m
watch_launcher </dev/null &
watcher=$!
set +m
# A signal ends the waiting, not the job.
status=0
while kill -0 "$launched" 2>/dev/null; do wait "$launched" 2>/dev/null || true; done
wait "$launched" 2>/dev/null || status=$?
trap - HUP INT QUIT TERM
[ -z "$asker" ] || kill -KILL -- "-$asker" 2>/dev/null || true
kill "$watcher" 2>/dev/null || true
wait "$watcher" 2>/dev/null || if [ $? = 9 ]; then status=1; fi
exit "$status"
