#!/usr/bin/env bash
# Runs Redis' own Tcl suite against Coterie and against redis-server, unit by unit, and prints what
# passes in each. Fails when Coterie fails a test that redis-server passes and expected.txt does
# not list.
#
#   redis-compat/tcl/run.sh [-a] [-f] [-q] [-s SOURCE] [-b COTERIE] [-p PORT] [-o DIR] [UNIT ...]
#
#   -a          on Coterie run also the tests that expected.txt lists
#   -f          a cluster of a single server in memory, without fsync: each command answers as it
#               does on disks, and a unit takes seconds
#   -q          only the units that take seconds, some three minutes together, for CI
#   -s SOURCE   Redis' source; else Debian's source package is fetched (apt-get source redis)
#   -b COTERIE  the binary, else target/release/coterie
#   -p PORT     the first of three ports, else ports that are free
#   -o DIR      where logs and lists of failed tests are written, else a new directory
#
# The suite runs in its mode for an external server, and goes on after failures. Tests of
# expected.txt do not run on Coterie, as some that fail leave a connection behind that others fail
# on. A test that hangs for five minutes counts as failed, and the unit is run again without it.
# Needs tcl, redis-server of about the same version, and dpkg-dev to fetch the source.
set -euo pipefail

units=(type/string type/incr type/hash type/list type/list-2 type/list-3 type/set type/zset
    type/stream type/stream-cgroups keyspace expire scan bitops bitfield hyperloglog geo sort dump
    multi protocol other querybuf info)
quick=(type/string type/incr type/hash type/list type/list-2 type/set type/zset type/stream
    type/stream-cgroups keyspace expire scan bitops bitfield multi protocol other)
expected=$(realpath "$(dirname "$0")")/expected.txt
source= binary=target/release/coterie out= fast= ports= all=
while getopts afqs:b:p:o: option; do
    case $option in
    a) all=1 ;;
    f) fast=1 ;;
    q) units=("${quick[@]}") ;;
    s) source=$(realpath "$OPTARG") ;;
    b) binary=$OPTARG ;;
    p) ports=$OPTARG ;;
    o) out=$OPTARG ;;
    *) sed -n '2,21p' "$0"; exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] && units=("$@")
binary=$(realpath "$binary")
out=${out:-$(mktemp -d)}
mkdir -p "$out"
out=$(realpath "$out")

# Fetches Debian's source package with package lists of its own: the system's stay as they are.
fetch() {
    local dir=${XDG_CACHE_HOME:-$HOME/.cache}/coterie/redis-source
    mkdir -p "$dir/lists/partial" "$dir/sources"
    if ! ls -d "$dir"/redis-*/ >/dev/null 2>&1; then
        # shellcheck source=/dev/null
        . /etc/os-release
        printf '%s\n' 'Types: deb-src' 'URIs: http://deb.debian.org/debian' 'Components: main' \
            "Suites: $VERSION_CODENAME" \
            'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg' \
            >"$dir/sources/redis.sources"
        local lists=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$dir/sources"
            -o "Dir::State::lists=$dir/lists")
        (cd "$dir" && apt-get -q "${lists[@]}" update && apt-get -q "${lists[@]}" source redis) \
            >"$out/fetch.log" 2>&1
    fi
    ls -d "$dir"/redis-*/
}
[ -n "$source" ] || source=$(fetch)

# A copy to run in: between tests the suite asks for commands that not every server has.
suite=$out/suite
rm -rf "$suite"
mkdir "$suite"
cp -r "$source"/{runtest,tests,utils} "$suite"
sed -i 's/^\( *\)r function flush/\1catch {r function flush}/' "$suite"/tests/support/server.tcl \
    "$suite"/tests/test_helper.tcl

pids=() memory=
finish() {
    kill "${pids[@]}" 2>/dev/null || true
    wait "${pids[@]}" 2>/dev/null || true
    [ -z "$memory" ] || rm -rf "$memory"
}
trap finish EXIT
free_port() {
    local port
    for port in $(shuf -i 24000-31000 -n 50); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}
theirs=${ports:-$(free_port)}
redis-server --port "$theirs" --save '' --dir "$out" >"$out/redis.log" 2>&1 &
pids+=($!)
ours=${ports:+$((ports + 1))} http=${ports:+$((ports + 2))}
ours=${ours:-$(free_port)} http=${http:-$(free_port)}
cluster=(--dir "$out/cluster")
if [ -n "$fast" ]; then
    memory=$(mktemp -d -p /dev/shm coterie-tcl.XXXX)
    cluster=(--dir "$memory" --servers 1 --groups 1 --fsync never)
fi
"$binary" dev "${cluster[@]}" --max-value-bytes 512MiB --enable-debug-command yes \
    --listen "127.0.0.1:$ours" --http "127.0.0.1:$http" >"$out/coterie.log" 2>&1 &
pids+=($!)
for port in "$theirs" "$ours"; do
    for _ in $(seq 300); do
        redis-cli -p "$port" ping 2>/dev/null | grep -q PONG && break
        sleep 0.1
    done
done

# run_unit NAME PORT UNIT SKIPFILE: writes lists of the tests that passed and that failed.
run_unit() {
    local log=$out/$1-${3//\//-}.log hung skip=(--skipfile "$4")
    # Units for gigabytes leave these behind.
    redis-cli -p "$2" config set proto-max-bulk-len 512mb client-query-buffer-limit 1gb >/dev/null
    : >"$log"
    for _ in 1 2 3; do
        (cd "$suite" && timeout 600 ./runtest --host 127.0.0.1 --port "$2" --durable \
            --ignore-encoding --ignore-digest --tags '-needs:debug -needs:repl -large-memory' \
            --timeout 300 "${skip[@]}" --single "unit/$3") >"$log.run" 2>&1 || true
        sed -i 's/\x1b\[[0-9;]*m//g' "$log.run"
        cat "$log.run" >>"$log"
        hung=$(sed -n 's/^.*=> (IN PROGRESS) //p' "$log.run")
        grep -q '^\[TIMEOUT\]' "$log.run" && [ -n "$hung" ] || break
        echo "[err]: $hung in tests/unit/$3.tcl hung" >>"$log"
        skip+=(--skiptest "$hung")
    done
    rm "$log.run"
    sed -n 's/^\[ok\]: \(.*\) ([0-9]* ms)$/\1/p' "$log" | LC_ALL=C sort -u >"$log.passed"
    sed -n -e 's/^\[err\]: \(.*\) in tests\/.*$/\1/p' \
        -e 's/^\[exception\]: \(.*\)$/exception: \1/p' "$log" | LC_ALL=C sort -u >"$log.failed"
}

# The tests of a unit that expected.txt lists.
listed() { sed -n "s|^  $1: ||p" "$expected" | LC_ALL=C sort -u; }

export LC_ALL=C
printf '%-20s %6s %8s %7s %9s %11s  %s\n' unit redis coterie listed seconds unexpected \
    'of what redis passes'
all_theirs=0 all_ours=0 all_listed=0 all_unexpected=0
for unit in "${units[@]}"; do
    name=${unit//\//-} began=$SECONDS
    listed "$unit" >"$out/$name.listed"
    skipped=$out/$name.listed
    [ -z "$all" ] || skipped=/dev/null
    run_unit coterie "$ours" "$unit" "$skipped"
    seconds=$((SECONDS - began))
    run_unit redis "$theirs" "$unit" /dev/null
    redis=$(wc -l <"$out/redis-$name.log.passed")
    comm -12 "$out/redis-$name.log.passed" "$out/coterie-$name.log.passed" >"$out/$name.both"
    comm -23 "$out/redis-$name.log.passed" "$out/coterie-$name.log.passed" >"$out/$name.missing"
    comm -23 "$out/$name.missing" "$out/$name.listed" >"$out/$name.unexpected"
    comm -12 "$out/$name.both" "$out/$name.listed" |
        sed "s|^|passes, but expected.txt lists it: $unit: |"
    both=$(wc -l <"$out/$name.both") unexpected=$(wc -l <"$out/$name.unexpected")
    known=$(($(wc -l <"$out/$name.missing") - unexpected))
    all_theirs=$((all_theirs + redis)) all_ours=$((all_ours + both))
    all_listed=$((all_listed + known)) all_unexpected=$((all_unexpected + unexpected))
    printf '%-20s %6d %8d %7d %9d %11d  %3d%%\n' "$unit" "$redis" "$both" "$known" "$seconds" \
        "$unexpected" $((redis > 0 ? 100 * both / redis : 0))
    sed "s|^|    failed: $unit: |" "$out/$name.unexpected"
done
printf '%-20s %6d %8d %7d %9d %11d  %d.%d%%\n' all "$all_theirs" "$all_ours" "$all_listed" \
    "$SECONDS" "$all_unexpected" $((all_theirs > 0 ? 100 * all_ours / all_theirs : 0)) \
    $((all_theirs > 0 ? 1000 * all_ours / all_theirs % 10 : 0))
echo "logs: $out"
[ "$all_unexpected" -eq 0 ]
