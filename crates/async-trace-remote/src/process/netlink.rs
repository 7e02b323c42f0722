//! What the kernel tells of sockets over `NETLINK_SOCK_DIAG`, as `ss -i` asks for it: what has gone over a TCP connection
//! and when, and which Unix socket is the other end of another.
//!
//! It needs no privilege, but says something of our own network namespace only. Each socket is asked for by itself, some in
//! one call: a machine may have many more of them than anybody waits on.

use async_trace_core::snapshot::Traffic;
use rustix::fd::OwnedFd;
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};
use std::net::{IpAddr, SocketAddr};

/// `SOCK_DIAG_BY_FAMILY`, include/uapi/linux/sock_diag.h.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// `nlmsghdr`.
const HEADER: usize = 16;
/// `inet_diag_msg`, include/uapi/linux/inet_diag.h.
const INET_MESSAGE: usize = 72;
/// `unix_diag_msg`, include/uapi/linux/unix_diag.h.
const UNIX_MESSAGE: usize = 16;
/// `INET_DIAG_INFO`, of which the extension's bit is one less.
const INET_INFO: u16 = 2;
/// `UNIX_DIAG_PEER`, and the bit that asks for it.
const UNIX_PEER: u16 = 2;
const SHOW_PEER: u32 = 4;
/// `IPPROTO_TCP`.
const TCP: u8 = 6;
/// So many sockets are asked for in one call: the answers have to fit into the buffer of a socket.
const AT_ONCE: usize = 32;

/// A way to ask.
pub(super) struct Kernel {
    socket: OwnedFd,
}

impl Kernel {
    /// Nothing where the kernel, or what guards this process, lets nobody ask.
    pub(super) fn open() -> Option<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(SOCK_DIAG)).ok()?;
        Some(Self { socket })
    }

    /// What has gone over TCP connections from one address to another; nothing for one that there is not, or not any more.
    pub(super) fn traffic(&self, connections: &[(SocketAddr, SocketAddr)]) -> Vec<Option<Traffic>> {
        let requests = connections.iter().map(|(local, peer)| inet_request(*local, *peer)).collect();
        self.ask(requests, traffic)
    }

    /// The inodes of the sockets at the other end of Unix sockets.
    pub(super) fn unix_peers(&self, inodes: &[u64]) -> Vec<Option<u64>> {
        self.ask(inodes.iter().map(|inode| unix_request(*inode)).collect(), unix_peer)
    }

    /// Each answer, as it is understood, in the order of the requests.
    fn ask<T>(&self, requests: Vec<Vec<u8>>, understood: impl Fn(&[u8]) -> Option<T>) -> Vec<Option<T>> {
        let mut out: Vec<Option<T>> = requests.iter().map(|_| None).collect();
        let mut buffer = vec![0; 32 * 1024];
        for (part, requests) in requests.chunks(AT_ONCE).enumerate() {
            let mut text = Vec::new();
            for (number, request) in requests.iter().enumerate() {
                put_message(&mut text, (part * AT_ONCE + number) as u32, request);
            }
            let kernel = SocketAddrNetlink::new(0, 0);
            if sendto(&self.socket, &text, SendFlags::empty(), &kernel).is_err() {
                break;
            }
            // The kernel has answered when the call returns.
            let mut missing = requests.len();
            while missing > 0 {
                let Ok((_, length)) = recv(&self.socket, &mut buffer[..], RecvFlags::empty()) else { break };
                for (kind, number, body) in messages(&buffer[..length.min(buffer.len())]) {
                    missing = missing.saturating_sub(1);
                    if kind != ERROR
                        && let Some(place) = out.get_mut(number as usize)
                    {
                        *place = understood(body);
                    }
                }
            }
        }
        out
    }
}

fn put_message(out: &mut Vec<u8>, number: u32, body: &[u8]) {
    out.extend(((HEADER + body.len()) as u32).to_ne_bytes());
    out.extend(BY_FAMILY.to_ne_bytes());
    out.extend(REQUEST.to_ne_bytes());
    out.extend(number.to_ne_bytes());
    out.extend(0_u32.to_ne_bytes());
    out.extend(body);
}

/// The kind, number and body of each message.
fn messages(mut text: &[u8]) -> impl Iterator<Item = (u16, u32, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32_at(text, 0)? as usize;
        let (kind, number) = (u16_at(text, 4)?, u32_at(text, 8)?);
        let body = text.get(HEADER..length)?;
        text = text.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, number, body))
    })
}

/// The value of an attribute among those that follow a message.
fn attribute(mut text: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = u16_at(text, 0)? as usize;
        let kind = u16_at(text, 2)?;
        let value = text.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        text = text.get(length.next_multiple_of(4)..)?;
    }
}

/// `inet_diag_req_v2`.
fn inet_request(local: SocketAddr, peer: SocketAddr) -> Vec<u8> {
    let is_v4 = local.is_ipv4() && peer.is_ipv4();
    let family = if is_v4 { AddressFamily::INET } else { AddressFamily::INET6 };
    let mut out = vec![family.as_raw() as u8, TCP, 1 << (INET_INFO - 1), 0];
    out.extend(u32::MAX.to_ne_bytes());
    out.extend(local.port().to_be_bytes());
    out.extend(peer.port().to_be_bytes());
    for ip in [local.ip(), peer.ip()] {
        let mut bytes = [0; 16];
        match ip {
            IpAddr::V4(ip) if is_v4 => bytes[..4].copy_from_slice(&ip.octets()),
            IpAddr::V4(ip) => bytes = ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => bytes = ip.octets(),
        }
        out.extend(bytes);
    }
    // Whatever interface; and `INET_DIAG_NOCOOKIE`.
    out.extend(0_u32.to_ne_bytes());
    out.extend([0xff; 8]);
    out
}

/// `unix_diag_req`.
fn unix_request(inode: u64) -> Vec<u8> {
    let mut out = vec![AddressFamily::UNIX.as_raw() as u8, 0, 0, 0];
    out.extend(u32::MAX.to_ne_bytes());
    out.extend((inode as u32).to_ne_bytes());
    out.extend(SHOW_PEER.to_ne_bytes());
    out.extend([0xff; 8]);
    out
}

/// From an `inet_diag_msg` and its `tcp_info`, include/uapi/linux/tcp.h.
fn traffic(answer: &[u8]) -> Option<Traffic> {
    // ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING: to others nothing has happened yet, or nothing will.
    if !matches!(answer.get(1)?, 1 | 4 | 5 | 8 | 9 | 11) {
        return None;
    }
    let info = attribute(answer.get(INET_MESSAGE..)?, INET_INFO)?;
    Some(Traffic {
        received: u64_at(info, 128)?,
        sent: u64_at(info, 120)?,
        received_ms: u32_at(info, 52)?.into(),
        sent_ms: u32_at(info, 44)?.into(),
        unsent: u32_at(answer, 60)?.into(),
        unread: u32_at(answer, 56)?.into(),
    })
}

fn unix_peer(answer: &[u8]) -> Option<u64> {
    let peer = attribute(answer.get(UNIX_MESSAGE..)?, UNIX_PEER)?;
    Some(u32_at(peer, 0)?.into())
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    /// Nothing, with a word about it, where this machine lets nobody ask.
    fn kernel() -> Option<Kernel> {
        let kernel = Kernel::open();
        if kernel.is_none() {
            eprintln!("the kernel is not to be asked here");
        }
        kernel
    }

    fn pair(listener: &TcpListener) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("a client");
        (client, listener.accept().expect("a connection").0)
    }

    fn ends(stream: &TcpStream) -> (SocketAddr, SocketAddr) {
        (stream.local_addr().expect("here"), stream.peer_addr().expect("there"))
    }

    #[test]
    fn tells_what_has_gone_over_connections() {
        let Some(kernel) = kernel() else { return };
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(host) else { continue };
            let (mut client, mut server) = pair(&listener);
            client.write_all(b"hello").expect("room");
            server.read_exact(&mut [0; 5]).expect("it comes");
            let nobody = (ends(&client).0, "127.0.0.1:1".parse().expect("an address"));
            let answers = kernel.traffic(&[nobody, ends(&client), ends(&server)]);
            let [None, Some(client), Some(server)] = &answers[..] else { panic!("{answers:?}") };
            assert_eq!((client.received, server.received, server.unread), (0, 5, 0));
            assert!(client.sent + client.unsent >= 5 && client.sent_ms < 60_000, "{client:?}");
        }
    }

    #[test]
    fn tells_what_the_other_end_does_not_take() {
        let Some(kernel) = kernel() else { return };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let (mut client, server) = pair(&listener);
        client.set_nonblocking(true).expect("it can");
        while client.write(&[0; 65536]).is_ok() {}
        let answers = kernel.traffic(&[ends(&client), ends(&server)]);
        let [Some(client), Some(server)] = &answers[..] else { panic!("{answers:?}") };
        assert!(client.unsent > 0 && server.unread > 0, "{client:?} {server:?}");
    }

    #[test]
    fn asks_for_many_at_once() {
        let Some(kernel) = kernel() else { return };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let pairs: Vec<_> = (0..100).map(|_| pair(&listener)).collect();
        let asked: Vec<_> = pairs.iter().map(|(client, _)| ends(client)).collect();
        assert!(kernel.traffic(&asked).iter().all(Option::is_some));
    }

    #[test]
    fn knows_the_other_end_of_a_unix_socket() {
        let Some(kernel) = kernel() else { return };
        let inode = |end: &UnixStream| -> u64 {
            let link = std::fs::read_link(format!("/proc/self/fd/{}", end.as_raw_fd())).expect("a link");
            let text = link.to_string_lossy().into_owned();
            text.trim_start_matches("socket:[").trim_end_matches(']').parse().expect("a number")
        };
        let (left, right) = UnixStream::pair().expect("a pair");
        assert_eq!(kernel.unix_peers(&[1, inode(&left)]), [None, Some(inode(&right))]);
    }

    proptest! {
        #[test]
        fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            for (_, _, body) in messages(&text).take(100) {
                let _ = (traffic(body), unix_peer(body));
            }
            let _ = (traffic(&text), unix_peer(&text), attribute(&text, 7));
        }
    }
}
