//! Clients that connect by TLS: who is let in, and that a certificate is replaced while the proxy
//! runs.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coterie_certificates::{Authority, Signed};
use coterie_proxy::Handle;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{Client, Cluster, until};

type TlsClient = Client<TlsStream<TcpStream>>;

fn flags(signed: &Signed, more: &str) -> String {
    let (cert, key) = (signed.cert.display(), signed.key.display());
    format!("--tls-listen 127.0.0.1:0 --tls-cert-file {cert} --tls-key-file {key} {more}")
}

fn at(proxy: &Handle) -> SocketAddr {
    proxy.tls_addr.expect("TLS is on")
}

fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    let all = CertificateDer::pem_file_iter(path).unwrap();
    all.collect::<Result<_, _>>().unwrap()
}

/// Connects, trusting this authority, with this certificate. In TLS 1.3 a client that is refused
/// learns it only when it reads.
async fn connect(
    addr: SocketAddr,
    authority: &Authority,
    own: Option<&Signed>,
) -> std::io::Result<TlsClient> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(&authority.ca()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let key = PrivateKeyDer::from_pem_file(&own.key).unwrap();
            builder
                .with_client_auth_cert(certificates(&own.cert), key)
                .unwrap()
        }
    };
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = TcpStream::connect(addr).await?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream);
    Ok(Client::over(stream.await?))
}

/// Whether a client is served.
async fn is_served(addr: SocketAddr, authority: &Authority, own: Option<&Signed>) -> bool {
    let Ok(mut client) = connect(addr, authority, own).await else {
        return false;
    };
    let sent = client.stream.write_all(b"PING\r\n").await;
    let mut reply = [0; 7];
    sent.is_ok() && client.stream.read_exact(&mut reply).await.is_ok() && &reply == b"+PONG\r\n"
}

#[tokio::test]
async fn commands_and_long_replies_pass() {
    let (cluster, authority) = (Cluster::of_two(), Authority::new("clients"));
    let own = authority.sign(&["127.0.0.1"]);
    let proxy = cluster.proxy(&flags(&own, "--tls-auth-clients no")).await;
    let mut client = connect(at(&proxy), &authority, None).await.unwrap();
    let value = "x".repeat(1_000_000);
    assert_eq!(client.run(&format!("SET a {value}")).await, "+OK\r\n");
    // Replies that the socket and the session do not hold at once, to a client that reads later.
    client.send("GET a\r\n".repeat(20)).await;
    for _ in 0..20 {
        let reply = client.reply().await;
        assert_eq!(reply.len(), "$1000000\r\n\r\n".len() + value.len());
    }
    let mut plain = Client::connect(proxy.addr).await;
    assert_eq!(plain.run("STRLEN a").await, ":1000000\r\n");
    assert_eq!(client.run("QUIT").await, "+OK\r\n");
    // The end is told by TLS: without it, this would be an error.
    assert_eq!(client.stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn clients_are_let_in_by_their_certificates() {
    let (cluster, authority) = (Cluster::of_two(), Authority::new("clients"));
    let own = authority.sign(&["127.0.0.1"]);
    let ca = authority.ca();
    let by_default = format!("--tls-ca-cert-file {}", ca.display());
    let asks = cluster.proxy(&flags(&own, &by_default)).await;
    let may = format!("{by_default} --tls-auth-clients optional");
    let may = cluster.proxy(&flags(&own, &may)).await;
    let (good, expired) = (authority.sign(&["me"]), authority.sign_expired(&["me"]));
    let others = Authority::new("others");
    let foreign = others.sign(&["me"]);
    for (proxy, own, expected) in [
        (&asks, Some(&good), true),
        (&asks, None, false),
        (&asks, Some(&foreign), false),
        (&asks, Some(&expired), false),
        (&may, Some(&good), true),
        (&may, None, true),
        (&may, Some(&foreign), false),
        (&may, Some(&expired), false),
    ] {
        let served = is_served(at(proxy), &authority, own).await;
        assert_eq!(served, expected, "{own:?}");
    }
    let stranger = Authority::new("stranger");
    assert!(
        !is_served(at(&may), &stranger, None).await,
        "not the client's authority"
    );
}

#[tokio::test]
async fn a_plain_client_is_closed_and_a_silent_one_keeps_nobody_out() {
    let (cluster, authority) = (Cluster::of_two(), Authority::new("clients"));
    let own = authority.sign(&["127.0.0.1"]);
    let proxy = cluster.proxy(&flags(&own, "--tls-auth-clients no")).await;
    let addr = at(&proxy);
    let mut silent = Client::connect(addr).await;
    let mut plain = Client::connect(addr).await;
    plain.send("PING\r\nPING\r\n").await;
    let rest = plain.rest().await;
    assert!(!rest.contains("PONG"), "{rest}");
    let mut by_tls = connect(addr, &authority, None).await.unwrap();
    assert_eq!(by_tls.run("PING").await, "+PONG\r\n");
    // More than may be in progress: the oldest give way, and others are served.
    let mut others = Vec::new();
    for _ in 0..600 {
        others.push(TcpStream::connect(addr).await.unwrap());
        if others.len() % 100 == 0 {
            assert!(is_served(addr, &authority, None).await);
        }
    }
    let began = Instant::now();
    assert_eq!(
        silent.rest().await,
        "",
        "given up for the others, or for its time"
    );
    assert!(began.elapsed() < Duration::from_secs(60));
    drop(others);
    until(async || by_tls.run("CLIENT LIST").await.matches("id=").count() == 1).await;
}

#[tokio::test]
async fn a_client_too_many_is_closed() {
    let (cluster, authority) = (Cluster::of_two(), Authority::new("clients"));
    let own = authority.sign(&["127.0.0.1"]);
    let proxy = cluster
        .proxy(&flags(&own, "--tls-auth-clients no --maxclients 1"))
        .await;
    let mut first = connect(at(&proxy), &authority, None).await.unwrap();
    assert_eq!(first.run("PING").await, "+PONG\r\n");
    assert!(
        !is_served(at(&proxy), &authority, None).await,
        "one too many"
    );
}

#[tokio::test]
async fn config_tells_and_changes_the_certificate() {
    let (cluster, authority) = (Cluster::of_two(), Authority::new("first"));
    let own = authority.sign(&["127.0.0.1"]);
    let proxy = cluster.proxy(&flags(&own, "--tls-auth-clients no")).await;
    let mut client = connect(at(&proxy), &authority, None).await.unwrap();
    let port = at(&proxy).port().to_string();
    let shown = client.run("CONFIG GET tls-*").await;
    for word in [
        &*own.cert.display().to_string(),
        "tls-protocols",
        "TLSv1.2 TLSv1.3",
        &port,
    ] {
        assert!(shown.contains(word), "{word} is not in {shown}");
    }
    let info = client.run("INFO server").await;
    let listeners = format!("listener1:name=tls,bind=127.0.0.1,port={port}\r\n");
    assert!(
        info.contains("listener0:name=tcp,") && info.contains(&listeners),
        "{info}"
    );

    let other = Authority::new("second");
    let new = other.sign(&["127.0.0.1"]);
    let (cert, key) = (new.cert.display(), new.key.display());
    let half = client
        .run(&format!("CONFIG SET tls-cert-file {cert} timeout 7"))
        .await;
    assert!(half.starts_with("-ERR CONFIG SET failed"), "{half}");
    assert!(
        client
            .run("CONFIG GET timeout")
            .await
            .contains("$1\r\n0\r\n"),
        "all or nothing"
    );
    assert!(
        is_served(at(&proxy), &authority, None).await,
        "the old stays in force"
    );
    let both = format!("CONFIG SET tls-cert-file {cert} tls-key-file {key}");
    assert_eq!(client.run(&both).await, "+OK\r\n");
    assert!(is_served(at(&proxy), &other, None).await);
    assert!(!is_served(at(&proxy), &authority, None).await);
    assert_eq!(
        client.run("PING").await,
        "+PONG\r\n",
        "open connections go on"
    );
    let refused = client.run("CONFIG SET tls-auth-clients yes").await;
    assert!(
        refused.starts_with("-ERR CONFIG SET failed"),
        "no authority: {refused}"
    );
    assert_eq!(
        client.run("CONFIG SET tls-protocols TLSv1.2").await,
        "+OK\r\n"
    );
    assert!(is_served(at(&proxy), &other, None).await);
}

#[tokio::test]
async fn files_that_change_are_read_again() {
    let (cluster, authority) = (Cluster::of_two(), Authority::new("first"));
    let own = authority.sign(&["127.0.0.1"]);
    let proxy = cluster.proxy(&flags(&own, "--tls-auth-clients no")).await;
    let other = Authority::new("second");
    let good = fs::read(&own.cert).unwrap();
    fs::write(&own.cert, "half of a file").unwrap();
    assert!(is_served(at(&proxy), &authority, None).await);
    fs::write(&own.cert, good).unwrap();
    other.sign(&["127.0.0.1"]).replace(&own);
    until(async || is_served(at(&proxy), &other, None).await).await;
}

#[tokio::test]
async fn a_proxy_may_take_tls_only() {
    let (cluster, authority) = (Cluster::of_two(), Authority::new("clients"));
    let own = authority.sign(&["127.0.0.1"]);
    let only = flags(&own, "--tls-auth-clients no --tls-only yes");
    let proxy = cluster.proxy(&only).await;
    assert_eq!(proxy.addr, at(&proxy));
    let mut client = connect(proxy.addr, &authority, None).await.unwrap();
    assert!(client.run("CONFIG GET port").await.contains("$1\r\n0\r\n"));
    tokio::time::timeout(Duration::from_secs(30), proxy.served())
        .await
        .unwrap();
}
