//! Rows of Coterie's own commands: the administrator's `COTERIE`, and the internal commands by
//! which the proxy asks groups. The names of the latter begin with `_`; they are refused to
//! clients.

use crate::command::{Command, Part, Topic, command};
use crate::{Categories as C, Flags as F};

pub(super) const PART: Part = Part::new(ROWS, &[]);

const ROWS: &[Command] = &[command(Topic::Coterie, "coterie")
    .syntax("subcommand [arg ...]")
    .flags(F::ADMINISTERS)
    .categories(C::ADMIN)
    .docs(
        "0.1.0",
        "O(n), n being what is listed",
        "Administers the cluster: nodes, groups, ranges, jobs, settings.",
    )];
