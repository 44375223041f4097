//! Client libraries of other languages. `cargo xtask test` installs them and passes their folders
//! in `COTERIE_TEST_PYTHON_PATH` and `COTERIE_TEST_NODE_PATH`. Without these variables this module
//! installs them once, at a fixed version, from their own registries into the user's cache folder.
//!
//! Without Python, Node or access to the registry, the test prints SKIPPED and goes on: an
//! unreachable registry is no fault of Coterie.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::process::Process;

const REDIS_PY: &str = "redis==8.1.0";
const IOREDIS: &str = "ioredis@5.9.2";

/// Time limit of a client's script.
const WITHIN: Duration = Duration::from_secs(120);

/// Runs a Python script that may import redis-py; returns its output. `None` if redis-py could not
/// be installed.
pub fn run_redis_py(script: &Path, args: &[&str]) -> anyhow::Result<Option<String>> {
    let Some(dir) = redis_py()? else {
        return Ok(None);
    };
    run("python3", ("PYTHONPATH", &dir), script, args).map(Some)
}

/// The folder that holds redis-py.
fn redis_py() -> anyhow::Result<Option<PathBuf>> {
    let given = std::env::var_os("COTERIE_TEST_PYTHON_PATH").map(PathBuf::from);
    install(given, REDIS_PY, "redis/__init__.py", &|dir| {
        let mut command = Command::new("python3");
        command
            .args(["-m", "pip", "install", "--quiet", "--target"])
            .arg(dir)
            .arg(REDIS_PY);
        command
    })
}

/// A script that runs in the background. It ends when the file that its last argument names
/// appears.
#[derive(Debug)]
pub struct Background {
    process: Process,
    dir: tempfile::TempDir,
}

/// Starts a Python script that may import redis-py. `None` if redis-py could not be installed.
pub fn start_redis_py(script: &Path, args: &[&str]) -> anyhow::Result<Option<Background>> {
    let Some(packages) = redis_py()? else {
        return Ok(None);
    };
    let dir = tempfile::tempdir()?;
    let mut process = Process::new("python3", Path::new("python3"), dir.path().join("output"))
        .args([script])
        .args(args)
        .args([dir.path().join("stop")])
        .env("PYTHONPATH", &packages.to_string_lossy());
    process.start()?;
    Ok(Some(Background { process, dir }))
}

impl Background {
    /// Tells the script to stop and returns its output. An error if the script failed.
    pub fn finish(mut self) -> anyhow::Result<String> {
        std::fs::write(self.dir.path().join("stop"), "")?;
        let ended = self.process.wait_for_end(WITHIN);
        let output = self.process.output();
        match ended {
            Ok(status) => ensure!(status.success(), "it ended with {status}:\n{output}"),
            Err(error) => bail!("{error:#}; so far it said:\n{output}"),
        }
        Ok(output)
    }
}

/// Runs a script for Node that may require ioredis; returns its output. `None` if ioredis could not
/// be installed.
pub fn run_ioredis(script: &Path, args: &[&str]) -> anyhow::Result<Option<String>> {
    let given = std::env::var_os("COTERIE_TEST_NODE_PATH").map(PathBuf::from);
    // The variable names the folder of modules; `install` expects its parent.
    let given = given.and_then(|modules| Some(modules.parent()?.to_owned()));
    let installed = install(
        given,
        IOREDIS,
        "node_modules/ioredis/package.json",
        &|dir| {
            let mut command = Command::new("npm");
            command.args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"]);
            command.arg(dir).arg(IOREDIS);
            command
        },
    )?;
    let Some(dir) = installed else {
        return Ok(None);
    };
    run(
        "node",
        ("NODE_PATH", &dir.join("node_modules")),
        script,
        args,
    )
    .map(Some)
}

/// The folder with the package: `given` if it holds the package, else a folder in the cache, into
/// which the package is installed if it is absent.
fn install(
    given: Option<PathBuf>,
    package: &str,
    marker: &str,
    installer: &dyn Fn(&Path) -> Command,
) -> anyhow::Result<Option<PathBuf>> {
    if let Some(dir) = given.filter(|dir| dir.join(marker).is_file()) {
        return Ok(Some(dir));
    }
    let dir = cache_dir()?.join(package);
    if dir.join(marker).is_file() {
        return Ok(Some(dir));
    }
    let parent = dir.parent().context("the cache folder has no parent")?;
    std::fs::create_dir_all(parent)?;
    // Installed into a folder beside the final one and renamed when complete, so that an
    // interrupted run leaves no partial installation.
    let fresh = tempfile::tempdir_in(parent)?;
    let output = installer(fresh.path()).stdin(Stdio::null()).output();
    let why = match output {
        Ok(output) if output.status.success() && fresh.path().join(marker).is_file() => {
            match std::fs::rename(fresh.path(), &dir) {
                Err(error) if !dir.join(marker).is_file() => return Err(error.into()),
                _ => return Ok(Some(dir)),
            }
        }
        Ok(Output { stderr, .. }) => String::from_utf8_lossy(&stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    eprintln!("SKIPPED: {package} could not be installed: {why}");
    Ok(None)
}

fn cache_dir() -> anyhow::Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(std::env::var_os("HOME").context("no HOME")?).join(".cache"),
    };
    Ok(base.join("coterie").join("clients"))
}

fn run(
    program: &str,
    (variable, value): (&str, &Path),
    script: &Path,
    args: &[&str],
) -> anyhow::Result<String> {
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("output");
    let mut process = Process::new(program, Path::new(program), log.clone())
        .args([script])
        .args(args)
        .env(variable, &value.to_string_lossy());
    process.start()?;
    let ended = process.wait_for_end(WITHIN);
    process.kill();
    let output = std::fs::read_to_string(log)?;
    match ended {
        Ok(status) => ensure!(status.success(), "{} failed:\n{output}", script.display()),
        Err(error) => bail!("{error:#}; so far it said:\n{output}"),
    }
    Ok(output)
}

/// Runs a program of this machine with `input` on its standard input; returns its standard output
/// and error. An error if it exits with a status other than 0. `None` if the program is not
/// installed.
pub fn run_program(program: &str, args: &[&str], input: &[u8]) -> anyhow::Result<Option<String>> {
    use std::io::Write as _;
    let mut command = Command::new("timeout");
    // A client that hangs must not hang the test.
    command
        .arg(WITHIN.as_secs().to_string())
        .arg(program)
        .args(args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("run {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_vec();
        // A program that ends without reading breaks the pipe, which is no failure.
        std::thread::spawn(move || drop(stdin.write_all(&input)));
    }
    let output = child.wait_with_output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    // `timeout` exits with 127 if the program does not exist.
    if output.status.code() == Some(127) {
        eprintln!("SKIPPED: no {program} on this machine");
        return Ok(None);
    }
    ensure!(
        output.status.success(),
        "{program} {args:?}: {}:\n{said}",
        output.status
    );
    Ok(Some(said))
}
