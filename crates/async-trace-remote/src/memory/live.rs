//! The memory of a running process, through `/proc/PID/mem` and `process_vm_readv`.

use super::{Memory, Piece};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;

/// A running process. Stays valid (and reads nothing) when the process ends: the file keeps its
/// address space's identity, so a reused process id is never read by mistake.
pub(crate) struct Live {
    mem: File,
    pid: Pid,
}

/// `UIO_MAXIOV`, include/uapi/linux/uio.h.
const MAX_PIECES: usize = 1024;

impl Live {
    pub(crate) fn open(pid: u32) -> io::Result<Self> {
        let mem = File::open(format!("/proc/{pid}/mem"))?;
        Ok(Self { mem, pid: Pid::from_raw(pid.cast_signed()) })
    }

    /// The slower way, for what the system call cannot: parts of a piece, kinds of memory that it refuses,
    /// and sandboxes that refuse it.
    fn read_by_file(&self, addr: u64, buf: &mut [u8]) -> usize {
        let mut done = 0;
        while done < buf.len() {
            match self.mem.read_at(&mut buf[done..], addr.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        done
    }
}

impl Memory for Live {
    fn read(&self, addr: u64, buf: &mut [u8]) -> usize {
        // One copy less than by the file.
        let base = usize::try_from(addr).unwrap_or(0);
        let remote = [RemoteIoVec { base, len: buf.len() }];
        if process_vm_readv(self.pid, &mut [IoSliceMut::new(buf)], &remote) == Ok(buf.len()) {
            return buf.len();
        }
        self.read_by_file(addr, buf)
    }

    fn read_many(&self, pieces: &mut [Piece<'_>]) {
        let mut from = 0;
        while from < pieces.len() {
            let batch = from..pieces.len().min(from + MAX_PIECES);
            let remote: Vec<_> = pieces[batch.clone()]
                .iter()
                .map(|p| RemoteIoVec { base: usize::try_from(p.addr).unwrap_or(0), len: p.buf.len() })
                .collect();
            let mut local: Vec<_> =
                pieces[batch.clone()].iter_mut().map(|p| IoSliceMut::new(p.buf)).collect();
            let mut got = process_vm_readv(self.pid, &mut local, &remote).unwrap_or(0);
            drop(local);
            // The call stops at the first piece that it cannot read whole: all before it are done.
            while from < batch.end && got >= pieces[from].buf.len() {
                got -= pieces[from].buf.len();
                pieces[from].whole = true;
                from += 1;
            }
            // That piece is tried the other way: it may be gone in part, or the call was refused.
            if from < batch.end {
                let stopper = &mut pieces[from];
                stopper.whole = self.read_by_file(stopper.addr, stopper.buf) == stopper.buf.len();
                from += 1;
            }
        }
    }
}
