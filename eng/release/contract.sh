#!/usr/bin/env bash
# Releases a version of the contract: eng/release/contract.sh VERSION   (1.2.0)
# Moves PublicAPI.Unshipped.txt into PublicAPI.Shipped.txt, sets the version in the project, and notes version and SHA-256 of the released members in contract.txt beside this script.
# Nothing else changes PublicAPI.Shipped.txt; a test compares it with contract.txt. Before the first release everything is unshipped, and the version is 0.x.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
contract="$root/src/Abstractions"
project="$contract/Titan.Abstractions.csproj"
shipped="$contract/PublicAPI.Shipped.txt" unshipped="$contract/PublicAPI.Unshipped.txt"
releases="$root/eng/release/contract.txt"
die() { echo "contract.sh: $*" >&2; exit 2; }

[ $# = 1 ] || die "usage: eng/release/contract.sh VERSION, for example 1.2.0"
version=$1
[[ $version =~ ^(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})$ ]] || die "'$version' is not a version; expected three numbers, for example 1.2.0"
major=${BASH_REMATCH[1]} minor=${BASH_REMATCH[2]}
current=$(sed -n 's:.*<Version>\(.*\)</Version>.*:\1:p' "$project")
last=$(tail -n 1 "$releases" | cut -d' ' -f1)
[[ $last =~ ^[0-9] ]] || last=
[ -z "$last" ] || [ "$(printf '%s\n%s\n' "$last" "$version" | sort -V | tail -n 1)" != "$last" ] || die "$version is not later than $last, the last release"

# A member that was released leaves as *REMOVED*MEMBER among the unshipped: with a new major version only, before 1.0 with a new minor one.
removed=$(sed -n 's/^\*REMOVED\*//p' "$unshipped")
if [ -n "$removed" ] && [ -n "$last" ]; then
    IFS=. read -r last_major last_minor _ <<<"$last"
    breaking=$major was=$last_major
    [ "$last_major" != 0 ] || [ "$major" != 0 ] || { breaking=$minor was=$last_minor; }
    [ "$breaking" -gt "$was" ] || die "$version would take members of $last away: $(head -n 1 <<<"$removed"); a breaking version is the next major one (before 1.0 the next minor one)"
fi

{
    echo '#nullable enable'
    cat "$shipped" "$unshipped" | grep -vxF -e '#nullable enable' | grep -v '^\*REMOVED\*' | grep -vxF -f <(printf '%s\n' "${removed:-#}") | LC_ALL=C sort -u
} >"$shipped.new"
mv "$shipped.new" "$shipped"
echo '#nullable enable' >"$unshipped"
sed -i "s:<Version>.*</Version>:<Version>$version</Version>:; s:<AssemblyVersion>.*</AssemblyVersion>:<AssemblyVersion>$major.$minor.0.0</AssemblyVersion>:" "$project"
echo "$version $(sha256sum "$shipped" | cut -d' ' -f1)" >>"$releases"
echo "the contract is $version (was $current): $(($(wc -l <"$shipped") - 1)) members are released; build, test, commit, tag contract/$version"
