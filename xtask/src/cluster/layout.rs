//! The processes of a cluster: their names, addresses and command lines.
//!
//! The file `cluster.txt` has a line per process: name, address, then its arguments, separated by
//! tabs. The first start writes it, later commands read it, and people may edit it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;

const FILE: &str = "cluster.txt";

/// The number of processes of each role, and the first port.
pub(super) struct Sizes {
    pub(super) metas: u16,
    pub(super) servers: u16,
    pub(super) proxies: u16,
    pub(super) controllers: u16,
    pub(super) base_port: u16,
}

/// A process of the cluster.
pub(super) struct Member {
    /// `meta-1`, `server-2`, `proxy-1`, `controller-1`.
    pub(super) name: String,
    /// Where it listens; a controller's HTTP address.
    pub(super) address: String,
    /// The arguments of `coterie`, its role first.
    pub(super) arguments: Vec<String>,
    /// Its directory: data, `log`, `pid`.
    pub(super) dir: PathBuf,
}

impl Member {
    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    pub(super) fn port(&self) -> &str {
        self.address.rsplit(':').next().unwrap_or_default()
    }
}

/// All processes, in the order in which they are started.
pub(super) struct Layout {
    pub(super) members: Vec<Member>,
}

impl Layout {
    /// Reads the layout written in `dir`.
    pub(super) fn read(dir: &Path) -> Result<Layout> {
        let path = dir.join(FILE);
        let text = fs::read_to_string(&path)
            .map_err(|error| format!("no cluster in {}: {error}", dir.display()))?;
        let mut members = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut fields = line.split('\t').map(str::to_owned);
            let (Some(name), Some(address)) = (fields.next(), fields.next()) else {
                return Err(format!("{}: cannot read `{line}`", path.display()).into());
            };
            let dir = dir.join(&name);
            members.push(Member {
                name,
                address,
                arguments: fields.collect(),
                dir,
            });
        }
        Ok(Layout { members })
    }

    /// Lays a cluster out in `dir`, which must be absolute, and writes it down.
    pub(super) fn new(dir: &Path, sizes: &Sizes) -> Result<Layout> {
        let metas = addresses(sizes.base_port, 100, sizes.metas);
        let mut plan = Plan {
            dir,
            metas: metas.join(","),
            members: Vec::new(),
        };
        let numbered = (1..)
            .zip(&metas)
            .map(|(id, address): (u16, _)| format!("{id}={address}"));
        let peers = numbered.collect::<Vec<_>>().join(",");
        for (id, address) in (1..).zip(&metas) {
            let own = vec![format!("--id={id}"), format!("--peers={peers}")];
            plan.add("meta", id, address, own, &[Common::Listen, Common::Dir]);
        }
        for (number, address) in (1..).zip(&addresses(sizes.base_port, 200, sizes.servers)) {
            let own = vec![format!("--zone=zone-{number}")];
            plan.add(
                "server",
                number,
                address,
                own,
                &[Common::Listen, Common::Meta, Common::Dir],
            );
        }
        for (number, address) in (1..).zip(&addresses(sizes.base_port, 0, sizes.proxies)) {
            plan.add(
                "proxy",
                number,
                address,
                Vec::new(),
                &[Common::Listen, Common::Meta],
            );
        }
        for (number, address) in (1..).zip(&addresses(sizes.base_port, 300, sizes.controllers)) {
            // A controller is reached by HTTP alone.
            let own = vec![format!("--http={address}")];
            plan.add("controller", number, address, own, &[Common::Meta]);
        }
        plan.write()
    }

    /// The processes of `role`.
    pub(super) fn role<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a Member> {
        self.members
            .iter()
            .filter(move |member| member.arguments.first().is_some_and(|r| r == role))
    }

    /// The process called `name`.
    pub(super) fn find(&self, name: &str) -> Result<&Member> {
        self.members
            .iter()
            .find(|member| member.name == name)
            .ok_or_else(|| {
                let names: Vec<&str> = self
                    .members
                    .iter()
                    .map(|member| member.name.as_str())
                    .collect();
                format!("no process `{name}`; there are {}", names.join(", ")).into()
            })
    }
}

/// A flag that several roles have.
#[derive(Clone, Copy)]
enum Common {
    /// `--listen`, and `--http` 50 ports above.
    Listen,
    /// `--meta`
    Meta,
    /// `--dir`
    Dir,
}

/// A layout in the making.
struct Plan<'a> {
    dir: &'a Path,
    metas: String,
    members: Vec<Member>,
}

impl Plan<'_> {
    fn add(&mut self, role: &str, number: u16, address: &str, own: Vec<String>, more: &[Common]) {
        let name = format!("{role}-{number}");
        let dir = self.dir.join(&name);
        let mut arguments = vec![role.to_owned()];
        arguments.extend(own);
        for flag in more {
            match flag {
                Common::Listen => {
                    arguments.push(format!("--listen={address}"));
                    arguments.push(format!("--http={}", above(address)));
                }
                Common::Meta => arguments.push(format!("--meta={}", self.metas)),
                Common::Dir => arguments.push(format!("--dir={}", dir.join("data").display())),
            }
        }
        arguments.push(format!(
            "--cluster-token-file={}",
            self.dir.join("token").display()
        ));
        self.members.push(Member {
            name,
            address: address.to_owned(),
            arguments,
            dir,
        });
    }

    fn write(self) -> Result<Layout> {
        let mut text = "# name, address, arguments of `coterie`; separated by tabs\n".to_owned();
        for Member {
            name,
            address,
            arguments,
            ..
        } in &self.members
        {
            writeln!(text, "{name}\t{address}\t{}", arguments.join("\t"))?;
        }
        fs::write(self.dir.join(FILE), text)?;
        Ok(Layout {
            members: self.members,
        })
    }
}

fn addresses(base: u16, offset: u16, count: u16) -> Vec<String> {
    (1..=count)
        .map(|number| format!("127.0.0.1:{}", base + offset + number))
        .collect()
}

/// Where the HTTP endpoint of a process is: 50 ports above its own.
fn above(address: &str) -> String {
    let port: u16 = address
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .unwrap_or(0);
    format!("127.0.0.1:{}", port + 50)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_is_read_back_as_it_was_written() {
        let dir = std::env::temp_dir().join(format!("coterie-layout-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let sizes = Sizes {
            metas: 3,
            servers: 4,
            proxies: 2,
            controllers: 1,
            base_port: 7000,
        };
        let written = Layout::new(&dir, &sizes).unwrap();
        let read = Layout::read(&dir).unwrap();
        assert_eq!(read.members.len(), 10);
        for (a, b) in written.members.iter().zip(&read.members) {
            assert_eq!(
                (&a.name, &a.address, &a.arguments),
                (&b.name, &b.address, &b.arguments)
            );
        }
        let meta = read.find("meta-2").unwrap();
        assert_eq!(meta.port(), "7102");
        let peers = "--peers=1=127.0.0.1:7101,2=127.0.0.1:7102,3=127.0.0.1:7103".to_owned();
        assert!(meta.arguments.contains(&peers) && meta.arguments.contains(&"--id=2".to_owned()));
        assert_eq!(read.role("proxy").count(), 2);
        assert!(read.find("proxy-3").is_err());
        fs::remove_dir_all(dir).unwrap();
    }
}
