// Before main: one arena per core for glibc's malloc, which RocksDB uses. By default glibc makes up
// to eight per core. A thread frees into the arena of the thread that allocated, and glibc returns
// an arena's pages only from its end, so each arena keeps what its busiest moment took. With
// sixteen arenas on two cores a server with 35 MiB in use kept 80 to 130, with two 65
// (docs/benchmarks.md).
//
// In C because Rust's binding of mallopt is unsafe, which this tree forbids.
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef __GLIBC__
__attribute__((constructor)) static void limit_arenas(void) {
    // The operator's own choice prevails.
    if (getenv("MALLOC_ARENA_MAX") != NULL || getenv("GLIBC_TUNABLES") != NULL) {
        return;
    }
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    mallopt(M_ARENA_MAX, cores > 2 ? (int)cores : 2);
}
#endif
