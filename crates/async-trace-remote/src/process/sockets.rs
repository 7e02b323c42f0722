//! The kernel's tables of sockets, `/proc/PID/net/*`: addresses and states by inode.

use async_trace_core::snapshot::FileKind;
use async_trace_core::text::Text;
use rustc_hash::FxHashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What is read of one table: about half a million sockets.
const MAX_BYTES: u64 = 64 << 20;

/// A socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    pub kind: FileKind,
    pub local: Option<Text>,
    pub peer: Option<Text>,
    pub status: Option<Text>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    Tcp,
    Udp,
    Unix,
}

/// In the order in which they are read, each only when the socket was not in the ones before.
const TABLES: [(&str, Table); 5] = [
    ("tcp", Table::Tcp),
    ("tcp6", Table::Tcp),
    ("unix", Table::Unix),
    ("udp", Table::Udp),
    ("udp6", Table::Udp),
];

/// An entry as small as it can be kept, because most are never asked for.
enum Entry {
    Inet { kind: Table, local: SocketAddr, peer: SocketAddr, state: u8 },
    Unix { path: Option<Box<str>>, listens: bool, state: u8 },
}

/// The sockets of the network namespace that a process lives in.
pub(super) struct Sockets {
    pid: u32,
    entries: FxHashMap<u64, Entry>,
    next: usize,
}

impl Sockets {
    pub(super) fn new(pid: u32) -> Self {
        Self { pid, entries: FxHashMap::default(), next: 0 }
    }

    /// The socket with this inode.
    pub(super) fn find(&mut self, inode: u64) -> Option<Socket> {
        while !self.entries.contains_key(&inode) {
            let &(name, table) = TABLES.get(self.next)?;
            self.next += 1;
            if let Ok(file) = File::open(format!("/proc/{}/net/{name}", self.pid)) {
                self.load(table, BufReader::with_capacity(256 * 1024, file.take(MAX_BYTES)));
            }
        }
        self.entries.get(&inode).map(describe)
    }

    fn load(&mut self, table: Table, mut text: impl BufRead) {
        let mut line = Vec::new();
        // The first line is a heading, which does not parse.
        while text.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            let shown = String::from_utf8_lossy(&line);
            let entry = if table == Table::Unix { unix(&shown) } else { inet(table, &shown) };
            if let Some((inode, entry)) = entry.filter(|&(inode, _)| inode != 0) {
                self.entries.entry(inode).or_insert(entry);
            }
            line.clear();
        }
    }
}

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …`
fn inet(kind: Table, line: &str) -> Option<(u64, Entry)> {
    let mut words = line.split_ascii_whitespace();
    let local = address(words.nth(1)?)?;
    let peer = address(words.next()?)?;
    let state = u8::from_str_radix(words.next()?, 16).ok()?;
    let inode = words.nth(5)?.parse().ok()?;
    Some((inode, Entry::Inet { kind, local, peer, state }))
}

/// `Num RefCount Protocol Flags Type St Inode Path`
fn unix(line: &str) -> Option<(u64, Entry)> {
    /// `SO_ACCEPTCON`, include/uapi/linux/net.h.
    const LISTENS: u32 = 1 << 16;
    let mut words = line.split_ascii_whitespace();
    let flags = u32::from_str_radix(words.nth(3)?, 16).ok()?;
    let state = u8::from_str_radix(words.nth(1)?, 16).ok()?;
    let inode = words.next()?;
    // A path may contain spaces.
    let path = words.next().and_then(|first| line.get(first.as_ptr() as usize - line.as_ptr() as usize..));
    let path = path.map(|path| path.trim_end_matches('\n').into());
    Some((inode.parse().ok()?, Entry::Unix { path, listens: flags & LISTENS != 0, state }))
}

/// `0100007F:1F90`: 32-bit words in the machine's order, of an address in the network's.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match ip.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (i, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(i * 8)?);
            }
            IpAddr::from(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn describe(entry: &Entry) -> Socket {
    match entry {
        Entry::Inet { kind, local, peer, state } => Socket {
            kind: if *kind == Table::Tcp { FileKind::Tcp } else { FileKind::Udp },
            local: Some(local.to_string().into()),
            peer: (peer.port() != 0).then(|| peer.to_string().into()),
            // For UDP the states have these numbers, but not this meaning.
            status: tcp_state(*state).filter(|_| *kind == Table::Tcp).map(Text::from),
        },
        Entry::Unix { path, listens, state } => Socket {
            kind: FileKind::Unix,
            local: path.as_deref().map(Text::from),
            peer: None,
            status: match (listens, state) {
                (true, _) => Some("LISTEN".into()),
                (false, 3) => Some("CONNECTED".into()),
                _ => None,
            },
        },
    }
}

/// include/net/tcp_states.h
fn tcp_state(state: u8) -> Option<&'static str> {
    Some(match state {
        1 => "ESTABLISHED",
        2 => "SYN_SENT",
        3 | 12 => "SYN_RECV",
        4 => "FIN_WAIT1",
        5 => "FIN_WAIT2",
        6 => "TIME_WAIT",
        7 => "CLOSE",
        8 => "CLOSE_WAIT",
        9 => "LAST_ACK",
        10 => "LISTEN",
        11 => "CLOSING",
        _ => return None,
    })
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn load(table: Table, text: &str) -> Sockets {
        let mut sockets = Sockets::new(0);
        sockets.next = TABLES.len();
        sockets.load(table, text.as_bytes());
        sockets
    }

    fn shown(socket: Option<Socket>) -> String {
        let Some(socket) = socket else { return "nothing".into() };
        let or = |text: Option<Text>| text.unwrap_or_else(|| "-".into());
        format!("{:?} {} {} {}", socket.kind, or(socket.local), or(socket.peer), or(socket.status))
    }

    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1 0 100 0 0 10 0
   1: 0100007F:C350 0100007F:1538 01 00000000:00000000 00:00000000 00000000  1000        0 102 1 0 20 4 30 10 -1
   2: 0100007F:C351 0100007F:1538 06 00000000:00000000 03:00001234 00000000     0        0 0 3 0
   3: 0500000A:C352 0100000A:01BB 08 00000000:00000001 00:00000000 00000000     0        0 103 1 0 20 4 30 10 -1
";

    #[test]
    fn reads_tcp() {
        let mut sockets = load(Table::Tcp, TCP);
        assert_eq!(shown(sockets.find(101)), "Tcp 127.0.0.1:8080 - LISTEN");
        assert_eq!(shown(sockets.find(102)), "Tcp 127.0.0.1:50000 127.0.0.1:5432 ESTABLISHED");
        assert_eq!(shown(sockets.find(103)), "Tcp 10.0.0.5:50002 10.0.0.1:443 CLOSE_WAIT");
        assert_eq!((shown(sockets.find(0)), sockets.entries.len()), ("nothing".into(), 3));
    }

    #[test]
    fn reads_ipv6_and_shows_mapped_addresses_as_ipv4() {
        let text = "\
   0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 7 1
   1: 0000000000000000FFFF00000100007F:0050 0000000000000000FFFF00000100007F:C000 01 0:0 0:0 0 0 0 8 1
";
        let mut sockets = load(Table::Tcp, text);
        assert_eq!(shown(sockets.find(7)), "Tcp [::1]:80 - LISTEN");
        assert_eq!(shown(sockets.find(8)), "Tcp 127.0.0.1:80 127.0.0.1:49152 ESTABLISHED");
    }

    #[test]
    fn reads_udp_and_unix() {
        let udp = "  512: 3500007F:0035 00000000:0000 07 0:0 0:0 0 101 0 55 2 0 0\n";
        assert_eq!(shown(load(Table::Udp, udp).find(55)), "Udp 127.0.0.53:53 - -");
        let text = "\
Num       RefCount Protocol Flags    Type St Inode Path
ffff8880: 00000002 00000000 00010000 0001 01 21 /run/my app.sock
ffff8881: 00000003 00000000 00000000 0001 03 22
ffff8882: 00000003 00000000 00000000 0002 01 23 @abstract
";
        let mut sockets = load(Table::Unix, text);
        assert_eq!(shown(sockets.find(21)), "Unix /run/my app.sock - LISTEN");
        assert_eq!(shown(sockets.find(22)), "Unix - - CONNECTED");
        assert_eq!(shown(sockets.find(23)), "Unix @abstract - -");
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,200}", cut in 0..TCP.len()) {
            for table in [Table::Tcp, Table::Unix] {
                load(table, &text);
                load(table, &TCP[..cut]);
            }
        }
    }
}
