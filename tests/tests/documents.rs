//! Documents that list what a running cluster shows: `docs/metrics.md` names every metric.

use std::collections::BTreeSet;
use std::fs;

use coterie_certificates::Authority;
use coterie_tests::cluster::{Cluster, Role};

#[test]
fn every_metric_is_in_its_document() -> anyhow::Result<()> {
    let authority = Authority::new("all");
    let own = authority.sign(&["coterie"]);
    let (cert, key, ca) = (own.cert.display(), own.key.display(), authority.ca());
    let between = [
        format!("--cluster-tls-cert-file={cert}"),
        format!("--cluster-tls-key-file={key}"),
        format!("--cluster-tls-ca-file={}", ca.display()),
    ];
    let for_clients = [
        "--tls-listen=127.0.0.1:0".to_owned(),
        "--tls-auth-clients=no".to_owned(),
        format!("--tls-cert-file={cert}"),
        format!("--tls-key-file={key}"),
    ];
    let mut builder = Cluster::builder();
    for role in Role::ALL {
        builder = builder.flags(role, &between.each_ref().map(String::as_str));
    }
    let cluster = builder
        .flags(Role::Proxy, &for_clients.each_ref().map(String::as_str))
        .start()?;
    let mut shown = BTreeSet::new();
    for process in cluster.all_names() {
        shown.extend(cluster.metrics(&process)?.names().iter().cloned());
    }
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md"))?;
    // Each stands in the first cell of a row.
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let names = rows.map(|(name, _)| name.to_owned());
    let documented: BTreeSet<String> = names.filter(|name| name.starts_with("coterie_")).collect();
    assert_eq!(documented, shown);
    Ok(())
}
