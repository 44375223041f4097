//! A setting of `CONFIG`: its name, how it is read, and how it is set.

use bytes::Bytes;

use crate::settings::Settings;
use crate::shared::Shared;

/// Checks a value, and sets it if told so.
pub(super) type SetValue = fn(&Settings, &[u8], bool) -> Result<(), String>;

/// How a setting is set.
#[derive(Clone, Copy)]
pub(super) enum Set {
    To(SetValue),
    /// To its present value, no more: libraries and benchmarks do so with settings that Redis can
    /// change.
    ToTheSame,
    /// To a number in this range, without effect.
    Ignored(i64, i64),
    /// To `yes` or `no`, without effect.
    IgnoredSwitch,
    /// Not at all, nor by Redis.
    Never,
}

/// A setting.
#[derive(Clone, Copy)]
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) get: fn(&Shared) -> Bytes,
    pub(super) set: Set,
}
