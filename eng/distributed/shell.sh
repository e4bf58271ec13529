#!/usr/bin/env bash
# What mpirun uses in the place of ssh: a shell on one of the two "hosts" of link.sh. Each has a name of its own, so that MPI shares no memory between them.
while [[ $1 == -* ]]; do shift; done
host=$1
shift
case $host in
    10.77.0.1 | titan-a) space=titan-a ;;
    10.77.0.2 | titan-b) space=titan-b ;;
    *) echo "shell.sh: no such host: $host" >&2; exit 1 ;;
esac
exec ip netns exec $space unshare --uts bash -c "hostname $space; $*"
