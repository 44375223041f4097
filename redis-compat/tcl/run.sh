#!/usr/bin/env bash
# Runs Redis' own Tcl suite against Coterie and against redis-server, unit by unit, and prints what
# passes in each.
#
#   redis-compat/tcl/run.sh [-s SOURCE] [-b COTERIE] [-o DIR] [UNIT ...]
#
#   -s SOURCE   Redis' source; else Debian's source package is fetched (apt-get source redis)
#   -b COTERIE  the binary, else target/release/coterie
#   -o DIR      where logs and lists of failed tests are written, else a new directory
#
# The suite runs in its mode for an external server, and goes on after failures. Needs tcl,
# redis-server of about the same version, and dpkg-dev to fetch the source.
set -euo pipefail

units=(type/string type/incr type/hash type/list type/list-2 type/list-3 type/set type/zset
    type/stream type/stream-cgroups keyspace expire scan bitops bitfield hyperloglog geo sort dump
    multi protocol other querybuf info)
source= binary=target/release/coterie out=
while getopts s:b:o: option; do
    case $option in
    s) source=$(realpath "$OPTARG") ;;
    b) binary=$OPTARG ;;
    o) out=$OPTARG ;;
    *) sed -n '2,14p' "$0"; exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] && units=("$@")
binary=$(realpath "$binary")
out=$(realpath "${out:-$(mktemp -d)}")
mkdir -p "$out"

# Fetches Debian's source package with package lists of its own: the system's stay as they are.
fetch() {
    local dir=${XDG_CACHE_HOME:-$HOME/.cache}/coterie/redis-source
    mkdir -p "$dir/lists/partial" "$dir/sources"
    if ! ls -d "$dir"/redis-*/ >/dev/null 2>&1; then
        # shellcheck source=/dev/null
        . /etc/os-release
        printf 'Types: deb-src\nURIs: http://deb.debian.org/debian\nSuites: %s\nComponents: main\n%s\n' \
            "$VERSION_CODENAME" 'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg' \
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
cp -r "$source" "$suite"
sed -i 's/^\( *\)r function flush/\1catch {r function flush}/' "$suite"/tests/support/server.tcl \
    "$suite"/tests/test_helper.tcl

pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true' EXIT
free_port() {
    local port
    for port in $(shuf -i 24000-31000 -n 50); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}
theirs=$(free_port)
redis-server --port "$theirs" --save '' --dir "$out" >"$out/redis.log" 2>&1 &
pids+=($!)
ours=$(free_port)
"$binary" dev --enable-debug-command yes --dir "$out/cluster" --listen "127.0.0.1:$ours" --http "127.0.0.1:$(free_port)" \
    >"$out/coterie.log" 2>&1 &
pids+=($!)
for port in "$theirs" "$ours"; do
    for _ in $(seq 300); do
        redis-cli -p "$port" ping 2>/dev/null | grep -q PONG && break
        sleep 0.1
    done
done

# run_unit NAME PORT UNIT: prints how many tests passed and failed.
run_unit() {
    local log=$out/$1-${3//\//-}.log passed failed
    (cd "$suite" && timeout 600 ./runtest --host 127.0.0.1 --port "$2" --durable --ignore-encoding \
        --ignore-digest --tags '-needs:debug -needs:repl -large-memory' --single "unit/$3") \
        >"$log" 2>&1 || true
    sed -i 's/\x1b\[[0-9;]*m//g' "$log"
    sed -n 's/^\[ok\]: \(.*\) ([0-9]* ms)$/\1/p' "$log" | sort -u >"$log.passed"
    sed -n 's/^\[err\]: \(.*\) in tests\/.*$/\1/p; s/^\[exception\]: \(.*\)$/exception: \1/p' "$log" |
        sort -u >"$log.failed"
    passed=$(wc -l <"$log.passed") failed=$(wc -l <"$log.failed")
    echo "$passed $failed"
}

printf '%-22s %8s %8s %8s   %s\n' unit redis coterie failed 'of what redis passes'
all_theirs=0 all_ours=0
for unit in "${units[@]}"; do
    read -r redis _ < <(run_unit redis "$theirs" "$unit")
    read -r _ failed < <(run_unit coterie "$ours" "$unit")
    name=${unit//\//-}
    both=$(comm -12 "$out/redis-$name.log.passed" "$out/coterie-$name.log.passed" | wc -l)
    comm -23 "$out/redis-$name.log.passed" "$out/coterie-$name.log.passed" >"$out/$name.missing"
    all_theirs=$((all_theirs + redis)) all_ours=$((all_ours + both))
    printf '%-22s %8d %8d %8d   %3d%%\n' "$unit" "$redis" "$both" "$failed" \
        $((redis > 0 ? 100 * both / redis : 0))
done
printf '%-22s %8d %8d %8s   %3d%%\n' all "$all_theirs" "$all_ours" '' \
    $((all_theirs > 0 ? 100 * all_ours / all_theirs : 0))
echo "tests that redis-server passes and Coterie does not: $out/*.missing"
