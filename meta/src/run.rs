//! A running member: opens its directory, starts its group, listens, and stops in order.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use coterie_protocol::catalog::Catalog;
use coterie_protocol::meta::MetaAnswer;
use coterie_protocol::{encode, method};
use coterie_raft::{AddressBook, Group, RaftNode};
use coterie_rpc::{Client, Handler, Request, Responder, Server, Token};
use coterie_types::{GroupId, NodeId};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::backup::Writer;
use crate::birth;
use crate::config::Config;
use crate::directory::Directory;
use crate::error::RunError;
use crate::held::Held;
use crate::machine::Machine;
use crate::service::{Front, Service};

/// Meta's own Raft group.
const GROUP: GroupId = GroupId(0);

/// The members and where they listen.
pub(crate) struct Members {
    own: NodeId,
    addrs: BTreeMap<NodeId, String>,
}

impl Members {
    pub(crate) fn own_id(&self) -> NodeId {
        self.own
    }

    pub(crate) fn addr(&self, member: NodeId) -> Option<String> {
        self.addrs.get(&member).cloned()
    }
}

impl AddressBook for Members {
    fn address(&self, node: NodeId) -> Option<String> {
        self.addr(node)
    }
}

/// A member that runs in this process.
pub struct Handle {
    /// Where it listens.
    pub addr: SocketAddr,
    own_addr: String,
    rpc: Client,
    server: Server,
    raft: Arc<RaftNode>,
    group: Group,
    held: Arc<Held>,
    /// The first word of a shutdown, and the last.
    stopping: CancellationToken,
    stop: CancellationToken,
    failed: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// Runs a member until `shutdown`, or until it cannot go on.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), RunError> {
    let handle = start(config).await?;
    let failed = handle.failed.clone();
    tokio::select! {
        () = shutdown.cancelled() => info!("meta member stops"),
        () = failed.cancelled() => error!("meta member cannot go on"),
    }
    handle.shutdown().await;
    if failed.is_cancelled() {
        return Err(RunError::Config(
            "the member cannot go on; the reason is in the log".to_owned(),
        ));
    }
    Ok(())
}

/// Starts a member.
pub async fn start(config: Config) -> Result<Handle, RunError> {
    let token = Token::new(config.cluster_token.secret()?);
    start_with(config, Client::new(token)).await
}

/// Starts a member that calls others through `rpc`, and is called through it by the other roles of
/// this process.
pub async fn start_with(config: Config, rpc: Client) -> Result<Handle, RunError> {
    config.check().map_err(RunError::Config)?;
    let token = Token::new(config.cluster_token.secret()?);
    let mut directory = Directory::open(&config.dir, config.id)?;
    let first = birth::first_command(&directory)?;
    let (machine, held) = Machine::open(directory.state())?;
    let own = NodeId(config.id);
    let door = Arc::new(Door::default());
    let server = Server::bind(&config.listen, token, Arc::clone(&door) as Arc<dyn Handler>)
        .await
        .map_err(|source| RunError::Listen {
            addr: config.listen.clone(),
            source,
        })?;
    let addr = server.local_addr();
    let mut addrs: BTreeMap<NodeId, String> = config
        .peers
        .iter()
        .map(|peer| (NodeId(peer.id), peer.addr.clone()))
        .collect();
    let own_addr = addrs.entry(own).or_insert_with(|| addr.to_string()).clone();
    let members = Arc::new(Members { own, addrs });
    let voters: Vec<NodeId> = members.addrs.keys().copied().collect();

    let raft = RaftNode::open(
        &directory.raft(),
        own,
        config.raft.clone(),
        rpc.clone(),
        Arc::clone(&members) as Arc<dyn AddressBook>,
    )
    .await?;
    let group = raft.start_group(GROUP, Box::new(machine)).await?;
    let (stopping, stop, failed) =
        <(CancellationToken, CancellationToken, CancellationToken)>::default();
    let service = Service::new(
        Arc::clone(&raft),
        group.clone(),
        Arc::clone(&held),
        Arc::clone(&members),
        stopping.clone(),
    );
    let front: Arc<dyn Handler> = Arc::new(Front(service));
    door.open(Arc::clone(&front));
    rpc.register_local(&own_addr, front);
    // Every member does so with the same list; only the first start changes anything.
    group.initialize(voters).await?;
    info!(member = config.id, %addr, "meta member listens");

    let mut tasks = Vec::new();
    if let Some(dir) = config.backup_dir.clone() {
        let writer = Writer::new(dir, config.id, Arc::clone(&held));
        tasks.push(tokio::spawn(writer.run(group.clone(), stop.clone())));
    }
    tasks.push(tokio::spawn({
        let (group, held) = (group.clone(), Arc::clone(&held));
        let (stop, failed) = (stop.clone(), failed.clone());
        async move {
            let attending = birth::attend(&group, &held, &mut directory, &first);
            if let Some(Err(failure)) = stop.run_until_cancelled(attending).await {
                error!(error = &failure as &dyn std::error::Error, "wrong cluster");
                failed.cancel();
            }
            // The directory stays locked until the member is down.
            stop.cancelled().await;
        }
    }));
    Ok(Handle {
        addr,
        own_addr,
        rpc,
        server,
        raft,
        group,
        held,
        stopping,
        stop,
        failed,
        tasks,
    })
}

impl Handle {
    /// The catalog as this member has applied it, which may be behind the others.
    #[must_use]
    pub fn catalog(&self) -> Catalog {
        self.held.snapshot().state.catalog.clone()
    }

    /// Whether this member leads, as far as it knows.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.group.status().is_leader
    }

    /// Cancelled when the member cannot go on, for example because its directory belongs to
    /// another cluster.
    #[must_use]
    pub fn failed(&self) -> CancellationToken {
        self.failed.clone()
    }

    /// Stops: no new requests, those under way are answered, then the group and the tasks end.
    pub async fn shutdown(self) {
        self.stopping.cancel();
        self.rpc.unregister_local(&self.own_addr);
        self.server.shutdown().await;
        self.raft.shutdown().await;
        self.stop.cancel();
        for task in self.tasks {
            // A task that panicked has said so.
            let _ = task.await;
        }
    }
}

/// Stands at the listener until the group has started: the address must be known before.
#[derive(Default)]
struct Door(std::sync::OnceLock<Arc<dyn Handler>>);

impl Door {
    fn open(&self, front: Arc<dyn Handler>) {
        // Opened once.
        let _ = self.0.set(front);
    }
}

impl Handler for Door {
    fn handle(&self, request: Request, responder: Responder) {
        match self.0.get() {
            Some(front) => front.handle(request, responder),
            None if request.method == method::META => {
                let (leader, addr) = (None, None);
                responder.send(encode(&MetaAnswer::NotLeader { leader, addr }));
            }
            None => responder.fail("the member is starting"),
        }
    }
}
