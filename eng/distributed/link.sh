#!/usr/bin/env bash
# Two "hosts" on this machine, network namespaces joined by a link of limited bandwidth. Needs root, iproute2 and Open MPI.
#   link.sh up RATE       makes them, for example link.sh up 1gbit
#   link.sh run COMMAND   runs it under mpirun, one rank on each host
#   link.sh train ARGS    runs run_train.sh ARGS on one of them, with one rank on each
#   link.sh cut | mend    takes the link down, and up again
#   link.sh down          removes them
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
case ${1:-} in
    up)
        for n in a b; do ip netns add titan-$n; done
        ip link add titan-va netns titan-a type veth peer name titan-vb netns titan-b
        i=1
        for n in a b; do
            ip -n titan-$n addr add 10.77.0.$i/24 dev titan-v$n
            ip -n titan-$n link set lo up
            ip -n titan-$n link set titan-v$n up
            ip netns exec titan-$n tc qdisc add dev titan-v$n root tbf rate "$2" burst 256kb latency 50ms
            i=$((i + 1))
        done ;;
    down)
        for n in a b; do ip netns del titan-$n 2>/dev/null || true; done ;;
    cut) ip -n titan-a link set titan-va down ;;
    mend) ip -n titan-a link set titan-va up ;;
    run)
        shift
        exec "$here/shell.sh" 10.77.0.1 "cd '$PWD' && exec timeout ${TITAN_LINK_TIMEOUT:-300} mpirun.openmpi --allow-run-as-root --bind-to none -x TERM=dumb -x LOG_RANK -x OMP_NUM_THREADS -x OMP_WAIT_POLICY \
            -x TITAN_NO_BUILD --host 10.77.0.1:1,10.77.0.2:1 -np 2 --mca plm rsh --mca plm_rsh_agent '$here/shell.sh' --mca oob_tcp_if_include 10.77.0.0/24 \
            --mca btl_tcp_if_include 10.77.0.0/24 --mca btl self,tcp,vader --mca btl_tcp_links 2 --mca mpi_yield_when_idle 1 $*" ;;
    train)
        shift
        export TITAN_HOSTS=10.77.0.1:1,10.77.0.2:1
        export TITAN_MPIRUN_FLAGS="--mca plm rsh --mca plm_rsh_agent $here/shell.sh --mca oob_tcp_if_include 10.77.0.0/24 --mca btl_tcp_if_include 10.77.0.0/24 --mca btl self,tcp,vader"
        exec "$here/shell.sh" 10.77.0.1 "cd '$here/../..' && exec ./run_train.sh $*" ;;
    *) sed -n '2,8s/^# //p' "$0"; exit 2 ;;
esac
