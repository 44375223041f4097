//! A setting of `CONFIG`: its name, how it is read, and how it is set.

use bytes::Bytes;

use super::super::config_cluster::Shown;
use super::super::config_tls::Field;
use crate::rights::Rights;
use crate::settings::Settings;
use crate::shared::Shared;

/// Checks a value, and sets it if told so.
pub(super) type SetValue = fn(&Settings, &[u8], bool) -> Result<(), String>;

/// Likewise, for a setting about users.
pub(super) type SetRight = fn(&Rights, &[u8], bool) -> Result<(), String>;

/// How a setting is set.
#[derive(Clone, Copy)]
pub(super) enum Set {
    To(SetValue),
    OfRights(SetRight),
    /// To its present value, no more: libraries and benchmarks do so with settings that Redis can
    /// change.
    ToTheSame,
    /// To a number from 0 on, for all proxies and nodes: meta keeps it.
    OfCluster,
    /// The password of the default user, which all proxies share.
    Requirepass,
    /// Together with the other settings of TLS.
    Tls(Field),
    /// In the whole cluster, to the value in the form in which it is shown.
    Cluster(Shown),
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
