//! The demo's server: started in a directory of its own, and gone with it whatever happens to us.

use crate::{Error, Result};
use std::fs::{self, DirBuilder};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SOURCE: &str = include_str!("../../../../../examples/demo/shop.py");

/// A running shop.
pub(super) struct Shop {
    child: Child,
    directory: PathBuf,
    pub port: u16,
}

/// A customer who waits for an answer.
pub(super) struct Visit {
    stream: TcpStream,
}

impl Shop {
    pub(super) fn open(python: &Path) -> Result<Self> {
        let directory = std::env::temp_dir().join(format!("async-trace-demo-{}", std::process::id()));
        let failed = |what: &str| {
            let what = format!("{what} {}", directory.display());
            move |source| Error::Io { what, source }
        };
        // Fails where somebody has put something there before us.
        DirBuilder::new().mode(0o700).create(&directory).map_err(failed("cannot create"))?;
        let script = directory.join("shop.py");
        let child = fs::write(&script, SOURCE).map_err(failed("cannot write into")).and_then(|()| {
            Command::new(python)
                .arg(&script)
                .arg("--remove")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                // Ctrl-C is for us. The shop notices that we are gone by its standard input, even when we
                // are killed, and removes its directory itself.
                .process_group(0)
                .spawn()
                .map_err(|source| Error::NoPython { python: python.display().to_string(), source })
        });
        let child = match child {
            Ok(child) => child,
            Err(error) => {
                let _ = fs::remove_dir_all(&directory);
                return Err(error);
            }
        };
        let mut shop = Self { child, directory, port: 0 };
        shop.port = shop.wait_for_ready()?;
        Ok(shop)
    }

    fn wait_for_ready(&mut self) -> Result<u16> {
        let mut line = String::new();
        if let Some(stdout) = self.child.stdout.take() {
            let _ = BufReader::new(stdout).read_line(&mut line);
        }
        if let Some(port) = line.strip_prefix("READY ").and_then(|port| port.trim().parse().ok()) {
            return Ok(port);
        }
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut said);
        }
        let reason = said.trim_end().lines().last().unwrap_or("it said nothing").to_owned();
        Err(Error::DemoFailed { reason })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a request, `GET /stock`.
    pub(super) fn visit(&self, request: &str) -> Result<Visit> {
        let send = || -> io::Result<TcpStream> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.write_all(format!("{request} HTTP/1.0\r\n\r\n").as_bytes())?;
            Ok(stream)
        };
        let stream =
            send().map_err(|source| Error::Io { what: "cannot visit the demo's shop".into(), source })?;
        Ok(Visit { stream })
    }
}

impl Visit {
    /// The first line of the answer, if one comes in time: `200 OK`.
    pub(super) fn answer(&mut self, patience: Duration) -> Option<String> {
        self.stream.set_read_timeout(Some(patience)).ok()?;
        let mut line = String::new();
        BufReader::new(&self.stream).read_line(&mut line).ok()?;
        line.trim_end().strip_prefix("HTTP/1.0 ").map(str::to_owned)
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // Closing its standard input ends it. Should it not, it is ended.
        drop(self.child.stdin.take());
        let begin = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if begin.elapsed() > Duration::from_secs(2) {
                let _ = self.child.kill();
                let _ = self.child.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        // It does this itself; but it may not have come so far.
        let _ = fs::remove_dir_all(&self.directory);
    }
}
