//! What the doctor looks at.

use crate::Options;
use crate::cpython::locate::{Located, locate};
use crate::error::Error;
use crate::process::maps;
use crate::process::pause::{Paused, Refused};
use crate::process::{Identity, field, identity};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{Duration, Instant};

/// All that is looked at.
#[derive(Debug)]
pub struct Facts {
    /// The id that was asked for.
    pub pid: u32,
    /// Which process that is.
    pub identity: Result<Identity, Error>,
    /// The process that does the reading.
    pub ourselves: Ourselves,
    /// What else is known of the target.
    pub target: Target,
    /// `kernel.yama.ptrace_scope`, where the kernel has that.
    pub yama: Option<u8>,
    /// Whether `/proc` hides other users' processes.
    pub hidepid: bool,
    /// Whether a piece of its memory could be read, and else why not.
    pub memory: Result<(), String>,
    /// How many threads stood still and for how long, those that did not, or why it was refused.
    pub pause: Option<Result<(usize, usize, Duration), Refused>>,
    /// Where CPython is, once the memory can be read.
    pub python: Option<Result<Located, Error>>,
    /// What reading it without a pause came to.
    pub read: Option<Result<Summary, Error>>,
}

/// What was read.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// Whether asyncio is imported.
    pub asyncio: bool,
    /// How many tasks there are.
    pub tasks: usize,
    /// How many event loops.
    pub loops: usize,
    /// How many kinds of things could not be read.
    pub problems: usize,
    /// How long it took.
    pub time: Duration,
}

/// The process that does the reading.
#[derive(Clone, Debug, Default)]
pub struct Ourselves {
    /// The effective user.
    pub uid: u32,
    /// Whether it has `CAP_SYS_PTRACE`.
    pub ptrace_capability: bool,
    /// Whether a seccomp filter applies to it.
    pub seccomp: bool,
    /// Whether it runs in a container.
    pub container: bool,
}

/// What else is known of the target.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// Its real, effective and saved user.
    pub uids: Vec<u32>,
    /// Who traces it: id and name.
    pub tracer: Option<(u32, String)>,
    /// Its ids in the process-id namespaces from ours to its own; more than one in a container.
    pub pids: Vec<u32>,
    /// The namespaces in which it does not live together with us.
    pub other_namespaces: Vec<&'static str>,
    /// Whether it has forbidden to be looked into, or changed its user.
    pub dumpable: bool,
}

impl Facts {
    /// Looks.
    pub(super) fn collect(pid: u32) -> Self {
        let identity = identity(pid);
        let process = identity.as_ref().map_or(pid, |identity| identity.pid);
        let mut facts = Self {
            pid,
            ourselves: ourselves(),
            target: target(process),
            yama: read("/proc/sys/kernel/yama/ptrace_scope").and_then(|scope| scope.trim().parse().ok()),
            hidepid: read("/proc/self/mounts").is_some_and(|mounts| hides_processes(&mounts)),
            memory: Ok(()),
            pause: None,
            python: None,
            read: None,
            identity,
        };
        if facts.identity.is_ok() {
            facts.look_inside(process);
        }
        facts
    }

    fn look_inside(&mut self, pid: u32) {
        let maps = match maps::read(pid) {
            Ok(maps) => maps,
            Err(error) => return self.memory = Err(format!("its mappings: {error}")),
        };
        let memory = match File::open(format!("/proc/{pid}/mem")) {
            Ok(memory) => memory,
            Err(error) => return self.memory = Err(error.to_string()),
        };
        let read = |address, buffer: &mut [u8]| memory.read_exact_at(buffer, address).is_ok();
        let first = maps.iter().find(|mapping| mapping.readable && mapping.writable);
        if let Some(error) = first.and_then(|first| memory.read_exact_at(&mut [0; 8], first.start).err()) {
            return self.memory = Err(error.to_string());
        }
        self.python = Some(locate(pid, &maps, &read));
        self.read = Some(summary(pid));
        let deadline = Instant::now() + Duration::from_millis(500);
        self.pause = Some(Paused::begin(pid, deadline).map(|paused| {
            let (stopped, unstopped) = (paused.stopped(), paused.unstopped().len());
            (stopped, unstopped, paused.release())
        }));
    }
}

/// Reads it as a dump would, but lets it run.
fn summary(pid: u32) -> Result<Summary, Error> {
    let started = Instant::now();
    let snapshot = match crate::capture(pid, &Options { pause: false, ..Options::default() }) {
        Err(Error::NoAsyncio { .. }) => {
            let time = started.elapsed();
            return Ok(Summary { asyncio: false, tasks: 0, loops: 0, problems: 0, time });
        }
        read => read?,
    };
    Ok(Summary {
        asyncio: snapshot.process.asyncio,
        tasks: snapshot.tasks.len(),
        loops: snapshot.loops.len(),
        problems: snapshot.problems.len(),
        time: started.elapsed(),
    })
}

fn read(path: &str) -> Option<String> {
    fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn ourselves() -> Ourselves {
    /// include/uapi/linux/capability.h
    const CAP_SYS_PTRACE: u64 = 1 << 19;
    let status = read("/proc/self/status").unwrap_or_default();
    let capabilities = field(&status, "CapEff:").and_then(|hex| u64::from_str_radix(hex, 16).ok());
    let marked = |path| fs::exists(path).unwrap_or(false);
    Ourselves {
        uid: ids(&status).get(1).copied().unwrap_or(u32::MAX),
        ptrace_capability: capabilities.unwrap_or(0) & CAP_SYS_PTRACE != 0,
        seccomp: field(&status, "Seccomp:").is_some_and(|mode| mode != "0"),
        container: marked("/.dockerenv")
            || marked("/run/.containerenv")
            || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
    }
}

fn target(pid: u32) -> Target {
    let status = read(&format!("/proc/{pid}/status")).unwrap_or_default();
    let number = |name| field(&status, name).and_then(|value| value.parse::<u32>().ok());
    let tracer = number("TracerPid:").filter(|&by| by != 0).map(|by| {
        let name = read(&format!("/proc/{by}/comm")).unwrap_or_default();
        (by, name.trim_end().to_owned())
    });
    let pids = field(&status, "NSpid:").unwrap_or_default();
    let uids = ids(&status);
    // The kernel gives the directory to root while the process must not be looked into.
    let owner = fs::metadata(format!("/proc/{pid}")).ok().map(|metadata| metadata.uid());
    Target {
        dumpable: owner.is_none() || owner == uids.get(1).copied(),
        uids,
        tracer,
        pids: pids.split_whitespace().filter_map(|pid| pid.parse().ok()).collect(),
        other_namespaces: ["pid", "mnt", "user", "net"]
            .into_iter()
            .filter(|name| differs(pid, name))
            .collect(),
    }
}

fn ids(status: &str) -> Vec<u32> {
    let ids = field(status, "Uid:").unwrap_or_default();
    ids.split_whitespace().filter_map(|id| id.parse().ok()).take(3).collect()
}

fn differs(pid: u32, namespace: &str) -> bool {
    let link = |process: &str| fs::read_link(format!("/proc/{process}/ns/{namespace}")).ok();
    matches!((link("self"), link(&pid.to_string())), (Some(ours), Some(its)) if ours != its)
}

/// Whether `/proc` is mounted with `hidepid`, in any of its spellings.
pub(super) fn hides_processes(mounts: &str) -> bool {
    let mut proc = mounts.lines().filter(|line| line.split(' ').nth(1) == Some("/proc"));
    let options = proc.next_back().and_then(|line| line.split(' ').nth(3)).unwrap_or_default();
    options
        .split(',')
        .filter_map(|option| option.strip_prefix("hidepid="))
        .any(|how| !matches!(how, "0" | "off"))
}
