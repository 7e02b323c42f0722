//! What a task does, in a few words that stay the same while it does it: for the leaves of a flame graph
//! and the slices of a trace, where thousands of waits are to be one.
//!
//! No times, no numbers of descriptors, no names of single tasks: what differs from one request to the next
//! would tear apart what belongs together.

use super::words::noun;
use crate::index::Index;
use crate::snapshot::*;
use crate::text::Text;

/// Linux gives ports from here on to whoever does not ask for one.
const FIRST_EPHEMERAL: u16 = 32_768;

/// What a task does: `running`, `ready`, or what it waits for.
pub(crate) fn task(index: &Index<'_>, task: &Task) -> String {
    match (task.state, &task.waits_for) {
        (TaskState::Running, _) => "running".into(),
        (TaskState::Ready, _) => "ready, waits for the loop".into(),
        (TaskState::Done, _) => "done".into(),
        (TaskState::Waiting, None) => "waits, for what is not known".into(),
        (TaskState::Waiting, Some(wait)) => self::wait(index, wait),
    }
}

/// What is waited for: `Lock account.lock`, `get from Queue jobs`, `sleep`, `read from TCP 10.0.0.2:5432`.
pub(crate) fn wait(index: &Index<'_>, wait: &WaitsFor) -> String {
    let mut words = match &wait.target {
        Target::Tasks { pending, .. } => tasks(index, pending, wait.verb),
        Target::Resource { id } => match index.get_resource(*id) {
            Some(resource) => self::resource(resource, wait),
            None => named("something that could not be read", wait.name.as_ref()),
        },
        Target::Timer { .. } if wait.verb == Verb::Sleep => "sleep".into(),
        Target::Timer { .. } => "timer".into(),
        Target::File { file } => self::file(file, wait.verb),
        Target::Job { thread, function, .. } => {
            let function = function.as_deref().unwrap_or("a function");
            match thread {
                Some(_) => format!("{function} in a thread"),
                None => format!("{function}, queued for a thread"),
            }
        }
        Target::Process { command: Some(command), .. } => {
            format!("child process {}", command.split(' ').next().unwrap_or_default())
        }
        Target::Process { .. } => "child process".into(),
        Target::Future { type_name, .. } => named(&noun(type_name), wait.name.as_ref()),
        Target::Turn => "its turn".into(),
        Target::Unknown { type_name } => named(type_name, wait.name.as_ref()),
    };
    if wait.trust == Trust::Guessed {
        words.insert_str(0, "probably ");
    }
    words
}

fn named(noun: &str, name: Option<&Text>) -> String {
    name.map_or_else(|| noun.to_owned(), |name| format!("{noun} {name}"))
}

fn tasks(index: &Index<'_>, pending: &[Id], verb: Verb) -> String {
    let how = match verb {
        Verb::Gather => " in a gather",
        Verb::TaskGroup => " of a TaskGroup",
        Verb::AsCompleted => " as completed",
        Verb::Wait => " in asyncio.wait",
        _ => "",
    };
    let root = |id: &Id| index.get_task(*id).and_then(|t| t.chain.first()).map(|f| &*f.function);
    let mut roots = pending.iter().map(root);
    match roots.next().flatten() {
        // How many there are changes while they end one by one.
        Some(first) if roots.all(|other| other == Some(first)) => match verb {
            Verb::Gather | Verb::TaskGroup | Verb::AsCompleted | Verb::Wait => format!("tasks {first}{how}"),
            _ => format!("task {first}"),
        },
        _ => format!("tasks{how}"),
    }
}

fn resource(resource: &Resource, wait: &WaitsFor) -> String {
    let what = named(&noun(&resource.type_name), wait.name.as_ref().or(resource.name.as_ref()));
    match (resource.kind, wait.verb) {
        (ResourceKind::Queue, Verb::Get) => format!("get from {what}"),
        (ResourceKind::Queue, Verb::Put) => format!("put into {what}"),
        (ResourceKind::Queue, Verb::Join) => format!("join of {what}"),
        (ResourceKind::Condition, Verb::Wait) => format!("notify of {what}"),
        _ => what,
    }
}

fn file(file: &OpenFile, verb: Verb) -> String {
    let verb = match verb {
        Verb::Read => "read from ",
        Verb::Write => "write to ",
        Verb::Connect => "connect to ",
        Verb::Accept => "accept on ",
        _ => "",
    };
    let kind = match file.kind {
        FileKind::Tcp => "TCP",
        FileKind::Udp => "UDP",
        FileKind::Unix => "Unix socket",
        FileKind::Socket => "socket",
        FileKind::Pipe => return format!("{verb}pipe"),
        FileKind::Event => "event descriptor",
        FileKind::File => "file",
        FileKind::Unknown => "descriptor",
    };
    let port = |end: &Text| end.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    match (&file.local, &file.peer) {
        // Clients come with a new port each time: it says nothing.
        (Some(local), Some(peer)) => match (port(local), port(peer)) {
            (Some(FIRST_EPHEMERAL..), Some(FIRST_EPHEMERAL..)) => format!("{verb}a {kind} connection"),
            (Some(ours), Some(FIRST_EPHEMERAL..)) => format!("{verb}a client of {kind} :{ours}"),
            _ => format!("{verb}{kind} {peer}"),
        },
        (Some(end), None) | (None, Some(end)) => format!("{verb}{kind} {end}"),
        (None, None) => format!("{verb}{kind}"),
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::snapshot;
    use crate::index::Index;

    #[test]
    fn says_the_same_for_all_waits_of_a_kind() {
        let s = snapshot(
            "
lock a
queue jobs 0/10
task one
  f a.py:1
  waits acquire a
task two
  f a.py:1
  waits get jobs
task three
  f a.py:1
  waits sleep timer 3
task four
  f a.py:1
  waits read tcp 7 10.0.0.1:80 10.0.0.9:40001 ESTABLISHED
task five
  f a.py:1
  waits read tcp 7 10.0.0.1:40002 10.0.0.2:5432 ESTABLISHED
task eight
  f a.py:1
  waits read tcp 7 10.0.0.1:40002 10.0.0.2:50000 ESTABLISHED
task six
  g a.py:2
  waits gather tasks one two
task seven running
  g a.py:2
",
        );
        let index = Index::of(&s);
        let words: Vec<String> = s.tasks.iter().map(|t| super::task(&index, t)).collect();
        assert_eq!(
            words,
            [
                "Lock a",
                "get from Queue jobs",
                "sleep",
                "read from a client of TCP :80",
                "read from TCP 10.0.0.2:5432",
                "read from a TCP connection",
                "tasks f in a gather",
                "running"
            ]
        );
    }
}
