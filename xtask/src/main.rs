//! Developer commands: `cargo xtask dev | test | ci | fix | tidy | codegen | cluster | …`.
//!
//! Needs nothing but cargo: it has no dependencies, so it builds in seconds on a bare machine and
//! can then install the programs that the other commands need. Each command is one file; they share
//! `shell` (run a program, fail on its failure), `paths` (directories and binaries), `cargo` (cargo
//! with the prebuilt RocksDB) and `setup` (install missing programs).
//!
//! Rules: `ci` never writes to the tree, `fix` does. A command prints the programs that it installs
//! and the checks that it skips because it could not install them.

use std::process::ExitCode;

mod bench;
mod cargo;
mod ci;
mod cluster;
mod codegen;
mod deny;
mod dev;
mod error;
mod fix;
mod flags;
mod paths;
mod rocksdb;
mod setup;
mod shell;
mod suite;
mod test;
mod tidy;

use self::error::Result;

const HELP: &str = "\
Usage: cargo xtask <command> [arguments]

  dev [--debug] [ARGS]     a whole cluster in one process: `coterie dev ARGS`
  test [ARGS]              every test of the workspace, doc tests too; ARGS go to the runner
  ci                       what CI runs: fmt, tidy, deny, clippy, docs, tests; writes nothing
  fix                      rustfmt, clippy --fix, generated files, the lists of tidy
  tidy [--shrink|--accept] sizes, words, comments, layers, purity and links of the tree; lowers the
                           counts in its lists, or writes them as they are
  deny                     licences and sources of the dependencies
  codegen                  docs/COMPAT.md and the other files made from the code
  cluster <start|stop|status|kill|restart|pause|resume>
                           a cluster of processes on loopback; `cluster help` says more
  bench [cluster|replies|types|pubsub|move|micro] [ARGS]
                           speed: beside other stores in one run, of large replies, or of functions
  suite [-q] [ARGS]        Redis' own Tcl suite, `-q` the units that take seconds; ARGS go to
                           redis-compat/tcl/run.sh
  setup                    install what the commands above need, and nothing else

Each command installs what it needs and misses. Caches are in ${XDG_CACHE_HOME:-~/.cache}/coterie.";

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let command = if args.is_empty() {
        "help".to_owned()
    } else {
        args.remove(0)
    };
    let done = match command.as_str() {
        "dev" => dev::run(args),
        "test" => test::run(&args),
        "ci" => ci::run(),
        "fix" => fix::run(),
        "tidy" => tidy::run(&args),
        "deny" => deny::run(),
        "codegen" => codegen::run(),
        "cluster" => cluster::run(&args),
        "bench" => bench::run(&args),
        "suite" => suite::run(args),
        "setup" => setup::everything(),
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(())
        }
        other => Err(format!("no command `{other}`\n\n{HELP}").into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
