#!/usr/bin/env bash
# Trains under Slurm: one task per rank, started by srun.
#   CONFIG_FILE=configs/llama3/llama3_8b.toml sbatch --nodes=4 deploy/slurm.sh --model.converters="quantize.linear.float8"
# Submit from the root of the checkout, which every node must see under the same path, built (./titan --help). Options of sbatch override the lines below.
# Not run on a Slurm cluster by the project.
#SBATCH --job-name=titan
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=12
#SBATCH --exclusive
#SBATCH --output=titan-%j.log
#SBATCH --open-mode=append
# Two minutes before the time is up this script (B:) gets SIGTERM and passes it on: every rank saves (with checkpoint.enable) and exits 0, and the job is queued again.
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
set -euo pipefail
root=${TITAN_ROOT:-${SLURM_SUBMIT_DIR:-$PWD}}
[ -x "$root/run_train.sh" ] || { echo "slurm.sh: $root holds no run_train.sh: submit from the root of the checkout, or set TITAN_ROOT" >&2; exit 2; }
# Unless an argument names the job file.
case " ${*//-/_}" in *" __job.config_file"*) ;; *) export CONFIG_FILE=${CONFIG_FILE:-"$root/configs/llama3/llama3_8b.toml"} ;; esac
export LOG_RANK=${LOG_RANK:-0} TITAN_NO_BUILD=1 UCX_HANDLE_ERRORS=none
# pmix for Open MPI, pmi2 for MPICH; 'srun --mpi=list' shows what there is.
mpi=${TITAN_SRUN_MPI:-pmix}

# Before the step starts: no signal is lost. srun passes it on to its tasks; one that comes before srun listens ends it, and the job is queued again as well.
step= stopped=
stop() {
    stopped=1
    if [ -n "$step" ]; then kill -TERM "$step" 2>/dev/null || true; fi
}
trap stop TERM
# --kill-on-bad-exit: no rank waits for one that is gone. --cpu-bind=none: compute and communication threads of a rank are not put on one core.
srun --mpi="$mpi" --kill-on-bad-exit=1 --cpu-bind=none --cpus-per-task="${SLURM_CPUS_PER_TASK:-12}" "$root/run_train.sh" "$@" &
step=$!
if [ -n "$stopped" ]; then stop; fi
status=0
wait "$step" || status=$?
# The trap interrupts wait: wait for the save.
while kill -0 "$step" 2>/dev/null; do
    status=0
    wait "$step" || status=$?
done
# The status of a step that ended while the trap ran.
if [ -n "$stopped" ]; then
    status=0
    wait "$step" || status=$?
fi
# Stopped before the last step: queue again, the same job goes on from its checkpoint. 143: it was told before it listened, or twice; its earlier checkpoints are whole.
if [ -n "$stopped" ] && { [ "$status" = 0 ] || [ "$status" = 143 ]; } && [ "${TITAN_REQUEUE:-1}" = 1 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$status"
