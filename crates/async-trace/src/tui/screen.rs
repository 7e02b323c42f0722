//! The screens and what is selected on each. They lie on each other as they were opened.

use super::app::Process;
use super::groups::{Group, Key, Order, groups, sorted};
use super::links::{self, Link};
use super::list::List;
use super::past::Look;
use async_trace_core::finding::{Evidence, Finding};
use async_trace_core::index::Index;
use async_trace_core::snapshot::{Id, Task};
use async_trace_core::text::Text;
use ratatui::text::Line;

/// Which part of a screen the arrow keys act on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Focus {
    /// The findings above the tasks; the text above the links.
    Upper,
    /// The tasks; the links.
    #[default]
    Lower,
}

/// A screen.
#[derive(Debug)]
pub(crate) enum Screen {
    /// All processes.
    Processes(List<usize>),
    /// One process: findings and groups of tasks.
    Main(Main),
    /// The tasks of one group.
    Group(GroupScreen),
    /// Everything about one thing.
    Page(Page),
}

/// One process.
#[derive(Debug, Default)]
pub(crate) struct Main {
    pub findings: List<FindingKey>,
    pub list: List<Key>,
    pub focus: Focus,
    pub groups: Vec<Group>,
    /// The most groups that there were: room for so many stays, so that nothing jumps about.
    pub most: usize,
    /// Of which look, and in which order, the groups are.
    made_for: Option<(u64, Order)>,
}

/// The tasks of one group.
#[derive(Debug)]
pub(crate) struct GroupScreen {
    pub key: Key,
    pub list: List<Id>,
    /// The places of its tasks in the look.
    pub members: Vec<u32>,
}

/// Everything about one thing.
#[derive(Debug)]
pub(crate) struct Page {
    pub subject: Subject,
    /// What is written on it. It stays when the thing is gone.
    pub text: Vec<Line<'static>>,
    /// Whether the newest look does not show the thing any more.
    pub gone: bool,
    /// The first line of the text on screen, and how many there is room for.
    pub scroll: usize,
    pub room: usize,
    pub links: Vec<Link>,
    pub list: List<Link>,
    pub focus: Focus,
}

/// What a page is about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Subject {
    Task(Id, Text),
    Resource(Id),
    Finding(FindingKey),
    Threads,
}

/// A finding's identity from one look to the next: the check, and the first thing that it speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FindingKey(Text, Option<(Option<Id>, Option<Id>, Option<u32>)>);

impl FindingKey {
    pub(crate) fn of(finding: &Finding) -> Self {
        let named = |e: &&Evidence| e.task.is_some() || e.resource.is_some() || e.thread.is_some();
        let first = finding.evidence.iter().find(named).map(|e| {
            let (task, resource) = (e.task.as_ref().map(|t| t.id), e.resource.as_ref().map(|r| r.id));
            (task, resource, e.thread.as_ref().map(|t| t.tid))
        });
        Self(finding.check.clone(), first)
    }

    /// The name of the check.
    pub(crate) fn check(&self) -> &str {
        &self.0
    }
}

impl Main {
    pub(crate) fn refresh(&mut self, look: &Look, order: &Order) {
        let now = (look.number, order.clone());
        if self.made_for.as_ref() != Some(&now) {
            let same = self.made_for.as_ref().is_some_and(|(_, before)| before == order);
            self.groups = groups(look, order);
            self.most = self.groups.len().max(if same { self.most } else { 0 });
            self.made_for = Some(now);
        }
        self.list.settle(&self.keys());
        self.findings.settle(&finding_keys(look));
        if look.findings.is_empty() {
            self.focus = Focus::Lower;
        }
    }

    /// Forgets what belongs to another process.
    pub(crate) fn reset(&mut self) {
        *self = Self { focus: self.focus, ..Self::default() };
    }

    pub(crate) fn keys(&self) -> Vec<Key> {
        self.groups.iter().map(|g| g.key).collect()
    }
}

pub(crate) fn finding_keys(look: &Look) -> Vec<FindingKey> {
    look.findings.iter().map(FindingKey::of).collect()
}

impl GroupScreen {
    pub(crate) fn new(key: Key) -> Self {
        Self { key, list: List::default(), members: Vec::new() }
    }

    fn refresh(&mut self, look: &Look, order: &Order) {
        let group = groups(look, order).into_iter().find(|g| g.key == self.key);
        self.members = group.map(|g| sorted(&g.members, look, order.sort)).unwrap_or_default();
        self.list.settle(&self.ids(look));
    }

    pub(crate) fn ids(&self, look: &Look) -> Vec<Id> {
        self.members.iter().filter_map(|p| Some(look.snapshot.tasks.get(*p as usize)?.id)).collect()
    }
}

impl Page {
    pub(crate) fn new(subject: Subject) -> Self {
        Self {
            subject,
            text: Vec::new(),
            gone: false,
            scroll: 0,
            room: 10,
            links: Vec::new(),
            list: List::default(),
            focus: Focus::Lower,
        }
    }

    fn refresh(&mut self, look: &Look) {
        let index = Index::of(&look.snapshot);
        let links = match &self.subject {
            Subject::Task(id, name) => {
                let same = |t: &&Task| t.name == *name;
                index.get_task(*id).filter(same).map(|task| links::of_task(task, &index))
            }
            Subject::Resource(id) => index.get_resource(*id).map(|r| links::of_resource(r, &index)),
            Subject::Finding(key) => {
                let finding = look.findings.iter().find(|f| FindingKey::of(f) == *key);
                finding.map(|f| links::of_finding(f, &index))
            }
            Subject::Threads => Some(Vec::new()),
        };
        self.gone = links.is_none();
        self.links = links.unwrap_or_default();
        self.list.settle(&self.links);
    }

    /// Whether the arrow keys move the text.
    pub(crate) fn moves_text(&self) -> bool {
        self.focus == Focus::Upper || self.links.is_empty()
    }

    /// The furthest that the text can be moved.
    pub(crate) fn last_scroll(&self) -> usize {
        self.text.len().saturating_sub(self.room)
    }
}

impl Screen {
    /// Brings the screen up to date with what is known of its process.
    pub(crate) fn refresh(&mut self, processes: &[Process], current: usize, order: &Order) {
        if let Self::Processes(list) = self {
            return list.settle(&processes.iter().map(|p| p.source).collect::<Vec<_>>());
        }
        let Some(look) = processes.get(current).map(|p| p.shown.clone()) else { return };
        match self {
            Self::Processes(_) => {}
            Self::Main(main) => main.refresh(&look, order),
            Self::Group(group) => group.refresh(&look, order),
            Self::Page(page) => page.refresh(&look),
        }
    }
}
