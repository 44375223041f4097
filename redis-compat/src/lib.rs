//! What Redis means: commands, arguments, replies, errors.
