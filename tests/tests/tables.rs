//! Tables that users create: they share the existing groups, and a dropped table leaves no keys
//! behind.

use std::time::Duration;

use anyhow::ensure;
use coterie_tests::cluster::{Cluster, Role};
use coterie_tests::connection::Connection;
use coterie_tests::resp::Reply;
use coterie_tests::wait;

/// Time limit for steps that a healthy cluster takes within seconds, even on a busy machine.
const WITHIN: Duration = Duration::from_secs(90);

#[test]
fn a_table_made_again_under_the_name_of_a_dropped_one_is_empty() {
    let mut cluster = Cluster::builder().start().expect("starts");
    let groups = rows(&cluster, "GROUPS").expect("answers").len();
    for round in 0..3 {
        let created = call(&cluster, &["COTERIE", "TABLE", "CREATE", "users"]);
        let id = created.expect("answers").text().expect("its id");
        wait_until_served(&cluster, &format!("round {round}, table {id}"));
        let mut client = select(&cluster).expect("selects");
        assert_eq!(
            client.call(&["DBSIZE"]).expect("answers"),
            Reply::Integer(0)
        );
        for number in 0..200 {
            let key = format!("key:{number}");
            client
                .send(&["SET", &key, "x", "PX", "3600000"])
                .expect("sends");
        }
        for _ in 0..200 {
            assert_eq!(client.receive().expect("answers"), ok());
        }
        assert_eq!(
            client.call(&["DBSIZE"]).expect("answers"),
            Reply::Integer(200)
        );
        assert_eq!(
            rows(&cluster, "GROUPS").expect("answers").len(),
            groups,
            "a table needs no group"
        );
        let dropped = call(&cluster, &["COTERIE", "TABLE", "DROP", "users"]);
        assert_eq!(dropped.expect("answers"), ok());
        wait::until("the group has removed it", WITHIN, || {
            let done = jobs(&cluster, "drop-table", "done")?;
            ensure!(done == round + 1, "{done} done");
            Ok(())
        })
        .expect("removed");
        if round == 1 {
            // After the restart the servers apply the changes of the tables from their logs again.
            for name in cluster.names(Role::Server) {
                cluster.restart(&name).expect("starts again");
            }
            cluster.wait_until_serving(WITHIN).expect("serves again");
        }
    }
}

/// `COTERIE TABLE CREATE name SPLIT key ...`: the table is split from the start.
#[test]
fn a_table_is_made_with_its_boundaries() {
    let cluster = Cluster::builder().start().expect("starts");
    let words = ["COTERIE", "TABLE", "CREATE", "users", "SPLIT", "g", "p"];
    call(&cluster, &words).expect("made");
    wait_until_served(&cluster, "a table that is cut");
    let ranges = call(&cluster, &["COTERIE", "RANGES", "users"]).expect("answers");
    let bound = |range: &Reply, name: &str| range.field(name).and_then(Reply::text);
    let bounds: Vec<_> = ranges
        .elements()
        .iter()
        .map(|range| (bound(range, "start"), bound(range, "end")))
        .collect();
    let key = |key: &str| Some(key.to_owned());
    let wanted = [(key(""), key("g")), (key("g"), key("p")), (key("p"), None)];
    assert_eq!(bounds, wanted);
    let mut client = select(&cluster).expect("selects");
    for key in ["a", "g", "o", "p", "z"] {
        assert_eq!(client.call(&["SET", key, key]).expect("answers"), ok());
    }
    let all = client.call(&["DBSIZE"]).expect("answers");
    assert_eq!(all, Reply::Integer(5));
}

fn wait_until_served(cluster: &Cluster, context: &str) {
    wait::until("the new table is served", WITHIN, || {
        let reply = select(cluster)?.call(&["GET", "key:1"])?;
        ensure!(reply == Reply::Null, "{reply:?}");
        Ok(())
    })
    .expect(context);
}

/// Opens a connection that has selected the table.
fn select(cluster: &Cluster) -> anyhow::Result<Connection> {
    let mut client = cluster.connect()?;
    let reply = client.call(&["SELECT", "users"])?;
    ensure!(reply == ok(), "{reply:?}");
    Ok(client)
}

fn jobs(cluster: &Cluster, kind: &str, state: &str) -> anyhow::Result<usize> {
    let is = |job: &&Reply, field, wanted: &str| {
        job.field(field).and_then(Reply::text).as_deref() == Some(wanted)
    };
    let jobs = rows(cluster, "JOBS")?;
    let of_kind = jobs.iter().filter(|job| is(job, "kind", kind));
    Ok(of_kind.filter(|job| is(job, "state", state)).count())
}

fn rows(cluster: &Cluster, subcommand: &str) -> anyhow::Result<Vec<Reply>> {
    Ok(call(cluster, &["COTERIE", subcommand])?.elements().to_vec())
}

fn call(cluster: &Cluster, words: &[&str]) -> anyhow::Result<Reply> {
    let reply = cluster.connect()?.call(words)?;
    ensure!(!matches!(reply, Reply::Error(_)), "{words:?}: {reply:?}");
    Ok(reply)
}

fn ok() -> Reply {
    Reply::Simple("OK".to_owned())
}
