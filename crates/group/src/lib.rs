//! The replicated state machine of one group: a committed entry in, effects out.
