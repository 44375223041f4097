//! System packages. A package is installed only if the program or library that it provides is
//! absent.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, shell};

/// A program or library that a command needs from the system.
#[derive(Clone, Copy)]
pub(crate) struct Need {
    /// Its name, for a person who must install it by hand.
    what: &'static str,
    /// The Debian package that provides it.
    package: &'static str,
    present: fn() -> bool,
}

/// A C++ compiler.
pub(crate) const CXX: Need = Need {
    what: "a C++ compiler (g++ or clang++)",
    package: "g++",
    present: || shell::which("c++").is_some() && shell::which("cc").is_some(),
};

/// make, which builds jemalloc.
pub(crate) const MAKE: Need = Need {
    what: "make",
    package: "make",
    present: || shell::which("make").is_some(),
};

/// libclang, which bindgen loads, with the compiler's own headers.
pub(crate) const LIBCLANG: Need = Need {
    what: "libclang with its headers",
    package: "libclang-dev",
    present: libclang,
};

/// The real Redis, for comparison.
pub(crate) const REDIS_SERVER: Need = Need {
    what: "redis-server",
    package: "redis-server",
    present: || shell::which("redis-server").is_some(),
};

/// redis-cli and redis-benchmark.
pub(crate) const REDIS_CLI: Need = Need {
    what: "redis-cli",
    package: "redis-tools",
    present: || shell::which("redis-cli").is_some(),
};

/// A library that makes the wall clock of a process wrong, for tests of clocks that jump.
pub(crate) const FAKETIME: Need = Need {
    what: "libfaketime",
    package: "faketime",
    present: || shell::which("faketime").is_some(),
};

/// Tcl, which Redis' own tests are written in.
pub(crate) const TCL: Need = Need {
    what: "tclsh",
    package: "tcl",
    present: || shell::which("tclsh").is_some(),
};

/// Unpacks the source package of Redis.
pub(crate) const DPKG_DEV: Need = Need {
    what: "dpkg-source",
    package: "dpkg-dev",
    present: || shell::which("dpkg-source").is_some(),
};

/// etcd, for comparison.
pub(crate) const ETCD: Need = Need {
    what: "etcd",
    package: "etcd-server",
    present: || shell::which("etcd").is_some(),
};

/// Python with pip, for redis-py.
pub(crate) const PIP: Need = Need {
    what: "python3 with pip",
    package: "python3-pip",
    present: || shell::succeeds(Command::new("python3").args(["-m", "pip", "--version"])),
};

/// Node.js with npm, for ioredis.
pub(crate) const NPM: Need = Need {
    what: "Node.js with npm",
    package: "npm",
    present: || shell::which("node").is_some() && shell::which("npm").is_some(),
};

/// Installs the absent `needs`.
pub(crate) fn ensure(needs: &[Need]) -> Result {
    let missing: Vec<Need> = needs
        .iter()
        .copied()
        .filter(|need| !(need.present)())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    eprintln!("xtask: missing {}", list(&missing));
    install(&packages).map_err(|error| by_hand(&missing, &error.to_string()))?;
    match missing.iter().find(|need| !(need.present)()) {
        None => Ok(()),
        Some(_) => Err(by_hand(&missing, "the packages did not bring them")),
    }
}

fn install(packages: &[&str]) -> Result {
    if shell::which("apt-get").is_none() {
        return Err("this system has no apt-get".into());
    }
    shell::run(apt()?.args(["update", "--quiet"]))?;
    let mut install = apt()?;
    install
        .args(["install", "--yes", "--quiet", "--no-install-recommends"])
        .args(packages);
    shell::run(&mut install)
}

/// `apt-get`, as root or through sudo.
fn apt() -> Result<Command> {
    let mut command = if is_root() {
        Command::new("apt-get")
    } else if shell::which("sudo").is_some() {
        let mut sudo = Command::new("sudo");
        // Without a terminal sudo must not wait for a password that nobody types.
        if std::env::var_os("CI").is_some() {
            sudo.arg("--non-interactive");
        }
        sudo.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        sudo
    } else {
        return Err("neither root nor sudo is at hand".into());
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}

fn is_root() -> bool {
    shell::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

fn by_hand(missing: &[Need], reason: &str) -> Box<dyn std::error::Error> {
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    format!(
        "please install {} by hand (on Debian: apt-get install {}): {reason}",
        list(missing),
        packages.join(" ")
    )
    .into()
}

fn list(needs: &[Need]) -> String {
    needs
        .iter()
        .map(|need| need.what)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Whether bindgen will find libclang: the library in bindgen's directories, and its headers.
fn libclang() -> bool {
    if std::env::var_os("LIBCLANG_PATH").is_some() {
        return true;
    }
    let mut dirs = vec![
        PathBuf::from("/usr/lib"),
        "/usr/lib64".into(),
        "/usr/local/lib".into(),
    ];
    for (parent, inner) in [("/usr/lib", ""), ("/usr/lib", "lib")] {
        dirs.extend(
            children(Path::new(parent))
                .into_iter()
                .map(|dir| dir.join(inner)),
        );
    }
    let is_libclang = |file: &PathBuf| {
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        name.starts_with("libclang.so") || name.starts_with("libclang-") && name.contains(".so")
    };
    let library = dirs.iter().any(|dir| children(dir).iter().any(is_libclang));
    // `stddef.h` belongs to the compiler: on Debian its package is not the library's.
    let headers = children(Path::new("/usr/lib/clang"))
        .iter()
        .chain(&children(Path::new("/usr/lib64/clang")))
        .any(|version| version.join("include/stddef.h").is_file());
    library && (headers || shell::which("clang").is_some())
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect()
}
