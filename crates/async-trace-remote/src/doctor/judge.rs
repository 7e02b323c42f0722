//! What the facts mean.

use super::facts::Facts;
use super::{Check, Status};
use crate::cpython::layout;
use crate::cpython::locate::Located;
use crate::error::Error;
use crate::process::pause::Refused;

fn ok(name: &'static str, sentence: impl Into<String>) -> Check {
    Check { name, status: Status::Ok, sentence: sentence.into(), fix: None }
}

fn warn(name: &'static str, sentence: impl Into<String>, fix: Option<String>) -> Check {
    Check { name, status: Status::Warn, sentence: sentence.into(), fix }
}

fn fail(name: &'static str, sentence: impl Into<String>, fix: Option<String>) -> Check {
    Check { name, status: Status::Fail, sentence: sentence.into(), fix }
}

pub(super) fn judge(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![process(facts)];
    if facts.identity.is_err() {
        checks.extend(hidepid(facts));
        return checks;
    }
    // Whatever could stand in the way does not, when the memory can be read.
    let readable = facts.memory.is_ok();
    checks.push(user(facts, readable));
    checks.push(capability(facts, readable));
    checks.extend(yama(facts, readable));
    checks.extend(dumpable(facts, readable));
    checks.extend(container(facts, readable));
    checks.push(memory(facts));
    checks.push(tracer(facts));
    checks.extend(pause(facts));
    checks.extend(python(facts));
    checks.extend(asyncio(facts));
    checks
}

fn process(facts: &Facts) -> Check {
    match &facts.identity {
        Ok(identity) if identity.pid != facts.pid => {
            let thread = facts.pid;
            ok(
                "process",
                format!("{thread} is a thread of process {}, {}", identity.pid, identity.executable),
            )
        }
        Ok(identity) if identity.state == 'T' => warn(
            "process",
            format!("{} stands stopped by a signal; it can be read, but does not run", identity.executable),
            Some(format!("kill -CONT {}", identity.pid)),
        ),
        Ok(identity) => ok("process", format!("it runs {}", identity.executable)),
        Err(error) => fail(
            "process",
            error.to_string(),
            match error {
                Error::NoSuchProcess { .. } => Some("async-trace ps".into()),
                _ => None,
            },
        ),
    }
}

fn hidepid(facts: &Facts) -> Option<Check> {
    (facts.hidepid && facts.ourselves.uid != 0).then(|| {
        let sentence = "/proc is mounted with hidepid: processes of other users cannot be seen";
        fail("hidepid", sentence, Some(sudo(facts, "doctor")))
    })
}

fn user(facts: &Facts, readable: bool) -> Check {
    let (ours, its) = (facts.ourselves.uid, &facts.target.uids);
    if its.iter().all(|&uid| uid == ours) {
        return ok("user", format!("it runs as our own user, {}", name_of(ours)));
    }
    let its = its.get(1).map_or("another user".into(), |&uid| name_of(uid));
    let sentence = format!("it runs as {its}, we as {}", name_of(ours));
    if readable || facts.ourselves.ptrace_capability {
        ok("user", sentence + "; CAP_SYS_PTRACE makes up for it")
    } else {
        fail("user", sentence, Some(sudo(facts, "dump")))
    }
}

fn name_of(uid: u32) -> String {
    if uid == 0 { "root".into() } else { format!("user {uid}") }
}

fn capability(facts: &Facts, readable: bool) -> Check {
    let has = facts.ourselves.ptrace_capability;
    match (has, readable) {
        (true, _) => ok("capability", "we have CAP_SYS_PTRACE"),
        (false, true) => ok("capability", "we have no CAP_SYS_PTRACE, and do not need it here"),
        (false, false) if facts.ourselves.container && facts.ourselves.uid == 0 => fail(
            "capability",
            "we run in a container without CAP_SYS_PTRACE",
            Some("docker run --cap-add=SYS_PTRACE … (Kubernetes: securityContext.capabilities.add: [SYS_PTRACE])".into()),
        ),
        (false, false) if facts.ourselves.uid == 0 => {
            fail("capability", "we are root, but without CAP_SYS_PTRACE", None)
        }
        (false, false) => warn(
            "capability",
            "we have no CAP_SYS_PTRACE",
            Some("sudo setcap cap_sys_ptrace+ep \"$(command -v async-trace)\"".into()),
        ),
    }
}

fn yama(facts: &Facts, readable: bool) -> Option<Check> {
    let scope = facts.yama?;
    let sentence = match scope {
        0 => return Some(ok("yama", "kernel.yama.ptrace_scope = 0: every process of our user can be read")),
        1 => "kernel.yama.ptrace_scope = 1: only our own child processes can be read without CAP_SYS_PTRACE",
        2 => "kernel.yama.ptrace_scope = 2: CAP_SYS_PTRACE is needed",
        _ => "kernel.yama.ptrace_scope = 3: nobody may read another process until the next start",
    };
    Some(if readable {
        ok("yama", sentence)
    } else if facts.ourselves.ptrace_capability && scope < 3 {
        ok("yama", format!("{sentence}; we have it"))
    } else if scope < 3 {
        fail("yama", sentence, Some("sudo sysctl -w kernel.yama.ptrace_scope=0".into()))
    } else {
        fail("yama", sentence, None)
    })
}

fn dumpable(facts: &Facts, readable: bool) -> Option<Check> {
    let forbids = !facts.target.dumpable && facts.target.uids.get(1) != Some(&0);
    forbids.then(|| {
        let sentence =
            "it has changed its user or forbids core dumps, so that only CAP_SYS_PTRACE can read it";
        if readable {
            ok("dumpable", sentence)
        } else {
            fail("dumpable", sentence, Some(sudo(facts, "dump")))
        }
    })
}

fn container(facts: &Facts, readable: bool) -> Option<Check> {
    let target = &facts.target;
    if target.other_namespaces.is_empty() && target.pids.len() < 2 {
        return None;
    }
    let inside = target.pids.get(1..).and_then(<[u32]>::last);
    let inside = inside.map_or(String::new(), |pid| format!(", where it is process {pid}"));
    let others = target.other_namespaces.join(", ");
    let sentence = format!("it lives in a container (other namespaces: {others}){inside}");
    Some(if readable || !target.other_namespaces.contains(&"user") {
        ok("container", sentence)
    } else {
        let sentence = sentence + "; our rights do not reach into its user namespace";
        fail("container", sentence, Some(sudo(facts, "dump")))
    })
}

fn memory(facts: &Facts) -> Check {
    match &facts.memory {
        Ok(()) => ok("memory", "its memory can be read"),
        Err(reason) => {
            let seccomp = facts.ourselves.seccomp && facts.ourselves.ptrace_capability;
            let because = if seccomp { "; a seccomp profile applies to us" } else { "" };
            let fix = if seccomp && facts.ourselves.container {
                "docker run --security-opt seccomp=unconfined …".into()
            } else {
                sudo(facts, "dump")
            };
            fail("memory", format!("its memory cannot be read: {reason}{because}"), Some(fix))
        }
    }
}

fn tracer(facts: &Facts) -> Check {
    match &facts.target.tracer {
        None => ok("tracer", "no debugger is attached to it"),
        Some((by, name)) => warn(
            "tracer",
            format!("{name} (process {by}) traces it: it can be read, but not paused meanwhile"),
            Some(format!("async-trace dump --no-pause {}", facts.pid)),
        ),
    }
}

fn pause(facts: &Facts) -> Option<Check> {
    let no_pause = || Some(format!("async-trace dump --no-pause {}", facts.pid));
    Some(match facts.pause.as_ref()? {
        Ok((stopped, 0, time)) => {
            let threads = if *stopped == 1 { "its thread".into() } else { format!("all {stopped} threads") };
            ok("pause", format!("{threads} stood still for {:.1} ms as a test", time.as_secs_f64() * 1e3))
        }
        Ok((_, unstopped, _)) => warn(
            "pause",
            format!(
                "{unstopped} of its threads cannot be stopped: they sleep in the kernel, mostly for a disk"
            ),
            None,
        ),
        // Said already.
        Err(Refused::Traced { .. }) => return None,
        Err(refused) => warn(
            "pause",
            format!("it can be read but not paused: {refused}; tasks that change meanwhile may be torn"),
            no_pause(),
        ),
    })
}

fn python(facts: &Facts) -> Option<Check> {
    let Located { version, free_threaded, debug_build, file, .. } = match facts.python.as_ref()? {
        Ok(located) => located,
        Err(error @ Error::NotPython { .. }) => {
            let fix = "async-trace ps".into();
            return Some(fail("python", error.to_string(), Some(fix)));
        }
        Err(error) => return Some(fail("python", error.to_string(), None)),
    };
    let suffix = if *free_threaded { "t" } else { "" };
    let sentence = format!("CPython {version}{suffix} in {file}");
    Some(if layout::for_version(version.major, version.minor).is_none() {
        fail("python", sentence + ", a version that is not supported", None)
    } else if *free_threaded {
        fail("python", sentence + ", a free-threaded build, which is not supported yet", None)
    } else if *debug_build {
        warn("python", sentence + ", a debug build, which has not been tested", None)
    } else {
        ok("python", sentence)
    })
}

fn asyncio(facts: &Facts) -> Option<Check> {
    match facts.asyncio? {
        true => Some(ok("asyncio", "asyncio is loaded")),
        false => {
            Some(warn("asyncio", "asyncio is not loaded: there are threads to show, but no tasks", None))
        }
    }
}

fn sudo(facts: &Facts, command: &str) -> String {
    format!("sudo async-trace {command} {}", facts.pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::facts::{Ourselves, Target, hides_processes};
    use crate::process::Identity;
    use std::time::Duration;

    /// A process of our own user, on a machine that allows everything.
    fn facts() -> Facts {
        let identity = Identity {
            pid: 7,
            executable: "/usr/bin/python3".into(),
            command: vec!["python3".into()],
            state: 'S',
            uid: 1000,
            starttime: 1,
            permitted: true,
        };
        Facts {
            pid: 7,
            identity: Ok(identity),
            ourselves: Ourselves { uid: 1000, ..Ourselves::default() },
            target: Target { uids: vec![1000; 3], dumpable: true, pids: vec![7], ..Target::default() },
            yama: Some(0),
            hidepid: false,
            memory: Ok(()),
            pause: Some(Ok((2, 0, Duration::from_micros(180)))),
            python: None,
            asyncio: Some(true),
        }
    }

    fn shown(facts: &Facts) -> String {
        let line = |check: Check| {
            let fix = check.fix.map_or(String::new(), |fix| format!("\n     $ {fix}"));
            format!("{:?} {}: {}{fix}\n", check.status, check.name, check.sentence)
        };
        judge(facts).into_iter().map(line).collect()
    }

    #[test]
    fn says_that_all_is_well() {
        assert_eq!(
            shown(&facts()),
            "\
Ok process: it runs /usr/bin/python3
Ok user: it runs as our own user, user 1000
Ok capability: we have no CAP_SYS_PTRACE, and do not need it here
Ok yama: kernel.yama.ptrace_scope = 0: every process of our user can be read
Ok memory: its memory can be read
Ok tracer: no debugger is attached to it
Ok pause: all 2 threads stood still for 0.2 ms as a test
Ok asyncio: asyncio is loaded
"
        );
    }

    fn refused(mut facts: Facts) -> Facts {
        facts.memory = Err("Permission denied (os error 13)".into());
        (facts.pause, facts.asyncio) = (None, None);
        facts
    }

    #[test]
    fn explains_yama() {
        let shown = shown(&Facts { yama: Some(1), ..refused(facts()) });
        assert!(shown.contains("Fail yama: kernel.yama.ptrace_scope = 1"), "{shown}");
        assert!(shown.contains("$ sudo sysctl -w kernel.yama.ptrace_scope=0"), "{shown}");
        assert!(shown.contains("$ sudo setcap cap_sys_ptrace+ep"), "{shown}");
    }

    #[test]
    fn explains_another_user() {
        let mut facts = refused(facts());
        facts.target.uids = vec![33; 3];
        let shown = shown(&facts);
        assert!(
            shown.contains("Fail user: it runs as user 33, we as user 1000\n     $ sudo async-trace dump 7"),
            "{shown}"
        );
    }

    #[test]
    fn explains_a_container_without_the_capability() {
        let mut facts = refused(facts());
        facts.ourselves = Ourselves { uid: 0, container: true, ..Ourselves::default() };
        let shown = shown(&facts);
        assert!(shown.contains("Fail capability: we run in a container"), "{shown}");
        assert!(shown.contains("$ docker run --cap-add=SYS_PTRACE"), "{shown}");
    }

    #[test]
    fn explains_a_debugger() {
        let mut facts = facts();
        facts.target.tracer = Some((99, "gdb".into()));
        facts.pause = Some(Err(Refused::Traced { by: 99, name: "gdb".into() }));
        let shown = shown(&facts);
        assert!(shown.contains("Warn tracer: gdb (process 99) traces it"), "{shown}");
        assert!(shown.contains("$ async-trace dump --no-pause 7"), "{shown}");
        assert!(!shown.contains(" pause:"), "{shown}");
    }

    #[test]
    fn explains_a_process_that_cannot_be_seen() {
        let mut facts = facts();
        facts.identity = Err(Error::NoSuchProcess { pid: 7 });
        facts.hidepid = true;
        assert_eq!(
            shown(&facts),
            "\
Fail process: there is no process 7
     $ async-trace ps
Fail hidepid: /proc is mounted with hidepid: processes of other users cannot be seen
     $ sudo async-trace doctor 7
"
        );
    }

    #[test]
    fn knows_hidepid_in_every_spelling() {
        let mounts =
            |options: &str| format!("/dev/a / ext4 rw 0 0\nproc /proc proc rw,nosuid{options} 0 0\n");
        for hidden in [",hidepid=2", ",hidepid=invisible,gid=4", ",hidepid=ptraceable"] {
            assert!(hides_processes(&mounts(hidden)), "{hidden}");
        }
        for open in ["", ",hidepid=0", ",hidepid=off"] {
            assert!(!hides_processes(&mounts(open)), "{open}");
        }
    }
}
