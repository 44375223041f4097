//! Documents that list what a running cluster shows: `docs/metrics.md` names every metric.

use std::collections::BTreeSet;
use std::fs;

use coterie_tests::cluster::Cluster;

#[test]
fn every_metric_is_in_its_document() -> anyhow::Result<()> {
    let cluster = Cluster::builder().start()?;
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
