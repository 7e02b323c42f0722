//! Which process it is, and whether there is anything to read.

use super::stat::Stat;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

/// Which process it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its id. Where the id of a thread was asked for, that of its process.
    pub pid: u32,
    /// The path of its executable as the target sees it; where we may not know, the first word of its
    /// command line.
    pub executable: String,
    /// The command line.
    pub command: Vec<String>,
    /// What its main thread does, as the letter of `/proc`.
    pub state: char,
    /// The user that it runs as (the effective one).
    pub uid: u32,
    /// When it was started, in hundredths of a second since the machine was. Together with its id it is
    /// not to be mistaken for a later process.
    pub starttime: u64,
    /// Its id in its own, innermost pid namespace.
    pub inner_pid: u32,
    /// Whether the kernel lets us look into it as far as names go; its memory needs the same right.
    pub permitted: bool,
}

impl Identity {
    /// Tells what may be another when the same process is looked at again: whether it is there, what it does and how it
    /// calls itself. The rest is what [`identity`] has told.
    ///
    /// # Errors
    /// As [`identity`]; [`Error::Gone`] where its id is another process's by now.
    pub(crate) fn renew(&mut self) -> Result<()> {
        let pid = self.pid;
        let directory = format!("/proc/{pid}");
        let stat = fs::read(format!("{directory}/stat")).ok().and_then(|stat| Stat::parse(&stat));
        // Whatever is out of the ordinary is told as it is the first time.
        let Some(stat) = stat.filter(|stat| !matches!(stat.state, 'Z' | 'X') && stat.start == self.starttime)
        else {
            let now = identity(pid)?;
            let is_same = now.starttime == self.starttime;
            *self = now;
            return if is_same { Ok(()) } else { Err(Error::Gone { pid }) };
        };
        self.state = stat.state;
        if let Ok(command) = fs::read(format!("{directory}/cmdline")) {
            self.command = command_line(&command);
        }
        Ok(())
    }
}

/// Tells which process `pid` is.
///
/// # Errors
/// When there is no such process, or one without a memory to read: [`Error::NoSuchProcess`],
/// [`Error::Zombie`], [`Error::KernelThread`]. Whether its memory may be read is told by
/// [`Identity::permitted`], because much can be said of a process without.
pub fn identity(pid: u32) -> Result<Identity> {
    let failed = |what: &'static str| {
        move |source: io::Error| match source.kind() {
            ErrorKind::NotFound => Error::NoSuchProcess { pid },
            // ESRCH: it ended between two calls.
            _ if source.raw_os_error() == Some(nix::errno::Errno::ESRCH as i32) => Error::Gone { pid },
            _ => Error::Io { what: format!("{what} of process {pid}"), source },
        }
    };
    let directory = format!("/proc/{pid}");
    let stat = fs::read(format!("{directory}/stat")).map_err(failed("the state"))?;
    let Some(stat) = Stat::parse(&stat) else { return Err(Error::NoSuchProcess { pid }) };
    if stat.is_kernel_thread() {
        return Err(Error::KernelThread { pid });
    }
    let status = fs::read_to_string(format!("{directory}/status")).map_err(failed("the status"))?;
    let of = |name| field(&status, name).and_then(|value| value.parse().ok());
    let process = of("Tgid:").unwrap_or(pid);
    if process != pid {
        return identity(process);
    }
    if matches!(stat.state, 'Z' | 'X') {
        return Err(Error::Zombie { pid });
    }
    let uid = fs::metadata(&directory).map_err(failed("the owner"))?.uid();
    // The owner of the directory is root while the process is not dumpable.
    let uid =
        field(&status, "Uid:").and_then(|ids| ids.split_whitespace().nth(1)?.parse().ok()).unwrap_or(uid);
    let command = fs::read(format!("{directory}/cmdline")).map_err(failed("the command line"))?;
    let command = command_line(&command);
    let (executable, permitted) = match fs::read_link(format!("{directory}/exe")) {
        Ok(path) => {
            let path = String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned();
            (path.strip_suffix(" (deleted)").map(str::to_owned).unwrap_or(path), true)
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            (command.first().cloned().unwrap_or(stat.name), false)
        }
        // It has no memory any more, or ended just now.
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(Error::Gone { pid }),
        Err(error) => return Err(failed("the executable")(error)),
    };
    let inner_pid = field(&status, "NSpid:").and_then(|ids| ids.split_whitespace().last()?.parse().ok());
    Ok(Identity {
        pid,
        executable,
        command,
        state: stat.state,
        uid,
        starttime: stat.start,
        inner_pid: inner_pid.unwrap_or(pid),
        permitted,
    })
}

/// A line of `/proc/PID/status`.
pub(crate) fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// Words that end in NUL; a program that has rewritten its title ends it as it likes.
fn command_line(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let Some(bytes) = bytes.get(..end).filter(|bytes| !bytes.is_empty()) else { return Vec::new() };
    bytes.split(|&byte| byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_command_lines() {
        assert_eq!(command_line(b"python\0-c\0\0"), ["python", "-c"]);
        assert_eq!(command_line(b"python\0\0x\0"), ["python", "", "x"]);
        assert_eq!(command_line(b"gunicorn: worker [app]"), ["gunicorn: worker [app]"]);
        assert_eq!(command_line(b"nginx\0\0\0\0\0"), ["nginx"]);
        assert_eq!(command_line(b""), [""; 0]);
    }

    #[test]
    fn knows_this_process_by_any_of_its_threads() {
        let pid = std::process::id();
        let here = identity(pid).expect("this process");
        assert_eq!((here.pid, here.permitted), (pid, true));
        assert_eq!(here.executable, std::env::current_exe().expect("a path").to_string_lossy());
        assert_eq!(here.command, std::env::args().collect::<Vec<_>>());
        let by_thread = std::thread::spawn(|| identity(nix::unistd::gettid().as_raw().cast_unsigned()));
        let by_thread = by_thread.join().expect("a thread").expect("this process");
        assert_eq!((by_thread.pid, by_thread.starttime), (pid, here.starttime));
    }

    #[test]
    fn says_what_is_not_there() {
        assert!(matches!(identity(0), Err(Error::NoSuchProcess { pid: 0 })));
        assert!(matches!(identity(u32::MAX), Err(Error::NoSuchProcess { .. })));
        // The parent of all kernel threads; not visible in a container.
        if fs::exists("/proc/2/stat").unwrap_or(false) && fs::read_link("/proc/2/exe").is_err() {
            assert!(matches!(identity(2), Err(Error::KernelThread { pid: 2 })));
        }
        let mut child = std::process::Command::new("true").spawn().expect("a child");
        let pid = child.id();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while !matches!(identity(pid), Err(Error::Zombie { .. })) {
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        }
        child.wait().expect("a status");
    }
}
