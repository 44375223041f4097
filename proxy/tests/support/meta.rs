//! Meta as the proxy sees it: serves the catalog of a [`Cluster`], and applies changes to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_protocol::catalog::{JobDescriptor, JobState, Row, RowKey, TableDescriptor};
use coterie_protocol::meta::{Command, MetaAnswer, MetaRequest, Outcome, Rejection};
use coterie_protocol::objects::{Expected, ObjectChange};
use coterie_protocol::proxies::ProxyReport;
use coterie_protocol::{decode, encode};
use coterie_rpc::{Handler, Request, Responder};
use coterie_types::{JobId, TableId, UnixMillis};

use super::cluster::Cluster;

/// See the module's head.
pub(super) struct Meta(pub(super) Arc<Cluster>);

impl Handler for Meta {
    fn handle(&self, request: Request, responder: Responder) {
        let cluster = Arc::clone(&self.0);
        match decode(&request.body).expect("decodes") {
            MetaRequest::Watch { after, wait_ms } => {
                let mut catalog = cluster.catalog.subscribe();
                let mut late = cluster.copies_wait.subscribe();
                tokio::spawn(async move {
                    let answer = {
                        let newer = catalog.wait_for(|catalog| catalog.revision > after);
                        let wait = Duration::from_millis(wait_ms);
                        match tokio::time::timeout(wait, newer).await {
                            Ok(Ok(catalog)) => MetaAnswer::Catalog(Box::new(catalog.clone())),
                            _ => MetaAnswer::Changes(Vec::new()),
                        }
                    };
                    let _ = late.wait_for(|late| !late).await;
                    responder.send(encode(&answer));
                });
            }
            MetaRequest::Liveness => {
                let answer = MetaAnswer::Liveness {
                    nodes: cluster.heard.lock().unwrap().clone(),
                    leader_for_ms: 0,
                };
                responder.send(encode(&answer));
            }
            MetaRequest::Read if cluster.refuses() => responder.fail("meta is away"),
            MetaRequest::Read => {
                let answer = MetaAnswer::Catalog(Box::new(cluster.catalog.borrow().clone()));
                responder.send(encode(&answer));
            }
            MetaRequest::Propose(command) => {
                let outcome = cluster.change(command);
                responder.send(encode(&MetaAnswer::Applied(outcome)));
            }
            MetaRequest::Proxy { report, leaves } => {
                responder.send(encode(&cluster.hear(report, leaves)));
            }
            other => responder.fail(&format!("not in this test: {other:?}")),
        }
    }
}

impl Cluster {
    fn refuses(&self) -> bool {
        let mut away = self.meta_away.lock().unwrap();
        let refuses = away.0.is_some_and(|until| Instant::now() < until);
        away.1 += usize::from(refuses);
        refuses
    }

    /// As meta's leader does (`meta/src/service/proxies.rs`), with proxies that never expire.
    fn hear(&self, report: ProxyReport, leaves: bool) -> MetaAnswer {
        let mut proxies = self.proxies.lock().unwrap();
        if leaves {
            proxies.remove(&report.id);
        } else {
            proxies.insert(report.id.clone(), report);
        }
        MetaAnswer::Proxies {
            reports: proxies.values().cloned().collect(),
            is_complete: true,
        }
    }

    fn change_objects(&self, expected: &[Expected], changes: Vec<ObjectChange>) -> Outcome {
        let objects = self.catalog.borrow().objects.clone();
        let holds = |wanted: &Expected| objects.get(&wanted.object) == wanted.value.as_ref();
        if !expected.iter().all(holds) {
            return Outcome::Rejected(Rejection::Changed);
        }
        for change in changes {
            match change {
                ObjectChange::Put(name, value) => self.publish(vec![Row::Object(name, value)]),
                ObjectChange::Delete(name) => {
                    self.change_rows(Vec::new(), vec![RowKey::Object(name)]);
                }
                ObjectChange::Clear(kind) => {
                    let objects = self.catalog.borrow().objects.clone();
                    let all = objects.into_keys().filter(|name| name.kind == kind);
                    self.change_rows(Vec::new(), all.map(RowKey::Object).collect());
                }
            }
        }
        let revision = self.catalog.borrow().revision;
        Outcome::Done { revision }
    }

    fn change(&self, command: Command) -> Outcome {
        match command {
            Command::PutSetting { name, value } => {
                let (mut upserts, mut deletes) = (Vec::new(), Vec::new());
                match value {
                    Some(value) => upserts.push(Row::Setting(name, value)),
                    None => deletes.push(RowKey::Setting(name)),
                }
                self.change_rows(upserts, deletes);
                let revision = self.catalog.borrow().revision;
                Outcome::Done { revision }
            }
            Command::Ask { wish, .. } => {
                let mut wishes = self.wishes.lock().unwrap();
                let job_id = JobId(wishes.len() as u64 + 1);
                self.publish(vec![Row::Job(JobDescriptor {
                    job_id,
                    kind: "wish".to_owned(),
                    step: Bytes::new(),
                    wish: Some(wish.clone()),
                    progress: None,
                    effect: None,
                    state: JobState::Running,
                    log: vec!["asked for by an operator".to_owned()],
                    started_at: UnixMillis(1),
                })]);
                wishes.push(wish);
                Outcome::Job(job_id)
            }
            Command::CreateTable { name, split_at } => {
                let table_id = TableId(100);
                let table = TableDescriptor {
                    table_id,
                    name,
                    split_at,
                };
                self.publish(vec![Row::Table(table.clone())]);
                Outcome::Table(table)
            }
            Command::PutObjects { expected, changes } => self.change_objects(&expected, changes),
            other => Outcome::Rejected(Rejection::Invalid(format!("{other:?}"))),
        }
    }
}
