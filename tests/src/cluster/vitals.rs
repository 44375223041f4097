//! Memory, descriptors and processor time of the processes of a cluster, by name.

use std::collections::BTreeMap;

use anyhow::Context;

use super::Cluster;
use crate::vitals::{self, Vitals};

impl Cluster {
    /// Reads the vitals of every process. An error if a process does not run.
    pub fn vitals(&self) -> anyhow::Result<BTreeMap<String, Vitals>> {
        let looks = self.pids()?.into_iter().map(|(name, pid)| {
            let look = vitals::of(pid).with_context(|| format!("look at {name}"));
            Ok((name, look?))
        });
        looks.collect()
    }

    /// Resets the memory peaks of all processes.
    pub fn forget_peaks(&self) -> anyhow::Result<()> {
        let mut pids = self.pids()?.into_values();
        pids.try_for_each(vitals::forget_peak)
    }

    /// The pids by name.
    pub fn pids(&self) -> anyhow::Result<BTreeMap<String, u32>> {
        let pids = self.members.iter().map(|member| {
            let (name, pid) = (member.process.name(), member.process.pid());
            Ok((
                name.to_owned(),
                pid.with_context(|| format!("{name} does not run"))?,
            ))
        });
        pids.collect()
    }
}
