//! Whole-cluster tests: harness, workloads, histories, checker.
//!
//! The tests themselves are in `tests/tests/`. They run the real binary as real processes on
//! loopback, act as users and as failures do, and judge by the replies that clients saw. The
//! harness waits for conditions under a deadline, never for a duration, and ends every process that
//! it started.
//!
//! Environment variables set the size of a run:
//!
//! | variable | meaning | default | full run |
//! |---|---|---|---|
//! | `COTERIE_BIN` | the binary to test | a release build, by cargo | |
//! | `COTERIE_BIN_PROFILE` | the profile of the build by cargo: `dev` builds faster | release | |
//! | `COTERIE_SEED` | the source of chance, printed by each test that uses it | new | |
//! | `COTERIE_ROUNDS` | rounds of writing, killing the leader, reading everything | 5 | 1000 |
//! | `COTERIE_RESTARTS` | rounds of killing and starting all processes | 2 | 20 |
//! | `COTERIE_PAUSES` | rounds of a paused leader | 3 | 50 |
//! | `COTERIE_AWAY_WRITES` | least number of writes while a follower is away | 3000 | 3000 |
//! | `COTERIE_AWAY_SECONDS` | least time that it is away | 0 | 300 |
//! | `COTERIE_LOG_MIB` | log before a restart | 24 | 1024 |
//! | `COTERIE_RESTART_SECONDS` | bound on that restart | 20 | 10 |
//! | `COTERIE_BLOWS` | kills and pauses in the chaos test | 8 | 200 |
//! | `COTERIE_GROW_MIB` | data before nodes are added | 40 | 1024 |
//! | `COTERIE_MOVES` | moves of a range between two groups | 4 | 200 |
//! | `COTERIE_MOVE_KILLS` | moves during which a process is killed | 5 | 200 |
//! | `COTERIE_MOVE_MIB` | data of the move whose cost is printed | 16 | 1024 |
//! | `COTERIE_MOVE_CLIENTS` | clients that write meanwhile | 8 | 50 |
//! | `COTERIE_MOVE_WRITES` | writes per client before and after it | 2,000 | 10,000 |
//! | `COTERIE_STORM_ROUNDS` | random changes of the range map | 8 | 900, half an hour |
//! | `COTERIE_REPAIR_MIB` | data before a node is killed for good | 8 | 1024 |
//! | `COTERIE_REPAIR_SECONDS` | bound on the repair after it | 90 | 60 |
//! | `COTERIE_SLOW_SECONDS` | bound on leaders leaving a slow node | 20 | 10 |
//! | `COTERIE_HOT_SECONDS` | bound on splitting a hot range's load between groups | 60 | 30 |
//! | `COTERIE_PAUSE_MS` | bound on a pause by a move when nothing is killed | 2000 | 50 |
//! | `COTERIE_SOAK_SECONDS` | how long connections are fuzzed | 20 | 3600 |
//! | `COTERIE_SOAK_NOISE_MS` | p99 of other clients during it that always passes | 100 | 20 |
//! | `COTERIE_SOAK_REST_MS` | longest rest of an unruly client between two acts | 40 | 40 |
//! | `COTERIE_KILL_ROUNDS` | kills of a leader whose pause is printed | 4 | 20 |
//! | `COTERIE_KILL_MEDIAN_MS` | bound on the median of those pauses | 1800 | 1500 |
//! | `COTERIE_KILL_WORST_MS` | bound on the longest | 4000 | 2500 |
//! | `COTERIE_PLANNED_ROUNDS` | planned restarts whose pause is printed | 6 | 20 |
//! | `COTERIE_RESTART_PAUSE_MS` | bound on the longest of those pauses | 1000 | 300 |
//! | `COTERIE_HOST_ROUNDS` | rounds of SIGTERM to each host under redis-py | 1 | 5 |
//! | `COTERIE_COMPAT_SEQUENCES` | random command sequences held against Redis | 40 | 2000 |
//!
//! A full run takes longer than the default time limit of a test: `--profile full` of nextest
//! raises the limit.
//!
//! The harness is blocking: a test's own thread starts, kills and waits, while the clients of a
//! [`workload`] run on threads of their own.

pub mod binary;
pub mod checker;
pub mod cluster;
pub mod compat;
pub mod connection;
pub mod failing_disk;
pub mod foreign;
pub mod history;
pub mod hosts;
pub mod liar;
pub mod nemesis;
pub mod ports;
pub mod process;
pub mod redis_server;
pub mod reshape;
pub mod resp;
pub mod rng;
pub mod settings;
pub mod skewed_clock;
pub mod skim;
pub mod slow_disk;
pub mod slow_network;
pub mod small_disk;
mod spawn;
pub mod unruly;
pub mod vitals;
pub mod wait;
pub mod workload;

/// The bounds of a page of a walk, for tests and benches that count pages.
pub use coterie_redis_compat::{PAGE_BYTES, PAGE_RECORDS};
