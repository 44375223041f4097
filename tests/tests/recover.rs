//! Permanent losses: a majority of a group (`coterie recover`), all of meta with its backups
//! (`coterie meta rebuild`).

use std::time::Duration;

use anyhow::ensure;
use coterie_tests::cluster::{Admin, Cluster, Range, Role};
use coterie_tests::resp::Reply;
use coterie_tests::wait;

/// Time limit for steps that a healthy cluster takes within seconds, even on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);

const KEYS: usize = 300;

fn ok() -> Reply {
    Reply::Simple("OK".to_owned())
}

/// Keys of several ranges.
fn key(number: usize) -> String {
    format!("{number:03}:kept")
}

fn write(cluster: &Cluster, value: &str) -> anyhow::Result<()> {
    let mut client = cluster.connect()?;
    for number in 0..KEYS {
        let reply = client.call(&["SET", &key(number), value])?;
        ensure!(reply == ok(), "SET {number}: {reply:?}");
    }
    Ok(())
}

fn check_all(cluster: &Cluster, value: &str) -> anyhow::Result<()> {
    let mut client = cluster.connect()?;
    for number in 0..KEYS {
        let reply = client.call(&["GET", &key(number)])?;
        let bulk = Reply::Bulk(value.as_bytes().to_vec());
        ensure!(reply == bulk, "GET {number}: {reply:?}");
    }
    Ok(())
}

/// An error unless all groups have three voters in step, and no lost node among them.
fn check_without(admin: &Admin, lost: [u64; 2]) -> anyhow::Result<()> {
    for group in admin.groups()? {
        group.check_caught_up(3)?;
        let voters = group.voters();
        ensure!(!lost.iter().any(|id| voters.contains(id)), "{voters:?}");
    }
    Ok(())
}

/// `coterie recover` reports, for every group, the possible loss and the replica that would be
/// kept.
fn check_told(cluster: &Cluster, kept: u64) {
    let groups = cluster.admin().groups().expect("answers").len();
    let said = wait::until("the loss of all is told", WITHIN, || {
        let (code, said) = cluster.coterie(&["recover"])?;
        let told = said.matches(", would be kept").count();
        ensure!(code == Some(1) && told >= groups, "{code:?}: {said}");
        Ok(said)
    });
    let said = said.expect("told");
    println!("{said}");
    for part in [
        "1 of 3 voters answer, nobody leads",
        &format!("node {kept}: log to entry "),
        "lost: ",
        "would be removed for good",
        "nothing was changed",
    ] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
}

/// Design section 10, "no leader (majority lost)": `coterie recover` shows the possible loss before
/// it acts. Then every group goes on from the data of the surviving node and gets its replicas
/// back. The lost nodes wipe themselves if they return.
#[test]
fn groups_without_a_majority_go_on_from_what_is_left() {
    let mut cluster = Cluster::builder()
        .split_at(&["1", "2"])
        .start()
        .expect("starts");
    cluster.hold_still(WITHIN).expect("balance is off");
    for _ in 0..2 {
        let spare = cluster.add_server(&[]).expect("starts");
        cluster.wait_for_node(&spare, WITHIN).expect("it joins");
    }
    write(&cluster, "before").expect("written");
    // Entries on all three nodes survive the loss of two nodes.
    cluster.wait_until_caught_up(3, WITHIN).expect("caught up");
    let (code, said) = cluster.coterie(&["recover"]).expect("runs");
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "no group needs to be recovered\n")
    );

    let admin = cluster.admin();
    let lost = ["server-1", "server-2"].map(|name| cluster.node_of(name).expect("a node"));
    let kept = cluster.node_of("server-3").expect("a node");
    for name in ["server-1", "server-2"] {
        cluster.process(name).kill();
    }
    check_told(&cluster, kept);
    for id in lost {
        let state = admin.node(id).expect("listed").state;
        assert_ne!(state, "removed", "nothing was changed");
    }

    let (code, said) = cluster
        .coterie(&["recover", "--accept-loss"])
        .expect("runs");
    println!("{said}");
    assert_eq!(code, Some(0), "{said}");
    wait::until("all is there", WITHIN, || check_all(&cluster, "before")).expect("there");
    write(&cluster, "after").expect("written");
    let whole = || check_without(&admin, lost);
    wait::until("every group has three replicas", WITHIN, whole).expect("whole");
    check_all(&cluster, "after").expect("all is there");
    for id in lost {
        assert_eq!(admin.node(id).expect("listed").state, "removed");
    }
    let (code, said) = cluster.coterie(&["recover"]).expect("runs");
    assert_eq!(code, Some(0), "{said}");

    for name in ["server-1", "server-2"] {
        cluster.process(name).start().expect("starts again");
        let addr = cluster.addr(name);
        wait::until("it joins anew, under another number", WITHIN, || {
            let mut nodes = admin.nodes()?.into_iter();
            ensure!(nodes.any(|row| row.addr == addr && row.state == "up"));
            Ok(())
        })
        .expect("joins anew");
    }
    check_all(&cluster, "after").expect("all is there");
    cluster.check().expect("all agree");
}

/// Makes a backup from the servers' copies of the catalog and the state of their groups, restores
/// every member of meta from it, and starts the members.
fn rebuild_meta(cluster: &mut Cluster, metas: &[String]) {
    let backup = cluster.folder().join("rebuilt");
    let backup = backup.to_str().expect("a path in UTF-8");
    let server = cluster.addr("server-1");
    let words = [
        "meta",
        "rebuild",
        "--servers",
        &server,
        "--backup-dir",
        backup,
    ];
    let token = ["--cluster-token", cluster.token()];
    let (code, said) = cluster.run(&[&words[..], &token].concat()).expect("runs");
    println!("{said}");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("from 3 server(s)"), "{said}");
    for (id, name) in (1..).zip(metas) {
        let (id, dir) = (format!("{id}"), cluster.dir(name));
        let dir = dir.to_str().expect("a path in UTF-8");
        let words = [
            "meta",
            "restore",
            "--backup-dir",
            backup,
            "--dir",
            dir,
            "--id",
            &id,
        ];
        let (code, said) = cluster.run(&words).expect("runs");
        assert_eq!(code, Some(0), "{said}");
        cluster.process(name).start().expect("starts");
    }
}

/// Design section 6: without a backup, meta is rebuilt from the groups themselves. Reads and writes
/// go on meanwhile; afterwards the cluster changes as before, and each node keeps its id.
#[test]
fn meta_is_rebuilt_from_what_the_servers_know() {
    let mut cluster = Cluster::builder()
        .split_at(&["1", "2"])
        .start()
        .expect("starts");
    cluster.hold_still(WITHIN).expect("balance is off");
    let admin = cluster.admin();
    admin
        .ask(&["TABLE", "CREATE", "users"])
        .expect("a table is made");
    let job = admin.split("250").expect("begins");
    admin.finish(job, WITHIN).expect("split");
    write(&cluster, "before").expect("written");
    let (ranges, groups) = (admin.ranges().expect("answers"), admin.groups());
    let groups = groups.expect("answers").len();

    let metas = cluster.names(Role::Meta);
    for name in &metas {
        cluster.process(name).kill();
        std::fs::remove_dir_all(cluster.dir(name)).expect("its directory is gone");
    }
    write(&cluster, "without meta").expect("data goes on");
    rebuild_meta(&mut cluster, &metas);

    let nodes: Vec<u64> = (1..=3).collect();
    wait::until("all is known again", WITHIN, || {
        let up = admin.nodes()?.into_iter().filter(|node| node.state == "up");
        let up: Vec<u64> = up.map(|node| node.id).collect();
        ensure!(up == nodes, "{up:?}");
        let bounds = |ranges: &[Range]| -> Vec<_> {
            let of = |range: &Range| (range.id, range.start.clone(), range.group);
            ranges.iter().map(of).collect()
        };
        ensure!(
            bounds(&admin.ranges()?) == bounds(&ranges),
            "the same ranges"
        );
        ensure!(admin.groups()?.len() == groups, "the same groups");
        Ok(())
    })
    .expect("known");
    check_all(&cluster, "without meta").expect("all is there");
    // The cluster changes as before, and a restarted node keeps its id.
    let job = admin.split("150").expect("begins");
    admin.finish(job, WITHIN).expect("split");
    let before = cluster.node_of("server-2").expect("a node");
    cluster.restart("server-2").expect("restarts");
    cluster.wait_until_serving(WITHIN).expect("serves");
    assert_eq!(cluster.node_of("server-2").expect("a node"), before);
    let tables = admin.ask(&["TABLE", "LIST"]).expect("answers");
    let users = format!("{:?}", Reply::Bulk(b"users".to_vec()));
    assert!(format!("{tables:?}").contains(&users), "{tables:?}");
    write(&cluster, "after").expect("written");
    check_all(&cluster, "after").expect("all is there");
    cluster.wait_until_caught_up(3, WITHIN).expect("caught up");
    cluster.check().expect("all agree");
}
