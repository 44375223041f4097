//! The settings about users (`rights`).

use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::rights::Rights;
use crate::shared::Shared;

/// `acl-pubsub-default`.
pub(super) fn set_pubsub_default(
    rights: &Rights,
    value: &[u8],
    change: bool,
) -> Result<(), String> {
    let all = match value.to_ascii_lowercase().as_slice() {
        b"allchannels" => true,
        b"resetchannels" => false,
        _ => {
            let words = "argument(s) must be one of the following: allchannels, resetchannels";
            return Err(words.to_owned());
        }
    };
    if change {
        rights.all_channels.store(all, Ordering::Relaxed);
    }
    Ok(())
}

/// See [`set_pubsub_default`].
pub(super) fn pubsub_default(shared: &Shared) -> Bytes {
    let all = shared.rights.all_channels.load(Ordering::Relaxed);
    Bytes::from_static(if all {
        b"allchannels"
    } else {
        b"resetchannels"
    })
}

/// `aclfile`; empty without a file.
pub(super) fn aclfile(shared: &Shared) -> Bytes {
    let file = shared.rights.file.as_ref();
    Bytes::from(file.map_or_else(String::new, |file| file.path().display().to_string()))
}
