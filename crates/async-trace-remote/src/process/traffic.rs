//! What has gone over the connections on which tasks and threads wait.

use super::netlink::Kernel;
use async_trace_core::Snapshot;
use async_trace_core::snapshot::{FileKind, OpenFile, Target};
use rustc_hash::FxHashMap;
use std::fs;
use std::net::SocketAddr;

/// So many connections are asked for: where more wait, those of the first tasks tell enough.
const MAX: usize = 2048;

/// Notes it with each open file in a snapshot of the running process `pid`, as far as the kernel tells.
pub(crate) fn attach(pid: u32, snapshot: &mut Snapshot) {
    let mut wanted: Vec<(SocketAddr, SocketAddr)> = files(snapshot).filter_map(|file| ends(file)).collect();
    wanted.sort_unstable();
    wanted.dedup();
    wanted.truncate(MAX);
    if wanted.is_empty() || !in_our_network(pid) {
        return;
    }
    let Some(kernel) = Kernel::open() else { return };
    let answers = kernel.traffic(&wanted);
    let known: FxHashMap<_, _> =
        wanted.into_iter().zip(answers).filter_map(|(ends, traffic)| Some((ends, traffic?))).collect();
    for file in files(snapshot) {
        let traffic = ends(file).and_then(|ends| known.get(&ends));
        file.traffic = traffic.cloned().map(Box::new);
    }
}

/// Whether what the kernel tells us is told of the network that a process is in.
pub(super) fn in_our_network(pid: u32) -> bool {
    let network = |who: &str| fs::read_link(format!("/proc/{who}/ns/net")).ok();
    network("self").is_some_and(|ours| network(&pid.to_string()) == Some(ours))
}

/// Those that a task or thread waits for.
fn files(snapshot: &mut Snapshot) -> impl Iterator<Item = &mut OpenFile> {
    let waits = snapshot.tasks.iter_mut().filter_map(|task| task.waits_for.as_mut());
    let waited = waits.filter_map(|wait| match &mut wait.target {
        Target::File { file } => Some(file),
        _ => None,
    });
    let calls = snapshot.threads.iter_mut().filter_map(|thread| thread.syscall.as_mut()?.file.as_mut());
    waited.chain(calls)
}

fn ends(file: &OpenFile) -> Option<(SocketAddr, SocketAddr)> {
    if file.kind != FileKind::Tcp {
        return None;
    }
    Some((file.local.as_deref()?.parse().ok()?, file.peer.as_deref()?.parse().ok()?))
}
