//! Starts child processes so that none outlives the test run.
//!
//! Ordinarily `Drop` ends them. When the test process itself is killed, no `Drop` runs; so children
//! are started through `setpriv --pdeathsig KILL` where it exists (util-linux, on every Debian),
//! which makes the kernel end them. The kernel sends that signal when the *thread* that started the
//! child ends, and test threads end early; so a thread that lives as long as the process starts all
//! children.

use std::ffi::OsString;
use std::io;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};

type Order = (Command, SyncSender<io::Result<Child>>);

/// Starts `command`; the child's pid is the program's.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Sender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, orders) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in orders {
                // The caller's test has ended, so the child has no owner.
                if let Err(std::sync::mpsc::SendError(Ok(mut child))) = answer.send(command.spawn())
                {
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
        });
        sender
    });
    let (answer, spawned) = sync_channel(1);
    let gone = || io::Error::other("the thread that starts processes is gone");
    spawner.send((command, answer)).map_err(|_| gone())?;
    spawned.recv().map_err(|_| gone())?
}

/// A command for `program`, wrapped where possible so that it dies with this process.
pub(crate) fn command(program: impl Into<OsString>) -> Command {
    static SETPRIV: OnceLock<bool> = OnceLock::new();
    let found = *SETPRIV.get_or_init(|| {
        let help = Command::new("setpriv").arg("--help").output();
        help.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains("--pdeathsig"))
    });
    let program = program.into();
    if !found {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    // setpriv replaces itself by the program, so the pid stays.
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}
