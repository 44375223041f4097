//! The layers as seen by a user: a command of two roles, a file, flags.

use std::time::Duration;

use clap::{Args, Command, FromArgMatches};

use super::*;
use crate::{ClusterToken, Part, duration, size};

#[derive(Debug, Args)]
struct Server {
    #[arg(long)]
    listen: String,
    #[arg(long, value_delimiter = ',')]
    meta: Vec<String>,
    #[arg(long, default_value = "1s", value_parser = duration)]
    raft_election_timeout_min: Duration,
    #[arg(long, default_value = "1MiB", value_parser = size)]
    max_value_bytes: u64,
    #[arg(long)]
    stale_reads: bool,
    #[command(flatten)]
    token: ClusterToken,
}

#[derive(Debug, Args)]
struct Proxy {
    #[arg(long)]
    listen: String,
    #[arg(long, default_value = "10s", value_parser = duration)]
    request_timeout: Duration,
}

fn command() -> Command {
    Command::new("coterie")
        .subcommand_required(true)
        .subcommand(Server::augment_args(Command::new("server")))
        .subcommand(Proxy::augment_args(Command::new("proxy")))
}

fn with_file(toml: &str, argv: &[&str]) -> Result<Layered, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("coterie.toml");
    std::fs::write(&path, toml).unwrap();
    let mut all = vec!["coterie"];
    all.extend_from_slice(argv);
    let path = path.to_str().unwrap().to_owned();
    let argv: Vec<OsString> = all
        .into_iter()
        .map(str::to_owned)
        .chain(["--config".to_owned(), path])
        .map(Into::into)
        .collect();
    layer(command(), argv)
}

fn server(toml: &str, flags: &[&str]) -> Server {
    let argv: Vec<&str> = ["server"]
        .into_iter()
        .chain(flags.iter().copied())
        .collect();
    match with_file(toml, &argv).unwrap() {
        Layered::Run(matches) => {
            Server::from_arg_matches(matches.subcommand_matches("server").unwrap()).unwrap()
        }
        Layered::Print(text) => panic!("printed {text}"),
    }
}

const FILE: &str = r#"
listen = "127.0.0.1:1"
max-value-bytes = "2MiB"

[raft]
election-timeout-min = "700ms"

[server]
meta = ["a:1", "b:2"]
stale-reads = true

[proxy]
request-timeout = "3s"
"#;

#[test]
fn a_file_wins_over_defaults_and_a_flag_over_the_file() {
    let from_file = server(FILE, &[]);
    assert_eq!(from_file.listen, "127.0.0.1:1");
    assert_eq!(from_file.meta, ["a:1", "b:2"]);
    assert_eq!(
        from_file.raft_election_timeout_min,
        Duration::from_millis(700)
    );
    assert_eq!(from_file.max_value_bytes, 2 << 20);
    assert!(from_file.stale_reads);

    let flags = [
        "--meta",
        "c:3,d:4",
        "--raft-election-timeout-min=2s",
        "--listen",
        "127.0.0.1:2",
    ];
    let from_flags = server(FILE, &flags);
    assert_eq!(from_flags.meta, ["c:3", "d:4"]);
    assert_eq!(from_flags.raft_election_timeout_min, Duration::from_secs(2));
    assert_eq!(from_flags.listen, "127.0.0.1:2");
}

#[test]
fn a_list_in_one_string_is_split_as_on_the_command_line() {
    assert_eq!(
        server("listen = 'x'\nmeta = 'a:1,b:2'", &[]).meta,
        ["a:1", "b:2"]
    );
}

#[test]
fn a_section_of_the_role_wins_over_the_general_key() {
    assert_eq!(
        server("listen = 'all'\n[server]\nlisten = 'mine'", &[]).listen,
        "mine"
    );
    assert_eq!(
        server("listen = 'all'\n[proxy]\nlisten = 'other'", &[]).listen,
        "all"
    );
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_name() {
    for (toml, nearest) in [
        ("lisen = 'x'", Some("listen")),
        (
            "[raft]\nelection-timeout-mim = '1s'",
            Some("raft.election-timeout-min"),
        ),
        (
            "[proxy]\nrequest-timeot = '1s'",
            Some("proxy.request-timeout"),
        ),
        ("[colours]\nsky = 'blue'", None),
        ("config = 'another.toml'", None),
    ] {
        let error = with_file(toml, &["server"]).unwrap_err();
        let ConfigError::UnknownKey { nearest: found, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(found.as_deref(), nearest, "{toml}");
    }
}

#[test]
fn bad_values_and_bad_shapes_are_refused() {
    let listen = "listen = 'x'\n";
    let error = with_file(&format!("{listen}max-value-bytes = 'much'"), &["server"]).unwrap_err();
    assert!(error.to_string().contains("--max-value-bytes"), "{error}");
    let error = with_file("listen = ['x', 'y']", &["server"]).unwrap_err();
    assert!(matches!(error, ConfigError::Shape { .. }), "{error}");
    let twice =
        format!("{listen}raft-election-timeout-min = '1s'\n[raft]\nelection-timeout-min = '2s'");
    let error = with_file(&twice, &["server"]).unwrap_err();
    assert!(matches!(error, ConfigError::Twice { .. }), "{error}");
    let error = with_file("no toml at all", &["server"]).unwrap_err();
    assert!(matches!(error, ConfigError::Syntax { .. }), "{error}");
    assert!(matches!(
        with_file("", &["server"]).unwrap_err(),
        ConfigError::Usage(_)
    ));
}

#[test]
fn print_config_prints_what_is_in_force_and_no_secret() {
    let argv = [
        "server",
        "--print-config",
        "--cluster-token=s3cret",
        "--max-value-bytes",
        "3MiB",
    ];
    let Layered::Print(text) = with_file(FILE, &argv).unwrap() else {
        panic!("ran")
    };
    assert!(!text.contains("s3cret"), "{text}");
    assert!(
        text.contains("max-value-bytes = \"3MiB\"  # by flag"),
        "{text}"
    );
    assert!(
        text.contains("[raft]\nelection-timeout-min = \"700ms\""),
        "{text}"
    );

    // The printed text is a file with the same meaning.
    let Layered::Print(again) = with_file(&text, &["server", "--print-config"]).unwrap() else {
        panic!("ran")
    };
    let settings = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or("").trim().to_owned());
        lines.filter(|line| !line.is_empty()).collect()
    };
    assert_eq!(settings(&text), settings(&again));
}

#[test]
fn a_part_takes_what_is_decided_and_what_is_passed_through() {
    const SERVER: Part<Server> = Part::new(&["listen", "meta"]);
    let dev = Command::new("dev").arg(Arg::new("listen").long("listen"));
    let root = Command::new("coterie").subcommand(SERVER.flags(dev));
    let argv = [
        "coterie",
        "dev",
        "--listen=clients",
        "--raft-election-timeout-min=3s",
        "--stale-reads",
    ];
    let Layered::Run(matches) = layer(root, argv).unwrap() else {
        panic!("printed")
    };
    let given = [
        ("listen", "127.0.0.1:0".to_owned()),
        ("meta", "m1".to_owned()),
        ("meta", "m2".to_owned()),
    ];
    let config = SERVER
        .config(matches.subcommand_matches("dev").unwrap(), &given)
        .unwrap();
    assert_eq!(config.listen, "127.0.0.1:0");
    assert_eq!(config.meta, ["m1", "m2"]);
    assert_eq!(config.raft_election_timeout_min, Duration::from_secs(3));
    assert_eq!(config.max_value_bytes, 1 << 20);
    assert!(config.stale_reads && config.token.cluster_token.is_none());
}

/// The settings that `dev`, which runs servers, gets from a file and from flags.
fn dev(toml: &str, flags: &[&str]) -> Layered {
    const SERVER: Part<Server> = Part::new(&["listen", "meta"]);
    let root = Command::new("coterie").subcommand(SERVER.flags(Command::new("dev")));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("coterie.toml");
    std::fs::write(&path, toml).unwrap();
    let argv = ["coterie", "dev", "--config", path.to_str().unwrap()];
    let argv = argv.iter().chain(flags).map(OsString::from);
    layer(root, argv).unwrap()
}

#[test]
fn a_part_takes_what_a_file_says() {
    const SERVER: Part<Server> = Part::new(&["listen", "meta"]);
    let toml = "stale-reads = true\nmax-value-bytes = '5MiB'\n[raft]\nelection-timeout-min = '4s'";
    let Layered::Run(matches) = dev(toml, &["--max-value-bytes=6MiB"]) else {
        panic!("printed")
    };
    let given = [("listen", "x".to_owned()), ("meta", "m".to_owned())];
    let config = SERVER
        .config(matches.subcommand_matches("dev").unwrap(), &given)
        .unwrap();
    assert!(config.stale_reads);
    assert_eq!(config.raft_election_timeout_min, Duration::from_secs(4));
    assert_eq!(config.max_value_bytes, 6 << 20);
}

#[test]
#[should_panic = "the command has no --raft_election_timeout_min of its role"]
fn a_command_that_lacks_the_flags_of_a_part_is_found_out() {
    const SERVER: Part<Server> = Part::new(&["listen", "meta", "stale-reads", "max-value-bytes"]);
    let matches = Command::new("dev").get_matches_from(["dev"]);
    let given = [("listen", "x".to_owned()), ("meta", "m".to_owned())];
    let _ = SERVER.config(&matches, &given);
}

#[test]
fn a_command_may_have_a_flag_of_the_role_of_its_own_and_give_its_value() {
    const SERVER: Part<Server> = Part::new(&["listen", "meta"]);
    let own = Arg::new("max_value_bytes").long("max-value-bytes");
    let command = SERVER.flags(Command::new("dev").arg(own));
    let given = [
        ("listen", "x".to_owned()),
        ("meta", "m".to_owned()),
        ("max-value-bytes", "7MiB".to_owned()),
    ];
    let config = SERVER.config(&command.get_matches_from(["dev"]), &given);
    assert_eq!(config.unwrap().max_value_bytes, 7 << 20);
}
