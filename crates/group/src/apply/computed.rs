//! Applies effects that the leader has computed by running scripts: all of them, if the state is
//! the state that they were computed over, and none of them else.

use bytes::Bytes;
use coterie_protocol::FrameReply;
use coterie_redis_compat::{Fault, Txn, watch_token_holds};
use coterie_types::UnixMillis;

use super::{PUT_OFF, watch_failed};
use crate::effects::Effects;
use crate::run::resp_of;
use crate::script_effects::{RunFrame, ScriptEffects, Standing};
use crate::sessions::Admission;
use crate::state::GroupState;

impl GroupState {
    /// Frames that have an answer already get it again, and then nothing of the entry is applied:
    /// their effects are part of the changes. The other frames are put off, and their leader runs
    /// them again.
    pub(super) fn apply_effects(
        &mut self,
        computed: ScriptEffects,
        clock: UnixMillis,
        mut txn: Txn<'_>,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        let ScriptEffects {
            standing,
            frames,
            changes,
        } = computed;
        // A later clock may have shown readers that a record has expired that a script has seen.
        let mut is_current = standing == self.standing() && self.clock == clock;
        for frame in &frames {
            let answer = match self.admit(frame) {
                Ok(()) => PUT_OFF,
                Err(answer) => {
                    is_current = false;
                    answer
                }
            };
            effects.replies.push(answer);
        }
        if !is_current {
            return Ok(());
        }
        effects.replies.clear();
        let mut holds = true;
        for watch in frames.iter().flat_map(|frame| &frame.watches) {
            let last_removed = self.last_removed(watch.table, &watch.key);
            let (table, key) = (watch.table, &watch.key);
            holds &= watch_token_holds(&mut txn, table, key, &watch.token, last_removed)?;
        }
        if holds {
            effects.changes = changes;
        }
        for frame in frames {
            let answer = if holds {
                frame.answer
            } else {
                watch_failed(resp_of(frame.flags))
            };
            self.sessions
                .answered(frame.session, frame.seq, answer.clone());
            effects.replies.push(answer);
        }
        Ok(())
    }

    /// The state that effects are computed over now.
    fn standing(&self) -> Standing {
        Standing {
            next_change: self.next_change,
            owned: self.ownership.digest(),
        }
    }

    fn admit(&mut self, frame: &RunFrame) -> Result<(), Bytes> {
        let below = frame.acknowledged_below;
        match self.sessions.admit(frame.session, frame.seq, below) {
            Admission::Apply => Ok(()),
            Admission::Answered(answer) => Err(answer),
            Admission::Refused(refusal) => Err(FrameReply::Refused(refusal).encode()),
        }
    }
}
