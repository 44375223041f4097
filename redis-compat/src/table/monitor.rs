//! The row of MONITOR.

use crate::Flags as F;
use crate::command::{Command, Part, Topic, command};

pub(super) const PART: Part = Part::new(ROWS, &[]);

const ROWS: &[Command] = &[command(Topic::Server, "monitor")
    .syntax("[ALL]")
    .flags(F::ADMINISTERS)
    .docs(
        "1.0.0",
        "O(1) for every command that is shown",
        "Shows the commands of all clients as they come.",
    )
    .deviation(
        "It shows the clients of this proxy; `MONITOR ALL` shows those of all proxies. Each line \
        has the time of its proxy.",
    )];
