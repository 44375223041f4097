//! `cargo xtask cluster`: a cluster of separate processes on loopback, to inspect and to break.
//!
//! The folder of a cluster (`--dir`, default `target/cluster` of the repository) holds a directory
//! per process with its data, its `log` and its `pid`; `cluster.txt` with the command line of each
//! process; `token` with the cluster token. Ports are fixed, so that notes and shell history stay
//! true. The processes outlive this command: `stop` ends them, `start` starts those that do not
//! run.

mod layout;
mod probe;
mod process;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use layout::{Layout, Member};
use process::Liveness;

use crate::flags::Flags;
use crate::{Result, cargo, paths, setup};

const HELP: &str = "\
Usage: cargo xtask cluster <command> [NAME] [flags]

  start             start the cluster, or what of it is not running
  stop              end it in order: every process drains and exits
  status            each process, its address, whether it runs
  kill NAME         SIGKILL, as when the machine dies
  restart NAME      start it again with its directory, after SIGTERM if it runs
  pause NAME        SIGSTOP: alive, but it does nothing
  resume NAME       SIGCONT

  --dir D           where everything is kept (default target/cluster)
  --metas 3 --servers 3 --proxies 2 --controllers 2
                    how many; read by the first start, written to cluster.txt
  --base-port 7000  proxies from 7001, metas 7101, servers 7201, controllers 7301 (HTTP);
                    the HTTP endpoints of the first three 50 above
  --release         the optimized binary";

/// Runs one of the subcommands.
pub(crate) fn run(args: &[String]) -> Result {
    let mut flags = Flags::new(args);
    let command = flags.word().unwrap_or_else(|| "help".to_owned());
    let default = paths::root().join("target/cluster");
    let dir = PathBuf::from(flags.value("--dir", default.to_string_lossy().into_owned())?);
    match command.as_str() {
        "start" => start(&dir, flags),
        "stop" => {
            flags.done()?;
            stop(&dir)
        }
        "status" => {
            flags.done()?;
            status(&Layout::read(&dir)?);
            Ok(())
        }
        "kill" | "restart" | "pause" | "resume" => {
            let name = flags
                .word()
                .ok_or_else(|| format!("{command} needs a name"))?;
            flags.done()?;
            one(&dir, &command, &name)
        }
        "help" => {
            println!("{HELP}");
            Ok(())
        }
        other => Err(format!("no cluster command `{other}`\n\n{HELP}").into()),
    }
}

fn start(dir: &Path, mut flags: Flags) -> Result {
    let release = flags.switch("--release");
    let sizes = layout::Sizes {
        metas: flags.value("--metas", 3)?,
        servers: flags.value("--servers", 3)?,
        proxies: flags.value("--proxies", 2)?,
        controllers: flags.value("--controllers", 2)?,
        base_port: flags.value("--base-port", 7000)?,
    };
    flags.done()?;
    setup::native()?;
    let binary = paths::binary(cargo::build_binary(release)?)?;

    fs::create_dir_all(dir)?;
    let dir = dir.canonicalize()?;
    write_token(&dir)?;
    let layout = match Layout::read(&dir) {
        Ok(layout) => layout,
        Err(_) => Layout::new(&dir, &sizes)?,
    };
    for member in &layout.members {
        if process::state(member) == Liveness::Stopped {
            process::start(member, &binary)?;
        }
    }
    probe::wait_until_served(&layout)?;
    status(&layout);
    println!("\nThe cluster serves. Type:\n");
    for proxy in layout.role("proxy") {
        println!("  redis-cli -p {}", proxy.port());
    }
    Ok(())
}

fn stop(dir: &Path) -> Result {
    let layout = Layout::read(dir)?;
    // In the reverse order of the start: a process stops before the processes that it calls.
    for member in layout.members.iter().rev() {
        process::stop(member)?;
    }
    println!("stopped; the data is kept in {}", dir.display());
    Ok(())
}

fn one(dir: &Path, command: &str, name: &str) -> Result {
    let layout = Layout::read(dir)?;
    let member = layout.find(name)?;
    match command {
        "kill" => process::signal(member, "KILL")?,
        "pause" => process::signal(member, "STOP")?,
        "resume" => process::signal(member, "CONT")?,
        _ => {
            let binary = process::binary(member)?;
            process::stop(member)?;
            process::start(member, &binary)?;
        }
    }
    println!("{name}: {command}");
    Ok(())
}

fn status(layout: &Layout) {
    for member in &layout.members {
        let Member { name, address, .. } = member;
        println!(
            "{name:<14} {address:<18} {:<10} {}",
            process::state(member),
            member.log().display()
        );
    }
}

/// The token is made once; every reader of the folder may join the cluster.
fn write_token(dir: &Path) -> Result {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = dir.join("token");
    if path.exists() {
        return Ok(());
    }
    let mut bytes = [0_u8; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    Ok(std::io::Write::write_all(&mut file, token.as_bytes())?)
}
