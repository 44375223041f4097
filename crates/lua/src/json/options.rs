//! The options of `cjson`.

/// Tables are nested at most that deep, whatever a script allows.
pub(super) const HARD_DEPTH: i32 = 1_000;

/// The options of a module table. Scripts change them for all later scripts, as in Redis.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) sparse_convert: bool,
    pub(super) sparse_ratio: i32,
    pub(super) sparse_safe: i32,
    pub(super) encode_depth: i32,
    pub(super) decode_depth: i32,
    /// 0: refused, 1: written, 2: written as null.
    pub(super) encode_invalid: i32,
    pub(super) decode_invalid: bool,
    pub(super) precision: i32,
    /// Remembered for the script that asks; a buffer is not kept.
    pub(super) keep_buffer: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sparse_convert: false,
            sparse_ratio: 2,
            sparse_safe: 10,
            encode_depth: 1_000,
            decode_depth: 1_000,
            encode_invalid: 0,
            decode_invalid: true,
            precision: 14,
            keep_buffer: true,
        }
    }
}
