//! Every flag of every role reaches the role through `coterie dev` and `coterie node`: from the
//! command line, the environment and the file.
//!
//! The binary itself lists the flags of a role (`coterie ROLE --print-config`), so a new flag is
//! tested as soon as it exists. The test reads the settings of a role from the log of the process,
//! which shows them as the role receives them. `--print-config` of `dev` or `node` proves nothing:
//! a release build once printed the given values and passed the defaults to the roles.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use coterie_tests::binary;
use coterie_tests::ports::Port;
use coterie_tests::process::Process;
use coterie_tests::wait;

const WITHIN: Duration = Duration::from_secs(60);
const ROLES: [&str; 4] = ["meta", "server", "proxy", "controller"];

/// Flags of the process around the role: the role never sees them.
const OF_THE_PROCESS: [&str; 3] = ["worker-threads", "log-format", "log-level"];

/// Settings that `dev` and `node` decide themselves: the role, the field, the reason. They decide
/// the cluster token too, the same for all roles.
const DECIDED: &[(&str, &str, &str)] = &[
    ("meta", "id", "the place in the list of members"),
    ("meta", "listen", "a free port in `dev`, --join in `node`"),
    ("meta", "peers", "the members of `dev`, --join in `node`"),
    ("meta", "dir", "a directory below --dir"),
    (
        "meta",
        "http",
        "the process has one endpoint, at its own --http",
    ),
    (
        "server",
        "listen",
        "a free port in `dev`, the one above meta's in `node`",
    ),
    ("server", "advertise", "others reach it where it listens"),
    (
        "server",
        "meta",
        "the members of meta are those of this cluster",
    ),
    ("server", "dir", "a directory below --dir"),
    (
        "server",
        "http",
        "the process has one endpoint, at its own --http",
    ),
    ("proxy", "listen", "the command's own --listen"),
    (
        "proxy",
        "meta",
        "the members of meta are those of this cluster",
    ),
    (
        "proxy",
        "http",
        "the process has one endpoint, at its own --http",
    ),
    (
        "controller",
        "meta",
        "the members of meta are those of this cluster",
    ),
    (
        "controller",
        "http",
        "the process has one endpoint, at its own --http",
    ),
];
/// Further settings that `dev` decides.
const DECIDED_BY_DEV: &[(&str, &str, &str)] = &[(
    "server",
    "drain_timeout",
    "all servers of `dev` stop together: leaders have nowhere to go",
)];

/// A flag, without the dashes before it, and a value that is not its default.
type Flags = BTreeMap<String, String>;
/// The fields of a role's settings and their values as Rust shows them. A field of an inner struct
/// has the path to it as its name.
type Fields = BTreeMap<String, String>;

#[test]
fn every_flag_of_every_role_reaches_it_through_dev_and_node() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut flags = Flags::new();
    let mut expected = BTreeMap::new();
    for role in ROLES {
        let of_role = flags_of(role)?;
        expected.insert(role, alone(role, &of_role, dir.path())?);
        flags.extend(of_role);
    }
    for (command, args) in [("dev", dev_args()?), ("node", node_args()?)] {
        for layer in [Layer::CommandLine, Layer::Environment, Layer::File] {
            let case = format!("{command} by {layer:?}");
            let process = process(&case, &args, &flags, layer, dir.path())?;
            let told = told(process, &ROLES).with_context(|| case.clone())?;
            for role in ROLES {
                compare(command, role, &told[role], &expected[role])
                    .with_context(|| case.clone())?;
            }
        }
    }
    Ok(())
}

/// The settings of a role that runs alone with these flags. An error unless each flag changes a
/// setting.
fn alone(role: &'static str, flags: &Flags, dir: &Path) -> anyhow::Result<Fields> {
    let args = role_args(role);
    let layer = Layer::CommandLine;
    let fields = |flags: &Flags, name: &str| -> anyhow::Result<Fields> {
        let process = process(&format!("{role} {name}"), &args, flags, layer, dir)?;
        let mut told = told(process, &[role])?;
        told.remove(role).context("told nothing")
    };
    let (default, given) = (fields(&Flags::new(), "default")?, fields(flags, "given")?);
    let fields = given.iter();
    // A flag with two fields: the value given leaves this one on.
    let fields = fields.filter(|(field, _)| *field != "tls.tls_protocols.tls13");
    let passed = fields.filter(|(field, _)| !is_decided("node", role, field));
    let (changed, same): (Vec<_>, Vec<_>) =
        passed.partition(|(field, value)| default.get(*field) != Some(*value));
    ensure!(same.is_empty(), "{role}: as by default: {same:?}");
    ensure!(
        changed.len() == flags.len(),
        "{role}: the fields {changed:?} are not those of the flags {flags:?}"
    );
    Ok(given)
}

/// An error if a setting is not as expected, unless the command decides it.
fn compare(command: &str, role: &str, told: &Fields, expected: &Fields) -> anyhow::Result<()> {
    let passed = |fields: &Fields| -> Fields {
        let mut fields = fields.clone();
        fields.retain(|field, _| !is_decided(command, role, field));
        fields
    };
    let (told, expected) = (passed(told), passed(expected));
    ensure!(told.keys().eq(expected.keys()), "{role}: {told:?}");
    let wrong: Vec<String> = expected
        .iter()
        .filter(|(field, value)| told[*field] != **value)
        .map(|(field, value)| format!("{field} is {} and was given as {value}", told[field]))
        .collect();
    ensure!(wrong.is_empty(), "{role}: {}", wrong.join("; "));
    Ok(())
}

/// Whether `command` decides a field of a role's settings.
fn is_decided(command: &str, role: &str, field: &str) -> bool {
    let by_dev = DECIDED_BY_DEV.iter().filter(|_| command == "dev");
    let mut decided = DECIDED.iter().chain(by_dev);
    let outer = field.split('.').next().unwrap_or(field);
    outer.starts_with("cluster_token") || decided.any(|row| (row.0, row.1) == (role, outer))
}

/// The flags of a role that a user of `dev` and `node` may set, each with a value other than its
/// default.
fn flags_of(role: &str) -> anyhow::Result<Flags> {
    let mut command = Command::new(binary::coterie()?);
    let printed = command
        .args(role_args(role))
        .arg("--print-config")
        .output()?;
    ensure!(printed.status.success(), "{printed:?}");
    let (mut flags, mut section) = (Flags::new(), String::new());
    for line in String::from_utf8(printed.stdout)?.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = format!("{}-", name.trim_end_matches(']'));
        }
        let Some((name, default)) = setting(line) else {
            continue;
        };
        let name = format!("{section}{name}");
        let is_decided = is_decided("node", role, &name.replace('-', "_"));
        if !is_decided && !OF_THE_PROCESS.contains(&name.as_str()) {
            let value = other(&name, default)?;
            flags.insert(name, value);
        }
    }
    ensure!(!flags.is_empty(), "{role} lists no flags");
    Ok(flags)
}

/// The name and the value in force of a setting in a line of `--print-config`.
fn setting(line: &str) -> Option<(&str, Option<&str>)> {
    if let Some(unset) = line.strip_prefix("# ") {
        let ends = [" is not set", " is not given", " is given, and secret"];
        let name = ends.iter().find_map(|end| unset.strip_suffix(end));
        return name.map(|name| (name, None));
    }
    let (name, value) = line.split_once(" = ")?;
    let value = value.split("  # by").next().unwrap_or(value);
    Some((name, Some(value.trim_matches('"'))))
}

/// A value of a flag that is not its default.
fn other(name: &str, default: Option<&str>) -> anyhow::Result<String> {
    let named = match name {
        "fsync" => "never",
        "read-mode" => "read-index",
        "zone" | "host" => "of-the-test",
        "capacity" => "123GiB",
        "backup-dir" => "/nowhere/backups",
        "cluster-tls-cert-file" | "tls-cert-file" => "/nowhere/cert",
        "cluster-tls-key-file" | "tls-key-file" => "/nowhere/key",
        "cluster-tls-ca-file" | "tls-ca-cert-file" => "/nowhere/ca",
        "cluster-tls-name" => "of-the-test",
        "tls-listen" => "127.0.0.1:1",
        "tls-only" => "yes",
        "tls-auth-clients" => "optional",
        "tls-protocols" => "TLSv1.3",
        "requirepass" => "of the test",
        "aclfile" => "/nowhere/users.acl",
        "acl-pubsub-default" => "allchannels",
        "cluster-announce" => "redis.example:7000",
        "cluster-announce-tls-port" => "7001",
        "peer-listen" => "127.0.0.1:1",
        "peer-advertise" => "redis.example:7002",
        "enable-debug-command" => "local",
        "io-threads" => "3",
        "bootstrap-nodes" => "9",
        "split-at" => "g,m",
        "fault-log-delay-file" => "/nowhere/delay",
        _ => "",
    };
    if !named.is_empty() {
        return Ok(named.to_owned());
    }
    let default = default.with_context(|| format!("name a value of --{name} here"))?;
    let digits = default.len()
        - default
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .len();
    let (number, unit) = default.split_at(digits);
    match (number.parse::<u64>(), default) {
        (Ok(number), _) => Ok(format!("{}{unit}", number + 1)),
        (_, "true") => Ok("false".to_owned()),
        (_, "false") => Ok("true".to_owned()),
        (_, "yes") => Ok("no".to_owned()),
        _ => bail!("name a value of --{name} here that is not {default:?}"),
    }
}

/// The source of a process' settings.
#[derive(Debug, Clone, Copy)]
enum Layer {
    CommandLine,
    Environment,
    File,
}

/// The arguments without which a role does not start.
fn role_args(role: &str) -> Vec<String> {
    let args: &[&str] = match role {
        "meta" => &["meta", "--id=1", "--listen=127.0.0.1:0", "--dir=meta"],
        "server" => &["server", "--listen=127.0.0.1:0", "--dir=server"],
        "proxy" => &["proxy", "--listen=127.0.0.1:0"],
        role => &[role],
    };
    // No process listens there; a role that does not reach meta retries.
    let meta = (role != "meta").then_some("--meta=127.0.0.1:1");
    let args = args.iter().copied().chain(meta);
    args.map(str::to_owned).collect()
}

fn dev_args() -> anyhow::Result<Vec<String>> {
    let (listen, http) = (Port::reserve()?.addr(), Port::reserve()?.addr());
    let args = ["dev", "--dir=dev", &format!("--listen={listen}")];
    let args = args.map(str::to_owned).into_iter();
    Ok(args.chain([format!("--http={http}")]).collect())
}

fn node_args() -> anyhow::Result<Vec<String>> {
    let (join, listen) = (Port::reserve()?.addr(), Port::reserve()?.addr());
    let args = ["node", "--dir=node", &format!("--join={join}")];
    let args = args.map(str::to_owned).into_iter();
    Ok(args.chain([format!("--listen={listen}")]).collect())
}

/// A process that logs the settings of its roles and gets these flags from `layer`. Its directories
/// are in a folder of its own below `dir`.
fn process(
    name: &str,
    args: &[String],
    flags: &Flags,
    layer: Layer,
    dir: &Path,
) -> anyhow::Result<Process> {
    let dir = dir.join(name.replace(' ', "-"));
    std::fs::create_dir_all(&dir)?;
    let in_dir = |arg: &String| match arg.strip_prefix("--dir=") {
        Some(own) => format!("--dir={}", dir.join(own).display()),
        None => arg.clone(),
    };
    let log = ["--log-level=info,coterie::roles=debug", "--cluster-token=t"];
    let process = Process::new(name, binary::coterie()?, dir.join("log"))
        .args(args.iter().map(in_dir))
        .args(log);
    let given = flags.iter();
    Ok(match layer {
        Layer::CommandLine => process.args(given.map(|(name, value)| format!("--{name}={value}"))),
        Layer::Environment => given.fold(process, |process, (name, value)| {
            let name = name.to_uppercase().replace('-', "_");
            process.env(&format!("COTERIE_{name}"), value)
        }),
        Layer::File => {
            let lines = given.map(|(name, value)| format!("{name} = {value:?}\n"));
            let file = dir.join("coterie.toml");
            std::fs::write(&file, lines.collect::<String>())?;
            process.args(["--config".into(), file.into_os_string()])
        }
    })
}

/// Runs the process until its log has the settings of all these roles; returns the settings.
fn told(
    mut process: Process,
    roles: &[&'static str],
) -> anyhow::Result<BTreeMap<&'static str, Fields>> {
    process.start()?;
    let told = wait::until("the settings of the roles", WITHIN, || {
        let output = process.output();
        let of_role = |role: &&'static str| Some((*role, fields(&output, role)?));
        let told: BTreeMap<_, _> = roles.iter().filter_map(of_role).collect();
        ensure!(told.len() == roles.len(), "{output}");
        Ok(told)
    })?;
    process.kill();
    Ok(told)
}

/// The fields of the first settings of a role in the log.
fn fields(log: &str, role: &str) -> Option<Fields> {
    let head = format!("settings of a role role=\"{role}\" settings=\"");
    let (_, rest) = log.split_once(&head)?;
    // Only a complete line counts: the process may still be writing it.
    let (text, _) = rest.split_once("\"\n")?;
    let text = text.replace("\\n", "\n").replace("\\\"", "\"");
    let (mut fields, mut path) = (Fields::new(), Vec::<(usize, &str)>::new());
    for line in text.lines().skip(1) {
        let value = line.trim_start();
        let indent = line.len() - value.len();
        path.retain(|(outer, _)| *outer < indent);
        let value = match value.split_once(": ") {
            Some((name, value)) => {
                path.push((indent, name));
                value
            }
            None => value,
        };
        // Brackets around an inner struct, or after a value of several lines, are no values.
        if value.ends_with('{') || value.starts_with(['}', ')', ']']) || path.is_empty() {
            continue;
        }
        let names: Vec<&str> = path.iter().map(|(_, name)| *name).collect();
        fields.entry(names.join(".")).or_default().push_str(value);
    }
    Some(fields)
}
