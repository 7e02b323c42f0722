//! System calls in words: their names, and the file they work on.
//!
//! The calls that a thread of a Python program can be found in. The numbers are those of
//! `asm/unistd_64.h` (x86_64) and `asm-generic/unistd.h` (aarch64 and all later architectures).

use crate::elf::loaded::Read;
use serde::{Deserialize, Serialize};

/// A system call in progress: its number and arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawSyscall {
    /// The number, which means something else on each architecture.
    pub number: u64,
    /// The arguments.
    pub args: [u64; 6],
}

impl RawSyscall {
    /// Its name, `recvfrom`; nothing for one that is not in the table.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        self.known().map(|call| call.name)
    }

    /// The descriptor of the file that it works on.
    ///
    /// A socket with a timeout is waited for by a `poll` of that one descriptor, which lies in
    /// memory.
    #[must_use]
    pub fn file(&self, read: Read<'_>) -> Option<i32> {
        let call = self.known()?;
        let fd = match (call.name, self.args) {
            ("poll" | "ppoll", [fds, 1, ..]) => {
                let mut fd = [0; 4];
                read(fds, &mut fd).then_some(i32::from_ne_bytes(fd))?
            }
            // The kernel takes the lower half, and the upper one may be anything.
            (_, args) => (args.get(call.file?)? & 0xffff_ffff) as u32 as i32,
        };
        (fd >= 0).then_some(fd)
    }

    /// The address that it sleeps on, where it is a `futex`.
    #[must_use]
    pub fn futex(&self) -> Option<u64> {
        (self.name() == Some("futex")).then_some(self.args[0])
    }

    /// Whether it is a wait for many files at once: what an idle event loop does.
    #[must_use]
    pub fn is_selector_wait(&self) -> bool {
        self.name().is_some_and(is_selector_wait)
    }

    /// The call that it really is. One that the kernel takes up again after a stop is `restart_syscall` from then on, with
    /// the arguments it had; which it was tells the kernel's function in which the thread sleeps, its `wchan`.
    #[must_use]
    pub fn resumed(self, wchan: impl FnOnce() -> Option<String>) -> Self {
        if self.name() != Some("restart_syscall") {
            return self;
        }
        let function = wchan().unwrap_or_default();
        let name = RESTARTED.iter().find(|(prefix, _)| function.starts_with(prefix)).map(|(_, name)| *name);
        let number = name.and_then(|name| CALLS.iter().find(|call| call.name == name)).map(Call::number);
        number.map_or(self, |number| Self { number: number.into(), ..self })
    }

    fn known(&self) -> Option<&'static Call> {
        let number = u16::try_from(self.number).ok().filter(|&number| number != NONE)?;
        CALLS.iter().find(|call| call.number() == number)
    }
}

/// Whether a system call waits for many files at once: what an idle event loop does.
#[must_use]
pub fn is_selector_wait(name: &str) -> bool {
    matches!(
        name,
        "epoll_wait"
            | "epoll_pwait"
            | "epoll_pwait2"
            | "poll"
            | "ppoll"
            | "select"
            | "pselect6"
            | "io_uring_enter"
    )
}

struct Call {
    name: &'static str,
    x86_64: u16,
    aarch64: u16,
    /// Which argument is a file descriptor.
    file: Option<usize>,
}

impl Call {
    const fn number(&self) -> u16 {
        if cfg!(target_arch = "aarch64") { self.aarch64 } else { self.x86_64 }
    }
}

/// Functions of the kernel, by how their names begin, and the call that sleeps there (those that set a
/// `restart_block`).
const RESTARTED: [(&str, &str); 5] = [
    ("poll_schedule_timeout", POLL),
    ("do_sys_poll", POLL),
    ("hrtimer_nanosleep", "clock_nanosleep"),
    ("do_nanosleep", "clock_nanosleep"),
    ("futex_", "futex"),
];

/// Newer architectures have only the one with a signal mask.
const POLL: &str = if cfg!(target_arch = "aarch64") { "ppoll" } else { "poll" };

/// The architecture has no such call.
const NONE: u16 = u16::MAX;

const fn call(name: &'static str, x86_64: u16, aarch64: u16, file: Option<usize>) -> Call {
    Call { name, x86_64, aarch64, file }
}

#[rustfmt::skip]
const CALLS: &[Call] = &[
    call("read", 0, 63, Some(0)),
    call("write", 1, 64, Some(0)),
    call("pread64", 17, 67, Some(0)),
    call("pwrite64", 18, 68, Some(0)),
    call("readv", 19, 65, Some(0)),
    call("writev", 20, 66, Some(0)),
    call("preadv", 295, 69, Some(0)),
    call("pwritev", 296, 70, Some(0)),
    call("preadv2", 327, 286, Some(0)),
    call("pwritev2", 328, 287, Some(0)),
    call("open", 2, NONE, None),
    call("openat", 257, 56, None),
    call("openat2", 437, 437, None),
    call("creat", 85, NONE, None),
    call("close", 3, 57, Some(0)),
    call("close_range", 436, 436, None),
    call("stat", 4, NONE, None),
    call("fstat", 5, 80, Some(0)),
    call("lstat", 6, NONE, None),
    call("newfstatat", 262, 79, None),
    call("statx", 332, 291, None),
    call("statfs", 137, 43, None),
    call("fstatfs", 138, 44, Some(0)),
    call("poll", 7, NONE, None),
    call("ppoll", 271, 73, None),
    call("select", 23, NONE, None),
    call("pselect6", 270, 72, None),
    call("epoll_wait", 232, NONE, Some(0)),
    call("epoll_pwait", 281, 22, Some(0)),
    call("epoll_pwait2", 441, 441, Some(0)),
    call("epoll_ctl", 233, 21, Some(0)),
    call("accept", 43, 202, Some(0)),
    call("accept4", 288, 242, Some(0)),
    call("connect", 42, 203, Some(0)),
    call("recvfrom", 45, 207, Some(0)),
    call("recvmsg", 47, 212, Some(0)),
    call("recvmmsg", 299, 243, Some(0)),
    call("sendto", 44, 206, Some(0)),
    call("sendmsg", 46, 211, Some(0)),
    call("sendmmsg", 307, 269, Some(0)),
    call("shutdown", 48, 210, Some(0)),
    call("sendfile", 40, 71, Some(1)),
    call("splice", 275, 76, Some(0)),
    call("tee", 276, 77, Some(0)),
    call("vmsplice", 278, 75, Some(0)),
    call("copy_file_range", 326, 285, Some(0)),
    call("fsync", 74, 82, Some(0)),
    call("fdatasync", 75, 83, Some(0)),
    call("sync", 162, 81, None),
    call("syncfs", 306, 267, Some(0)),
    call("sync_file_range", 277, 84, Some(0)),
    call("msync", 26, 227, None),
    call("flock", 73, 32, Some(0)),
    call("fcntl", 72, 25, Some(0)),
    call("ioctl", 16, 29, Some(0)),
    call("truncate", 76, 45, None),
    call("ftruncate", 77, 46, Some(0)),
    call("fallocate", 285, 47, Some(0)),
    call("fadvise64", 221, 223, Some(0)),
    call("getdents", 78, NONE, Some(0)),
    call("getdents64", 217, 61, Some(0)),
    call("access", 21, NONE, None),
    call("faccessat", 269, 48, None),
    call("faccessat2", 439, 439, None),
    call("readlink", 89, NONE, None),
    call("readlinkat", 267, 78, None),
    call("unlink", 87, NONE, None),
    call("unlinkat", 263, 35, None),
    call("rename", 82, NONE, None),
    call("renameat", 264, 38, None),
    call("renameat2", 316, 276, None),
    call("mkdir", 83, NONE, None),
    call("mkdirat", 258, 34, None),
    call("rmdir", 84, NONE, None),
    call("link", 86, NONE, None),
    call("linkat", 265, 37, None),
    call("symlink", 88, NONE, None),
    call("symlinkat", 266, 36, None),
    call("chmod", 90, NONE, None),
    call("fchmod", 91, 52, Some(0)),
    call("fchmodat", 268, 53, None),
    call("chown", 92, NONE, None),
    call("futex", 202, 98, None),
    call("futex_wait", 455, 455, None),
    call("futex_waitv", 449, 449, None),
    call("nanosleep", 35, 101, None),
    call("clock_nanosleep", 230, 115, None),
    call("pause", 34, NONE, None),
    call("rt_sigsuspend", 130, 133, None),
    call("rt_sigtimedwait", 128, 137, None),
    call("wait4", 61, 260, None),
    call("waitid", 247, 95, None),
    call("restart_syscall", 219, 128, None),
    call("io_getevents", 208, 4, None),
    call("io_pgetevents", 333, 292, None),
    call("io_uring_enter", 426, 426, Some(0)),
    call("semop", 65, 193, None),
    call("semtimedop", 220, 192, None),
    call("msgrcv", 70, 188, None),
    call("msgsnd", 69, 189, None),
    call("mq_timedreceive", 243, 183, Some(0)),
    call("mq_timedsend", 242, 182, Some(0)),
    call("sched_yield", 24, 124, None),
    call("execve", 59, 221, None),
    call("execveat", 322, 281, None),
    call("exit", 60, 93, None),
    call("exit_group", 231, 94, None),
    call("fork", 57, NONE, None),
    call("vfork", 58, NONE, None),
    call("clone", 56, 220, None),
    call("clone3", 435, 435, None),
    call("mmap", 9, 222, None),
    call("munmap", 11, 215, None),
    call("mremap", 25, 216, None),
    call("mprotect", 10, 226, None),
    call("madvise", 28, 233, None),
    call("brk", 12, 214, None),
    call("getrandom", 318, 278, None),
    call("membarrier", 324, 283, None),
    call("mount", 165, 40, None),
    call("umount2", 166, 39, None),
    call("ptrace", 101, 117, None),
    call("process_vm_readv", 310, 270, None),
    call("rt_sigreturn", 15, 139, None),
    call("lseek", 8, 62, Some(0)),
    call("pipe2", 293, 59, None),
    call("socket", 41, 198, None),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(name: &str, args: [u64; 6]) -> RawSyscall {
        let call = CALLS.iter().find(|call| call.name == name).expect("a known call");
        let number = if cfg!(target_arch = "aarch64") { call.aarch64 } else { call.x86_64 };
        RawSyscall { number: number.into(), args }
    }

    #[test]
    fn names_every_call_once() {
        for numbers in [|call: &Call| call.x86_64, |call: &Call| call.aarch64] {
            let mut seen: Vec<u16> = CALLS.iter().map(numbers).filter(|&number| number != NONE).collect();
            let all = seen.len();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), all);
        }
        assert_eq!(raw("recvfrom", [0; 6]).name(), Some("recvfrom"));
        assert_eq!(RawSyscall { number: 9999, args: [0; 6] }.name(), None);
        assert_eq!(RawSyscall { number: u16::MAX.into(), args: [0; 6] }.name(), None);
    }

    #[test]
    fn finds_the_file() {
        let nothing: Read<'_> = &|_, _| false;
        assert_eq!(raw("recvfrom", [7, 1, 2, 3, 4, 5]).file(nothing), Some(7));
        assert_eq!(raw("read", [0xdead_beef_0000_0007, 0, 0, 0, 0, 0]).file(nothing), Some(7));
        assert_eq!(raw("sendfile", [1, 2, 0, 0, 0, 0]).file(nothing), Some(2));
        assert_eq!(raw("read", [u64::MAX, 0, 0, 0, 0, 0]).file(nothing), None);
        assert_eq!(raw("futex", [7; 6]).file(nothing), None);
    }

    #[test]
    fn finds_the_one_file_of_a_poll() {
        let memory: Read<'_> = &|address, buffer| {
            buffer.copy_from_slice(&9_i32.to_ne_bytes());
            address == 0x1000
        };
        assert_eq!(raw("ppoll", [0x1000, 1, 0, 0, 0, 0]).file(memory), Some(9));
        assert_eq!(raw("ppoll", [0x1000, 2, 0, 0, 0, 0]).file(memory), None);
        assert_eq!(raw("ppoll", [0x2000, 1, 0, 0, 0, 0]).file(memory), None);
        assert!(raw("ppoll", [0; 6]).is_selector_wait() && !raw("read", [0; 6]).is_selector_wait());
    }
}
