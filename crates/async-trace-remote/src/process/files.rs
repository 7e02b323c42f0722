//! Open files of a process in words: addresses for sockets, paths for files.

use super::identity::field;
use super::sockets::Sockets;
use async_trace_core::snapshot::{FileKind, OpenFile};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;

/// Describes the open files of one process. The tables of sockets are read when the first socket is
/// asked for, and once.
pub struct Files {
    pid: u32,
    sockets: Sockets,
}

/// What the link in `/proc/PID/fd` says.
#[derive(Debug, PartialEq, Eq)]
enum Link<'a> {
    Socket(u64),
    Pipe(&'a str),
    /// Without a path: `eventpoll`, `inotify`, …
    Anonymous(&'a str),
    Path(&'a str),
}

impl<'a> Link<'a> {
    fn parse(text: &'a str) -> Self {
        let inside = |prefix: &str| text.strip_prefix(prefix)?.strip_suffix(']');
        if let Some(inode) = inside("socket:[").and_then(|inode| inode.parse().ok()) {
            Self::Socket(inode)
        } else if let Some(number) = inside("pipe:[") {
            Self::Pipe(number)
        } else if let Some(name) = text.strip_prefix("anon_inode:") {
            Self::Anonymous(name.trim_start_matches('[').trim_end_matches(']'))
        } else {
            Self::Path(text)
        }
    }
}

impl Files {
    /// For process `pid`.
    #[must_use]
    pub fn new(pid: u32) -> Self {
        Self { pid, sockets: Sockets::new(pid) }
    }

    /// What the descriptor `fd` is. Without permission, or where it is not open, that is not known.
    pub fn describe(&mut self, fd: i32) -> OpenFile {
        let mut file = OpenFile { fd, ..OpenFile::default() };
        let path = format!("/proc/{}/fd/{fd}", self.pid);
        let Ok(link) = fs::read_link(&path) else { return file };
        let link = String::from_utf8_lossy(link.as_os_str().as_bytes());
        match Link::parse(&link) {
            Link::Socket(inode) => {
                file.kind = FileKind::Socket;
                if let Some(socket) = self.sockets.find(inode) {
                    file.kind = socket.kind;
                    file.local = socket.local;
                    file.peer = socket.peer;
                    file.status = socket.status;
                }
            }
            Link::Pipe(number) => {
                file.kind = FileKind::Pipe;
                file.local = Some(number.into());
            }
            Link::Anonymous(name) => {
                file.kind = FileKind::Event;
                file.local = Some(match self.process_behind(name, fd) {
                    Some(pid) => format!("pidfd of process {pid}").into(),
                    None => name.into(),
                });
            }
            Link::Path(text) => {
                // Through the link, which leads to the open file even where its name is gone.
                let fifo = fs::metadata(&path).is_ok_and(|metadata| metadata.file_type().is_fifo());
                file.kind = if fifo { FileKind::Pipe } else { FileKind::File };
                file.local = Some(text.into());
            }
        }
        file
    }

    fn process_behind(&self, name: &str, fd: i32) -> Option<u32> {
        let info =
            (name == "pidfd").then(|| fs::read_to_string(format!("/proc/{}/fdinfo/{fd}", self.pid)))?;
        field(&info.ok()?, "Pid:")?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    fn describe(file: &impl AsRawFd) -> OpenFile {
        Files::new(std::process::id()).describe(file.as_raw_fd())
    }

    #[test]
    fn reads_links() {
        assert_eq!(Link::parse("socket:[123]"), Link::Socket(123));
        assert_eq!(Link::parse("socket:[x]"), Link::Path("socket:[x]"));
        assert_eq!(Link::parse("pipe:[9]"), Link::Pipe("9"));
        assert_eq!(Link::parse("anon_inode:[eventpoll]"), Link::Anonymous("eventpoll"));
        assert_eq!(Link::parse("anon_inode:inotify"), Link::Anonymous("inotify"));
        assert_eq!(Link::parse("/a (deleted)"), Link::Path("/a (deleted)"));
    }

    #[test]
    fn names_both_ends_of_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("a client");
        let (at, from) = (listener.local_addr().expect("here"), client.local_addr().expect("there"));
        let file = describe(&listener);
        assert_eq!((file.kind, file.status.as_deref()), (FileKind::Tcp, Some("LISTEN")));
        assert_eq!((file.local.as_deref(), file.peer), (Some(at.to_string().as_str()), None));
        let file = describe(&client);
        assert_eq!((file.kind, file.status.as_deref()), (FileKind::Tcp, Some("ESTABLISHED")));
        assert_eq!(file.local.as_deref(), Some(from.to_string().as_str()));
        assert_eq!(file.peer.as_deref(), Some(at.to_string().as_str()));
    }

    #[test]
    fn knows_the_other_kinds() {
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        assert_eq!(describe(&udp).kind, FileKind::Udp);
        let (left, _right) = UnixStream::pair().expect("a pair");
        assert_eq!(describe(&left).kind, FileKind::Unix);
        let (reader, _writer) = std::io::pipe().expect("a pipe");
        assert_eq!(describe(&reader).kind, FileKind::Pipe);
        let file = fs::File::open("/dev/null").expect("a device");
        assert_eq!(
            (describe(&file).kind, describe(&file).local.as_deref()),
            (FileKind::File, Some("/dev/null"))
        );
        let closed = Files::new(std::process::id()).describe(i32::MAX);
        assert_eq!((closed.kind, closed.local), (FileKind::Unknown, None));
    }
}
