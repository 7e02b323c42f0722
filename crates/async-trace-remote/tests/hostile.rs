//! Damaged, cut and forged images: whatever they hold, reading ends soon, in bounded memory, and with an error
//! or a snapshot that can be checked and shown.
//!
//! `PROPTEST_CASES=100000 cargo test --release -p async-trace-remote --test hostile` looks longer; `fuzz/` for
//! as long as one likes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use async_trace_core::render::{self, Canvas};
use async_trace_core::snapshot::ProblemCode;
use async_trace_core::{Snapshot, checks};
use async_trace_remote::{Error, Heap, Limits, Options, read_image};
use nix::time::{ClockId, clock_gettime};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard};
use std::time::Duration;

/// An image, unpacked.
#[derive(Clone)]
struct Image {
    name: String,
    head: Vec<u8>,
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Image {
    fn parse(name: String, file: &[u8]) -> Self {
        let lines = file.split_inclusive(|byte| *byte == b'\n').take(2);
        let (head, mut rest) = file.split_at(lines.map(<[u8]>::len).sum());
        let mut word = |n: usize| {
            let (bytes, after) = rest.split_at(n);
            rest = after;
            bytes.to_vec()
        };
        let number = |bytes: Vec<u8>| u32::from_le_bytes(bytes.try_into().unwrap()) as usize;
        let mut pages = BTreeMap::new();
        loop {
            let count = number(word(4));
            if count == 0 {
                return Self { name, head: head.to_vec(), pages };
            }
            assert_eq!(number(word(4)), 1);
            let size = number(word(4));
            let content = miniz_oxide::inflate::decompress_to_vec_zlib(&word(size)).unwrap();
            let (numbers, mut contents) = content.split_at(count * 8);
            for number in numbers.chunks_exact(8) {
                let number = u64::from_le_bytes(number.try_into().unwrap());
                let size = if number & 1 == 1 { 0 } else { 4096 };
                let mut page = contents[..size].to_vec();
                contents = &contents[size..];
                page.resize(4096, 0);
                pages.insert(number >> 1, page);
            }
        }
    }

    /// The file again, its pages not packed.
    fn file(&self) -> Vec<u8> {
        let mut out = self.head.clone();
        let pages: Vec<_> = self.pages.iter().collect();
        for block in pages.chunks(256) {
            for word in [block.len(), 0, block.len() * 4104] {
                out.extend(u32::try_from(word).unwrap().to_le_bytes());
            }
            for (number, _) in block {
                out.extend((**number << 1).to_le_bytes());
            }
            for (_, page) in block {
                out.extend(*page);
            }
        }
        out.extend([0; 4]);
        out
    }

    /// Where the `index`-th word of all its pages lies.
    fn place(&self, index: prop::sample::Index) -> (u64, usize) {
        let index = index.index(self.pages.len() * 512);
        (*self.pages.keys().nth(index / 512).unwrap(), index % 512 * 8)
    }

    fn word(&self, index: prop::sample::Index) -> u64 {
        let (page, offset) = self.place(index);
        u64::from_le_bytes(self.pages[&page][offset..offset + 8].try_into().unwrap())
    }

    fn apply(&mut self, damage: &Damage) {
        let (page, offset) = self.place(damage.at);
        let here = page * 4096 + offset as u64;
        let old = u64::from_le_bytes(self.pages[&page][offset..offset + 8].try_into().unwrap());
        let new = match damage.what {
            What::Flip(bit) => old ^ 1 << bit,
            What::Byte(at, byte) => old & !(0xff << (8 * at)) | u64::from(byte) << (8 * at),
            What::Word(word) => word,
            What::Near(by) => old.wrapping_add_signed(by),
            What::Itself(by) => here.wrapping_add_signed(by),
            What::Other(other) => self.word(other),
            What::Somewhere(other) => {
                let (page, offset) = self.place(other);
                page * 4096 + offset as u64
            }
        };
        let bytes = self.pages.get_mut(&page).unwrap();
        bytes[offset..offset + 8].copy_from_slice(&new.to_le_bytes());
    }
}

static IMAGES: LazyLock<Vec<Image>> = LazyLock::new(|| {
    let home = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/images");
    let mut paths: Vec<PathBuf> = fs::read_dir(home).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "image"));
    paths.sort();
    let name = |path: &PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| Image::parse(name(path), &fs::read(path).unwrap())).collect()
});

/// One word that is not what it was.
#[derive(Clone, Debug)]
struct Damage {
    at: prop::sample::Index,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Flip(u32),
    Byte(u32, u8),
    Word(u64),
    Near(i64),
    /// Its own address, or one close to it: the shortest circles.
    Itself(i64),
    /// What is somewhere else.
    Other(prop::sample::Index),
    /// The address of something else.
    Somewhere(prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<prop::sample::Index>;
    let edge = prop::sample::select(vec![
        0,
        1,
        8,
        0xff,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        1 << 22,
        (1 << 22) + 1,
        (1 << 24) - 1,
        1 << 40,
        i64::MAX as u64,
        1 << 63,
        u64::MAX - 7,
        u64::MAX,
    ]);
    let what = prop_oneof![
        (0..64u32).prop_map(What::Flip),
        (0..8u32, any::<u8>()).prop_map(|(at, byte)| What::Byte(at, byte)),
        edge.prop_map(What::Word),
        any::<u64>().prop_map(What::Word),
        (-64..64i64).prop_map(What::Near),
        (-64..64i64).prop_map(|by| What::Itself(by * 8)),
        index().prop_map(What::Other),
        index().prop_map(What::Other),
        index().prop_map(What::Somewhere),
        index().prop_map(What::Somewhere),
    ];
    (index(), what).prop_map(|(at, what)| Damage { at, what })
}

/// The memory of this process is measured: one case at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What reading may take here: some hundred times what these images need.
const LIMITS: Limits = Limits { copy: 64 << 20, budget: 1 << 22 };
/// What it may take in the end: memory, and time of the CPU in a debug build on a slow machine.
const MAX_MEMORY_KB: u64 = 256 << 10;
const MAX_TIME: Duration = Duration::from_secs(20);

fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

fn memory_kb(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Reads a file, and does with it what commands do. It must end, soon, and in bounded memory.
fn survive(file: &[u8], locals: bool) -> Result<Snapshot, Error> {
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let (memory, time) = (memory_kb("VmRSS:"), cpu());
    let options = Options { locals, heap: Heap::Walk, limits: LIMITS, ..Options::default() };
    let outcome = read_image(file, &options);
    let read = cpu() - time;
    if let Ok(snapshot) = &outcome {
        show(snapshot);
    }
    let (memory, time) = (memory_kb("VmHWM:").saturating_sub(memory), cpu() - time);
    assert!(time < MAX_TIME, "{time:?}, of which reading {read:?}");
    assert!(memory < MAX_MEMORY_KB, "{memory} kB");
    outcome
}

fn show(snapshot: &Snapshot) {
    struct Nothing;
    impl Canvas for Nothing {
        fn span(&mut self, _: render::Role, _: &str) {}
        fn end_line(&mut self) {}
    }
    let options = render::Options {
        all_frames: true,
        locals: true,
        threads: true,
        width: Some(80),
        ..render::Options::default()
    };
    render::tree(snapshot, &options, &mut Nothing);
    render::tree(snapshot, &render::Options::default(), &mut Nothing);
    let _ = checks::run(&[snapshot], &checks::Config::default());
    serde_json::to_vec(snapshot).unwrap();
}

proptest! {
    #[test]
    fn damaged_memory_is_read_to_an_end(
        image in any::<prop::sample::Index>(),
        damage in prop::collection::vec(damage(), 1..400),
        locals: bool,
    ) {
        let _alone = alone();
        let mut image = image.get(&IMAGES).clone();
        damage.iter().for_each(|damage| image.apply(damage));
        let _ = survive(&image.file(), locals);
    }

    #[test]
    fn missing_pages_are_missed(
        image in any::<prop::sample::Index>(),
        gone in prop::collection::vec(any::<prop::sample::Index>(), 1..40),
    ) {
        let _alone = alone();
        let mut image = image.get(&IMAGES).clone();
        for gone in gone {
            let (page, _) = image.place(gone);
            image.pages.remove(&page);
        }
        if let Ok(snapshot) = survive(&image.file(), true) {
            prop_assert!(snapshot.problems.iter().any(|problem| problem.message.contains("pages are missing")));
        }
    }

    #[test]
    fn damaged_files_are_refused_or_read(
        image in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..10),
        of_head: bool,
        end in any::<prop::sample::Index>(),
    ) {
        let _alone = alone();
        let image = image.get(&IMAGES);
        let mut file = image.file();
        let range = if of_head { image.head.len() } else { file.len() };
        for (at, byte) in damage {
            file[at.index(range)] = byte;
        }
        let _ = survive(&file, false);
        let _ = survive(&file[..end.index(file.len())], false);
    }
}

#[test]
fn whole_images_need_little_of_the_limits() {
    let _alone = alone();
    for image in IMAGES.iter() {
        let mut snapshot = survive(&image.file(), true).unwrap();
        // The heap is not what images are made for.
        snapshot.problems.retain(|problem| problem.code != ProblemCode::HeapTorn);
        assert_eq!(snapshot.problems, [], "{}", image.name);
    }
}
