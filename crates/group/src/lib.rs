//! The replicated state machine of a group: a committed entry in, effects out.
//!
//! Pure: no clock, no socket, no disk, no random source. Replicas that apply the same entries reach
//! the same state and return the same effects. Time and chance come with the entry.
//!
//! Invariants: entries apply in log order, each once; a command outside the owned ranges changes
//! nothing; a frame that was applied is never applied again, and a retry gets the first replies.
//! Callers: `server::replica`, which persists the effects and sends the replies.

mod apply;
mod clock;
mod digest;
mod effects;
mod entry;
mod frame;
mod import;
mod land;
mod limits;
mod mem_store;
mod named_keys;
mod ownership;
mod read;
mod run;
mod script_effects;
mod script_state;
mod scripts;
mod sessions;
mod state;
mod store;
mod waiters;

pub use clock::{Agreed, GroupClock};
pub use digest::Tally;
pub use effects::{Effects, is_put_off};
pub use entry::{Body, ChangeAnswer, Elements, Entry, EntryError, Expired, RangeChange, Then};
pub use frame::{ResolvedFrame, resolve_frame};
pub use import::{Arrival, Import, Known, Piece, Pieces, Place, add_element};
pub use limits::Limits;
pub use mem_store::MemStore;
pub use named_keys::{NamedKey, named_keys};
pub use ownership::{Arriving, Ownership};
pub use read::{ReadOutcome, ReadState};
pub use script_effects::{RunFrame, ScriptEffects, Standing};
pub use script_state::{Ended, Rights, ScriptEngine, ScriptState};
pub use scripts::{ScriptRun, ScriptSeat, Slot, has_scripts};
pub use sessions::SESSION_BYTES_MAX;
pub use state::{GroupState, StateError};
pub use store::{Store, StoreChange};
pub use waiters::{Answered, Copy, WaitId, Waiters};
