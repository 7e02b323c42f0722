//! What a thread does in the kernel, in words for those who do not know the kernel's.

use super::super::Role;
use super::super::line::Line;
use super::Speaker;
use crate::snapshot::Syscall;

impl Speaker<'_> {
    /// `reads (recvfrom) from TCP connection … (fd 17)`, `sleeps (clock_nanosleep)`.
    pub(in super::super) fn syscall(&self, line: &mut Line, call: &Syscall) {
        let name = call.name.as_ref();
        let words = match name {
            "nanosleep" | "clock_nanosleep" => "sleeps",
            "futex" => "waits for a lock or another thread",
            "read" | "readv" | "pread64" | "recv" | "recvfrom" | "recvmsg" => "reads",
            "write" | "writev" | "pwrite64" | "send" | "sendto" | "sendmsg" | "sendfile" => "writes",
            "connect" => "connects",
            "accept" | "accept4" => "waits for a connection",
            "poll" | "ppoll" | "select" | "pselect6" | "epoll_wait" | "epoll_pwait" | "epoll_pwait2" => {
                "waits for something to happen"
            }
            "wait4" | "waitid" => "waits for a child process",
            "flock" => "waits for a file lock",
            "fsync" | "fdatasync" | "sync" | "syncfs" | "msync" => "waits for the disk",
            _ => "is in a system call",
        };
        line.say(words).say(" (").put(Role::Resource, name).say(")");
        if let Some(file) = &call.file {
            line.say(match words {
                "reads" => " from ",
                "writes" | "connects" => " to ",
                _ => " on ",
            });
            self.file(line, file);
        }
    }
}
