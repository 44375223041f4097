//! CLIENT LIST as fields.

use std::collections::HashMap;

use super::Client;

/// The fields of a client's line.
pub(crate) type Fields = HashMap<String, String>;

/// The fields of each client, `observer` included.
pub(crate) async fn listed(observer: &mut Client) -> Vec<Fields> {
    let listed = observer.run("CLIENT LIST").await;
    let lines = listed.lines().filter(|line| line.starts_with("id="));
    let fields = lines.map(|line| {
        let fields = line.split(' ').filter_map(|field| field.split_once('='));
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        fields.collect()
    });
    fields.collect()
}
