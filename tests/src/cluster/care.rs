//! An operator's work on the processes of a cluster: adds a server, restarts all processes in turn,
//! runs `coterie check`.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::{Cluster, Role};
use crate::wait;

/// Time limit for the end of a process after SIGTERM: more than its own drain timeout.
const DRAIN: Duration = Duration::from_secs(60);

/// Bound on `coterie check`, in seconds as `timeout` takes them.
const CHECK_SECONDS: &str = "120";

impl Cluster {
    /// Starts a further server with `flags` besides those of all servers; returns its name.
    pub fn add_server(&mut self, flags: &[&str]) -> anyhow::Result<String> {
        let number = self.names(Role::Server).len() + 1;
        let mut member = self.plan.member(Role::Server, number, self.folder.path())?;
        let mut args = self.plan.args(&member, &self.members);
        args.extend(flags.iter().map(|&flag| flag.to_owned()));
        member.process.set_args(args);
        member.process.start()?;
        let name = member.process.name().to_owned();
        self.members.push(member);
        Ok(name)
    }

    /// Turns off moves for balance: then only the test's own orders and repairs change the cluster.
    pub fn hold_still(&self, within: Duration) -> anyhow::Result<()> {
        self.admin().persist(within, |admin| admin.balance(false))
    }

    /// Waits until meta knows a server and has its first report; returns its node id.
    pub fn wait_for_node(&self, server: &str, within: Duration) -> anyhow::Result<u64> {
        wait::until(&format!("{server} joins"), within, || {
            let node = self.node_of(server)?;
            let heard = self.admin().node(node)?.replicas.is_some();
            ensure!(heard, "node {node} was not heard");
            Ok(node)
        })
    }

    /// Sends SIGTERM, waits for the exit with status 0, and starts the process again.
    pub fn restart_gently(&mut self, name: &str) -> anyhow::Result<()> {
        let status = self.process(name).terminate(DRAIN)?;
        ensure!(status.success(), "{name} ended with {status}");
        self.process(name).start()
    }

    /// Restarts all processes of some roles in turn. Before each further restart every range must
    /// serve again, and every group must have a running leader and three voters in step.
    pub fn roll(&mut self, roles: &[Role], within: Duration) -> anyhow::Result<()> {
        let names: Vec<String> = roles.iter().flat_map(|&role| self.names(role)).collect();
        for name in names {
            self.restart_gently(&name)?;
            let back = format!("after the restart of {name}");
            self.wait_until_serving(within).context(back.clone())?;
            self.wait_for_leaders(within).context(back.clone())?;
            self.wait_until_caught_up(3, within).context(back)?;
        }
        Ok(())
    }

    /// Waits until every group has exactly `voters` voters, all up to date, and no learner.
    pub fn wait_until_caught_up(&self, voters: usize, within: Duration) -> anyhow::Result<()> {
        wait::until("every group's voters are up to date", within, || {
            let groups = self.admin().groups()?;
            ensure!(!groups.is_empty(), "there is no group");
            groups.iter().try_for_each(|g| g.check_caught_up(voters))
        })
    }

    /// Runs `coterie check`: ranges tile, each has one owner, replicas agree. An error has its
    /// output.
    pub fn check(&self) -> anyhow::Result<()> {
        let (code, said) = self.coterie(&["check"])?;
        ensure!(
            code == Some(0),
            "coterie check ended with {code:?}:\n{said}"
        );
        Ok(())
    }

    /// Runs a command of the binary that needs the addresses of the metas; returns its exit code
    /// and its output.
    pub fn coterie(&self, words: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
        let metas = self.names(Role::Meta);
        let metas: Vec<String> = metas.iter().map(|name| self.addr(name)).collect();
        let metas = metas.join(",");
        let meta = ["--meta", &metas, "--cluster-token", self.token()];
        self.run(&[words, &meta].concat())
    }

    /// Runs the binary with exactly these arguments; returns its exit code and its output.
    pub fn run(&self, words: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
        let output = Command::new("timeout")
            .args([CHECK_SECONDS])
            .arg(self.plan.binary_path()?)
            .args(words)
            .output()
            .with_context(|| format!("run coterie {words:?}"))?;
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = said(&output.stdout) + &said(&output.stderr);
        Ok((output.status.code(), said))
    }
}
