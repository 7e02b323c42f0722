//! The children of a process and the pipes between them: who has the other end of one, and whether anybody serves it.
//!
//! A pipe shows as one number at both of its ends; what asyncio (up to 3.11) and uvloop use instead, pairs of Unix sockets,
//! has a number for each end, and the kernel is asked which belong together. Only standard input, output and error
//! are looked at.

use super::netlink::Kernel;
use super::traffic::in_our_network;
use rustc_hash::FxHashMap;
use std::fs;

/// How many children, threads and descriptors are looked at.
const MAX_CHILDREN: usize = 64;
const MAX_THREADS: usize = 64;
const MAX_FILES: usize = 1 << 14;
/// `EPOLLIN` and `EPOLLOUT`.
const IN: u32 = 1;
const OUT: u32 = 4;

/// The pipes between a process and its children.
#[derive(Default)]
pub(crate) struct Family {
    pid: u32,
    /// Of each child, which pipe of ours is the other end of a standard stream: as the link of our descriptor says it.
    children: Vec<(u32, [Option<String>; 3])>,
    /// Our descriptors by their links.
    ours: FxHashMap<String, Vec<i32>>,
    /// What event loops watch, and for what; nothing where none was found that says so.
    watched: Option<FxHashMap<i32, u32>>,
}

impl Family {
    /// Reads it. Where there are no children, there is nothing more to read.
    pub(crate) fn read(pid: u32) -> Self {
        let mut family = Self { pid, ..Self::default() };
        let children = children(pid);
        if children.is_empty() {
            return family;
        }
        let links: Vec<(u32, [Option<String>; 3])> =
            children.into_iter().map(|child| (child, [0, 1, 2].map(|fd| link(child, fd)))).collect();
        let sockets: Vec<u64> =
            links.iter().flat_map(|(_, links)| links).filter_map(|l| socket(l.as_ref()?)).collect();
        let kernel = if sockets.is_empty() || !in_our_network(pid) { None } else { Kernel::open() };
        let peers = kernel.map(|kernel| kernel.unix_peers(&sockets)).unwrap_or_default();
        let peers: FxHashMap<u64, u64> =
            sockets.into_iter().zip(peers).filter_map(|(socket, peer)| Some((socket, peer?))).collect();
        let other_end = |link: String| match socket(&link) {
            Some(socket) => peers.get(&socket).map(|peer| format!("socket:[{peer}]")),
            None => link.starts_with("pipe:[").then_some(link),
        };
        family.children =
            links.into_iter().map(|(child, l)| (child, l.map(|l| l.and_then(other_end)))).collect();
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        for fd in fds.take(MAX_FILES).filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
            let Some(link) = link(pid, fd) else { continue };
            if link == "anon_inode:[eventpoll]" {
                family.watched.get_or_insert_default().extend(watched(pid, fd));
            } else if link.ends_with(']') {
                family.ours.entry(link).or_default().push(fd);
            }
        }
        family
    }

    /// The child that has the other end of one of our descriptors, where it is the only one.
    pub(crate) fn child_behind(&self, fd: i32) -> Option<u32> {
        let has = |links: &[Option<String>; 3]| {
            links.iter().flatten().any(|link| self.ours.get(link).is_some_and(|fds| fds.contains(&fd)))
        };
        let mut children = self.children.iter().filter(|(_, links)| has(links)).map(|(child, _)| *child);
        children.next().filter(|_| children.next().is_none())
    }

    /// Our end of a child's standard stream, and whether an event loop watches it, so that it reads what the child writes or
    /// writes what it still has; nothing where others have an end of it, too.
    pub(crate) fn our_end(&self, child: u32, fd: i32, child_reads: bool) -> Option<(i32, Option<bool>)> {
        let links = &self.children.iter().find(|(pid, _)| *pid == child)?.1;
        let link = links.get(usize::try_from(fd).ok()?)?.as_ref()?;
        let is_shared =
            self.children.iter().any(|(pid, links)| *pid != child && links.contains(&Some(link.clone())));
        let mut ends = self.ours.get(link)?.iter().copied().filter(|fd| self.is_open_for(*fd, child_reads));
        let end = ends.next().filter(|_| ends.next().is_none() && !is_shared)?;
        let event = if child_reads { OUT } else { IN };
        let served =
            self.watched.as_ref().map(|watched| watched.get(&end).is_some_and(|events| events & event != 0));
        Some((end, served))
    }

    /// Whether one of our descriptors is open for writing, or for reading.
    fn is_open_for(&self, fd: i32, writing: bool) -> bool {
        let info = fs::read_to_string(format!("/proc/{}/fdinfo/{fd}", self.pid)).unwrap_or_default();
        let flags = super::field(&info, "flags:").and_then(|flags| u32::from_str_radix(flags, 8).ok());
        flags.is_some_and(|flags| match flags & 3 {
            0 => !writing,
            1 => writing,
            _ => true,
        })
    }
}

/// Whether a process has one thread and no children: where that one stands still, all of it does.
pub(crate) fn is_alone(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).map_or(0, |threads| threads.take(2).count());
    threads == 1
        && fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).is_ok_and(|c| c.trim().is_empty())
}

fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten().take(MAX_THREADS);
    let mut out = Vec::new();
    for thread in threads {
        let text = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        out.extend(text.split_ascii_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        if out.len() >= MAX_CHILDREN {
            break;
        }
    }
    out.truncate(MAX_CHILDREN);
    out
}

fn link(pid: u32, fd: i32) -> Option<String> {
    fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?.into_os_string().into_string().ok()
}

fn socket(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// `tfd:        8 events:       19 data: …`, of each file that an epoll watches.
fn watched(pid: u32, epoll: i32) -> Vec<(i32, u32)> {
    let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{epoll}")).unwrap_or_default();
    let parse = |line: &str| {
        let mut words = line.strip_prefix("tfd:")?.split_ascii_whitespace();
        let fd = words.next()?.parse().ok()?;
        Some((fd, u32::from_str_radix(words.nth(1)?, 16).ok()?))
    };
    info.lines().filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};

    #[test]
    fn knows_both_ends_of_a_child_s_pipes() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .expect("a child");
        let stdin = child.stdin.take().expect("a pipe");
        let family = Family::read(std::process::id());
        let end = family.our_end(child.id(), 0, true).map(|(fd, _)| fd);
        assert_eq!(
            (end, family.child_behind(stdin.as_raw_fd())),
            (Some(stdin.as_raw_fd()), Some(child.id()))
        );
        assert_eq!(family.our_end(child.id(), 0, false), None);
        if Kernel::open().is_some() {
            assert_eq!(family.child_behind(ours.as_raw_fd()), Some(child.id()));
        }
        assert!(is_alone(child.id()) && !is_alone(std::process::id()));
        drop(stdin);
        assert!(child.wait().expect("an end").success());
    }
}
