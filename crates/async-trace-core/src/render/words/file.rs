//! Sockets, pipes and other files.

use super::super::Role;
use super::super::line::Line;
use super::{NAMES, Speaker, Wait};
use crate::snapshot::{FileKind, OpenFile, Target, Verb};

impl Speaker<'_> {
    pub(super) fn file_wait(&self, line: &mut Line, wait: &Wait<'_>, file: &OpenFile) {
        line.say(match wait.wait.verb {
            Verb::Read => "waits to read from ",
            Verb::Write => "waits to write to ",
            Verb::Connect => "waits to connect to ",
            Verb::Accept => "waits for connections on ",
            _ => "waits for ",
        });
        let others = wait
            .many
            .iter()
            .filter_map(|w| if let Target::File { file } = &w.target { Some(file) } else { None });
        if others.clone().any(|other| other.fd != file.fd) {
            line.say("a ").put(Role::Resource, noun(file.kind)).say(" of its own (fd ");
            let mut fds: Vec<i32> = others.map(|f| f.fd).take(NAMES).collect();
            fds.dedup();
            for (i, fd) in fds.iter().enumerate() {
                line.say(if i > 0 { ", " } else { "" }).show(Role::Plain, fd);
            }
            if wait.many.len() > fds.len() {
                line.say(", ").say(self.glyphs.ellipsis);
            }
            line.say(")");
            return;
        }
        // Whoever connects or listens has one end only, and an address says it all.
        let end = match wait.wait.verb {
            Verb::Connect => file.peer.as_ref(),
            Verb::Accept => file.local.as_ref(),
            _ => None,
        };
        match end {
            Some(end) => _ = line.put(Role::Resource, end),
            None => self.ends(line, file),
        }
        descriptor(line, file);
    }

    /// `TCP 10.0.0.1:40112 → 10.0.0.2:5432 (fd 17)`.
    pub(in super::super) fn file(&self, line: &mut Line, file: &OpenFile) {
        self.ends(line, file);
        descriptor(line, file);
    }

    fn ends(&self, line: &mut Line, file: &OpenFile) {
        line.put(Role::Resource, noun(file.kind));
        match (&file.local, &file.peer) {
            (Some(local), Some(peer)) => {
                line.say(" ").put(Role::Resource, local).say(self.glyphs.to).put(Role::Resource, peer);
            }
            (Some(end), None) | (None, Some(end)) => _ = line.say(" ").put(Role::Resource, end),
            (None, None) => {}
        }
    }
}

/// ` (fd 17, closed by the other end)`.
fn descriptor(line: &mut Line, file: &OpenFile) {
    line.say(" (fd ").show(Role::Plain, file.fd);
    match file.status.as_deref() {
        None | Some("ESTABLISHED" | "LISTEN") => {}
        Some("CLOSE_WAIT") => _ = line.say(", closed by the other end"),
        Some(status) => _ = line.say(", ").say(status),
    }
    line.say(")");
}

fn noun(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Tcp => "TCP connection",
        FileKind::Udp => "UDP socket",
        FileKind::Unix => "Unix socket",
        FileKind::Socket => "socket",
        FileKind::Pipe => "pipe",
        FileKind::Event => "event descriptor",
        FileKind::File => "file",
        FileKind::Unknown => "descriptor",
    }
}
