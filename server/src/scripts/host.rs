//! The side of a script that touches the group: its commands, and the reasons to end it.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use coterie_group::ScriptState;
use coterie_lua::{Host, Level, Resp, Stop, UnknownCommand};
use coterie_protocol::Refusal;
use coterie_redis_compat::{self as compat, Reply};

use super::Running;

/// How often the caller of a script is looked at.
const LOOK_PERIOD: Duration = Duration::from_millis(20);

/// The callers of scripts.
pub(crate) trait Watch {
    /// From here on scripts of this frame run.
    fn begin_frame(&mut self, _frame: usize) {}

    /// Why the frame is to end, if so. Asked while a script runs, every few milliseconds.
    fn look(&mut self) -> Option<Refusal>;
}

/// See the module's head.
pub(super) struct ScriptHost<'a, 's, 'v> {
    pub(super) state: &'a mut ScriptState<'s, 'v>,
    running: &'a Running,
    watch: &'a mut dyn Watch,
    looked_at: Instant,
}

impl<'a, 's, 'v> ScriptHost<'a, 's, 'v> {
    pub(super) fn new(
        state: &'a mut ScriptState<'s, 'v>,
        running: &'a Running,
        watch: &'a mut dyn Watch,
    ) -> Self {
        Self {
            state,
            running,
            watch,
            looked_at: Instant::now(),
        }
    }
}

impl Host for ScriptHost<'_, '_, '_> {
    fn call(&mut self, args: Vec<Bytes>, resp: Resp) -> Bytes {
        let mut out = BytesMut::new();
        let resp = match resp {
            Resp::V2 => compat::Resp::V2,
            Resp::V3 => compat::Resp::V3,
        };
        if let Err(stop) = self.may_go_on() {
            // The script notices it itself a few instructions later.
            let line = match stop {
                Stop::Killed => "ERR the script was ended".to_owned(),
                Stop::Error(line) => line,
            };
            Reply::Error(line.into()).encode(resp, &mut out);
        } else {
            self.state.call(args, resp, &mut out);
        }
        out.freeze()
    }

    fn log(&mut self, level: Level, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        match level {
            Level::Debug => tracing::debug!(target: "coterie_script", "{text}"),
            Level::Verbose | Level::Notice => tracing::info!(target: "coterie_script", "{text}"),
            Level::Warning => tracing::warn!(target: "coterie_script", "{text}"),
        }
    }

    fn acl_check(&mut self, args: &[Bytes]) -> Result<bool, UnknownCommand> {
        self.state.may_call(args).ok_or(UnknownCommand)
    }

    fn may_go_on(&mut self) -> Result<(), Stop> {
        if self.running.is_killed() {
            return Err(Stop::Killed);
        }
        if self.looked_at.elapsed() >= LOOK_PERIOD {
            if let Some(refusal) = self.watch.look() {
                self.state.stop(refusal);
            }
            self.looked_at = Instant::now();
        }
        if self.state.is_stopped() {
            return Err(Stop::Error("TRYAGAIN the script was ended".to_owned()));
        }
        Ok(())
    }
}
